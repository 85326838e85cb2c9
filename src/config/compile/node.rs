//! The walk over `nodes:`: folders, instances, repeats and rows, each node with what it inherits.
//!
//! Inside a type or a `repeat` a node's own keys are copied with `{…}` filled in, its children are not: they are
//! walked with the same environment. A copy keeps the template's place and knows its instance.

use std::collections::HashMap;
use std::sync::Arc;

use super::scope::{Entry, Inherited, Into, Scope, Walk};
use super::{Compiler, MOST_NODES};
use crate::config::at::At;
use crate::config::de::{Keys, decode, decode_entry};
use crate::config::docs::{did_you_mean, list, nearest};
use crate::config::source::{Ix, Kind};
use crate::config::spec::NodeSpec;
use crate::config::template::{self, Env, Fault};
use crate::config::{csv, files};
use crate::model::{Node, NodeIx, NodeKind, NodeName};

/// Names of one level, with the key of each.
type Seen = HashMap<Arc<str>, Ix>;

/// Most nodes that one `repeat` makes.
const MOST_REPEATS: usize = 10_000;

/// Most levels of nodes, through types.
const MOST_LEVELS: u8 = 64;

/// Most arena nodes, so that repeats of large lists end.
const MOST_ARENA: usize = 20_000_000;

/// The part of a NodeId in the notation of OPC UA that follows its namespace, as in `ns=2;s=Pump`.
fn without_namespace(id: &str) -> Option<&str> {
    let (namespace, own) = id.split_once(';')?;
    let is_index = namespace.strip_prefix("ns=").is_some_and(|index| index.parse::<u32>().is_ok());
    (is_index || namespace.starts_with("nsu=") || namespace.starts_with("svr=")).then_some(own)
}

impl Compiler<'_> {
    pub(super) fn top_nodes(&mut self, roots: &[Ix], scope: &mut Scope, inherited: &Inherited) {
        let env = Env::default();
        let mut seen = Seen::new();
        for part in self.sections(roots, &["nodes"]) {
            let walk = Walk {
                into: Into::Cell,
                parent: Some(NodeIx(0)),
                depth: 0,
                env: &env,
                instance: None,
                hang: (part, ""),
                inherited: inherited.clone(),
            };
            if self.expect_mapping(part, "nodes") {
                self.level(part, &walk, scope, &mut seen);
            }
        }
    }

    pub(super) fn children(&mut self, mapping: Ix, walk: &Walk<'_>, scope: &mut Scope) {
        if self.expect_mapping(mapping, "children") {
            self.level(mapping, walk, scope, &mut Seen::new());
        }
    }

    fn level(&mut self, mapping: Ix, walk: &Walk<'_>, scope: &mut Scope, seen: &mut Seen) {
        let entries: Vec<_> = self.source.entries(mapping).collect();
        for (key, value) in entries {
            let repeat = self.source.get(value, "repeat").filter(|_| self.source.kind(value) == Kind::Mapping);
            match repeat {
                Some(repeat) => self.repeat(key, value, repeat, walk, scope, seen),
                None => self.entry(key, value, walk, scope, seen),
            }
        }
    }

    /// One node per value of the variable.
    fn repeat(&mut self, key: Ix, value: Ix, repeat: Ix, walk: &Walk<'_>, scope: &mut Scope, seen: &mut Seen) {
        let Some((name, texts)) = self.repeat_values(repeat, walk.env) else { return };
        if !self.source.text(key).contains('{') {
            let message = format!("the name of a repeated node must contain `{{{name}}}`");
            let shown = format!("write `{}{{{name}}}`", self.source.shown(key));
            self.findings.error(&self.source, key, message).help(shown);
            return;
        }
        // A type shows one declaration of what is repeated: the first.
        let most = if matches!(walk.into, Into::Cell) { texts.len() } else { 1 };
        for text in &texts[..most.min(texts.len())] {
            let env = walk.env.with(&name, text);
            let walk = Walk { env: &env, ..walk.clone() };
            self.entry(key, value, &walk, scope, seen);
        }
    }

    fn repeat_values(&mut self, repeat: Ix, env: &Env) -> Option<(String, Vec<String>)> {
        let help = "write `repeat: { i: 1..3 }` or `repeat: { name: [A, B] }`";
        let mut entries = self.source.entries(repeat);
        let (Some((key, values)), None) = (entries.next(), entries.next()) else {
            drop(entries);
            if !matches!(self.source.kind(repeat), Kind::Bad) {
                self.findings.error(&self.source, repeat, "`repeat` needs exactly one variable").help(help);
            }
            return None;
        };
        drop(entries);
        let name = self.source.text(key).to_owned();
        if self.source.kind(values) == Kind::Sequence {
            let texts: Vec<_> = self.source.children(values).map(|at| self.source.text(at).to_owned()).collect();
            if texts.len() > MOST_REPEATS {
                self.findings.error(&self.source, values, format!("more than {MOST_REPEATS} nodes"));
                return None;
            }
            return Some((name, texts));
        }
        let text = self.filled(values, env)?;
        match template::range(&text, MOST_REPEATS) {
            Ok(texts) => Some((name, texts)),
            Err(message) => {
                self.findings.error(&self.source, values, message).help(help);
                None
            }
        }
    }

    /// The text of a scalar with `{…}` filled in, or a finding.
    pub(super) fn filled(&mut self, at: Ix, env: &Env) -> Option<String> {
        let text = self.source.text(at);
        match template::fill(text, env) {
            Ok(None) => Some(text.to_owned()),
            Ok(Some(filled)) => Some(filled),
            Err(fault) => {
                self.template_fault(at, fault, env);
                None
            }
        }
    }

    pub(super) fn template_fault(&mut self, at: Ix, fault: Fault, env: &Env) {
        match fault {
            Fault::Unknown(name) => {
                let mut help = did_you_mean(&name, env.names());
                if help.is_empty() {
                    help = format!("known are {}", list(env.names(), 12));
                }
                self.findings.error(&self.source, at, format!("no parameter `{name}`")).help(help);
            }
            Fault::Other(message) => {
                self.findings.error(&self.source, at, message).help("write `{name}`, `{name+1}` or `{(i-1)*16}`");
            }
        }
    }

    fn entry(&mut self, key: Ix, value: Ix, walk: &Walk<'_>, scope: &mut Scope, seen: &mut Seen) {
        let is_template = !walk.env.is_empty();
        let Some(name) =
            (if is_template { self.filled(key, walk.env) } else { Some(self.source.text(key).to_owned()) })
        else {
            return;
        };
        self.node_count += 1;
        if self.node_count > MOST_NODES || self.source.len() > MOST_ARENA {
            // Once is enough.
            if self.node_count < usize::MAX / 2 {
                self.node_count = usize::MAX / 2;
                self.findings.error(&self.source, key, format!("more than {MOST_NODES} nodes"));
            }
            return;
        }
        if walk.depth > MOST_LEVELS {
            self.findings.error(&self.source, key, format!("more than {MOST_LEVELS} levels of nodes"));
            return;
        }
        let is_repeat_misspelt = !is_template && name.contains('{') && self.has_misspelt_repeat(value);
        if name.contains(" {") {
            // Key and mapping are one text.
            self.check_name(key, &name);
            return;
        }
        if is_repeat_misspelt || !self.check_name(key, &name) && name.contains(['{', '}']) {
            // The node can't be made; its keys are still checked, except for the texts that need a value.
            decode::<NodeSpec>(&self.source, value, Keys::OWN, self.findings);
            return;
        }
        // The findings keep the cell from being served; the node's keys are still checked.
        let name: Arc<str> = name.as_str().into();
        if let Some(first) = seen.insert(name.clone(), key) {
            let also = self.source.place(first);
            let finding = self.findings.error(&self.source, key, format!("`{name}` is defined twice"));
            finding.also(also, "first here").help("rename one of them, or delete it");
        }
        let own = if is_template { self.instantiate(key, value, &name, walk) } else { value };
        self.node(name, own, value, walk, scope);
    }

    fn has_misspelt_repeat(&self, node: Ix) -> bool {
        self.source.entries(node).any(|(key, _)| nearest(self.source.text(key), ["repeat"]).is_some())
    }

    /// The node's own keys with `{…}` filled in; its children stay in the template.
    fn instantiate(&mut self, key: Ix, value: Ix, name: &str, walk: &Walk<'_>) -> Ix {
        let mut faults = Vec::new();
        let env = walk.env;
        let own = self.source.copy(value, &["children", "repeat", "alarms"], &mut |source, at| {
            template::fill(source.text(at), env).map_err(|fault| faults.push((at, fault)))
        });
        let made_key = self.source.make(self.source.place(key), Kind::Made, None);
        self.source.set_text(made_key, name);
        self.source.hang(own, walk.hang.0, made_key, walk.hang.1);
        if let Some((instance, label)) = &walk.instance {
            self.source.made_for(own, *instance, label.clone());
        }
        for (at, fault) in faults {
            self.template_fault(at, fault, env);
        }
        own
    }

    fn node(&mut self, name: Arc<str>, own: Ix, template: Ix, walk: &Walk<'_>, scope: &mut Scope) {
        let (spec, is_whole) = decode_entry::<NodeSpec>(&mut self.source, own, Keys::OWN, self.findings);
        let children = self.source.get(template, "children");
        let alarms = self.source.get(template, "alarms");
        let Some(spec) = spec else {
            // Its children are still checked.
            if let Some(children) = children.filter(|at| self.source.kind(*at) == Kind::Mapping) {
                let walk = Walk { hang: (own, "children"), ..walk.clone() };
                self.children(children, &walk, scope);
            }
            return;
        };
        let inherited = self.inherit(&spec, &walk.inherited, walk.into, scope);
        let access = self.access_ix(inherited.access);
        let node = Node {
            name: name.clone(),
            id: spec.id.as_ref().map_or(NodeName::Path, |id| self.pinned(id, walk.into, scope)),
            parent: walk.parent,
            kind: NodeKind::Folder,
            display_name: spec.display_name.and_then(|raw| self.texts(raw.0)),
            description: spec.description.and_then(|raw| self.texts(raw.0)),
            access,
        };
        let ix = self.push_node(node, walk.into, scope);
        let below =
            Walk { parent: Some(ix), depth: walk.depth + 1, hang: (own, "children"), inherited, ..walk.clone() };
        let entry = Entry { spec: &spec, own, template, is_whole };
        if let Some(data_type) = &self.type_of(entry, children.is_some()) {
            let browse = spec.browse.map(|raw| raw.0);
            for (other, word) in [(children, "children"), (spec.of.as_ref().map(|of| of.ix), "of"), (browse, "browse")]
            {
                if let Some(at) = other {
                    let message = format!("a node with `type` is a tag and cannot have `{word}`");
                    self.findings.error(&self.source, at, message).help(format!("delete `type` or `{word}`"));
                }
            }
            let kind = self.tag(entry, data_type, ix, &below, scope);
            let tag = match &kind {
                Some(NodeKind::Variable(tag)) => Some(*tag),
                _ => None,
            };
            if let Some(kind) = kind {
                self.set_kind(ix, kind, walk.into, scope);
            }
            if let Some(alarms) = alarms {
                self.alarms(alarms, own, ix, tag, walk, scope);
            }
            if let Some(children) = children {
                self.children(children, &below, scope);
            }
            return;
        }
        if is_whole {
            self.refuse_tag_keys(&spec, own);
            if let Some(alarms) = alarms {
                let key = self.source.key_of(alarms).unwrap_or(alarms);
                let finding = self.findings.error(&self.source, key, "`alarms` needs `type`");
                finding.help("write the alarms at the tag whose value raises them");
            }
        }
        if let Some(of) = &spec.of {
            self.instance(&name, of, &spec, own, ix, &below, scope);
        } else if let Some(with) = spec.with {
            self.findings.error(&self.source, with.0, "`with` needs `of`").help("write the object type: `of: Valve`");
        }
        if let Some(children) = children {
            self.children(children, &below, scope);
        }
        if let Some(rows) = &spec.rows {
            self.rows(rows, own, &below, scope);
        }
        // Last: own nodes come before mirrored ones of their names.
        if let Some(browse) = spec.browse {
            self.browse(browse.0, &spec, ix, &below, scope);
        }
    }

    /// The DataType of a node that is a tag; of no kind where it is there and can't be read, or may be what was not
    /// understood.
    fn type_of(&mut self, entry: Entry<'_>, has_children: bool) -> Option<At<String>> {
        let Entry { spec, own, is_whole, .. } = entry;
        if spec.data_type.is_some() {
            return spec.data_type.clone();
        }
        let given = self.source.get(own, "type");
        let looks_like_tag =
            !is_whole && (spec.source.is_some() || spec.expr.is_some()) && spec.of.is_none() && !has_children;
        let ix = given.or_else(|| {
            let place = self.source.place(own);
            looks_like_tag.then(|| self.source.make(place, Kind::Bad, None))
        });
        ix.map(|ix| At { ix, value: String::new() })
    }

    pub(super) fn push_node(&mut self, node: Node, into: Into, scope: &Scope) -> NodeIx {
        let nodes = self.nodes(into, scope);
        nodes.push(node);
        NodeIx(u32::try_from(nodes.len() - 1).unwrap_or(u32::MAX))
    }

    fn nodes(&mut self, into: Into, scope: &Scope) -> &mut Vec<Node> {
        let cell = &mut self.plant.cells[usize::from(scope.index)];
        match into {
            Into::Cell => &mut cell.nodes,
            Into::Type(ix) => &mut cell.object_types[ix.0 as usize].children,
        }
    }

    pub(super) fn set_kind(&mut self, ix: NodeIx, kind: NodeKind, into: Into, scope: &Scope) {
        self.nodes(into, scope)[ix.0 as usize].kind = kind;
    }

    fn inherit(&mut self, spec: &NodeSpec, from: &Inherited, into: Into, scope: &mut Scope) -> Inherited {
        let mut inherited = from.clone();
        if let Some(connection) = &spec.connection {
            if matches!(into, Into::Cell) {
                self.connection_named(connection, scope);
            }
            inherited.connection = Some(connection.clone());
        }
        if let Some(history) = &spec.history {
            if !history.value.contains('{') {
                self.history_named(history, scope);
            }
            inherited.history = Some(history.clone());
        }
        if let Some(poll) = spec.poll {
            inherited.poll = poll.0;
        }
        if let Some(stale_after) = &spec.stale_after {
            inherited.stale_after = Some(stale_after.clone());
        }
        inherited.enabled &= spec.enabled.unwrap_or(true);
        inherited.access = self.roles_of(spec.access.as_ref(), inherited.access);
        inherited
    }

    fn pinned(&mut self, id: &At<String>, into: Into, scope: &mut Scope) -> NodeName {
        if let Some(own) = without_namespace(&id.value) {
            let message =
                format!("`{}` names a namespace, but a node is always in the namespace of its cell", id.value);
            let help = match own.split_once('=') {
                Some(("s" | "i", _)) => {
                    format!("write `{own}`; the namespace of all nodes is `namespace` at the top of the cell file")
                }
                _ => "write `i=1001` or a text; the namespace of all nodes is `namespace` at the top of the cell file"
                    .to_owned(),
            };
            self.findings.error(&self.source, id.ix, message).help(help);
            return NodeName::Path;
        }
        let name = match id.value.strip_prefix("i=") {
            Some(number) => number.parse().map(NodeName::Numeric).map_err(|_| ()),
            None => {
                let text = id.value.strip_prefix("s=").unwrap_or(&id.value);
                let is_good = !text.is_empty() && !text.starts_with('@') && text.len() <= 4_096;
                if is_good { Ok(NodeName::Text(text.into())) } else { Err(()) }
            }
        };
        let Ok(name) = name else {
            let message = format!("`{}` is not an id", id.value);
            self.findings
                .error(&self.source, id.ix, message)
                .help("write `i=1001`, or a text that does not begin with `@`");
            return NodeName::Path;
        };
        if matches!(into, Into::Cell)
            && let Some(first) = scope.pinned.insert(name.clone(), id.ix)
        {
            let also = self.source.place(first);
            let finding = self.findings.error(&self.source, id.ix, format!("the id `{}` is used twice", id.value));
            finding.also(also, "first here").help("give each node its own id");
        }
        name
    }

    /// Keys that only a tag has.
    fn refuse_tag_keys(&mut self, spec: &NodeSpec, own: Ix) {
        let present: [(&str, bool); 11] = [
            ("source", spec.source.is_some()),
            ("value", spec.value.is_some()),
            ("expr", spec.expr.is_some()),
            ("write", spec.write.is_some()),
            ("array", spec.array.is_some()),
            ("length", spec.length.is_some()),
            ("unit", spec.unit.is_some()),
            ("range", spec.range.is_some()),
            ("scale", spec.scale.is_some()),
            ("deadband", spec.deadband.is_some()),
            ("simulate", spec.simulate.is_some()),
        ];
        let Some((word, _)) = present.iter().find(|(_, is_there)| *is_there) else { return };
        let at = self.source.get(own, word).unwrap_or(own);
        let key = self.source.key_of(at).unwrap_or(at);
        let finding = self.findings.error(&self.source, key, format!("`{word}` needs `type`"));
        finding.help("write the DataType: `type: Float`");
    }

    fn rows(&mut self, rows: &At<String>, own: Ix, below: &Walk<'_>, scope: &mut Scope) {
        let folder = self.source.files[usize::from(self.source.place(rows.ix).file)].name.clone();
        let path = files::beside(std::path::Path::new(&folder), &rows.value);
        let Some(file) = self.csv.get(&path).copied() else {
            if self.source.kind(rows.ix) == Kind::Made {
                let finding = self.findings.error(&self.source, rows.ix, "the name of a CSV file cannot contain `{…}`");
                finding.help("write the name of one file");
            }
            return;
        };
        if self.node_count > MOST_NODES || self.source.len() > MOST_ARENA {
            return;
        }
        let made = csv::rows(&mut self.source, file, own, self.findings);
        let mut seen = Seen::new();
        let env = Env::default();
        let walk = Walk { env: &env, ..below.clone() };
        for (key, value) in made {
            self.entry(key, value, &walk, scope, &mut seen);
        }
    }
}
