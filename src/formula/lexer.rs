//! A formula's text as tokens.

use std::ops::Range;

use super::fault::Fault;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Integer(i64),
    Double(f64),
    Text(String),
    /// `quoted`: between backticks, so it is no word of the language.
    Name {
        text: String,
        quoted: bool,
    },
    /// `{NAME}`.
    Argument(String),
    Sign(&'static str),
    End,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lexeme {
    pub token: Token,
    pub span: Range<usize>,
}

/// Signs of the language; longer ones first.
const SIGNS: [&str; 17] = ["==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "(", ")", "[", "]", ",", "."];

/// Signs of other languages, and what to write.
const FOREIGN: [(&str, &str); 8] = [
    ("&&", "write `and`"),
    ("||", "write `or`"),
    ("<>", "write `!=`"),
    (":=", "a formula has no assignment: its tag gets the result"),
    ("=", "write `==`"),
    ("!", "write `not`"),
    ("^", "write `pow(x, y)`"),
    ("&", "write `and`, or `band(x, y)` for bits"),
];

/// Units that may follow a number directly, in seconds.
const UNITS: [(&str, f64); 5] = [("ms", 0.001), ("s", 1.0), ("min", 60.0), ("h", 3600.0), ("d", 86400.0)];

pub(super) fn lex(text: &str) -> Result<Vec<Lexeme>, Fault> {
    let mut lexer = Lexer { text, at: 0 };
    let mut all = Vec::new();
    loop {
        let lexeme = lexer.next()?;
        let is_last = lexeme.token == Token::End;
        all.push(lexeme);
        if is_last {
            return Ok(all);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

fn begins_name(letter: char) -> bool {
    letter.is_alphabetic() || letter == '_'
}

fn continues_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    /// Length of the beginning of the rest whose letters are all like this.
    fn run(&self, from: usize, is_like: impl Fn(char) -> bool) -> usize {
        let rest = &self.text[from..];
        rest.find(|letter| !is_like(letter)).unwrap_or(rest.len())
    }

    fn take(&mut self, token: Token, length: usize) -> Lexeme {
        let start = self.at;
        self.at += length;
        Lexeme { token, span: start..self.at }
    }

    fn next(&mut self) -> Result<Lexeme, Fault> {
        self.at += self.run(self.at, char::is_whitespace);
        let Some(first) = self.rest().chars().next() else { return Ok(self.take(Token::End, 0)) };
        if first.is_ascii_digit() {
            return self.number();
        }
        if begins_name(first) {
            let length = self.run(self.at, continues_name);
            let text = self.rest()[..length].to_owned();
            return Ok(self.take(Token::Name { text, quoted: false }, length));
        }
        match first {
            '\'' | '"' => self.quoted_text(first),
            '`' => self.quoted_name(),
            '{' => self.argument(),
            _ => self.sign(first),
        }
    }

    fn sign(&mut self, first: char) -> Result<Lexeme, Fault> {
        if let Some(sign) = SIGNS.iter().find(|sign| self.rest().starts_with(**sign))
            && !self.rest().starts_with("<>")
        {
            if *sign == "." && self.rest()[1..].starts_with(|next: char| next.is_ascii_digit()) {
                let length = 1 + self.run(self.at + 1, continues_name);
                let found = &self.rest()[..length];
                let fault = Fault::new(
                    self.at..self.at + length,
                    format!("`{found}` is no number"),
                    format!("write `0{found}`"),
                );
                return Err(fault);
            }
            return Ok(self.take(Token::Sign(sign), sign.len()));
        }
        let foreign = FOREIGN.iter().find(|(sign, _)| self.rest().starts_with(sign));
        Err(match foreign {
            Some(("=", help)) => Fault::new(self.at..self.at + 1, "`=` is no comparison", *help),
            Some((sign, help)) => {
                Fault::new(self.at..self.at + sign.len(), format!("`{sign}` is no operator of formulas"), *help)
            }
            None => {
                let message = format!("`{}` has no meaning in a formula", first.escape_debug());
                let help = match first {
                    '“' | '”' | '„' | '‘' | '’' => "write straight quotes: `'text'`",
                    '×' => "write `*`",
                    '÷' | ':' => "write `/` to divide",
                    '−' | '–' => "write `-`",
                    '≤' => "write `<=`",
                    '≥' => "write `>=`",
                    '≠' => "write `!=`",
                    ';' => "separate arguments by `,`; a formula is one expression",
                    '?' => "write `if(condition, a, b)`",
                    '|' => "write `or`, or `bor(x, y)` for bits",
                    '}' => "a `{` is missing before it",
                    _ => "",
                };
                Fault::new(self.at..self.at + first.len_utf8(), message, help)
            }
        })
    }

    fn number(&mut self) -> Result<Lexeme, Fault> {
        let start = self.at;
        let is_hex = self.rest().starts_with("0x") || self.rest().starts_with("0X");
        let mut end = start + if is_hex { 2 } else { self.run(start, |c| c.is_ascii_digit()) };
        if is_hex {
            end += self.run(end, |c| c.is_ascii_hexdigit());
            let word = end + self.run(end, continues_name);
            let digits = &self.text[start + 2..end];
            if digits.is_empty() || word > end {
                return Err(self.no_number(start..word));
            }
            return match i64::from_str_radix(digits, 16) {
                Ok(number) => Ok(self.take(Token::Integer(number), end - start)),
                Err(_) => Err(self.too_large(start..end)),
            };
        }
        let mut is_integer = true;
        let digits_follow = |at: usize| self.text[at..].starts_with(|c: char| c.is_ascii_digit());
        if self.text[end..].starts_with('.') && digits_follow(end + 1) {
            is_integer = false;
            end += 1;
            end += self.run(end, |c| c.is_ascii_digit());
        } else if self.text[end..].starts_with('.') && !self.text[end + 1..].starts_with(begins_name) {
            return Err(self.no_number(start..end + 1));
        }
        if self.text[end..].starts_with(['e', 'E']) {
            let sign = usize::from(self.text[end + 1..].starts_with(['+', '-']));
            if digits_follow(end + 1 + sign) {
                is_integer = false;
                end += 1 + sign;
                end += self.run(end, |c| c.is_ascii_digit());
            }
        }
        let word = end + self.run(end, continues_name);
        if self.text[word..].starts_with('.') && digits_follow(word + 1) {
            return Err(self.no_number(start..word + 1 + self.run(word + 1, |c| continues_name(c) || c == '.')));
        }
        let unit = UNITS.iter().find(|(unit, _)| *unit == &self.text[end..word]);
        let digits = &self.text[start..end];
        let token = match (unit, word > end) {
            (None, true) => return Err(self.no_number(start..word)),
            (None, false) if is_integer => match digits.parse() {
                Ok(number) => Token::Integer(number),
                Err(_) => return Err(self.too_large(start..end)),
            },
            (unit, _) => {
                let number = digits.parse::<f64>().unwrap_or(f64::INFINITY);
                // 500 ms are 0.5, and not 500 times the nearest Double of 0.001.
                let seconds = match unit {
                    Some(("ms", _)) => number / 1000.0,
                    Some((_, seconds)) => number * seconds,
                    None => number,
                };
                if !seconds.is_finite() {
                    return Err(self.too_large(start..word));
                }
                Token::Double(seconds)
            }
        };
        Ok(self.take(token, word - start))
    }

    fn no_number(&self, span: Range<usize>) -> Fault {
        let found = &self.text[span.clone()];
        let help = match found.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.') {
            "" => format!("write `{}`", found.trim_end_matches('.')),
            "sec" | "seconds" | "S" => "write the unit `s`".to_owned(),
            "m" | "minutes" | "mins" => "write the unit `min`".to_owned(),
            _ => "units are `ms`, `s`, `min`, `h`, `d`; a name begins with a letter, or is written between backticks"
                .to_owned(),
        };
        Fault::new(span.clone(), format!("`{found}` is no number"), help)
    }

    fn too_large(&self, span: Range<usize>) -> Fault {
        let message = format!("`{}` is too large a number", &self.text[span.clone()]);
        Fault::new(span, message, "an Integer has 64 bits; write `1e20` for a Double")
    }

    /// A doubled quote is one inside.
    fn quoted_text(&mut self, quote: char) -> Result<Lexeme, Fault> {
        let mut text = String::new();
        let mut letters = self.rest().char_indices().skip(1).peekable();
        while let Some((at, letter)) = letters.next() {
            if letter != quote {
                text.push(letter);
            } else if letters.next_if(|(_, next)| *next == quote).is_some() {
                text.push(quote);
            } else {
                return Ok(self.take(Token::Text(text), at + 1));
            }
        }
        Err(Fault::new(self.at..self.text.len(), "the text isn't closed", format!("write `{quote}` at its end")).cut())
    }

    fn quoted_name(&mut self) -> Result<Lexeme, Fault> {
        let name = self.rest()[1..].split('`').next().unwrap_or_default().to_owned();
        let end = self.at + 1 + name.len();
        if !self.text[end..].starts_with('`') {
            return Err(Fault::new(self.at..self.text.len(), "the name isn't closed", "write a backtick at its end"));
        }
        if name.is_empty() || name.contains('.') {
            let help = "write one name between backticks, and dots between names: `` `Motor 1`.Speed ``";
            return Err(Fault::new(self.at..end + 1, format!("``{name}`` is no name"), help));
        }
        let length = name.len() + 2;
        Ok(self.take(Token::Name { text: name, quoted: true }, length))
    }

    fn argument(&mut self) -> Result<Lexeme, Fault> {
        let inner = self.rest()[1..].split('}').next().unwrap_or_default();
        let (name, length) = (inner.trim().to_owned(), inner.len() + 2);
        if self.rest().len() < length {
            return Err(Fault::new(self.at..self.at + 1, "`{` isn't closed", "write `}` after the name"));
        }
        if !name.starts_with(begins_name) || !name.chars().all(continues_name) {
            let message = format!("`{{{inner}}}` is no name of an argument");
            return Err(Fault::new(self.at..self.at + length, message, "write `{name}`"));
        }
        Ok(self.take(Token::Argument(name), length))
    }
}
