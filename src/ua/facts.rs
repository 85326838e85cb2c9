//! Values of this server in namespace 0: the advertised limits are the enforced ones.

use opcua::VariableId;

use crate::history::aggregate::Aggregate;
use crate::model::{Plant, ServerPlan};
use crate::stack::codec::Writer;
use crate::stack::transport;
use crate::ua::application::{Application, PRODUCT_URI};
use crate::ua::diagnostics::{numbers, write_build_info};
use crate::ua::limits::Limits;
use crate::ua::space::{Draft, Live, Source, callable, describe_roles, prepare_history, restriction};
use crate::value::{BuiltIn, Elements, UaTime, Value};

/// Profiles of Part 7 (1.05) that hold in this version.
const PROFILES: [&str; 6] = [
    "http://opcfoundation.org/UA-Profile/Server/DataAccess",
    "http://opcfoundation.org/UA-Profile/Server/Methods",
    "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary",
    "http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256",
    "http://opcfoundation.org/UA-Profile/Security/UserToken/Server/UserNamePassword",
    "http://opcfoundation.org/UA-Profile/Security/UserToken/Server/X509Certificate",
];

/// Folders of AggregateFunction objects: what monitored items calculate, and what HistoryRead does.
const SERVER_AGGREGATES: u32 = opcua::ObjectId::Server_ServerCapabilities_AggregateFunctions as u32;
const HISTORY_AGGREGATES: u32 = opcua::ObjectId::HistoryServerCapabilities_AggregateFunctions as u32;

/// Further profiles when a tag keeps history.
const HISTORY_PROFILES: [&str; 2] = [
    "http://opcfoundation.org/UA-Profile/Server/HistoricalRawData",
    "http://opcfoundation.org/UA-Profile/Server/HistoricalDataAtTime",
];

/// Sources of the values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub application: &'a Application,
    pub limits: &'a Limits,
    pub wire: &'a transport::Limits,
    pub plant: &'a Plant,
    pub plan: &'a ServerPlan,
    pub started: UaTime,
    /// Whether audit events are raised.
    pub audits: bool,
}

pub(crate) fn fill(draft: &mut Draft, facts: Facts<'_>) {
    let Facts { application, limits, wire, plant, plan, started, audits } = facts;
    describe_roles(draft, &plan.own_roles);
    // Only over encrypted channels (Part 5 §6.3.4, 1.05).
    draft.encrypt(numbers::SESSION_SECURITY);
    // The standard's own nodeset asks for a signed channel at least.
    draft.encrypt(callable::REQUEST_SERVER_STATE_CHANGE);
    if !plan.security.allow_unsecured {
        draft.restrict(restriction::SIGNING_REQUIRED);
    }
    for number in numbers::ALL.into_iter().chain(numbers::SUMMARY_PARTS) {
        draft.fill(number, Source::Live(Live::Standard(number)));
    }
    let is_kept = plant.tags.values().any(|tag| tag.history.is_some());
    let namespaces = draft.space().namespaces().to_vec();
    let mut put = |variable: VariableId, value: Value| {
        let source = draft.constant(value);
        draft.fill(variable as u32, source);
    };
    put(VariableId::Server_NamespaceArray, texts(namespaces.iter().map(String::as_str)));
    put(VariableId::Server_ServerArray, texts([application.uri.as_str()]));
    put(VariableId::Server_ServerStatus_StartTime, Value::DateTime(started));
    put(VariableId::Server_ServerStatus_BuildInfo, build_info(started));
    put(VariableId::Server_ServerStatus_BuildInfo_ProductName, Value::text("opcell"));
    put(VariableId::Server_ServerStatus_BuildInfo_ProductUri, Value::text(PRODUCT_URI));
    put(VariableId::Server_ServerStatus_BuildInfo_ManufacturerName, Value::text("opcell"));
    put(VariableId::Server_ServerStatus_BuildInfo_SoftwareVersion, Value::text(env!("CARGO_PKG_VERSION")));
    put(VariableId::Server_ServerStatus_BuildInfo_BuildNumber, Value::text(env!("CARGO_PKG_VERSION")));
    put(VariableId::Server_ServerStatus_BuildInfo_BuildDate, Value::DateTime(started));
    put(VariableId::Server_ServiceLevel, Value::Byte(255));
    put(VariableId::Server_Auditing, Value::Boolean(audits));
    put(VariableId::Server_ServerRedundancy_RedundancySupport, Value::Int32(0));
    put(VariableId::Server_ServerCapabilities_LocaleIdArray, texts(locales(plant).iter().map(String::as_str)));
    let of_history = if is_kept { &HISTORY_PROFILES[..] } else { &[] };
    put(VariableId::Server_ServerCapabilities_ServerProfileArray, texts(PROFILES.iter().chain(of_history).copied()));
    capabilities(&mut put, limits, wire);
    history(&mut put, limits, is_kept);
    // No sampling interval is shared between items, so there are no diagnostics of them.
    put(VariableId::Server_ServerDiagnostics_SamplingIntervalDiagnosticsArray, no_structures());
    let aggregates: Vec<u32> = Aggregate::all().map(|aggregate| aggregate.object() as u32).collect();
    draft.organize(SERVER_AGGREGATES, &aggregates);
    if is_kept {
        draft.organize(HISTORY_AGGREGATES, &aggregates);
        prepare_history(draft, &aggregates);
    }
}

fn texts<'t>(all: impl IntoIterator<Item = &'t str>) -> Value {
    Value::array(Elements::String(all.into_iter().map(Into::into).collect()))
}

/// The languages of the cells' texts, in the order in which they first stand there; English for our own.
fn locales(plant: &Plant) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let nodes = plant.cells.iter().flat_map(|cell| &cell.nodes);
    let labels = nodes.flat_map(|node| node.display_name.iter().chain(&node.description));
    for (locale, _) in labels.flat_map(|label| &label.0) {
        if !locale.is_empty() && !found.contains(locale) {
            found.push(locale.clone());
        }
    }
    if found.is_empty() {
        found.push("en".to_owned());
    }
    found
}

fn no_structures() -> Value {
    let mut w = Writer::new();
    w.variant_array_head(BuiltIn::ExtensionObject);
    w.count(0);
    Value::Wire(w.buf.into())
}

fn build_info(started: UaTime) -> Value {
    crate::ua::space::extension(opcua::ObjectId::BuildInfo_Encoding_DefaultBinary as u32, |w| {
        write_build_info(started, w)
    })
}

/// ServerCapabilities and OperationLimits (Part 5 §6.3.2 and §6.3.11, 1.05).
fn capabilities(put: &mut impl FnMut(VariableId, Value), limits: &Limits, wire: &transport::Limits) {
    let configured = &limits.configured;
    put(
        VariableId::Server_ServerCapabilities_MinSupportedSampleRate,
        Value::Double(configured.min_sampling_interval.as_secs_f64() * 1000.0),
    );
    put(
        VariableId::Server_ServerCapabilities_MaxBrowseContinuationPoints,
        Value::UInt16(u16::try_from(limits.browse_continuation_points).unwrap_or(u16::MAX)),
    );
    put(VariableId::Server_ServerCapabilities_MaxQueryContinuationPoints, Value::UInt16(0));
    put(
        VariableId::Server_ServerCapabilities_MaxHistoryContinuationPoints,
        Value::UInt16(u16::try_from(limits.history_continuation_points).unwrap_or(u16::MAX)),
    );
    put(VariableId::Server_ServerCapabilities_SoftwareCertificates, no_structures());
    for (variable, value) in [
        (VariableId::Server_ServerCapabilities_MaxArrayLength, limits.array_length),
        (VariableId::Server_ServerCapabilities_MaxStringLength, limits.string_length.min(wire.max_message)),
        (VariableId::Server_ServerCapabilities_MaxByteStringLength, limits.string_length.min(wire.max_message)),
        (VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerRead, limits.operations),
        (VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerWrite, limits.operations),
        (VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse, limits.operations),
        (VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerRegisterNodes, limits.operations),
        (
            VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIds,
            limits.operations,
        ),
        (VariableId::Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall, limits.operations),
        (VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerMethodCall, limits.method_calls),
        // Services that this version does not have take no operation at all: 0 would mean "no limit".
        (VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerNodeManagement, 1),
        (VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryReadData, limits.history_nodes),
        (VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryReadEvents, 1),
        (VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryUpdateData, limits.history_nodes),
        (VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryUpdateEvents, 1),
        (VariableId::Server_ServerCapabilities_MaxSessions, configured.max_sessions),
        (VariableId::Server_ServerCapabilities_MaxSubscriptions, configured.max_subscriptions),
        (VariableId::Server_ServerCapabilities_MaxMonitoredItems, configured.max_monitored_items),
        (VariableId::Server_ServerCapabilities_MaxSubscriptionsPerSession, configured.max_subscriptions_per_session),
        (VariableId::Server_ServerCapabilities_MaxSelectClauseParameters, limits.select_clauses),
        (VariableId::Server_ServerCapabilities_MaxWhereClauseParameters, limits.where_elements),
        (VariableId::Server_ServerCapabilities_MaxMonitoredItemsPerSubscription, configured.max_items_per_subscription),
        (VariableId::Server_ServerCapabilities_MaxMonitoredItemsQueueSize, configured.max_queue),
    ] {
        put(variable, Value::UInt32(value));
    }
    put(VariableId::Server_ServerCapabilities_ConformanceUnits, no_names());
}

/// An empty array of QualifiedName.
fn no_names() -> Value {
    let mut w = Writer::new();
    w.variant_array_head(BuiltIn::QualifiedName);
    w.count(0);
    Value::Wire(w.buf.into())
}

/// HistoryServerCapabilities (Part 11 §5.7, 1.05). Without a tag that keeps history there is none to speak of; of
/// events there is none.
fn history(put: &mut impl FnMut(VariableId, Value), limits: &Limits, is_kept: bool) {
    for variable in [
        VariableId::HistoryServerCapabilities_AccessHistoryDataCapability,
        VariableId::HistoryServerCapabilities_ServerTimestampSupported,
        VariableId::HistoryServerCapabilities_InsertDataCapability,
        VariableId::HistoryServerCapabilities_ReplaceDataCapability,
        VariableId::HistoryServerCapabilities_UpdateDataCapability,
        VariableId::HistoryServerCapabilities_DeleteRawCapability,
        VariableId::HistoryServerCapabilities_DeleteAtTimeCapability,
        VariableId::HistoryServerCapabilities_InsertAnnotationCapability,
    ] {
        put(variable, Value::Boolean(is_kept));
    }
    // Those of events.
    for variable in [
        VariableId::HistoryServerCapabilities_AccessHistoryEventsCapability,
        VariableId::HistoryServerCapabilities_InsertEventCapability,
        VariableId::HistoryServerCapabilities_ReplaceEventCapability,
        VariableId::HistoryServerCapabilities_UpdateEventCapability,
        VariableId::HistoryServerCapabilities_DeleteEventCapability,
    ] {
        put(variable, Value::Boolean(false));
    }
    put(
        VariableId::HistoryServerCapabilities_MaxReturnDataValues,
        Value::UInt32(if is_kept { limits.history_values } else { 0 }),
    );
    put(VariableId::HistoryServerCapabilities_MaxReturnEventValues, Value::UInt32(0));
}
