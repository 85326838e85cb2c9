//! What is true of this server, filled into namespace 0: advertised limits are the ones that are enforced.

use crate::history::aggregate::Aggregate;
use crate::model::{Plant, ServerPlan};
use crate::stack::codec::Writer;
use crate::stack::transport;
use crate::ua::application::{Application, PRODUCT_URI};
use crate::ua::diagnostics::{numbers, write_build_info};
use crate::ua::limits::Limits;
use crate::ua::space::{Draft, Live, Source, describe_roles, prepare_history, restriction};
use crate::value::{BuiltIn, Elements, UaTime, Value};

/// Profiles of Part 7 (1.05) that hold in this version.
const PROFILES: [&str; 5] = [
    "http://opcfoundation.org/UA-Profile/Server/DataAccess",
    "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary",
    "http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256",
    "http://opcfoundation.org/UA-Profile/Security/UserToken/Server/UserNamePassword",
    "http://opcfoundation.org/UA-Profile/Security/UserToken/Server/X509Certificate",
];

/// Folders of AggregateFunction objects: what monitored items calculate, and what HistoryRead does.
const SERVER_AGGREGATES: u32 = 2997;
const HISTORY_AGGREGATES: u32 = 11_201;

/// Those that hold beside them when a tag keeps history.
const HISTORY_PROFILES: [&str; 2] = [
    "http://opcfoundation.org/UA-Profile/Server/HistoricalRawData",
    "http://opcfoundation.org/UA-Profile/Server/HistoricalDataAtTime",
];

/// What the facts are made of.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub application: &'a Application,
    pub limits: &'a Limits,
    pub wire: &'a transport::Limits,
    pub plant: &'a Plant,
    pub plan: &'a ServerPlan,
    pub started: UaTime,
    /// Whether audit events are raised.
    pub audits: bool,
}

pub fn fill(draft: &mut Draft, facts: Facts<'_>) {
    let Facts { application, limits, wire, plant, plan, started, audits } = facts;
    describe_roles(draft, &plan.own_roles);
    // Over encrypted channels alone (Part 5 §6.3.4, 1.05).
    draft.encrypt(numbers::SESSION_SECURITY);
    if !plan.security.allow_unsecured {
        draft.restrict(restriction::SIGNING_REQUIRED);
    }
    for number in numbers::ALL.into_iter().chain(numbers::SUMMARY_PARTS) {
        draft.fill(number, Source::Live(Live::Standard(number)));
    }
    let is_kept = plant.tags.iter().any(|tag| tag.history.is_some());
    let namespaces = draft.space().namespaces().to_vec();
    let mut put = |number: u32, value: Value| {
        let source = draft.constant(value);
        draft.fill(number, source);
    };
    put(2255, texts(namespaces.iter().map(String::as_str)));
    put(2254, texts([application.uri.as_str()]));
    put(2257, Value::DateTime(started));
    put(2260, build_info(started));
    put(2261, Value::text("opcell"));
    put(2262, Value::text(PRODUCT_URI));
    put(2263, Value::text("opcell"));
    put(2264, Value::text(env!("CARGO_PKG_VERSION")));
    put(2265, Value::text(env!("CARGO_PKG_VERSION")));
    put(2266, Value::DateTime(started));
    put(2267, Value::Byte(255));
    put(2994, Value::Boolean(audits));
    put(3709, Value::Int32(0));
    put(2271, texts(locales(plant).iter().map(String::as_str)));
    let of_history = if is_kept { &HISTORY_PROFILES[..] } else { &[] };
    put(2269, texts(PROFILES.iter().chain(of_history).copied()));
    capabilities(&mut put, limits, wire);
    history(&mut put, limits, is_kept);
    // No sampling interval is shared between items, so there are no diagnostics of them.
    put(2289, no_structures());
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
    w.u8(BuiltIn::ExtensionObject as u8 | 0x80);
    w.count(0);
    Value::Wire(w.buf.into())
}

fn build_info(started: UaTime) -> Value {
    crate::ua::space::extension(340, |w| write_build_info(started, w))
}

/// ServerCapabilities and OperationLimits (Part 5 §6.3.2 and §6.3.11, 1.05).
fn capabilities(put: &mut impl FnMut(u32, Value), limits: &Limits, wire: &transport::Limits) {
    let configured = &limits.configured;
    put(2272, Value::Double(configured.min_sampling_interval.as_secs_f64() * 1000.0));
    put(2735, Value::UInt16(u16::try_from(limits.browse_continuation_points).unwrap_or(u16::MAX)));
    put(2736, Value::UInt16(0));
    put(2737, Value::UInt16(u16::try_from(limits.history_continuation_points).unwrap_or(u16::MAX)));
    put(3704, no_structures());
    for (number, value) in [
        (11_702, limits.array_length),
        (11_703, limits.string_length.min(wire.max_message)),
        (12_911, limits.string_length.min(wire.max_message)),
        (11_705, limits.operations),
        (11_707, limits.operations),
        (11_710, limits.operations),
        (11_711, limits.operations),
        (11_712, limits.operations),
        (11_714, limits.operations),
        // Services that this version does not have take no operation at all: 0 would mean "no limit".
        (11_709, 1),
        (11_713, 1),
        (12_165, limits.history_nodes),
        (12_166, 1),
        (12_167, limits.history_nodes),
        (12_168, 1),
        (24_095, configured.max_sessions),
        (24_096, configured.max_subscriptions),
        (24_097, configured.max_monitored_items),
        (24_098, configured.max_subscriptions_per_session),
        (24_099, limits.select_clauses),
        (24_100, limits.where_elements),
        (24_104, configured.max_items_per_subscription),
        (31_916, configured.max_queue),
    ] {
        put(number, Value::UInt32(value));
    }
    put(24_101, no_names());
}

/// An empty array of QualifiedName.
fn no_names() -> Value {
    let mut w = Writer::new();
    w.u8(BuiltIn::QualifiedName as u8 | 0x80);
    w.count(0);
    Value::Wire(w.buf.into())
}

/// HistoryServerCapabilities (Part 11 §5.7, 1.05). Without a tag that keeps history there is none to speak of; of
/// events there is none.
fn history(put: &mut impl FnMut(u32, Value), limits: &Limits, is_kept: bool) {
    // AccessHistoryData, ServerTimestampSupported, InsertData, ReplaceData, UpdateData, DeleteRaw, DeleteAtTime,
    // InsertAnnotation.
    for number in [11_193, 19_091, 11_196, 11_197, 11_198, 11_199, 11_200, 11_275] {
        put(number, Value::Boolean(is_kept));
    }
    // Those of events.
    for number in [11_242, 11_281, 11_282, 11_283, 11_502] {
        put(number, Value::Boolean(false));
    }
    put(11_273, Value::UInt32(if is_kept { limits.history_values } else { 0 }));
    put(11_274, Value::UInt32(0));
}
