//! Addresses: `Speed`, `Program:Main.Motors[3].Speed`, `Matrix[1,2]`, `Status.5`, as the PLC's editor shows them.
//!
//! Names are in any case: the PLC compares them so. A module's tag, as `Local:1:I.Data`, has colons in its first name.

use std::ops::Range;

use super::path::{self, Part};
use crate::drivers::reading::PointError;

/// A tag of a PLC, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub text: String,
    pub parts: Vec<Part>,
    /// Bit of an integer.
    pub bit: Option<u8>,
}

/// Fits every type: it replaces an address that was refused, while the rest of the point is checked.
pub(crate) const STAND_IN: &str = "Any";

/// The longest integers are LINTs.
pub(crate) const LAST_BIT: u8 = 63;
/// The last bit of a DINT.
pub(crate) const LAST_BIT_OF_DINT: u8 = 31;

const FORMS: &str = "write Speed, Program:Main.Speed, Motors[3].Speed, Matrix[1,2] or Status.5";

/// Letters of a name, in Logix.
const LONGEST_NAME: usize = 40;

impl Address {
    pub(crate) fn parse(text: &str) -> Result<Address, PointError> {
        Parser { text, at: 0 }.address()
    }

    /// The place of the bit's number in the text.
    pub(crate) fn bit_at(&self) -> Range<usize> {
        self.text.rfind('.').map_or(0, |dot| dot + 1)..self.text.len()
    }

    /// The indices at the end, which name an element of an array.
    pub(crate) fn last_element(&self) -> Option<&[u32]> {
        match self.parts.last() {
            Some(Part::Element(indices)) => Some(indices),
            _ => None,
        }
    }

    /// The way to the array of which the address names an element, or to the value itself.
    pub(crate) fn array_parts(&self) -> &[Part] {
        let more = usize::from(self.last_element().is_some());
        &self.parts[..self.parts.len() - more]
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn to_end(&self) -> Range<usize> {
        self.at.min(self.text.len())..self.text.len()
    }

    /// The letters of a name, and digits and underscores.
    fn word(&self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    }

    fn address(mut self) -> Result<Address, PointError> {
        self.refuse_other_spellings()?;
        let mut parts = Vec::new();
        let mut bit = None;
        if has_prefix(self.text, "program:") {
            self.at = "program:".len();
            let name = self.name()?;
            parts.push(Part::Name(self.text[..self.at].to_owned()));
            if self.rest().is_empty() || self.rest() == "." {
                let message = format!("a tag is missing after Program:{name}");
                return Err(PointError::new(0..self.text.len(), message, "write Program:Main.Speed"));
            }
            self.dot()?;
        }
        parts.push(Part::Name(self.first_name()?.to_owned()));
        while !self.rest().is_empty() {
            if bit.is_some() {
                return Err(PointError::new(self.to_end(), "a bit has no parts".to_owned(), "end with the bit"));
            }
            if self.rest().starts_with('[') {
                if matches!(parts.last(), Some(Part::Element(_))) {
                    let help = "write several dimensions as Matrix[1,2]";
                    return Err(PointError::new(self.to_end(), "one pair of brackets is enough".to_owned(), help));
                }
                parts.push(Part::Element(self.indices()?));
                continue;
            }
            self.dot()?;
            if self.rest().starts_with(|c: char| c.is_ascii_digit()) {
                bit = Some(self.bit()?);
            } else {
                parts.push(Part::Name(self.name()?.to_owned()));
            }
        }
        let address = Address { text: self.text.to_owned(), parts, bit };
        if path::of(&address.parts).is_none() {
            let message = "the address is too long for a request".to_owned();
            return Err(PointError::new(0..self.text.len(), message, "read a shorter alias of the tag"));
        }
        Ok(address)
    }

    fn dot(&mut self) -> Result<(), PointError> {
        if self.rest().starts_with('.') {
            self.at += 1;
            return Ok(());
        }
        let sign = self.rest().chars().next().unwrap_or(' ');
        let end = self.at + sign.len_utf8();
        if sign == ']' {
            return Err(PointError::new(self.at..end, "`[` is missing".to_owned(), "write an element as Motors[3]"));
        }
        let help = if sign == '/' { "a bit has a dot: Status.5" } else { FORMS };
        Err(PointError::new(self.at..end, format!("`{sign}` does not belong in an address"), help))
    }

    /// A tag's name; that of a module has colons.
    fn first_name(&mut self) -> Result<&'a str, PointError> {
        let start = self.at;
        self.name()?;
        while self.rest().starts_with(':') {
            self.at += 1;
            let word = self.word();
            if word.is_empty() {
                return Err(PointError::new(self.to_end(), "a name is missing after `:`".to_owned(), FORMS));
            }
            self.at += word.len();
        }
        Ok(&self.text[start..self.at])
    }

    fn name(&mut self) -> Result<&'a str, PointError> {
        let word = self.word();
        if word.is_empty() {
            return Err(match self.rest().chars().next() {
                None => PointError::new(self.to_end(), "a name is missing at the end".to_owned(), FORMS),
                Some(sign) => {
                    let at = self.at..self.at + sign.len_utf8();
                    PointError::new(at, format!("`{sign}` begins no name"), FORMS)
                }
            });
        }
        let at = self.at..self.at + word.len();
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(PointError::new(at, format!("`{word}` begins with a digit, and no name does"), FORMS));
        }
        if word.len() > LONGEST_NAME {
            let message = format!("a name has at most {LONGEST_NAME} letters");
            return Err(PointError::new(at, message, "copy the name from the PLC's editor"));
        }
        self.at += word.len();
        Ok(word)
    }

    fn indices(&mut self) -> Result<Vec<u32>, PointError> {
        let start = self.at;
        self.at += 1;
        let Some(length) = self.rest().find(']') else {
            return Err(PointError::new(start..self.text.len(), "`]` is missing".to_owned(), "write Motors[3]"));
        };
        let inside = &self.rest()[..length];
        let mut indices = Vec::new();
        for text in inside.split(',') {
            let at = self.at..self.at + text.len();
            indices.push(index(text, at)?);
            self.at += text.len() + 1;
        }
        if indices.len() > 3 {
            let message = format!("{} dimensions: an array has at most 3", indices.len());
            return Err(PointError::new(start..self.at, message, "write Cube[1,2,3]"));
        }
        Ok(indices)
    }

    fn bit(&mut self) -> Result<u8, PointError> {
        let digits = self.word();
        let at = self.at..self.at + digits.len();
        self.at += digits.len();
        let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u32>().ok()).flatten();
        let bit = number.and_then(|number| u8::try_from(number).ok()).filter(|bit| *bit <= LAST_BIT);
        bit.ok_or_else(|| bits(at))
    }

    /// Forms of other products and of older PLCs.
    fn refuse_other_spellings(&self) -> Result<(), PointError> {
        let text = self.text;
        let whole = 0..text.len();
        if text.trim().is_empty() {
            return Err(PointError::new(whole, "the address is empty".to_owned(), FORMS));
        }
        if let Some((topic, tag)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            let message = format!("`[{topic}]` is a topic of another product");
            return Err(PointError::new(0..topic.len() + 2, message, &format!("write {tag}")));
        }
        if has_prefix(text, "program.") {
            let name = &text["program.".len()..];
            let message = "the program's name follows a colon".to_owned();
            return Err(PointError::new(
                "program".len().."program.".len(),
                message,
                &format!("did you mean Program:{name}?"),
            ));
        }
        if is_of_slc(text) {
            let message = format!("`{text}` is an address of a PLC-5 or SLC");
            return Err(PointError::new(whole, message, "those speak PCCC, which is not in this version"));
        }
        Ok(())
    }
}

pub(super) fn bits(at: Range<usize>) -> PointError {
    PointError::new(at, "bits are 0 to 31 (LINT 63)".to_owned(), "write Status.5 for bit 5")
}

fn index(text: &str, at: Range<usize>) -> Result<u32, PointError> {
    if text.starts_with('-') {
        return Err(PointError::new(at, "elements count from 0".to_owned(), "write Motors[0] for the first"));
    }
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        let help = "write the number of an element, as Motors[3] or Matrix[1,2]";
        return Err(PointError::new(at, format!("`{text}` is no number of an element"), help));
    }
    text.parse().map_err(|_| PointError::new(at, format!("no array has {text} elements"), "write a smaller number"))
}

fn has_prefix(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// `N7:0`, `B3:1/2`, `T4:0.ACC`.
fn is_of_slc(text: &str) -> bool {
    let Some((file, rest)) = text.split_once(':') else { return false };
    let letters = file.trim_end_matches(|c: char| c.is_ascii_digit());
    let known = ["N", "B", "F", "T", "C", "R", "S", "O", "I", "ST", "L", "A", "D"];
    let is_file = known.iter().any(|name| name.eq_ignore_ascii_case(letters));
    is_file && rest.starts_with(|c: char| c.is_ascii_digit()) && !rest.contains(':')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(address: &Address) -> String {
        let mut out = String::new();
        for part in &address.parts {
            match part {
                Part::Name(name) => out.push_str(&format!("{}{name}", if out.is_empty() { "" } else { " " })),
                Part::Element(indices) => out.push_str(&format!("{indices:?}")),
            }
        }
        out + &address.bit.map_or(String::new(), |bit| format!(" bit {bit}"))
    }

    #[test]
    fn an_address_names_tags_members_elements_and_bits() {
        for (text, wanted) in [
            ("Speed", "Speed"),
            ("Program:Main.Speed", "Program:Main Speed"),
            ("PROGRAM:main.speed", "PROGRAM:main speed"),
            ("Motors[3].Speed", "Motors[3] Speed"),
            ("Recipe.Step[2].Time.PRE", "Recipe Step[2] Time PRE"),
            ("Matrix[1,2]", "Matrix[1, 2]"),
            ("Cube[0,65536,2]", "Cube[0, 65536, 2]"),
            ("Status.5", "Status bit 5"),
            ("Status.63", "Status bit 63"),
            ("Words[2].15", "Words[2] bit 15"),
            ("Local:1:I.Data.0", "Local:1:I Data bit 0"),
            ("ENBT:I.Slot[2].Data", "ENBT:I Slot[2] Data"),
            ("_x.y_1", "_x y_1"),
        ] {
            assert_eq!(Address::parse(text).map(|address| shown(&address)), Ok(wanted.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_wrong_address_is_refused_at_its_fault() {
        for (text, at, words) in [
            ("", 0..0, "the address is empty"),
            ("Program.Main.Speed", 7..8, "the program's name follows a colon"),
            ("Program:Main", 0..12, "a tag is missing after Program:Main"),
            ("program:Main.", 0..13, "a tag is missing after Program:Main"),
            ("Program:", 8..8, "a name is missing at the end"),
            ("Tag[3", 3..5, "`]` is missing"),
            ("Tag[-1]", 4..6, "elements count from 0"),
            ("Tag.64", 4..6, "bits are 0 to 31 (LINT 63)"),
            ("Tag.5x", 4..6, "bits are 0 to 31 (LINT 63)"),
            ("Tag.5.6", 5..7, "a bit has no parts"),
            ("Tag[1,2,3,4]", 3..12, "4 dimensions: an array has at most 3"),
            ("Tag[]", 4..4, "`` is no number of an element"),
            ("Tag[i]", 4..5, "`i` is no number of an element"),
            ("Tag[1][2]", 6..9, "one pair of brackets is enough"),
            ("Tag[99999999999]", 4..15, "no array has 99999999999 elements"),
            ("Tag]", 3..4, "`[` is missing"),
            ("Tag.", 4..4, "a name is missing at the end"),
            ("Tag..x", 4..5, "`.` begins no name"),
            ("Tag/5", 3..4, "`/` does not belong in an address"),
            ("Tag x", 3..4, "` ` does not belong in an address"),
            ("5Tag", 0..4, "`5Tag` begins with a digit, and no name does"),
            ("Größe", 2..4, "`ö` does not belong in an address"),
            ("[PLC]Speed", 0..5, "`[PLC]` is a topic of another product"),
            ("N7:0", 0..4, "`N7:0` is an address of a PLC-5 or SLC"),
            ("B3:1/2", 0..6, "`B3:1/2` is an address of a PLC-5 or SLC"),
        ] {
            let error = Address::parse(text).expect_err(text);
            assert_eq!((error.at, error.message.as_str()), (at, words), "{text}");
        }
        assert_eq!(Address::parse(&"a".repeat(41)).expect_err("too long").message, "a name has at most 40 letters");
        let long = vec!["a".repeat(40); 20].join(".");
        assert_eq!(Address::parse(&long).expect_err("too long").message, "the address is too long for a request");
    }

    proptest! {
        #[test]
        fn no_text_ends_the_parser_and_faults_lie_inside(text in "[ -~]{0,20}|[A-Za-z:.\\[\\],0-9öß-]{0,30}") {
            if let Err(error) = Address::parse(&text) {
                prop_assert!(error.at.start <= error.at.end && error.at.end <= text.len(), "{:?}", error);
                prop_assert!(text.is_char_boundary(error.at.start) && text.is_char_boundary(error.at.end));
            }
        }
    }
}
