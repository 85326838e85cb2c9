//! Other people's servers: asyncua and node-opcua.

use opcell::value::{Elements, UaTime, Value};
use opcua::StatusCode;
use testkit::interop::{Holder, PASSWORD};
use testkit::peers::{free_port, node, python};
use testkit::request::text_id;
use testkit::until;

use super::{Follower, Script, cell};

/// A tag of each type that the script has.
const TYPES: &str = r#"
  Boolean:    { type: Boolean, source: "m:s=Boolean" }
  SByte:      { type: SByte, source: "m:s=SByte" }
  Byte:       { type: Byte, source: "m:s=Byte" }
  Int16:      { type: Int16, source: "m:s=Int16" }
  UInt16:     { type: UInt16, source: "m:s=UInt16" }
  Int32:      { type: Int32, source: "m:s=Int32" }
  UInt32:     { type: UInt32, source: "m:s=UInt32" }
  Int64:      { type: Int64, source: "m:s=Int64" }
  UInt64:     { type: UInt64, source: "m:s=UInt64" }
  Float:      { type: Float, source: "/Machine/Float" }
  Double:     { type: Double, source: "/m:Machine/m:Double" }
  NaN:        { type: Double, source: "m:s=NaN" }
  String:     { type: String, length: 20, source: "m:s=String" }
  Localized:  { type: String, length: 20, source: "m:s=Localized" }
  Array:      { type: Int16, array: 3, source: "m:s=Array" }
  Short:      { type: Int16, array: 4, source: "m:s=Array" }
  Narrow:     { type: SByte, source: "m:s=Int16" }
  Fraction:   { type: Int32, source: "m:s=Double" }
  Setpoint:   { type: Double, source: { address: "m:s=Setpoint", write: true } }
  Whole:      { type: Double, scale: { factor: 0.1 }, source: { address: "m:s=Whole", write: true } }
  Fixed:      { type: Double, source: { address: "m:s=Fixed", write: true } }
  Count:      { type: UInt32, source: { address: "m:s=Count", queue: 1000, poll: 1ms } }
  Wrong:      { type: Double, source: "m:s=Absent" }
"#;

const NAMES: &str = r#"namespaces: { m: "urn:acme:machine" }, timeout: 5s"#;

fn many(count: u32) -> String {
    let one = |n: u32| format!("  N{n}: {{ type: Double, source: \"m:s=N{n}\" }}\n");
    (0..count).map(one).collect()
}

#[test]
fn asyncua_types_statuses_times_writes_and_a_thousand_tags() {
    let Some(command) = python("asyncua", "asyncua_server.py") else { return };
    let scratch = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let facts = serde_json::json!({ "port": port, "scratch": scratch.path(), "many": 1000 });
    let url = format!("opc.tcp://127.0.0.1:{port}/acme");
    let text = cell(&url, &format!("policy: None, allow_unsecured: true, {NAMES}"), &format!("{TYPES}{}", many(1000)));
    let mut follower = Follower::start(&text);
    assert_eq!(follower.status("Double"), StatusCode::BadNotConnected);
    let mut script = Script::start(command, &facts);
    for (name, value) in [
        ("Boolean", Value::Boolean(true)),
        ("SByte", Value::SByte(-7)),
        ("Byte", Value::Byte(200)),
        ("Int16", Value::Int16(-30_000)),
        ("UInt16", Value::UInt16(60_000)),
        ("Int32", Value::Int32(-2_000_000_000)),
        ("UInt32", Value::UInt32(4_000_000_000)),
        ("Int64", Value::Int64(-9_000_000_000_000_000_000)),
        ("UInt64", Value::UInt64(18_000_000_000_000_000_000)),
        ("Float", Value::Float(1.5)),
        ("Double", Value::Double(2.25)),
        ("NaN", Value::Double(f64::NAN)),
        ("String", Value::text("Grüße")),
        ("Localized", Value::text("an")),
        ("Array", Value::array(Elements::Int16(vec![1, 2, 3]))),
        ("N0", Value::Double(0.0)),
        ("N999", Value::Double(999.0)),
    ] {
        follower.until_is(name, &value);
    }
    for (name, status) in [
        ("Short", StatusCode::BadDataEncodingInvalid),
        ("Narrow", StatusCode::BadDataEncodingInvalid),
        ("Fraction", StatusCode::BadDataEncodingInvalid),
        ("Wrong", StatusCode::BadNodeIdUnknown),
    ] {
        follower.until_status(name, status);
    }
    // The device's own quality and time pass through.
    script.say("status Double 1083179008 3.5");
    follower.until_status("Double", StatusCode::from(1_083_179_008));
    assert_eq!(follower.value("Double"), Some(Value::Double(3.5)), "UncertainSensorNotAccurate has a value");
    script.say("status Double 2156658688 3.5");
    follower.until_status("Double", StatusCode::BadSensorFailure);
    script.say("stamp Double 4.5 7");
    follower.until_is("Double", &Value::Double(4.5));
    let time = follower.session.read_value(text_id("Double")).source_time;
    let stamp = UaTime::from_unix(std::time::Duration::from_secs(1_704_153_607));
    assert_eq!(time, Some(stamp), "2024-01-02T00:00:07Z");
    let mut write = |name: &str, value: f64| follower.session.write(text_id(name), &Value::Double(value));
    assert_eq!(write("Setpoint", 99.5), StatusCode::Good, "the node is a Float");
    assert_eq!(write("Whole", 1.26), StatusCode::Good, "the node is an Int16, and the tag has a factor");
    assert_eq!(write("Whole", 1e9), StatusCode::BadOutOfRange);
    assert_eq!(write("Fixed", 2.0), StatusCode::BadUserAccessDenied, "the server's answer");
    follower.until_is("Setpoint", &Value::Double(99.5));
    follower.until_is("Whole", &Value::Double(1.3));
    // Fifty values between two publishings, each of them in its place.
    let subscription = follower.session.subscribe(50.0, 1_000, 20);
    follower.session.monitor(subscription, &[(text_id("Count"), 1)], 0.0, 1_000);
    script.say("count Count 2 100");
    let mut counts = Vec::new();
    while counts.last() != Some(&Value::UInt32(100)) {
        counts.extend(follower.session.next_data().data.into_iter().filter_map(|(_, value)| value.value));
    }
    assert_eq!(counts, (0..=100).map(Value::UInt32).collect::<Vec<_>>());
    // The server freezes and goes on: Bad meanwhile, and Good after it.
    script.peer.signal("-STOP");
    until("the tags are not Good", || !follower.status("N5").is_good());
    script.peer.signal("-CONT");
    follower.until_is("N5", &Value::Double(5.0));
    // A node that comes later is found.
    script.say("add Absent");
    drop(script);
    follower.until_status("Boolean", StatusCode::BadNoCommunication);
}

#[test]
fn asyncua_policies_users_and_trust() {
    let Some(command) = python("asyncua", "asyncua_server.py") else { return };
    let scratch = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let facts =
        serde_json::json!({ "port": port, "scratch": scratch.path(), "secure": true, "users": { "opal": PASSWORD } });
    let mut script = Script::start(command, &facts);
    check_security(&mut script, &format!("opc.tcp://127.0.0.1:{port}/acme"));
}

/// Each policy, by a user name; the refused certificate is trusted by the folder.
fn check_security(script: &mut Script, url: &str) {
    let of = |policy: &str, password: &str| {
        let open = if policy == "None" { "allow_unsecured: true, " } else { "" };
        let settings = format!("policy: {policy}, {open}user: opal, password: \"${{file:{password}}}\", {NAMES}");
        cell(url, &settings, "  Double: { type: Double, source: \"m:s=Double\" }\n")
    };
    let mut follower = Follower::start(&of("auto", "right"));
    follower.until_error("to trust it: opcell pki trust");
    let pki = follower.server.dir().join("pki");
    let certificate = script.certificate.clone().expect("it has one");
    opcell::testing::pki::trust(&pki, &certificate).expect("trusted");
    follower.until_is("Double", &Value::Double(2.25));
    for policy in ["Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss", "None"] {
        follower.server.reload(&of(policy, "right"));
        follower.until_is("Double", &Value::Double(2.25));
    }
    follower.server.reload(&of("auto", "wrong"));
    follower.until_error("the server refuses the user (");
    follower.until_status("Double", StatusCode::BadUserAccessDenied);
}

#[test]
fn node_opcua_limits_transfer_sessions_and_security() {
    let Some((mut script, url)) = Script::of_node(1000, 100) else { return };
    let nodes = format!(
        "  Double: {{ type: Double, source: \"/Machine/Double\" }}\n  Text: {{ type: String, length: 9, source: \"m:s=Text\" }}\n  \
         Whole: {{ type: Int32, source: {{ address: \"m:s=Whole\", write: true }} }}\n{}",
        many(1000)
    );
    let mut follower = Follower::start(&cell(&url, &format!("allow_unsecured: true, policy: None, {NAMES}"), &nodes));
    follower.until_is("Double", &Value::Double(2.25));
    follower.until_is("N999", &Value::Double(999.0));
    assert_eq!(follower.session.write(text_id("Whole"), &Value::Int32(77)), StatusCode::Good, "the node is an Int16");
    follower.until_is("Whole", &Value::Int32(77));
    // The server forgets the session and keeps its subscriptions; a new session takes them. It has 4 places for sessions.
    for round in 1..=6 {
        script.say("forget");
        script.say(&format!("set Double {round}"));
        follower.until_is("Double", &Value::Double(f64::from(round)));
        follower.until_is("N999", &Value::Double(999.0));
    }
    script.say("status Double UncertainSubNormal 3");
    follower.until_status("Double", StatusCode::UncertainSubNormal);
}

#[test]
fn node_opcua_policies_users_and_trust() {
    let Some(command) = node("node_opcua_server.js") else { return };
    let scratch = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let facts = serde_json::json!({ "port": port, "scratch": scratch.path(), "users": { "opal": PASSWORD } });
    let mut script = Script::start(command, &facts);
    check_security(&mut script, &format!("opc.tcp://127.0.0.1:{port}/acme"));
}

#[test]
fn open62541_policies_values_and_a_thousand_tags() {
    let Some(command) = python("o6", "o6_server.py") else { return };
    let port = free_port();
    let holder = Holder::of("urn:test:open62541");
    let facts = serde_json::json!({
        "port": port, "uri": holder.uri, "certificate": holder.certificate(), "key": holder.key(), "many": 1000,
    });
    let mut script = Script::start(command, &facts);
    let nodes = format!(
        "  Double: {{ type: Double, source: /Machine/Double }}\n  Text: {{ type: String, length: 9, source: \"m:s=Text\" }}\n  \
         Count: {{ type: UInt32, source: {{ address: \"m:s=Count\", queue: 100, poll: 1ms }} }}\n  \
         Whole: {{ type: Int32, source: {{ address: \"m:s=Whole\", write: true }} }}\n{}",
        many(1000)
    );
    let of = |policy: &str| {
        let settings = format!("policy: {policy}, timeout: 5s, namespaces: {{ m: \"{}\" }}", holder.uri);
        cell(&format!("opc.tcp://127.0.0.1:{port}"), &settings, &nodes)
    };
    let mut follower = Follower::start(&of("auto"));
    follower.until_error("to trust it: opcell pki trust");
    let certificate = holder.certificate().display().to_string();
    opcell::testing::pki::trust(&follower.server.dir().join("pki"), &certificate).expect("trusted");
    for policy in ["Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"] {
        follower.server.reload(&of(policy));
        follower.until_is("Double", &Value::Double(2.25));
        follower.until_is("Text", &Value::text("open62541"));
        follower.until_is("N999", &Value::Double(999.0));
    }
    assert_eq!(follower.session.write(text_id("Whole"), &Value::Int32(-3)), StatusCode::Good, "the node is an Int16");
    follower.until_is("Whole", &Value::Int32(-3));
    script.say("set Double 4.5");
    follower.until_is("Double", &Value::Double(4.5));
}
