//! Sparkplug B payloads, read where they lie: the part of Protocol Buffers that they use (Sparkplug 3.0 §6.4).
//!
//! Fields that are not known are skipped, as Protocol Buffers want it. Nothing is allocated for what was only announced.

/// A payload that is none, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

/// A field's content on the wire.
#[derive(Debug, Clone, Copy)]
enum Wire<'a> {
    Number(u64),
    Eight(u64),
    Bytes(&'a [u8]),
    Four(u32),
}

/// Fields that are taken from the front.
#[derive(Debug, Clone, Copy)]
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Result<u64, Broken> {
        let mut number = 0;
        for shift in (0..70).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(Broken)?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Broken)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Broken)?;
        self.0 = rest;
        Ok(taken)
    }

    /// The next field's number and content; `None` at the end.
    fn next(&mut self) -> Result<Option<Field<'a>>, Broken> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let wire = match tag & 7 {
            0 => Wire::Number(self.varint()?),
            1 => Wire::Eight(u64::from_le_bytes(self.take(8)?.try_into().map_err(|_| Broken)?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Broken)?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Four(u32::from_le_bytes(self.take(4)?.try_into().map_err(|_| Broken)?)),
            _ => return Err(Broken),
        };
        Ok(Some(Field { number: tag >> 3, wire }))
    }
}

struct Field<'a> {
    number: u64,
    wire: Wire<'a>,
}

fn text(bytes: &[u8]) -> Result<&str, Broken> {
    std::str::from_utf8(bytes).map_err(|_| Broken)
}

/// The content of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Content<'a> {
    Int(u32),
    Long(u64),
    Float(f32),
    Double(f64),
    Boolean(bool),
    Text(&'a str),
    Bytes(&'a [u8]),
    Template(&'a [u8]),
    /// A data set or an extension.
    Other,
}

/// One metric.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Metric<'a> {
    pub name: Option<&'a str>,
    pub alias: Option<u64>,
    pub timestamp: Option<u64>,
    pub datatype: Option<u32>,
    pub is_historical: bool,
    pub is_null: bool,
    /// The property `Quality`.
    pub quality: Option<u64>,
    pub content: Option<Content<'a>>,
    /// All properties, as they came.
    pub properties: &'a [u8],
}

impl<'a> Metric<'a> {
    fn read(bytes: &'a [u8]) -> Result<Metric<'a>, Broken> {
        let (mut fields, mut metric) = (Fields(bytes), Metric::default());
        while let Some(Field { number, wire }) = fields.next()? {
            match (number, wire) {
                (1, Wire::Bytes(name)) => metric.name = Some(text(name)?),
                (2, Wire::Number(alias)) => metric.alias = Some(alias),
                (3, Wire::Number(time)) => metric.timestamp = Some(time),
                (4, Wire::Number(kind)) => metric.datatype = Some(u32::try_from(kind).map_err(|_| Broken)?),
                (5, Wire::Number(is)) => metric.is_historical = is != 0,
                (7, Wire::Number(is)) => metric.is_null = is != 0,
                (9, Wire::Bytes(properties)) => {
                    (metric.quality, metric.properties) = (quality(properties)?, properties);
                }
                // A 32-bit number may be sent with its sign extended to 64 bits.
                #[expect(clippy::cast_possible_truncation, reason = "as the type of the field says")]
                (10, Wire::Number(number)) => metric.content = Some(Content::Int(number as u32)),
                (11, Wire::Number(number)) => metric.content = Some(Content::Long(number)),
                (12, Wire::Four(bits)) => metric.content = Some(Content::Float(f32::from_bits(bits))),
                (13, Wire::Eight(bits)) => metric.content = Some(Content::Double(f64::from_bits(bits))),
                (14, Wire::Number(on)) => metric.content = Some(Content::Boolean(on != 0)),
                (15, Wire::Bytes(value)) => metric.content = Some(Content::Text(text(value)?)),
                (16, Wire::Bytes(value)) => metric.content = Some(Content::Bytes(value)),
                (18, Wire::Bytes(value)) => metric.content = Some(Content::Template(value)),
                (17 | 19, Wire::Bytes(_)) => metric.content = Some(Content::Other),
                (1..=19, _) => return Err(Broken),
                _ => {}
            }
        }
        Ok(metric)
    }
}

/// The number of the property `Quality`; properties are two lists of the same length.
fn quality(bytes: &[u8]) -> Result<Option<u64>, Broken> {
    let (mut fields, mut names, mut place) = (Fields(bytes), 0, None);
    while let Some(Field { number, wire }) = fields.next()? {
        if let (1, Wire::Bytes(name)) = (number, wire) {
            if name == b"Quality" {
                place = Some(names);
            }
            names += 1;
        }
    }
    let Some(place) = place else { return Ok(None) };
    let (mut fields, mut at) = (Fields(bytes), 0);
    while let Some(Field { number, wire }) = fields.next()? {
        if let (2, Wire::Bytes(value)) = (number, wire) {
            if at == place {
                return property(value);
            }
            at += 1;
        }
    }
    Err(Broken)
}

fn property(bytes: &[u8]) -> Result<Option<u64>, Broken> {
    let (mut fields, mut found) = (Fields(bytes), None);
    while let Some(Field { number, wire }) = fields.next()? {
        match (number, wire) {
            (3 | 4, Wire::Number(number)) => found = Some(number),
            (2, Wire::Number(is_null)) if is_null != 0 => return Ok(None),
            _ => {}
        }
    }
    Ok(found)
}

/// The properties of a metric that say what its value means.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Properties<'a> {
    pub unit: &'a str,
    pub documentation: &'a str,
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub is_read_only: bool,
}

impl<'a> Properties<'a> {
    /// As far as they can be read.
    pub(super) fn read(bytes: &'a [u8]) -> Properties<'a> {
        let (mut names, mut values) = (Vec::new(), Vec::new());
        let mut fields = Fields(bytes);
        while let Ok(Some(Field { number, wire: Wire::Bytes(content) })) = fields.next() {
            match number {
                1 => names.push(content),
                2 => values.push(content),
                _ => {}
            }
        }
        let mut all = Properties::default();
        for (name, value) in names.into_iter().zip(values) {
            match name {
                b"engUnit" => all.unit = text_in(value),
                b"documentation" | b"Documentation" => all.documentation = text_in(value),
                b"engLow" => all.low = number_in(value),
                b"engHigh" => all.high = number_in(value),
                b"readOnly" => all.is_read_only = number_in(value) == Some(1.0),
                _ => {}
            }
        }
        all
    }
}

fn text_in(bytes: &[u8]) -> &str {
    let mut fields = Fields(bytes);
    while let Ok(Some(field)) = fields.next() {
        if let Field { number: 8, wire: Wire::Bytes(said) } = field {
            return text(said).unwrap_or_default();
        }
    }
    ""
}

fn number_in(bytes: &[u8]) -> Option<f64> {
    let mut fields = Fields(bytes);
    while let Ok(Some(Field { number, wire })) = fields.next() {
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_wrap, reason = "an end of a range")]
        match (number, wire) {
            // A 32-bit number has its sign, in 32 or in 64 bits.
            (3, Wire::Number(number)) => return i32::try_from(number as i64).ok().map(f64::from),
            (4, Wire::Number(number)) => return Some(number as i64 as f64),
            (5, Wire::Four(bits)) => return Some(f32::from_bits(bits).into()),
            (6, Wire::Eight(bits)) => return Some(f64::from_bits(bits)),
            (7, Wire::Number(on)) => return Some(if on == 0 { 0.0 } else { 1.0 }),
            _ => {}
        }
    }
    None
}

/// A payload.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Payload<'a> {
    pub timestamp: Option<u64>,
    pub seq: Option<u64>,
    pub metrics: Vec<Metric<'a>>,
}

impl<'a> Payload<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Payload<'a>, Broken> {
        let (mut fields, mut payload) = (Fields(bytes), Payload::default());
        while let Some(Field { number, wire }) = fields.next()? {
            match (number, wire) {
                (1, Wire::Number(time)) => payload.timestamp = Some(time),
                (2, Wire::Bytes(metric)) => payload.metrics.push(Metric::read(metric)?),
                (3, Wire::Number(seq)) => payload.seq = Some(seq),
                (1..=3, _) => return Err(Broken),
                _ => {}
            }
        }
        Ok(payload)
    }
}

/// The metrics of a template.
pub(super) fn members(template: &[u8]) -> Result<Vec<Metric<'_>>, Broken> {
    let (mut fields, mut members) = (Fields(template), Vec::new());
    while let Some(Field { number, wire }) = fields.next()? {
        if let (2, Wire::Bytes(metric)) = (number, wire) {
            members.push(Metric::read(metric)?);
        }
    }
    Ok(members)
}

/// Writes a payload of one metric without `seq`, as a host sends commands.
pub(super) fn command(metric: &Metric<'_>, now: u64) -> Vec<u8> {
    let mut out = Vec::new();
    number(&mut out, 1, now);
    bytes(&mut out, 2, &metric_bytes(metric, now));
    out
}

fn metric_bytes(metric: &Metric<'_>, now: u64) -> Vec<u8> {
    let mut out = Vec::new();
    // By its alias alone, where it has one.
    match (metric.alias, metric.name) {
        (Some(alias), _) => number(&mut out, 2, alias),
        (None, Some(name)) => bytes(&mut out, 1, name.as_bytes()),
        (None, None) => {}
    }
    number(&mut out, 3, metric.timestamp.unwrap_or(now));
    if let Some(datatype) = metric.datatype {
        number(&mut out, 4, datatype.into());
    }
    if let Some(value) = metric.content {
        content(&mut out, value);
    }
    out
}

/// Writes the content of a metric.
pub(super) fn content(out: &mut Vec<u8>, content: Content<'_>) {
    match content {
        Content::Int(value) => number(out, 10, value.into()),
        Content::Long(value) => number(out, 11, value),
        Content::Float(value) => {
            varint(out, 12 << 3 | 5);
            out.extend_from_slice(&value.to_le_bytes());
        }
        Content::Double(value) => eight(out, 13, value.to_bits()),
        Content::Boolean(on) => number(out, 14, on.into()),
        Content::Text(text) => bytes(out, 15, text.as_bytes()),
        Content::Bytes(value) => bytes(out, 16, value),
        Content::Template(_) | Content::Other => {}
    }
}

/// A field of eight bytes.
pub(super) fn eight(out: &mut Vec<u8>, field: u64, bits: u64) {
    varint(out, field << 3 | 1);
    out.extend_from_slice(&bits.to_le_bytes());
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        out.push(u8::try_from(number & 0x7f).expect("seven bits") | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).expect("seven bits"));
}

pub(super) fn number(out: &mut Vec<u8>, field: u64, number: u64) {
    varint(out, field << 3);
    varint(out, number);
}

pub(super) fn bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn content() -> impl Strategy<Value = Content<'static>> {
        prop_oneof![
            any::<u32>().prop_map(Content::Int),
            any::<u64>().prop_map(Content::Long),
            (-1e30f32..1e30).prop_map(Content::Float),
            (-1e300f64..1e300).prop_map(Content::Double),
            any::<bool>().prop_map(Content::Boolean),
            Just(Content::Text("äb")),
            Just(Content::Bytes(&[1, 0, 255])),
        ]
    }

    proptest! {
        #[test]
        fn a_command_is_read_as_it_was_written(
            content in content(), alias in proptest::option::of(any::<u64>()), datatype in 1u32..35, now in any::<u64>(),
        ) {
            let name = if alias.is_none() { Some("A/b") } else { None };
            let metric = Metric { name, alias, datatype: Some(datatype), content: Some(content), ..Metric::default() };
            let sent = command(&metric, now);
            let payload = Payload::read(&sent).expect("a payload");
            prop_assert_eq!((payload.timestamp, payload.seq), (Some(now), None));
            prop_assert_eq!(payload.metrics, [Metric { timestamp: Some(now), ..metric }]);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(payload) = Payload::read(&bytes) {
                prop_assert!(payload.metrics.len() <= bytes.len());
            }
        }
    }

    #[test]
    fn quality_is_found_among_other_properties() {
        let mut set = Vec::new();
        for name in ["engUnit", "Quality"] {
            bytes(&mut set, 1, name.as_bytes());
        }
        let mut unit = Vec::new();
        number(&mut unit, 1, 12);
        bytes(&mut unit, 8, b"bar");
        let mut flag = Vec::new();
        number(&mut flag, 1, 3);
        number(&mut flag, 3, 500);
        bytes(&mut set, 2, &unit);
        assert_eq!(quality(&set), Err(Broken), "a name without a value");
        bytes(&mut set, 2, &flag);
        assert_eq!(quality(&set), Ok(Some(500)));
        assert_eq!(quality(&[]), Ok(None));
        let all = Properties::read(&set);
        assert_eq!((all.unit, all.low), ("bar", None));
    }
}
