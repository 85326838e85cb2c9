//! From the YAML parser's events to nodes of the arena; the only file that knows the parser.
//!
//! What schema 1 doesn't read (anchors, aliases, `<<`, tags, a second document, a key twice) is refused here, each
//! with its place, and unlinked.

use std::collections::HashMap;
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle};

use super::report::Findings;
use super::source::{Ix, Kind, NONE, Place, Source};

/// Longest nest of mappings and lists.
const DEPTH: usize = 64;

impl Source {
    /// Parses file `file` into the arena; `None` after a syntax error, which is that file's only finding.
    pub(crate) fn parse(&mut self, file: u16, findings: &mut Findings) -> Option<Ix> {
        let text = self.take_text(file);
        let root = Builder { source: self, findings, file, text: &text, open: Vec::new(), root: None }.run();
        self.put_text(file, text);
        root
    }
}

/// Turns parser events into nodes; `open` is the stack of mappings and lists with their last child.
struct Builder<'a> {
    pub source: &'a mut Source,
    pub findings: &'a mut Findings,
    pub file: u16,
    pub text: &'a str,
    /// Each open node with its last child and their number.
    pub open: Vec<(Ix, u32, u32)>,
    pub root: Option<Ix>,
}

impl Builder<'_> {
    pub(crate) fn run(mut self) -> Option<Ix> {
        let options = granit_parser::options! {
            strict_indentation: true,
            emit_unresolved_aliases: true,
            flow_nesting_limit: DEPTH,
            block_nesting_limit: DEPTH,
        };
        for event in Parser::new_from_str_with_options(self.text, options) {
            match event {
                Ok((event, span)) => {
                    let range = span.byte_range().unwrap_or(0..0);
                    let tag = span.tag_span().and_then(|tag| tag.byte_range());
                    if !self.event(&event, range, tag) {
                        break;
                    }
                }
                Err(error) => {
                    let at = error.marker().byte_offset().unwrap_or(0);
                    super::syntax::report(self.findings, self.file, self.text, at, &error.info());
                    return None;
                }
            }
        }
        self.root
    }

    fn place(&self, range: &Range<usize>) -> Place {
        let [start, end] = [range.start, range.end].map(|at| u32::try_from(at).unwrap_or(u32::MAX));
        Place { file: self.file, start, end }
    }

    fn event(&mut self, event: &Event<'_>, range: Range<usize>, tag: Option<Range<usize>>) -> bool {
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                let place = self.place(&range);
                self.findings
                    .error_at(place, "this file contains a second document")
                    .help("move it to its own file, and add that to `cells` of the server file");
                return false;
            }
            Event::Scalar(text, style, anchor, _) => self.scalar(text, *style, *anchor, range, tag),
            Event::SequenceStart(_, anchor, _) => self.begin(Kind::Sequence, *anchor, range, tag),
            Event::MappingStart(_, anchor, _) => self.begin(Kind::Mapping, *anchor, range, tag),
            Event::SequenceEnd | Event::MappingEnd => self.end(&range),
            Event::Alias(_) | Event::UnresolvedAlias(_) => self.alias(&range),
            _ => {}
        }
        true
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        range: Range<usize>,
        tag: Option<Range<usize>>,
    ) {
        let quoted = style != ScalarStyle::Plain;
        let null = !quoted && matches!(text, "" | "~" | "null" | "Null" | "NULL");
        let kind = match (null, quoted) {
            (true, _) => Kind::Null,
            (false, true) => Kind::Quoted,
            (false, false) => Kind::Plain,
        };
        let place = self.place(&range);
        let at = self.source.make(place, kind, None);
        let inner = if quoted { range.start + 1..range.end.saturating_sub(1) } else { range.clone() };
        if self.text.get(inner) != Some(text) {
            self.source.texts.insert(at, text.into());
        }
        self.attach(at);
        self.refuse_extras(anchor, &range, tag);
    }

    fn begin(&mut self, kind: Kind, anchor: usize, range: Range<usize>, tag: Option<Range<usize>>) {
        let place = self.place(&range);
        let at = self.source.make(place, kind, None);
        self.attach(at);
        self.refuse_extras(anchor, &range, tag);
        self.open.push((at, NONE, 0));
    }

    /// Hangs a node below the innermost open one.
    fn attach(&mut self, at: Ix) {
        let Some((parent, last, count)) = self.open.last_mut() else {
            self.root.get_or_insert(at);
            return;
        };
        self.source.nodes[at.0 as usize].parent = parent.0;
        self.source.nodes[at.0 as usize].is_key = *count % 2 == 0 && self.source.kind(*parent) == Kind::Mapping;
        if *last == NONE {
            self.source.nodes[parent.0 as usize].first = at.0;
        } else {
            self.source.nodes[*last as usize].next = at.0;
        }
        *last = at.0;
        *count += 1;
    }

    fn end(&mut self, range: &Range<usize>) {
        let Some((at, _, count)) = self.open.pop() else { return };
        let end = u32::try_from(range.end).unwrap_or(u32::MAX);
        let node = &mut self.source.nodes[at.0 as usize];
        node.end = node.end.max(end);
        if node.kind == Kind::Mapping {
            self.check_keys(at, count as usize / 2);
        }
    }

    fn alias(&mut self, range: &Range<usize>) {
        let place = self.place(range);
        let at = self.source.make(place, Kind::Bad, None);
        self.attach(at);
        let is_merge = self.open.last().is_some_and(|(parent, ..)| {
            let mut keys = self.source.children(*parent);
            self.source.kind(*parent) == Kind::Mapping && keys.any(|key| key_text(self.text, self.source, key) == "<<")
        });
        if !is_merge {
            self.findings
                .error_at(place, "YAML aliases (`*name`) are not read here")
                .help("use `types` for repeated parts, and `defaults` for inherited settings");
        }
    }

    fn refuse_extras(&mut self, anchor: usize, range: &Range<usize>, tag: Option<Range<usize>>) {
        if let Some(tag) = tag.filter(|tag| !tag.is_empty()) {
            let place = self.place(&tag);
            self.findings.error_at(place, "YAML tags (`!name`) are not read here").help("leave it out");
        }
        if anchor == 0 {
            return;
        }
        let before = &self.text[..range.start.min(self.text.len())];
        let start = before.rfind('&').unwrap_or(range.start);
        let length = self.text[start..].find(char::is_whitespace).unwrap_or(1);
        let place = self.place(&(start..start + length));
        self.findings
            .error_at(place, "YAML anchors (`&name`) are not read here")
            .help("use `types` for repeated parts, and `defaults` for inherited settings");
    }

    /// Reports keys that are no text, `<<` and second entries, and unlinks them.
    fn check_keys(&mut self, mapping: Ix, count: usize) {
        let mut seen: HashMap<Box<str>, Ix> = HashMap::new();
        let mut kept: Vec<(Ix, Ix)> = Vec::with_capacity(count);
        let mut dropped = false;
        let mut merged = false;
        let entries: Vec<_> = self.source.entries(mapping).collect();
        for (key, value) in entries {
            let place = self.source.place(key);
            let text = key_text(self.text, self.source, key);
            let kind = self.source.kind(key);
            if !matches!(kind, Kind::Plain | Kind::Quoted) {
                if kind != Kind::Bad {
                    self.findings.error_at(place, "a key must be a text").help("write `name: value`");
                }
            } else if text == "<<" {
                merged = true;
                self.findings
                    .error_at(place, "merge keys (`<<`) are not read here")
                    .help("use `types` for repeated parts, and `defaults` for inherited settings");
            } else if let Some(first) = if count > 8 {
                seen.get(text).copied()
            } else {
                kept.iter().map(|(key, _)| *key).find(|other| key_text(self.text, self.source, *other) == text)
            } {
                let also = self.source.place(first);
                self.findings
                    .error_at(place, format!("`{text}` is defined twice"))
                    .also(also, "first here")
                    .help("rename one of them, or delete it");
            } else {
                if count > 8 {
                    seen.insert(text.into(), key);
                }
                kept.push((key, value));
                continue;
            }
            dropped = true;
        }
        if merged {
            // The merged keys are missing now, so that no more can be reported about the rest.
            self.source.set_bad(mapping);
        } else if dropped {
            let children: Vec<Ix> = kept.iter().flat_map(|(key, value)| [*key, *value]).collect();
            self.source.link(mapping, &children);
        }
    }
}

/// `Source::text` while the file's text is out of its place.
fn key_text<'a>(text: &'a str, source: &'a Source, key: Ix) -> &'a str {
    let node = source.node(key);
    let [start, end] = [node.start as usize, node.end as usize];
    match (source.texts.get(&key), node.kind) {
        (Some(made), _) => made,
        (None, Kind::Plain) => &text[start..end],
        (None, Kind::Quoted) => &text[start + 1..end - 1],
        _ => "",
    }
}
