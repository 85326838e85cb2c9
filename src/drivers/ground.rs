//! The packed rule of drivers whose places are numbers: registers or bytes. Pure.

use super::plan::{Content, Layout, Leaf, PlaceError, PointPlan, Wanted};
use super::reading::PointError;

/// The packed rule of a driver whose places are numbers.
pub(crate) trait Ground {
    /// Bits of a unit: of a register 16, of a byte 8.
    const UNIT: u64;
    /// Structures and their elements begin at multiples of this, in bits.
    const STRUCTURE: u64;

    /// Room that a value takes without `at`, and where it may begin, in bits.
    fn room(&self, field: &PointPlan) -> Result<Room, PointError>;

    /// The point at a unit, counted from the tag's address; `bits` as the address has them after the dot.
    fn point(&self, field: &PointPlan, unit: u64, bits: Option<&str>) -> Result<PointPlan, PointError>;
}

/// Room of a value in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    pub size: u64,
    pub align: u64,
}

/// Gives each field of a structure its place.
pub(crate) fn place<G: Ground>(ground: &G, wanted: Wanted<'_>) -> Result<Vec<Leaf>, PlaceError> {
    if let Some(stride) = wanted.stride.filter(|stride| !(u64::from(*stride) * G::UNIT).is_multiple_of(G::STRUCTURE)) {
        let message = format!("`stride` {stride} is odd: a structure begins at an even byte");
        return Err(PlaceError::Tag(PointError::key("stride", message, "write the distance of two elements")));
    }
    let mut placer = Placer { ground, leaves: Vec::new() };
    let mut start = 0;
    for _ in 0..wanted.elements {
        let end = placer.structure(wanted.layout, start)?;
        let packed = (end - start).next_multiple_of(G::STRUCTURE);
        let stride = match wanted.stride {
            None => packed,
            Some(stride) => u64::from(stride) * G::UNIT,
        };
        if wanted.stride.is_some() && stride < end - start {
            let least = (end - start).div_ceil(G::UNIT);
            let message = format!("`stride` is smaller than one structure, which takes {least}");
            return Err(PlaceError::Tag(PointError::key("stride", message, "write the distance of two elements")));
        }
        start += stride;
    }
    Ok(placer.leaves)
}

struct Placer<'a, G> {
    ground: &'a G,
    leaves: Vec<Leaf>,
}

/// A field that takes whole units, to be compared with others.
struct Taken<'a> {
    start: u64,
    end: u64,
    name: &'a str,
}

impl<G: Ground> Placer<'_, G> {
    /// The end of the structure that begins here, in bits.
    fn structure(&mut self, layout: &Layout, start: u64) -> Result<u64, PlaceError> {
        let (mut next, mut end) = (start, start);
        let mut taken: Vec<Taken<'_>> = Vec::new();
        for field in &layout.fields {
            let fault = |error: PointError| PlaceError::Field { id: field.id, error };
            let place = field.at.as_deref().map(number_place).transpose().map_err(fault)?;
            let is_part = place.as_ref().is_some_and(|place| place.bits.is_some());
            let from = place.as_ref().map(|place| start + place.unit * G::UNIT);
            let (first, last) = match &field.content {
                Content::Value(point) => {
                    let room = self.ground.room(point).map_err(fault)?;
                    let first = from.unwrap_or_else(|| next.next_multiple_of(room.align));
                    let bit = first % G::UNIT;
                    let own = (room.align < G::UNIT && from.is_none()).then(|| bit.to_string());
                    let bits = place.as_ref().and_then(|place| place.bits.as_deref()).or(own.as_deref());
                    let made = self.ground.point(point, first / G::UNIT, bits).map_err(fault)?;
                    self.leaves.push(Leaf { point: made, id: field.id });
                    let size = if is_part { G::UNIT } else { room.size };
                    (first, first + size)
                }
                Content::Structure { of, elements } => {
                    if is_part {
                        let message = "a structure cannot begin at a bit".to_owned();
                        return Err(fault(PointError::key("at", message, "write a whole number")));
                    }
                    let first = from.unwrap_or_else(|| next.next_multiple_of(G::STRUCTURE));
                    let mut last = first;
                    for _ in 0..*elements {
                        last = self.structure(of, last)?.next_multiple_of(G::STRUCTURE);
                    }
                    (first, last)
                }
            };
            if !is_part {
                if let Some(other) = taken.iter().find(|other| first < other.end && other.start < last) {
                    let message = format!("field `{}` overlaps field `{}`", field.name, other.name);
                    let help = "write another `at`; only bits may lie in another field";
                    return Err(fault(PointError::key("at", message, help)));
                }
                taken.push(Taken { start: first, end: last, name: &field.name });
            }
            next = last;
            end = end.max(last);
        }
        Ok(end)
    }
}

struct Place {
    unit: u64,
    bits: Option<String>,
}

/// `4`, or `4.3` for a bit.
fn number_place(text: &str) -> Result<Place, PointError> {
    let (unit, bits) = match text.split_once('.') {
        None => (text, None),
        Some((unit, bits)) => (unit, Some(bits.to_owned())),
    };
    let number = unit.parse::<u16>().ok().filter(|_| unit.bytes().all(|digit| digit.is_ascii_digit()));
    let is_bit = bits.as_deref().is_none_or(|bits| bits.starts_with(|digit: char| digit.is_ascii_digit()));
    match number.filter(|_| is_bit) {
        Some(number) => Ok(Place { unit: number.into(), bits }),
        None => {
            let message = format!("`{text}` is not a place in this structure");
            Err(PointError::key(
                "at",
                message,
                "write a number, counted from the start of the structure, or `4.3` for a bit",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::drivers::plan::Field;

    /// Bytes: a value takes as many as it has elements; one with 0 is a bit.
    struct Bytes;

    impl Ground for Bytes {
        const UNIT: u64 = 8;
        const STRUCTURE: u64 = 16;

        fn room(&self, field: &PointPlan) -> Result<Room, PointError> {
            Ok(match field.elements {
                0 => Room { size: 1, align: 1 },
                1 => Room { size: 8, align: 8 },
                bytes => Room { size: (bytes as u64 * 8).next_multiple_of(16), align: 16 },
            })
        }

        fn point(&self, field: &PointPlan, unit: u64, bits: Option<&str>) -> Result<PointPlan, PointError> {
            let address = format!("{unit}.{}", bits.unwrap_or("0"));
            Ok(PointPlan { address, ..field.clone() })
        }
    }

    fn value(elements: usize) -> Content {
        Content::Value(Box::new(PointPlan { elements, ..PointPlan::sample(0) }))
    }

    fn layout(fields: Vec<Content>) -> Layout {
        let field = |(id, content): (u32, Content)| Field { name: format!("F{id}").into(), at: None, id, content };
        Layout { name: "T".into(), fields: (0..).zip(fields).map(field).collect() }
    }

    fn contents() -> impl Strategy<Value = Vec<Content>> {
        let inner = prop::collection::vec(0..5_usize, 1..4);
        let structure = (inner, 1..3_usize).prop_map(|(sizes, elements)| Content::Structure {
            of: Arc::new(layout(sizes.into_iter().map(value).collect())),
            elements,
        });
        prop::collection::vec(prop_oneof![3 => (0..7_usize).prop_map(value), 1 => structure], 1..8)
    }

    /// First and last bit of each leaf.
    fn bits(leaves: &[Leaf]) -> Vec<(u64, u64)> {
        let one = |leaf: &Leaf| {
            let (unit, bit) = leaf.point.address.split_once('.').expect("a place");
            let first = unit.parse::<u64>().expect("a number") * 8 + bit.parse::<u64>().expect("a number");
            (first, first + if leaf.point.elements == 0 { 1 } else { leaf.point.elements as u64 * 8 })
        };
        leaves.iter().map(one).collect()
    }

    proptest! {
        #[test]
        fn every_field_has_a_place_of_its_own_in_the_order_of_the_file(
            contents in contents(), elements in 1..4_usize, half in prop::option::of(100..150_u32)
        ) {
            let stride = half.map(|half| half * 2);
            let count = |content: &Content| match content {
                Content::Value(_) => 1,
                Content::Structure { of, elements } => of.fields.len() * elements,
            };
            let all: usize = contents.iter().map(count).sum::<usize>() * elements;
            let layout = layout(contents);
            let leaves = place(&Bytes, Wanted { layout: &layout, elements, stride }).expect("without `at` nothing overlaps");
            prop_assert_eq!(leaves.len(), all);
            let places = bits(&leaves);
            for pair in places.windows(2) {
                prop_assert!(pair[0].1 <= pair[1].0, "{places:?}");
            }
            for (leaf, (first, _)) in leaves.iter().zip(&places) {
                let even = leaf.point.elements > 1;
                prop_assert!(!even || first % 16 == 0, "{} lies at bit {first}", leaf.point.address);
            }
            let each = all / elements;
            if let Some(stride) = stride {
                for pair in places.chunks(each).collect::<Vec<_>>().windows(2) {
                    prop_assert_eq!(pair[1][0].0 - pair[0][0].0, u64::from(stride) * 8);
                }
            }
        }
    }

    #[test]
    fn a_place_is_read_or_refused() {
        for (text, wanted) in [
            ("4", Some((4, None))),
            ("4.3", Some((4, Some("3")))),
            ("4.3..5", Some((4, Some("3..5")))),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("4.", None),
            ("4.x", None),
            ("70000", None),
            ("a", None),
        ] {
            let found = number_place(text).ok();
            let found = found.as_ref().map(|place| (place.unit, place.bits.as_deref()));
            assert_eq!(found, wanted, "{text}");
        }
    }
}
