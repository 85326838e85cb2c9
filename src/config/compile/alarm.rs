//! Alarms of tags: what raises them, and the rules that span several keys (Part 9 §5.8.18, 1.05).

use std::time::Duration;

use super::Compiler;
use super::scope::{Into, Scope, Walk};
use crate::config::at::{At, Raw};
use crate::config::de::{Keys, decode, decode_entry};
use crate::config::source::{Ix, Kind};
use crate::config::spec::{self, Deadband};
use crate::config::template;
use crate::model::{
    Alarm, AlarmClass, AlarmForm, AlarmLimit, AlarmLimits, AlarmMessage, AlarmTexts, DataType, MessagePart, NodeIx,
    Shape, TagId,
};
use crate::value::{BuiltIn, Value};

const LIMITS: [&str; 4] = ["low_low", "low", "high", "high_high"];
/// Where an operator may shelve an alarm and the file says nothing.
const USUAL_SHELVING: Duration = Duration::from_hours(24);
/// Signs of a formula.
const FORMULA: [&str; 12] = ["==", "!=", "<", ">", "(", " and ", " or ", "not ", " + ", " - ", " * ", " / "];
const LATER: &str = "this version of opcell does not have it yet";

/// The tag that an alarm is at.
#[derive(Clone, Copy)]
struct Owner<'a> {
    tag: TagId,
    node: NodeIx,
    shape: &'a Shape,
}

impl Compiler<'_> {
    /// The alarms of a tag: `alarms` is the mapping in the file, `own` the tag's own entry.
    pub(super) fn alarms(
        &mut self,
        alarms: Ix,
        own: Ix,
        node: NodeIx,
        tag: Option<TagId>,
        walk: &Walk<'_>,
        scope: &Scope,
    ) {
        if !matches!(walk.into, Into::Cell) || !self.expect_mapping(alarms, "alarms") {
            return;
        }
        let shape = tag.map(|tag| self.plant.tag(tag).shape.clone());
        let mut seen: Vec<(String, Ix)> = Vec::new();
        let entries: Vec<_> = self.source.entries(alarms).collect();
        for (key, value) in entries {
            let Some(name) = self.filled(key, walk.env) else { continue };
            if !self.check_name(key, &name) {
                continue;
            }
            if let Some((_, first)) = seen.iter().find(|(known, _)| *known == name) {
                let also = self.source.place(*first);
                let finding = self.findings.error(&self.source, key, format!("`{name}` is defined twice"));
                finding.also(also, "first here").help("rename one of them, or delete it");
                continue;
            }
            seen.push((name.clone(), key));
            let value = if walk.env.is_empty() { value } else { self.alarm_of_template(key, value, own, &name, walk) };
            let (spec, is_whole) = decode_entry::<spec::Alarm>(&mut self.source, value, Keys::OWN, self.findings);
            let (Some(spec), Some(tag), Some(shape)) = (spec, tag, &shape) else { continue };
            let owner = Owner { tag, node, shape };
            let form = self.alarm_form(&spec, key, owner, is_whole, scope);
            let alarm = self.alarm(&name, &spec, form, owner, scope);
            if let Some(alarm) = alarm.filter(|_| is_whole) {
                self.plant.alarms.push(alarm);
            }
        }
    }

    /// A copy of an alarm of a type or a repeat with `{…}` filled in. In messages `{value}` is left for later.
    fn alarm_of_template(&mut self, key: Ix, value: Ix, own: Ix, name: &str, walk: &Walk<'_>) -> Ix {
        let (env, mut faults) = (walk.env, Vec::new());
        let copy = self.source.copy(value, &[], &mut |source, at| {
            let is_message = source.key_of(at).is_some_and(|key| source.text(key) == "message");
            let text = source.text(at);
            match is_message {
                true => Ok(template::fill_known(text, env)),
                false => template::fill(text, env).map_err(|fault| faults.push((at, fault))),
            }
        });
        let made_key = self.source.make(self.source.place(key), Kind::Made, None);
        self.source.set_text(made_key, name);
        self.source.hang(copy, own, made_key, "alarms");
        if let Some((instance, label)) = &walk.instance {
            self.source.made_for(copy, *instance, label.clone());
        }
        for (at, fault) in faults {
            self.template_fault(at, fault, env);
        }
        copy
    }

    fn alarm(
        &mut self,
        name: &str,
        spec: &spec::Alarm,
        form: Option<AlarmForm>,
        owner: Owner<'_>,
        scope: &Scope,
    ) -> Option<Alarm> {
        let message = self.alarm_message(spec.message, owner, scope);
        let needs_ack = spec.ack.as_ref().is_none_or(|ack| ack.value);
        let needs_confirm = spec.confirm.as_ref().is_some_and(|confirm| confirm.value);
        if let Some(confirm) = spec.confirm.as_ref().filter(|confirm| confirm.value && !needs_ack) {
            let finding = self.findings.error(&self.source, confirm.ix, "`confirm: true` needs `ack: true`");
            finding.help("delete `ack: false`: an alarm is confirmed after it was acknowledged");
        }
        let cell = &self.plant.cells[usize::from(scope.index)];
        let names = match owner.shape.data_type {
            DataType::Enum(ix) => {
                let values = cell.enums[ix.0 as usize].values.iter();
                values.map(|(number, text)| (*number, first(text).to_owned())).collect()
            }
            DataType::BuiltIn(_) | DataType::Flags(..) | DataType::Struct(_) => [].into(),
        };
        Some(Alarm {
            tag: owner.tag,
            name: name.into(),
            form: form?,
            severity: spec.severity.value,
            message: message?,
            delay: spec.delay.map_or(Duration::ZERO, |delay| delay.0),
            clear_delay: spec.clear_delay.map_or(Duration::ZERO, |delay| delay.0),
            needs_ack,
            needs_confirm,
            is_latched: spec.latched.unwrap_or(false),
            shelve: spec.shelve.as_ref().map_or(Some(USUAL_SHELVING), |shelve| shelve.value.0),
            class: match spec.class {
                None | Some(spec::AlarmClass::Process) => AlarmClass::Process,
                Some(spec::AlarmClass::Maintenance) => AlarmClass::Maintenance,
                Some(spec::AlarmClass::System) => AlarmClass::System,
                Some(spec::AlarmClass::Safety) => AlarmClass::Safety,
            },
            alarms_on_bad: spec.on_bad == Some(spec::OnBad::Alarm),
            enabled: spec.enabled.unwrap_or(true),
            shown: AlarmTexts { names, unit: owner.shape.unit.clone() },
        })
    }

    /// Exactly one of `limits`, `when` and `normal`.
    fn alarm_form(
        &mut self,
        spec: &spec::Alarm,
        key: Ix,
        owner: Owner<'_>,
        is_whole: bool,
        scope: &Scope,
    ) -> Option<AlarmForm> {
        let given: Vec<(&str, Ix)> = [
            ("limits", spec.limits.as_ref().map(|limits| limits.ix)),
            ("when", spec.when.map(|raw| raw.0)),
            ("normal", spec.normal.map(|raw| raw.0)),
        ]
        .into_iter()
        .filter_map(|(word, ix)| Some((word, ix?)))
        .collect();
        let whole = match owner.shape.data_type {
            _ if !owner.shape.is_scalar() => Some(("an array", "element")),
            DataType::Struct(_) => Some(("a structure", "field")),
            _ => None,
        };
        if let Some((whole, part)) = whole {
            let finding = self.findings.error(&self.source, key, format!("{whole} cannot have alarms"));
            finding.help(format!("write a tag of its own for the {part}, and its alarm there"));
            return None;
        }
        if let [(first, _), (second, at), ..] = given.as_slice() {
            let at = self.source.key_of(*at).unwrap_or(*at);
            let message = format!("`{first}` and `{second}` cannot be used together");
            self.findings.error(&self.source, at, message).help("write two alarms, or delete one of the keys");
            return None;
        }
        if spec.limits.is_none() {
            let only = [
                ("exclusive", spec.exclusive.as_ref().map(|at| at.ix)),
                ("hysteresis", spec.hysteresis.as_ref().map(|at| at.ix)),
            ];
            for (word, ix) in only.into_iter().filter_map(|(word, ix)| Some((word, ix?))) {
                let at = self.source.key_of(ix).unwrap_or(ix);
                self.findings.error(&self.source, at, format!("`{word}` needs `limits`")).help("delete it");
            }
        }
        match (&spec.limits, spec.when, spec.normal) {
            (Some(limits), ..) => self.alarm_limits(limits, spec, owner, scope).map(AlarmForm::Limits),
            (None, Some(Raw(when)), _) => self.alarm_when(when, owner.shape, scope),
            (None, None, Some(Raw(normal))) => {
                let normal = self.alarm_value(normal, owner.shape, scope)?;
                Some(AlarmForm::OffNormal { normal })
            }
            (None, None, None) => {
                if is_whole {
                    let finding = self.findings.error(&self.source, key, "this alarm has nothing that raises it");
                    finding.help("write `limits: { high: 90 }`, or `when:` with a value of the tag");
                }
                None
            }
        }
    }

    fn alarm_when(&mut self, when: Ix, shape: &Shape, scope: &Scope) -> Option<AlarmForm> {
        if self.source.kind(when) == Kind::Sequence {
            let children: Vec<Ix> = self.source.children(when).collect();
            if children.is_empty() {
                self.findings.error(&self.source, when, "this list has no values").help("write `[3, 5]`");
                return None;
            }
            let values: Vec<Value> = children.iter().filter_map(|at| self.alarm_value(*at, shape, scope)).collect();
            return (values.len() == children.len()).then_some(AlarmForm::Discrete { values });
        }
        match self.alarm_value(when, shape, scope)? {
            Value::Boolean(when) => Some(AlarmForm::OffNormal { normal: Value::Boolean(!when) }),
            value => Some(AlarmForm::Discrete { values: vec![value] }),
        }
    }

    /// A value of the tag. Formulas look like none.
    fn alarm_value(&mut self, at: Ix, shape: &Shape, scope: &Scope) -> Option<Value> {
        let is_text = shape.data_type == DataType::BuiltIn(BuiltIn::String);
        if self.source.is_scalar(at) && !is_text {
            let text = self.source.text(at);
            let is_number = text.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit());
            if !is_number && FORMULA.iter().any(|sign| text.contains(sign)) {
                let finding = self.findings.error(&self.source, at, "a formula is not available here in this version");
                finding.help(format!("write a value of the tag: {LATER}"));
                return None;
            }
        }
        self.value(at, shape, scope)
    }

    fn alarm_limits(
        &mut self,
        limits: &At<spec::Limits>,
        spec: &spec::Alarm,
        owner: Owner<'_>,
        scope: &Scope,
    ) -> Option<AlarmLimits> {
        if !matches!(owner.shape.data_type, DataType::BuiltIn(kind) if kind.is_number()) {
            let at = self.source.key_of(limits.ix).unwrap_or(limits.ix);
            let finding = self.findings.error(&self.source, at, "`limits` needs a tag that is a number");
            finding.help("write `when:` with the value that raises the alarm");
            return None;
        }
        let of = &limits.value;
        let given = [of.low_low, of.low, of.high, of.high_high];
        let mark = self.findings.len();
        if given.iter().all(Option::is_none) {
            let finding = self.findings.error(&self.source, limits.ix, "`limits` has no limit");
            finding.help("write `high: 90`, or another of low_low, low, high and high_high");
        }
        let at = given.map(|raw| raw.and_then(|raw| self.alarm_limit(raw.0, owner, scope)));
        let hysteresis = self.deadband_of(spec.hysteresis.as_ref(), owner.shape.range);
        let placed: Vec<(usize, f64)> =
            at.iter().enumerate().filter_map(|(n, limit)| Some((n, limit.as_ref()?.at))).collect();
        for pair in placed.windows(2) {
            let [(low, below), (high, above)] = pair else { continue };
            let place = given[*high].map_or(limits.ix, |raw| raw.0);
            if below >= above {
                let message = format!("`{}` {above} is not above `{}` {below}", LIMITS[*high], LIMITS[*low]);
                self.findings.error(&self.source, place, message).help("low_low < low < high < high_high");
            } else if let Some(at) = spec.hysteresis.as_ref().filter(|_| hysteresis >= above - below) {
                let message = format!("from `{}` {above} this reaches `{}` {below}", LIMITS[*high], LIMITS[*low]);
                self.findings.error(&self.source, at.ix, message).help("write a smaller hysteresis");
                break;
            }
        }
        if self.findings.has_errors_since(mark) {
            return None;
        }
        Some(AlarmLimits { is_exclusive: spec.exclusive.as_ref().is_none_or(|at| at.value), hysteresis, at })
    }

    fn deadband_of(&mut self, given: Option<&At<Deadband>>, range: Option<(f64, f64)>) -> f64 {
        match (given.map(|at| (at.ix, at.value)), range) {
            (None, _) => 0.0,
            (Some((_, Deadband::Absolute(band))), _) => band,
            (Some((_, Deadband::Percent(percent))), Some((low, high))) => (high - low) * percent / 100.0,
            (Some((ix, Deadband::Percent(_))), None) => {
                let finding = self.findings.error(&self.source, ix, "a hysteresis in percent needs `range`");
                finding.help("add `range: [low, high]` to the tag, or write the hysteresis in its unit");
                0.0
            }
        }
    }

    /// `90`, or `{ at: 90, severity: 800 }`.
    fn alarm_limit(&mut self, at: Ix, owner: Owner<'_>, scope: &Scope) -> Option<AlarmLimit> {
        if self.source.kind(at) == Kind::Bad {
            return None;
        }
        if self.source.kind(at) != Kind::Mapping {
            let at = self.limit_value(at, owner.shape)?;
            return Some(AlarmLimit { at, severity: None, message: None });
        }
        let spec = decode::<spec::Limit>(&self.source, at, Keys::OWN, self.findings)?;
        let Some(Raw(value)) = spec.at else {
            let finding = self.findings.error(&self.source, at, "this limit has no `at`");
            finding.help("write the limit: `{ at: 95, severity: 800 }`");
            return None;
        };
        let message = match spec.message {
            None => None,
            message => Some(self.alarm_message(message, owner, scope)?),
        };
        let at = self.limit_value(value, owner.shape)?;
        Some(AlarmLimit { at, severity: spec.severity.map(|severity| severity.value), message })
    }

    fn limit_value(&mut self, at: Ix, shape: &Shape) -> Option<f64> {
        if self.source.kind(at) == Kind::Bad {
            return None;
        }
        let text = self.source.text(at).to_owned();
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && self.source.is_scalar(at));
        let Some(number) = number else {
            let is_name = text.starts_with(|c: char| c.is_alphabetic() || c == '.' || c == '_');
            let message = if is_name && self.source.is_scalar(at) {
                "a tag or a formula as a limit is not available in this version".to_owned()
            } else {
                format!("expected a number, found `{text}`")
            };
            let help = if is_name { format!("write a number: {LATER}") } else { "write `90`".to_owned() };
            self.findings.error(&self.source, at, message).help(help);
            return None;
        };
        if let Some((low, high)) = shape.range.filter(|(low, high)| number < *low || number > *high) {
            let message = format!("`{text}` is outside `range` {low}..{high}");
            self.findings.error(&self.source, at, message).help("change the limit or the `range`");
            return None;
        }
        Some(number)
    }

    /// The message of an alarm or of a limit; by default the path of the tag.
    fn alarm_message(&mut self, given: Option<Raw>, owner: Owner<'_>, scope: &Scope) -> Option<AlarmMessage> {
        let cell = &self.plant.cells[usize::from(scope.index)];
        let Some(Raw(at)) = given else {
            return Some(AlarmMessage(vec![MessagePart::Text(cell.path(owner.node).to_string())]));
        };
        if !self.source.is_scalar(at) {
            if self.source.kind(at) != Kind::Bad {
                let finding =
                    self.findings.error(&self.source, at, "a message by language is not available in this version");
                finding.help("write one text");
            }
            return None;
        }
        let node = cell.node(owner.node);
        let parent = node.parent.map_or("", |parent| &cell.node(parent).name);
        let (name, parent) = (node.name.to_string(), parent.to_owned());
        let text = self.source.text(at).to_owned();
        let (mut parts, mut rest) = (Vec::new(), text.as_str());
        while let Some(start) = rest.find('{') {
            parts.push(MessagePart::Text(rest[..start].to_owned()));
            let end = rest[start..].find('}').map_or(rest.len(), |end| start + end);
            let part = match &rest[start + 1..end] {
                "value" => MessagePart::Value,
                "value:unit" => MessagePart::ValueWithUnit,
                "name" => MessagePart::Text(name.clone()),
                "parent" => MessagePart::Text(parent.clone()),
                other => {
                    let message = format!("`{{{other}}}` is not available in this version");
                    let finding = self.findings.error(&self.source, at, message);
                    finding.help("known are {value}, {value:unit}, {name} and {parent}");
                    return None;
                }
            };
            parts.push(part);
            rest = rest.get(end + 1..).unwrap_or_default();
        }
        parts.push(MessagePart::Text(rest.to_owned()));
        parts.retain(|part| *part != MessagePart::Text(String::new()));
        Some(AlarmMessage(parts))
    }
}

fn first(text: &crate::model::Text) -> &str {
    text.0.first().map_or("", |(_, text)| text)
}
