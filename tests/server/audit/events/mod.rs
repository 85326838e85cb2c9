//! Audit events over the wire: who looks after security hears of every act, nobody else of any; and what a client says
//! of itself forges no line.

mod calls;
mod refusals;

use std::collections::BTreeMap;
use std::time::Instant;

use opcell::testing::audit::{Filter, show, verify};
use opcell::testing::model::{Accounts, Role};
use opcell::testing::stack::codec::{IdRef, NodeIdRef, Reader};
use opcell::testing::stack::crypto::{MessageSecurityMode::SignAndEncrypt, Policy, encrypt_secret};
use opcell::value::Value;
use opcua::{ExtensionObject, StatusCode, X509IdentityToken};

use testkit::interop::{Field, Holder, PASSWORD};
use testkit::login::Login;
use testkit::request::{Request, activate_session, cancel, close_session, signature, user_name, write};
use testkit::ua::{Response, Session, secured};
use testkit::{ua, until};

const POLICY: Policy = Policy::Basic256Sha256;

/// Type that declares a field, and its name.
const FIELDS: [(u32, &str); 28] = [
    (2041, "EventType"),
    (2041, "SourceName"),
    (2041, "SourceNode"),
    (2041, "Message"),
    (2052, "ActionTimeStamp"),
    (2052, "Status"),
    (2052, "ServerId"),
    (2052, "ClientAuditEntryId"),
    (2052, "ClientUserId"),
    (2058, "StatusCodeId"),
    (2059, "SecureChannelId"),
    (2060, "ClientCertificate"),
    (2060, "ClientCertificateThumbprint"),
    (2060, "RequestType"),
    (2060, "SecurityPolicyUri"),
    (2060, "SecurityMode"),
    (2069, "SessionId"),
    (2071, "RevisedSessionTimeout"),
    (2075, "UserIdentityToken"),
    (2078, "RequestHandle"),
    (2080, "Certificate"),
    (2082, "InvalidUri"),
    (2100, "AttributeId"),
    (2100, "IndexRange"),
    (2100, "NewValue"),
    (2100, "OldValue"),
    (2127, "MethodId"),
    (2127, "InputArguments"),
];

type Fields = BTreeMap<&'static str, Value>;

/// The number of a NodeId of namespace 0 in a value.
fn number(value: &Value) -> u32 {
    let Value::Wire(bytes) = value else { return 0 };
    match Reader::new(&bytes[1..]).node_id().expect("a NodeId").id {
        IdRef::Numeric(number) => number,
        _ => 0,
    }
}

/// A secured server where `opal` looks after security and `otto` operates, and opal, who listens.
struct Watch {
    field: Field,
    opal: Session,
    found: Vec<Fields>,
}

impl Watch {
    fn start() -> Watch {
        let field = Field::open("urn:test:audited");
        let server = &field.server().server;
        let old = server.users.accounts();
        let mut users = old.users.clone();
        let roles = [Role::OPERATOR, Role::SECURITY_ADMIN].into_iter().collect();
        users.get_mut("opal").expect("a user").roles = roles;
        server.take_accounts(Accounts { users, ..Accounts::clone(&old) });
        let mut opal = Login { client: &field.client, mode: SignAndEncrypt, user: Some("opal") }.open(&field);
        opal.hear_events(&FIELDS);
        Watch { field, opal, found: Vec::new() }
    }

    /// The next event of a type that fits; fails after 10 s.
    fn event(&mut self, kind: u32, fits: impl Fn(&Fields) -> bool) -> Fields {
        let began = Instant::now();
        loop {
            if let Some(at) = self.found.iter().position(|found| number(&found["EventType"]) == kind && fits(found)) {
                return self.found.remove(at);
            }
            assert!(began.elapsed() < ua::TIMEOUT, "no event {kind}; there are {:#?}", self.found);
            for (_, fields) in self.opal.publish(&[]).expect("a message").events {
                self.found.push(FIELDS.iter().map(|(_, name)| *name).zip(fields).collect());
            }
        }
    }

    fn otto(&self) -> Session {
        Login { client: &self.field.client, mode: SignAndEncrypt, user: Some("otto") }.open(&self.field)
    }
}

fn text(found: &Fields, field: &str) -> String {
    match &found[field] {
        Value::String(text) => text.to_string(),
        other => panic!("{field} is {other:?}"),
    }
}

fn good(found: &Fields) -> bool {
    found["Status"] == Value::Boolean(true)
}

fn call_with_entry<R: Request>(session: &mut Session, entry: &str, mut request: R) -> Response {
    request.header().audit_entry_id = entry.into();
    session.call(request)
}

fn node(name: &str) -> NodeIdRef<'_> {
    NodeIdRef::string(2, name)
}

#[test]
fn channels_sessions_and_cancels_are_audited_with_the_fields_of_the_specification() {
    let mut watch = Watch::start();
    let mut otto = watch.otto();
    let thumbprint: String = opcell::testing::stack::crypto::thumbprint(watch.field.client.identity.leaf())
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();

    let opened = watch.event(2060, good);
    assert_eq!(text(&opened, "SourceName"), "SecureChannel/OpenSecureChannel");
    assert_eq!(text(&opened, "ClientUserId"), "System/OpenSecureChannel");
    assert_eq!(text(&opened, "ServerId"), "urn:test:interop");
    assert_eq!(text(&opened, "ClientCertificateThumbprint"), thumbprint);
    assert_eq!(text(&opened, "SecurityPolicyUri"), POLICY.uri());
    assert_eq!((&opened["RequestType"], &opened["SecurityMode"]), (&Value::Int32(0), &Value::Int32(3)));
    assert_eq!(opened["ClientCertificate"], Value::ByteString(watch.field.client.identity.leaf().into()));
    assert_eq!(number(&opened["SourceNode"]), 2253);
    let channel = text(&opened, "SecureChannelId");

    let created = watch.event(2071, good);
    assert_eq!(text(&created, "SourceName"), "Session/CreateSession");
    assert_eq!(text(&created, "ClientUserId"), "System/CreateSession");
    assert_eq!((text(&created, "SecureChannelId"), number(&created["SessionId"])), (channel.clone(), otto.id));
    assert_eq!(created["RevisedSessionTimeout"], Value::Double(60_000.0));

    let activated = watch.event(2075, good);
    assert_eq!(text(&activated, "SourceName"), "Session/ActivateSession");
    assert_eq!(
        (text(&activated, "ClientUserId"), text(&activated, "SecureChannelId")),
        ("otto".to_owned(), channel.clone())
    );
    let Value::Wire(token) = &activated["UserIdentityToken"] else { panic!("a token") };
    let mut reader = Reader::new(&token[1..]);
    let object = reader.extension_object().expect("a token");
    assert_eq!(object.type_id.standard(), Some(324));
    let mut body = Reader::new(object.body.expect("a body"));
    assert_eq!(body.string(), Ok(Some("username")));
    assert_eq!((body.string(), body.bytes(), body.string()), (Ok(Some("otto")), Ok(None), Ok(None)));

    // A renewal that went well has no event.
    otto.client.renew().expect("a new token");
    call_with_entry(&mut otto, "stop it", cancel(99)).good();
    let cancelled = watch.event(2078, good);
    assert_eq!(
        (text(&cancelled, "SourceName"), &cancelled["RequestHandle"]),
        ("Session/Cancel".to_owned(), &Value::UInt32(99))
    );
    assert_eq!(
        (text(&cancelled, "ClientAuditEntryId"), text(&cancelled, "ClientUserId")),
        ("stop it".to_owned(), "otto".to_owned())
    );

    assert!(!watch.found.iter().any(|found| number(&found["EventType"]) == 2060), "{:?}", watch.found);

    let id = otto.id;
    call_with_entry(&mut otto, "enough", close_session(true)).good();
    let closed = watch.event(2069, good);
    assert_eq!((text(&closed, "SourceName"), number(&closed["SessionId"])), ("Session/CloseSession".to_owned(), id));
    assert_eq!(text(&closed, "ClientAuditEntryId"), "enough");
    otto.client.close().expect("closed");
    let closed = watch.event(2059, good);
    assert_eq!(
        (text(&closed, "SourceName"), text(&closed, "SecureChannelId")),
        ("SecureChannel/CloseSecureChannel".to_owned(), channel)
    );
    assert_eq!(text(&closed, "ClientUserId"), "System/CloseSecureChannel");
}

#[test]
fn a_user_with_a_certificate_is_audited_by_its_subject_and_a_transfer_by_its_session() {
    let mut watch = Watch::start();
    let (client, erika, peer) = (&watch.field.client, &watch.field.erika, watch.field.peer());
    let mut session = Login { client, mode: SignAndEncrypt, user: None }.connect(&watch.field);
    session.create(&client.uri, client.identity.leaf()).good();
    let signed = [peer.leaf(), &session.server_nonce].concat();
    let (of_client, of_erika) =
        (client.identity.key().sign(POLICY, &[&signed]), erika.identity.key().sign(POLICY, &[&signed]));
    let algorithm = POLICY.signature_uri();
    let token = ExtensionObject::from_message(X509IdentityToken {
        policy_id: "certificate".into(),
        certificate_data: erika.identity.leaf().to_vec().into(),
    });
    let algorithm = algorithm.expect("it signs");
    let mut request = activate_session(Some((algorithm, &of_client)), token);
    request.user_token_signature = signature(Some((algorithm, &of_erika)));
    session.activate_by(request).good();
    let id = session.id;
    let found = watch.event(2075, |found| good(found) && number(&found["SessionId"]) == id);
    assert!(text(&found, "ClientUserId").contains("CN=urn:test:erika"), "{}", text(&found, "ClientUserId"));
    let Value::Wire(token) = &found["UserIdentityToken"] else { panic!("a token") };
    assert_eq!(Reader::new(&token[1..]).extension_object().expect("a token").type_id.standard(), Some(327));

    session.transfer(77, false);
    let found = watch.event(2069, |found| text(found, "SourceName") == "Session/TransferSubscriptions");
    assert_eq!((good(&found), number(&found["SessionId"])), (true, id));
}

#[test]
fn a_refused_login_is_audited_with_name_and_reason_and_without_the_password() {
    let mut watch = Watch::start();
    let mut session = Login { client: &watch.field.client, mode: SignAndEncrypt, user: None }.connect(&watch.field);
    session.create(&watch.field.client.uri, watch.field.client.identity.leaf()).good();
    let nonce = session.server_nonce.clone();
    let peer = watch.field.peer();
    let signature = watch.field.client.identity.key().sign(POLICY, &[peer.leaf(), &nonce]);
    let secret = encrypt_secret(&peer.key, POLICY, b"trombone-tide-9", &nonce).expect("it encrypts");
    let refused = session.activate(
        Some((POLICY.signature_uri().expect("it signs"), &signature)),
        user_name("otto\r\n\u{1b}[2Jaudit.gap", &secret, POLICY.encryption_uri()),
    );
    assert!(refused.result.is_bad());
    let found = watch.event(2075, |found| !good(found));
    assert_eq!(text(&found, "ClientUserId"), "otto\r\n\u{1b}[2Jaudit.gap");
    assert_eq!(number(&found["SessionId"]), session.id);
    let Value::Wire(status) = &found["StatusCodeId"] else { panic!("a status") };
    assert!(Reader::new(&status[1..]).status().expect("a status").is_bad());
    let Value::Wire(message) = &found["Message"] else { panic!("a message") };
    assert!(String::from_utf8_lossy(message).contains("no user has this name"));
    let state = watch.field.server().dir().join("state");
    until("it is written down", || String::from_utf8_lossy(&files(&state)).contains("session.activation-refused"));
    let all = files(&state);
    let all = String::from_utf8(all).expect("text");
    assert!(all.lines().all(|line| !line.chars().any(char::is_control)));
    assert!(all.contains(r#""user":"otto\r\n\u001b[2Jaudit.gap""#), "{all}");
    for planted in ["trombone-tide-9", PASSWORD] {
        assert!(!all.contains(planted));
    }
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for secret in [nonce.as_slice(), &session.token, &secret] {
        assert!(!all.contains(&hex(secret)) && !all.contains(&hex(secret).to_uppercase()));
    }
}

/// All of the audit's files.
fn files(state: &std::path::Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(state.join("audit")).expect("the folder") {
        all.extend(std::fs::read(entry.expect("an entry").path()).expect("a file"));
    }
    all
}

#[test]
fn writes_are_audited_with_old_and_new_value_also_refused_ones() {
    let mut watch = Watch::start();
    let mut otto = watch.otto();
    let parts = [
        ("Pump.Number", None, Value::Int32(7)),
        ("Pump.Curve", Some("1:2"), Value::array(opcell::value::Elements::Float(vec![8.0, 9.0]))),
        ("Pump.Setpoint", None, Value::Double(1e9)),
        ("Pump.Nothing", None, Value::Int32(1)),
    ];
    let parts: Vec<_> = parts.iter().map(|(name, range, value)| (node(name), *range, value)).collect();
    let response = call_with_entry(&mut otto, "recipe 7", write(&parts));
    assert_eq!(response.good().count(4), Ok(4));
    let floats = |values: &[f32]| Value::array(opcell::value::Elements::Float(values.to_vec()));
    for (status, range, old, new) in [
        (true, Value::Null, Value::Int32(5), Value::Int32(7)),
        (true, Value::text("1:2"), floats(&[2.0, 3.0]), floats(&[8.0, 9.0])),
        (false, Value::Null, Value::Double(100.0), Value::Double(1e9)),
        (false, Value::Null, Value::Null, Value::Int32(1)),
    ] {
        let found = watch.event(2100, |found| found["NewValue"] == new);
        assert_eq!((good(&found), &found["OldValue"], &found["IndexRange"]), (status, &old, &range), "{new:?}");
        assert_eq!(text(&found, "SourceName"), "Attribute/Write");
        assert_eq!(
            (text(&found, "ClientUserId"), text(&found, "ClientAuditEntryId")),
            ("otto".to_owned(), "recipe 7".to_owned())
        );
        assert_eq!(found["AttributeId"], Value::UInt32(13));
    }
    let state = watch.field.server().dir().join("state");
    let written = || {
        let mut texts = Vec::new();
        let filter = Filter { kind: Some("write".to_owned()), since: None };
        show(&state, &filter, &mut |record, _| texts.push(record.text())).expect("it can be read");
        texts
    };
    until("four writes are written down", || written().len() == 4);
    let texts = written();
    for (text, wanted) in texts.iter().zip([
        r#"node="ns=2;s=Pump.Number" old=5 new=7"#,
        r#"node="ns=2;s=Pump.Curve" range=1:2 old="[2, 3]" new="[8, 9]""#,
        r#"node="ns=2;s=Pump.Setpoint" old=100 new=1000000000"#,
        r#"node="ns=2;s=Pump.Nothing" new=1"#,
    ]) {
        assert!(text.ends_with(wanted), "{text}");
    }
    assert!(texts[0].contains(" write status=Good user=otto application=urn:test:audited session="), "{}", texts[0]);
    assert!(texts[2].contains("status=BadOutOfRange") && texts[3].contains("status=BadNodeIdUnknown"), "{texts:?}");
}

#[test]
fn audit_events_reach_security_administrators_only() {
    let watch = Watch::start();
    let mut otto = watch.otto();
    otto.hear_events(&FIELDS);
    assert_eq!(otto.write(node("Pump.Number"), &Value::Int32(8)), StatusCode::Good);
    let stranger = Login { client: &watch.field.client, mode: SignAndEncrypt, user: Some("opal") }.open(&watch.field);
    stranger.close();
    let server = &watch.field.server().server;
    let world = server.world();
    let space = &world.space;
    // An event for everybody comes behind all of them.
    let event = opcell::testing::ua::events::Event {
        id: [1; 16],
        kind: space.standard_node(2041).expect("BaseEventType"),
        source: space.standard_node(2253).expect("the Server object"),
        source_name: "the last".to_owned(),
        time: opcell::value::UaTime::now(),
        message: String::new(),
        severity: 1,
        fields: Default::default(),
        per_viewer: None,
    };
    server.raise(&world, &event);
    let mut names = Vec::new();
    while names.is_empty() {
        for (_, fields) in otto.publish(&[]).expect("a message").events {
            names.push(fields[1].clone());
        }
    }
    assert_eq!(names, [Value::text("the last")]);
}

#[test]
fn routine_records_that_are_left_out_have_an_event() {
    let mut watch = Watch::start();
    for _ in 0..30 {
        Session::open(watch.field.server().address).close();
    }
    watch.field.server().server.audit_folded(true);
    let found = watch.event(2058, |_| true);
    assert!(message(&found).contains("sessions without login from this address: "), "{}", message(&found));
}

/// The text of an event.
fn message(found: &Fields) -> String {
    let Value::Wire(bytes) = &found["Message"] else { panic!("a message") };
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn clients_are_notified_when_the_audit_cannot_be_written_and_when_it_can_again() {
    let mut watch = Watch::start();
    let in_the_way = watch.field.server().dir().join("state/audit.head.new");
    until("the head is free", || std::fs::create_dir(&in_the_way).is_ok());
    watch.otto().close();
    let found = watch.event(2131, |_| true);
    assert!(message(&found).contains("the audit is not written to its files"), "{}", message(&found));
    assert_eq!(watch.otto().write(node("Pump.Number"), &Value::Int32(6)), StatusCode::Good, "the server still serves");
    std::fs::remove_dir(&in_the_way).expect("out of the way");
    let found = watch.event(2131, |_| true);
    assert!(message(&found).contains("again"), "{}", message(&found));
    let state = watch.field.server().dir().join("state");
    until("all is there", || String::from_utf8(files(&state)).expect("text").contains("\"new\":\"6\""));
    assert_eq!(verify(&state).expect("it can be read").findings, vec![]);
}

#[test]
fn start_and_stop_of_the_server_are_audited() {
    let mut watch = Watch::start();
    let dir = watch.field.server().dir().join("state");
    let mut otto = watch.otto();
    otto.write(node("Pump.Number"), &Value::Int32(9));
    let mut server = watch.field.server.take().expect("it runs");
    server.begin_stop();
    // The farewell takes a moment; the folder lives as long as the server's owner.
    server.finish();
    let mut kinds = Vec::new();
    show(&dir, &Filter::default(), &mut |record, _| {
        kinds.push((record.field("kind").unwrap_or_default().to_owned(), record.text()));
    })
    .expect("it can be read");
    assert_eq!(kinds.first().map(|(kind, _)| kind.as_str()), Some("server.started"));
    assert_eq!(kinds.last().map(|(kind, _)| kind.as_str()), Some("server.stopped"), "{kinds:#?}");
    let ends: Vec<&String> = kinds.iter().filter(|(kind, _)| kind == "session.closed").map(|(_, text)| text).collect();
    assert!(ends.iter().any(|text| text.contains("the server stops") && text.contains("user=otto")), "{ends:?}");
    let verdict = verify(&dir).expect("it can be read");
    assert_eq!((verdict.findings, verdict.unconfirmed), (vec![], 0));
}
