//! The functions of formulas: one table for parser, help and documentation.

/// A function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[rustfmt::skip]
pub(super) enum Function {
    If, Default, IsNull,
    Abs, Sign, Floor, Ceil, Trunc, Sqrt, Exp, Ln, Log10, Sin, Cos, Tan,
    Round, Pow, Atan2, Div, Clamp,
    Min, Max, Sum, Avg, Count,
    Bit, Band, Bor, Bxor, Shl, Shr,
    Text, Number, Len, Upper, Lower, Trim, Contains, Starts, Part,
    Good, Bad, Uncertain, Status,
    Now, Hour, Minute, Weekday,
    Age, Fresh,
    Rate, Delta, Mean, Lowest, Highest, Total,
    CountRises, OnTime, OnDelay, OffDelay, Prev,
}

/// A row of the table.
pub(super) struct Row {
    pub name: &'static str,
    pub function: Function,
    /// How it is called.
    pub usage: &'static str,
    /// Fewest and most arguments.
    pub arguments: (usize, usize),
}

/// As many as a call may have.
pub(super) const ANY: usize = 255;

const fn row(name: &'static str, function: Function, usage: &'static str, fewest: usize, most: usize) -> Row {
    Row { name, function, usage, arguments: (fewest, most) }
}

use Function as F;

#[rustfmt::skip]
pub(super) const TABLE: [Row; 61] = [
    row("if", F::If, "if(condition, a, b)", 3, 3),
    row("default", F::Default, "default(x, y)", 2, 2),
    row("isnull", F::IsNull, "isnull(x)", 1, 1),
    row("abs", F::Abs, "abs(x)", 1, 1),
    row("sign", F::Sign, "sign(x)", 1, 1),
    row("floor", F::Floor, "floor(x)", 1, 1),
    row("ceil", F::Ceil, "ceil(x)", 1, 1),
    row("trunc", F::Trunc, "trunc(x)", 1, 1),
    row("sqrt", F::Sqrt, "sqrt(x)", 1, 1),
    row("exp", F::Exp, "exp(x)", 1, 1),
    row("ln", F::Ln, "ln(x)", 1, 1),
    row("log10", F::Log10, "log10(x)", 1, 1),
    row("sin", F::Sin, "sin(x)", 1, 1),
    row("cos", F::Cos, "cos(x)", 1, 1),
    row("tan", F::Tan, "tan(x)", 1, 1),
    row("round", F::Round, "round(x, digits)", 1, 2),
    row("pow", F::Pow, "pow(x, y)", 2, 2),
    row("atan2", F::Atan2, "atan2(y, x)", 2, 2),
    row("div", F::Div, "div(a, b)", 2, 2),
    row("clamp", F::Clamp, "clamp(x, low, high)", 3, 3),
    row("min", F::Min, "min(x, …)", 1, ANY),
    row("max", F::Max, "max(x, …)", 1, ANY),
    row("sum", F::Sum, "sum(x, …)", 1, ANY),
    row("avg", F::Avg, "avg(x, …)", 1, ANY),
    row("count", F::Count, "count(array)", 1, 1),
    row("bit", F::Bit, "bit(x, n)", 2, 2),
    row("band", F::Band, "band(x, y)", 2, 2),
    row("bor", F::Bor, "bor(x, y)", 2, 2),
    row("bxor", F::Bxor, "bxor(x, y)", 2, 2),
    row("shl", F::Shl, "shl(x, n)", 2, 2),
    row("shr", F::Shr, "shr(x, n)", 2, 2),
    row("text", F::Text, "text(x, digits)", 1, 2),
    row("number", F::Number, "number(text)", 1, 1),
    row("len", F::Len, "len(text)", 1, 1),
    row("upper", F::Upper, "upper(text)", 1, 1),
    row("lower", F::Lower, "lower(text)", 1, 1),
    row("trim", F::Trim, "trim(text)", 1, 1),
    row("contains", F::Contains, "contains(text, part)", 2, 2),
    row("starts", F::Starts, "starts(text, beginning)", 2, 2),
    row("part", F::Part, "part(text, from, count)", 3, 3),
    row("good", F::Good, "good(tag)", 1, 1),
    row("bad", F::Bad, "bad(tag)", 1, 1),
    row("uncertain", F::Uncertain, "uncertain(tag)", 1, 1),
    row("status", F::Status, "status(tag)", 1, 1),
    row("now", F::Now, "now()", 0, 0),
    row("hour", F::Hour, "hour(time)", 1, 1),
    row("minute", F::Minute, "minute(time)", 1, 1),
    row("weekday", F::Weekday, "weekday(time)", 1, 1),
    row("age", F::Age, "age(tag)", 1, 1),
    row("fresh", F::Fresh, "fresh(tag)", 1, 1),
    row("rate", F::Rate, "rate(x, span)", 2, 2),
    row("delta", F::Delta, "delta(x, span)", 2, 2),
    row("mean", F::Mean, "mean(x, span)", 2, 2),
    row("lowest", F::Lowest, "lowest(x, span)", 2, 2),
    row("highest", F::Highest, "highest(x, span)", 2, 2),
    row("total", F::Total, "total(x, per)", 2, 2),
    row("count_rises", F::CountRises, "count_rises(condition)", 1, 1),
    row("on_time", F::OnTime, "on_time(condition)", 1, 1),
    row("on_delay", F::OnDelay, "on_delay(condition, duration)", 2, 2),
    row("off_delay", F::OffDelay, "off_delay(condition, duration)", 2, 2),
    row("prev", F::Prev, "prev()", 0, 0),
];

/// Their names in other languages.
#[rustfmt::skip]
const ELSEWHERE: [(&str, &str); 22] = [
    ("iif", "if"), ("iff", "if"), ("sel", "if"), ("coalesce", "default"), ("ifnull", "default"), ("limit", "clamp"),
    ("average", "avg"), ("log", "ln"), ("ceiling", "ceil"), ("int", "trunc"), ("str", "text"), ("tostring", "text"),
    ("length", "len"), ("mid", "part"), ("substr", "part"), ("power", "pow"), ("integral", "total"),
    ("ton", "on_delay"), ("tof", "off_delay"), ("quality", "status"), ("previous", "prev"), ("maximum", "max"),
];

pub(super) fn find(name: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.name == name)
}

/// The function that another language calls so.
pub(super) fn meant(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    let known = TABLE.iter().find(|row| row.name == name).map(|row| row.name);
    known.or_else(|| ELSEWHERE.iter().find(|(other, _)| *other == name).map(|(_, known)| *known))
}

impl Function {
    /// Its argument is a tag, and no value.
    pub(super) fn is_of_tag(self) -> bool {
        matches!(self, F::Good | F::Bad | F::Uncertain | F::Status | F::Age | F::Fresh)
    }

    /// Its result changes with the time alone.
    pub(super) fn reads_clock(self) -> bool {
        matches!(
            self,
            F::Now
                | F::Age
                | F::Fresh
                | F::Rate
                | F::Delta
                | F::Mean
                | F::Lowest
                | F::Highest
                | F::Total
                | F::OnTime
                | F::OnDelay
                | F::OffDelay
        )
    }
}
