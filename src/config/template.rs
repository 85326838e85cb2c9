//! `{name}` in texts: parameters of types and variables of `repeat`, with whole numbers and `+ - * ( )`.

use std::ops::Range;

/// Names and the texts that stand for them; the last entry of a name wins.
#[derive(Debug, Clone, Default)]
pub(crate) struct Env {
    entries: Vec<(String, String)>,
}

impl Env {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn with(&self, name: &str, text: &str) -> Env {
        let mut env = self.clone();
        env.entries.push((name.to_owned(), text.to_owned()));
        env
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.entries.iter().rev().find(|(known, _)| known == name).map(|(_, text)| text.as_str())
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }
}

/// Fault of a `{…}`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Unknown(String),
    Other(String),
}

/// The text with every `{…}` replaced, or `None` when it holds none.
pub(crate) fn fill(text: &str, env: &Env) -> Result<Option<String>, Fault> {
    if !text.contains('{') {
        return Ok(None);
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        out.push_str(&rest[..start]);
        let end = rest[start..].find('}').ok_or_else(|| Fault::Other("`{` without `}`".into()))?;
        let inner = rest[start + 1..start + end].trim();
        match env.get(inner) {
            Some(text) => out.push_str(text),
            None => out.push_str(&calculate(inner, env)?.to_string()),
        }
        rest = &rest[start + end + 1..];
    }
    out.push_str(rest);
    Ok(Some(out))
}

/// A part of a filled text that is like the template's, or came in place of a `{…}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub filled: Range<usize>,
    pub template: Range<usize>,
}

/// The parts of a template that `fill` fills; empty where it fails.
pub(crate) fn pieces(text: &str, env: &Env) -> Vec<Piece> {
    let (mut pieces, mut length, mut at) = (Vec::new(), 0, 0);
    while at < text.len() {
        let start = text[at..].find('{').map_or(text.len(), |start| at + start);
        let end = text[start..].find('}').map_or(text.len(), |end| start + end + 1);
        pieces.push(Piece { filled: length..length + start - at, template: at..start });
        length += start - at;
        let Ok(Some(filled)) = fill(&text[start..end], env) else { break };
        pieces.push(Piece { filled: length..length + filled.len(), template: start..end });
        length += filled.len();
        at = end;
    }
    pieces
}

/// The part of the template that a part of the filled text came from.
pub(crate) fn origin_of(pieces: &[Piece], part: Range<usize>) -> Range<usize> {
    let find = |at: usize, is_end: bool| {
        let last = usize::from(is_end);
        let piece = pieces.iter().find(|piece| piece.filled.start + last <= at && at < piece.filled.end + last)?;
        let is_copy = piece.filled.len() == piece.template.len();
        Some(match is_copy {
            true => piece.template.start + (at - piece.filled.start),
            false if is_end => piece.template.end,
            false => piece.template.start,
        })
    };
    let start = find(part.start, false).or_else(|| find(part.start, true)).unwrap_or(part.start);
    start..find(part.end, true).unwrap_or(start).max(start)
}

/// The text with those `{…}` replaced that the environment knows; the others are for a later step.
pub(crate) fn fill_known(text: &str, env: &Env) -> Option<String> {
    if !text.contains('{') {
        return None;
    }
    let (mut out, mut rest) = (String::new(), text);
    while let Some(start) = rest.find('{') {
        out.push_str(&rest[..start]);
        let end = rest[start..].find('}').map_or(rest.len(), |end| start + end + 1);
        let part = &rest[start..end];
        match fill(part, env) {
            Ok(Some(filled)) => out.push_str(&filled),
            Ok(None) | Err(_) => out.push_str(part),
        }
        rest = &rest[end..];
    }
    out.push_str(rest);
    Some(out)
}

/// Names in the `{…}` of a text.
pub(crate) fn names(text: &str) -> Vec<String> {
    let inner = text.split('{').skip(1).filter_map(|part| part.split('}').next());
    let words = inner.flat_map(|inner| inner.split(|c: char| !(c.is_alphanumeric() || c == '_')));
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn calculate(text: &str, env: &Env) -> Result<i64, Fault> {
    let mut sum = Sum { text, rest: text, env, depth: 0 };
    let number = sum.sum()?;
    match sum.rest.trim_start() {
        "" => Ok(number),
        rest => Err(Fault::Other(format!("`{rest}` is not understood in `{{{text}}}`"))),
    }
}

struct Sum<'a> {
    text: &'a str,
    rest: &'a str,
    env: &'a Env,
    depth: u8,
}

impl Sum<'_> {
    fn take(&mut self, sign: char) -> bool {
        self.rest = self.rest.trim_start();
        let rest = self.rest.strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn sum(&mut self) -> Result<i64, Fault> {
        let mut total = self.product()?;
        loop {
            total = if self.take('+') {
                total.checked_add(self.product()?)
            } else if self.take('-') {
                total.checked_sub(self.product()?)
            } else {
                return Ok(total);
            }
            .ok_or_else(|| self.too_large())?;
        }
    }

    fn product(&mut self) -> Result<i64, Fault> {
        let mut total = self.atom()?;
        while self.take('*') {
            total = total.checked_mul(self.atom()?).ok_or_else(|| self.too_large())?;
        }
        Ok(total)
    }

    fn too_large(&self) -> Fault {
        Fault::Other(format!("`{{{}}}` is too large a number", self.text))
    }

    fn atom(&mut self) -> Result<i64, Fault> {
        if self.take('(') {
            self.depth += 1;
            if self.depth > 16 {
                return Err(Fault::Other(format!("`{{{}}}` is nested too deeply", self.text)));
            }
            let inner = self.sum()?;
            self.depth -= 1;
            let close = || Fault::Other(format!("`(` without `)` in `{{{}}}`", self.text));
            return if self.rest.trim_start().starts_with(')') {
                self.take(')');
                Ok(inner)
            } else {
                Err(close())
            };
        }
        self.rest = self.rest.trim_start();
        let end = self.rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        if word.is_empty() {
            return Err(Fault::Other(format!("`{{{}}}` is not understood", self.text)));
        }
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            return word.parse().map_err(|_| Fault::Other(format!("`{word}` is not a whole number")));
        }
        let text = self.env.get(word).ok_or_else(|| Fault::Unknown(word.to_owned()))?;
        text.parse().map_err(|_| {
            Fault::Other(format!("`{word}` is not a whole number, so `{{{}}}` cannot be calculated", self.text))
        })
    }
}

/// The texts that a `repeat` variable takes: `1..3` includes both ends.
pub(crate) fn range(text: &str, most: usize) -> Result<Vec<String>, String> {
    let wrong = || format!("`{text}` is not a range");
    let (low, high) = text.split_once("..").ok_or_else(wrong)?;
    let parse = |end: &str| end.trim().parse::<i64>().map_err(|_| wrong());
    let (low, high) = (parse(low)?, parse(high)?);
    if low > high {
        return Err(format!("`{text}` is empty: {low} is above {high}"));
    }
    match usize::try_from(high.saturating_sub(low)) {
        Ok(count) if count < most => Ok((low..=high).map(|number| number.to_string()).collect()),
        _ => Err(format!("more than {most} nodes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_filled_from_parameters() {
        let env = Env::default().with("i", "2").with("base", "16").with("plc", "plc1");
        for (text, filled) in [
            ("plain", Ok(None)),
            ("coil/{base}", Ok(Some("coil/16"))),
            ("DB10.DBD{(i-1)*16+4}", Ok(Some("DB10.DBD20"))),
            ("{plc}/{base + 1}", Ok(Some("plc1/17"))),
            ("{bass}", Err(Fault::Unknown("bass".into()))),
            ("{plc+1}", Err(Fault::Other("`plc` is not a whole number, so `{plc+1}` cannot be calculated".into()))),
            ("{base", Err(Fault::Other("`{` without `}`".into()))),
            ("{base/2}", Err(Fault::Other("`/2` is not understood in `{base/2}`".into()))),
            (
                "{9999999999999*9999999999999}",
                Err(Fault::Other("`{9999999999999*9999999999999}` is too large a number".into())),
            ),
        ] {
            assert_eq!(fill(text, &env), filled.map(|text: Option<&str>| text.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn a_range_includes_both_ends() {
        assert_eq!(range("1..3", 10), Ok(vec!["1".into(), "2".into(), "3".into()]));
        assert_eq!(range("3..1", 10), Err("`3..1` is empty: 3 is above 1".into()));
        assert_eq!(range("1-3", 10), Err("`1-3` is not a range".into()));
        assert_eq!(range("1..99999999999", 10), Err("more than 10 nodes".into()));
        assert_eq!(range("-9223372036854775808..9223372036854775807", 10), Err("more than 10 nodes".into()));
    }
}
