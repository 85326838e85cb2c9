//! Faults inside `{ }` and `[ ]`, found by reading them once more after the parser gave up.
//!
//! The parser names the place where it could not continue, which is often the begin of the mapping or the next line. A
//! person wants the place of the missing comma.

use super::docs::DOCS;

/// A fault in the text of a file: the byte where it is, its length, the message and the help.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub at: usize,
    pub length: usize,
    pub message: String,
    pub help: String,
}

impl Fault {
    fn new(at: usize, length: usize, message: impl Into<String>, help: impl Into<String>) -> Fault {
        Fault { at, length, message: message.into(), help: help.into() }
    }
}

/// An open `{` or `[`.
struct Open {
    at: usize,
    sign: u8,
    item: Item,
}

/// The entry that is being read.
#[derive(Default)]
struct Item {
    /// End of the first `: `.
    value: Option<usize>,
    /// Begin of the plain text that is being read.
    text: Option<usize>,
    /// A quoted text or an inner mapping or list ended here.
    closed: bool,
}

/// The first fault at or before the place where the parser stopped, if it is one of those that people make.
pub(crate) fn fault(text: &str, stopped: usize) -> Option<Fault> {
    let line_end = text[stopped..].find('\n').map_or(text.len(), |end| stopped + end);
    Scan { text, end: line_end, open: Vec::new(), comment: None }.run()
}

struct Scan<'a> {
    text: &'a str,
    end: usize,
    open: Vec<Open>,
    /// The last comment inside an open mapping or list.
    comment: Option<usize>,
}

impl Scan<'_> {
    fn run(mut self) -> Option<Fault> {
        let bytes = self.text.as_bytes();
        let mut at = 0;
        while at < self.end {
            match bytes[at] {
                b'#' if at == 0 || bytes[at - 1].is_ascii_whitespace() => {
                    if !self.open.is_empty() {
                        self.comment = Some(at);
                    }
                    at = self.text[at..].find('\n').map_or(self.text.len(), |end| at + end);
                    continue;
                }
                quote @ (b'"' | b'\'') if self.begins_token(at) => {
                    at = self.after_quote(at, quote);
                    if let Some(open) = self.open.last_mut() {
                        open.item.closed = true;
                    }
                    continue;
                }
                sign @ (b'{' | b'[') if !self.open.is_empty() || self.begins_token(at) => {
                    if let Some(fault) = self.opening(at) {
                        return Some(fault);
                    }
                    self.open.push(Open { at, sign, item: Item::default() });
                }
                b'}' | b']' if !self.open.is_empty() => {
                    self.open.pop();
                    if let Some(open) = self.open.last_mut() {
                        open.item.text = None;
                        open.item.closed = true;
                    }
                }
                b',' => {
                    if let Some(open) = self.open.last_mut() {
                        open.item = Item::default();
                    }
                }
                b':' if self.is_colon(at) => {
                    if let Some(fault) = self.colon(at) {
                        return Some(fault);
                    }
                }
                byte if !byte.is_ascii_whitespace() => {
                    if let Some(open) = self.open.last_mut() {
                        open.item.text.get_or_insert(at);
                    }
                }
                _ => {}
            }
            at += 1;
        }
        self.unclosed()
    }

    /// Whether a value may begin here: after an indicator, or as the first of its line.
    fn begins_token(&self, at: usize) -> bool {
        let before = self.text[..at].trim_end_matches([' ', '\t']);
        before.is_empty() || before.ends_with(['{', '[', ',', ':', '\n', '-'])
    }

    fn after_quote(&self, at: usize, quote: u8) -> usize {
        let bytes = self.text.as_bytes();
        let mut end = at + 1;
        while end < bytes.len() && bytes[end] != quote {
            end += if bytes[end] == b'\\' && quote == b'"' { 2 } else { 1 };
        }
        end + 1
    }

    fn is_colon(&self, at: usize) -> bool {
        let next = self.text.as_bytes().get(at + 1);
        next.is_none_or(u8::is_ascii_whitespace) || (!self.open.is_empty() && matches!(next, Some(b'{' | b'[')))
    }

    /// A bracket that follows a text: a template without quotes, or a key without its colon.
    fn opening(&self, at: usize) -> Option<Fault> {
        let begin = self.open.last()?.item.text?;
        let word = &self.text[begin..at];
        if word.ends_with(char::is_alphanumeric) || word.ends_with(['/', '-', '_', '.', '}']) {
            let end = self.text[at..].find([',', '\n']).map_or(self.text.len(), |end| at + end);
            let whole = self.text[begin..end].trim_end_matches([' ', '}']);
            let closing = if whole.matches('{').count() > whole.matches('}').count() { "}" } else { "" };
            let sign = &self.text[at..=at];
            let help = format!("write \"{whole}{closing}\"");
            return Some(Fault::new(begin, word.len(), format!("a text with `{sign}` in it needs quotes here"), help));
        }
        let word = word.trim_end();
        let message = format!("a `:` is missing after `{word}`");
        Some(Fault::new(begin, word.len(), message, format!("write `{word}: {}`", &self.text[at..=at])))
    }

    /// A second `: ` in one entry of a mapping, or in one line of a block.
    fn colon(&mut self, at: usize) -> Option<Fault> {
        let line = self.text[..at].rfind('\n').map_or(0, |end| end + 1);
        let Some(open) = self.open.last_mut() else { return self.block_colon(line, at) };
        let Some(value) = open.item.value else {
            open.item = Item { value: Some(at + 1), ..Item::default() };
            return None;
        };
        let text = &self.text[value..at];
        let opened = open.at;
        if text.contains('\n') && indent(self.text, at) <= indent(self.text, opened) {
            return self.unclosed();
        }
        let open = self.open.last()?;
        let begin = text.len() - last_word(text).len();
        let (before, word) = (text[..begin].trim(), &text[begin..]);
        let place = value + begin;
        Some(match (is_key(word), before.is_empty()) {
            (true, false) => Fault::new(
                place,
                word.len(),
                format!("a comma is missing before `{word}`"),
                format!("write `{before}, {word}: …`"),
            ),
            (true, true) => {
                let key = key_before(self.text, value);
                let help = format!("write `{key}: {{ {word}: … }}`");
                Fault::new(
                    place,
                    word.len(),
                    format!("`{word}` is a key of its own mapping, which needs `{{ }}`"),
                    help,
                )
            }
            (false, false) if open.item.closed => Fault::new(
                place,
                word.len(),
                format!("a comma is missing before `{word}`"),
                "write commas between the entries",
            ),
            (false, _) => inner_colon(at, text.trim()),
        })
    }

    fn block_colon(&self, line: usize, at: usize) -> Option<Fault> {
        let before = &self.text[line..at];
        let first = before.find(": ")?;
        let value = before[first + 2..].trim_start();
        (!value.is_empty() && !value.starts_with(['"', '\'', '|', '>'])).then(|| inner_colon(at, value))
    }

    /// The innermost bracket that is still open: hidden by a comment, or forgotten.
    fn unclosed(&self) -> Option<Fault> {
        let open = self.open.last()?;
        let closing = if open.sign == b'{' { '}' } else { ']' };
        let hidden = self
            .comment
            .filter(|at| *at > open.at)
            .filter(|at| self.text[*at..].lines().next().is_some_and(|comment| comment.contains(closing)));
        Some(match hidden {
            Some(at) => {
                let message = "` #` begins a comment, so the rest of this line is not read";
                Fault::new(at, 1, message, "write quotes around the text")
            }
            None => {
                let sign = char::from(open.sign);
                Fault::new(open.at, 1, format!("this `{sign}` is not closed"), format!("write `{closing}` at its end"))
            }
        })
    }
}

fn inner_colon(at: usize, text: &str) -> Fault {
    Fault::new(at, 1, "`: ` inside a text", format!("write quotes around the text: \"{text}: …\""))
}

/// Blanks at the begin of the line that holds `at`.
fn indent(text: &str, at: usize) -> usize {
    let line = &text[text[..at].rfind('\n').map_or(0, |end| end + 1)..];
    line.len() - line.trim_start_matches(' ').len()
}

/// The letters, digits and `_` at the end of a text.
fn last_word(text: &str) -> &str {
    &text[text.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_').len()..]
}

/// The key whose value begins at `value`.
fn key_before(text: &str, value: usize) -> &str {
    let key = text[..value].trim_end_matches([' ', ':']);
    last_word(key)
}

/// Whether any struct of the schema has this key.
pub(crate) fn is_key(word: &str) -> bool {
    DOCS.order.iter().any(|section| DOCS.key(&section.name, word).is_some())
}

/// `type:Float` on a line of its own, up to two lines above the place where the parser stopped.
pub(crate) fn missing_blank(text: &str, stopped: usize) -> Option<Fault> {
    let end = text[stopped..].find('\n').map_or(text.len(), |end| stopped + end);
    let mut found = None;
    let mut start = end;
    for _ in 0..3 {
        let line_end = start;
        start = text[..line_end].rfind('\n').map_or(0, |end| end + 1);
        let line = &text[start..line_end];
        let word = line.trim_start();
        let at = start + line.len() - word.len();
        if let Some((key, rest)) = word.split_once(':').filter(|(key, rest)| is_key(key) && !rest.is_empty())
            && !rest.starts_with(' ')
            && !rest.starts_with('\t')
        {
            let message = format!("a space is missing after `{key}:`");
            let rest = rest.trim_end();
            found = Some(Fault::new(at, key.len() + 1, message, format!("write `{key}: {rest}`")));
        }
        start = start.saturating_sub(1);
        if start == 0 {
            break;
        }
    }
    found
}
