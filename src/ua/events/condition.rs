//! The where clause: operators over fields and literals, in the three-valued logic of Part 4 §7.7.3 (1.05).

use std::cmp::Ordering;

use opcua::StatusCode;

use super::Event;
use super::operand::FieldOperand;
use crate::stack::codec::Reader;
use crate::ua::space::{NodeIx, OwnedNodeId, Space};
use crate::value::Value;

#[derive(Debug)]
pub(crate) struct Element {
    pub operator: Operator,
    pub operands: Vec<Operand>,
}

#[derive(Debug)]
pub(crate) enum Operand {
    /// A later element.
    Element(usize),
    Literal(Value),
    Field(FieldOperand),
    /// The literal of an OfType, and the type that it is in the present address space.
    Type(OwnedNodeId, Option<NodeIx>),
}

impl Operand {
    /// Looks types and fields up again, in another address space.
    pub(crate) fn resolve(&mut self, space: &Space) {
        match self {
            Operand::Field(field) => field.resolve(space),
            Operand::Type(id, at) => *at = space.find(id.borrow()),
            Operand::Element(_) | Operand::Literal(_) => {}
        }
    }

    /// The operand of an OfType: a literal is looked up once and not with each event.
    pub(crate) fn into_type(self, space: &Space) -> Operand {
        match self {
            Operand::Literal(value) => match named_type(&value) {
                Some(id) => {
                    let at = space.find(id.borrow());
                    Operand::Type(id, at)
                }
                None => Operand::Literal(value),
            },
            other => other,
        }
    }
}

/// FilterOperator (Part 4 §7.7.3, Table 115, 1.05); the ones that need a view or other nodes are not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Equals,
    IsNull,
    GreaterThan,
    LessThan,
    GreaterThanOrEqual,
    LessThanOrEqual,
    Like,
    Not,
    Between,
    InList,
    And,
    Or,
    OfType,
    BitwiseAnd,
    BitwiseOr,
}

impl Operator {
    pub(crate) fn from_wire(number: i32) -> Result<Operator, StatusCode> {
        Ok(match number {
            0 => Operator::Equals,
            1 => Operator::IsNull,
            2 => Operator::GreaterThan,
            3 => Operator::LessThan,
            4 => Operator::GreaterThanOrEqual,
            5 => Operator::LessThanOrEqual,
            6 => Operator::Like,
            7 => Operator::Not,
            8 => Operator::Between,
            9 => Operator::InList,
            10 => Operator::And,
            11 => Operator::Or,
            14 => Operator::OfType,
            16 => Operator::BitwiseAnd,
            17 => Operator::BitwiseOr,
            12 | 13 | 15 => return Err(StatusCode::BadFilterOperatorUnsupported),
            _ => return Err(StatusCode::BadFilterOperatorInvalid),
        })
    }

    pub(crate) fn takes(self, operands: &[Operand]) -> bool {
        match self {
            Operator::IsNull | Operator::Not | Operator::OfType => operands.len() == 1,
            Operator::Between => operands.len() == 3,
            Operator::InList => operands.len() >= 2,
            _ => operands.len() == 2,
        }
    }
}

/// Whether the event passes; "unknown" does not.
pub(crate) fn matches(elements: &[Element], event: &Event, space: &Space) -> bool {
    // An operand only names later elements: from the back, each is computed once, however often it is named.
    let mut results = vec![Value::Null; elements.len()];
    for at in (0..elements.len()).rev() {
        results[at] = evaluate(&elements[at], &results, event, space);
    }
    results.first() == Some(&Value::Boolean(true))
}

fn evaluate(element: &Element, results: &[Value], event: &Event, space: &Space) -> Value {
    let operand = |n: usize| match element.operands.get(n) {
        Some(Operand::Element(index)) => results.get(*index).cloned().unwrap_or_default(),
        Some(Operand::Literal(value)) => value.clone(),
        Some(Operand::Field(field)) => field.value(event, space),
        Some(Operand::Type(..)) | None => Value::Null,
    };
    let ordered = |wanted: fn(Ordering) -> bool| known(compare(&operand(0), &operand(1)).map(wanted));
    match element.operator {
        Operator::Equals => known(equal(&operand(0), &operand(1))),
        Operator::IsNull => Value::Boolean(operand(0).is_null()),
        Operator::GreaterThan => ordered(Ordering::is_gt),
        Operator::LessThan => ordered(Ordering::is_lt),
        Operator::GreaterThanOrEqual => ordered(Ordering::is_ge),
        Operator::LessThanOrEqual => ordered(Ordering::is_le),
        Operator::Like => match (&operand(0), &operand(1)) {
            (Value::String(text), Value::String(pattern)) => Value::Boolean(like(text, pattern)),
            _ => Value::Null,
        },
        Operator::Not => known(truth(&operand(0)).map(|v| !v)),
        Operator::Between => {
            let (value, low, high) = (operand(0), operand(1), operand(2));
            known(compare(&value, &low).zip(compare(&value, &high)).map(|(low, high)| low.is_ge() && high.is_le()))
        }
        Operator::InList => {
            let value = operand(0);
            Value::Boolean((1..element.operands.len()).any(|n| equal(&value, &operand(n)) == Some(true)))
        }
        Operator::And => match (truth(&operand(0)), truth(&operand(1))) {
            (Some(false), _) | (_, Some(false)) => Value::Boolean(false),
            (Some(true), Some(true)) => Value::Boolean(true),
            _ => Value::Null,
        },
        Operator::Or => match (truth(&operand(0)), truth(&operand(1))) {
            (Some(true), _) | (_, Some(true)) => Value::Boolean(true),
            (Some(false), Some(false)) => Value::Boolean(false),
            _ => Value::Null,
        },
        Operator::OfType => {
            let wanted = match element.operands.first() {
                Some(Operand::Type(_, at)) => *at,
                _ => named_type(&operand(0)).and_then(|id| space.find(id.borrow())),
            };
            Value::Boolean(wanted.is_some_and(|wanted| space.is_a(event.kind, wanted)))
        }
        Operator::BitwiseAnd => bits(&operand(0), &operand(1), |a, b| a & b),
        Operator::BitwiseOr => bits(&operand(0), &operand(1), |a, b| a | b),
    }
}

fn known(truth: Option<bool>) -> Value {
    truth.map_or(Value::Null, Value::Boolean)
}

fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Boolean(v) => Some(*v),
        _ => None,
    }
}

fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::DateTime(a), Value::DateTime(b)) => Some(a.cmp(b)),
        _ => match (a.as_integer(), b.as_integer()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
        },
    }
}

fn equal(a: &Value, b: &Value) -> Option<bool> {
    if a.is_null() || b.is_null() {
        return None;
    }
    Some(compare(a, b).map_or_else(|| a.same_bits(b), Ordering::is_eq))
}

fn bits(a: &Value, b: &Value, join: fn(i128, i128) -> i128) -> Value {
    let joined = a.as_integer().zip(b.as_integer()).map(|(a, b)| join(a, b));
    let kind = a.built_in().max(b.built_in());
    joined.zip(kind).and_then(|(number, kind)| Value::from_integer(kind, number)).unwrap_or_default()
}

/// The node that a NodeId or an ExpandedNodeId names.
fn named_type(value: &Value) -> Option<OwnedNodeId> {
    let Value::Wire(bytes) = value else { return None };
    let mut reader = Reader::new(bytes);
    match reader.u8() {
        Ok(17) => reader.node_id().ok().and_then(OwnedNodeId::of),
        Ok(18) => reader.expanded_node_id().ok().and_then(|id| OwnedNodeId::of(id.node_id)),
        _ => None,
    }
}

/// SQL-like patterns (Part 4 annex B, Table B.3, 1.05): `%` any text, `_` one character, `[…]` `[^…]` sets, `\` escapes.
fn like(text: &str, pattern: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let pattern: Vec<char> = pattern.chars().collect();
    // Positions of the last `%` seen, so that matching stays quadratic at worst and never recurses.
    let (mut t, mut p) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        match one(&pattern, p) {
            Some((Piece::Any, next)) => {
                back = Some((next, t));
                p = next;
                continue;
            }
            Some((piece, next)) if piece.takes(text[t]) => {
                t += 1;
                p = next;
                continue;
            }
            _ => {}
        }
        match &mut back {
            Some((after, from)) => {
                *from += 1;
                t = *from;
                p = *after;
            }
            None => return false,
        }
    }
    pattern[p..].iter().all(|c| *c == '%')
}

enum Piece<'p> {
    Any,
    One,
    Exactly(char),
    Set(&'p [char], bool),
}

impl Piece<'_> {
    fn takes(&self, c: char) -> bool {
        match self {
            Piece::Any | Piece::One => true,
            Piece::Exactly(wanted) => *wanted == c,
            Piece::Set(set, negated) => {
                let ranges = set.windows(3).any(|w| w[1] == '-' && (w[0]..=w[2]).contains(&c));
                (ranges || set.contains(&c)) != *negated
            }
        }
    }
}

fn one(pattern: &[char], at: usize) -> Option<(Piece<'_>, usize)> {
    Some(match pattern.get(at)? {
        '%' => (Piece::Any, at + 1),
        '_' => (Piece::One, at + 1),
        '\\' => (Piece::Exactly(*pattern.get(at + 1)?), at + 2),
        '[' => {
            let end = at + 1 + pattern[at + 1..].iter().position(|c| *c == ']')?;
            let negated = pattern.get(at + 1) == Some(&'^');
            (Piece::Set(&pattern[at + 1 + usize::from(negated)..end], negated), end + 1)
        }
        c => (Piece::Exactly(*c), at + 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_the_table_of_the_specification_says() {
        for (text, pattern, matches) in [
            ("Headline", "%line%", true),
            ("Headline", "head%", false),
            ("abc", "a_c", true),
            ("abc", "a_", false),
            ("5", "[0-9]", true),
            ("x", "[^0-9]", true),
            ("5%", "5\\%", true),
            ("", "%", true),
            ("aaaaaaaaaaaaaaaaaaaaaaaaab", "%a%a%a%a%a%a%a%c", false),
        ] {
            assert_eq!(like(text, pattern), matches, "{text:?} like {pattern:?}");
        }
    }

    #[test]
    fn numbers_compare_across_types_and_unknown_stays_unknown() {
        assert_eq!(equal(&Value::UInt16(500), &Value::Int32(500)), Some(true));
        assert_eq!(compare(&Value::UInt64(u64::MAX), &Value::Int64(-1)), Some(Ordering::Greater));
        assert_eq!(equal(&Value::Null, &Value::Int32(1)), None);
        assert_eq!(compare(&Value::text("a"), &Value::Int32(1)), None);
    }
}
