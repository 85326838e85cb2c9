//! Structures in JSON: an object with a member a field, found by the field's name or by `at`, a JSON Pointer below `json`.

use std::sync::Arc;

use super::format::{Fields, Format};
use super::json::Pointer;
use super::keys::{Keys, PayloadKind};
use crate::drivers::driver::PointOf;
use crate::drivers::keys::PointKeys;
use crate::drivers::plan::{Content, Layout, Leaf, PlaceError, PointPlan, PointSettings, Wanted};
use crate::drivers::reading::PointError;

/// The keys of a point that a driver of messages has.
pub(crate) trait PayloadPoint: PointKeys {
    fn payload_keys(&self) -> Keys;

    /// The keys of a field at this pointer: where and how its value lies, and nothing about writes, time or quality.
    #[must_use]
    fn at(&self, pointer: String) -> Self;
}

impl Format {
    /// The format of a point, which may be a structure.
    pub(crate) fn of<P: PayloadPoint>(point: PointOf<'_, P>) -> Result<Format, PointError> {
        let keys = point.keys.payload_keys();
        let Some(plan) = &point.structure else { return Format::new(&keys, point.plan) };
        let formats = plan.leaves.iter().map(|leaf| Format::new(&PointOf::<P>::new(leaf).keys.payload_keys(), leaf));
        let formats = formats.collect::<Result<Vec<Format>, PointError>>()?;
        let bare = Keys { raw_type: None, encoding: None, nan: false, payload: Some(PayloadKind::Json), ..keys };
        // Its pointers are checked as those of a text, which any message may give.
        let stand_in = PointPlan { kind: crate::value::BuiltIn::String, structure: None, ..point.plan.clone() };
        let format = Format::new(&bare, &stand_in)?;
        Ok(Format { fields: Some(Fields { plan: Arc::clone(plan), formats }), ..format })
    }
}

/// Gives each field its pointer.
pub(crate) fn place_structure<P: PayloadPoint>(
    point: PointOf<'_, P>,
    wanted: Wanted<'_>,
) -> Result<Vec<Leaf>, PlaceError> {
    let keys = point.keys.payload_keys();
    let whole = 0..point.address.len();
    if point.is_array {
        let message = "arrays of structures are not in this version for messages".to_owned();
        return Err(PlaceError::Tag(PointError::new(whole, message, "make one tag for each")));
    }
    let is_other = keys.payload.is_some_and(|payload| payload != PayloadKind::Json);
    if is_other || keys.raw_type.is_some() || keys.column.is_some() {
        let key = if is_other { "payload" } else { "raw_type" };
        let message = "a structure is an object of JSON".to_owned();
        return Err(PlaceError::Tag(PointError::key(key, message, &format!("delete `{key}`"))));
    }
    let base = keys.json.clone().unwrap_or_default();
    Pointer::parse(&base).map_err(|no| PlaceError::Tag(PointError::key("json", no.message, &no.help)))?;
    let mut placer = Placer { point, leaves: Vec::new(), taken: Vec::new() };
    placer.structure(wanted.layout, &base)?;
    Ok(placer.leaves)
}

struct Placer<'a, P> {
    point: PointOf<'a, P>,
    leaves: Vec<Leaf>,
    /// The pointers so far, with the names of their fields.
    taken: Vec<(String, Arc<str>)>,
}

impl<P: PayloadPoint> Placer<'_, P> {
    fn structure(&mut self, layout: &Layout, base: &str) -> Result<(), PlaceError> {
        for field in &layout.fields {
            let fault = |error: PointError| PlaceError::Field { id: field.id, error };
            let below = match field.at.as_deref() {
                None => format!("/{}", field.name),
                Some(at) if at.starts_with('/') => {
                    let parsed = Pointer::parse(at);
                    parsed.map_err(|no| fault(PointError::key("at", no.message, &no.help)))?.text
                }
                Some(at) => {
                    let message = format!("`{at}` is no JSON Pointer: it begins with `/`");
                    let help = "write `/name` as the message has it, or leave `at` out for the name of the field";
                    return Err(fault(PointError::key("at", message, help)));
                }
            };
            let pointer = format!("{base}{below}");
            match &field.content {
                Content::Structure { elements: 1, of } => self.structure(of, &pointer)?,
                Content::Structure { .. } => {
                    let message = "arrays of structures are not in this version for messages".to_owned();
                    return Err(fault(PointError::key("type", message, "make a field of each element")));
                }
                Content::Value(plan) => {
                    self.check_free(&pointer, &field.name).map_err(fault)?;
                    self.taken.push((pointer.clone(), Arc::clone(&field.name)));
                    let settings = PointSettings::of(PointOf::<P>::new(plan).keys.at(pointer));
                    let address = self.point.address.clone();
                    let point = PointPlan { address, settings, read: false, write: false, ..(**plan).clone() };
                    self.leaves.push(Leaf { point, id: field.id });
                }
            }
        }
        Ok(())
    }

    /// A field that lies in another one, or in its place, is a mistake.
    fn check_free(&self, pointer: &str, name: &str) -> Result<(), PointError> {
        let is_in = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'));
        let other =
            self.taken.iter().find(|(known, _)| known == pointer || is_in(known, pointer) || is_in(pointer, known));
        match other {
            None => Ok(()),
            Some((_, other)) => {
                let message = format!("field `{name}` overlaps field `{other}`");
                Err(PointError::key("at", message, "write another `at`"))
            }
        }
    }
}
