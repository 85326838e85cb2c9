//! Instances of object types: the values of their parameters, and the nodes of the type below them.

use super::Compiler;
use super::scope::{Into, Scope, TypeEntry, Walk};
use crate::config::at::At;
use crate::config::docs::{did_you_mean, list};
use crate::config::source::Ix;
use crate::config::spec::NodeSpec;
use crate::config::template::Env;
use crate::model::{NodeIx, NodeKind};

impl Compiler<'_> {
    #[expect(clippy::too_many_arguments, reason = "a node's name, spec, places and walk belong together")]
    pub(super) fn instance(
        &mut self,
        name: &str,
        of: &At<String>,
        spec: &NodeSpec,
        own: Ix,
        ix: NodeIx,
        below: &Walk<'_>,
        scope: &mut Scope,
    ) {
        let Some(entry) = scope.types.get(&of.value).cloned() else {
            let names = super::types::names(scope);
            let mut help = did_you_mean(&of.value, names.iter().copied());
            if help.is_empty() {
                help = match names.is_empty() {
                    true => "add it under `types.objects`".to_owned(),
                    false => format!("known are {}", list(names, 12)),
                };
            }
            self.findings.error(&self.source, of.ix, format!("no object type `{}`", of.value)).help(help);
            return;
        };
        self.set_kind(ix, NodeKind::Object(entry.ix), below.into, scope);
        let mark = self.findings.len();
        // `parent` also keeps the environment from being empty, so that texts of a type are always filled.
        let env = self.arguments(&of.value, &entry, spec, own).with("parent", name);
        if self.findings.has_errors_since(mark) {
            return;
        }
        let mut inherited = below.inherited.clone();
        if let Some(connection) = entry.connection.filter(|_| spec.connection.is_none()) {
            let value = self.filled(connection, &env).unwrap_or_default();
            let named = At { ix: connection, value };
            if below.into == Into::Cell {
                self.connection_named(&named, scope);
            }
            inherited.connection = Some(named);
        }
        let label = format!("in `{}`, instance `{name}`", of.value);
        let walk = Walk { env: &env, instance: Some((own, label)), inherited, ..below.clone() };
        if let Some(children) = entry.children {
            self.children(children, &walk, scope);
        }
    }

    /// The values of a type's parameters at one instance.
    fn arguments(&mut self, type_name: &str, entry: &TypeEntry, spec: &NodeSpec, own: Ix) -> Env {
        let given: Vec<(Ix, Ix)> = match spec.with {
            Some(with) if self.expect_mapping(with.0, "with") => self.source.entries(with.0).collect(),
            _ => Vec::new(),
        };
        for (key, _) in &given {
            let name = self.source.text(*key).to_owned();
            let known = || entry.params.iter().map(|param| param.name.as_str());
            if !known().any(|param| param == name) {
                let mut help = did_you_mean(&name, known());
                if help.is_empty() {
                    help = format!("known are {}", list(known(), 12));
                }
                self.findings.error(&self.source, *key, format!("`{type_name}` has no parameter `{name}`")).help(help);
            }
        }
        let mut env = Env::default();
        for param in &entry.params {
            let value = given.iter().find(|(key, _)| self.source.text(*key) == param.name).map(|(_, value)| *value);
            let text = match value {
                Some(at) => self.parameter_value(&param.name, param.kind, at),
                None => param.default.clone(),
            };
            if let (None, None) = (&text, value) {
                let at = self.source.get(own, "of").unwrap_or(own);
                let message = format!("parameter `{}` of `{type_name}` has no value", param.name);
                self.findings.error(&self.source, at, message).help(format!("write `with: {{ {}: … }}`", param.name));
            }
            env = env.with(&param.name, text.as_deref().unwrap_or_default());
        }
        env
    }
}
