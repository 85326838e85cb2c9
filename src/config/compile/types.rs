//! `types:`: enumerations, and object types with their instance declarations.
//!
//! A type is compiled once with stand-ins for its parameters, for what clients see of the type itself; its texts
//! with `{…}` are checked at each instance, where they have a value.

use std::collections::HashSet;

use super::Compiler;
use super::scope::{Inherited, Into, Parameter, Scope, TypeEntry, Walk};
use crate::config::de::{Keys, decode, decode_entry};
use crate::config::report::Findings;
use crate::config::source::{Ix, Kind};
use crate::config::spec::{self, ParamType};
use crate::config::template::{self, Env};
use crate::model::{EnumIx, EnumType, ObjectType, ObjectTypeIx, Text};

impl Compiler<'_> {
    pub(super) fn types(&mut self, roots: &[Ix], scope: &mut Scope, inherited: &Inherited) {
        for part in self.sections(roots, &["types", "enums"]) {
            self.enums(part, scope);
        }
        for part in self.sections(roots, &["types", "flags"]) {
            self.flags(part, scope);
        }
        let structs = self.sections(roots, &["types", "structs"]);
        self.structs(&structs, scope);
        for part in self.sections(roots, &["types", "objects"]) {
            self.type_heads(part, scope);
        }
        self.refuse_loops(scope);
        let mut names: Vec<(ObjectTypeIx, String)> =
            scope.types.iter().map(|(name, entry)| (entry.ix, name.clone())).collect();
        names.sort();
        for (_, name) in names {
            self.declare(&name, scope, inherited);
        }
    }

    pub(super) fn is_new_type(&mut self, key: Ix, name: &str, scope: &Scope) -> bool {
        let builtin = super::tag::built_in(name).is_some();
        if builtin {
            let finding = self.findings.error(&self.source, key, format!("`{name}` is a type of OPC UA"));
            finding.help("write another name");
        }
        let first = scope.types.get(name).map(|entry| entry.key);
        if let Some(first) = first {
            let also = self.source.place(first);
            let finding = self.findings.error(&self.source, key, format!("`{name}` is defined twice"));
            finding.also(also, "first here").help("rename one of them, or delete it");
        } else if scope.enums.contains_key(name) || scope.data.contains_key(name) {
            let message = format!("there is already a type `{name}`");
            self.findings.error(&self.source, key, message).help("rename one of them");
        } else {
            return self.check_name(key, name) && !builtin;
        }
        false
    }

    fn enums(&mut self, mapping: Ix, scope: &mut Scope) {
        if !self.expect_mapping(mapping, "enums") {
            return;
        }
        let entries: Vec<_> = self.source.entries(mapping).collect();
        for (key, value) in entries {
            let name = self.source.text(key).to_owned();
            if self.is_new_type(key, &name, scope) {
                let ix = self.enumeration(&name, value, scope);
                scope.enums.insert(name, ix);
            }
        }
    }

    fn enumeration(&mut self, name: &str, at: Ix, scope: &Scope) -> Option<EnumIx> {
        if !self.expect_mapping(at, name) {
            return None;
        }
        let mark = self.findings.len();
        let entries: Vec<_> = self.source.entries(at).collect();
        let mut values: Vec<(i32, Text)> = Vec::new();
        for (key, value) in entries {
            let text = self.source.text(key).to_owned();
            let Ok(number) = text.parse::<i32>() else {
                let message = format!("`{text}` is not a whole number");
                self.findings.error(&self.source, key, message).help("write `{ 0: Stopped, 1: Running }`");
                continue;
            };
            if values.iter().any(|(known, _)| *known == number) {
                self.findings.error(&self.source, key, format!("the value `{number}` is defined twice"));
            }
            if let Some(text) = self.texts(value) {
                if values.iter().any(|(_, known)| known.0.first() == text.0.first()) {
                    let shown = text.0.first().map_or("", |(_, text)| text);
                    let message = format!("`{shown}` is used twice");
                    self.findings.error(&self.source, value, message).help("give each value its own text");
                }
                values.push((number, *text));
            } else if self.source.kind(value) == Kind::Null {
                self.findings.error(&self.source, value, format!("`{text}` has no value")).help("expected text");
            }
        }
        if values.is_empty() && !self.findings.has_errors_since(mark) {
            self.findings
                .error(&self.source, at, "an enumeration needs values")
                .help("write `{ 0: Stopped, 1: Running }`");
        }
        if self.findings.has_errors_since(mark) {
            return None;
        }
        let cell = &mut self.plant.cells[usize::from(scope.index)];
        cell.enums.push(EnumType { name: name.into(), values });
        u32::try_from(cell.enums.len() - 1).ok().map(EnumIx)
    }

    fn type_heads(&mut self, mapping: Ix, scope: &mut Scope) {
        if !self.expect_mapping(mapping, "objects") {
            return;
        }
        let entries: Vec<_> = self.source.entries(mapping).collect();
        for (key, value) in entries {
            let name = self.source.text(key).to_owned();
            if !self.is_new_type(key, &name, scope) {
                continue;
            }
            let (head, is_whole) = decode_entry::<spec::ObjectType>(&mut self.source, value, Keys::OWN, self.findings);
            let params = head.as_ref().and_then(|head| head.params).map_or_else(Vec::new, |raw| self.params(raw.0));
            let description = head.as_ref().and_then(|head| head.description).and_then(|raw| self.texts(raw.0));
            // The stand-in for children that are missing is the type itself.
            let children = head.as_ref().map(|head| head.children.0).filter(|children| *children != value);
            if let Some(children) = children {
                self.expect_mapping(children, "children");
            }
            let cell = &mut self.plant.cells[usize::from(scope.index)];
            let ix = ObjectTypeIx(u32::try_from(cell.object_types.len()).unwrap_or(u32::MAX));
            cell.object_types.push(ObjectType { name: name.as_str().into(), description, children: Vec::new() });
            let given = head.as_ref().and_then(|head| head.params).map(|raw| raw.0);
            let connection = head.and_then(|head| head.connection).map(|connection| connection.ix);
            if let Some(given) = given.filter(|_| is_whole) {
                self.warn_unused_params(given, value, &name);
            }
            let mut uses = Vec::new();
            if let Some(children) = children {
                self.collect_uses(children, &mut uses);
            }
            scope.types.insert(name, TypeEntry { key, ix, children, connection, params, uses });
        }
    }

    /// Warns of parameters that no text of the type uses.
    fn warn_unused_params(&mut self, params: Ix, object_type: Ix, type_name: &str) {
        let mut used: HashSet<String> = HashSet::new();
        for (key, part) in self.source.entries(object_type).filter(|(_, part)| *part != params) {
            for at in [key, part] {
                self.source.walk(at, &mut |source, at| used.extend(template::names(source.text(at))));
            }
        }
        let unused: Vec<Ix> = self
            .source
            .entries(params)
            .map(|(key, _)| key)
            .filter(|key| !used.contains(self.source.text(*key)))
            .collect();
        for key in unused {
            let name = self.source.text(key).to_owned();
            let message = format!("parameter `{name}` is not used in `{type_name}`");
            let help = format!("write `{{{name}}}` where its value is used, or delete the parameter");
            self.findings.warning(&self.source, key, message).help(help);
        }
    }

    fn collect_uses(&self, children: Ix, uses: &mut Vec<(String, Ix)>) {
        for (_, node) in self.source.entries(children) {
            if let Some(of) = self.source.get(node, "of") {
                uses.push((self.source.text(of).to_owned(), of));
            }
            if let Some(inner) = self.source.get(node, "children") {
                self.collect_uses(inner, uses);
            }
        }
    }

    fn params(&mut self, mapping: Ix) -> Vec<Parameter> {
        if !self.expect_mapping(mapping, "params") {
            return Vec::new();
        }
        let entries: Vec<_> = self.source.entries(mapping).collect();
        let mut params = Vec::new();
        for (key, value) in entries {
            let name = self.source.text(key).to_owned();
            let is_word = name.chars().all(|c| c.is_alphanumeric() || c == '_');
            if !is_word || name.starts_with(|c: char| c.is_ascii_digit()) || name.is_empty() {
                let finding = self.findings.error(&self.source, key, format!("`{name}` is not a name for a parameter"));
                finding.help("use letters, digits and `_`");
            }
            let Some(param) = decode::<spec::Param>(&self.source, value, Keys::OWN, self.findings) else { continue };
            let default = param.default.and_then(|raw| self.parameter_value(&name, param.kind, raw.0));
            params.push(Parameter { name, kind: param.kind, default });
        }
        params
    }

    /// A parameter's value as text, if it is of the parameter's kind.
    pub(super) fn parameter_value(&mut self, name: &str, kind: ParamType, at: Ix) -> Option<String> {
        if !self.source.is_scalar(at) {
            let message = format!("`{name}` needs {}", kind_words(kind));
            self.findings.error(&self.source, at, message);
            return None;
        }
        let text = self.source.text(at).to_owned();
        let fits = match kind {
            ParamType::Int => text.parse::<i64>().is_ok(),
            ParamType::Number => text.parse::<f64>().is_ok_and(f64::is_finite),
            ParamType::Duration => text.parse::<crate::model::Period>().is_ok(),
            ParamType::Text | ParamType::Connection => true,
        };
        if !fits {
            let message = format!("`{name}` needs {}, found `{text}`", kind_words(kind));
            self.findings.error(&self.source, at, message);
        }
        fits.then_some(text)
    }

    /// A type that contains itself would be endless; its children are dropped after the finding.
    fn refuse_loops(&mut self, scope: &mut Scope) {
        let mut names: Vec<String> = scope.types.keys().cloned().collect();
        names.sort_by_key(|name| scope.types[name].ix);
        let mut done: HashSet<String> = HashSet::new();
        for name in names {
            for (closing, at, text) in loops_from(scope, &name, &mut done) {
                let message = format!("object type contains itself: {text}");
                self.findings.error(&self.source, at, message).help("delete one of these instances");
                if let Some(entry) = scope.types.get_mut(&closing) {
                    entry.children = None;
                    entry.uses.clear();
                }
            }
        }
    }

    /// Declares the type itself, as clients see it.
    fn declare(&mut self, name: &str, scope: &mut Scope, inherited: &Inherited) {
        let entry = scope.types[name].clone();
        let Some(children) = entry.children else { return };
        let env = entry.params.iter().fold(Env::default(), |env, param| {
            let stand_in = match param.kind {
                ParamType::Int | ParamType::Number => "1",
                ParamType::Duration => "1s",
                ParamType::Text | ParamType::Connection => "x",
            };
            env.with(&param.name, param.default.as_deref().unwrap_or(stand_in))
        });
        let mut scratch = Findings::default();
        std::mem::swap(self.findings, &mut scratch);
        let walk = Walk {
            into: Into::Type(entry.ix),
            parent: None,
            depth: 0,
            env: &env,
            instance: None,
            hang: (entry.key, "children"),
            inherited: inherited.clone(),
        };
        self.children(children, &walk, scope);
        std::mem::swap(self.findings, &mut scratch);
        let source = &self.source;
        self.findings.take_from(scratch, |at| source.kind(at) != Kind::Made);
    }
}

fn kind_words(kind: ParamType) -> &'static str {
    match kind {
        ParamType::Int => "a whole number",
        ParamType::Number => "a number",
        ParamType::Text => "a text",
        ParamType::Duration => "a duration, such as 500ms or 2s",
        ParamType::Connection => "the name of a connection",
    }
}

/// Uses that close a loop, found from `start` on: the type whose use it is, its place, and the loop in words.
/// Types in `done` were walked before; the walk keeps its own stack, because chains may be long.
fn loops_from(scope: &Scope, start: &str, done: &mut HashSet<String>) -> Vec<(String, Ix, String)> {
    let mut found = Vec::new();
    let mut path: Vec<(&str, usize)> = Vec::new();
    let mut on_path: HashSet<&str> = HashSet::new();
    if !done.contains(start) {
        path.push((start, 0));
        on_path.insert(start);
    }
    while let Some((name, next)) = path.last_mut() {
        let name = *name;
        let Some((used, at)) = scope.types.get(name).and_then(|entry| entry.uses.get(*next)) else {
            done.insert(name.to_owned());
            on_path.remove(name);
            path.pop();
            continue;
        };
        *next += 1;
        if on_path.contains(used.as_str()) {
            let from = path.iter().position(|(known, _)| known == used).unwrap_or(0);
            let names: Vec<&str> = path[from..].iter().map(|(known, _)| *known).chain([used.as_str()]).collect();
            found.push((name.to_owned(), *at, names.join(" -> ")));
        } else if !done.contains(used) && scope.types.contains_key(used) {
            on_path.insert(used);
            path.push((used, 0));
        }
    }
    found
}

/// Name of a type of the cell, for `type:` and `of:` that mean the other one.
pub(super) fn names(scope: &Scope) -> Vec<&str> {
    let mut names: Vec<&str> = scope.types.keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}
