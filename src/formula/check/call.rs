//! Calls of functions: their arguments, their types, their code.

use std::sync::Arc;

use super::{Checker, Piece, over};
use crate::formula::functions::{ANY, Function, Function as F, TABLE, find, meant};
use crate::formula::place::{Place, Window};
use crate::formula::program::Op;
use crate::formula::tree::{Kind, Name, Tree};
use crate::formula::types::{Enumeration, Type, Want};
use crate::value::did_you_mean;

/// Greatest number of digits that `round` and `text` take.
const MOST_DIGITS: i64 = 15;

impl Checker<'_> {
    pub(super) fn call(
        &mut self,
        tree: &Tree,
        name: &Name,
        arguments: &[Tree],
        hint: Option<&Arc<Enumeration>>,
    ) -> Piece {
        let Some(row) = find(&name.text) else {
            let help = match meant(&name.text) {
                Some(known) => format!("did you mean `{known}`?"),
                None => did_you_mean(&name.text, TABLE.iter().map(|row| row.name)),
            };
            return self.wrong(&name.span, format!("no function `{}`", name.text), help);
        };
        let (fewest, most) = row.arguments;
        let count = arguments.len();
        if count < fewest || count > most {
            let expected = match (fewest, most) {
                (0, 0) => "no arguments".to_owned(),
                (1, 1) => "1 argument".to_owned(),
                (fewest, most) if fewest == most => format!("{fewest} arguments"),
                (fewest, ANY) => format!("at least {fewest} argument{}", if fewest == 1 { "" } else { "s" }),
                (fewest, most) => format!("{fewest} or {most} arguments"),
            };
            let message = format!("`{}` takes {expected}, found {count}", row.name);
            return self.wrong(&tree.span, message, row.usage);
        }
        self.uses(row.function);
        match (row.function, arguments) {
            (F::If, [condition, a, b]) => self.branches(condition, a, b, hint),
            (F::Default, [x, y]) => self.with_default(x, y, hint),
            (F::IsNull, [x]) => {
                let piece = self.expression(x, None);
                piece.then(Op::IsNull, Type::Boolean)
            }
            (function, [tag]) if function.is_of_tag() => self.of_tag(function, row.name, tag),
            (F::Prev, _) => self.previous(tree),
            (F::Rate | F::Delta | F::Mean | F::Lowest | F::Highest | F::Total, [x, span]) => {
                self.over_time(row.function, row.name, x, span)
            }
            (F::CountRises | F::OnTime, [condition]) => self.of_condition(row.function, row.name, condition),
            (F::OnDelay | F::OffDelay, [condition, delay]) => self.delayed(row.function, row.name, condition, delay),
            (function, arguments) => self.plain(function, row.name, arguments),
        }
    }

    /// Both pieces with one type.
    fn unified(&mut self, a: Piece, b: Piece, trees: [&Tree; 2], word: &str) -> Option<(Piece, Piece)> {
        if a.of == Type::Unknown || b.of == Type::Unknown {
            return None;
        }
        let is_double = a.of == Type::Double || b.of == Type::Double;
        let fits = |piece: &Piece| piece.of.is_number() || piece.of == Type::Null;
        if is_double && fits(&a) && fits(&b) {
            return Some((a.into_double(), b.into_double()));
        }
        if a.of == b.of || a.of == Type::Null || b.of == Type::Null {
            return Some((a, b));
        }
        let (of_a, of_b) = (a.of, b.of);
        let message = format!("`{word}` gives {of_a} or {of_b}: both must be of one type");
        let help = match (&of_a, &of_b) {
            (Type::Text, other) if other.is_number() => format!("write `text({})`", self.shown(trees[1])),
            (other, Type::Text) if other.is_number() => format!("write `text({})`", self.shown(trees[0])),
            _ => String::new(),
        };
        self.wrong(&(trees[0].span.start..trees[1].span.end), message, help);
        None
    }

    fn branches(&mut self, condition: &Tree, a: &Tree, b: &Tree, hint: Option<&Arc<Enumeration>>) -> Piece {
        let piece = self.expression(condition, None);
        let condition = self.condition(piece, condition, "if");
        let (first, second) = self.pair(a, b, hint);
        let both = self.unified(first, second, [a, b], "if");
        let (Some(condition), Some((first, second))) = (condition, both) else { return Piece::unknown() };
        let of = if first.of == Type::Null { second.of } else { first.of };
        let mut ops = condition.ops;
        let to_second = over(&first.ops) + 1;
        ops.push(Op::Branch(to_second, to_second + over(&second.ops)));
        ops.extend(first.ops);
        ops.push(Op::Jump(over(&second.ops)));
        ops.extend(second.ops);
        Piece { ops, of }
    }

    fn with_default(&mut self, x: &Tree, y: &Tree, hint: Option<&Arc<Enumeration>>) -> Piece {
        let (first, second) = self.pair(x, y, hint);
        let Some((first, second)) = self.unified(first, second, [x, y], "default") else { return Piece::unknown() };
        let of = if first.of == Type::Null { second.of } else { first.of };
        let mut ops = vec![Op::Try(over(&first.ops) + 1)];
        ops.extend(first.ops);
        ops.push(Op::Tried(over(&second.ops) + 1));
        ops.push(Op::Substitute);
        ops.extend(second.ops);
        Piece { ops, of }
    }

    /// The tag that an argument names, and its number as an input.
    fn tag(&mut self, tree: &Tree, word: &str) -> Option<u16> {
        let Kind::Path(path) = &tree.kind else {
            let message = format!("`{}` is no tag, `{word}` takes one", self.shown(tree));
            self.wrong(&tree.span, message, format!("write the path of a tag: `{word}(Flow)`"));
            return None;
        };
        let found = self.look_up(tree, path)?;
        let written = self.text.get(tree.span.clone()).unwrap_or_default().to_owned();
        Some(self.input(found.key, &written))
    }

    fn of_tag(&mut self, function: Function, word: &str, tree: &Tree) -> Piece {
        let Some(at) = self.tag(tree, word) else { return Piece::unknown() };
        match function {
            F::Age => self.at_place(Vec::new(), Place::Age(at), Type::Double),
            F::Fresh => Piece { ops: vec![Op::OfTag(function, at)], of: Type::Double },
            F::Status => Piece { ops: vec![Op::OfTag(function, at)], of: Type::Text },
            _ => Piece { ops: vec![Op::OfTag(function, at)], of: Type::Boolean },
        }
    }

    fn previous(&mut self, tree: &Tree) -> Piece {
        let Want::Tag { of, .. } = self.want else {
            return self.wrong(&tree.span, "`prev` has a meaning in `expr` of a tag alone", "");
        };
        let of = of.clone();
        let known = self.places.iter().position(|place| *place == Place::Previous);
        match known.and_then(|at| u16::try_from(at).ok()) {
            Some(at) => Piece { ops: vec![Op::Recall(at)], of },
            None => self.at_place(Vec::new(), Place::Previous, of),
        }
    }

    /// Calls a function with memory, which takes what the code leaves.
    fn at_place(&mut self, mut ops: Vec<Op>, place: Place, of: Type) -> Piece {
        self.places.push(place);
        ops.push(Op::Recall(u16::try_from(self.places.len() - 1).expect("at most 1,000 nodes")));
        Piece { ops, of }
    }

    /// The same for a function that must learn of the time without a value.
    fn at_place_with_gaps(&mut self, piece: Piece, place: Place) -> Piece {
        self.places.push(place);
        let at = u16::try_from(self.places.len() - 1).expect("at most 1,000 nodes");
        let mut ops = vec![Op::Try(over(&piece.ops) + 3)];
        ops.extend(piece.ops);
        ops.extend([Op::TriedAny, Op::Recall(at), Op::Jump(1), Op::Missed(at)]);
        Piece { ops, of: Type::Double }
    }

    /// A duration that is written as a number.
    fn fixed(&mut self, tree: &Tree, word: &str) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a duration")]
        let seconds = match tree.kind {
            Kind::Integer(number) => Some(number as f64),
            Kind::Double(number) => Some(number),
            _ => None,
        };
        let Some(seconds) = seconds.filter(|seconds| (0.001..=MOST_SECONDS).contains(seconds)) else {
            let message = format!("`{}` is no fixed duration, `{word}` takes one", self.shown(tree));
            self.wrong(&tree.span, message, "write a number with a unit from `1ms` to `3660d`, such as `10min`");
            return None;
        };
        Some(seconds)
    }

    fn over_time(&mut self, function: Function, word: &str, x: &Tree, span: &Tree) -> Piece {
        let seconds = self.fixed(span, word);
        let found = match &x.kind {
            Kind::Path(path) => self.look_up(x, path),
            _ => None,
        };
        let piece = self.expression(x, None);
        if !piece.of.is_number() && !piece.of.is_open() {
            return self.takes_numbers(&piece.of, x, word);
        }
        let Some(seconds) = seconds.filter(|_| piece.of != Type::Unknown) else { return Piece::unknown() };
        let (is_sloped, wraps_at) = found.map_or((false, None), |found| (found.is_sloped, found.wraps_at));
        let place = match function {
            F::Total => Place::Total { per: seconds, is_sloped },
            _ => Place::Window(Window { function, seconds, is_sloped, wraps_at }),
        };
        self.at_place_with_gaps(piece.into_double(), place)
    }

    fn of_condition(&mut self, function: Function, word: &str, condition: &Tree) -> Piece {
        let piece = self.expression(condition, None);
        let Some(piece) = self.condition(piece, condition, word) else { return Piece::unknown() };
        match function {
            F::CountRises => self.at_place(piece.ops, Place::Rises, Type::Integer),
            _ => self.at_place_with_gaps(piece, Place::OnTime),
        }
    }

    fn delayed(&mut self, function: Function, word: &str, condition: &Tree, delay: &Tree) -> Piece {
        let piece = self.expression(condition, None);
        let condition = self.condition(piece, condition, word);
        let seconds = self.expression(delay, None);
        if !seconds.of.is_number() && !seconds.of.is_open() {
            return self.takes_numbers(&seconds.of, delay, word);
        }
        let (Some(condition), true) = (condition, seconds.of != Type::Unknown) else { return Piece::unknown() };
        let mut ops = condition.ops;
        ops.extend(seconds.into_double().ops);
        let place = if function == F::OnDelay { Place::OnDelay } else { Place::OffDelay };
        self.at_place(ops, place, Type::Boolean)
    }

    /// A function without memory: all its arguments are used.
    fn plain(&mut self, function: Function, word: &str, arguments: &[Tree]) -> Piece {
        let mut pieces: Vec<Piece> = arguments.iter().map(|tree| self.expression(tree, None)).collect();
        let (mut fits, called) = (true, Called { function, word, is_alone: arguments.len() == 1 });
        for (at, (piece, tree)) in pieces.iter().zip(arguments).enumerate() {
            fits &= piece.of.is_open() || self.fits(called, at, &piece.of, tree);
        }
        if !fits || pieces.iter().any(|piece| piece.of == Type::Unknown) {
            return Piece::unknown();
        }
        if let (F::Text, [Piece { of: Type::Enumeration(of), .. }]) = (function, &pieces[..]) {
            let of = Arc::clone(of);
            let at = self.enumerations.iter().position(|known| *known == of).unwrap_or(self.enumerations.len());
            if at == self.enumerations.len() {
                self.enumerations.push(of);
            }
            let piece = pieces.remove(0);
            return piece.then(Op::Named(u16::try_from(at).expect("at most 1,000 nodes")), Type::Text);
        }
        let of = result(function, &pieces);
        let rounds = matches!(function, F::Floor | F::Ceil | F::Trunc | F::Round | F::Sign);
        let is_double = of == Type::Double && function != F::Number
            || rounds && pieces.first().is_some_and(|piece| piece.of == Type::Double);
        let count = u8::try_from(pieces.len()).unwrap_or(u8::MAX);
        let mut ops = Vec::new();
        for (at, piece) in pieces.into_iter().enumerate() {
            // The digits of `round` stay an Integer.
            let stays = function == F::Round && at == 1;
            ops.extend(if is_double && !stays { piece.into_double().ops } else { piece.ops });
        }
        ops.push(Op::Call(function, count));
        Piece { ops, of }
    }

    /// Whether an argument fits, or a mistake.
    fn fits(&mut self, called: Called<'_>, at: usize, of: &Type, tree: &Tree) -> bool {
        let Called { function, word, is_alone } = called;
        let is_many = matches!(function, F::Min | F::Max | F::Sum | F::Avg);
        let is_array = |of: &Type| matches!(of, Type::Array(of, _) if of.is_number());
        let (takes, fits) = match function {
            F::Round | F::Text | F::Part if at > 0 => ("an Integer", *of == Type::Integer),
            F::Text => {
                ("a number, Boolean, Text, DateTime or enumeration", !matches!(of, Type::Array(..) | Type::Other(_)))
            }
            F::Div | F::Bit | F::Band | F::Bor | F::Bxor | F::Shl | F::Shr => ("Integers", *of == Type::Integer),
            F::Number | F::Len | F::Upper | F::Lower | F::Trim | F::Contains | F::Starts | F::Part => {
                ("a Text", *of == Type::Text)
            }
            F::Hour | F::Minute | F::Weekday => ("a DateTime", *of == Type::DateTime),
            F::Count => ("an array", matches!(of, Type::Array(..))),
            _ => ("numbers", of.is_number() || is_many && is_alone && is_array(of)),
        };
        let shown = self.shown(tree);
        if fits {
            let is_digits = matches!(function, F::Round | F::Text) && at == 1;
            if is_digits && matches!(tree.kind, Kind::Integer(digits) if digits > MOST_DIGITS) {
                self.wrong(&tree.span, format!("`{word}` takes at most {MOST_DIGITS} digits"), "");
                return false;
            }
            return true;
        }
        if takes == "numbers" {
            self.takes_numbers(of, tree, word);
            return false;
        }
        let help = match (takes, of) {
            ("Integers" | "an Integer", Type::Double) => format!("write `round({shown})`"),
            ("a Text", of) if of.is_number() => format!("write `text({shown})`"),
            ("a DateTime", _) => format!("write `{word}(now())`"),
            _ => String::new(),
        };
        self.wrong(&tree.span, format!("`{shown}` is {of}, `{word}` takes {takes}"), help);
        false
    }
}

/// A function, and whether it has one argument.
#[derive(Clone, Copy)]
struct Called<'a> {
    function: Function,
    word: &'a str,
    is_alone: bool,
}

/// Ten years.
const MOST_SECONDS: f64 = 3660.0 * 86400.0;

fn result(function: Function, pieces: &[Piece]) -> Type {
    let is_double = |piece: &Piece| match &piece.of {
        Type::Array(of, _) => **of == Type::Double,
        of => *of == Type::Double,
    };
    match function {
        F::Abs | F::Clamp | F::Min | F::Max | F::Sum => {
            if pieces.iter().any(is_double) {
                Type::Double
            } else {
                Type::Integer
            }
        }
        F::Sign | F::Floor | F::Ceil | F::Trunc | F::Div | F::Count | F::Band | F::Bor | F::Bxor | F::Shl | F::Shr => {
            Type::Integer
        }
        F::Round if pieces.len() == 1 => Type::Integer,
        F::Len | F::Hour | F::Minute | F::Weekday => Type::Integer,
        F::Bit | F::Contains | F::Starts => Type::Boolean,
        F::Text | F::Upper | F::Lower | F::Trim | F::Part => Type::Text,
        F::Now => Type::DateTime,
        _ => Type::Double,
    }
}
