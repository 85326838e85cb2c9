//! Cells of a CSV text with their places.
//!
//! Comma, semicolon or tab separates; quotes hold separators and line ends, and a doubled quote is one quote.

/// A cell of the text: its place without quotes, and its text where quotes made that different.
#[derive(Debug)]
pub(crate) struct Cell {
    pub start: usize,
    pub end: usize,
    pub text: Option<String>,
}

impl Cell {
    /// Content of the cell.
    pub(crate) fn text<'a>(&'a self, of: &'a str) -> &'a str {
        self.text.as_deref().unwrap_or(&of[self.start..self.end])
    }
}

/// A line of cells.
#[derive(Debug)]
pub(crate) struct Row {
    pub cells: Vec<Cell>,
    /// Place of the line's end, or of the text's.
    pub end: usize,
}

/// Separator of the cells: the first of comma, semicolon and tab that the first line has.
pub(crate) fn separator(text: &str) -> u8 {
    let header = text.lines().next().unwrap_or("");
    match header {
        header if header.contains(',') => b',',
        header if header.contains(';') => b';',
        header if header.contains('\t') => b'\t',
        _ => b',',
    }
}

/// The row that begins at `at`; the error is the place of a quote that is not closed, or of text after one.
pub(crate) fn row(text: &str, at: usize, separator: u8) -> Result<Row, usize> {
    let (mut cells, mut at) = (Vec::new(), at);
    loop {
        let (cell, end) = cell(text, at, separator)?;
        cells.push(cell);
        if text.as_bytes().get(end) != Some(&separator) {
            return Ok(Row { cells, end });
        }
        at = end + 1;
    }
}

/// The cell at `at` and the place of the separator or line end after it.
fn cell(text: &str, at: usize, separator: u8) -> Result<(Cell, usize), usize> {
    let bytes = text.as_bytes();
    let blank =
        |at: usize| bytes.get(at).is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\r') && *byte != separator);
    let mut start = at;
    while blank(start) {
        start += 1;
    }
    if bytes.get(start) == Some(&b'"') {
        return quoted(text, start, separator);
    }
    let rest = &bytes[start.min(bytes.len())..];
    let stop = start + rest.iter().position(|b| *b == separator || *b == b'\n').unwrap_or(rest.len());
    let mut end = stop;
    while end > start && blank(end - 1) {
        end -= 1;
    }
    Ok((Cell { start: start.min(bytes.len()), end: end.min(bytes.len()), text: None }, stop.min(bytes.len())))
}

fn quoted(text: &str, start: usize, separator: u8) -> Result<(Cell, usize), usize> {
    let bytes = text.as_bytes();
    let mut end = start + 1;
    loop {
        match bytes.get(end) {
            None => return Err(start),
            Some(b'"') if bytes.get(end + 1) == Some(&b'"') => end += 2,
            Some(b'"') => break,
            Some(_) => end += 1,
        }
    }
    let inner = &text[start + 1..end];
    let made = Some(inner.replace("\"\"", "\""));
    let rest = &bytes[end + 1..];
    let stop = end + 1 + rest.iter().position(|b| *b == separator || *b == b'\n').unwrap_or(rest.len());
    if text[end + 1..stop].trim().is_empty() {
        Ok((Cell { start, end: end + 1, text: made }, stop))
    } else {
        Err(end + 1)
    }
}
