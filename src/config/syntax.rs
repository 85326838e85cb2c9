//! Syntax errors and bytes that are not YAML text, reported so that a person can correct them.
//!
//! A broken file gets exactly one finding: what follows a syntax error would only be invented.

use super::flow;
use super::report::Findings;
use super::source::Place;

/// The text of a file's bytes, or a finding that names the encoding of the bytes.
pub(crate) fn decode(bytes: Vec<u8>, file: u16, findings: &mut Findings) -> String {
    let bytes = match bytes.as_slice() {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            findings.error_at(Place { file, start: 0, end: 0 }, "this file is UTF-16").help("save it as UTF-8");
            return String::new();
        }
        // A byte order mark is no text; editors count columns without it.
        [0xef, 0xbb, 0xbf, rest @ ..] => rest.to_vec(),
        _ => bytes,
    };
    String::from_utf8(bytes).unwrap_or_else(|error| not_utf8(error.into_bytes(), file, findings))
}

/// The bytes as Latin-1, so that the finding can show its line.
fn not_utf8(bytes: Vec<u8>, file: u16, findings: &mut Findings) -> String {
    let good = std::str::from_utf8(&bytes).map_or_else(|error| error.valid_up_to(), str::len);
    let text: String = bytes[..good].iter().chain(&bytes[good..]).map(|byte| char::from(*byte)).collect();
    let start: usize = bytes[..good].iter().map(|byte| char::from(*byte).len_utf8()).sum();
    let sign = char::from(bytes[good]);
    let [start, end] = [start, start + sign.len_utf8()].map(|at| u32::try_from(at).unwrap_or(0));
    findings
        .error_at(Place { file, start, end }, "this byte is not UTF-8")
        .help(format!("the file is probably Windows-1252, where this byte is `{sign}`; save it as UTF-8"));
    text
}

/// Reports the parser's error at byte `at`.
pub(crate) fn report(findings: &mut Findings, file: u16, text: &str, at: usize, message: &str) {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    if let Some(fault) = inside(text, at, message) {
        let [start, end] = [fault.at, fault.at + fault.length].map(|at| u32::try_from(at).unwrap_or(0));
        findings.error_at(Place { file, start, end }, fault.message).help(fault.help);
        return;
    }
    let (mut start, said, help) = explain(text, at, message);
    if start >= text.trim_end().len() {
        start = text.trim_end().char_indices().next_back().map_or(0, |(last, _)| last);
    }
    let end = start + text[start..].chars().next().map_or(0, char::len_utf8);
    let [start, end] = [start, end].map(|at| u32::try_from(at).unwrap_or(0));
    findings.error_at(Place { file, start, end }, said).help(help);
}

/// A fault inside `{ }` or of one line that is known by its looks.
fn inside(text: &str, at: usize, message: &str) -> Option<flow::Fault> {
    let line_start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let line = text[line_start..].lines().next().unwrap_or("");
    let has_tab = line[..line.len() - line.trim_start().len()].contains('\t');
    let is_known = ["expected ','", "invalid indentation", "mapping values", "simple key"];
    let above = text[..line_start].trim_end().lines().next_back().unwrap_or("");
    if has_tab
        || open_quote(line).or_else(|| open_quote(above)).is_some()
        || !is_known.iter().any(|words| message.contains(words))
    {
        return None;
    }
    flow::missing_blank(text, at).or_else(|| flow::fault(text, at))
}

fn explain(text: &str, at: usize, message: &str) -> (usize, String, &'static str) {
    let line_start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let line = text[line_start..].lines().next().unwrap_or("");
    let indent = line.len() - line.trim_start().len();
    if let Some(tab) = line[..indent].find('\t') {
        return (line_start + tab, "a tab in the indentation".into(), "indent with spaces");
    }
    // An open quote is noticed at the first text after it, often a line later.
    let before = text[..line_start].trim_end();
    let above = before.rfind('\n').map_or(0, |end| end + 1);
    let lines = [(line_start, line), (above, &before[above..])];
    if let Some(quote) = lines.iter().find_map(|(start, line)| open_quote(line).map(|quote| start + quote)) {
        return (quote, "this quote is not closed".into(), "close it on the same line");
    }
    match text[at..].chars().next() {
        Some('%' | '@' | '`') if line_start + indent < at => {
            let said = format!("a value cannot begin with `{}`", &text[at..=at]);
            let help =
                if text[at..].starts_with('%') { "write `\"%\"` in quotes, or `percent`" } else { "put it in quotes" };
            (at, said, help)
        }
        _ if message.contains("recursion limit") => (at, "mappings and lists are nested deeper than 64".into(), ""),
        Some(_) if message.contains("mapping") && is_dedented(text, line_start, indent) => {
            let help = "begin this line in the same column as the other keys of its mapping";
            (line_start + indent, format!("this line is indented differently from those above it ({message})"), help)
        }
        _ => (at, message.to_owned(), ""),
    }
}

/// The last double quote of a line, when their number is odd.
fn open_quote(line: &str) -> Option<usize> {
    let quotes = line.bytes().filter(|byte| *byte == b'"').count() - line.matches("\\\"").count();
    if quotes % 2 == 1 { line.rfind('"') } else { None }
}

/// Whether the line begins in a column where no line above it, up the tree, begins.
fn is_dedented(text: &str, line_start: usize, indent: usize) -> bool {
    let above = text[..line_start].lines().rev();
    let mut columns = above
        .filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .map(|line| line.len() - line.trim_start().len());
    match columns.next() {
        Some(last) if indent > last => true,
        Some(last) if indent < last => columns.find(|column| *column <= indent).is_some_and(|column| column != indent),
        _ => false,
    }
}
