//! Formulas as people write them: results, and mistakes with their places.

use opcell::testing::formula::{Dimensions, Type};
use opcell::value::{Elements, Moment, UaTime, Value};
use opcua::StatusCode;

use crate::{Running, Tag, Tags, compiled, state};

fn tags() -> Tags {
    let numbers = Type::Array(Box::new(Type::Double), Dimensions(1));
    Tags(vec![
        Tag::new("Flow", Type::Double, Value::Double(2.5)),
        Tag::new("Level", Type::Double, Value::Double(40.0)),
        Tag::new("Total", Type::Integer, Value::Int32(7)),
        Tag::new("Count", Type::Integer, Value::Int32(-7)),
        Tag::new("Running", Type::Boolean, Value::Boolean(true)),
        Tag::new("Name", Type::Text, Value::text("Füller 3")),
        Tag::new("State", Type::Enumeration(state()), Value::Int32(1)),
        Tag::new("Empty", Type::Double, Value::Null),
        Tag::new("Weights", numbers, Value::array(Elements::Double(vec![1.0, 2.5, 4.0]))),
        Tag::new(
            "Start",
            Type::DateTime,
            Value::DateTime(UaTime::from_unix(std::time::Duration::from_secs(1_700_000_000))),
        ),
        Tag::new("Motor 1", Type::Integer, Value::Int16(3)),
    ])
}

fn run(text: &str, of: Type) -> (Value, StatusCode) {
    let mut tags = tags();
    let outcome = Running::new(text, &mut tags, of).run(&tags, Moment::now());
    (outcome.value, outcome.status)
}

#[test]
fn formulas_give_what_the_page_says() {
    let double = |number: f64| (Type::Double, Value::Double(number));
    let integer = |number: i64| (Type::Integer, Value::Int64(number));
    let boolean = |on: bool| (Type::Boolean, Value::Boolean(on));
    let text = |text: &str| (Type::Text, Value::text(text));
    for (formula, (of, value)) in [
        ("1 + 2 * 3", integer(7)),
        ("(1 + 2) * 3", integer(9)),
        ("10 - 4 - 3", integer(3)),
        ("7 / 2", double(3.5)),
        ("Count % 3", integer(-1)),
        ("7.5 % 2", double(1.5)),
        ("-Flow", double(-2.5)),
        ("--Total", integer(7)),
        ("0x1F", integer(31)),
        ("500ms + 2s + 1.5min + 2h + 1d", double(0.5 + 2.0 + 90.0 + 7_200.0 + 86_400.0)),
        ("1e3 + 1.5e-1", double(1_000.15)),
        // The tag rounds as a write would: half away from zero.
        ("Flow", integer(3)),
        ("-Flow", integer(-3)),
        ("Total", double(7.0)),
        ("not Running or Total > 3 and Flow >= 2.5", boolean(true)),
        ("not (Running or true)", boolean(false)),
        ("State == Running", boolean(true)),
        ("Running == State", boolean(true)),
        ("State != `Not ready`", boolean(true)),
        ("text(State)", text("Running")),
        ("if(State == Stopped, 'off', \"on\")", text("on")),
        ("if(Running, 1, 2.5)", double(1.0)),
        ("Name + ' is ' + text(Level, 1)", text("Füller 3 is 40.0")),
        ("'it''s'", text("it's")),
        ("upper(part(Name, 0, 3))", text("FÜL")),
        ("part(Name, 7, 100)", text("3")),
        ("len(Name)", integer(8)),
        ("number('1.25') * 2", double(2.5)),
        ("Weights[1] + Weights[Total - 5]", double(6.5)),
        ("sum(Weights) / count(Weights)", double(2.5)),
        ("avg(Weights) + min(Weights) + max(1, 2.5, Total)", double(2.5 + 1.0 + 7.0)),
        ("default(Empty, 3)", double(3.0)),
        ("isnull(Empty)", boolean(true)),
        ("Empty == null", boolean(true)),
        ("Flow != null", boolean(true)),
        ("Empty > 3 or true", boolean(true)),
        ("Empty > 3 and false", boolean(false)),
        ("round(2.345, 2)", double(2.35)),
        ("round(1234.5, -2)", double(1_200.0)),
        ("text(2.5, 0)", text("3")),
        ("text(7, 2)", text("7.00")),
        ("clamp(Level, 0, 30)", double(30.0)),
        ("bit(5, 2) and not bit(5, 1)", boolean(true)),
        ("bor(shl(1, 4), band(7, 3))", integer(19)),
        ("shr(-1, 60)", integer(15)),
        ("div(-7, 2)", integer(-3)),
        ("sign(Count) * abs(Count)", integer(-7)),
        // 2023-11-14T22:13:20Z is a Tuesday; the test's zone is an hour ahead.
        ("hour(Start) * 100 + minute(Start)", integer(2_313)),
        ("weekday(Start)", integer(2)),
        ("`Motor 1` * 2", integer(6)),
        (".Total + 1", integer(8)),
        ("status(Flow)", text("Good")),
    ] {
        assert_eq!(run(formula, of), (value.clone(), status(formula)), "{formula}");
    }
}

/// Formulas of the table above whose result is not Good.
fn status(formula: &str) -> StatusCode {
    if formula.starts_with("default(Empty") { StatusCode::UncertainSubstituteValue } else { StatusCode::Good }
}

#[test]
fn an_enumeration_is_given_by_its_names() {
    let of = Type::Enumeration(state());
    assert_eq!(run("if(Running, `Not ready`, Stopped)", of.clone()).0, Value::Int32(-7));
    assert_eq!(run("State", of.clone()).0, Value::Int32(1));
    assert_eq!(run("default(State, Stopped)", of).0, Value::Int32(1));
}

#[test]
fn what_has_no_value_is_bad_and_never_zero() {
    let range = StatusCode::BadOutOfRange;
    for (formula, of, status, why) in [
        ("1 / 0", Type::Double, range, "divides by zero"),
        ("Total % 0", Type::Integer, range, "divides by zero"),
        ("div(1, 0)", Type::Integer, range, "divides by zero"),
        ("9223372036854775807 + 1", Type::Integer, range, "beyond the type"),
        ("1e308 * 10", Type::Double, range, "beyond the type"),
        ("exp(1000)", Type::Double, range, "beyond the type"),
        ("sqrt(-1)", Type::Double, range, "no result"),
        ("ln(0)", Type::Double, range, "no result"),
        ("floor(1e300)", Type::Integer, range, "beyond the type"),
        ("shl(1, 63)", Type::Integer, range, "beyond the type"),
        ("bit(1, 64)", Type::Boolean, range, "no result"),
        ("Weights[3]", Type::Double, StatusCode::BadIndexRangeNoData, "element"),
        ("Weights[-1]", Type::Double, StatusCode::BadIndexRangeNoData, "element"),
        ("number(Name)", Type::Double, StatusCode::BadTypeMismatch, "text that is none"),
        ("null", Type::Double, StatusCode::BadNoData, "no value"),
        ("Empty + 1", Type::Double, StatusCode::BadNoData, "no value"),
        ("if(Empty > 1, 1, 2)", Type::Integer, StatusCode::BadNoData, "no value"),
        ("Total + 9223372036854775807 - 7", Type::Integer, range, "beyond the type"),
    ] {
        let mut tags = tags();
        let mut running = Running::new(formula, &mut tags, of);
        let outcome = running.run(&tags, Moment::now());
        assert_eq!((&outcome.value, outcome.status), (&Value::Null, status), "{formula}");
        assert!(running.explain(&outcome).contains(why), "{formula}: {}", running.explain(&outcome));
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn mistakes_have_their_place_and_their_remedy() {
    for (formula, of, part, message, help) in [
        ("Flow + Totl", Type::Double, "Totl", "no tag `Totl` from here", ""),
        ("iff(Running, 1, 2)", Type::Integer, "iff", "no function `iff`", "did you mean `if`?"),
        ("Flow + average(Flow)", Type::Double, "average", "no function `average`", "did you mean `avg`?"),
        (
            "round(1, 2, 3)",
            Type::Double,
            "round(1, 2, 3)",
            "`round` takes 1 or 2 arguments, found 3",
            "round(x, digits)",
        ),
        ("now(1)", Type::DateTime, "now(1)", "`now` takes no arguments, found 1", "now()"),
        (
            "1 + Running",
            Type::Integer,
            "Running",
            "`Running` is Boolean, `+` takes numbers",
            "write `if(Running, 1, 0)`",
        ),
        (
            "Running",
            Type::Double,
            "Running",
            "the formula gives Boolean, the tag is Double",
            "write `if(Running, 1, 0)`, or `type: Boolean`",
        ),
        ("Name + 1", Type::Text, "1", "`1` is Integer, `+` joins Texts here", "write `text(1)`"),
        ("Flow and Running", Type::Boolean, "Flow", "`Flow` is Double, `and` takes Booleans", "write `Flow != 0`"),
        ("not Total", Type::Boolean, "Total", "`Total` is Integer, `not` takes a Boolean", "write `Total != 0`"),
        (
            "if(Running, 1, 'a')",
            Type::Integer,
            "1, 'a'",
            "`if` gives Integer or Text: both must be of one type",
            "write `text(1)`",
        ),
        ("Total = 5", Type::Boolean, "=", "`=` is no comparison", "write `==`"),
        ("Running && true", Type::Boolean, "&&", "`&&` is no operator of formulas", "write `and`"),
        ("Running || true", Type::Boolean, "||", "`||` is no operator of formulas", "write `or`"),
        ("!Running", Type::Boolean, "!", "`!` is no operator of formulas", "write `not`"),
        ("Total <> 5", Type::Boolean, "<>", "`<>` is no operator of formulas", "write `!=`"),
        ("Flow ^ 2", Type::Double, "^", "`^` is no operator of formulas", "write `pow(x, y)`"),
        (
            "1 < Total < 5",
            Type::Boolean,
            "1 < Total < 5",
            "`1 < Total < 5` compares twice",
            "write `1 < Total and Total < 5`",
        ),
        ("State == Runing", Type::Boolean, "Runing", "`Runing` is not a value of State", "did you mean `Running`?"),
        (
            "State == 1",
            Type::Boolean,
            "State == 1",
            "`==` compares State with Integer",
            "write one of its values: `Stopped`, `Running`, `Not ready`",
        ),
        ("  ", Type::Double, "  ", "this formula is empty", "write an expression, such as `Flow * 2`"),
        ("Flow +", Type::Double, "+", "a value is expected after `+`", ""),
        ("Flow * and Running", Type::Boolean, "and", "a value is expected after `*`", ""),
        ("(Flow + 1", Type::Double, "(", "`(` isn't closed", "write `)`"),
        ("min(Flow, 1", Type::Double, "(", "`(` isn't closed", "write `)`"),
        ("Flow + 1)", Type::Double, ")", "`)` has no opening bracket", "delete it, or write the opening one"),
        ("'abc", Type::Text, "'abc", "the text isn't closed", "write `'` at its end"),
        (
            "12x + 1",
            Type::Double,
            "12x",
            "`12x` is no number",
            "units are `ms`, `s`, `min`, `h`, `d`; a name begins with a letter, or is written between backticks",
        ),
        ("1. + 2", Type::Double, "1.", "`1.` is no number", "write `1`"),
        (".5 * Flow", Type::Double, ".5", "`.5` is no number", "write `0.5`"),
        (
            "99999999999999999999",
            Type::Integer,
            "99999999999999999999",
            "`99999999999999999999` is too large a number",
            "an Integer has 64 bits; write `1e20` for a Double",
        ),
        (
            "Motor 1 * 2",
            Type::Integer,
            "1",
            "an operator is expected before `1`",
            "write an operator between them, or one name between backticks: `` `Motor 1` ``",
        ),
        ("Flow MOD 2", Type::Double, "MOD", "`MOD` is no operator", "write `%`"),
        ("NOT Running", Type::Boolean, "NOT", "`NOT` is no operator", "write `not`"),
        ("Flow.Max", Type::Double, "Max", "`Flow.Max`: the tag before `Max` is Double and has no parts", ""),
        (
            "Weights + 1",
            Type::Double,
            "Weights",
            "`Weights` is an array of Double, `+` takes numbers",
            "write an element, such as `Weights[0]`, or `sum(Weights)`",
        ),
        ("Flow[1]", Type::Double, "Flow", "`Flow` is Double and no array", ""),
        (
            "Weights[1, 2]",
            Type::Double,
            "Weights",
            "`Weights` has 1 dimensions, found 2 indices",
            "write one index a dimension: `M[1, 2]`",
        ),
        (
            "mean(Flow, Level)",
            Type::Double,
            "Level",
            "`Level` is no fixed duration, `mean` takes one",
            "write a number with a unit from `1ms` to `3660d`, such as `10min`",
        ),
        (
            "good(Flow + 1)",
            Type::Boolean,
            "Flow + 1",
            "`Flow + 1` is no tag, `good` takes one",
            "write the path of a tag: `good(Flow)`",
        ),
        (
            "{x} + 1",
            Type::Double,
            "{x}",
            "no argument `x` here",
            "arguments are of methods; in a type, a parameter is put in before the formula is read",
        ),
        ("bit(Flow, 1)", Type::Boolean, "Flow", "`Flow` is Double, `bit` takes Integers", "write `round(Flow)`"),
        ("a ? b : c", Type::Double, "?", "`?` has no meaning in a formula", "write `if(condition, a, b)`"),
    ] {
        let faults = compiled(formula, &mut tags(), of).expect_err(formula);
        let [fault] = &faults[..] else { panic!("{formula}: {faults:#?}") };
        let found = (&formula[fault.span.clone()], fault.message.as_str(), fault.help.as_str());
        assert_eq!(found, (part, message, help), "{formula}");
    }
}

#[test]
fn one_absent_word_is_one_mistake_and_two_are_two() {
    let count = |formula: &str| compiled(formula, &mut tags(), Type::Double).expect_err(formula).len();
    assert_eq!(count("Totl + Totl * abs(Totl) - max(Totl, Flow)"), 1);
    assert_eq!(count("if(Totl > 1, Flow, Runing)"), 2);
    assert_eq!(count("State == Runing"), 1);
}

#[test]
fn two_doubles_are_hardly_ever_equal() {
    let compiled = compiled("Flow == Level", &mut tags(), Type::Boolean).expect("a warning alone");
    let [warning] = &compiled.warnings[..] else { panic!("{:?}", compiled.warnings) };
    assert!(warning.is_warning && warning.help == "write `abs(Flow - Level) < 0.01`", "{warning:?}");
    let whole = compiled_of("Flow == 3");
    assert!(whole.is_empty(), "{whole:?}");
}

fn compiled_of(formula: &str) -> Vec<opcell::testing::formula::Fault> {
    compiled(formula, &mut tags(), Type::Boolean).expect("it compiles").warnings
}

#[test]
fn size_and_depth_are_limited() {
    let deep = |levels: usize| format!("{}1{}", "(".repeat(levels), ")".repeat(levels));
    let long = |terms: usize| vec!["1"; terms].join("+");
    for (formula, message) in [
        (deep(63), None),
        (deep(64), Some("nested more than 64 levels")),
        (deep(1_500), Some("nested more than 64 levels")),
        ("-".repeat(2_000) + "1", Some("nested more than 64 levels")),
        ("not ".repeat(1_000) + "true", Some("nested more than 64 levels")),
        (long(500), None),
        (long(501), Some("more than 1000 parts")),
        (" ".repeat(4_096) + "1", Some("has 4097 bytes")),
    ] {
        let result = compiled(&formula, &mut tags(), Type::Integer);
        match message {
            None => assert!(result.is_ok(), "{}: {result:?}", formula.len()),
            Some(message) => {
                let faults = result.expect_err(message);
                assert!(faults[0].message.contains(message), "{faults:?}");
            }
        }
    }
}
