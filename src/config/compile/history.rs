//! History: the classes of a cell, the built-in ones, and the class that a tag has.

use std::path::Path;
use std::time::Duration;

use super::Compiler;
use super::scope::{Inherited, Scope};
use crate::config::at::At;
use crate::config::de::{Keys, decode_entry};
use crate::config::docs::{did_you_mean, list};
use crate::config::files::beside;
use crate::config::source::Ix;
use crate::config::spec::{self, Deadband, OnFull, Record};
use crate::model::{HistoryClass, HistoryDeadband, HistoryIx, HistoryPartition, HistoryPlan, Origin, Period, Shape};

/// The name that means "no history".
const NONE: &str = "none";

const DAY: Duration = Duration::from_secs(86_400);

/// Built in: name, every sample, longest interval, keep in days.
const BUILT_IN: [(&str, bool, u64, u32); 3] =
    [("fast", true, 3_600, 90), ("process", false, 600, 400), ("events", false, 3_600, 400)];

impl Compiler<'_> {
    pub(super) fn history_classes(&mut self, mapping: Ix, scope: &mut Scope) {
        if !self.expect_mapping(mapping, "history") {
            return;
        }
        let entries: Vec<_> = self.source.entries(mapping).collect();
        for (key, value) in entries {
            let name = self.source.text(key).to_owned();
            if name == NONE {
                let finding =
                    self.findings.error(&self.source, key, "`none` means no history and cannot be the name of a class");
                finding.help("rename it");
                continue;
            }
            if let Some((Some(first), _)) = scope.history.get(&name) {
                let also = self.source.place(*first);
                self.findings.error(&self.source, key, format!("`{name}` is defined twice")).also(also, "first here");
                continue;
            }
            self.check_name(key, &name);
            let spec = decode_entry::<spec::HistoryClass>(&mut self.source, value, Keys::OWN, self.findings).0;
            let ix = spec.and_then(|spec| self.history_class(&name, &spec));
            scope.history.insert(name, (Some(key), ix));
        }
    }

    fn history_class(&mut self, name: &str, spec: &spec::HistoryClass) -> Option<HistoryIx> {
        for (word, period) in [("keep", Some(&spec.keep)), ("max_interval", spec.max_interval.as_ref())] {
            if let Some(at) = period.filter(|at| at.value.0.is_zero() && self.source.is_scalar(at.ix)) {
                let finding = self.findings.error(&self.source, at.ix, format!("`{word}` is 0"));
                finding.help(if word == "keep" { "write `keep: 400d`" } else { "write `max_interval: 10min`" });
            }
        }
        let every_sample = spec.record == Some(Record::EverySample);
        if let Some(deadband) = spec.deadband.as_ref().filter(|_| every_sample) {
            let finding =
                self.findings.error(&self.source, deadband.ix, "`deadband` cannot be used with `record: every-sample`");
            finding.help("delete one of the two");
        }
        self.push_class(HistoryClass {
            name: name.into(),
            stepped: spec.stepped,
            deadband: match spec.deadband.as_ref().map(|at| at.value) {
                None => HistoryDeadband::Absolute(0.0),
                Some(Deadband::Absolute(band)) => HistoryDeadband::Absolute(band),
                Some(Deadband::Percent(percent)) => HistoryDeadband::Percent(percent),
            },
            max_interval: spec.max_interval.as_ref().map_or(Duration::from_secs(3_600), |at| at.value.0),
            keep: spec.keep.value.0,
            max_size: spec.max_size.map(|size| size.0),
            every_sample,
        })
    }

    fn push_class(&mut self, class: HistoryClass) -> Option<HistoryIx> {
        let ix = u16::try_from(self.plant.history.len()).ok().map(HistoryIx);
        self.plant.history.push(class);
        ix
    }

    /// The class of this name, or a finding where it is named; the built-in ones are made when first used.
    pub(super) fn history_named(&mut self, name: &At<String>, scope: &mut Scope) -> Option<HistoryIx> {
        if name.value == NONE || name.value.is_empty() {
            return None;
        }
        if let Some((_, known)) = scope.history.get(&name.value) {
            return *known;
        }
        // Once is enough for everything that inherits it.
        if scope.no_history.contains(&name.value) {
            return None;
        }
        if let Some((built_in, every_sample, max_interval, days)) =
            BUILT_IN.iter().find(|(known, ..)| *known == name.value)
        {
            let ix = self.push_class(HistoryClass {
                name: (*built_in).into(),
                stepped: None,
                deadband: HistoryDeadband::Absolute(0.0),
                max_interval: Duration::from_secs(*max_interval),
                keep: DAY * *days,
                max_size: None,
                every_sample: *every_sample,
            });
            scope.history.insert(name.value.clone(), (None, ix));
            return ix;
        }
        let known = || {
            let built_in =
                BUILT_IN.iter().map(|(known, ..)| *known).filter(|known| !scope.history.contains_key(*known));
            scope.history.keys().map(String::as_str).chain(built_in)
        };
        let mut help = did_you_mean(&name.value, known());
        if help.is_empty() {
            let mut names: Vec<_> = known().collect();
            names.sort_unstable();
            help = format!("known are {} and `none`", list(names, 8));
        }
        self.findings.error(&self.source, name.ix, format!("no history class `{}`", name.value)).help(help);
        scope.no_history.insert(name.value.clone());
        None
    }

    /// The class of a tag. A constant has one only when it names it itself.
    pub(super) fn history_of_tag(
        &mut self,
        own: Option<&At<String>>,
        shape: &Shape,
        origin: &Origin,
        inherited: &Inherited,
        key: Ix,
        scope: &mut Scope,
    ) -> Option<HistoryIx> {
        let name = inherited.history.as_ref()?;
        if own.is_none() && matches!(origin, Origin::Memory { write: false, .. }) {
            return None;
        }
        let ix = self.history_named(name, scope)?;
        let class = &self.plant.history[usize::from(ix.0)];
        let is_line = shape.data_type.wire().is_number();
        if let (HistoryDeadband::Percent(_), None, true) = (class.deadband, shape.range, is_line) {
            let message = format!("history class `{}` has a deadband in percent, which needs `range`", class.name);
            let at = own.map_or(key, |own| own.ix);
            let finding = self.findings.error(&self.source, at, message);
            finding.help("add `range: [low, high]` to the tag, or write the deadband in the tag's unit");
        }
        Some(ix)
    }

    pub(super) fn history_store(&mut self, given: spec::HistoryStore, file: &Path) -> HistoryPlan {
        let mut plan = HistoryPlan { path: given.path.map(|path| beside(file, &path)), ..HistoryPlan::default() };
        if let Some(At { ix, value: Period(commit) }) = given.commit {
            if commit < Duration::from_millis(100) || commit > Duration::from_secs(10) {
                let message = format!("`{}` is out of range", Period(commit));
                self.findings.error(&self.source, ix, message).help("write a duration from `100ms` to `10s`");
            }
            plan.commit = commit;
        }
        plan.max_size = given.max_size.map_or(plan.max_size, |size| size.0);
        plan.min_free = given.min_free.map_or(plan.min_free, |size| size.0);
        plan.drop_oldest = given.on_full != Some(OnFull::Stop);
        plan.partition = given.partition.map(|partition| match partition {
            spec::Partition::Day => HistoryPartition::Day,
            spec::Partition::Month => HistoryPartition::Month,
        });
        plan
    }
}
