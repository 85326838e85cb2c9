//! The rows of a CSV file with their times. Cells are read again when they are played, so a table costs 16 bytes a row.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use crate::drivers::did_you_mean;
use crate::drivers::file_text::FileText;
use crate::drivers::listing::Found;
use crate::value::{
    Cell, UaTime, boolean_from_text, number_from_text, row, separator, status_from_text, time_from_text,
};

/// Ticks of 100 ns in a second.
const TICKS: f64 = 1e7;

/// Most columns of a file.
const MOST_COLUMNS: usize = 10_000;

/// Columns of `opcell history export` that a recording needs.
const EXPORT: [&str; 7] = ["namespace", "identifier", "type", "source_time", "server_time", "status", "value"];
const IDENTIFIER: usize = 1;
const SOURCE_TIME: usize = 3;
const STATUS: usize = 5;
const VALUE: usize = 6;

/// Something that is wrong with the file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// The key that is to be corrected when the place is not in the file.
    pub key: &'static str,
    pub at: Option<Range<usize>>,
    pub message: String,
    pub help: String,
}

/// A row: its time since the first one in ticks, and its place in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    pub at: i64,
    start: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// A column a signal.
    Wide { time: usize },
    /// A row a sample.
    Export,
}

/// A signal of the recording, and the first of its cells that are no number and no Boolean.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Signal {
    pub not_number: Strange,
    pub not_boolean: Strange,
}

/// Cells that do not fit.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Strange {
    pub count: usize,
    pub first: Option<First>,
}

/// The first of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct First {
    pub line: usize,
    pub text: String,
}

#[derive(Debug)]
pub(super) struct Table {
    file: FileText,
    separator: u8,
    layout: Layout,
    /// In the order of their times.
    lines: Vec<Line>,
    /// By the heading of the column, or the identifier.
    signals: HashMap<String, Signal>,
    /// Headings in their order; none for an export.
    headings: Vec<String>,
}

/// The last row of a signal in an export, where each signal has its own order; of a wide file, the last row.
struct Before {
    time: i64,
    namespace: String,
}

/// A cell that is played: whose, and what it says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Played<'a> {
    pub signal: &'a str,
    pub text: &'a str,
    /// The status of an export.
    pub status: Option<&'a str>,
}

impl Table {
    pub(super) fn parse(file: &FileText, time: &str) -> Result<Table, Fault> {
        let text = file.text();
        let separator = separator(text);
        let header = row(text, 0, separator).map_err(|at| quote(at..at + 1))?;
        let headings: Vec<String> = header.cells.iter().map(|cell| cell.text(text).trim().to_owned()).collect();
        let is_export = EXPORT.iter().zip(&headings).filter(|(one, other)| one == other).count() == EXPORT.len();
        let layout = match is_export {
            true => Layout::Export,
            false => Layout::Wide { time: wide(text, &header.cells, &headings, time, file)? },
        };
        let mut table = Table {
            file: file.clone(),
            separator,
            layout,
            lines: Vec::new(),
            signals: HashMap::new(),
            headings: if is_export { Vec::new() } else { headings },
        };
        table.read_lines(header.end + 1)?;
        Ok(table)
    }

    fn read_lines(&mut self, first: usize) -> Result<(), Fault> {
        let file = self.file.clone();
        let text = file.text();
        for heading in &self.headings {
            self.signals.insert(heading.clone(), Signal::default());
        }
        let mut times: Vec<(i64, u32)> = Vec::new();
        let mut last: HashMap<String, Before> = HashMap::new();
        let (mut at, mut number) = (first, 1);
        while at < text.len() {
            number += 1;
            let row = row(text, at, self.separator).map_err(|at| quote(at..at + 1))?;
            let end = row.end;
            if !text[at..end].trim().is_empty() {
                let time = self.time_of(text, &row.cells, at..end)?;
                let of = if self.layout == Layout::Export { cell(text, &row.cells, IDENTIFIER) } else { "" };
                let namespace = if self.layout == Layout::Export { cell(text, &row.cells, 0) } else { "" };
                match last.get_mut(of) {
                    Some(before) if before.time > time => {
                        return Err(Fault {
                            key: "file",
                            at: Some(self.time_place(&row.cells, at..end)),
                            message: "this row is earlier than the one before".to_owned(),
                            help: "sort the rows by their time".to_owned(),
                        });
                    }
                    Some(before) if before.namespace != namespace => {
                        return Err(Fault {
                            key: "file",
                            at: Some(row.cells[0].start..row.cells[0].end),
                            message: format!("`{of}` is there in two namespaces"),
                            help: "export the history of one cell".to_owned(),
                        });
                    }
                    Some(before) => before.time = time,
                    None => drop(last.insert(of.to_owned(), Before { time, namespace: namespace.to_owned() })),
                }
                self.look_at(text, &row.cells, number)?;
                times.push((time, u32::try_from(at).unwrap_or(u32::MAX)));
            }
            number += text[at..end].matches('\n').count();
            at = end + 1;
        }
        if times.is_empty() {
            let (message, help) =
                ("there are no rows".to_owned(), "write at least one row below the headings".to_owned());
            return Err(Fault { key: "file", at: Some(0..first.saturating_sub(1).min(text.len())), message, help });
        }
        times.sort_by_key(|(time, _)| *time);
        let begin = times[0].0;
        self.lines = times.into_iter().map(|(time, start)| Line { at: time - begin, start }).collect();
        Ok(())
    }

    fn time_column(&self) -> usize {
        match self.layout {
            Layout::Wide { time } => time,
            Layout::Export => SOURCE_TIME,
        }
    }

    fn time_place(&self, cells: &[Cell], line: Range<usize>) -> Range<usize> {
        cells.get(self.time_column()).map_or(line, |cell| cell.start..cell.end)
    }

    fn time_of(&self, text: &str, cells: &[Cell], line: Range<usize>) -> Result<i64, Fault> {
        let said = cell(text, cells, self.time_column());
        time(said).ok_or_else(|| Fault {
            key: "file",
            at: Some(self.time_place(cells, line)),
            message: format!("`{said}` is no time"),
            help: "write 2026-11-29T09:00:00.5Z, or seconds as 12.5".to_owned(),
        })
    }

    /// Notes the signals of a row, and which of its cells are no numbers.
    fn look_at(&mut self, text: &str, cells: &[Cell], number: usize) -> Result<(), Fault> {
        if self.layout == Layout::Export {
            let status = cell(text, cells, STATUS);
            if status_from_text(status).is_none() {
                let at = cells.get(STATUS).map(|cell| cell.start..cell.end);
                let message = format!("`{status}` is no status");
                return Err(Fault {
                    key: "file",
                    at,
                    message,
                    help: "write Good, or a number as 0x80000000".to_owned(),
                });
            }
            let name = cell(text, cells, IDENTIFIER);
            if !self.signals.contains_key(name) {
                self.signals.insert(name.to_owned(), Signal::default());
            }
            return Ok(());
        }
        if let Some(cell) = cells.get(self.headings.len()) {
            return Err(Fault {
                key: "file",
                at: Some(cell.start..cell.end.max(cell.start + 1).min(text.len())),
                message: "this row has more cells than there are headings".to_owned(),
                help: "write a text with a comma in quotes, and a number with a dot".to_owned(),
            });
        }
        let time = self.time_column();
        for (heading, cell) in
            self.headings.iter().zip(cells).enumerate().filter(|(at, _)| *at != time).map(|(_, of)| of)
        {
            let said = cell.text(text);
            if said.is_empty() {
                continue;
            }
            if said.starts_with('#') {
                if bad_status(said).is_none() {
                    return Err(Fault {
                        key: "file",
                        at: Some(cell.start..cell.end),
                        message: format!("`{said}` is no Bad status"),
                        help: "write #Bad, or a name as #BadSensorFailure; an empty cell leaves the value as it is"
                            .to_owned(),
                    });
                }
                continue;
            }
            let Some(signal) = self.signals.get_mut(heading) else { continue };
            let note = |strange: &mut Strange| {
                strange.count += 1;
                strange.first.get_or_insert_with(|| First { line: number, text: said.chars().take(40).collect() });
            };
            if number_from_text(said).is_none() {
                note(&mut signal.not_number);
            }
            if boolean_from_text(said).is_none() {
                note(&mut signal.not_boolean);
            }
        }
        Ok(())
    }

    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Whether values are texts of the server's own export.
    pub(super) fn is_export(&self) -> bool {
        self.layout == Layout::Export
    }

    pub(super) fn file_name(&self) -> &str {
        self.file.path().rsplit('/').next().unwrap_or_default()
    }

    /// The signal of an address: a heading, or an identifier with or without `s=`.
    pub(super) fn signal(&self, address: &str) -> Option<&Signal> {
        let is_time = matches!(self.layout, Layout::Wide { time } if self.headings[time] == address);
        self.signals.get(self.name(address)).filter(|_| !is_time)
    }

    /// All signals in the order of their names, with the type that their cells suggest.
    pub(super) fn found(&self) -> Vec<Found> {
        let mut names: Vec<&String> = self.signals.keys().filter(|name| self.signal(name).is_some()).collect();
        names.sort();
        let found = |name: &String| {
            let signal = &self.signals[name];
            let data_type = match (&signal.not_boolean.first, &signal.not_number.first) {
                _ if self.is_export() => "",
                (None, _) => "Boolean",
                (_, None) => "Double",
                _ => "String",
            };
            Found {
                path: vec![self.address(name).to_owned()],
                address: self.address(name).to_owned(),
                data_type: data_type.to_owned(),
                ..Found::default()
            }
        };
        names.into_iter().map(found).collect()
    }

    /// The name by which `play` knows the signal of an address: a heading, or a whole identifier.
    pub(super) fn name<'a>(&'a self, address: &'a str) -> &'a str {
        if !self.is_export() || self.signals.contains_key(address) {
            return address;
        }
        self.signals.get_key_value(&format!("s={address}")).map_or(address, |(name, _)| name)
    }

    /// The shortest address of a signal.
    fn address<'a>(&'a self, name: &'a str) -> &'a str {
        let short = name.strip_prefix("s=").filter(|short| self.is_export() && self.name(short) == name);
        short.unwrap_or(name)
    }

    /// Hint at the signal that the address is meant to be.
    pub(super) fn nearest(&self, address: &str) -> String {
        let time = self.headings.get(self.time_column());
        let names = self.signals.keys().filter(|name| Some(*name) != time);
        did_you_mean(address, names.map(|name| self.address(name)))
    }

    /// The cells of a row that say something.
    pub(super) fn play(&self, line: Line, mut play: impl FnMut(Played<'_>)) {
        let text = self.file.text();
        // The row was read before: it has no open quote.
        let Ok(row) = row(text, line.start as usize, self.separator) else { return };
        match self.layout {
            Layout::Export => play(Played {
                signal: cell(text, &row.cells, IDENTIFIER),
                text: cell(text, &row.cells, VALUE),
                status: Some(cell(text, &row.cells, STATUS)),
            }),
            Layout::Wide { time } => {
                for (at, (heading, cell)) in self.headings.iter().zip(&row.cells).enumerate() {
                    let text = cell.text(text);
                    if at != time && !text.is_empty() {
                        play(Played { signal: heading, text, status: None });
                    }
                }
            }
        }
    }

    /// How long the whole recording lasts, in ticks: the last row lasts as long as the one before it. 0 for one moment.
    pub(super) fn length(&self) -> i64 {
        let last = self.lines.last().map_or(0, |line| line.at);
        let before = self.lines.iter().rev().find(|line| line.at < last).map_or(last, |line| line.at);
        last + (last - before)
    }
}

/// The column of the time in the headings of a wide file.
fn wide(text: &str, cells: &[Cell], headings: &[String], time: &str, file: &FileText) -> Result<usize, Fault> {
    if let Some(cell) = cells.get(MOST_COLUMNS) {
        return Err(Fault {
            key: "file",
            at: Some(cell.start..cell.end),
            message: format!("there are more than {MOST_COLUMNS} columns"),
            help: "leave out those that no tag needs".to_owned(),
        });
    }
    let mut known = HashSet::new();
    for (at, heading) in headings.iter().enumerate() {
        if !known.insert(heading.as_str()) && !heading.is_empty() {
            return Err(Fault {
                key: "file",
                at: Some(cells[at].start..cells[at].end),
                message: format!("column `{heading}` is there twice"),
                help: "give each column its own heading".to_owned(),
            });
        }
    }
    headings.iter().position(|heading| heading == time).ok_or_else(|| Fault {
        key: "time",
        at: (time == "time").then(|| 0..text.lines().next().unwrap_or_default().len()),
        message: format!("no column `{time}` in {}", file.path().rsplit('/').next().unwrap_or_default()),
        help: match did_you_mean(time, headings.iter().map(String::as_str)) {
            help if help.is_empty() => "name the column of the time: `time: HEADING`".to_owned(),
            help => help,
        },
    })
}

fn quote(at: Range<usize>) -> Fault {
    Fault {
        key: "file",
        at: Some(at),
        message: "a quoted cell is not closed, or text follows its closing quote".to_owned(),
        help: "write a quote inside a cell twice: `\"\"`".to_owned(),
    }
}

fn cell<'a>(text: &'a str, cells: &'a [Cell], at: usize) -> &'a str {
    cells.get(at).map_or("", |cell| cell.text(text))
}

/// A time in ticks.
#[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and a time beyond the years is refused")]
fn time(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        let is_time = seconds.is_finite() && seconds.abs() < 1e11;
        return is_time.then(|| (seconds * TICKS).round() as i64);
    }
    time_from_text(text).map(|UaTime(ticks)| ticks)
}

/// The status of a cell such as `#BadSensorFailure`.
pub(super) fn bad_status(text: &str) -> Option<opcua::StatusCode> {
    status_from_text(text.strip_prefix('#')?).filter(|status| status.is_bad())
}

/// Takes bytes as a recording through everything that a played one goes through; for fuzzing.
pub fn fuzz(bytes: &[u8]) {
    let mut file: FileText = serde_json::from_str("\"a.csv\"").expect("a path");
    file.fill(String::from_utf8_lossy(bytes).into_owned().into_bytes().into());
    let Ok(table) = Table::parse(&file, "time") else { return };
    assert!(table.length() >= 0 && table.lines().is_sorted_by_key(|line| line.at));
    let mut known = true;
    table.lines().iter().for_each(|line| table.play(*line, |played| known &= table.signal(played.signal).is_some()));
    assert!(known, "a row plays a signal that no address can name");
}

#[cfg(test)]
mod tests;
