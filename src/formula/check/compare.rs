//! Comparisons, and names that are values of an enumeration.

use std::ops::Range;
use std::sync::Arc;

use super::{Checker, Piece};
use crate::formula::fault::Fault;
use crate::formula::program::{Comparison, Op};
use crate::formula::tree::{Kind, Tree};
use crate::formula::types::{Enumeration, Found, Lookup, Type};
use crate::value::list;

impl Checker<'_> {
    /// Two pieces that may name values of each other's enumeration.
    pub(super) fn pair(&mut self, left: &Tree, right: &Tree, hint: Option<&Arc<Enumeration>>) -> (Piece, Piece) {
        let is_bare = |tree: &Tree| matches!(&tree.kind, Kind::Path(path) if path.bare().is_some());
        let of = |piece: &Piece| match &piece.of {
            Type::Enumeration(of) => Some(Arc::clone(of)),
            _ => None,
        };
        // The one that is surely no name of a value comes first; of two names the one that is a tag.
        let right_first = is_bare(left) && (!is_bare(right) || self.is_of_enumeration(right));
        if hint.is_none() && right_first && !self.is_of_enumeration(left) {
            let second = self.expression(right, None);
            let first = self.expression(left, of(&second).as_ref());
            return (first, second);
        }
        let first = self.expression(left, hint);
        let of_first = of(&first);
        let second = self.expression(right, hint.or(of_first.as_ref()));
        (first, second)
    }

    /// Whether it is the name of a tag with an enumeration.
    fn is_of_enumeration(&mut self, tree: &Tree) -> bool {
        let Kind::Path(path) = &tree.kind else { return false };
        let names: Vec<&str> = path.names.iter().map(|name| name.text.as_str()).collect();
        matches!(self.names.find(path.from_cell, &names), Lookup::Tag(Found { of: Type::Enumeration(_), .. }))
    }

    pub(super) fn compare(&mut self, left: &Tree, comparison: Comparison, span: &Range<usize>, right: &Tree) -> Piece {
        let is_equality = matches!(comparison, Comparison::Equal | Comparison::Unequal);
        let literal = [(left, right), (right, left)].into_iter().find(|(null, _)| null.kind == Kind::Null);
        if let Some((_, other)) = literal.filter(|_| is_equality) {
            let piece = self.expression(other, None).then(Op::IsNull, Type::Boolean);
            return match comparison {
                Comparison::Equal => piece,
                _ => piece.then(Op::Not, Type::Boolean),
            };
        }
        let (a, b) = self.pair(left, right, None);
        if a.of == Type::Unknown || b.of == Type::Unknown {
            return Piece::unknown();
        }
        let sign = comparison.sign();
        if is_equality && a.of == Type::Double && b.of == Type::Double {
            let message = format!("`{sign}` compares two Doubles, which are hardly ever equal to the last digit");
            let sign = if comparison == Comparison::Equal { "<" } else { ">=" };
            let help = format!("write `abs({} - {}) {sign} 0.01`", self.shown(left), self.shown(right));
            self.report(Fault::warning(span.clone(), message, help));
        }
        let is_double = a.of == Type::Double || b.of == Type::Double;
        let (a, b) = if is_double && (a.of.is_number() || a.of.is_open()) && (b.of.is_number() || b.of.is_open()) {
            (a.into_double(), b.into_double())
        } else {
            (a, b)
        };
        let has_order = |of: &Type| of.is_number() || matches!(of, Type::Text | Type::DateTime | Type::Null);
        for (piece, tree) in [(&a, left), (&b, right)] {
            let is_compared = match is_equality {
                true => !matches!(piece.of, Type::Array(..)),
                false => has_order(&piece.of),
            };
            if !is_compared {
                let message = format!("`{}` is {}, `{sign}` does not compare it", self.shown(tree), piece.of);
                let help = match piece.of {
                    Type::Array(..) => "compare its elements",
                    _ => "use `==` or `!=`",
                };
                return self.wrong(&tree.span, message, help);
            }
        }
        if a.of != b.of && !a.of.is_open() && !b.of.is_open() {
            let (a_of, b_of) = (&a.of, &b.of);
            let message = format!("`{sign}` compares {a_of} with {b_of}");
            let help = match (a_of, b_of) {
                (Type::Enumeration(of), _) | (_, Type::Enumeration(of)) => {
                    format!("write one of its values: {}", list(of.texts(), 12))
                }
                (Type::Boolean, _) => format!("write `{}` alone, or `not {0}`", self.shown(left)),
                (Type::Text, of) if of.is_number() => format!("write `number({})`", self.shown(left)),
                (of, Type::Text) if of.is_number() => format!("write `number({})`", self.shown(right)),
                _ => String::new(),
            };
            return self.wrong(&(left.span.start..right.span.end), message, help);
        }
        let mut ops = a.ops;
        ops.extend(b.ops);
        Piece { ops, of: Type::Boolean }.then(Op::Compare(comparison), Type::Boolean)
    }
}
