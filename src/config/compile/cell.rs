//! One cell: its files together, its names, its types, and then its nodes.

use std::collections::HashMap;
use std::time::Duration;

use super::Compiler;
use super::scope::{ConnectionRef, Inherited, Scope};
use crate::config::at::At;
use crate::config::de::{Keys, decode, decode_entry};
use crate::config::docs::{did_you_mean, list};
use crate::config::loaded::CellSource;
use crate::config::source::{Ix, Kind};
use crate::config::spec;
use crate::model::{Access, Cell, Node, NodeIx, NodeKind, NodeName, ROLES, Role, Roles, Text};

impl Compiler<'_> {
    pub(super) fn cell(&mut self, files: &CellSource) {
        let (_, root) = &files.roots[0];
        let index = u16::try_from(self.plant.cells.len()).unwrap_or(u16::MAX);
        let mut scope = Scope { index, ..Scope::default() };
        let head = decode_entry::<spec::CellFile>(&mut self.source, *root, Keys::OWN, self.findings).0;
        self.check_format(*root);
        let included: Vec<Ix> = files.roots[1..].iter().map(|(_, root)| *root).collect();
        for root in &included {
            decode::<spec::IncludedFile>(&self.source, *root, Keys::OWN, self.findings);
            self.check_format(*root);
        }
        let name = head.as_ref().map_or_else(String::new, |head| head.cell.value.clone());
        if let Some(head) = &head {
            self.check_cell_name(&head.cell);
        }
        let namespace = self.namespace(head.as_ref(), &name);
        self.plant.cells.push(Cell {
            name: name.clone(),
            namespace,
            nodes: Vec::new(),
            enums: Vec::new(),
            structs: Vec::new(),
            flags: Vec::new(),
            object_types: Vec::new(),
        });
        let roots: Vec<Ix> = std::iter::once(*root).chain(included).collect();
        for part in self.sections(&roots, &["connections"]) {
            self.connections(part, &mut scope);
        }
        for part in self.sections(&roots, &["history"]) {
            self.history_classes(part, &mut scope);
        }
        let inherited = self.defaults(head.and_then(|head| head.defaults), &mut scope);
        self.types(&roots, &mut scope, &inherited);
        let access = self.access_ix(inherited.access);
        let own = Node {
            name: name.as_str().into(),
            id: NodeName::Text("@cell".into()),
            parent: None,
            kind: NodeKind::Folder,
            display_name: None,
            description: None,
            access,
        };
        self.plant.cells[usize::from(scope.index)].nodes.push(own);
        self.top_nodes(&roots, &mut scope, &inherited);
        let mirrors: Vec<NodeIx> = scope.mirrors.iter().map(|of| of.node).collect();
        self.mirrors(&mut scope);
        self.formulas(&mut scope, &mirrors);
        self.check_pinned(&scope);
        self.check_encodings(&scope);
        let mut publishers = HashMap::new();
        for part in self.sections(&roots, &["publish"]) {
            self.publishers(part, &scope, &mut publishers);
        }
    }

    /// A pinned text may be the path of another node.
    fn check_pinned(&mut self, scope: &Scope) {
        let text = |(id, at): (&'_ NodeName, &Ix)| match id {
            NodeName::Text(text) => Some((text.to_string(), *at)),
            NodeName::Path | NodeName::Numeric(_) => None,
        };
        let texts: HashMap<String, Ix> = scope.pinned.iter().filter_map(text).collect();
        if texts.is_empty() {
            return;
        }
        let cell = &self.plant.cells[usize::from(scope.index)];
        for (at, _) in cell.nodes.iter().enumerate().filter(|(_, node)| node.id == NodeName::Path) {
            let path = cell.path(NodeIx(u32::try_from(at).unwrap_or(u32::MAX)));
            if let Some(pinned) = texts.get(path.as_str()) {
                let message = format!("the id `{path}` is also the path of another node");
                self.findings.error(&self.source, *pinned, message).help("give each node its own id");
            }
        }
    }

    /// The values of a section, by its path of keys, over all files of the cell.
    pub(super) fn sections(&self, roots: &[Ix], path: &[&str]) -> Vec<Ix> {
        let find = |root: &Ix| path.iter().try_fold(*root, |at, key| self.source.get(at, key));
        roots.iter().filter_map(find).collect()
    }

    pub(super) fn expect_mapping(&mut self, at: Ix, what: &str) -> bool {
        match self.source.kind(at) {
            Kind::Mapping => true,
            // Reported already, when the head was decoded.
            Kind::Bad | Kind::Null => false,
            _ => {
                let message = format!("expected a mapping in `{what}`, found a {}", kind_word(self.source.kind(at)));
                self.findings.error(&self.source, at, message).help("write `name: value`, one in each line");
                false
            }
        }
    }

    pub(super) fn check_format(&mut self, root: Ix) {
        let Some(at) = self.source.get(root, "schema") else { return };
        let text = self.source.text(at);
        if text != "1" && text.parse::<u32>().is_ok() {
            let message = format!("this file has format `{text}`, but this opcell reads format 1");
            self.findings.error(&self.source, at, message).help("update opcell, or write `schema: 1`");
        }
    }

    fn check_cell_name(&mut self, name: &At<String>) {
        if !self.source.is_scalar(name.ix) {
            // Missing, or not a text: reported already.
        } else if name.value.trim().is_empty() {
            self.findings.error(&self.source, name.ix, "a cell needs a name").help("write `cell: press`");
        } else if name.value.contains(char::is_control) {
            let message = format!("`{}` contains a control character", name.value.escape_debug());
            self.findings.error(&self.source, name.ix, message).help("rename it");
        } else if let Some(other) = self.plant.cells.iter().find(|cell| cell.name == name.value) {
            let message = format!("there is already a cell `{}`", other.name);
            self.findings.error(&self.source, name.ix, message).help("give each cell its own name");
        }
    }

    fn namespace(&mut self, head: Option<&spec::CellFile>, name: &str) -> String {
        let Some(given) = head.and_then(|head| head.namespace.as_ref()) else {
            return format!("urn:opcell:{name}");
        };
        let is_uri = given.value.split_once(':').is_some_and(|(scheme, rest)| {
            !scheme.is_empty()
                && !rest.is_empty()
                && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        });
        if !is_uri || given.value.contains(char::is_whitespace) {
            let message = format!("`{}` is not a URI", given.value);
            self.findings
                .error(&self.source, given.ix, message)
                .help("write urn:acme:plant1:press or http://acme.com/press");
        } else if given.value == "http://opcfoundation.org/UA/" {
            let finding = self.findings.error(
                &self.source,
                given.ix,
                "`http://opcfoundation.org/UA/` is the namespace of OPC UA itself",
            );
            finding.help("write your own, such as urn:acme:plant1:press");
        } else if let Some(other) = self.plant.cells.iter().find(|cell| cell.namespace == given.value) {
            let message = format!("cell `{}` already has this namespace", other.name);
            self.findings.error(&self.source, given.ix, message).help("give each cell its own namespace");
        }
        given.value.clone()
    }

    fn defaults(&mut self, given: Option<spec::Defaults>, scope: &mut Scope) -> Inherited {
        let mut inherited = Inherited {
            connection: None,
            poll: Duration::from_secs(1),
            stale_after: None,
            enabled: true,
            access: Access::default(),
            history: None,
        };
        if let (1, Some((name, only))) = (scope.connections.len(), scope.connections.iter().next()) {
            inherited.connection = Some(At { ix: only.key, value: name.clone() });
        }
        let Some(given) = given else { return inherited };
        if let Some(connection) = given.connection {
            self.connection_named(&connection, scope);
            inherited.connection = Some(connection);
        }
        if let Some(history) = given.history {
            self.history_named(&history, scope);
            inherited.history = Some(history);
        }
        inherited.poll = given.poll.map_or(inherited.poll, |period| period.0);
        inherited.stale_after = given.stale_after;
        inherited.access = self.roles_of(given.access.as_ref(), inherited.access);
        inherited
    }

    /// The connection of this name, or a finding where it is named.
    pub(super) fn connection_named(&mut self, name: &At<String>, scope: &Scope) -> Option<ConnectionRef> {
        if let Some(connection) = scope.connections.get(&name.value) {
            return Some(*connection);
        }
        let known = || scope.connections.keys().map(String::as_str);
        let mut help = did_you_mean(&name.value, known());
        if help.is_empty() {
            let mut names: Vec<_> = known().collect();
            names.sort_unstable();
            help = if names.is_empty() {
                "add it under `connections:`".into()
            } else {
                format!("known are {}", list(names, 8))
            };
        }
        self.findings.error(&self.source, name.ix, format!("no connection `{}` in this cell", name.value)).help(help);
        None
    }

    /// `access:` over what is inherited, key by key.
    pub(super) fn roles_of(&mut self, given: Option<&spec::Access>, inherited: Access) -> Access {
        let Some(given) = given else { return inherited };
        let mut one = |list: &Option<Vec<At<String>>>, inherited| match list {
            Some(list) => self.roles(list),
            None => inherited,
        };
        Access {
            read: one(&given.read, inherited.read),
            write: one(&given.write, inherited.write),
            call: one(&given.call, inherited.call),
            edit_history: one(&given.edit_history, inherited.edit_history),
            encrypted: given.encrypted.unwrap_or(inherited.encrypted),
        }
    }

    pub(super) fn roles(&mut self, names: &[At<String>]) -> Roles {
        names.iter().filter_map(|name| self.role(name)).collect()
    }

    fn role(&mut self, name: &At<String>) -> Option<Role> {
        let own = self.own_roles.iter().position(|role| *role == name.value);
        let own = own.and_then(|at| u8::try_from(ROLES.len() + at).ok()).map(Role);
        let role = Role::well_known(&name.value).or(own);
        if role.is_none() {
            let known: Vec<&str> = ROLES.iter().copied().chain(self.own_roles.iter().map(String::as_str)).collect();
            let mut help = did_you_mean(&name.value, known.iter().copied());
            let words: Vec<&str> = name.value.split_whitespace().collect();
            if words.len() > 1 && words.iter().all(|word| known.contains(word)) {
                help = format!("separate them by commas: [{}]", words.join(", "));
            }
            if help.is_empty() {
                help = format!("known are {}", list(known, 12));
            }
            self.findings.error(&self.source, name.ix, format!("no role `{}`", name.value)).help(help);
        }
        role
    }

    /// Names may hold neither `.` nor `/`, nor begin with `@`: NodeIds and formulas join them. A line break or an
    /// escape sequence would forge lines in logs and terminals.
    pub(super) fn check_name(&mut self, key: Ix, name: &str) -> bool {
        let message = if name.trim().is_empty() {
            "a name cannot be empty".to_owned()
        } else if name.contains(char::is_control) {
            format!("`{}` contains a control character", name.escape_debug())
        } else if let Some(sign) = name.chars().find(|sign| matches!(sign, '.' | '/')) {
            format!("`{name}` contains a `{sign}`, which separates names in paths")
        } else if name.starts_with('@') {
            format!("`{name}` begins with `@`, which is reserved for nodes of opcell")
        } else if let Some((word, _)) = name.split_once(" {") {
            format!("a `:` is missing after `{word}`")
        } else if name.contains(['{', '}']) {
            format!("`{name}` contains a `{{`, but nothing here is repeated")
        } else if name.len() > 512 {
            "this name is longer than 512 bytes".to_owned()
        } else {
            return true;
        };
        let help = match &message {
            message if message.ends_with("repeated") => "add `repeat: { i: 1..3 }`",
            message if message.starts_with("a `:`") => "write `NAME: { … }`",
            _ => "rename it",
        };
        self.findings.error(&self.source, key, message).help(help);
        false
    }

    /// A text, alone or by language.
    pub(super) fn texts(&mut self, at: Ix) -> Option<Box<Text>> {
        match self.source.kind(at) {
            Kind::Plain | Kind::Quoted | Kind::Made => {
                Some(Box::new(Text(vec![(String::new(), self.source.text(at).to_owned())])))
            }
            Kind::Mapping => {
                let entries: Vec<_> = self.source.entries(at).collect();
                let mut texts = Vec::new();
                for (key, value) in entries {
                    let locale = self.source.text(key).to_owned();
                    if !is_locale(&locale) {
                        let message = format!("`{locale}` is not a language");
                        self.findings
                            .error(&self.source, key, message)
                            .help("write a language such as `en`, `de` or `en-US`");
                    } else if self.source.is_scalar(value) {
                        texts.push((locale, self.source.text(value).to_owned()));
                    } else {
                        let message = format!("expected text, found a {}", kind_word(self.source.kind(value)));
                        self.findings.error(&self.source, value, message);
                    }
                }
                Some(Box::new(Text(texts)))
            }
            Kind::Bad | Kind::Null => None,
            Kind::Sequence => {
                let finding = self.findings.error(&self.source, at, "expected text, found a list");
                finding.help("write a text, or `{ en: Pump, de: Pumpe }`");
                None
            }
        }
    }
}

/// `language`, or `language-REGION`, in letters and digits.
fn is_locale(text: &str) -> bool {
    let mut parts = text.split('-');
    let language = parts.next().unwrap_or("");
    (2..=3).contains(&language.len())
        && language.chars().all(|c| c.is_ascii_alphabetic())
        && parts.all(|part| (2..=8).contains(&part.len()) && part.chars().all(|c| c.is_ascii_alphanumeric()))
}

pub(super) fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Mapping => "mapping",
        Kind::Sequence => "list",
        Kind::Null | Kind::Bad => "nothing",
        Kind::Plain | Kind::Quoted | Kind::Made => "text",
    }
}
