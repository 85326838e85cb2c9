//! A Logix PLC inside the test, which can lie: its tags, the structures that they are of, and what it says to each service.
//!
//! `logix_wire` has its sockets and its faults.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// General and extended status of a reply.
pub type Code = (u8, u16);

const DONE: Code = (0, 0);
const NO_TAG: Code = (5, 0);
const NO_ELEMENT: Code = (0xff, 0x2105);
const WRONG_TYPE: Code = (0xff, 0x2107);

/// Type of a value in the PLC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    Atom(u16),
    /// A structure by its place in `structures`.
    Structure(usize),
}

pub const BOOL: Of = Of::Atom(0xc1);
pub const SINT: Of = Of::Atom(0xc2);
pub const INT: Of = Of::Atom(0xc3);
pub const DINT: Of = Of::Atom(0xc4);
pub const LINT: Of = Of::Atom(0xc5);
pub const REAL: Of = Of::Atom(0xca);
pub const LREAL: Of = Of::Atom(0xcb);
pub const DWORD: Of = Of::Atom(0xd3);

#[derive(Debug, Clone)]
pub struct Member {
    pub name: &'static str,
    pub of: Of,
    /// 0 for a single value.
    pub elements: u32,
    pub offset: u32,
}

#[derive(Debug, Clone)]
pub struct Structure {
    pub name: &'static str,
    pub handle: u16,
    pub size: usize,
    pub members: Vec<Member>,
}

#[derive(Debug, Clone)]
pub struct Tag {
    pub of: Of,
    pub dimensions: Vec<u32>,
    pub data: Vec<u8>,
}

/// STRING of Logix, a string type of 20 letters, and a motor.
pub const STRING: Of = Of::Structure(0);
pub const STRING_20: Of = Of::Structure(1);
pub const MOTOR: Of = Of::Structure(2);
/// A structure whose two members look like those of a text.
pub const PAIR: Of = Of::Structure(3);

pub struct Logix {
    pub tags: Mutex<BTreeMap<String, Tag>>,
    pub structures: Vec<Structure>,
    /// Answers of the tags with these names.
    pub codes: Mutex<HashMap<String, Code>>,
    /// Longest message of an open connection of CIP that it grants; 0 for none.
    pub largest: Mutex<u16>,
    /// The answer to every batch as a whole.
    pub batch_code: Mutex<Option<Code>>,
    /// Services that it lacks.
    pub lacks: Mutex<Vec<u8>>,
    /// The CPU is not in this slot.
    pub has_no_cpu: AtomicBool,
    pub mute: AtomicBool,
    /// It never answers when a connection of CIP is opened.
    pub ignores_open: AtomicBool,
    pub requests: AtomicU64,
    pub connections: AtomicU64,
    /// The services that came, with their paths, the last ones.
    pub asked: Mutex<Vec<Vec<u8>>>,
    counter: AtomicI32,
}

/// The value that the tag `N` of the numbered ones has.
pub fn mark(at: u32) -> i32 {
    (at ^ 0x5a5a).wrapping_mul(0x9e37_79b1).cast_signed()
}

fn words(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn double(bytes: &[u8], at: usize) -> u32 {
    u32::from(words(bytes, at)) | u32::from(words(bytes, at + 2)) << 16
}

/// A place in a tag's bytes, and the elements from it to the end of the array.
struct Spot {
    tag: String,
    of: Of,
    offset: usize,
    elements: u32,
}

impl Logix {
    /// A PLC with tags `T0`.. that have marks, and one that counts its reads, `Count`.
    pub fn new(numbered: u32) -> Arc<Logix> {
        let member = |name, of, elements, offset| Member { name, of, elements, offset };
        let structures = vec![
            Structure {
                name: "STRING",
                handle: 0x0fce,
                size: 88,
                members: vec![member("LEN", DINT, 0, 0), member("DATA", SINT, 82, 4)],
            },
            Structure {
                name: "STRING_20",
                handle: 0x1234,
                size: 28,
                members: vec![member("LEN", DINT, 0, 0), member("DATA", SINT, 21, 4)],
            },
            Structure {
                name: "Motor",
                handle: 0x4711,
                size: 48,
                members: vec![
                    member("Speed", REAL, 0, 0),
                    member("Starts", DINT, 0, 4),
                    member("Flags", DWORD, 2, 8),
                    member("Name", STRING_20, 0, 16),
                    member("ZZZZZZZZZZMotor0", SINT, 0, 44),
                ],
            },
            Structure {
                name: "Pair",
                handle: 0x2222,
                size: 8,
                members: vec![member("Low", DINT, 0, 0), member("High", DINT, 0, 4)],
            },
        ];
        let mut tags = BTreeMap::new();
        for at in 0..numbered {
            let data = mark(at).to_le_bytes().to_vec();
            tags.insert(format!("T{at}"), Tag { of: DINT, dimensions: Vec::new(), data });
        }
        tags.insert("Count".to_owned(), Tag { of: DINT, dimensions: Vec::new(), data: vec![0; 4] });
        Arc::new(Logix {
            tags: Mutex::new(tags),
            structures,
            codes: Mutex::default(),
            largest: Mutex::new(4_000),
            batch_code: Mutex::default(),
            lacks: Mutex::default(),
            has_no_cpu: AtomicBool::new(false),
            mute: AtomicBool::new(false),
            ignores_open: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            asked: Mutex::default(),
            counter: AtomicI32::new(0),
        })
    }

    pub fn size(&self, of: Of) -> usize {
        match of {
            Of::Atom(0xc1 | 0xc2 | 0xc6) => 1,
            Of::Atom(0xc3 | 0xc7 | 0xd2) => 2,
            Of::Atom(0xc5 | 0xc9 | 0xcb) => 8,
            Of::Atom(_) => 4,
            Of::Structure(at) => self.structures[at].size,
        }
    }

    /// Adds a tag, or replaces it; the rest of its bytes are zero.
    pub fn set(&self, name: &str, of: Of, dimensions: &[u32], bytes: &[u8]) {
        let count: u32 = dimensions.iter().product();
        let mut data = bytes.to_vec();
        data.resize(self.size(of) * count as usize, 0);
        let tag = Tag { of, dimensions: dimensions.to_vec(), data };
        self.tags.lock().expect("lock").insert(name.to_owned(), tag);
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        self.tags.lock().expect("lock")[name].data.clone()
    }

    pub fn take_asked(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut *self.asked.lock().expect("lock"))
    }

    /// The reply to a service: at most `most` bytes.
    pub(crate) fn answer(&self, request: &[u8], most: usize) -> Vec<u8> {
        let (service, length) = (request[0], usize::from(request[1]) * 2);
        let (path, data) = (&request[2..2 + length], &request[2 + length..]);
        let reply = |code: Code, data: &[u8]| {
            let extended = if code.1 == 0 { Vec::new() } else { code.1.to_le_bytes().to_vec() };
            let count = u8::try_from(extended.len() / 2).expect("one");
            [&[service | 0x80, 0, code.0, count][..], &extended, data].concat()
        };
        if self.lacks.lock().expect("lock").contains(&service) {
            return reply((8, 0), &[]);
        }
        if service == 0x0a {
            return match *self.batch_code.lock().expect("lock") {
                Some(code) => reply(code, &[]),
                None => self.batch(data, most),
            };
        }
        let head = 8;
        match (service, path) {
            (0x55, _) => {
                let (code, data) = self.list(path, most - head);
                reply(code, &data)
            }
            (0x03, [0x20, 0x6c, ..]) => reply(DONE, &self.size_of_template(path)),
            (0x4c, [0x20, 0x6c, ..]) => {
                let whole = self.template(path);
                let from = double(data, 0) as usize;
                let wanted = whole.get(from..(from + usize::from(words(data, 4))).min(whole.len())).unwrap_or(&[]);
                reply(DONE, wanted)
            }
            (0x4c, _) => {
                let (code, data) = self.read(path, words(data, 0).into(), 0, most - head);
                reply(code, &data)
            }
            (0x52, _) => {
                let (code, data) = self.read(path, words(data, 0).into(), double(data, 2) as usize, most - head);
                reply(code, &data)
            }
            (0x4d | 0x53, _) => reply(self.write(path, data, service == 0x53), &[]),
            (0x4e, _) => reply(self.change(path, data), &[]),
            _ => reply((8, 0), &[]),
        }
    }

    fn batch(&self, data: &[u8], most: usize) -> Vec<u8> {
        let count = usize::from(words(data, 0));
        let offset = |at: usize| if at < count { usize::from(words(data, 2 + at * 2)) } else { data.len() };
        let mut replies: Vec<Vec<u8>> = Vec::new();
        let mut left = most - 6 - count * 6;
        for at in 0..count {
            replies.push(self.answer(&data[offset(at)..offset(at + 1)], left + 8));
            left = left.saturating_sub(replies[at].len().saturating_sub(4));
        }
        let failed = replies.iter().any(|reply| reply[2] != 0);
        let mut out = vec![0x8a, 0, if failed { 0x1e } else { 0 }, 0];
        out.extend(u16::try_from(count).expect("few").to_le_bytes());
        let mut at = 2 + count * 2;
        for reply in &replies {
            out.extend(u16::try_from(at).expect("short").to_le_bytes());
            at += reply.len();
        }
        out.extend(replies.concat());
        out
    }

    fn read(&self, path: &[u8], count: u32, from: usize, room: usize) -> (Code, Vec<u8>) {
        let spot = match self.find(path) {
            Ok(spot) => spot,
            Err(code) => return (code, Vec::new()),
        };
        if count == 0 || count > spot.elements {
            return (NO_ELEMENT, Vec::new());
        }
        let mut tags = self.tags.lock().expect("lock");
        let tag = tags.get_mut(&spot.tag).expect("it was found");
        if spot.tag == "Count" {
            let next = self.counter.fetch_add(1, Ordering::Relaxed) + 1;
            tag.data.copy_from_slice(&next.to_le_bytes());
        }
        let size = self.size(spot.of) * count as usize;
        let Some(wanted) = tag.data.get(spot.offset + from..spot.offset + size) else {
            return ((0xff, 0x2104), Vec::new());
        };
        let head = self.head(spot.of);
        if head.len() + wanted.len() <= room {
            return (DONE, [&head[..], wanted].concat());
        }
        // Parts end at places that four divides.
        match room.saturating_sub(head.len()) / 4 * 4 {
            0 => ((0x11, 0), Vec::new()),
            fits => ((6, 0), [&head[..], &wanted[..fits]].concat()),
        }
    }

    fn head(&self, of: Of) -> Vec<u8> {
        match of {
            Of::Atom(of) => of.to_le_bytes().to_vec(),
            Of::Structure(at) => [&[0xa0, 2][..], &self.structures[at].handle.to_le_bytes()].concat(),
        }
    }

    fn write(&self, path: &[u8], data: &[u8], is_part: bool) -> Code {
        let spot = match self.find(path) {
            Ok(spot) => spot,
            Err(code) => return code,
        };
        let head = self.head(spot.of);
        if !data.starts_with(&head) {
            return WRONG_TYPE;
        }
        let count = u32::from(words(data, head.len()));
        let rest = &data[head.len() + 2..];
        let (from, rest) = if is_part { (double(rest, 0) as usize, &rest[4..]) } else { (0, rest) };
        if count == 0 || count > spot.elements {
            return NO_ELEMENT;
        }
        let size = self.size(spot.of) * count as usize;
        if from + rest.len() > size || (!is_part && rest.len() != size) {
            return (0x13, 0);
        }
        let mut tags = self.tags.lock().expect("lock");
        let tag = tags.get_mut(&spot.tag).expect("it was found");
        tag.data[spot.offset + from..spot.offset + from + rest.len()].copy_from_slice(rest);
        DONE
    }

    /// Read-modify-write of bits.
    fn change(&self, path: &[u8], data: &[u8]) -> Code {
        let spot = match self.find(path) {
            Ok(spot) => spot,
            Err(code) => return code,
        };
        let size = usize::from(words(data, 0));
        if size != self.size(spot.of) {
            return (3, 0);
        }
        let (set, keep) = data[2..].split_at(size);
        let mut tags = self.tags.lock().expect("lock");
        let tag = tags.get_mut(&spot.tag).expect("it was found");
        for at in 0..size {
            let byte = &mut tag.data[spot.offset + at];
            *byte = (*byte | set[at]) & keep[at];
        }
        DONE
    }

    fn find(&self, path: &[u8]) -> Result<Spot, Code> {
        let mut segments = segments(path);
        segments.reverse();
        let mut name = match segments.pop() {
            Some(Segment::Name(name)) => name,
            _ => return Err((4, 0)),
        };
        if name.to_lowercase().starts_with("program:") {
            match segments.pop() {
                Some(Segment::Name(tag)) => name = format!("{name}.{tag}"),
                _ => return Err((4, 0)),
            }
        }
        let codes = self.codes.lock().expect("lock");
        if let Some(code) = codes.iter().find(|(of, _)| of.eq_ignore_ascii_case(&name)).map(|(_, code)| *code) {
            return Err(code);
        }
        let tags = self.tags.lock().expect("lock");
        let (tag, of) = tags.iter().find(|(of, _)| of.eq_ignore_ascii_case(&name)).ok_or(NO_TAG)?;
        let mut spot = Spot { tag: tag.clone(), of: of.of, offset: 0, elements: of.dimensions.iter().product() };
        let mut dimensions = of.dimensions.clone();
        while let Some(segment) = segments.pop() {
            match segment {
                Segment::Element(first) => {
                    let mut indices = vec![first];
                    while let Some(Segment::Element(next)) = segments.last() {
                        indices.push(*next);
                        segments.pop();
                    }
                    if indices.len() != dimensions.len() || indices.iter().zip(&dimensions).any(|(at, of)| at >= of) {
                        return Err(NO_ELEMENT);
                    }
                    let place = indices.iter().zip(&dimensions).fold(0, |all, (at, of)| all * of + at);
                    spot.offset += place as usize * self.size(spot.of);
                    spot.elements -= place;
                    dimensions.clear();
                }
                Segment::Name(name) => {
                    let Of::Structure(at) = spot.of else { return Err(NO_TAG) };
                    let members = &self.structures[at].members;
                    let member = members.iter().find(|one| one.name.eq_ignore_ascii_case(&name)).ok_or(NO_TAG)?;
                    spot.of = member.of;
                    spot.offset += member.offset as usize;
                    spot.elements = member.elements.max(1);
                    dimensions = (member.elements > 0).then_some(member.elements).into_iter().collect();
                }
            }
        }
        Ok(spot)
    }

    /// The tags of the controller or of a program, from an instance on.
    fn list(&self, path: &[u8], room: usize) -> (Code, Vec<u8>) {
        let (program, class) = match path {
            [0x91, length, ..] => {
                let length = usize::from(*length);
                let name = String::from_utf8_lossy(&path[2..2 + length]).into_owned();
                (Some(name), &path[2 + length.next_multiple_of(2)..])
            }
            path => (None, path),
        };
        let from = if class[2] == 0x25 { u32::from(words(class, 4)) } else { u32::from(class[3]) };
        let tags = self.tags.lock().expect("lock");
        let mut names: Vec<(String, u16, Vec<u32>)> = Vec::new();
        for (name, tag) in tags.iter() {
            let (scope, short) = match name.split_once('.') {
                Some((scope, short)) => (Some(scope), short),
                None => (None, &name[..]),
            };
            let is_here = scope.map(str::to_lowercase) == program.as_ref().map(|program| program.to_lowercase());
            if is_here {
                let dimensions = if tag.dimensions == [1] { Vec::new() } else { tag.dimensions.clone() };
                names.push((short.to_owned(), self.symbol_type(tag.of, dimensions.len()), dimensions));
            } else if program.is_none() && !names.iter().any(|(known, ..)| Some(&known[..]) == scope) {
                names.push((scope.unwrap_or_default().to_owned(), 0x1068, Vec::new()));
            }
        }
        let mut out = Vec::new();
        for (at, (name, of, dimensions)) in (10..).step_by(3).zip(&names).filter(|(at, _)| *at >= from) {
            if out.len() + 20 + name.len() > room {
                return ((6, 0), out);
            }
            out.extend(u32::to_le_bytes(at));
            out.extend(u16::try_from(name.len()).expect("short").to_le_bytes());
            out.extend(name.as_bytes());
            out.extend(of.to_le_bytes());
            (0..3).for_each(|at| out.extend(dimensions.get(at).copied().unwrap_or(0).to_le_bytes()));
        }
        (DONE, out)
    }

    fn symbol_type(&self, of: Of, dimensions: usize) -> u16 {
        let dimensions = u16::try_from(dimensions).expect("at most 3") << 13;
        match of {
            Of::Atom(of) => of | dimensions,
            Of::Structure(at) => 0x8000 | dimensions | (0x100 + u16::try_from(at).expect("few")),
        }
    }

    fn structure(&self, path: &[u8]) -> &Structure {
        &self.structures[usize::from(words(path, 4)) - 0x100]
    }

    fn size_of_template(&self, path: &[u8]) -> Vec<u8> {
        let members = u16::try_from(self.structure(path).members.len()).expect("few").to_le_bytes();
        let words = (self.template(path).len() + 23).div_ceil(4);
        let size = u32::try_from(words).expect("short").to_le_bytes();
        [&[2, 0, 4, 0, 0, 0][..], &size, &[2, 0, 0, 0], &members].concat()
    }

    fn template(&self, path: &[u8]) -> Vec<u8> {
        let of = self.structure(path);
        let mut out = Vec::new();
        for member in &of.members {
            out.extend(u16::try_from(member.elements).expect("few").to_le_bytes());
            out.extend(self.symbol_type(member.of, usize::from(member.elements > 0)).to_le_bytes());
            out.extend(member.offset.to_le_bytes());
        }
        out.extend(of.name.as_bytes());
        out.extend(b";nEBEC\0");
        of.members.iter().for_each(|member| out.extend([member.name.as_bytes(), &[0]].concat()));
        out.resize((out.len() + 23).next_multiple_of(4) - 23, 0);
        out
    }
}

enum Segment {
    Name(String),
    Element(u32),
}

fn segments(path: &[u8]) -> Vec<Segment> {
    let mut all = Vec::new();
    let mut at = 0;
    while at < path.len() {
        match path[at] {
            0x91 => {
                let length = usize::from(path[at + 1]);
                all.push(Segment::Name(String::from_utf8_lossy(&path[at + 2..at + 2 + length]).into_owned()));
                at += 2 + length.next_multiple_of(2);
            }
            0x28 => {
                all.push(Segment::Element(path[at + 1].into()));
                at += 2;
            }
            0x29 => {
                all.push(Segment::Element(words(path, at + 2).into()));
                at += 4;
            }
            _ => {
                all.push(Segment::Element(double(path, at + 2)));
                at += 6;
            }
        }
    }
    all
}
