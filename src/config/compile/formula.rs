//! `expr`: formulas of tags, compiled when all names of their cell are known; and the order of derived tags.

mod names;
mod order;

use std::sync::Arc;
use std::time::Duration;

use super::Compiler;
use super::scope::{Entry, Inherited, PendingFormula, Scope, Walk};
use super::tag;
use crate::config::at::At;
use crate::config::source::{Ix, Kind, Place};
use crate::config::spec::NodeSpec;
use crate::config::template;
use crate::formula::{self, Fault, Program, Want};
use crate::model::{Derivation, Formula, NodeIx, Origin, Period, Shape, TagId};
use names::CellNames;
pub(crate) use order::longest_chain;

/// Shortest period of runs by the clock.
const SHORTEST: Duration = Duration::from_millis(100);

impl Compiler<'_> {
    /// The origin of a tag with `expr`; its formula is compiled later.
    pub(super) fn derived(
        &mut self,
        entry: Entry<'_>,
        expr: &At<String>,
        place: tag::Place,
        walk: &Walk<'_>,
        scope: &mut Scope,
    ) -> (Origin, Duration) {
        let tag::Place { tag, node, .. } = place;
        self.refuse_beside_expr(entry.spec, entry.own);
        let template = self.source.get(entry.template, "expr").unwrap_or(expr.ix);
        let is_made = self.source.kind(expr.ix) == Kind::Made;
        let origins = if is_made { template::pieces(self.source.text(template), walk.env) } else { Vec::new() };
        scope.formulas.push(PendingFormula { tag, node, at: expr.ix, template, origins });
        let placeholder = Formula { text: expr.value.as_str().into(), program: Arc::default(), inputs: Box::default() };
        (Origin::Derived(Arc::new(Derivation::Formula(placeholder))), self.clock_period(entry, &walk.inherited))
    }

    /// The mistakes that a formula of a type has in each instance. Names and types are checked there.
    pub(super) fn check_syntax(&mut self, at: Ix) {
        if self.source.kind(at) == Kind::Made {
            return;
        }
        if let Some(fault) = formula::syntax(self.source.text(at)) {
            let place = self.source.part_through(at, fault.span.clone());
            self.findings.error(&self.source, at, &*fault.message).at_part(place).help(&*fault.help);
        }
    }

    /// Keys that say where a value comes from, or where it goes, or how a device has it.
    fn refuse_beside_expr(&mut self, spec: &NodeSpec, own: Ix) {
        let write = spec.write.as_ref().map(|write| write.ix);
        let origins = [
            ("source", spec.source.map(|raw| raw.0), "delete one of them"),
            ("value", spec.value.map(|raw| raw.0), "delete one of them"),
            ("write", write, "a formula gives the value, so nobody can write it: delete `write`"),
        ];
        for (word, at, help) in origins {
            if let Some(at) = at {
                let key = self.source.get(own, word).and_then(|at| self.source.key_of(at)).unwrap_or(at);
                let message = "a tag has exactly one of source, expr, value";
                self.findings.error(&self.source, key, message).help(help);
            }
        }
        let scale = spec.scale.as_ref().map(|scale| scale.ix);
        let simulate = spec.simulate.as_ref().map(|simulate| simulate.ix);
        for (word, at, help) in [
            ("scale", scale, "calculate in the formula: `(Raw - 4) * 6.25`"),
            ("simulate", simulate, "delete it: under `--simulate` the formula takes the simulated values of its tags"),
        ] {
            if let Some(at) = at {
                let message = format!("`{word}` is for values of a device, and this tag has `expr`");
                self.findings.error(&self.source, at, message).help(help);
            }
        }
    }

    fn clock_period(&mut self, entry: Entry<'_>, inherited: &Inherited) -> Duration {
        if let Some(own) = entry.spec.poll.filter(|own| own.0 < SHORTEST) {
            let at = self.source.get(entry.own, "poll").unwrap_or(entry.own);
            let message = format!("`{own}` is too short a `poll` for a formula");
            self.findings.error(&self.source, at, message).help(format!("write at least `{}`", Period(SHORTEST)));
        }
        inherited.poll.max(SHORTEST)
    }

    /// Compiles the formulas of a cell. `mirrors` are its folders that mirror devices.
    pub(super) fn formulas(&mut self, scope: &mut Scope, mirrors: &[NodeIx]) {
        let pending = std::mem::take(&mut scope.formulas);
        if pending.is_empty() {
            return;
        }
        let mut names = CellNames::of(&self.plant, scope.index, mirrors);
        for formula in pending {
            let text = self.source.text(formula.at).to_owned();
            let Some(tag) = self.plant.tags.get(formula.tag) else { continue };
            let want = Want::Tag {
                of: names.type_of(&tag.shape),
                built_in: tag.shape.data_type.wire(),
                name: self.type_name(&tag.shape, scope.index),
            };
            names.enter(formula.node);
            let compiled = formula::compile(&text, &mut names, &want);
            let (program, inputs) = match compiled {
                Ok(compiled) => {
                    compiled.warnings.iter().for_each(|fault| self.formula_fault(&formula, fault));
                    (compiled.program, compiled.inputs.into_iter().map(TagId).collect())
                }
                Err(faults) => {
                    faults.iter().for_each(|fault| self.formula_fault(&formula, fault));
                    (Program::default(), Box::default())
                }
            };
            for folder in names.take_unknown() {
                let message = format!("the folder `{folder}` mirrors a device, and its nodes are not known yet");
                let help = "until the device was there once, this tag is BadWaitingForInitialData";
                let place = self.source.part_through(formula.template, 0..self.source.text(formula.template).len());
                self.findings.warning(&self.source, formula.at, message).at_part(place).help(help);
            }
            let formula_of_tag = Formula { text: text.as_str().into(), program: Arc::new(program), inputs };
            self.set_derivation(formula.tag, Derivation::Formula(formula_of_tag));
            self.formula_places.insert(formula.tag, self.whole(&formula));
        }
    }

    fn set_derivation(&mut self, id: TagId, derivation: Derivation) {
        if let Some(tag) = self.plant.tags.get(id) {
            let tag = crate::model::Tag { origin: Origin::Derived(Arc::new(derivation)), ..tag.clone() };
            self.plant.tags.put(id, tag);
        }
    }

    /// The name of a tag's type, as the file has it.
    fn type_name(&self, shape: &Shape, cell: u16) -> String {
        self.plant.cells[usize::from(cell)].type_name(shape.data_type)
    }

    fn whole(&self, formula: &PendingFormula) -> Place {
        self.source.part_through(formula.template, 0..self.source.text(formula.template).len())
    }

    /// A mistake at its place in the file, through a template and through quotes.
    fn formula_fault(&mut self, formula: &PendingFormula, fault: &Fault) {
        let span = match formula.origins.is_empty() {
            true => fault.span.clone(),
            false => template::origin_of(&formula.origins, fault.span.clone()),
        };
        let place = self.source.part_through(formula.template, span);
        let cut = self.cut_by_yaml(formula.template).filter(|_| !fault.is_warning && fault.is_cut);
        let finding = match fault.is_warning {
            true => self.findings.warning(&self.source, formula.at, &*fault.message),
            false => self.findings.error(&self.source, formula.at, &*fault.message),
        };
        finding.at_part(place).help(&*fault.help);
        if let Some(help) = cut {
            finding.help(help);
        }
    }

    /// Help where YAML ends a plain scalar in the middle of a line, which may be in the middle of the formula.
    fn cut_by_yaml(&self, at: Ix) -> Option<String> {
        let place = self.source.place(at);
        let file = &self.source.files[usize::from(place.file)];
        let line = file.text.get(place.end as usize..)?.lines().next()?;
        let rest = line.trim_start();
        if self.source.kind(at) != Kind::Plain {
            return None;
        }
        let shown: String = rest.chars().take(30).collect();
        match rest.chars().next() {
            Some('#') => Some(format!("YAML reads `{shown}` as a comment: quote the formula")),
            Some(',') => Some("inside `{ … }` YAML ends the text at a comma: quote the formula".to_owned()),
            _ => None,
        }
    }
}
