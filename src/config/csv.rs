//! CSV files as mappings of the arena, so that a finding points at the cell of the spreadsheet.
//!
//! The header's cells are keys in any case, and an empty cell is a key that is absent. Comma, semicolon or tab
//! separates, whichever the header has; quotes hold separators and line ends, and a doubled quote is one quote.

use super::docs::{DOCS, did_you_mean};
use super::report::Findings;
use super::source::{Ix, Kind, Place, Source};
use crate::value::{Cell, row, separator};

/// Structs whose keys may be columns, the nearest first, and where a column of theirs goes.
fn owners() -> impl Iterator<Item = (&'static str, Target)> {
    let points = DOCS.drivers().iter().filter_map(|of| Some((of.source.as_deref()?, Target::Source)));
    [("NodeSpec", Target::Node), ("SourceSpec", Target::Source)]
        .into_iter()
        .chain(points)
        .chain([("Scale", Target::Scale)])
}

/// Columns that are no key: the name of the node and the two ends of `range`, each with other products' words.
const OWN: [(&str, Target, &[&str]); 3] = [
    ("tag", Target::Name, &["name", "tag_name", "tagname", "tag name", "variable", "browse_name"]),
    ("low", Target::Low, &["min", "minimum", "eu_low", "low_limit", "lower"]),
    ("high", Target::High, &["max", "maximum", "eu_high", "high_limit", "upper"]),
];

/// Keys whose value is a mapping, which no cell can hold.
const MAPPINGS: [&str; 6] = ["scale", "access", "children", "with", "repeat", "browse"];

/// Cells of every row, the header first; a row without text is left out.
fn split(text: &str) -> Result<Vec<Vec<Cell>>, usize> {
    let separator = separator(text);
    let (mut rows, mut at) = (Vec::new(), 0);
    loop {
        let row = row(text, at, separator)?;
        let is_empty = row.cells.iter().all(|cell| cell.start == cell.end && cell.text.is_none());
        let is_comment = row.cells.first().is_some_and(|cell| text[cell.start..].starts_with('#'));
        if !is_empty && !is_comment {
            rows.push(row.cells);
        }
        if row.end >= text.len() {
            return Ok(rows);
        }
        at = row.end + 1;
    }
}

/// The rows of a file as `(name, mapping)` below the node that has `rows`.
pub(crate) fn rows(source: &mut Source, file: u16, owner: Ix, findings: &mut Findings) -> Vec<(Ix, Ix)> {
    let text = std::mem::take(&mut source.files[usize::from(file)].text);
    let split = split(&text);
    let mut made = Vec::new();
    match split {
        Err(at) => {
            let place = place(file, at, at + 1);
            findings
                .error_at(place, "a quoted cell is not closed, or text follows its closing quote")
                .help("write a quote inside a cell twice: `\"\"`");
        }
        Ok(table) => {
            let mut reader = Reader { source, file, text: &text, owner, findings };
            let header = table.first().map_or(&[][..], Vec::as_slice);
            let columns = reader.columns(header, table.get(1..).unwrap_or(&[]));
            for row in table.get(1..).unwrap_or(&[]) {
                made.extend(reader.row(row, &columns));
            }
            if table.len() < 2 {
                let end = header.first().map_or(0, |cell| cell.end);
                let finding =
                    reader.findings.warning_at(place(file, 0, end), "this file has no rows, so it gives no tags");
                finding.help("the first row names the columns: tag, type, address, …; each further row is a tag");
            }
        }
    }
    source.files[usize::from(file)].text = text;
    made
}

fn place(file: u16, start: usize, end: usize) -> Place {
    let [start, end] = [start, end].map(|at| u32::try_from(at).unwrap_or(u32::MAX));
    Place { file, start, end }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Name,
    Node,
    Source,
    Scale,
    Low,
    High,
    Skip,
}

struct Column {
    target: Target,
    key: String,
    place: Place,
}

/// The column that a head in lower case is. `source` is the address of a source, as in the short form of YAML.
fn known_column(head: &str) -> Option<(Target, &str)> {
    match head {
        "source" => return Some((Target::Source, "address")),
        _ if MAPPINGS.contains(&head) => return None,
        _ => {}
    }
    if let Some((name, target, _)) = OWN.iter().find(|(name, ..)| *name == head) {
        return Some((*target, name));
    }
    owners().find(|(owner, _)| DOCS.key(owner, head).is_some()).map(|(_, target)| (target, head))
}

/// The column that other products call so.
fn foreign_column(head: &str) -> Option<(Target, &'static str)> {
    let words = [head.to_owned(), head.replace([' ', '-'], "_")];
    if words[0] == "scale" {
        return Some((Target::Scale, "factor"));
    }
    if let Some((name, target, _)) =
        OWN.iter().find(|(.., also)| words.iter().any(|word| also.contains(&word.as_str())))
    {
        return Some((*target, name));
    }
    owners().find_map(|(owner, target)| {
        let key = DOCS
            .keys(owner)
            .iter()
            .find(|key| words.iter().any(|word| key.name == *word || key.also.contains(word)))?;
        match key.name.as_str() {
            "source" => Some((Target::Source, "address")),
            name if MAPPINGS.contains(&name) => None,
            name => Some((target, name)),
        }
    })
}

fn column_names() -> impl Iterator<Item = &'static str> {
    let keys = owners().flat_map(|(owner, _)| DOCS.keys(owner)).map(|key| key.name.as_str());
    OWN.iter().map(|(name, ..)| *name).chain(keys).filter(|name| !MAPPINGS.contains(name))
}

struct Reader<'a> {
    source: &'a mut Source,
    file: u16,
    text: &'a str,
    owner: Ix,
    findings: &'a mut Findings,
}

impl Reader<'_> {
    fn cell_text(&self, cell: &Cell) -> String {
        cell.text.clone().unwrap_or_else(|| self.text[cell.start..cell.end].to_owned())
    }

    fn columns(&mut self, header: &[Cell], rows: &[Vec<Cell>]) -> Vec<Column> {
        let mut columns: Vec<Column> = Vec::new();
        for (at, cell) in header.iter().enumerate() {
            let text = self.cell_text(cell);
            let place = place(self.file, cell.start, cell.end.max(cell.start));
            // A spreadsheet may end each line with separators.
            let is_used = |row: &Vec<Cell>| row.get(at).is_some_and(|cell| cell.end > cell.start);
            if text.is_empty() && !rows.iter().any(is_used) {
                columns.push(Column { target: Target::Skip, key: text, place });
                continue;
            }
            let (target, key) = self.column(&text, place);
            let same = columns.iter().find(|column| column.target == target && column.key == key);
            let is_twice = target != Target::Skip && same.is_some();
            if let Some(first) = same.filter(|_| is_twice) {
                let message = format!("two columns are for `{key}`");
                self.findings.error_at(place, message).also(first.place, "first here").help("delete one of the two");
            }
            columns.push(Column { target: if is_twice { Target::Skip } else { target }, key, place });
        }
        if !columns.is_empty() && !columns.iter().any(|column| column.target == Target::Name) {
            let place = columns[0].place;
            self.findings
                .error_at(place, "there is no column `tag`")
                .help("add a column `tag` with the names of the nodes");
        }
        columns
    }

    /// Where a column goes and the key that it gives; what is not known is reported once, at the head.
    fn column(&mut self, text: &str, place: Place) -> (Target, String) {
        let lower = text.to_lowercase();
        if let Some((target, key)) = known_column(&lower) {
            return (target, key.to_owned());
        }
        if MAPPINGS.contains(&lower.as_str()) && lower != "scale" {
            let finding = self.findings.error_at(place, format!("`{text}` cannot be a column: it is a mapping"));
            finding.help("write it in the cell file, at the node with `rows` or at one above it");
            return (Target::Skip, lower);
        }
        let meant = foreign_column(&lower);
        let help = match &meant {
            _ if text.is_empty() => "give the column a name, or delete it".to_owned(),
            Some((_, key)) => format!("did you mean `{key}`?"),
            None => did_you_mean(&lower, column_names()),
        };
        let help = if help.is_empty() {
            "a column is a key of a tag, of its source or of its scale, or `tag`, `low`, `high`".to_owned()
        } else {
            help
        };
        self.findings.error_at(place, format!("unknown column `{text}`")).help(help);
        meant.map_or((Target::Skip, lower), |(target, key)| (target, key.to_owned()))
    }

    fn row(&mut self, row: &[Cell], columns: &[Column]) -> Option<(Ix, Ix)> {
        let first = row.first()?;
        if row.len() > columns.len() {
            let extra = &row[columns.len()];
            let place = place(self.file, extra.start, extra.end.max(extra.start));
            self.findings
                .error_at(place, format!("{} cells, but the header has {}", row.len(), columns.len()))
                .help("write quotes around a text that contains the separator");
            return None;
        }
        let whole = place(self.file, first.start, row.last().map_or(first.end, |cell| cell.end));
        let mapping = self.source.make(whole, Kind::Mapping, None);
        let mut name = None;
        let mut parts: [Vec<Ix>; 3] = Default::default();
        let mut ends = Vec::new();
        // `write` belongs to the source of a tag that has one, and to the node of a memory tag.
        let has_source = row.iter().zip(columns).any(|(cell, column)| column.key == "address" && cell.end > cell.start);
        for (cell, column) in row.iter().zip(columns).filter(|(cell, _)| cell.end > cell.start) {
            let value = self.value(cell);
            let into = match column.target {
                Target::Name => {
                    name = Some(value);
                    continue;
                }
                Target::Skip => continue,
                Target::Low | Target::High => {
                    ends.push(value);
                    continue;
                }
                Target::Node if column.key == "write" && has_source => 1,
                Target::Node => 0,
                Target::Source => 1,
                Target::Scale => 2,
            };
            let value =
                if matches!(column.key.as_str(), "raw" | "eu" | "range" | "array") { self.list(value) } else { value };
            let key = self.key(&column.key, column.place);
            parts[into].extend([key, value]);
        }
        let [mut node, of_source, of_scale] = parts;
        for (key, inner) in [("source", of_source), ("scale", of_scale)] {
            self.nest(&mut node, key, Kind::Mapping, whole, &inner);
        }
        self.nest(&mut node, "range", Kind::Sequence, whole, &ends);
        self.source.link(mapping, &node);
        let Some(name) = name else {
            self.findings
                .error_at(place(self.file, first.start, first.end.max(first.start + 1)), "this row has no name")
                .help("write a name in column `tag`");
            return None;
        };
        self.source.hang(mapping, self.owner, name, "rows");
        Some((name, mapping))
    }

    fn nest(&mut self, node: &mut Vec<Ix>, key: &str, kind: Kind, whole: Place, inner: &[Ix]) {
        let Some(first) = inner.first() else { return };
        let place = if kind == Kind::Mapping { whole } else { self.source.place(*first) };
        let value = self.source.make(place, kind, None);
        self.source.link(value, inner);
        let key = self.key(key, self.source.place(inner[inner.len() - 1]));
        node.extend([key, value]);
    }

    fn key(&mut self, text: &str, place: Place) -> Ix {
        let key = self.source.make(place, Kind::Made, None);
        self.source.set_text(key, text);
        key
    }

    fn value(&mut self, cell: &Cell) -> Ix {
        let place = place(self.file, cell.start, cell.end);
        let value = self.source.make(place, Kind::Made, None);
        if let Some(text) = &cell.text {
            self.source.set_text(value, text);
        } else {
            // Read while the file's text is lent out.
            let text = self.text[cell.start..cell.end].to_owned();
            if text.contains("${") {
                self.findings.error_at(place, "`${…}` is not read in CSV files").help("write the text itself");
            }
        }
        value
    }

    /// `[a, b]` or `a..b` in one cell as a list; anything else stays as it is.
    fn list(&mut self, value: Ix) -> Ix {
        let at = self.source.place(value);
        let text = &self.text[at.start as usize..at.end as usize];
        let Some(inner) = text.trim_matches('"').strip_prefix('[').and_then(|text| text.strip_suffix(']')) else {
            return value;
        };
        let parts: Vec<String> = inner.split([',', ';']).map(|part| part.trim().to_owned()).collect();
        let made = self.source.make(at, Kind::Sequence, None);
        let elements: Vec<Ix> = parts.iter().map(|part| self.key(part, at)).collect();
        self.source.link(made, &elements);
        made
    }
}
