//! From tokens to a tree, by the grammar of docs/formulas.md.

use std::ops::Range;

use super::fault::Fault;
use super::lexer::{Lexeme, Token, lex};
use super::program::{Binary, Comparison};
use super::tree::{Kind, Link, Name, Operator, Path, Tree};

/// Longest text of a formula, in bytes.
pub(crate) const MOST_BYTES: usize = 4096;
/// Most nodes of a tree.
pub(crate) const MOST_NODES: usize = 1000;
/// Greatest depth of brackets, calls and signs.
pub(crate) const MOST_DEPTH: usize = 64;

/// The tree of a text, or its first mistake.
pub(super) fn parse(text: &str) -> Result<Tree, Fault> {
    if text.trim().is_empty() {
        return Err(Fault::new(0..text.len(), "this formula is empty", "write an expression, such as `Flow * 2`"));
    }
    if text.len() > MOST_BYTES {
        let message = format!("this formula has {} bytes, at most {MOST_BYTES} are allowed", text.len());
        return Err(Fault::new(0..text.len(), message, "write a part of it as a tag of its own"));
    }
    let mut parser = Parser { text, lexemes: lex(text)?, next: 0, depth: 0, nodes: 0 };
    let tree = parser.expression()?;
    match parser.peek() {
        Token::End => Ok(tree),
        _ => Err(parser.unexpected(&tree)),
    }
}

struct Parser<'a> {
    text: &'a str,
    /// The last one is the end.
    lexemes: Vec<Lexeme>,
    next: usize,
    depth: usize,
    nodes: usize,
}

impl Parser<'_> {
    fn lexeme(&self) -> &Lexeme {
        &self.lexemes[self.next.min(self.lexemes.len() - 1)]
    }

    fn peek(&self) -> &Token {
        &self.lexeme().token
    }

    fn advance(&mut self) -> Range<usize> {
        let span = self.lexeme().span.clone();
        self.next += 1;
        span
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Name { text, quoted: false } if text == word)
    }

    fn take_sign(&mut self, sign: &str) -> Option<Range<usize>> {
        matches!(self.peek(), Token::Sign(found) if *found == sign).then(|| self.advance())
    }

    fn tree(&mut self, kind: Kind, span: Range<usize>) -> Result<Tree, Fault> {
        self.nodes += 1;
        if self.nodes > MOST_NODES {
            let message = format!("this formula has more than {MOST_NODES} parts");
            return Err(Fault::new(0..self.text.len(), message, "write a part of it as a tag of its own"));
        }
        Ok(Tree { kind, span })
    }

    fn too_deep(&self, span: Range<usize>) -> Fault {
        let message = format!("this formula is nested more than {MOST_DEPTH} levels deep");
        Fault::new(span, message, "write a part of it as a tag of its own")
    }

    /// Runs `inner` one level deeper.
    fn deeper(&mut self, inner: impl FnOnce(&mut Self) -> Result<Tree, Fault>) -> Result<Tree, Fault> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err(self.too_deep(self.lexeme().span.clone()));
        }
        let tree = inner(self)?;
        self.depth -= 1;
        Ok(tree)
    }

    fn expression(&mut self) -> Result<Tree, Fault> {
        self.deeper(|parser| {
            parser.chain(|parser| parser.conjunction(), |parser| parser.is_word("or").then_some(Operator::Or))
        })
    }

    fn conjunction(&mut self) -> Result<Tree, Fault> {
        self.chain(|parser| parser.negation(), |parser| parser.is_word("and").then_some(Operator::And))
    }

    /// Operands with operators of one strength between them.
    fn chain(
        &mut self,
        operand: impl Fn(&mut Self) -> Result<Tree, Fault>,
        operator: impl Fn(&Self) -> Option<Operator>,
    ) -> Result<Tree, Fault> {
        let first = operand(self)?;
        let mut rest = Vec::new();
        while let Some(operator) = operator(self) {
            let span = self.advance();
            self.expect_value(operator.sign())?;
            rest.push(Link { operator, span, right: operand(self)? });
        }
        match rest.last() {
            None => Ok(first),
            Some(last) => {
                let span = first.span.start..last.right.span.end;
                self.nodes += rest.len() - 1;
                self.tree(Kind::Chain { first: first.into(), rest }, span)
            }
        }
    }

    fn negation(&mut self) -> Result<Tree, Fault> {
        if !self.is_word("not") {
            return self.comparison();
        }
        let start = self.advance().start;
        self.expect_value("not")?;
        let inner = self.deeper(Self::negation)?;
        let span = start..inner.span.end;
        self.tree(Kind::Not(inner.into()), span)
    }

    fn comparison(&mut self) -> Result<Tree, Fault> {
        let left = self.sum()?;
        let Some(first) = self.compares() else { return Ok(left) };
        let operator = Operator::Compare(first);
        let span = self.advance();
        self.expect_value(first.sign())?;
        let right = self.sum()?;
        if let Some(second) = self.compares() {
            let [a, b] = [&left, &right].map(|tree| &self.text[tree.span.clone()]);
            self.advance();
            let third = self.sum()?;
            let c = &self.text[third.span.clone()];
            let span = left.span.start..third.span.end;
            let help = format!("write `{a} {} {b} and {b} {} {c}`", first.sign(), second.sign());
            let message = format!("`{a} {} {b} {} {c}` compares twice", first.sign(), second.sign());
            return Err(Fault::new(span, message, help));
        }
        let whole = left.span.start..right.span.end;
        self.tree(Kind::Chain { first: left.into(), rest: vec![Link { operator, span, right }] }, whole)
    }

    fn compares(&self) -> Option<Comparison> {
        let Token::Sign(sign) = self.peek() else { return None };
        Comparison::ALL.into_iter().find(|comparison| comparison.sign() == *sign)
    }

    fn sum(&mut self) -> Result<Tree, Fault> {
        let operator = |parser: &Self| match parser.peek() {
            Token::Sign("+") => Some(Operator::Binary(Binary::Add)),
            Token::Sign("-") => Some(Operator::Binary(Binary::Subtract)),
            _ => None,
        };
        self.chain(Self::term, operator)
    }

    fn term(&mut self) -> Result<Tree, Fault> {
        let operator = |parser: &Self| match parser.peek() {
            Token::Sign("*") => Some(Operator::Binary(Binary::Multiply)),
            Token::Sign("/") => Some(Operator::Binary(Binary::Divide)),
            Token::Sign("%") => Some(Operator::Binary(Binary::Remainder)),
            _ => None,
        };
        self.chain(Self::sign, operator)
    }

    fn sign(&mut self) -> Result<Tree, Fault> {
        let Some(minus) = self.take_sign("-") else { return self.post() };
        self.expect_value("-")?;
        let inner = self.deeper(Self::sign)?;
        let span = minus.start..inner.span.end;
        self.tree(Kind::Negate(inner.into()), span)
    }

    fn post(&mut self) -> Result<Tree, Fault> {
        let mut tree = self.atom()?;
        let mut levels = 0;
        loop {
            if let Some(open) = self.take_sign("[") {
                let (indices, end) = self.list("[", open, "]")?;
                let span = tree.span.start..end;
                tree = self.tree(Kind::Index { of: tree.into(), indices }, span)?;
                levels += 1;
            } else if let Some(dot) = self.take_sign(".") {
                let name = self.name_after(dot)?;
                let span = tree.span.start..name.span.end;
                tree = self.tree(Kind::Field { of: tree.into(), name }, span)?;
                levels += 1;
            } else {
                return Ok(tree);
            }
            if levels + self.depth > MOST_DEPTH {
                return Err(self.too_deep(tree.span));
            }
        }
    }

    fn name_after(&mut self, dot: Range<usize>) -> Result<Name, Fault> {
        match self.peek() {
            Token::Name { text, .. } => {
                let text = text.clone();
                Ok(Name { text, span: self.advance() })
            }
            _ => Err(Fault::new(
                dot,
                "a name is expected after `.`",
                "write the path of a tag, such as `Filler.Tank.Level`",
            )),
        }
    }

    /// Expressions between commas, up to the closing sign.
    fn list(&mut self, opening: &str, open: Range<usize>, closing: &str) -> Result<(Vec<Tree>, usize), Fault> {
        let mut items = Vec::new();
        if let Some(close) = self.take_sign(closing) {
            return Ok((items, close.end));
        }
        loop {
            self.expect_value(if items.is_empty() { opening } else { "," })?;
            items.push(self.expression()?);
            if let Some(close) = self.take_sign(closing) {
                return Ok((items, close.end));
            }
            if self.take_sign(",").is_none() {
                return match self.peek() {
                    Token::End => {
                        Err(Fault::new(open, format!("`{opening}` isn't closed"), format!("write `{closing}`")).cut())
                    }
                    _ => Err(self.unexpected(items.last().expect("one was just added"))),
                };
            }
        }
    }

    /// A mistake unless a value begins here.
    fn expect_value(&self, after: &str) -> Result<(), Fault> {
        let lexeme = self.lexeme();
        let is_missing = match &lexeme.token {
            Token::End => true,
            Token::Sign(sign) => !matches!(*sign, "(" | "-" | "."),
            Token::Name { text, quoted: false } => text == "and" || text == "or",
            _ => false,
        };
        if !is_missing {
            return Ok(());
        }
        let span = match lexeme.token {
            Token::End => self.lexemes[self.next.saturating_sub(1)].span.clone(),
            _ => lexeme.span.clone(),
        };
        let fault = Fault::new(span, format!("a value is expected after `{after}`"), "");
        Err(if lexeme.token == Token::End { fault.cut() } else { fault })
    }

    fn atom(&mut self) -> Result<Tree, Fault> {
        let Lexeme { token, span } = self.lexeme().clone();
        let kind = match token {
            Token::Integer(number) => Kind::Integer(number),
            Token::Double(number) => Kind::Double(number),
            Token::Text(text) => Kind::Text(text),
            Token::Argument(name) => Kind::Argument(name),
            Token::Name { text, quoted } => return self.named(text, quoted),
            Token::Sign(".") => return self.path(true),
            Token::Sign("(") => {
                let open = self.advance();
                self.expect_value("(")?;
                let inner = self.expression()?;
                return match self.take_sign(")") {
                    Some(close) => Ok(Tree { span: span.start..close.end, ..inner }),
                    None if *self.peek() == Token::End => Err(Fault::new(open, "`(` isn't closed", "write `)`").cut()),
                    None => Err(self.unexpected(&inner)),
                };
            }
            Token::Sign("+") => {
                return Err(Fault::new(span, "a value has no sign `+`", "delete it"));
            }
            Token::Sign(sign) => return Err(Fault::new(span, format!("a value is expected before `{sign}`"), "")),
            Token::End => return Err(Fault::new(span, "a value is expected at the end", "")),
        };
        self.advance();
        self.tree(kind, span)
    }

    fn named(&mut self, text: String, quoted: bool) -> Result<Tree, Fault> {
        let span = self.lexeme().span.clone();
        let is_call =
            !quoted && matches!(self.lexemes.get(self.next + 1), Some(Lexeme { token: Token::Sign("("), .. }));
        let kind = match text.as_str() {
            "true" if !quoted => Kind::Boolean(true),
            "false" if !quoted => Kind::Boolean(false),
            "null" if !quoted => Kind::Null,
            "and" | "or" if !quoted => {
                return Err(Fault::new(span, format!("a value is expected before `{text}`"), ""));
            }
            "not" if !quoted => {
                let help = format!("write `not` before the comparison, or brackets: `(not {})`", "x");
                return Err(Fault::new(span, "`not` is expected before a whole comparison", help));
            }
            _ if is_call => {
                let name = Name { text, span: self.advance() };
                let open = self.advance();
                let (arguments, end) = self.list("(", open, ")")?;
                let span = name.span.start..end;
                return self.tree(Kind::Call { name, arguments }, span);
            }
            _ => return self.path(false),
        };
        self.advance();
        self.tree(kind, span)
    }

    fn path(&mut self, from_cell: bool) -> Result<Tree, Fault> {
        let start = self.lexeme().span.start;
        let mut names = Vec::new();
        if !from_cell {
            let text = match self.peek() {
                Token::Name { text, .. } => text.clone(),
                _ => String::new(),
            };
            names.push(Name { text, span: self.advance() });
        }
        while let Some(dot) = self.take_sign(".") {
            names.push(self.name_after(dot)?);
        }
        let end = names.last().map_or(start, |name| name.span.end);
        self.tree(Kind::Path(Path { from_cell, names }), start..end)
    }

    /// Something follows a whole expression.
    fn unexpected(&self, before: &Tree) -> Fault {
        let Lexeme { token, span } = self.lexeme();
        let found = &self.text[span.clone()];
        let shown = &self.text[before.span.clone()];
        match token {
            _ if matches!(shown, "NOT" | "Not") => {
                Fault::new(before.span.clone(), format!("`{shown}` is no operator"), "write `not`")
            }
            Token::Sign(")" | "]") => Fault::new(
                span.clone(),
                format!("`{found}` has no opening bracket"),
                "delete it, or write the opening one",
            ),
            Token::Sign(",") => Fault::new(
                span.clone(),
                "`,` separates arguments of a function, and there is none here",
                "write a dot in numbers: `1.5`",
            ),
            Token::Name { text, quoted: false } if matches!(text.as_str(), "if" | "then" | "else") => {
                Fault::new(span.clone(), format!("`{text}` is no operator"), "write `if(condition, a, b)`")
            }
            Token::Name { text, quoted: false } if matches!(text.as_str(), "AND" | "OR" | "NOT" | "MOD" | "XOR") => {
                let help = match text.as_str() {
                    "MOD" => "write `%`".to_owned(),
                    "XOR" => "write `!=`, or `bxor(x, y)` for bits".to_owned(),
                    other => format!("write `{}`", other.to_lowercase()),
                };
                Fault::new(span.clone(), format!("`{text}` is no operator"), help)
            }
            Token::Name { quoted: false, .. } | Token::Integer(_) if matches!(before.kind, Kind::Path(_)) => {
                let help =
                    format!("write an operator between them, or one name between backticks: `` `{shown} {found}` ``");
                Fault::new(span.clone(), format!("an operator is expected before `{found}`"), help)
            }
            _ => Fault::new(span.clone(), format!("an operator is expected before `{found}`"), ""),
        }
    }
}
