//! Names and types of a tree, and the code for it.
//!
//! A piece of code has jumps by distance, all forward, so pieces are put together as they are.

mod call;
mod compare;

use std::ops::Range;
use std::sync::Arc;

use super::fault::Fault;
use super::functions::Function;
use super::parse::parse;
use super::place::Place;
use super::program::{Binary, Op, Program};
use super::tree::{Kind, Link, Name, Operator, Path, Tree};
use super::types::{Dimensions, Enumeration, Found, Lookup, Names, Type, Want};
use crate::value::{Value, did_you_mean, list};

/// A formula that can run.
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled {
    pub program: Program,
    /// The user's number of each input.
    pub inputs: Vec<u32>,
    /// Things that are probably not meant.
    pub warnings: Vec<Fault>,
}

/// The first mistake of a text that it has whatever its names mean.
pub(crate) fn syntax(text: &str) -> Option<Fault> {
    parse(text).err()
}

/// Compiles a text, or gives all its mistakes.
pub fn compile(text: &str, names: &mut dyn Names, want: &Want) -> Result<Compiled, Vec<Fault>> {
    let tree = parse(text).map_err(|fault| vec![fault])?;
    let mut checker = Checker {
        text,
        names,
        want,
        inputs: Vec::new(),
        constants: Vec::new(),
        enumerations: Vec::new(),
        places: Vec::new(),
        faults: Vec::new(),
        has_failed: false,
        reads_clock: false,
    };
    let hint = match want {
        Want::Tag { of: Type::Enumeration(of), .. } => Some(of),
        Want::Tag { .. } | Want::Condition | Want::Number => None,
    };
    let piece = checker.expression(&tree, hint);
    let piece = checker.finish(piece, &tree);
    let Checker { inputs, constants, enumerations, places, faults, has_failed, reads_clock, .. } = checker;
    if has_failed || faults.iter().any(|fault| !fault.is_warning) {
        return Err(faults);
    }
    let program = Program {
        code: piece.ops.into(),
        constants: constants.into(),
        inputs: inputs.iter().map(|(_, path)| Arc::clone(path)).collect(),
        enumerations: enumerations.into(),
        places: places.into(),
        reads_clock,
    };
    Ok(Compiled { program, inputs: inputs.into_iter().map(|(key, _)| key).collect(), warnings: faults })
}

/// Code that leaves one value.
struct Piece {
    ops: Vec<Op>,
    of: Type,
}

impl Piece {
    /// Of something that was reported.
    fn unknown() -> Piece {
        Piece { ops: Vec::new(), of: Type::Unknown }
    }

    fn into_double(mut self) -> Piece {
        if self.of == Type::Integer {
            self.ops.push(Op::ToDouble);
        }
        if self.of == Type::Integer || self.of == Type::Null {
            self.of = Type::Double;
        }
        self
    }

    fn then(mut self, op: Op, of: Type) -> Piece {
        self.ops.push(op);
        Piece { ops: self.ops, of }
    }
}

/// The distance over code.
fn over(ops: &[Op]) -> u16 {
    u16::try_from(ops.len()).expect("a formula has at most 1,000 nodes")
}

struct Checker<'a> {
    text: &'a str,
    names: &'a mut dyn Names,
    want: &'a Want,
    /// The user's number and the path as it is written.
    inputs: Vec<(u32, Arc<str>)>,
    constants: Vec<Value>,
    enumerations: Vec<Arc<Enumeration>>,
    places: Vec<Place>,
    faults: Vec<Fault>,
    /// Something was found that the user reports.
    has_failed: bool,
    reads_clock: bool,
}

/// Characters of an operand that a message shows.
const SHOWN: usize = 40;

impl Checker<'_> {
    /// One word that is missing in two places is one mistake.
    fn report(&mut self, fault: Fault) {
        if !self.faults.iter().any(|known| known.message == fault.message) {
            self.faults.push(fault);
        }
    }

    fn wrong(&mut self, span: &Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Piece {
        self.report(Fault::new(span.clone(), message, help));
        Piece::unknown()
    }

    /// A part of the text for a message.
    fn shown(&self, tree: &Tree) -> String {
        let text = self.text.get(tree.span.clone()).unwrap_or_default();
        let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        match one_line.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}…", &one_line[..end]),
            None => one_line,
        }
    }

    fn constant(&mut self, value: Value, of: Type) -> Piece {
        let known = self.constants.iter().position(|known| known.same_bits(&value));
        let at = known.unwrap_or_else(|| {
            self.constants.push(value);
            self.constants.len() - 1
        });
        Piece { ops: vec![Op::Constant(u16::try_from(at).expect("at most 1,000 nodes"))], of }
    }

    fn input(&mut self, key: u32, path: &str) -> u16 {
        let known = self.inputs.iter().position(|(known, _)| *known == key);
        let at = known.unwrap_or_else(|| {
            self.inputs.push((key, path.into()));
            self.inputs.len() - 1
        });
        u16::try_from(at).expect("at most 1,000 nodes")
    }

    /// `hint`: a bare name may be a text of this enumeration.
    fn expression(&mut self, tree: &Tree, hint: Option<&Arc<Enumeration>>) -> Piece {
        match &tree.kind {
            Kind::Integer(number) => self.constant(Value::Int64(*number), Type::Integer),
            Kind::Double(number) => self.constant(Value::Double(*number), Type::Double),
            Kind::Text(text) => self.constant(Value::text(text), Type::Text),
            Kind::Boolean(on) => self.constant(Value::Boolean(*on), Type::Boolean),
            Kind::Null => self.constant(Value::Null, Type::Null),
            Kind::Path(path) => match (hint, path.bare()) {
                (Some(hint), Some(name)) => self.named_value(tree, path, name, hint),
                _ => self.path(tree, path),
            },
            Kind::Argument(name) => match self.names.argument(name) {
                Some(Found { key, of, .. }) => self.load(key, &format!("{{{name}}}"), of, &tree.span),
                None => {
                    let help = "arguments are of methods; in a type, a parameter is put in before the formula is read";
                    self.wrong(&tree.span, format!("no argument `{name}` here"), help)
                }
            },
            Kind::Call { name, arguments } => self.call(tree, name, arguments, hint),
            Kind::Negate(inner) => {
                let piece = self.expression(inner, None);
                if piece.of.is_number() || piece.of.is_open() {
                    let of = piece.of.clone();
                    return piece.then(Op::Negate, of);
                }
                self.takes_numbers(&piece.of, inner, "-")
            }
            Kind::Not(inner) => {
                let piece = self.expression(inner, None);
                match self.condition(piece, inner, "not") {
                    Some(piece) => piece.then(Op::Not, Type::Boolean),
                    None => Piece::unknown(),
                }
            }
            Kind::Chain { first, rest } => self.chain(first, rest),
            Kind::Index { of, indices } => self.element(of, indices),
            Kind::Field { of, name } => {
                let piece = self.expression(of, None);
                self.no_field(&piece.of, of, name)
            }
        }
    }

    fn no_field(&mut self, of: &Type, tree: &Tree, name: &Name) -> Piece {
        if *of == Type::Unknown {
            return Piece::unknown();
        }
        let message = format!("`{}` is {of} and has no part `{}`", self.shown(tree), name.text);
        self.wrong(&name.span, message, "")
    }

    /// A text of an enumeration, which wins over a tag of its name.
    fn named_value(&mut self, tree: &Tree, path: &Path, name: &Name, of: &Arc<Enumeration>) -> Piece {
        let found = self.names.find(false, &[&name.text]);
        if let Some(value) = of.value(&name.text) {
            if matches!(found, Lookup::Tag(_)) {
                let message = format!("`{}` is a value of {} here, and a tag has this name too", name.text, of.name);
                let help = "for the tag write its path from the cell, with a `.` before it";
                self.report(Fault::warning(tree.span.clone(), message, help));
            }
            return self.constant(Value::Int64(value.into()), Type::Enumeration(Arc::clone(of)));
        }
        if !matches!(found, Lookup::Absent(_)) {
            return self.path(tree, path);
        }
        let mut help = did_you_mean(&name.text, of.texts());
        if help.is_empty() {
            help = format!("known are {}", list(of.texts(), 12));
        }
        self.wrong(&tree.span, format!("`{}` is not a value of {}", name.text, of.name), help)
    }

    fn look_up(&mut self, tree: &Tree, path: &Path) -> Option<Found> {
        let names: Vec<&str> = path.names.iter().map(|name| name.text.as_str()).collect();
        let written = self.text.get(tree.span.clone()).unwrap_or_default().to_owned();
        match self.names.find(path.from_cell, &names) {
            Lookup::Tag(found) => match path.names.get(found.used) {
                None => return Some(found),
                Some(name) => {
                    let message =
                        format!("`{written}`: the tag before `{}` is {} and has no parts", name.text, found.of);
                    self.wrong(&name.span, message, "");
                }
            },
            Lookup::NoTag => {
                let help = "write the path of a tag below it";
                self.wrong(&tree.span, format!("`{written}` is no tag and has no value"), help);
            }
            Lookup::Absent(help) => {
                let place = if path.from_cell { "in the cell" } else { "from here" };
                self.wrong(&tree.span, format!("no tag `{written}` {place}"), help);
            }
            Lookup::Reported => self.has_failed = true,
        }
        None
    }

    fn path(&mut self, tree: &Tree, path: &Path) -> Piece {
        let written = self.text.get(tree.span.clone()).unwrap_or_default().to_owned();
        match self.look_up(tree, path) {
            Some(Found { key, of, .. }) => self.load(key, &written, of, &tree.span),
            None => Piece::unknown(),
        }
    }

    fn load(&mut self, key: u32, written: &str, of: Type, span: &Range<usize>) -> Piece {
        if let Type::Other(name) = of {
            let help = format!("only its status can be used: `good({written})`");
            return self.wrong(span, format!("`{written}` is {name}, with which a formula cannot calculate"), help);
        }
        let at = self.input(key, written);
        Piece { ops: vec![Op::Input(at)], of }
    }

    fn element(&mut self, of: &Tree, indices: &[Tree]) -> Piece {
        let array = self.expression(of, None);
        let mut ops = array.ops;
        for index in indices {
            let piece = self.expression(index, None);
            if piece.of != Type::Integer && !piece.of.is_open() {
                let message = format!("`{}` is {}, an index is Integer", self.shown(index), piece.of);
                self.wrong(&index.span, message, format!("write `trunc({})`", self.shown(index)));
            }
            ops.extend(piece.ops);
        }
        match array.of {
            Type::Array(of, Dimensions(count)) if count == indices.len() => {
                ops.push(Op::Element(u8::try_from(count).unwrap_or(u8::MAX)));
                Piece { ops, of: *of }
            }
            Type::Array(_, Dimensions(count)) => {
                let message = format!("`{}` has {count} dimensions, found {} indices", self.shown(of), indices.len());
                self.wrong(&of.span, message, "write one index a dimension: `M[1, 2]`")
            }
            Type::Unknown => Piece::unknown(),
            other => self.wrong(&of.span, format!("`{}` is {other} and no array", self.shown(of)), ""),
        }
    }

    fn chain(&mut self, first: &Tree, rest: &[Link]) -> Piece {
        if let [Link { operator: Operator::Compare(comparison), span, right }] = rest {
            return self.compare(first, *comparison, span, right);
        }
        let mut left = self.expression(first, None);
        let mut before = first.clone();
        for Link { operator, span, right } in rest {
            let piece = self.expression(right, None);
            left = match operator {
                Operator::And | Operator::Or => self.logic(left, &before, *operator, piece, right),
                Operator::Binary(binary) => self.binary(left, &before, *binary, piece, right),
                Operator::Compare(comparison) => self.compare(first, *comparison, span, right),
            };
            // The left side of the next operator.
            before = Tree { kind: Kind::Null, span: first.span.start..right.span.end };
        }
        left
    }

    /// The piece as a condition of an operator or function, or a mistake.
    fn condition(&mut self, piece: Piece, tree: &Tree, word: &str) -> Option<Piece> {
        match piece.of {
            Type::Boolean | Type::Null => Some(piece),
            Type::Unknown => None,
            ref of => {
                let shown = self.shown(tree);
                let help = match of {
                    of if of.is_number() => format!("write `{shown} != 0`"),
                    Type::Enumeration(_) => format!("write `{shown} == …`"),
                    _ => String::new(),
                };
                let what = if matches!(word, "and" | "or") { "Booleans" } else { "a Boolean" };
                self.wrong(&tree.span, format!("`{shown}` is {of}, `{word}` takes {what}"), help);
                None
            }
        }
    }

    fn logic(&mut self, left: Piece, before: &Tree, operator: Operator, right: Piece, after: &Tree) -> Piece {
        let left = self.condition(left, before, operator.sign());
        let right = self.condition(right, after, operator.sign());
        let (Some(left), Some(right)) = (left, right) else { return Piece::unknown() };
        let mut ops = left.ops;
        let distance = over(&right.ops) + 1;
        let is_and = operator == Operator::And;
        ops.push(if is_and { Op::AndThen(distance) } else { Op::OrElse(distance) });
        ops.extend(right.ops);
        ops.push(if is_and { Op::And } else { Op::Or });
        Piece { ops, of: Type::Boolean }
    }

    fn takes_numbers(&mut self, of: &Type, tree: &Tree, word: &str) -> Piece {
        if of.is_open() {
            return Piece::unknown();
        }
        let shown = self.shown(tree);
        let help = match of {
            Type::Boolean => format!("write `if({shown}, 1, 0)`"),
            Type::Text => format!("write `number({shown})`"),
            Type::Array(..) => format!("write an element, such as `{shown}[0]`, or `sum({shown})`"),
            Type::Enumeration(_) => format!("write `if({shown} == …, 1, 0)`"),
            _ => String::new(),
        };
        self.wrong(&tree.span, format!("`{shown}` is {of}, `{word}` takes numbers"), help)
    }

    fn binary(&mut self, left: Piece, before: &Tree, operator: Binary, right: Piece, after: &Tree) -> Piece {
        let is_text = |piece: &Piece| piece.of == Type::Text;
        if operator == Binary::Add && (is_text(&left) || is_text(&right)) {
            for (piece, tree) in [(&left, before), (&right, after)] {
                if !is_text(piece) && !piece.of.is_open() {
                    let shown = self.shown(tree);
                    let message = format!("`{shown}` is {}, `+` joins Texts here", piece.of);
                    return self.wrong(&tree.span, message, format!("write `text({shown})`"));
                }
            }
            let mut ops = left.ops;
            ops.extend(right.ops);
            return Piece { ops, of: Type::Text }.then(Op::Binary(Binary::Join), Type::Text);
        }
        for (piece, tree) in [(&left, before), (&right, after)] {
            if !piece.of.is_number() && !piece.of.is_open() {
                return self.takes_numbers(&piece.of, tree, operator.sign());
            }
        }
        if left.of == Type::Unknown || right.of == Type::Unknown {
            return Piece::unknown();
        }
        let is_double = operator == Binary::Divide || left.of == Type::Double || right.of == Type::Double;
        let (left, right) = if is_double { (left.into_double(), right.into_double()) } else { (left, right) };
        let of = if is_double { Type::Double } else { Type::Integer };
        let mut ops = left.ops;
        ops.extend(right.ops);
        Piece { ops, of: of.clone() }.then(Op::Binary(operator), of)
    }

    /// The result as the formula's user wants it.
    fn finish(&mut self, piece: Piece, tree: &Tree) -> Piece {
        let (of, span) = (piece.of.clone(), tree.span.clone());
        if of == Type::Unknown {
            return piece;
        }
        match self.want {
            Want::Condition if of == Type::Boolean || of == Type::Null => piece,
            Want::Condition => {
                let help = if of.is_number() { format!("write `{} != 0`", self.shown(tree)) } else { String::new() };
                self.wrong(&span, format!("the formula gives {of}, a condition is Boolean"), help)
            }
            Want::Number if of.is_number() || of == Type::Null => piece.into_double(),
            Want::Number => self.wrong(&span, format!("the formula gives {of}, a number is expected"), ""),
            Want::Tag { of: wanted, built_in, name } => {
                let is_same = match (&of, wanted) {
                    (Type::Null, _) => true,
                    (of, wanted) if of.is_number() && wanted.is_number() => true,
                    (Type::Integer, Type::Enumeration(_)) => true,
                    (Type::Array(of, at), Type::Array(wanted, wanted_at)) => {
                        at == wanted_at && (of == wanted || of.is_number() && wanted.is_number())
                    }
                    (of, wanted) => of == wanted,
                };
                if is_same {
                    return piece.then(Op::Become(*built_in), wanted.clone());
                }
                let shown = self.shown(tree);
                let help = match (&of, wanted) {
                    (Type::Boolean, wanted) if wanted.is_number() => {
                        format!("write `if({shown}, 1, 0)`, or `type: Boolean`")
                    }
                    (of, Type::Boolean) if of.is_number() => format!("write `{shown} != 0`, or `type: Double`"),
                    (Type::Array(..), _) => format!("write an element, such as `{shown}[0]`"),
                    (_, Type::Text) => format!("write `text({shown})`"),
                    (Type::Text, wanted) if wanted.is_number() => format!("write `number({shown})`"),
                    _ => String::new(),
                };
                let message = match wanted {
                    Type::Array(..) => format!("the formula gives {of}, the tag is an array of {name}"),
                    _ => format!("the formula gives {of}, the tag is {name}"),
                };
                self.wrong(&span, message, help)
            }
        }
    }

    /// Notes that the code calls a function which changes with time.
    fn uses(&mut self, function: Function) {
        self.reads_clock |= function.reads_clock();
    }
}
