//! The Variables, Objects and Methods of a condition: one table for its nodes and for the fields of its events.

use opcua::{DataTypeId, MethodId, ObjectTypeId, VariableId, VariableTypeId};

use crate::model::{Alarm, AlarmForm};

/// A Variable of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum ConditionPart {
    EventId,
    EventType,
    SourceNode,
    SourceName,
    Time,
    ReceiveTime,
    Message,
    Severity,
    ConditionClassId,
    ConditionClassName,
    ConditionName,
    BranchId,
    Retain,
    EnabledState,
    EnabledId,
    Quality,
    QualityTime,
    LastSeverity,
    LastSeverityTime,
    Comment,
    CommentTime,
    ClientUserId,
    AckedState,
    AckedId,
    ConfirmedState,
    ConfirmedId,
    ActiveState,
    ActiveId,
    ActiveTime,
    InputNode,
    LatchedState,
    LatchedId,
    SuppressedOrShelved,
    ShelvingState,
    ShelvingId,
    UnshelveTime,
    MaxTimeShelved,
    OnDelay,
    OffDelay,
    LimitState,
    LimitId,
    /// Of each limit, in the order of `Level`: LowLow, Low, High, HighHigh.
    Limit(u8),
    LimitSeverity(u8),
    LimitDeadband(u8),
    LimitActive(u8),
    LimitActiveId(u8),
    NormalState,
    NormalValue,
    /// Plain mirrors, for clients that know no conditions.
    PlainActive,
    PlainAcked,
    PlainSuppressed,
    PlainLimit(u8),
    /// Writing true acknowledges.
    PlainAck,
}

/// The kind of a node of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PartKind {
    Property,
    TwoState,
    ConditionVariable,
    StateVariable,
    /// A Variable of the cell, not of the standard.
    Plain,
    Object(u32),
    /// A method, and the InputArguments of its declaration.
    Method(Option<u32>),
}

/// Which conditions have a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Has {
    Always,
    Confirm,
    Latch,
    Shelving,
    Delay,
    ClearDelay,
    Exclusive,
    Limit(u8),
    LimitOfMany(u8),
    Hysteresis(u8),
    OffNormal,
}

impl Has {
    pub(super) fn holds(self, alarm: &Alarm) -> bool {
        let limits = match &alarm.form {
            AlarmForm::Limits(limits) => Some(limits),
            AlarmForm::OffNormal { .. } | AlarmForm::Discrete { .. } => None,
        };
        let has = |n: u8| limits.is_some_and(|limits| limits.at[usize::from(n)].is_some());
        match self {
            Has::Always => true,
            Has::Confirm => alarm.needs_confirm,
            Has::Latch => alarm.is_latched,
            Has::Shelving => alarm.shelve.is_some(),
            Has::Delay => !alarm.delay.is_zero(),
            Has::ClearDelay => !alarm.clear_delay.is_zero(),
            Has::Exclusive => limits.is_some_and(|limits| limits.is_exclusive),
            Has::Limit(n) => has(n),
            Has::LimitOfMany(n) => has(n) && limits.is_some_and(|limits| !limits.is_exclusive),
            Has::Hysteresis(n) => has(n) && limits.is_some_and(|limits| limits.hysteresis > 0.0),
            Has::OffNormal => matches!(alarm.form, AlarmForm::OffNormal { .. }),
        }
    }
}

/// A node of a condition.
#[derive(Debug)]
pub(super) struct Part {
    /// Its path below the condition; a parent is always before its children.
    pub path: &'static str,
    pub kind: PartKind,
    /// `None` for Objects and Methods.
    pub value: Option<ConditionPart>,
    pub data_type: u32,
    pub has: Has,
}

const BOOLEAN: u32 = DataTypeId::Boolean as u32;
const UINT16: u32 = DataTypeId::UInt16 as u32;
const DOUBLE: u32 = DataTypeId::Double as u32;
const STRING: u32 = DataTypeId::String as u32;
const TIME: u32 = DataTypeId::UtcTime as u32;
const BYTES: u32 = DataTypeId::ByteString as u32;
const NODE: u32 = DataTypeId::NodeId as u32;
const STATUS: u32 = DataTypeId::StatusCode as u32;
const TEXT: u32 = DataTypeId::LocalizedText as u32;
const SPAN: u32 = DataTypeId::Duration as u32;
const ANY: u32 = DataTypeId::BaseDataType as u32;

const fn part(path: &'static str, kind: PartKind, value: ConditionPart, data_type: u32, has: Has) -> Part {
    Part { path, kind, value: Some(value), data_type, has }
}

const fn property(path: &'static str, value: ConditionPart, data_type: u32, has: Has) -> Part {
    part(path, PartKind::Property, value, data_type, has)
}

const fn state(path: &'static str, value: ConditionPart, has: Has) -> Part {
    part(path, PartKind::TwoState, value, TEXT, has)
}

const fn object(path: &'static str, kind: ObjectTypeId, has: Has) -> Part {
    Part { path, kind: PartKind::Object(kind as u32), value: None, data_type: 0, has }
}

const fn method(path: &'static str, arguments: Option<VariableId>, has: Has) -> Part {
    let arguments = match arguments {
        Some(arguments) => Some(arguments as u32),
        None => None,
    };
    Part { path, kind: PartKind::Method(arguments), value: None, data_type: 0, has }
}

use ConditionPart as P;
use Has::Always;

#[rustfmt::skip]
pub(super) const PARTS: &[Part] = &[
    property("EventId", P::EventId, BYTES, Always),
    property("EventType", P::EventType, NODE, Always),
    property("SourceNode", P::SourceNode, NODE, Always),
    property("SourceName", P::SourceName, STRING, Always),
    property("Time", P::Time, TIME, Always),
    property("ReceiveTime", P::ReceiveTime, TIME, Always),
    property("Message", P::Message, TEXT, Always),
    property("Severity", P::Severity, UINT16, Always),
    property("ConditionClassId", P::ConditionClassId, NODE, Always),
    property("ConditionClassName", P::ConditionClassName, TEXT, Always),
    property("ConditionName", P::ConditionName, STRING, Always),
    property("BranchId", P::BranchId, NODE, Always),
    property("Retain", P::Retain, BOOLEAN, Always),
    state("EnabledState", P::EnabledState, Always),
    property("EnabledState.Id", P::EnabledId, BOOLEAN, Always),
    part("Quality", PartKind::ConditionVariable, P::Quality, STATUS, Always),
    property("Quality.SourceTimestamp", P::QualityTime, TIME, Always),
    part("LastSeverity", PartKind::ConditionVariable, P::LastSeverity, UINT16, Always),
    property("LastSeverity.SourceTimestamp", P::LastSeverityTime, TIME, Always),
    part("Comment", PartKind::ConditionVariable, P::Comment, TEXT, Always),
    property("Comment.SourceTimestamp", P::CommentTime, TIME, Always),
    property("ClientUserId", P::ClientUserId, STRING, Always),
    state("AckedState", P::AckedState, Always),
    property("AckedState.Id", P::AckedId, BOOLEAN, Always),
    state("ConfirmedState", P::ConfirmedState, Has::Confirm),
    property("ConfirmedState.Id", P::ConfirmedId, BOOLEAN, Has::Confirm),
    state("ActiveState", P::ActiveState, Always),
    property("ActiveState.Id", P::ActiveId, BOOLEAN, Always),
    property("ActiveState.TransitionTime", P::ActiveTime, TIME, Always),
    property("InputNode", P::InputNode, NODE, Always),
    state("LatchedState", P::LatchedState, Has::Latch),
    property("LatchedState.Id", P::LatchedId, BOOLEAN, Has::Latch),
    property("SuppressedOrShelved", P::SuppressedOrShelved, BOOLEAN, Always),
    object("ShelvingState", ObjectTypeId::ShelvedStateMachineType, Has::Shelving),
    part("ShelvingState.CurrentState", PartKind::StateVariable, P::ShelvingState, TEXT, Has::Shelving),
    property("ShelvingState.CurrentState.Id", P::ShelvingId, NODE, Has::Shelving),
    property("ShelvingState.UnshelveTime", P::UnshelveTime, SPAN, Has::Shelving),
    property("MaxTimeShelved", P::MaxTimeShelved, SPAN, Has::Shelving),
    property("OnDelay", P::OnDelay, SPAN, Has::Delay),
    property("OffDelay", P::OffDelay, SPAN, Has::ClearDelay),
    object("LimitState", ObjectTypeId::ExclusiveLimitStateMachineType, Has::Exclusive),
    part("LimitState.CurrentState", PartKind::StateVariable, P::LimitState, TEXT, Has::Exclusive),
    property("LimitState.CurrentState.Id", P::LimitId, NODE, Has::Exclusive),
    property("LowLowLimit", P::Limit(0), DOUBLE, Has::Limit(0)),
    property("LowLimit", P::Limit(1), DOUBLE, Has::Limit(1)),
    property("HighLimit", P::Limit(2), DOUBLE, Has::Limit(2)),
    property("HighHighLimit", P::Limit(3), DOUBLE, Has::Limit(3)),
    property("SeverityLowLow", P::LimitSeverity(0), UINT16, Has::Limit(0)),
    property("SeverityLow", P::LimitSeverity(1), UINT16, Has::Limit(1)),
    property("SeverityHigh", P::LimitSeverity(2), UINT16, Has::Limit(2)),
    property("SeverityHighHigh", P::LimitSeverity(3), UINT16, Has::Limit(3)),
    property("LowLowDeadband", P::LimitDeadband(0), DOUBLE, Has::Hysteresis(0)),
    property("LowDeadband", P::LimitDeadband(1), DOUBLE, Has::Hysteresis(1)),
    property("HighDeadband", P::LimitDeadband(2), DOUBLE, Has::Hysteresis(2)),
    property("HighHighDeadband", P::LimitDeadband(3), DOUBLE, Has::Hysteresis(3)),
    state("LowLowState", P::LimitActive(0), Has::LimitOfMany(0)),
    property("LowLowState.Id", P::LimitActiveId(0), BOOLEAN, Has::LimitOfMany(0)),
    state("LowState", P::LimitActive(1), Has::LimitOfMany(1)),
    property("LowState.Id", P::LimitActiveId(1), BOOLEAN, Has::LimitOfMany(1)),
    state("HighState", P::LimitActive(2), Has::LimitOfMany(2)),
    property("HighState.Id", P::LimitActiveId(2), BOOLEAN, Has::LimitOfMany(2)),
    state("HighHighState", P::LimitActive(3), Has::LimitOfMany(3)),
    property("HighHighState.Id", P::LimitActiveId(3), BOOLEAN, Has::LimitOfMany(3)),
    property("NormalState", P::NormalState, NODE, Has::OffNormal),
    part("NormalValue", PartKind::Plain, P::NormalValue, ANY, Has::OffNormal),
    part("Active", PartKind::Plain, P::PlainActive, BOOLEAN, Always),
    part("Acked", PartKind::Plain, P::PlainAcked, BOOLEAN, Always),
    part("Suppressed", PartKind::Plain, P::PlainSuppressed, BOOLEAN, Always),
    part("LowLow", PartKind::Plain, P::PlainLimit(0), BOOLEAN, Has::Limit(0)),
    part("Low", PartKind::Plain, P::PlainLimit(1), BOOLEAN, Has::Limit(1)),
    part("High", PartKind::Plain, P::PlainLimit(2), BOOLEAN, Has::Limit(2)),
    part("HighHigh", PartKind::Plain, P::PlainLimit(3), BOOLEAN, Has::Limit(3)),
    part("Ack", PartKind::Plain, P::PlainAck, BOOLEAN, Always),
    method("Enable", None, Always),
    method("Disable", None, Always),
    method("AddComment", Some(VariableId::ConditionType_AddComment_InputArguments), Always),
    method("Acknowledge", Some(VariableId::AcknowledgeableConditionType_Acknowledge_InputArguments), Always),
    method("Confirm", Some(VariableId::AcknowledgeableConditionType_Confirm_InputArguments), Has::Confirm),
    method("Reset", None, Has::Latch),
    method("Reset2", Some(VariableId::AlarmConditionType_Reset2_InputArguments), Has::Latch),
    method("ShelvingState.TimedShelve", Some(VariableId::ShelvedStateMachineType_TimedShelve_InputArguments), Has::Shelving),
    method("ShelvingState.TimedShelve2", Some(VariableId::ShelvedStateMachineType_TimedShelve2_InputArguments), Has::Shelving),
    method("ShelvingState.OneShotShelve", None, Has::Shelving),
    method("ShelvingState.OneShotShelve2", Some(VariableId::ShelvedStateMachineType_OneShotShelve2_InputArguments), Has::Shelving),
    method("ShelvingState.Unshelve", None, Has::Shelving),
    method("ShelvingState.Unshelve2", Some(VariableId::ShelvedStateMachineType_Unshelve2_InputArguments), Has::Shelving),
];

impl PartKind {
    /// The type definition in namespace 0; `None` for a Method.
    pub(super) fn type_definition(self) -> Option<u32> {
        Some(match self {
            PartKind::Property => VariableTypeId::PropertyType as u32,
            PartKind::TwoState => VariableTypeId::TwoStateVariableType as u32,
            PartKind::ConditionVariable => VariableTypeId::ConditionVariableType as u32,
            PartKind::StateVariable => VariableTypeId::FiniteStateVariableType as u32,
            PartKind::Plain => VariableTypeId::BaseDataVariableType as u32,
            PartKind::Object(kind) => kind,
            PartKind::Method(_) => return None,
        })
    }
}

/// Whether a condition has a Variable.
pub(crate) fn has_part(alarm: &Alarm, part: ConditionPart) -> bool {
    PARTS.iter().any(|one| one.value == Some(part) && one.has.holds(alarm))
}

/// Methods of condition types in namespace 0 that a call on a condition may name instead of the condition's own.
pub(crate) const DECLARED: [MethodId; 19] = [
    MethodId::ConditionType_Enable,
    MethodId::ConditionType_Disable,
    MethodId::ConditionType_AddComment,
    MethodId::AcknowledgeableConditionType_Acknowledge,
    MethodId::AcknowledgeableConditionType_Confirm,
    MethodId::AlarmConditionType_Reset,
    MethodId::AlarmConditionType_Reset2,
    MethodId::ShelvedStateMachineType_TimedShelve,
    MethodId::ShelvedStateMachineType_TimedShelve2,
    MethodId::ShelvedStateMachineType_OneShotShelve,
    MethodId::ShelvedStateMachineType_OneShotShelve2,
    MethodId::ShelvedStateMachineType_Unshelve,
    MethodId::ShelvedStateMachineType_Unshelve2,
    MethodId::AlarmConditionType_ShelvingState_TimedShelve,
    MethodId::AlarmConditionType_ShelvingState_TimedShelve2,
    MethodId::AlarmConditionType_ShelvingState_OneShotShelve,
    MethodId::AlarmConditionType_ShelvingState_OneShotShelve2,
    MethodId::AlarmConditionType_ShelvingState_Unshelve,
    MethodId::AlarmConditionType_ShelvingState_Unshelve2,
];

/// The type of a condition in namespace 0 (Part 9 §5.8, 1.05).
pub(crate) fn condition_type(alarm: &Alarm) -> u32 {
    let kind = match &alarm.form {
        AlarmForm::Limits(limits) if limits.is_exclusive => ObjectTypeId::ExclusiveLevelAlarmType,
        AlarmForm::Limits(_) => ObjectTypeId::NonExclusiveLevelAlarmType,
        AlarmForm::OffNormal { .. } => ObjectTypeId::OffNormalAlarmType,
        AlarmForm::Discrete { .. } => ObjectTypeId::DiscreteAlarmType,
    };
    kind as u32
}
