//! The texts of all files of a cell and one arena of their YAML nodes, each with its place.
//!
//! A node is 24 bytes and its text is a slice of its file, unless an escape, a `${…}` or a template made it
//! different; so 100,000 tags cost some 40 MB. Duplicates, aliases and `<<` are unlinked once they were reported,
//! so one mistake gives one finding.

use std::collections::HashMap;
use std::ops::Range;

use super::scalar_text;

/// Bytes `start..end` of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    pub file: u16,
    pub start: u32,
    pub end: u32,
}

/// A node of the arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ix(pub u32);

pub(super) const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A key without a value.
    Null,
    Plain,
    Quoted,
    /// A scalar that a template, `${…}` or a CSV cell made: read by the type that is wanted there.
    Made,
    Mapping,
    Sequence,
    /// Reported already; decodes to nothing, quietly.
    Bad,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub start: u32,
    pub end: u32,
    pub parent: u32,
    pub next: u32,
    pub first: u32,
    pub file: u16,
    pub kind: Kind,
    pub is_key: bool,
}

#[derive(Debug)]
pub(crate) struct File {
    /// As it is shown: the path as the user gave it, or below it.
    pub name: String,
    pub text: String,
    line_starts: std::cell::OnceCell<Vec<u32>>,
}

/// Where a made value hangs: its key, the word between it and its parent in a path, and the instance it is made for.
#[derive(Debug, Clone)]
struct Origin {
    key: Ix,
    via: &'static str,
    instance: Option<(Ix, String)>,
}

/// All files and the arena.
#[derive(Default)]
pub(crate) struct Source {
    pub files: Vec<File>,
    pub(super) nodes: Vec<Node>,
    pub(super) texts: HashMap<Ix, Box<str>>,
    origins: HashMap<Ix, Origin>,
    /// Scalars whose text came from the environment or a file; it is never shown.
    secrets: HashMap<Ix, Box<str>>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.files.iter().map(|file| &*file.name).collect();
        f.debug_struct("Source").field("files", &names).finish_non_exhaustive()
    }
}

/// A scalar's new text in a copy, `None` to keep it, or an error that was reported.
type Retext<'a> = dyn FnMut(&Source, Ix) -> Result<Option<String>, ()> + 'a;

impl Source {
    /// Adds a file's text and returns its index, or `None` when there are too many.
    pub(crate) fn add_file(&mut self, name: String, text: String) -> Option<u16> {
        let at = u16::try_from(self.files.len()).ok()?;
        self.files.push(File { name, text, line_starts: std::cell::OnceCell::new() });
        Some(at)
    }

    /// The text leaves its place while the arena grows, so that no copy of it is needed.
    pub(super) fn take_text(&mut self, file: u16) -> String {
        std::mem::take(&mut self.files[usize::from(file)].text)
    }

    pub(super) fn put_text(&mut self, file: u16, text: String) {
        self.files[usize::from(file)].text = text;
    }

    /// Number of nodes.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Values of mappings and elements of lists among the nodes from `first` on.
    pub(crate) fn values_from(&self, first: usize) -> Vec<Ix> {
        let end = u32::try_from(self.nodes.len()).unwrap_or(NONE);
        let parents = (u32::try_from(first).unwrap_or(end)..end).map(Ix);
        let mut values = Vec::new();
        for parent in parents {
            match self.kind(parent) {
                Kind::Mapping => values.extend(self.entries(parent).map(|(_, value)| value)),
                Kind::Sequence => values.extend(self.children(parent)),
                _ => {}
            }
        }
        values
    }

    fn push(&mut self, node: Node) -> Ix {
        self.nodes.push(node);
        Ix(u32::try_from(self.nodes.len() - 1).expect("files are smaller than 4 GiB together"))
    }

    pub(super) fn node(&self, ix: Ix) -> &Node {
        &self.nodes[ix.0 as usize]
    }

    pub(crate) fn kind(&self, ix: Ix) -> Kind {
        self.node(ix).kind
    }

    pub(crate) fn is_scalar(&self, ix: Ix) -> bool {
        matches!(self.kind(ix), Kind::Plain | Kind::Quoted | Kind::Made)
    }

    /// The text of a scalar; empty for anything else.
    pub(crate) fn text(&self, ix: Ix) -> &str {
        let node = self.node(ix);
        if let Some(text) = self.texts.get(&ix) {
            return text;
        }
        let whole = &self.files[usize::from(node.file)].text;
        match node.kind {
            Kind::Plain | Kind::Made => &whole[node.start as usize..node.end as usize],
            Kind::Quoted => &whole[node.start as usize + 1..node.end as usize - 1],
            _ => "",
        }
    }

    /// The text as it may be shown: where `${…}` was replaced, the text in the file.
    pub(crate) fn shown(&self, ix: Ix) -> &str {
        if self.secrets.contains_key(&ix) { self.raw(ix) } else { self.text(ix) }
    }

    fn raw(&self, ix: Ix) -> &str {
        let node = self.node(ix);
        &self.files[usize::from(node.file)].text[node.start as usize..node.end as usize]
    }

    pub(crate) fn is_secret(&self, ix: Ix) -> bool {
        self.secrets.contains_key(&ix)
    }

    /// Each secret text with its notation in the file.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = (&str, &str)> {
        self.secrets.iter().map(|(ix, text)| (&**text, self.raw(*ix)))
    }

    pub(crate) fn children(&self, ix: Ix) -> impl Iterator<Item = Ix> {
        let mut next = self.node(ix).first;
        std::iter::from_fn(move || {
            let at = (next != NONE).then_some(Ix(next))?;
            next = self.node(at).next;
            Some(at)
        })
    }

    /// Keys and values of a mapping; none for anything else.
    pub(crate) fn entries(&self, ix: Ix) -> impl Iterator<Item = (Ix, Ix)> {
        let mut next = if self.kind(ix) == Kind::Mapping { self.node(ix).first } else { NONE };
        std::iter::from_fn(move || {
            let key = (next != NONE).then_some(Ix(next))?;
            let value = Ix(self.node(key).next);
            next = self.node(value).next;
            Some((key, value))
        })
    }

    pub(crate) fn get(&self, mapping: Ix, key: &str) -> Option<Ix> {
        self.entries(mapping).find(|(at, _)| self.text(*at) == key).map(|(_, value)| value)
    }

    /// Visits a subtree in the order of the file.
    pub(crate) fn walk(&self, ix: Ix, visit: &mut dyn FnMut(&Source, Ix)) {
        visit(self, ix);
        for child in self.children(ix) {
            self.walk(child, visit);
        }
    }

    pub(crate) fn place(&self, ix: Ix) -> Place {
        let node = self.node(ix);
        Place { file: node.file, start: node.start, end: node.end }
    }

    /// A part of a scalar's text as a place; the whole scalar when the text differs from the file.
    pub(crate) fn part(&self, ix: Ix, part: Range<usize>) -> Place {
        let whole = self.place(ix);
        if self.texts.contains_key(&ix) || part.is_empty() || part.end > self.text(ix).len() {
            return whole;
        }
        let quote = u32::from(self.kind(ix) == Kind::Quoted);
        let [start, end] = [part.start, part.end].map(|at| whole.start + quote + u32::try_from(at).unwrap_or(0));
        Place { file: whole.file, start, end }
    }

    /// A part of a scalar's text as a place, through quotes, escapes and folded lines.
    pub(crate) fn part_through(&self, ix: Ix, part: Range<usize>) -> Place {
        if !self.texts.contains_key(&ix) || self.is_secret(ix) {
            return self.part(ix, part);
        }
        let whole = self.place(ix);
        let Some(found) = scalar_text::part(self.raw(ix), self.text(ix), &part) else { return whole };
        let [start, end] = [found.start, found.end].map(|at| whole.start + u32::try_from(at).unwrap_or(0));
        Place { file: whole.file, start, end }
    }

    pub(crate) fn parent(&self, ix: Ix) -> Option<Ix> {
        let parent = self.node(ix).parent;
        (parent != NONE).then_some(Ix(parent))
    }

    /// The key of a value, when it is one of a mapping.
    pub(crate) fn key_of(&self, value: Ix) -> Option<Ix> {
        if let Some(origin) = self.origins.get(&value) {
            return Some(origin.key);
        }
        // A key is a leaf, so its value mostly follows it directly; a level may hold 100,000 entries.
        let before = Ix(value.0.checked_sub(1)?);
        let node = self.node(before);
        if node.is_key && node.next == value.0 && node.parent == self.node(value).parent {
            return Some(before);
        }
        self.entries(self.parent(value)?).find(|(_, at)| *at == value).map(|(key, _)| key)
    }

    /// The value of a key, when it is one.
    fn value_of(&self, ix: Ix) -> Option<Ix> {
        let node = self.node(ix);
        node.is_key.then_some(Ix(node.next))
    }

    /// Path of the node in the tree, as `connections.plc.unit_id` or `cells[0]`. Walks up; for findings only.
    pub(crate) fn path(&self, ix: Ix) -> String {
        let mut parts: Vec<String> = Vec::new();
        let mut at = self.value_of(ix).unwrap_or(ix);
        while let Some(parent) = self.parent(at) {
            if let Some(key) = self.key_of(at) {
                parts.push(self.shown(key).to_owned());
            } else if let Some(index) = self.children(parent).position(|child| child == at) {
                parts.push(format!("[{index}]"));
            }
            if let Some(via) = self.origins.get(&at).map(|origin| origin.via).filter(|via| !via.is_empty()) {
                parts.push(via.to_owned());
            }
            at = parent;
        }
        parts.reverse();
        parts.join(".").replace(".[", "[")
    }

    /// The instance that a made node belongs to, and how to say so.
    pub(crate) fn instance_of(&self, ix: Ix) -> Option<(Ix, &str)> {
        let mut at = Some(ix);
        while let Some(here) = at {
            if let Some((instance, label)) = self.origins.get(&here).and_then(|origin| origin.instance.as_ref()) {
                return Some((*instance, label));
            }
            at = self.parent(here);
        }
        None
    }

    /// Gives a scalar another text, which was made and is not in the file.
    pub(crate) fn set_text(&mut self, ix: Ix, text: &str) {
        self.texts.insert(ix, text.into());
        self.nodes[ix.0 as usize].kind = Kind::Made;
    }

    /// The same for a text that must never be shown.
    pub(crate) fn set_secret(&mut self, ix: Ix, text: &str) {
        self.set_text(ix, text);
        self.secrets.insert(ix, text.into());
    }

    pub(crate) fn set_bad(&mut self, ix: Ix) {
        let node = &mut self.nodes[ix.0 as usize];
        node.kind = Kind::Bad;
        node.first = NONE;
    }

    /// A scalar of a CSV file, or a copy at the place of another node.
    pub(crate) fn make(&mut self, place: Place, kind: Kind, parent: Option<Ix>) -> Ix {
        self.push(Node {
            start: place.start,
            end: place.end,
            parent: parent.map_or(NONE, |at| at.0),
            next: NONE,
            first: NONE,
            file: place.file,
            kind,
            is_key: false,
        })
    }

    /// Links `children` below `parent` in this order.
    pub(crate) fn link(&mut self, parent: Ix, children: &[Ix]) {
        let is_mapping = self.kind(parent) == Kind::Mapping;
        self.nodes[parent.0 as usize].first = children.first().map_or(NONE, |at| at.0);
        for (at, child) in children.iter().enumerate() {
            let next = children.get(at + 1).map_or(NONE, |next| next.0);
            let node = &mut self.nodes[child.0 as usize];
            node.parent = parent.0;
            node.next = next;
            node.is_key = is_mapping && at % 2 == 0;
        }
    }

    /// Notes where a made value hangs, see `Origin`.
    pub(crate) fn hang(&mut self, value: Ix, parent: Ix, key: Ix, via: &'static str) {
        self.nodes[value.0 as usize].parent = parent.0;
        self.origins.insert(value, Origin { key, via, instance: None });
    }

    pub(crate) fn made_for(&mut self, value: Ix, instance: Ix, label: String) {
        if let Some(origin) = self.origins.get_mut(&value) {
            origin.instance = Some((instance, label));
        }
    }

    /// A copy of the subtree at `from`; `text` gives a scalar's new text, `None` to keep it, or an
    /// error that was reported. Skips the value of
    /// `without` in the top mapping.
    pub(crate) fn copy(&mut self, from: Ix, without: &[&str], text: &mut Retext<'_>) -> Ix {
        let place = self.place(from);
        let at = self.make(place, self.kind(from), None);
        if self.is_scalar(from) {
            if let Some(secret) = self.secrets.get(&from).cloned() {
                self.secrets.insert(at, secret);
            }
            match text(self, from) {
                Ok(Some(made)) => self.set_text(at, &made),
                Ok(None) => {
                    if let Some(kept) = self.texts.get(&from).cloned() {
                        self.texts.insert(at, kept);
                    }
                }
                Err(()) => self.set_bad(at),
            }
            return at;
        }
        let mut children = Vec::new();
        if self.kind(from) == Kind::Mapping {
            let entries: Vec<_> = self.entries(from).collect();
            for (key, value) in entries {
                if !without.contains(&self.text(key)) {
                    children.push(self.copy(key, &[], &mut |_, _| Ok(None)));
                    children.push(self.copy(value, &[], text));
                }
            }
        } else {
            let elements: Vec<_> = self.children(from).collect();
            for element in elements {
                children.push(self.copy(element, &[], text));
            }
        }
        self.link(at, &children);
        at
    }

    /// A place's line, up to this number of bytes after the place's beginning.
    pub(crate) fn line_until(&self, place: Place, beyond: usize) -> Option<&str> {
        let text = &self.files.get(usize::from(place.file))?.text;
        let start = text.get(..place.start as usize)?.rfind('\n').map_or(0, |at| at + 1);
        let end = text.ceil_char_boundary((place.start as usize + beyond).min(text.len()));
        text.get(start..end)?.lines().next()
    }

    /// Line and column of an offset, both from 1, the column in characters.
    pub(crate) fn line_column(&self, file: u16, offset: u32) -> (usize, usize) {
        let file = &self.files[usize::from(file)];
        let starts = file.line_starts();
        let line = starts.partition_point(|start| *start <= offset);
        let start = starts[line - 1] as usize;
        let end = (offset as usize).min(file.text.len());
        (line, file.text.get(start..end).map_or(0, |before| before.chars().count()) + 1)
    }
}

impl File {
    /// Offsets at which lines begin.
    pub(crate) fn line_starts(&self) -> &[u32] {
        self.line_starts.get_or_init(|| {
            let ends = self.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
            let after = ends.map(|(at, _)| u32::try_from(at + 1).expect("files are smaller than 4 GiB"));
            std::iter::once(0).chain(after).collect()
        })
    }
}
