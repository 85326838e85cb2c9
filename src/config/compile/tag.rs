//! Tags: shape, scale and origin, with the rules that span several keys.

use std::sync::Arc;
use std::time::Duration;

use super::Compiler;
use super::scope::{Entry, Inherited, Into, Scope, Walk};
use crate::config::at::{At, Raw};
use crate::config::docs::{did_you_mean, list};
use crate::config::source::{Ix, Kind};
use crate::config::spec::{Deadband, Scale as ScaleSpec, Span};
use crate::config::units;
use crate::drivers::{self, Delivery};
use crate::model::{ConnectionIx, DataType, NodeIx, NodeKind, Origin, Period, Scale, Shape, Tag, TagId, Unit};
use crate::value::BuiltIn;

/// DataTypes that a tag may have.
const TYPES: [(&str, BuiltIn); 14] = [
    ("Boolean", BuiltIn::Boolean),
    ("SByte", BuiltIn::SByte),
    ("Byte", BuiltIn::Byte),
    ("Int16", BuiltIn::Int16),
    ("UInt16", BuiltIn::UInt16),
    ("Int32", BuiltIn::Int32),
    ("UInt32", BuiltIn::UInt32),
    ("Int64", BuiltIn::Int64),
    ("UInt64", BuiltIn::UInt64),
    ("Float", BuiltIn::Float),
    ("Double", BuiltIn::Double),
    ("String", BuiltIn::String),
    ("DateTime", BuiltIn::DateTime),
    ("ByteString", BuiltIn::ByteString),
];

/// Names of DataTypes in PLCs and other products.
#[rustfmt::skip]
const ELSEWHERE: [(&str, &str); 24] = [
    ("bool", "Boolean"), ("bit", "Boolean"), ("sint", "SByte"), ("int8", "SByte"), ("usint", "Byte"),
    ("uint8", "Byte"), ("int", "Int16"), ("word", "UInt16"), ("uint", "UInt16"), ("dint", "Int32"),
    ("dword", "UInt32"), ("udint", "UInt32"), ("lint", "Int64"), ("long", "Int64"), ("ulint", "UInt64"),
    ("lword", "UInt64"), ("real", "Float"), ("float32", "Float"), ("lreal", "Double"), ("float64", "Double"),
    ("text", "String"), ("str", "String"), ("timestamp", "DateTime"), ("bytes", "ByteString"),
];

/// Most elements of one array.
pub(super) const MOST_ELEMENTS: u64 = 1_000_000;

/// A tag that is being made, and its node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub tag: TagId,
    pub node: NodeIx,
    /// Its `scale` was refused, so nothing more is reported about it.
    pub has_wrong_scale: bool,
    pub scale: Option<Scale>,
}

/// The keys that make the shape of a tag or of a field.
#[derive(Debug, Clone, Copy)]
pub(super) struct ShapeKeys<'a> {
    pub array: Option<Raw>,
    pub length: Option<&'a At<u32>>,
    pub range: Option<&'a At<Span>>,
    pub scale: Option<&'a At<ScaleSpec>>,
    pub unit: Option<&'a At<String>>,
    pub deadband: Option<Ix>,
}

/// Names of the data types of a cell.
fn own_types(scope: &Scope) -> impl Iterator<Item = &str> {
    scope.enums.keys().chain(scope.data.keys()).map(String::as_str)
}

/// DataTypes that a tag may have.
pub(crate) fn type_names() -> impl Iterator<Item = &'static str> {
    TYPES.iter().map(|(name, _)| *name)
}

/// Other products' names for them.
pub(crate) fn foreign_type_names() -> impl Iterator<Item = &'static str> {
    ELSEWHERE.iter().map(|(name, _)| *name)
}

fn article(kind: BuiltIn) -> &'static str {
    if matches!(kind, BuiltIn::Int16 | BuiltIn::Int32 | BuiltIn::Int64 | BuiltIn::SByte) { "an" } else { "a" }
}

pub(super) fn built_in(name: &str) -> Option<BuiltIn> {
    TYPES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}

impl Compiler<'_> {
    /// The kind of node that a tag becomes; `None` when it had findings that leave nothing to build on.
    pub(super) fn tag(
        &mut self,
        entry: Entry<'_>,
        data_type: &At<String>,
        node: NodeIx,
        below: &Walk<'_>,
        scope: &mut Scope,
    ) -> Option<NodeKind> {
        let Entry { spec, own, .. } = entry;
        let keys = ShapeKeys {
            array: spec.array,
            length: spec.length.as_ref(),
            range: spec.range.as_ref(),
            scale: spec.scale.as_ref(),
            unit: spec.unit.as_ref(),
            deadband: spec.deadband.as_ref().map(|at| at.ix),
        };
        let shape = self.shape(keys, data_type, scope);
        let shows_parts = self.shows_parts(spec, shape.as_ref());
        if matches!(below.into, Into::Type(_)) {
            if let Some(expr) = &spec.expr {
                self.check_syntax(expr.ix);
            }
            let shape = shape?;
            if shows_parts {
                self.declare_parts(&shape, node, below, scope);
            }
            return Some(NodeKind::Declaration(Box::new(shape)));
        }
        let inherited = &below.inherited;
        // Each of these needs no type, or reports nothing when there is none.
        let range = spec.range.as_ref().map(|range| (range.value.0, range.value.1));
        let scale = spec.scale.as_ref().and_then(|scale| self.scale(scale, range, entry.is_whole));
        let deadband = self.deadband(entry, range);
        let id = self.plant.tags.next();
        let has_wrong_scale = spec.scale.is_some() && scale.is_none();
        let place = Place { tag: id, node, has_wrong_scale, scale };
        let origin = match &spec.expr {
            Some(expr) if shape.is_some() => Some(self.derived(entry, expr, place, below, scope)),
            Some(_) => None,
            None => self.origin(entry, place, shape.as_ref(), inherited, scope),
        };
        let (shape, (origin, poll)) = (shape?, origin?);
        let scale = scale.filter(|_| !self.is_unscaled(spec, &origin));
        let stale_after = self.stale_after(&origin, poll, inherited);
        let access = self.access_ix(inherited.access);
        let key = self.source.key_of(own).unwrap_or(own);
        let history = match shape.data_type {
            // The fields have it.
            DataType::Struct(_) => {
                self.check_structure_history(spec.history.as_ref(), shows_parts, scope);
                None
            }
            _ => self.history_of_tag(spec.history.as_ref(), &shape, &origin, inherited, key, scope),
        };
        self.plant.tags.push(Tag {
            cell: scope.index,
            node,
            shape,
            origin,
            scale,
            deadband,
            wraps: spec.wraps.unwrap_or(false),
            poll,
            stale_after,
            enabled: inherited.enabled,
            access,
            history,
        });
        if shows_parts {
            self.parts(id, entry, below, scope);
        }
        Some(NodeKind::Variable(id))
    }

    /// A `stale_after` below the poll period makes a tag Bad between two good polls: reported once, at its place.
    pub(super) fn stale_after(&mut self, origin: &Origin, poll: Duration, inherited: &Inherited) -> Duration {
        let asked = match origin {
            Origin::Device { connection, read: true, .. } => Some(*connection),
            _ => None,
        };
        let Some(At { ix, value }) = inherited.stale_after.clone() else {
            // A device that sends by itself is silent while nothing changes.
            return if asked.is_some_and(|connection| self.sends(connection)) {
                Duration::MAX
            } else {
                (poll * 3).max(Duration::from_secs(5))
            };
        };
        let is_polled = asked.is_some() && !poll.is_zero();
        if is_polled && value.0 < poll && self.short_lived.insert(ix) {
            let message = format!("`stale_after` {} is below `poll` {}", value, Period(poll));
            let finding = self.findings.warning(&self.source, ix, message);
            finding.help("a late reply turns the tag Bad at once; write at least two polls");
        }
        value.0
    }

    /// Whether a connection's device sends by itself.
    fn sends(&self, connection: ConnectionIx) -> bool {
        let driver = drivers::driver(self.drivers[connection.0 as usize].settings.driver());
        driver.is_some_and(|driver| driver.delivery != Delivery::Polled)
    }

    pub(super) fn shape(&mut self, spec: ShapeKeys<'_>, data_type: &At<String>, scope: &Scope) -> Option<Shape> {
        let kind = self.data_type(data_type, scope);
        let wire = kind.map(|kind| kind.wire());
        let dimensions = spec.array.map_or_else(|| Some(Vec::new()), |raw| self.dimensions(raw.0));
        let has_length = matches!(wire, None | Some(BuiltIn::String | BuiltIn::ByteString));
        if let Some(length) = spec.length.filter(|_| !has_length) {
            let message = "only a String or ByteString has a `length`";
            self.findings
                .error(&self.source, length.ix, message)
                .help("delete it; for an array of 24 elements write `array: 24`");
        }
        let is_number = kind.is_none_or(DataType::is_number);
        for (word, at) in [
            ("range", spec.range.map(|at| at.ix)),
            ("scale", spec.scale.map(|at| at.ix)),
            ("deadband", spec.deadband),
            ("unit", spec.unit.map(|at| at.ix)),
        ] {
            if let Some(at) = at.filter(|_| !is_number) {
                let message = format!("a {} cannot have `{word}`", data_type.value);
                self.findings.error(&self.source, at, message).help("delete it: only numeric tags have one");
            }
        }
        if let Some(range) = spec.range.filter(|range| range.value.0 >= range.value.1) {
            let message = format!("the low end {} is not below the high end {}", range.value.0, range.value.1);
            self.findings.error(&self.source, range.ix, message).help("write `[low, high]`");
        }
        if let Some(wire) = wire.filter(|_| is_number) {
            let eu = spec.scale.and_then(|scale| scale.value.eu.as_ref());
            for (word, span) in [("range", spec.range), ("eu", eu)] {
                if let Some(span) = span {
                    self.warn_beyond(word, span, wire);
                }
            }
        }
        let unit = spec.unit.map(|unit| self.unit(unit));
        Some(Shape {
            data_type: kind?,
            dimensions: dimensions?,
            length: spec.length.map(|at| at.value),
            unit,
            range: spec.range.map(|range| (range.value.0, range.value.1)),
        })
    }

    /// Warns of ends that no value of the type can reach.
    fn warn_beyond(&mut self, word: &str, span: &At<Span>, wire: BuiltIn) {
        let Some((least, most)) = wire.limits() else { return };
        let Span(low, high) = span.value;
        if low < least || high > most {
            let message = format!("`{word}` {low}..{high} is wider than the values of {} {wire:?}", article(wire));
            let help = match wire {
                BuiltIn::Float => "a Float holds -3.4e38..3.4e38: write `type: Double`".to_owned(),
                _ => format!(
                    "{} {wire:?} holds {least}..{most}: write a wider `type`, or a smaller range",
                    article(wire)
                ),
            };
            self.findings.warning(&self.source, span.ix, message).help(help);
        }
    }

    fn data_type(&mut self, name: &At<String>, scope: &Scope) -> Option<DataType> {
        if self.source.kind(name.ix) == Kind::Bad {
            return None;
        }
        if let Some(kind) = built_in(&name.value) {
            return Some(DataType::BuiltIn(kind));
        }
        if let Some(known) = scope.enums.get(&name.value) {
            return known.map(DataType::Enum);
        }
        if let Some(known) = scope.data.get(&name.value) {
            return *known;
        }
        let text = name.value.to_lowercase();
        let foreign = ELSEWHERE.iter().find(|(word, _)| *word == text).map(|(_, known)| *known);
        let known = || TYPES.iter().map(|(known, _)| *known).chain(own_types(scope));
        let same = TYPES.iter().find(|(known, _)| known.to_lowercase() == text).map(|(known, _)| *known);
        let mut help = match same.or(foreign) {
            Some(known) => format!("did you mean `{known}`?"),
            None => did_you_mean(&name.value, known()),
        };
        if scope.types.contains_key(&name.value) {
            help = format!("`{}` is an object type: write `of: {}`", name.value, name.value);
        } else if help.is_empty() {
            help = format!("known are {}", list(TYPES.iter().map(|(known, _)| *known), 14));
        }
        self.findings.error(&self.source, name.ix, format!("no type `{}`", name.value)).help(help);
        None
    }

    fn dimensions(&mut self, at: Ix) -> Option<Vec<u32>> {
        let sizes: Vec<Ix> = match self.source.kind(at) {
            Kind::Sequence => self.source.children(at).collect(),
            Kind::Bad => return None,
            _ => vec![at],
        };
        let mut dimensions = Vec::new();
        for size in &sizes {
            let text = self.source.text(*size);
            match text.parse::<u32>() {
                Ok(size) if (1..=65_535).contains(&size) => dimensions.push(size),
                _ => {
                    let message = format!("`{text}` is not an array size");
                    self.findings
                        .error(&self.source, *size, message)
                        .help("write `24`, or `[2, 3]`; each size is 1..65535");
                    return None;
                }
            }
        }
        let count = dimensions.iter().try_fold(1u64, |count, size| count.checked_mul(u64::from(*size)));
        if dimensions.is_empty() || dimensions.len() > 8 || count.is_none_or(|count| count > MOST_ELEMENTS) {
            let message = format!("an array has 1 to 8 dimensions and at most {MOST_ELEMENTS} elements");
            self.findings.error(&self.source, at, message);
            return None;
        }
        Some(dimensions)
    }

    fn unit(&mut self, name: &At<String>) -> Arc<Unit> {
        if let Some(unit) = self.units.get(&name.value) {
            let unit = unit.clone();
            if unit.id == -1 {
                self.warn_unit(name);
            }
            return unit;
        }
        let unit = units::find(&name.value).unwrap_or_else(|| {
            self.warn_unit(name);
            units::unknown(&name.value)
        });
        let unit = Arc::new(unit);
        self.units.insert(name.value.clone(), unit.clone());
        unit
    }

    fn warn_unit(&mut self, name: &At<String>) {
        // Looking through the whole table once a name is enough.
        let hint = self.unit_hints.entry(name.value.clone()).or_insert_with(|| units::hint(&name.value)).clone();
        let message = format!("unit `{}` is not a UNECE unit; clients see it as it is written", name.value);
        self.findings.warning(&self.source, name.ix, message).help(hint);
    }

    /// Every fault of the mapping; missing keys are reported only where nothing else is wrong with the entry.
    pub(super) fn scale(&mut self, at: &At<ScaleSpec>, range: Option<(f64, f64)>, is_whole: bool) -> Option<Scale> {
        let spec = &at.value;
        let mark = self.findings.len();
        let mut wrong = |ix: Ix, message: &str, help: &str| {
            self.findings.error(&self.source, ix, message).help(help);
        };
        let offset = spec.offset.as_ref().map(|at| at.ix);
        let exponent = spec.exponent.as_ref().map(|at| at.ix);
        let eu = spec.eu.as_ref().map(|eu| (eu.value.0, eu.value.1)).or(range);
        if let Some(factor) = spec.factor.as_ref().filter(|factor| factor.value == 0.0) {
            wrong(factor.ix, "`factor` is 0", "write another factor: with 0 a write cannot be converted back");
        }
        if let Some(eu) = spec.eu.as_ref().filter(|eu| eu.value.0 == eu.value.1) {
            wrong(eu.ix, "the two engineering values are equal", "write two different values, such as [0, 100]");
        }
        if let Some(raw) = &spec.raw {
            if let Some(factor) = &spec.factor {
                let help = "write `raw` with `eu` or `range`, or `factor` with `offset`";
                wrong(factor.ix, "`raw` and `factor` cannot be used together", help);
            }
            for (word, other) in [("offset", offset), ("exponent", exponent)] {
                if let Some(ix) = other.filter(|_| spec.factor.is_none()) {
                    wrong(ix, &format!("`{word}` cannot be used with `raw`"), "use it with `factor`, or delete it");
                }
            }
            if raw.value.0 == raw.value.1 {
                wrong(raw.ix, "the two raw values are equal", "write two different values, such as [0, 27648]");
            }
            match eu {
                None if is_whole && spec.factor.is_none() => {
                    let help = "write the values at the two ends: `eu: [0, 100]`";
                    wrong(raw.ix, "`raw` needs `eu` or `range`", help);
                }
                Some(ends) if ends.0 == ends.1 && spec.eu.is_none() => {
                    wrong(
                        raw.ix,
                        "the two engineering values are equal",
                        "write two different values, such as [0, 100]",
                    );
                }
                _ => {}
            }
        } else {
            let eu = spec.eu.as_ref().map(|at| at.ix);
            for (word, other) in [("eu", eu), ("clamp", spec.clamp.as_ref().map(|at| at.ix))] {
                if let Some(ix) = other.filter(|_| is_whole) {
                    wrong(ix, &format!("`{word}` needs `raw`"), "write the raw values: `raw: [0, 27648]`");
                }
            }
            let is_empty = spec.factor.is_none() && offset.is_none() && exponent.is_none();
            if is_empty && eu.is_none() && spec.clamp.is_none() && is_whole {
                wrong(
                    at.ix,
                    "`scale` needs `raw` or `factor`",
                    "write `raw: [0, 27648]` with `eu` or `range`, or `factor: 0.1`",
                );
            }
        }
        if self.findings.has_errors_since(mark) {
            return None;
        }
        if let Some(raw) = &spec.raw {
            let clamp = spec.clamp.as_ref().is_some_and(|clamp| clamp.value);
            return Some(Scale::Range { raw: (raw.value.0, raw.value.1), eu: eu?, clamp });
        }
        Some(Scale::Factor {
            factor: spec.factor.as_ref().map_or(1.0, |factor| factor.value),
            offset: spec.offset.as_ref().map_or(0.0, |offset| offset.value),
        })
    }

    fn deadband(&mut self, entry: Entry<'_>, range: Option<(f64, f64)>) -> f64 {
        match entry.spec.deadband.as_ref().map(|at| (at.ix, at.value)) {
            None => 0.0,
            Some((_, Deadband::Absolute(band))) => band,
            Some((ix, Deadband::Percent(percent))) => match range {
                Some((low, high)) => (high - low) * percent / 100.0,
                None if !entry.is_whole => 0.0,
                None => {
                    let finding = self.findings.error(&self.source, ix, "a deadband in percent needs `range`");
                    finding.help("add `range: [low, high]`, or write the deadband in the unit of the tag");
                    0.0
                }
            },
        }
    }

    /// Exactly one of `source` and `value`.
    fn origin(
        &mut self,
        entry: Entry<'_>,
        place: Place,
        shape: Option<&Shape>,
        inherited: &Inherited,
        scope: &Scope,
    ) -> Option<(Origin, Duration)> {
        let Entry { spec, own, is_whole, .. } = entry;
        match (spec.source, spec.value) {
            (Some(source), None) => {
                if let Some(write) = &spec.write {
                    let finding =
                        self.findings.error(&self.source, write.ix, "`write` at a node is only for tags with `value`");
                    finding.help("write it in the source: `source: { address: …, write: true }`");
                }
                self.device(spec, source.0, place, shape, inherited, scope)
            }
            (None, Some(value)) => {
                if let Some(simulate) = &spec.simulate {
                    let finding =
                        self.findings.error(&self.source, simulate.ix, "`simulate` is only for tags with `source`");
                    finding.help("delete it: a tag with `value` needs no device");
                }
                let initial = shape.and_then(|shape| self.value(value.0, shape, scope));
                let write = spec.write.as_ref().is_some_and(|write| write.value);
                if let Some(write) = spec.write.as_ref().filter(|write| write.value) {
                    self.check_write_roles(write.ix, inherited);
                }
                Some((Origin::Memory { initial: initial?, write }, inherited.poll))
            }
            (Some(source), Some(value)) => {
                let message = "a tag cannot have both `source` and `value`";
                self.findings.error(&self.source, value.0, message).help("delete one of the two");
                self.device(spec, source.0, place, shape, inherited, scope)
            }
            // Reported already: the source, formula or value is not valid.
            (None, None) if !is_whole => None,
            (None, None) if ["expr", "source", "value"].iter().any(|key| self.source.get(own, key).is_some()) => None,
            (None, None) => {
                let key = self.source.key_of(own).unwrap_or(own);
                let finding = self.findings.error(&self.source, key, "this tag has no `source`, `expr` or `value`");
                finding.help("write `source: holding/100`, `expr: A + B`, or `value: 0` for a constant");
                None
            }
        }
    }

    pub(super) fn check_write_roles(&mut self, at: Ix, inherited: &Inherited) {
        if inherited.access.write == crate::model::Roles::NONE {
            let finding = self.findings.error(&self.source, at, "no role may write this tag: `access.write` is empty");
            finding.help("write the roles: `access: { write: [Operator] }`");
        }
    }
}
