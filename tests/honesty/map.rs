//! Random register maps, as a cell file and as what the reckoning knows of them.

use std::fmt::Write;

use fastrand::Rng;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Raw {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F32,
    F64,
    B16,
    B32,
    Text,
    Bytes,
}

impl Raw {
    pub(super) const NUMBERS: [(Raw, &'static str, u32); 12] = [
        (Raw::I8, "int8", 8),
        (Raw::U8, "uint8", 8),
        (Raw::I16, "int16", 16),
        (Raw::U16, "uint16", 16),
        (Raw::I32, "int32", 32),
        (Raw::U32, "uint32", 32),
        (Raw::I64, "int64", 64),
        (Raw::U64, "uint64", 64),
        (Raw::F32, "float32", 32),
        (Raw::F64, "float64", 64),
        (Raw::B16, "bcd16", 16),
        (Raw::B32, "bcd32", 32),
    ];

    pub(super) fn bits(self) -> u32 {
        Raw::NUMBERS.iter().find(|(raw, ..)| *raw == self).map_or(0, |(.., bits)| *bits)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Raw::Text => "text",
            Raw::Bytes => "bytes",
            raw => Raw::NUMBERS.iter().find(|(known, ..)| *known == raw).expect("a number").1,
        }
    }

    pub(super) fn is_float(self) -> bool {
        matches!(self, Raw::F32 | Raw::F64)
    }
}

/// Types of tags, with the raw type that they have without `raw_type`.
const TYPES: [(&str, Raw); 10] = [
    ("SByte", Raw::I8),
    ("Byte", Raw::U8),
    ("Int16", Raw::I16),
    ("UInt16", Raw::U16),
    ("Int32", Raw::I32),
    ("UInt32", Raw::U32),
    ("Int64", Raw::I64),
    ("UInt64", Raw::U64),
    ("Float", Raw::F32),
    ("Double", Raw::F64),
];

/// Enumerations: name, values, and the one raw type that they follow.
pub(super) const ENUMS: [(&str, &[i32], Raw); 5] = [
    ("Small", &[0, 1, 7], Raw::U16),
    ("Signed", &[-5, 0, 32_767], Raw::I16),
    ("Word", &[0, 65_535], Raw::U16),
    ("Long", &[0, 70_000], Raw::U32),
    ("Deep", &[-40_000, 3], Raw::I32),
];

/// `factor` as written, and as a fraction.
const FACTORS: [(&str, i128, i128); 9] = [
    ("0.1", 1, 10),
    ("0.01", 1, 100),
    ("0.25", 1, 4),
    ("1.5", 3, 2),
    ("1", 1, 1),
    ("10", 10, 1),
    ("-3", -3, 1),
    ("1000", 1_000, 1),
    ("-0.5", -1, 2),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scaling {
    pub factor: (&'static str, i128, i128),
    pub offset: i128,
    /// Register of the power of ten.
    pub exponent: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charset {
    Guess,
    Utf8,
    Latin1,
    Utf16,
}

#[derive(Debug, Clone)]
pub(super) struct Tag {
    pub name: String,
    pub kind: &'static str,
    pub raw: Raw,
    /// Registers of the value as it lies: of all elements, or the words of a list, most significant first.
    pub places: Vec<u16>,
    pub is_list: bool,
    pub elements: Option<usize>,
    pub low_first: bool,
    pub swap: bool,
    pub bits: Option<(u8, u8)>,
    pub scale: Option<Scaling>,
    /// Bit patterns that mean "no value".
    pub invalid: Vec<u64>,
    pub nan: bool,
    pub values: Option<&'static [i32]>,
    pub charset: Charset,
    pub one_each: bool,
    pub length: usize,
    /// Its `source` as YAML, and what follows it.
    yaml: String,
}

#[derive(Debug)]
pub(super) struct Map {
    pub tags: Vec<Tag>,
    pub registers: u16,
    pub yaml: String,
}

impl Tag {
    /// Registers of one element.
    pub(super) fn width(&self) -> usize {
        self.places.len() / self.elements.unwrap_or(1)
    }
}

/// Makes the given number of tags; register 0 stays free for the test's own marker.
pub(super) fn random(dice: &mut Rng, count: usize, port: u16) -> Map {
    let (low_first, swap) = (dice.bool(), dice.u8(0..4) == 0);
    let mut map = Map { tags: Vec::new(), registers: 1, yaml: String::new() };
    for number in 0..count {
        let mut keys = String::new();
        let mut tag = blank(format!("T{number}"), low_first, swap);
        if dice.u8(0..4) == 0 {
            tag.low_first = dice.bool();
            let word = if tag.low_first { "low-first" } else { "high-first" };
            write!(keys, ", word_order: {word}").expect("text");
        }
        if dice.u8(0..4) == 0 {
            tag.swap = dice.bool();
            write!(keys, ", swap_bytes: {}", tag.swap).expect("text");
        }
        match dice.u8(0..10) {
            0 => text(dice, &mut tag, &mut keys),
            1 => bytes(dice, &mut tag, &mut keys),
            2 => enumeration(dice, &mut tag, &mut keys),
            3 => bits(dice, &mut tag, &mut keys),
            _ => numbers(dice, &mut tag, &mut keys),
        }
        place(dice, &mut map.registers, &mut tag, &mut keys);
        map.tags.push(tag);
    }
    map.yaml = yaml(&map, port, low_first, swap);
    map
}

fn blank(name: String, low_first: bool, swap: bool) -> Tag {
    Tag {
        name,
        kind: "",
        raw: Raw::U16,
        places: Vec::new(),
        is_list: false,
        elements: None,
        low_first,
        swap,
        bits: None,
        scale: None,
        invalid: Vec::new(),
        nan: false,
        values: None,
        charset: Charset::Guess,
        one_each: false,
        length: 0,
        yaml: String::new(),
    }
}

fn text(dice: &mut Rng, tag: &mut Tag, keys: &mut String) {
    (tag.kind, tag.raw, tag.length) = ("String", Raw::Text, dice.usize(1..10));
    let (charset, word) = [
        (Charset::Guess, ""),
        (Charset::Utf8, ", charset: utf-8"),
        (Charset::Latin1, ", charset: latin-1"),
        (Charset::Utf16, ", charset: utf-16"),
    ][dice.usize(0..4)];
    tag.charset = charset;
    keys.push_str(word);
    if charset == Charset::Utf16 {
        tag.length *= 2;
    } else if dice.u8(0..3) == 0 {
        tag.one_each = true;
        keys.push_str(", chars_per_register: 1");
    }
}

fn bytes(dice: &mut Rng, tag: &mut Tag, keys: &mut String) {
    (tag.kind, tag.raw, tag.length) = ("ByteString", Raw::Bytes, dice.usize(1..10));
    if dice.bool() {
        keys.push_str(", raw_type: bytes");
    }
}

fn enumeration(dice: &mut Rng, tag: &mut Tag, keys: &mut String) {
    let (name, values, raw) = ENUMS[dice.usize(0..ENUMS.len())];
    (tag.kind, tag.raw, tag.values) = (name, raw, Some(values));
    match dice.u8(0..3) {
        0 => said(tag, keys, Raw::NUMBERS[dice.usize(0..8)].0),
        1 => tag.elements = Some(dice.usize(1..4)),
        _ => {}
    }
}

fn said(tag: &mut Tag, keys: &mut String, raw: Raw) {
    tag.raw = raw;
    write!(keys, ", raw_type: {}", raw.name()).expect("text");
}

fn bits(dice: &mut Rng, tag: &mut Tag, keys: &mut String) {
    if dice.bool() {
        let raw = [Raw::U16, Raw::U32, Raw::U64, Raw::I32][dice.usize(0..4)];
        said(tag, keys, raw);
    }
    // Inside one register, so that it can be written.
    let register = dice.u8(0..u8::try_from(tag.raw.bits() / 16).expect("few"));
    let first = dice.u8(0..16);
    if dice.bool() || first == 15 {
        (tag.kind, tag.bits) = ("Boolean", Some((register * 16 + first, register * 16 + first)));
        return;
    }
    let last = dice.u8(first + 1..16);
    tag.bits = Some((register * 16 + first, register * 16 + last));
    match dice.bool() {
        true => tag.kind = TYPES[dice.usize(0..10)].0,
        false => (tag.kind, tag.values) = (ENUMS[0].0, Some(ENUMS[0].1)),
    }
}

fn numbers(dice: &mut Rng, tag: &mut Tag, keys: &mut String) {
    let (kind, default) = TYPES[dice.usize(0..TYPES.len())];
    (tag.kind, tag.raw) = (kind, default);
    let is_scaled = dice.bool();
    if is_scaled || dice.bool() {
        // Without a scale a float register makes no integer.
        let most = if is_scaled || default.is_float() { Raw::NUMBERS.len() } else { 8 };
        let raw = Raw::NUMBERS[dice.usize(0..most)].0;
        said(tag, keys, raw);
    } else if dice.u8(0..8) == 0 {
        tag.kind = "Boolean";
        said(tag, keys, Raw::U16);
    }
    if is_scaled {
        let factor = FACTORS[dice.usize(0..FACTORS.len())];
        let offset = if dice.bool() { 0 } else { i128::from(dice.i16(-300..300)) };
        tag.scale = Some(Scaling { factor, offset, exponent: None });
    }
    match dice.u8(0..6) {
        0 => tag.elements = Some(dice.usize(1..4)),
        1 if tag.raw.bits() > 16 && !keys.contains("word_order") => (tag.is_list, tag.low_first) = (true, false),
        2 if tag.raw.bits() > 16 => keys.push_str(", split: true"),
        _ => {}
    }
    if tag.raw.is_float() && dice.bool() {
        tag.nan = true;
        keys.push_str(", nan: true");
    }
    sentinels(dice, tag, keys);
}

fn sentinels(dice: &mut Rng, tag: &mut Tag, keys: &mut String) {
    let count = dice.usize(0..3);
    if count == 0 {
        return;
    }
    let mut words = Vec::new();
    for _ in 0..count {
        let (word, pattern) = sentinel(dice, tag.raw);
        words.push(word);
        tag.invalid.push(pattern);
    }
    write!(keys, ", invalid: [{}]", words.join(", ")).expect("text");
}

/// A raw value as a manual prints it, and its bits.
fn sentinel(dice: &mut Rng, raw: Raw) -> (String, u64) {
    let pattern = dice.u64(..) >> (64 - raw.bits());
    if dice.bool() {
        return (format!("0x{pattern:X}"), pattern);
    }
    match raw {
        Raw::F32 => [("-9999.9", (-9999.9_f32).to_bits()), ("3.4028235e38", 0x7F7F_FFFF), ("-1", (-1_f32).to_bits())]
            [dice.usize(0..3)]
        .into_word(),
        Raw::F64 => {
            [("-9999.9", (-9999.9_f64).to_bits()), ("1e300", 1e300_f64.to_bits())][dice.usize(0..2)].into_word()
        }
        Raw::B16 => ("9999".to_owned(), 0x9999),
        Raw::B32 => ("12345678".to_owned(), 0x1234_5678),
        Raw::I8 | Raw::I16 | Raw::I32 | Raw::I64 => {
            let shift = 64 - raw.bits();
            ((((pattern << shift).cast_signed()) >> shift).to_string(), pattern)
        }
        _ => (pattern.to_string(), pattern),
    }
}

trait IntoWord {
    fn into_word(self) -> (String, u64);
}

impl<T: Into<u64>> IntoWord for (&str, T) {
    fn into_word(self) -> (String, u64) {
        (self.0.to_owned(), self.1.into())
    }
}

/// Gives the tag registers of its own, and writes it down.
fn place(dice: &mut Rng, next: &mut u16, tag: &mut Tag, keys: &mut String) {
    let width = match tag.raw {
        Raw::Text if tag.one_each => tag.length,
        Raw::Text | Raw::Bytes => tag.length.div_ceil(2),
        raw => raw.bits().div_ceil(16) as usize,
    };
    let mut take = |dice: &mut Rng, count: usize| {
        // Now and then so far that it takes a request of its own.
        *next += if dice.u8(0..6) == 0 { dice.u16(100..200) } else { dice.u16(0..3) };
        let start = *next;
        *next += u16::try_from(count).expect("few");
        start
    };
    let address = if tag.is_list {
        tag.places = (0..width).map(|_| take(dice, 1)).collect();
        dice.shuffle(&mut tag.places);
        let words: Vec<String> = tag.places.iter().map(|place| format!("holding/{place}")).collect();
        format!("[{}]", words.join(", "))
    } else {
        let count = width * tag.elements.unwrap_or(1);
        let start = take(dice, count);
        tag.places = (start..).take(count).collect();
        match tag.bits {
            Some((first, last)) if first == last => format!("holding/{start}.{first}"),
            Some((first, last)) => format!("holding/{start}.{first}..{last}"),
            None => format!("holding/{start}"),
        }
    };
    let mut scale = String::new();
    if let Some(scaling) = &mut tag.scale {
        let (word, ..) = scaling.factor;
        write!(scale, ", scale: {{ factor: {word}, offset: {}", scaling.offset).expect("text");
        if dice.u8(0..4) == 0 {
            let at = take(dice, 1);
            scaling.exponent = Some(at);
            write!(scale, ", exponent: holding/{at}").expect("text");
        }
        scale.push_str(" }");
    }
    let array = tag.elements.map_or(String::new(), |count| format!(", array: {count}"));
    let length = if tag.length > 0 { format!(", length: {}", tag.length) } else { String::new() };
    tag.yaml = format!(
        "  {}: {{ type: {}{array}{length}, source: {{ address: {address}, write: true{keys} }}{scale} }}\n",
        tag.name, tag.kind
    );
}

fn yaml(map: &Map, port: u16, low_first: bool, swap: bool) -> String {
    let order = if low_first { "low-first" } else { "high-first" };
    let mut yaml = String::from("schema: 1\ncell: honest\ntypes:\n  enums:\n");
    for (name, values, _) in ENUMS {
        let values: Vec<String> = values.iter().map(|value| format!("{value}: V{value}")).collect();
        writeln!(yaml, "    {name}: {{ {} }}", values.join(", ")).expect("text");
    }
    write!(
        yaml,
        "connections:\n  plc: {{ driver: modbus-tcp, host: 127.0.0.1, port: {port}, allow_write: true, \
         word_order: {order}, swap_bytes: {swap}, timeout: 5s }}\n\
         defaults: {{ poll: 10ms, stale_after: 1min }}\nnodes:\n  \
         Marker: {{ type: UInt16, source: {{ address: holding/0, swap_bytes: false }} }}\n"
    )
    .expect("text");
    map.tags.iter().for_each(|tag| yaml.push_str(&tag.yaml));
    yaml
}
