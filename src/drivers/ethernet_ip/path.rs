//! Paths of CIP: how a request names a tag, a member, an element or an object (Volume 1, appendix C). Pure.

/// One step on the way to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Name(String),
    /// One to three indices.
    Element(Vec<u32>),
}

/// Longest path: its length is one byte, in words.
const LONGEST: usize = 255 * 2;

/// The Message Router.
pub(crate) const ROUTER: &[u8] = &[0x20, 2, 0x24, 1];
/// The Connection Manager.
pub(crate) const MANAGER: &[u8] = &[0x20, 6, 0x24, 1];

const SYMBOL: u8 = 0x91;
const ELEMENT: u8 = 0x28;
const CLASS: u8 = 0x20;
const INSTANCE: u8 = 0x24;

/// The path of a tag, without its length; `None` when it is longer than a request can say.
pub(crate) fn of(parts: &[Part]) -> Option<Vec<u8>> {
    let mut path = Vec::with_capacity(64);
    for part in parts {
        match part {
            Part::Name(name) => symbol(&mut path, name)?,
            Part::Element(indices) => indices.iter().for_each(|index| number(&mut path, ELEMENT, *index)),
        }
    }
    (path.len() <= LONGEST).then_some(path)
}

/// The path of an instance of a class.
pub(crate) fn instance(path: &mut Vec<u8>, class: u8, instance: u32) {
    path.extend([CLASS, class]);
    number(path, INSTANCE, instance);
}

pub(crate) fn element(path: &mut Vec<u8>, index: u32) {
    number(path, ELEMENT, index);
}

/// Adds a name; `None` for one that is too long.
pub(crate) fn symbol(path: &mut Vec<u8>, name: &str) -> Option<()> {
    path.extend([SYMBOL, u8::try_from(name.len()).ok()?]);
    path.extend(name.as_bytes());
    if !name.len().is_multiple_of(2) {
        path.push(0);
    }
    Some(())
}

/// A number in the fewest bytes: those of 16 and 32 bits begin at an even place.
fn number(path: &mut Vec<u8>, kind: u8, number: u32) {
    if let Ok(byte) = u8::try_from(number) {
        path.extend([kind, byte]);
    } else if let Ok(word) = u16::try_from(number) {
        path.extend([kind + 1, 0]);
        path.extend(word.to_le_bytes());
    } else {
        path.extend([kind + 2, 0]);
        path.extend(number.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_names_and_numbers_as_the_specification_writes_them() {
        let name = |text: &str| Part::Name(text.to_owned());
        let element = |indices: &[u32]| Part::Element(indices.to_vec());
        for (parts, wanted) in [
            (vec![name("Ab")], &b"\x91\x02Ab"[..]),
            (vec![name("Abc")], b"\x91\x03Abc\0"),
            (vec![name("A"), element(&[5])], b"\x91\x01A\0\x28\x05"),
            (vec![name("A"), element(&[256]), name("B")], b"\x91\x01A\0\x29\0\0\x01\x91\x01B\0"),
            (vec![name("A"), element(&[1, 65_536])], b"\x91\x01A\0\x28\x01\x2a\0\0\0\x01\0"),
            (vec![name("Program:M"), name("A")], b"\x91\x09Program:M\0\x91\x01A\0"),
        ] {
            assert_eq!(of(&parts).as_deref(), Some(wanted), "{parts:?}");
        }
        let mut path = Vec::new();
        instance(&mut path, 0x6b, 0x1234);
        assert_eq!(path, [0x20, 0x6b, 0x25, 0, 0x34, 0x12]);
    }
}
