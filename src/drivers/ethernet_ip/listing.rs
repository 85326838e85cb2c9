//! Lists of tags and definitions of structures as a PLC gives them. Pure.

use super::cip;
use super::frame::{double, word};
use super::path;
use super::plc_type::PlcType;

/// Classes of Logix: tags, and definitions of structures.
const SYMBOLS: u8 = 0x6b;
const TEMPLATES: u8 = 0x6c;

const IS_STRUCTURE: u16 = 0x8000;
const IS_OF_SYSTEM: u16 = 0x1000;
const NUMBER: u16 = 0x0fff;

/// A tag of the PLC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Symbol {
    pub instance: u32,
    pub name: String,
    pub kind: Kind,
    /// Elements in each dimension; empty for a single value.
    pub dimensions: Vec<u32>,
    pub is_of_system: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain(PlcType),
    /// A structure by the number of its definition.
    Structure(u16),
}

/// A member of a structure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub name: String,
    pub kind: Kind,
    /// Elements; `None` for a single value.
    pub elements: Option<u32>,
}

/// Length of a definition, and how many members it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub bytes: usize,
    pub members: usize,
}

/// Asks for tags from an instance on: name, type, dimensions.
pub(crate) fn ask_symbols(out: &mut Vec<u8>, program: Option<&str>, from: u32) {
    let mut way = Vec::new();
    if let Some(program) = program {
        // A name that is too long cannot come out of a listing.
        path::symbol(&mut way, program).unwrap_or_default();
    }
    path::instance(&mut way, SYMBOLS, from);
    cip::begin(out, cip::LIST, &way);
    out.extend([3, 0, 1, 0, 2, 0, 8, 0]);
}

/// Asks for the size of a definition.
pub(crate) fn ask_size(out: &mut Vec<u8>, template: u16) {
    let mut way = Vec::new();
    path::instance(&mut way, TEMPLATES, template.into());
    cip::begin(out, cip::ATTRIBUTES, &way);
    out.extend([2, 0, 4, 0, 2, 0]);
}

/// Asks for a part of a definition.
pub(crate) fn ask_members(out: &mut Vec<u8>, template: u16, offset: u32, bytes: u16) {
    let mut way = Vec::new();
    path::instance(&mut way, TEMPLATES, template.into());
    cip::begin(out, cip::READ, &way);
    out.extend(offset.to_le_bytes());
    out.extend(bytes.to_le_bytes());
}

fn kind(of: u16) -> Kind {
    if of & IS_STRUCTURE != 0 { Kind::Structure(of & NUMBER) } else { Kind::Plain(PlcType::of(of & NUMBER)) }
}

fn dimensions(of: u16) -> usize {
    usize::from(of >> 13 & 3)
}

/// The tags in a reply; `None` when they are cut off.
pub(crate) fn symbols(data: &[u8]) -> Option<Vec<Symbol>> {
    let mut all = Vec::new();
    let mut rest = data;
    while !rest.is_empty() {
        let (instance, length) = (double(rest, 0)?, usize::from(word(rest, 4)?));
        let name = String::from_utf8_lossy(rest.get(6..6 + length)?).into_owned();
        rest = &rest[6 + length..];
        let of = word(rest, 0)?;
        let sizes = [double(rest, 2)?, double(rest, 6)?, double(rest, 10)?];
        let dimensions = sizes[..dimensions(of)].to_vec();
        all.push(Symbol { instance, name, kind: kind(of), dimensions, is_of_system: of & IS_OF_SYSTEM != 0 });
        rest = &rest[14..];
    }
    Some(all)
}

/// The size of a definition in a reply.
pub(crate) fn size(data: &[u8]) -> Option<Size> {
    // Each attribute has its number, its status and its value.
    let is_known = word(data, 0)? == 2 && word(data, 2)? == 4 && word(data, 4)? == 0;
    let words = double(data, 6)? as usize;
    let is_whole = is_known && word(data, 10)? == 2 && word(data, 12)? == 0;
    let members = usize::from(word(data, 14)?);
    // The manufacturer's formula: what comes is 23 bytes shorter than the definition.
    let bytes = words.checked_mul(4)?.checked_sub(23)?.next_multiple_of(4);
    (is_whole && bytes < 1 << 20).then_some(Size { bytes, members })
}

/// The members in a definition, without those that no program sees; `None` when they are cut off.
pub(crate) fn members(data: &[u8], count: usize) -> Option<Vec<Member>> {
    let names = data.get(count.checked_mul(8)?..)?;
    let mut names = names.split(|byte| *byte == 0).map(|name| String::from_utf8_lossy(name).into_owned());
    // That of the structure comes first, with more after a semicolon.
    names.next()?;
    let mut all = Vec::new();
    for entry in data[..count * 8].chunks_exact(8) {
        let (size, of, name) = (word(entry, 0)?, word(entry, 2)?, names.next()?);
        let is_hidden = name.is_empty() || name.starts_with("ZZZZZZZZZZ") || name.starts_with("__");
        if !is_hidden {
            let elements = (dimensions(of) > 0).then_some(size.into());
            all.push(Member { name, kind: kind(of), elements });
        }
    }
    Some(all)
}

/// Whether these are the members of a text.
pub(crate) fn is_text(members: &[Member]) -> bool {
    let [length, data] = members else { return false };
    let is_named = length.name.eq_ignore_ascii_case("LEN") && data.name.eq_ignore_ascii_case("DATA");
    let letters = matches!(data.kind, Kind::Plain(of) if of.size() == Some(1));
    is_named && letters && data.elements.is_some() && length.kind == Kind::Plain(PlcType::of(0xc4))
}

/// For fuzzing.
pub(super) fn fuzz(data: &[u8]) {
    if let Some(symbols) = symbols(data) {
        assert!(symbols.len() <= data.len() / 20 + 1, "no tag without bytes");
    }
    size(data);
    for count in [0, 1, 5] {
        if let Some(members) = members(data, count) {
            assert!(members.len() <= count);
            is_text(&members);
        }
    }
}
