//! A tag as a metric of Sparkplug.

use crate::drivers::sparkplug::edge::{self, Named, Properties, Quality, Shown};
use crate::model::{NodeIx, Origin, Plant, SparkplugFormat, Tag};
use crate::value::{BuiltIn, Elements, Sample, UaTime, Value};

/// A metric without its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Metric {
    /// Empty: it is the node's own.
    pub device: String,
    pub name: String,
    datatype: u32,
    kind: BuiltIn,
    /// A device gives its values.
    pub has_source: bool,
    unit: Option<String>,
    documentation: Option<String>,
    ends: Option<[f64; 2]>,
}

/// A metric of a device, by its names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub device: String,
    pub metric: String,
}

impl Metric {
    /// `None` for a type that Sparkplug does not have.
    pub(super) fn of(plant: &Plant, at: NodeIx, tag: &Tag, format: &SparkplugFormat) -> Option<Metric> {
        let cell = &plant.cells[usize::from(tag.cell)];
        let shape = &tag.shape;
        let kind = shape.data_type.wire();
        let node = cell.node(at);
        let path = cell.path(at);
        let (device, name) = match path.split_once('.') {
            Some((device, name)) if format.devices => (device.to_owned(), name.replace('.', "/")),
            _ => (String::new(), path.replace('.', "/")),
        };
        let text = |text: &crate::model::Text| text.0.first().map(|(_, text)| text.clone());
        Some(Metric {
            device,
            name,
            datatype: edge::datatype_of(kind, !shape.is_scalar())?,
            kind,
            has_source: matches!(plant.owner(tag).origin, Origin::Device { .. }),
            unit: shape.unit.as_ref().map(|unit| unit.symbol.clone()),
            documentation: node.description.as_deref().and_then(text),
            ends: shape.range.map(|(low, high)| [low, high]),
        })
    }

    /// Aliases are those of the keys, which are never used twice.
    pub(super) fn alias(key: u32) -> u64 {
        u64::from(key) + 1
    }

    pub(super) fn datatype(&self) -> u32 {
        self.datatype
    }

    fn shown<'s>(&self, sample: &'s Sample, is_historical: bool) -> Shown<'s> {
        let quality = match () {
            () if sample.status.is_bad() => Quality::Bad,
            () if sample.status.is_uncertain() => Quality::Stale,
            () => Quality::Good,
        };
        let value = Some(&sample.value).filter(|_| quality != Quality::Bad);
        let time = if sample.source_time == UaTime::NULL { sample.server_time } else { sample.source_time };
        Shown { time, datatype: self.datatype, value, quality, is_historical }
    }

    /// As its birth has it.
    pub(super) fn birth(&self, key: u32, sample: &Sample, aliases: bool) -> Vec<u8> {
        let Metric { unit, documentation, ends, .. } = self;
        let properties = Properties { unit: unit.as_deref(), documentation: documentation.as_deref(), ends: *ends };
        let named = if aliases { Named::Both(&self.name, Metric::alias(key)) } else { Named::Name(&self.name) };
        edge::metric(named, &self.shown(sample, false), Some(properties))
    }

    pub(super) fn data(&self, key: u32, sample: &Sample, aliases: bool, is_historical: bool) -> Vec<u8> {
        let named = if aliases { Named::Alias(Metric::alias(key)) } else { Named::Name(&self.name) };
        edge::metric(named, &self.shown(sample, is_historical), None)
    }

    /// A record of the buffer: the length of the name, the name, and the metric without it.
    pub(super) fn record(&self, sample: &Sample) -> Vec<u8> {
        let mut out = u16::try_from(self.name.len()).unwrap_or(u16::MAX).to_le_bytes().to_vec();
        out.extend_from_slice(self.name.as_bytes());
        out.extend_from_slice(&edge::body(&self.shown(sample, true), None));
        out
    }

    /// The name of the metric of a record.
    pub(super) fn name_of(record: &[u8]) -> Option<&str> {
        Metric::parts_of(record).map(|(name, _)| name)
    }

    /// The name of the metric of a record, and the metric without it.
    pub(super) fn parts_of(record: &[u8]) -> Option<(&str, &[u8])> {
        let (length, rest) = record.split_first_chunk::<2>()?;
        let (name, body) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
        Some((std::str::from_utf8(name).ok()?, body))
    }

    /// The value of a command in the tag's type.
    pub(super) fn value_of(&self, asked: Value) -> Option<Value> {
        if asked.built_in() == Some(self.kind) {
            let is_array = matches!(asked, Value::Array(_));
            let wants_array = matches!(self.datatype, 22..=34);
            return (is_array == wants_array).then_some(asked);
        }
        match (&asked, self.kind) {
            (Value::Array(array), BuiltIn::Double) => match &array.elements {
                Elements::Float(all) => {
                    Some(Value::array(Elements::Double(all.iter().map(|one| f64::from(*one)).collect())))
                }
                _ => None,
            },
            (Value::Array(_), _) => None,
            (Value::Float(number), BuiltIn::Double) => Some(Value::Double(f64::from(*number))),
            // A number of a Float with more digits is the nearest Float.
            (Value::Double(number), BuiltIn::Float) => Value::from_f64(BuiltIn::Float, *number),
            (Value::Boolean(_), _) => None,
            _ => Value::from_integer(self.kind, asked.as_integer()?).filter(|_| self.kind != BuiltIn::Boolean),
        }
    }
}
