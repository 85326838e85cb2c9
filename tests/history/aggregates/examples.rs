//! Reads the example historians and tables.

use opcell::testing::history::aggregate::{Aggregate, Configuration, Source};
use opcell::testing::history::{Annotation, ArchiveId};
use opcell::value::{BuiltIn, Sample, UaTime, Value};
use opcua::StatusCode;

use super::memory::Memory;

const HISTORIANS: &str = include_str!("../../cases/aggregates/historians.txt");

/// 2026-01-01T12:00:00Z plus some seconds.
pub(super) fn moment(seconds: f64) -> UaTime {
    UaTime(134_117_424_000_000_000 + (seconds * 1e7).round() as i64)
}

#[derive(Debug)]
pub(super) struct Case {
    pub aggregate: Aggregate,
    pub historian: u8,
    pub interval: f64,
    pub rows: Vec<Row>,
}

#[derive(Debug)]
pub(super) struct Row {
    pub seconds: f64,
    pub value: Option<Printed>,
    pub status: StatusCode,
}

#[derive(Debug)]
pub(super) enum Printed {
    /// With the digits that were printed.
    Number(String),
    Status(StatusCode),
}

/// The value rounded to the digits of the text is the text.
pub(super) fn is_printed_as(value: &Value, text: &str) -> bool {
    let Some(number) = value.as_f64() else { return false };
    let digits = text.split_once('.').map_or(0, |(_, digits)| digits.len()).max(3);
    let printed: f64 = text.parse().expect("a number");
    // Half a unit of the last digit, and what was rounded twice.
    (number - printed).abs() <= 0.51 * 10f64.powi(-(digits as i32))
}

fn status(text: &str) -> StatusCode {
    match text {
        "Good" => StatusCode::Good,
        "Uncertain" => StatusCode::Uncertain,
        "SubNormal" => StatusCode::UncertainDataSubNormal,
        "Bad" => StatusCode::Bad,
        "NoData" => StatusCode::BadNoData,
        other => panic!("no status {other}"),
    }
}

fn marked(code: StatusCode, bits: &str) -> StatusCode {
    let bits = bits.chars().fold(0, |bits, bit| {
        bits | match bit {
            'c' => 0x01,
            'i' => 0x02,
            'p' => 0x04,
            'm' => 0x10,
            other => panic!("no info bit {other}"),
        }
    });
    if bits == 0 { code } else { StatusCode::from(code.bits() | 0x400 | bits) }
}

pub(super) fn cases(aggregate: Aggregate, text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split('!').next().expect("a part").split_whitespace().collect();
        if words[0] == "[historian" {
            let historian = words[1].parse().expect("a historian");
            let interval = words[3].parse().expect("milliseconds");
            cases.push(Case { aggregate, historian, interval, rows: Vec::new() });
            continue;
        }
        let value = match words[1] {
            "-" => None,
            text if text.parse::<f64>().is_ok() => Some(Printed::Number(text.to_owned())),
            text => Some(Printed::Status(status(text))),
        };
        let status = marked(status(words[2]), words.get(3).copied().unwrap_or(""));
        let row = Row { seconds: words[0].parse().expect("seconds"), value, status };
        cases.last_mut().expect("a heading first").rows.push(row);
    }
    cases
}

/// An example historian, what is read from it, and its configuration.
pub(super) fn example(number: u8, frame: usize) -> (Memory, Source, Configuration) {
    let heading = format!("[historian {number}] ");
    let start = HISTORIANS.find(&heading).expect("this historian") + heading.len();
    let mut lines = HISTORIANS[start..].lines();
    let settings: Vec<&str> = lines.next().expect("settings").split(", ").collect();
    let percent = |at: usize| settings[at].split(' ').next().and_then(|word| word.parse().ok()).expect("a percentage");
    let configuration = Configuration {
        treat_uncertain_as_bad: settings[1] == "uncertain is bad",
        percent_data_bad: percent(2),
        percent_data_good: percent(3),
        use_sloped_extrapolation: settings[4] == "sloped behind the end",
    };
    let kind = if number == 4 { BuiltIn::Boolean } else { BuiltIn::Double };
    let source = Source { archive: ArchiveId(1), kind, is_array: false, stepped: settings[0] == "stepped" };
    let mut historian = Memory::new(Vec::new(), frame);
    for line in lines.take_while(|line| !line.is_empty()) {
        match line.strip_prefix("@ ") {
            Some(remark) => annotate(&mut historian, remark),
            None => historian.samples.push(sample(line)),
        }
    }
    (historian, source, configuration)
}

fn sample(line: &str) -> Sample {
    let words: Vec<&str> = line.split(' ').collect();
    let time = moment(words[0].parse().expect("seconds"));
    let value = match words[1] {
        "-" => Value::Null,
        "true" => Value::Boolean(true),
        "false" => Value::Boolean(false),
        number => Value::Double(number.parse().expect("a number")),
    };
    Sample { value, status: status(words[2]), source_time: time, server_time: time }
}

fn annotate(historian: &mut Memory, remark: &str) {
    let at = historian.samples.last().expect("a sample above").source_time;
    let user = remark.split(',').next().expect("a part").to_owned();
    historian.annotations.push(Annotation { at, message: remark.to_owned(), user, time: at });
}
