//! The server's own variables that move: ServerStatus and diagnostics (Part 5 §6.3 and §12, 1.05), computed when asked.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use opcua::StatusCode;

use super::role_set;
use crate::stack::codec::{LocalizedTextRef, NodeIdRef, Writer};
use crate::ua::application::PRODUCT_URI;
use crate::ua::server::Server;
use crate::ua::session::{ServiceCounter, Session};
use crate::ua::space::{ENABLED, Live};
use crate::ua::subscription::Subscription;
use crate::value::{BuiltIn, Moment, Sample, UaTime, Value};

/// Numbers of the live variables in namespace 0 (Part 6 annex A, 1.05).
pub(crate) mod numbers {
    pub(crate) const SERVER_STATUS: u32 = opcua::VariableId::Server_ServerStatus as u32;
    pub(crate) const CURRENT_TIME: u32 = opcua::VariableId::Server_ServerStatus_CurrentTime as u32;
    pub(crate) const STATE: u32 = opcua::VariableId::Server_ServerStatus_State as u32;
    pub(crate) const SECONDS_TILL_SHUTDOWN: u32 = opcua::VariableId::Server_ServerStatus_SecondsTillShutdown as u32;
    pub(crate) const SHUTDOWN_REASON: u32 = opcua::VariableId::Server_ServerStatus_ShutdownReason as u32;
    pub(crate) const SUMMARY: u32 = opcua::VariableId::Server_ServerDiagnostics_ServerDiagnosticsSummary as u32;
    pub(crate) const SUBSCRIPTIONS: u32 =
        opcua::VariableId::Server_ServerDiagnostics_SubscriptionDiagnosticsArray as u32;
    pub(crate) const ENABLED_FLAG: u32 = opcua::VariableId::Server_ServerDiagnostics_EnabledFlag as u32;
    pub(crate) const SESSIONS: u32 =
        opcua::VariableId::Server_ServerDiagnostics_SessionsDiagnosticsSummary_SessionDiagnosticsArray as u32;
    pub(crate) const SESSION_SECURITY: u32 =
        opcua::VariableId::Server_ServerDiagnostics_SessionsDiagnosticsSummary_SessionSecurityDiagnosticsArray as u32;
    /// Components of the summary, in the order of ServerDiagnosticsSummaryDataType.
    pub(crate) const SUMMARY_PARTS: [u32; 12] = [
        opcua::VariableId::Server_ServerDiagnostics_ServerDiagnosticsSummary_ServerViewCount as u32,
        opcua::VariableId::Server_ServerDiagnostics_ServerDiagnosticsSummary_CurrentSessionCount as u32,
        opcua::VariableId::Server_ServerDiagnostics_ServerDiagnosticsSummary_CumulatedSessionCount as u32,
        opcua::VariableId::Server_ServerDiagnostics_ServerDiagnosticsSummary_SecurityRejectedSessionCount as u32,
        opcua::VariableId::Server_ServerDiagnostics_ServerDiagnosticsSummary_RejectedSessionCount as u32,
        opcua::VariableId::Server_ServerDiagnostics_ServerDiagnosticsSummary_SessionTimeoutCount as u32,
        opcua::VariableId::Server_ServerDiagnostics_ServerDiagnosticsSummary_SessionAbortCount as u32,
        opcua::VariableId::Server_ServerDiagnostics_ServerDiagnosticsSummary_CurrentSubscriptionCount as u32,
        opcua::VariableId::Server_ServerDiagnostics_ServerDiagnosticsSummary_CumulatedSubscriptionCount as u32,
        opcua::VariableId::Server_ServerDiagnostics_ServerDiagnosticsSummary_PublishingIntervalCount as u32,
        opcua::VariableId::Server_ServerDiagnostics_ServerDiagnosticsSummary_SecurityRejectedRequestsCount as u32,
        opcua::VariableId::Server_ServerDiagnostics_ServerDiagnosticsSummary_RejectedRequestsCount as u32,
    ];
    pub(crate) const ALL: [u32; 10] = [
        SERVER_STATUS,
        CURRENT_TIME,
        STATE,
        SECONDS_TILL_SHUTDOWN,
        SHUTDOWN_REASON,
        SUMMARY,
        SUBSCRIPTIONS,
        ENABLED_FLAG,
        SESSIONS,
        SESSION_SECURITY,
    ];
}

mod encoding {
    pub(crate) const SERVER_STATUS: u32 = opcua::ObjectId::ServerStatusDataType_Encoding_DefaultBinary as u32;
    pub(crate) const SUMMARY: u32 = opcua::ObjectId::ServerDiagnosticsSummaryDataType_Encoding_DefaultBinary as u32;
    pub(crate) const SESSION: u32 = opcua::ObjectId::SessionDiagnosticsDataType_Encoding_DefaultBinary as u32;
    pub(crate) const SESSION_SECURITY: u32 =
        opcua::ObjectId::SessionSecurityDiagnosticsDataType_Encoding_DefaultBinary as u32;
    pub(crate) const SUBSCRIPTION: u32 = opcua::ObjectId::SubscriptionDiagnosticsDataType_Encoding_DefaultBinary as u32;
}

/// BuildInfo. BuildDate is the start of the program: a reproducible build has no other date.
pub(crate) fn write_build_info(started: UaTime, w: &mut Writer) {
    w.text(PRODUCT_URI);
    w.text("opcell");
    w.text("opcell");
    w.text(env!("CARGO_PKG_VERSION"));
    w.text(env!("CARGO_PKG_VERSION"));
    w.time(started);
}

pub(crate) fn live_sample(server: &Server, live: Live, moment: Moment) -> Sample {
    let now = moment.wall;
    let value = match live {
        Live::Standard(number) => standard(server, number, moment),
        Live::Connection { connection, variable } => link_value(server, connection, variable),
        Live::Reason(tag) => {
            let world = server.world();
            Value::text(&super::reason::of_tag(&world.plant, &server.tags, &world.links, tag))
        }
        Live::Condition { alarm, part } => server.condition_value(&server.world(), alarm, part, moment),
        Live::AlarmCount { namespace, of } => server.alarm_count(&server.world(), namespace, of),
        Live::Role { role, part } => role_set::value(&server.users.accounts(), crate::model::Role(role), part),
    };
    let status = match (&value, live) {
        (Value::Null, Live::Connection { .. }) => StatusCode::BadNotConnected,
        (Value::Null, Live::Standard(_)) => StatusCode::BadNotReadable,
        _ => StatusCode::Good,
    };
    Sample { value, status, source_time: now, server_time: now }
}

fn standard(server: &Server, number: u32, now: Moment) -> Value {
    let till = || server.status.seconds_till_shutdown(now.mono);
    match number {
        numbers::SERVER_STATUS => object(encoding::SERVER_STATUS, |w| {
            w.time(server.status.started);
            w.time(now.wall);
            w.i32(server.status.state());
            write_build_info(server.status.started, w);
            w.u32(till());
            let reason = server.status.shutdown_reason();
            w.localized_text(LocalizedTextRef { locale: None, text: reason.as_deref() });
        }),
        numbers::CURRENT_TIME => Value::DateTime(now.wall),
        numbers::STATE => Value::Int32(server.status.state()),
        numbers::SECONDS_TILL_SHUTDOWN => Value::UInt32(till()),
        numbers::SHUTDOWN_REASON => {
            crate::ua::events::localized(server.status.shutdown_reason().as_deref().unwrap_or_default())
        }
        numbers::ENABLED_FLAG => Value::Boolean(is_enabled(server)),
        numbers::SUMMARY => object(encoding::SUMMARY, |w| summary(server).iter().for_each(|count| w.u32(*count))),
        numbers::SUBSCRIPTIONS => {
            objects(encoding::SUBSCRIPTION, &enabled(server, |server| server.subscriptions.all()), |s, w| {
                write_subscription(s, w);
            })
        }
        numbers::SESSIONS => {
            let sessions = enabled(server, |server| server.sessions.all());
            objects(encoding::SESSION, &sessions, |session, w| write_session(session, w))
        }
        numbers::SESSION_SECURITY => {
            let sessions = enabled(server, |server| server.sessions.all());
            objects(encoding::SESSION_SECURITY, &sessions, |session, w| write_session_security(session, w))
        }
        part => match numbers::SUMMARY_PARTS.iter().position(|number| *number == part) {
            Some(at) => Value::UInt32(summary(server)[at]),
            None => Value::Null,
        },
    }
}

fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn is_enabled(server: &Server) -> bool {
    server.diagnostics_enabled.load(Ordering::Relaxed)
}

fn enabled<T>(server: &Server, all: impl Fn(&Server) -> Vec<T>) -> Vec<T> {
    if is_enabled(server) { all(server) } else { Vec::new() }
}

fn object(encoding: u32, body: impl FnOnce(&mut Writer)) -> Value {
    let mut w = Writer::new();
    w.variant_head(BuiltIn::ExtensionObject);
    w.extension_object(encoding, body);
    Value::Wire(w.buf.into())
}

fn objects<T>(encoding: u32, all: &[T], body: impl Fn(&T, &mut Writer)) -> Value {
    let mut w = Writer::new();
    w.variant_array_head(BuiltIn::ExtensionObject);
    w.count(all.len());
    for one in all {
        w.extension_object(encoding, |w| body(one, w));
    }
    Value::Wire(w.buf.into())
}

/// ServerDiagnosticsSummaryDataType (Part 5 §12.9, 1.05).
fn summary(server: &Server) -> [u32; 12] {
    let totals = &server.totals;
    let load = |counter: &AtomicU32| counter.load(Ordering::Relaxed);
    [
        0,
        small(server.sessions.len()),
        load(&totals.sessions),
        load(&totals.security_rejected_sessions),
        load(&totals.rejected_sessions),
        load(&totals.session_timeouts),
        load(&totals.session_aborts),
        small(server.subscriptions.len()),
        load(&totals.subscriptions),
        0,
        load(&totals.security_rejected_requests),
        load(&totals.rejected_requests),
    ]
}

/// SubscriptionDiagnosticsDataType (Part 5 §12.15, 1.05).
fn write_subscription(subscription: &Subscription, w: &mut Writer) {
    let owner = subscription.lock().owner.upgrade();
    let session = owner.map_or(0, |session| session.id());
    let state = subscription.lock();
    let (parameters, counters) = (&state.parameters, &state.counters);
    w.node_id(if session == 0 { NodeIdRef::NULL } else { NodeIdRef::numeric(1, session) });
    w.u32(subscription.id);
    w.u8(parameters.priority);
    w.f64(parameters.publishing_interval.as_secs_f64() * 1000.0);
    w.u32(parameters.keep_alive_count);
    w.u32(parameters.lifetime_count);
    w.u32(parameters.max_notifications);
    w.bool(state.publishing_enabled);
    for count in [
        counters.modify,
        counters.enable,
        counters.disable,
        counters.republish_request,
        counters.republish_message_request,
        counters.republish_message,
        counters.transfer_request,
        counters.transferred_to_alt_client,
        counters.transferred_to_same_client,
        counters.publish_request,
        counters.data_change,
        counters.event,
        counters.data_change.saturating_add(counters.event),
        counters.late_publish,
        state.keep_alive_counter(),
        state.lifetime_counter(),
        small(state.available().len()),
        counters.discarded_message,
        small(state.item_count()),
        small(state.disabled_count()),
        counters.queue_overflow,
        state.next_sequence(),
        counters.queue_overflow,
    ] {
        w.u32(count);
    }
}

fn write_counter(counter: ServiceCounter, w: &mut Writer) {
    w.u32(counter.total);
    w.u32(counter.errors);
}

/// SessionDiagnosticsDataType (Part 5 §12.11, 1.05).
fn write_session(session: &Session, w: &mut Writer) {
    let state = session.lock();
    let client = &session.client;
    w.node_id(NodeIdRef::numeric(1, session.id));
    w.text(&session.name);
    w.text(&client.application_uri);
    w.text(&client.product_uri);
    w.localized_text(LocalizedTextRef { locale: None, text: Some(&client.application_name) });
    w.i32(1); // a client
    w.string(None);
    w.string(None);
    w.null_array();
    w.text(&client.server_uri);
    w.text(&client.endpoint_url);
    w.count(state.locales.len());
    state.locales.iter().for_each(|locale| w.text(locale));
    w.f64(session.timeout.as_secs_f64() * 1000.0);
    w.u32(session.max_response);
    w.time(session.connected);
    w.time(state.last_contact_time);
    w.u32(small(state.subscriptions.len()));
    w.u32(small(state.subscriptions.iter().map(|subscription| subscription.lock().item_count()).sum()));
    w.u32(small(state.publish.len()));
    write_counter(state.counters.total, w);
    w.u32(state.counters.unauthorized);
    state.counters.services.iter().for_each(|counter| write_counter(*counter, w));
}

/// SessionSecurityDiagnosticsDataType (Part 5 §12.12, 1.05).
fn write_session_security(session: &Session, w: &mut Writer) {
    let state = session.lock();
    w.node_id(NodeIdRef::numeric(1, session.id));
    w.text(state.identity.name());
    w.null_array();
    w.text(match &state.identity {
        crate::ua::session::Identity::Anonymous => "Anonymous",
        crate::ua::session::Identity::User(_) => "UserName",
        crate::ua::session::Identity::Certificate { .. } => "Certificate",
    });
    w.text("UA Binary");
    w.text("UA TCP");
    w.i32(state.security.mode as i32);
    w.text(state.security.policy.uri());
    w.bytes(None);
}

fn link_value(server: &Server, connection: u32, variable: u8) -> Value {
    let world = server.world();
    if variable == ENABLED {
        let of = world.plant.connections.get(crate::model::ConnectionIx(connection));
        return of.map_or(Value::Null, |of| Value::Boolean(of.enabled));
    }
    let now = world.link_of(connection).and_then(|link| link.of(crate::model::ConnectionIx(connection)));
    let Some(now) = now else { return Value::Null };
    let millis = |span: Duration| Value::Double(span.as_secs_f64() * 1000.0);
    match variable {
        0 => Value::text(now.state.name()),
        1 => Value::text(&now.last_error),
        2 => now.connected_since.map_or(Value::Null, Value::DateTime),
        3 => Value::UInt64(now.requests),
        4 => Value::UInt64(now.errors),
        5 => Value::UInt64(now.timeouts),
        6 => Value::UInt64(now.overruns),
        7 => millis(now.scan_last),
        8 => millis(now.scan_max),
        9 => Value::UInt32(now.demoted),
        _ => Value::Double(now.load),
    }
}
