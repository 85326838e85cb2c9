//! Findings: what is wrong in a file, where, and what to write instead; drawn with their lines, or as JSON.
//!
//! A finding shows the bytes of the file and never a text that `${env:}` or `${file:}` put in its place.

use std::collections::{HashMap, HashSet};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value, json};

use super::loaded::Named;
use super::source::{Ix, Place, Source};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
}

#[derive(Debug, Clone)]
pub struct Finding {
    pub severity: Severity,
    pub place: Option<Place>,
    /// The node whose path is shown.
    node: Option<Ix>,
    also: Option<(Place, String)>,
    pub message: String,
    pub help: Vec<String>,
    /// The help is right only if nothing else is wrong at this place.
    is_tentative: bool,
}

/// Findings while they are collected.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    list: Vec<Finding>,
}

impl Finding {
    pub fn help(&mut self, help: impl Into<String>) -> &mut Finding {
        let help = help.into();
        if !help.is_empty() && !self.help.contains(&help) {
            self.help.push(help);
        }
        self
    }

    /// Help that is dropped when something else is found at the same place.
    pub fn tentative_help(&mut self, help: impl Into<String>) -> &mut Finding {
        self.is_tentative = true;
        self.help(help)
    }

    pub fn also(&mut self, place: Place, label: impl Into<String>) -> &mut Finding {
        self.also = Some((place, label.into()));
        self
    }

    pub fn at_part(&mut self, place: Place) -> &mut Finding {
        self.place = Some(place);
        self
    }
}

impl Findings {
    fn push(&mut self, severity: Severity, place: Option<Place>, node: Option<Ix>, message: String) -> &mut Finding {
        self.list.push(Finding { severity, place, node, also: None, message, help: Vec::new(), is_tentative: false });
        self.list.last_mut().expect("just pushed")
    }

    pub(crate) fn error_at(&mut self, place: Place, message: impl Into<String>) -> &mut Finding {
        self.push(Severity::Error, Some(place), None, message.into())
    }

    pub(crate) fn warning_at(&mut self, place: Place, message: impl Into<String>) -> &mut Finding {
        self.push(Severity::Warning, Some(place), None, message.into())
    }

    /// A finding that has no place in a file.
    pub(crate) fn error_without_place(&mut self, message: impl Into<String>) -> &mut Finding {
        self.push(Severity::Error, None, None, message.into())
    }

    pub(crate) fn error(&mut self, source: &Source, at: Ix, message: impl Into<String>) -> &mut Finding {
        self.on_node(Severity::Error, source, at, message.into())
    }

    pub(crate) fn warning(&mut self, source: &Source, at: Ix, message: impl Into<String>) -> &mut Finding {
        self.on_node(Severity::Warning, source, at, message.into())
    }

    /// A mapping or list is marked by its key, so that the caret is under one word.
    fn on_node(&mut self, severity: Severity, source: &Source, at: Ix, message: String) -> &mut Finding {
        let marked = if source.is_scalar(at) { at } else { source.key_of(at).unwrap_or(at) };
        let mut place = source.place(marked);
        if !source.is_scalar(marked) {
            place.end = place.end.min(place.start + 1);
        }
        let message = if source.is_secret(at) {
            format!("the text that replaces `{}` does not fit here", source.shown(at).trim_matches(['"', '\'']))
        } else {
            message
        };
        let also = source.instance_of(at).map(|(instance, label)| {
            let key = source.key_of(instance).unwrap_or(instance);
            (source.place(key), label.to_owned())
        });
        let finding = self.push(severity, Some(place), Some(at), message);
        finding.also = also;
        finding
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.has_errors_since(0)
    }

    pub(crate) fn has_errors_in_file(&self, file: u16) -> bool {
        self.list.iter().any(|finding| finding.place.is_some_and(|place| place.file == file))
    }

    /// Drops what was found from `mark` on and stood there before.
    pub(crate) fn drop_repeats_since(&mut self, mark: usize) {
        let new = self.list.split_off(mark);
        for finding in new {
            if !self.list.iter().rev().take(32).any(|old| old.place == finding.place && old.message == finding.message)
            {
                self.list.push(finding);
            }
        }
    }

    pub(crate) fn has_errors_since(&self, mark: usize) -> bool {
        self.list[mark..].iter().any(|finding| finding.severity == Severity::Error)
    }

    /// Takes the findings of `other` whose node is `kept`.
    pub(crate) fn take_from(&mut self, other: Findings, kept: impl Fn(Ix) -> bool) {
        self.list.extend(other.list.into_iter().filter(|finding| finding.node.is_none_or(&kept)));
    }

    /// A formula with signs that YAML reads needs quotes.
    fn help_quoting(&mut self, source: &Source) {
        for finding in &mut self.list {
            let is_of_yaml = OF_YAML.iter().any(|begin| finding.message.starts_with(begin));
            let is_key = finding.message.starts_with("unknown key");
            let Some(place) = finding.place.filter(|_| is_of_yaml || is_key) else { continue };
            let formula = source
                .line_until(place, if is_key { 0 } else { "expr: ".len() })
                .and_then(|line| line.split_once("expr: "))
                .map(|(_, text)| text);
            // A comma inside `{ … }` ends the text in the middle of a call.
            let is_cut = |text: &str| text.matches('(').count() > text.matches(')').count();
            if formula.is_some_and(|text| is_of_yaml || is_cut(text)) {
                finding.help("in a formula: quote the whole text, as `expr: \"if(On, 'on: 1', 'off')\"`");
            }
        }
    }

    /// Sorts by file and place, and drops what was found twice (a mistake in a type, seen by each instance).
    pub(crate) fn into_report(mut self, source: Source, named: Named) -> Report {
        for finding in &mut self.list {
            for (secret, notation) in source.secrets() {
                hide(finding, secret, notation);
            }
        }
        self.help_quoting(&source);
        let order = |finding: &Finding| finding.place.map(|place| (place.file, place.start));
        self.list.sort_by(|a, b| order(a).cmp(&order(b)).then(a.severity.cmp(&b.severity)));
        let mut seen = HashSet::new();
        self.list.retain(|finding| seen.insert((finding.place, finding.message.clone())));
        let places: Vec<_> = self.list.iter().map(|finding| finding.place).collect();
        for (at, finding) in self.list.iter_mut().enumerate().filter(|(_, finding)| finding.is_tentative) {
            let neighbours = [at.checked_sub(1), Some(at + 1)].into_iter().flatten();
            if neighbours.filter_map(|at| places.get(at)).any(|place| *place == finding.place) {
                finding.help = vec!["write a list: `[a, b]`".to_owned()];
            }
        }
        let source = if self.list.is_empty() { Source::default() } else { source };
        Report { findings: self.list, named, source }
    }
}

/// Findings of signs that mean something to YAML.
const OF_YAML: [&str; 7] = [
    "YAML anchors",
    "YAML aliases",
    "YAML tags",
    "mapping values are not allowed",
    "invalid trailing content",
    "expected text, found a list",
    "expected text, found a mapping",
];

/// A text as short as a digit may stand in any message, so only longer ones are looked for.
fn hide(finding: &mut Finding, secret: &str, notation: &str) {
    if secret.len() < 4 {
        return;
    }
    for text in finding.help.iter_mut().chain([&mut finding.message]) {
        if text.contains(secret) {
            *text = text.replace(secret, notation);
        }
    }
}

/// All findings of one run, in the order of the files.
#[derive(Debug)]
pub struct Report {
    pub findings: Vec<Finding>,
    /// The files that a mistake may be in, those that are missing included.
    pub named: Named,
    source: Source,
}

/// How much `Report::render` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// The first 50 findings, and at most 5 with the same message.
    Some,
    All,
}

const MOST: usize = 50;
const MOST_ALIKE: usize = 5;

impl Report {
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }

    pub fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    /// `2 errors, 1 warning`; empty when there is nothing.
    pub fn summary(&self) -> String {
        let errors = self.findings.iter().filter(|finding| finding.severity == Severity::Error).count();
        let parts = [(errors, "error"), (self.findings.len() - errors, "warning")];
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        let texts: Vec<_> = parts.map(|(n, what)| format!("{n} {what}{}", if *n == 1 { "" } else { "s" })).collect();
        texts.join(", ")
    }

    /// The findings with their lines and carets, plain text.
    pub fn render(&self, shown: Shown) -> String {
        let mut out = String::new();
        let mut alike: HashMap<&str, usize> = HashMap::new();
        let mut drawn = 0;
        for finding in &self.findings {
            let count = alike.entry(&finding.message).or_default();
            *count += 1;
            if shown == Shown::All || (drawn < MOST && *count <= MOST_ALIKE) {
                out.push_str(&self.draw(finding));
                out.push_str("\n\n");
                drawn += 1;
            }
        }
        if drawn < self.findings.len() {
            out.push_str(&format!("and {} more; `--all` shows each\n\n", self.findings.len() - drawn));
        }
        out
    }

    /// `file:line:column` of a finding, all counted from 1.
    pub fn position(&self, finding: &Finding) -> Option<(&str, usize, usize)> {
        let place = finding.place?;
        let (line, column) = self.source.line_column(place.file, place.start);
        Some((&self.source.files[usize::from(place.file)].name, line, column))
    }

    pub fn path(&self, finding: &Finding) -> String {
        finding.node.map(|node| self.source.path(node)).unwrap_or_default()
    }

    /// One object a finding, for editors and CI.
    pub fn json(&self) -> Value {
        let position = |place: Place| {
            let (line, column) = self.source.line_column(place.file, place.start);
            let (end_line, end_column) = self.source.line_column(place.file, place.end);
            json!({
                "file": self.source.files[usize::from(place.file)].name,
                "line": line, "column": column, "end_line": end_line, "end_column": end_column,
            })
        };
        let findings = self.findings.iter().map(|finding| {
            let mut out = json!({
                "severity": match finding.severity { Severity::Error => "error", Severity::Warning => "warning" },
                "message": finding.message,
                "help": finding.help,
                "path": self.path(finding),
            });
            if let Some(place) = finding.place {
                out["place"] = position(place);
            }
            if let Some((place, label)) = &finding.also {
                out["also"] = position(*place);
                out["also"]["label"] = json!(label);
            }
            out
        });
        Value::Array(findings.collect())
    }

    fn draw(&self, finding: &Finding) -> String {
        let level = match finding.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(finding.message.as_str()));
        let path = self.path(finding);
        let label = if path.is_empty() { String::new() } else { format!("at {path}") };
        if let Some(place) = finding.place {
            let mut marks = vec![(place, AnnotationKind::Primary, label.as_str())];
            let mut elsewhere = Vec::new();
            if let Some((also, text)) = &finding.also {
                // One excerpt for near places; two for far ones, so that the lines between are not drawn.
                let into = if self.near(place, *also) { &mut marks } else { &mut elsewhere };
                into.push((*also, AnnotationKind::Context, text.as_str()));
            }
            group = group.element(self.snippet(&marks));
            if !elsewhere.is_empty() {
                group = group.element(self.snippet(&elsewhere));
            }
        }
        for help in &finding.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        Renderer::plain().render(&[group])
    }

    fn near(&self, a: Place, b: Place) -> bool {
        a.file == b.file && a.start.abs_diff(b.start) < 4_000
    }

    /// The lines around some marks; a window, because drawing cost grows with the text that is given.
    fn snippet<'a>(
        &'a self,
        marks: &[(Place, AnnotationKind, &'a str)],
    ) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        let file = &self.source.files[usize::from(marks[0].0.file)];
        let first = marks.iter().map(|(place, ..)| place.start).min().unwrap_or(0);
        let last = marks.iter().map(|(place, ..)| place.end).max().unwrap_or(0);
        let starts = file.line_starts();
        let line = starts.partition_point(|start| *start <= first);
        let begin = starts[line - 1] as usize;
        let after = starts.partition_point(|start| *start <= last);
        let end = starts.get(after).map_or(file.text.len(), |start| *start as usize);
        let snippet = Snippet::source(&file.text[begin..end]).line_start(line).path(file.name.as_str());
        marks.iter().fold(snippet, |snippet, (place, kind, label)| {
            // A syntax error may be placed inside a character: mark the whole of it.
            let from = file.text.floor_char_boundary(place.start as usize);
            let to = file.text.ceil_char_boundary((place.end as usize).min(end)).max(from);
            let span = from - begin..to - begin;
            let mark = kind.span(span);
            snippet.annotation(if label.is_empty() { mark } else { mark.label(*label) })
        })
    }
}
