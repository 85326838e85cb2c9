//! Properties of any bytes: no panic, a round trip, and agreement with an independent decoder.

use opcua::{
    BinaryDecodable, ContextOwned, DecodingOptions, FallbackTypeLoader, NamespaceMap, TypeLoaderCollection, Variant,
};

use super::reader::Reader;
use super::writer::Writer;
use super::{MAX_DEPTH, MAX_DIAGNOSTIC_DEPTH};
use crate::value::{BuiltIn, Value};

/// Reads the bytes as everything that a peer may send as a value. Panics when a rule is broken.
pub fn fuzz_value(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    if let Ok(value) = reader.variant() {
        let end = reader.position();
        check_skip(bytes, end);
        check_round_trip(&value);
        check_independent(bytes, end);
    } else {
        let mut reader = Reader::new(bytes);
        assert!(
            reader.skip_variant(false).is_err() || has_budget_trouble(bytes),
            "what is refused is not stepped over"
        );
    }
    outcome_does_not_matter(Reader::new(bytes).data_value());
    outcome_does_not_matter(Reader::new(bytes).skip_diagnostic_info());
    outcome_does_not_matter(Reader::new(bytes).extension_object());
    outcome_does_not_matter(Reader::new(bytes).expanded_node_id());
    outcome_does_not_matter(Reader::new(bytes).localized_text());
    if let Ok(id) = Reader::new(bytes).node_id() {
        let mut out = Writer::new();
        out.node_id(id);
        assert_eq!(Reader::new(&out.buf).node_id(), Ok(id));
        let mut again = Writer::new();
        again.owned_node_id(&id.to_owned());
        assert_eq!(again.buf, out.buf);
    }
}

/// These must only not panic.
fn outcome_does_not_matter<T>(_: T) {}

/// Stepping over a value and reading it agree on its end.
fn check_skip(bytes: &[u8], end: usize) {
    let mut reader = Reader::new(bytes);
    assert_eq!(reader.skip_variant(false), Ok(()), "what is read is stepped over");
    assert_eq!(reader.position(), end, "and to the same place");
}

/// Only reading owns memory, so only reading runs out of budget.
fn has_budget_trouble(bytes: &[u8]) -> bool {
    Reader::new(bytes).variant() == Err(opcua::StatusCode::BadEncodingLimitsExceeded)
}

fn check_round_trip(value: &Value) {
    let mut out = Writer::new();
    out.variant(value);
    let mut reader = Reader::new(&out.buf);
    let again = reader.variant().expect("what we write we read");
    assert!(reader.is_at_end());
    assert!(again.same_bits(value), "{value:?} came back as {again:?}");
}

/// The crate's decoder accepts all that our reader accepts, with the same length, up to the crate's own depth.
fn check_independent(bytes: &[u8], end: usize) {
    const CRATE_DEPTH: u8 = 10;
    let mut shallow = Reader::new(bytes);
    shallow.depth = MAX_DEPTH - CRATE_DEPTH + 2;
    if shallow.variant().is_err() || may_hold_an_empty_matrix(&bytes[..end]) {
        return;
    }
    let options = DecodingOptions {
        max_string_length: bytes.len(),
        max_byte_string_length: bytes.len(),
        max_array_length: bytes.len(),
        ..DecodingOptions::default()
    };
    // Bodies stay bytes, as they do with us.
    let mut loaders = TypeLoaderCollection::new_empty();
    loaders.add_type_loader(FallbackTypeLoader);
    let context = ContextOwned::new(NamespaceMap::new(), loaders, options);
    let mut rest = &bytes[..end];
    let decoded = Variant::decode(&mut rest, &context.context());
    assert!(decoded.is_ok(), "the crate refuses {:02x?}: {:?}", &bytes[..end], decoded.err());
    assert!(rest.is_empty(), "the crate reads {} of {end} bytes of {:02x?}", end - rest.len(), &bytes[..end]);
}

/// The crate leaves the dimensions of an array without elements unread, and refuses a dimension of 0.
fn may_hold_an_empty_matrix(bytes: &[u8]) -> bool {
    bytes.windows(5).any(|five| five[0] >= 0xc0 && (five[1..] == [0; 4] || five[1..] == [0xff; 4]))
}

/// A random well-formed Variant, nested up to `depth`; `random` gives numbers below its argument.
pub fn random_value(out: &mut Writer, depth: usize, random: &mut dyn FnMut(usize) -> usize) {
    random_variant(out, Nesting { depth, in_data_value: false }, random);
}

/// Position of a random part in a value.
#[derive(Clone, Copy)]
struct Nesting {
    /// Levels that may follow.
    depth: usize,
    in_data_value: bool,
}

fn random_variant(out: &mut Writer, nesting: Nesting, random: &mut dyn FnMut(usize) -> usize) {
    let Nesting { depth, in_data_value } = nesting;
    let kind = BuiltIn::ALL[random(24)];
    let is_array = random(3) == 0 || kind == BuiltIn::Variant;
    let is_leaf = depth == 0 && matches!(kind, BuiltIn::Variant | BuiltIn::DataValue);
    if is_leaf || (kind == BuiltIn::DataValue && in_data_value) {
        return out.u8(0);
    }
    if !is_array {
        out.u8(kind as u8);
        return random_element(out, kind, nesting, random);
    }
    let (rows, columns) = (1 + random(3), 1 + random(3));
    let has_dimensions = random(2) == 0;
    out.u8(kind as u8 | 0x80 | if has_dimensions { 0x40 } else { 0 });
    out.count(rows * columns);
    for _ in 0..rows * columns {
        random_element(out, kind, nesting, random);
    }
    if has_dimensions {
        out.count(2);
        out.count(rows);
        out.count(columns);
    }
}

fn random_element(out: &mut Writer, kind: BuiltIn, nesting: Nesting, random: &mut dyn FnMut(usize) -> usize) {
    let Nesting { depth, in_data_value } = nesting;
    if let Some(size) = kind.fixed_size() {
        return random_bytes(out, size, random);
    }
    match kind {
        BuiltIn::String | BuiltIn::XmlElement => out.string([None, Some(""), Some("µ"), Some("level")][random(4)]),
        BuiltIn::ByteString => out.bytes([None, Some([].as_slice()), Some(&[0, 1, 0xff])][random(3)]),
        BuiltIn::NodeId => random_node_id(out, 0, random),
        BuiltIn::ExpandedNodeId => {
            let flags = [0, 0x40, 0x80, 0xc0][random(4)];
            random_node_id(out, flags, random);
            if flags & 0x80 != 0 {
                out.text("urn:x");
            }
            if flags & 0x40 != 0 {
                out.u32(7);
            }
        }
        BuiltIn::QualifiedName => {
            random_bytes(out, 2, random);
            out.string([None, Some("name")][random(2)]);
        }
        BuiltIn::LocalizedText => {
            let mask = random(4);
            out.buf.push(u8::try_from(mask).expect("below 4"));
            (0..mask.count_ones()).for_each(|_| out.text("de"));
        }
        BuiltIn::ExtensionObject => {
            random_node_id(out, 0, random);
            match random(2) {
                0 => out.u8(0),
                _ => {
                    out.u8(1);
                    out.bytes(Some(&[1, 2, 3, 4]));
                }
            }
        }
        BuiltIn::DataValue => {
            let mask = random(64);
            out.buf.push(u8::try_from(mask).expect("below 64"));
            if mask & 1 != 0 {
                random_variant(out, Nesting { depth: depth - 1, in_data_value: true }, random);
            }
            for (bit, size) in [(0x02, 4), (0x04, 8), (0x10, 2), (0x08, 8), (0x20, 2)] {
                if mask & bit != 0 {
                    random_bytes(out, size, random);
                }
            }
        }
        _ => random_variant(out, Nesting { depth: depth.saturating_sub(1), in_data_value }, random),
    }
}

fn random_bytes(out: &mut Writer, count: usize, random: &mut dyn FnMut(usize) -> usize) {
    for _ in 0..count {
        out.buf.push(u8::try_from(random(256)).expect("below 256"));
    }
}

fn random_node_id(out: &mut Writer, flags: u8, random: &mut dyn FnMut(usize) -> usize) {
    let encoding = random(6);
    out.u8(u8::try_from(encoding).expect("below 6") | flags);
    match encoding {
        0 => random_bytes(out, 1, random),
        1 => random_bytes(out, 3, random),
        2 => random_bytes(out, 6, random),
        3 => {
            random_bytes(out, 2, random);
            out.text("Cell.Tank");
        }
        4 => random_bytes(out, 18, random),
        _ => {
            random_bytes(out, 2, random);
            out.bytes(Some(&[9, 9]));
        }
    }
}

/// The nests of DiagnosticInfo that are taken are those that the specification asks for.
const _: () = assert!(MAX_DIAGNOSTIC_DEPTH == 10);
