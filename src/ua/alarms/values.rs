//! The values of a condition: of its nodes, and of the fields of its events.

use opcua::{ObjectId, ObjectTypeId};
use tokio::time::Instant;

use crate::alarms::{Level, Shelving, State};
use crate::model::{Alarm, AlarmClass, AlarmForm};
use crate::stack::codec::{LocalizedTextRef, NodeIdRef, Writer};
use crate::ua::events::localized;
use crate::ua::space::{ConditionPart, NodeIx, Space, condition_type};
use crate::value::{BuiltIn, Value};

/// A condition at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub rule: &'a Alarm,
    pub state: &'a State,
    /// The Object of the condition; `None` where it is gone.
    pub condition: Option<NodeIx>,
    pub tag: NodeIx,
    pub tag_path: &'a str,
    pub now: Instant,
}

const LIMITS: [Level; 4] = [Level::LowLow, Level::Low, Level::High, Level::HighHigh];
const LIMIT_NAMES: [&str; 4] = ["LowLow", "Low", "High", "HighHigh"];
/// States of ExclusiveLimitStateMachineType.
const LIMIT_STATES: [ObjectId; 4] = [
    ObjectId::ExclusiveLimitStateMachineType_LowLow,
    ObjectId::ExclusiveLimitStateMachineType_Low,
    ObjectId::ExclusiveLimitStateMachineType_High,
    ObjectId::ExclusiveLimitStateMachineType_HighHigh,
];

impl Seen<'_> {
    pub(crate) fn value(&self, part: ConditionPart, space: &Space) -> Value {
        use ConditionPart as P;
        let Seen { rule, state, .. } = self;
        let boolean = Value::Boolean;
        let word = |is: bool, yes: &str, no: &str| localized(if is { yes } else { no });
        match part {
            P::EventId => match state.event_id {
                [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] => Value::Null,
                id => Value::ByteString(id.as_slice().into()),
            },
            P::EventType => standard_id(condition_type(rule)),
            P::SourceNode | P::InputNode => space.id_value(self.tag),
            P::SourceName => Value::text(self.tag_path),
            P::Time => Value::DateTime(state.time),
            P::ReceiveTime => Value::DateTime(state.receive_time),
            P::Message => localized(&state.message),
            P::Severity => Value::UInt16(state.severity),
            P::ConditionClassId => standard_id(class(rule.class).0 as u32),
            P::ConditionClassName => localized(class(rule.class).1),
            P::ConditionName => Value::text(&rule.name),
            P::BranchId => node_id(NodeIdRef::NULL),
            P::Retain => boolean(state.is_retained()),
            P::EnabledState => word(state.enabled, "Enabled", "Disabled"),
            P::EnabledId => boolean(state.enabled),
            P::Quality => {
                let mut w = Writer::new();
                w.variant_head(BuiltIn::StatusCode);
                w.status(state.quality);
                Value::Wire(w.buf.into())
            }
            P::QualityTime => Value::DateTime(state.quality_time),
            P::LastSeverity => Value::UInt16(state.last_severity),
            P::LastSeverityTime => Value::DateTime(state.last_severity_time),
            P::Comment => comment(state),
            P::CommentTime => Value::DateTime(state.comment.time),
            P::ClientUserId => Value::text(&state.client_user),
            P::AckedState => word(state.acked, "Acknowledged", "Unacknowledged"),
            P::AckedId | P::PlainAcked => boolean(state.acked),
            P::ConfirmedState => word(state.confirmed, "Confirmed", "Unconfirmed"),
            P::ConfirmedId => boolean(state.confirmed),
            P::ActiveState => word(state.is_active(), "Active", "Inactive"),
            P::ActiveId | P::PlainActive => boolean(state.is_active()),
            P::ActiveTime => Value::DateTime(state.active_time),
            P::LatchedState => word(state.latched, "Latched", "Unlatched"),
            P::LatchedId => boolean(state.latched),
            P::SuppressedOrShelved | P::PlainSuppressed => boolean(state.suppressed || state.is_shelved()),
            P::ShelvingState => localized(shelving(state).1),
            P::ShelvingId => standard_id(shelving(state).0 as u32),
            P::UnshelveTime => {
                let left = state.shelving.until().map(|until| until.saturating_duration_since(self.now));
                millis(left.unwrap_or_default())
            }
            P::MaxTimeShelved => rule.shelve.map_or(Value::Null, millis),
            P::OnDelay => millis(rule.delay),
            P::OffDelay => millis(rule.clear_delay),
            P::LimitState => self.limit().map_or(Value::Null, |n| localized(LIMIT_NAMES[n])),
            P::LimitId => self.limit().map_or(Value::Null, |n| standard_id(LIMIT_STATES[n] as u32)),
            P::Limit(n) => self.of_limit(n, |limit, _| Value::Double(limit.at)),
            P::LimitSeverity(n) => self.of_limit(n, |limit, _| Value::UInt16(limit.severity.unwrap_or(rule.severity))),
            P::LimitDeadband(n) => self.of_limit(n, |_, hysteresis| Value::Double(hysteresis)),
            P::LimitActive(n) => word(
                self.is_at(n),
                &format!("{} active", LIMIT_NAMES[usize::from(n)]),
                &format!("{} inactive", LIMIT_NAMES[usize::from(n)]),
            ),
            P::LimitActiveId(n) => boolean(self.is_at(n)),
            P::PlainLimit(n) => boolean(self.is_at(n) || self.is_beyond(n)),
            P::NormalState => self.normal_state(space),
            P::NormalValue => match &rule.form {
                AlarmForm::OffNormal { normal } => normal.clone(),
                AlarmForm::Limits(_) | AlarmForm::Discrete { .. } => Value::Null,
            },
            P::PlainAck => boolean(false),
        }
    }

    fn is_at(&self, n: u8) -> bool {
        self.state.levels.has(LIMITS[usize::from(n)])
    }

    /// Whether an exclusive alarm is at the limit after this one.
    fn is_beyond(&self, n: u8) -> bool {
        match n {
            1 => self.is_at(0),
            2 => self.is_at(3),
            _ => false,
        }
    }

    /// The limit of an exclusive alarm that is active.
    fn limit(&self) -> Option<usize> {
        LIMITS.iter().position(|level| self.state.levels.has(*level))
    }

    fn of_limit(&self, n: u8, value: impl Fn(&crate::model::AlarmLimit, f64) -> Value) -> Value {
        match &self.rule.form {
            AlarmForm::Limits(limits) => {
                let limit = limits.at[usize::from(n)].as_ref();
                limit.map_or(Value::Null, |limit| value(limit, limits.hysteresis))
            }
            AlarmForm::OffNormal { .. } | AlarmForm::Discrete { .. } => Value::Null,
        }
    }

    /// The Variable with the normal value.
    fn normal_state(&self, space: &Space) -> Value {
        let normal = self.condition.and_then(|condition| space.component(condition, "NormalValue"));
        normal.map_or(Value::Null, |at| space.id_value(at))
    }
}

fn comment(state: &State) -> Value {
    let mut w = Writer::new();
    w.variant_head(BuiltIn::LocalizedText);
    let text = |text| Some(text).filter(|text: &&str| !text.is_empty());
    w.localized_text(LocalizedTextRef { locale: text(&state.comment.locale), text: text(&state.comment.text) });
    Value::Wire(w.buf.into())
}

fn shelving(state: &State) -> (ObjectId, &'static str) {
    match state.shelving {
        Shelving::Unshelved => (ObjectId::ShelvedStateMachineType_Unshelved, "Unshelved"),
        Shelving::OneShot { .. } => (ObjectId::ShelvedStateMachineType_OneShotShelved, "One Shot Shelved"),
        Shelving::Timed { .. } => (ObjectId::ShelvedStateMachineType_TimedShelved, "Timed Shelved"),
    }
}

fn class(class: AlarmClass) -> (ObjectTypeId, &'static str) {
    match class {
        AlarmClass::Process => (ObjectTypeId::ProcessConditionClassType, "ProcessConditionClass"),
        AlarmClass::Maintenance => (ObjectTypeId::MaintenanceConditionClassType, "MaintenanceConditionClass"),
        AlarmClass::System => (ObjectTypeId::SystemConditionClassType, "SystemConditionClass"),
        AlarmClass::Safety => (ObjectTypeId::SafetyConditionClassType, "SafetyConditionClass"),
    }
}

fn millis(span: std::time::Duration) -> Value {
    Value::Double(span.as_secs_f64() * 1000.0)
}

fn standard_id(number: u32) -> Value {
    node_id(NodeIdRef::numeric(0, number))
}

fn node_id(id: NodeIdRef<'_>) -> Value {
    let mut w = Writer::new();
    w.variant_head(BuiltIn::NodeId);
    w.node_id(id);
    Value::Wire(w.buf.into())
}
