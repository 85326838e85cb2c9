//! Where the letters of a scalar lie in its YAML: through quotes, escapes, folded lines and blocks.
//!
//! YAML gives each letter of a text in order, as itself or as an escape; only spaces and line ends differ. So both are walked side
//! by side.

use std::ops::Range;

/// The part of `raw` that gives this part of `text`; `None` where they don't belong together.
pub(super) fn part(raw: &str, text: &str, part: &Range<usize>) -> Option<Range<usize>> {
    let mut walk = Walk { raw, at: 0, quote: raw.chars().next().filter(|first| matches!(first, '"' | '\'')) };
    match walk.quote {
        Some(_) => walk.at = 1,
        // The head of a block: `>-` or `|2`.
        None if raw.starts_with(['|', '>']) => walk.at = raw.find('\n')? + 1,
        None => {}
    }
    let (mut start, mut end) = (None, walk.at);
    for (at, letter) in text.char_indices() {
        if at >= part.end {
            break;
        }
        let found = walk.take(letter)?;
        if at >= part.start && !letter.is_whitespace() {
            start.get_or_insert(found.start);
            end = found.end;
        } else if at >= part.start && start.is_some() {
            end = end.max(found.end);
        }
    }
    let start = start.unwrap_or(walk.at);
    Some(start..end.max(start))
}

struct Walk<'a> {
    raw: &'a str,
    at: usize,
    quote: Option<char>,
}

impl Walk<'_> {
    fn rest(&self) -> &str {
        &self.raw[self.at..]
    }

    fn advance(&mut self, bytes: usize) -> Range<usize> {
        let start = self.at;
        self.at += bytes;
        start..self.at
    }

    /// The raw bytes of the next letter of the text.
    fn take(&mut self, letter: char) -> Option<Range<usize>> {
        if letter.is_whitespace() {
            if let Some(bytes) = self.escape().filter(|_| self.quote == Some('"')) {
                return Some(self.advance(bytes));
            }
            // The spaces after it are skipped by the next letter.
            return Some(self.at..self.at);
        }
        loop {
            let spaces = self.rest().len() - self.rest().trim_start().len();
            self.at += spaces;
            // A line that is continued in double quotes.
            if self.quote == Some('"') && (self.rest().starts_with("\\\n") || self.rest().starts_with("\\\r\n")) {
                self.at += 1;
            } else {
                break;
            }
        }
        if self.quote == Some('"') && self.rest().starts_with('\\') {
            return self.escape().map(|bytes| self.advance(bytes));
        }
        if self.quote == Some('\'') && letter == '\'' {
            return self.rest().starts_with("''").then(|| self.advance(2));
        }
        self.rest().starts_with(letter).then(|| self.advance(letter.len_utf8()))
    }

    /// Length of the escape that begins here.
    fn escape(&self) -> Option<usize> {
        let sign = self.rest().strip_prefix('\\')?.chars().next()?;
        let length = match sign {
            'x' => 4,
            'u' => 6,
            'U' => 10,
            '\n' | '\r' => return None,
            sign => 1 + sign.len_utf8(),
        };
        (length <= self.rest().len()).then_some(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_text_is_found_in_its_yaml() {
        // YAML, text, part of the text, its YAML.
        for (raw, text, wanted, found) in [
            (r#""a \"b\" c""#, r#"a "b" c"#, r#""b""#, r#"\"b\""#),
            (r#""a\u00e4 == b""#, "aä == b", "b", "b"),
            ("'it''s + x'", "it's + x", "x", "x"),
            ("'it''s + x'", "it's + x", "it's", "it''s"),
            ("a +\n    Totl", "a + Totl", "Totl", "Totl"),
            (">-\n    a +\n    Totl * 2", "a + Totl * 2", "Totl", "Totl"),
            ("|\n  a +\n  Totl\n", "a +\nTotl\n", "Totl", "Totl"),
            ("\"a + \\\n  Totl\"", "a + Totl", "Totl", "Totl"),
            ("\"a +\n\n  Totl\"", "a +\nTotl", "a +\nTotl", "a +\n\n  Totl"),
        ] {
            let start = text.find(wanted).expect("the text has it");
            let range = part(raw, text, &(start..start + wanted.len())).expect("they belong together");
            assert_eq!(&raw[range], found, "{raw}");
        }
        assert_eq!(part("'abc'", "abd", &(0..3)), None);
    }
}
