//! Audit events over the wire: who looks after security hears of every act, nobody else of any; and what a client says of
//! itself forges no line.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use opcell::audit::{Filter, show, verify};
use opcell::model::{Accounts, Role};
use opcell::stack::codec::{IdRef, NodeIdRef, Reader};
use opcell::stack::crypto::{MessageSecurityMode::SignAndEncrypt, Policy, encrypt_secret};
use opcell::value::Value;
use opcua::StatusCode;

use testkit::interop::{Field, Holder, PASSWORD};
use testkit::login::Login;
use testkit::ua;
use testkit::ua::{Response, Session, secured};

use crate::security::certificates::made;

const POLICY: Policy = Policy::Basic256Sha256;

/// Type that declares a field, and its name.
const FIELDS: [(u32, &str); 26] = [
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
];

type Told = BTreeMap<&'static str, Value>;

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
    told: Vec<Told>,
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
        Watch { field, opal, told: Vec::new() }
    }

    /// The next event of a type that fits; fails after 10 s.
    fn event(&mut self, kind: u32, fits: impl Fn(&Told) -> bool) -> Told {
        let began = Instant::now();
        loop {
            if let Some(at) = self.told.iter().position(|told| number(&told["EventType"]) == kind && fits(told)) {
                return self.told.remove(at);
            }
            assert!(began.elapsed() < ua::TIMEOUT, "no event {kind}; there are {:#?}", self.told);
            for (_, fields) in self.opal.publish(&[]).expect("a message").events {
                self.told.push(FIELDS.iter().map(|(_, name)| *name).zip(fields).collect());
            }
        }
    }

    fn otto(&self) -> Session {
        Login { client: &self.field.client, mode: SignAndEncrypt, user: Some("otto") }.open(&self.field)
    }
}

fn text(told: &Told, field: &str) -> String {
    match &told[field] {
        Value::String(text) => text.to_string(),
        other => panic!("{field} is {other:?}"),
    }
}

fn good(told: &Told) -> bool {
    told["Status"] == Value::Boolean(true)
}

fn call_with_entry(
    session: &mut Session,
    type_id: u32,
    entry: &str,
    body: impl FnOnce(&mut opcell::stack::codec::Writer),
) -> Response {
    let token = session.token.clone();
    session
        .client
        .send(|w| {
            w.node_id(NodeIdRef::numeric(0, type_id));
            w.node_id(NodeIdRef { namespace: 0, id: IdRef::Opaque(&token) });
            w.time(opcell::value::UaTime::now());
            w.u32(7_777);
            w.u32(0);
            w.text(entry);
            w.u32(0);
            w.null_extension_object();
            body(w);
        })
        .expect("sent");
    session.client.flush().expect("sent");
    session.receive().expect("an answer")
}

fn node(name: &str) -> NodeIdRef<'_> {
    NodeIdRef::string(2, name)
}

#[test]
fn channels_sessions_and_cancels_are_told_with_what_the_specification_wants() {
    let mut watch = Watch::start();
    let mut otto = watch.otto();
    let thumbprint: String = opcell::stack::crypto::thumbprint(watch.field.client.identity.leaf())
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
    call_with_entry(&mut otto, 479, "stop it", |w| w.u32(99)).good();
    let cancelled = watch.event(2078, good);
    assert_eq!(
        (text(&cancelled, "SourceName"), &cancelled["RequestHandle"]),
        ("Session/Cancel".to_owned(), &Value::UInt32(99))
    );
    assert_eq!(
        (text(&cancelled, "ClientAuditEntryId"), text(&cancelled, "ClientUserId")),
        ("stop it".to_owned(), "otto".to_owned())
    );

    assert!(!watch.told.iter().any(|told| number(&told["EventType"]) == 2060), "{:?}", watch.told);

    let id = otto.id;
    call_with_entry(&mut otto, 473, "enough", |w| w.bool(true)).good();
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
fn a_user_with_a_certificate_is_told_by_its_subject_and_a_transfer_by_its_session() {
    let mut watch = Watch::start();
    let (client, erika, peer) = (&watch.field.client, &watch.field.erika, watch.field.peer());
    let mut session = Login { client, mode: SignAndEncrypt, user: None }.connect(&watch.field);
    session.create(&client.uri, client.identity.leaf()).good();
    let signed = [peer.leaf(), &session.server_nonce].concat();
    let (of_client, of_erika) =
        (client.identity.key().sign(POLICY, &[&signed]), erika.identity.key().sign(POLICY, &[&signed]));
    let algorithm = POLICY.signature_uri();
    session
        .call(467, |w| {
            w.string(algorithm);
            w.bytes(Some(&of_client));
            w.null_array();
            w.null_array();
            w.extension_object(327, |w| {
                w.text("certificate");
                w.bytes(Some(erika.identity.leaf()));
            });
            w.string(algorithm);
            w.bytes(Some(&of_erika));
        })
        .good();
    let id = session.id;
    let told = watch.event(2075, |told| good(told) && number(&told["SessionId"]) == id);
    assert!(text(&told, "ClientUserId").contains("CN=urn:test:erika"), "{}", text(&told, "ClientUserId"));
    let Value::Wire(token) = &told["UserIdentityToken"] else { panic!("a token") };
    assert_eq!(Reader::new(&token[1..]).extension_object().expect("a token").type_id.standard(), Some(327));

    session.call(841, |w| {
        w.count(1);
        w.u32(77);
        w.bool(false);
    });
    let told = watch.event(2069, |told| text(told, "SourceName") == "Session/TransferSubscriptions");
    assert_eq!((good(&told), number(&told["SessionId"])), (true, id));
}

#[test]
fn a_refused_login_is_told_with_its_name_and_reason_and_a_wrong_password_stands_nowhere() {
    let mut watch = Watch::start();
    let mut session = Login { client: &watch.field.client, mode: SignAndEncrypt, user: None }.connect(&watch.field);
    session.create(&watch.field.client.uri, watch.field.client.identity.leaf()).good();
    let nonce = session.server_nonce.clone();
    let peer = watch.field.peer();
    let signature = watch.field.client.identity.key().sign(POLICY, &[peer.leaf(), &nonce]);
    let secret = encrypt_secret(&peer.key, POLICY, b"trombone-tide-9", &nonce).expect("it encrypts");
    let refused = session.activate(Some((POLICY.signature_uri().expect("it signs"), &signature)), |w| {
        w.extension_object(324, |w| {
            w.text("username");
            w.text("otto\r\n\u{1b}[2Jaudit.gap");
            w.bytes(Some(&secret));
            w.string(POLICY.encryption_uri());
        });
    });
    assert!(refused.result.is_bad());
    let told = watch.event(2075, |told| !good(told));
    assert_eq!(text(&told, "ClientUserId"), "otto\r\n\u{1b}[2Jaudit.gap");
    assert_eq!(number(&told["SessionId"]), session.id);
    let Value::Wire(status) = &told["StatusCodeId"] else { panic!("a status") };
    assert!(Reader::new(&status[1..]).status().expect("a status").is_bad());
    let Value::Wire(message) = &told["Message"] else { panic!("a message") };
    assert!(String::from_utf8_lossy(message).contains("nobody has this name"));
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

fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < ua::TIMEOUT, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn writes_are_told_with_old_and_new_value_also_those_that_were_refused() {
    let mut watch = Watch::start();
    let mut otto = watch.otto();
    let response = call_with_entry(&mut otto, 673, "recipe 7", |w| {
        w.count(4);
        let parts: [(&str, u32, Option<&str>, Value); 4] = [
            ("Pump.Number", 13, None, Value::Int32(7)),
            ("Pump.Curve", 13, Some("1:2"), Value::array(opcell::value::Elements::Float(vec![8.0, 9.0]))),
            ("Pump.Setpoint", 13, None, Value::Double(1e9)),
            ("Pump.Nothing", 13, None, Value::Int32(1)),
        ];
        for (name, attribute, range, value) in parts {
            w.node_id(node(name));
            w.u32(attribute);
            w.string(range);
            w.data_value(&value, StatusCode::Good, None, None);
        }
    });
    assert_eq!(response.good().count(4), Ok(4));
    let floats = |values: &[f32]| Value::array(opcell::value::Elements::Float(values.to_vec()));
    for (status, range, old, new) in [
        (true, Value::Null, Value::Int32(5), Value::Int32(7)),
        (true, Value::text("1:2"), floats(&[2.0, 3.0]), floats(&[8.0, 9.0])),
        (false, Value::Null, Value::Double(100.0), Value::Double(1e9)),
        (false, Value::Null, Value::Null, Value::Int32(1)),
    ] {
        let told = watch.event(2100, |told| told["NewValue"] == new);
        assert_eq!((good(&told), &told["OldValue"], &told["IndexRange"]), (status, &old, &range), "{new:?}");
        assert_eq!(text(&told, "SourceName"), "Attribute/Write");
        assert_eq!(
            (text(&told, "ClientUserId"), text(&told, "ClientAuditEntryId")),
            ("otto".to_owned(), "recipe 7".to_owned())
        );
        assert_eq!(told["AttributeId"], Value::UInt32(13));
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
fn whoever_does_not_look_after_security_hears_of_nothing() {
    let watch = Watch::start();
    let mut otto = watch.otto();
    otto.hear_events(&FIELDS);
    assert_eq!(otto.write(node("Pump.Number"), &Value::Int32(8)), StatusCode::Good);
    let stranger = Login { client: &watch.field.client, mode: SignAndEncrypt, user: Some("opal") }.open(&watch.field);
    stranger.close();
    let server = &watch.field.server().server;
    let space = server.space();
    // An event for everybody comes behind all of them.
    server.raise(&opcell::ua::events::Event {
        id: [1; 16],
        kind: 2041,
        source: space.standard_node(2253).expect("the Server object"),
        source_name: "the last".to_owned(),
        time: opcell::value::UaTime::now(),
        message: String::new(),
        severity: 1,
        extra: Vec::new(),
    });
    let mut names = Vec::new();
    while names.is_empty() {
        for (_, fields) in otto.publish(&[]).expect("a message").events {
            names.push(fields[1].clone());
        }
    }
    assert_eq!(names, [Value::text("the last")]);
}

/// Hello and an OpenSecureChannel with this certificate, as somebody without its key.
fn knock(field: &Field, certificate: &[u8]) {
    let mut stream = TcpStream::connect(field.server().address).expect("connected");
    stream.set_read_timeout(Some(ua::TIMEOUT)).expect("set");
    let text = |out: &mut Vec<u8>, bytes: &[u8]| {
        out.extend(u32::try_from(bytes.len()).expect("short").to_le_bytes());
        out.extend_from_slice(bytes);
    };
    let mut hello = Vec::new();
    [0u32, 65_536, 65_536, 0, 0].iter().for_each(|number| hello.extend(number.to_le_bytes()));
    text(&mut hello, b"opc.tcp://127.0.0.1");
    let mut open = 0u32.to_le_bytes().to_vec();
    text(&mut open, POLICY.uri().as_bytes());
    text(&mut open, certificate);
    text(&mut open, &opcell::stack::crypto::thumbprint(field.peer().leaf()));
    open.extend([7; 256]);
    for (kind, body) in [(b"HELF", &hello), (b"OPNF", &open)] {
        let mut message = kind.to_vec();
        message.extend(u32::try_from(body.len() + 8).expect("short").to_le_bytes());
        message.extend_from_slice(body);
        stream.write_all(&message).expect("sent");
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer and the end");
}

#[test]
fn each_kind_of_bad_certificate_has_its_event_and_its_record() {
    let mut watch = Watch::start();
    let pki = watch.field.server().dir().join("pki");
    let put = |folder: &str, name: &str, der: &[u8]| std::fs::write(pki.join(folder).join(name), der).expect("written");
    let made =
        |name: &str, change: &dyn Fn(&mut rcgen::CertificateParams)| made::self_signed(&made::with(name, change));
    let expired = made("expired", &|params| made::days(params, -20, -10));
    let for_servers =
        made("for servers", &|params| params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth]);
    let nameless = made("nameless", &|params| params.subject_alt_names.clear());
    let stranger = made("stranger", &|_| {});
    let shut_out = made("shut out", &|_| {});
    let mut forged = made("forged", &|_| {});
    *forged.last_mut().expect("a byte") ^= 1;
    let changes = watch.field.server().server.trust.clone();
    for (name, der) in [("expired.der", &expired), ("usage.der", &for_servers), ("nameless.der", &nameless)] {
        put("trusted", name, der);
    }
    put("revoked", "shut.der", &shut_out);
    until("the folders are read", || changes.has_changed().expect("it runs"));
    let state = watch.field.server().dir().join("state");
    until("all of them are read", || {
        let text = String::from_utf8(files(&state)).expect("text");
        text.matches("\"trust.changed\"").count() >= 4
    });
    for (event, kind, code, der) in [
        (2082, "certificate.data-mismatch", "BadCertificateUriInvalid", &nameless),
        (2085, "certificate.expired", "BadCertificateTimeInvalid", &expired),
        (2086, "certificate.invalid", "BadCertificateInvalid", &forged),
        (2087, "certificate.untrusted", "BadCertificateUntrusted", &stranger),
        (2088, "certificate.revoked", "BadCertificateRevoked", &shut_out),
        (2089, "certificate.mismatch", "BadCertificateUseNotAllowed", &for_servers),
    ] {
        knock(&watch.field, der);
        let told = watch.event(event, |_| true);
        assert_eq!(text(&told, "SourceName"), "Security/Certificate");
        assert_eq!((good(&told), &told["Certificate"]), (false, &Value::ByteString(der.as_slice().into())), "{kind}");
        let refused = watch.event(2060, |told| !good(told));
        assert_eq!(
            refused["StatusCodeId"], told["StatusCodeId"],
            "{kind}: the exact code, not what the client is told"
        );
        let wanted = format!("\"kind\":\"{kind}\",\"status\":\"{code}\"");
        until(kind, || String::from_utf8(files(&state)).expect("text").contains(&wanted));
    }
}

#[test]
fn a_client_that_is_not_what_its_certificate_says_is_told_with_both_names() {
    let mut watch = Watch::start();
    let mut session = Login { client: &watch.field.client, mode: SignAndEncrypt, user: None }.connect(&watch.field);
    let refused = session.create("urn:somebody:else", watch.field.client.identity.leaf());
    assert_eq!(refused.result, StatusCode::BadCertificateUriInvalid);
    let told = watch.event(2082, |_| true);
    assert_eq!(text(&told, "InvalidUri"), "urn:somebody:else");
    let told = watch.event(2071, |told| !good(told));
    assert_eq!(number(&told["SessionId"]), 0);
}

#[test]
fn a_flood_of_refused_connections_is_counted_to_the_last_with_events_and_hides_no_login() {
    let mut watch = Watch::start();
    let stranger = Holder::of("urn:test:flood");
    for _ in 0..60 {
        let settings = secured(POLICY, SignAndEncrypt, &stranger.identity, &watch.field.peer());
        assert!(Session::connect(watch.field.server().address, settings).is_err());
    }
    watch.otto().close();
    let state = watch.field.server().dir().join("state");
    let all = || String::from_utf8(files(&state)).expect("text");
    until("the login is recorded", || all().contains("\"session.closed\""));
    // What the end of the minute does.
    watch.field.server().server.audit_folded(true);
    for (event, kind) in [(2060, "channel.refused"), (2087, "certificate.untrusted")] {
        let counted = || {
            let all = all();
            let of_kind = all.lines().filter(|line| line.contains(&format!("\"kind\":\"{kind}\"")));
            let records: Vec<serde_json::Value> =
                of_kind.map(|line| serde_json::from_str(line).expect("JSON")).collect();
            let count: u64 = records.iter().map(|record| record["more"].as_u64().unwrap_or(1)).sum();
            (count, records.len())
        };
        until("all are counted", || counted().0 == 60);
        // The minute may have ended once meanwhile.
        assert!(counted().1 <= 4, "{kind}: {:?}", counted());
        let told = watch.event(event, |told| !good(told) && message(told).contains(" more like this within a minute"));
        assert!(!text(&told, "ClientUserId").contains("otto"), "{told:?}");
    }
    let all = all();
    assert!(all.contains("\"session.activated\"") && all.contains("\"user\":\"otto\""));
    assert_eq!(verify(&state).expect("it can be read").findings, vec![]);
}

#[test]
fn a_lockout_has_a_record_and_an_event_when_it_begins_and_when_it_ends() {
    let mut watch = Watch::start();
    let client = std::sync::Arc::clone(&watch.field.client);
    let peer = watch.field.peer();
    let attempt = |password: &[u8]| {
        let mut session = Login { client: &client, mode: SignAndEncrypt, user: None }.connect(&watch.field);
        session.create(&client.uri, client.identity.leaf()).good();
        let nonce = session.server_nonce.clone();
        let signature = client.identity.key().sign(POLICY, &[peer.leaf(), &nonce]);
        let secret = encrypt_secret(&peer.key, POLICY, password, &nonce).expect("it encrypts");
        let answer = session.activate(Some((POLICY.signature_uri().expect("it signs"), &signature)), |w| {
            w.extension_object(324, |w| {
                w.text("username");
                w.text("otto");
                w.bytes(Some(&secret));
                w.string(POLICY.encryption_uri());
            });
        });
        session.client.close().expect("closed");
        !answer.result.is_bad()
    };
    (0..6).for_each(|_| assert!(!attempt(b"not this one")));
    let began = Instant::now();
    while !attempt(PASSWORD.as_bytes()) {
        assert!(began.elapsed() < ua::TIMEOUT, "the wait is over after 2 s");
    }
    for wanted in ["too many wrong passwords for this name", "the right password came after 5 wrong ones"] {
        let told = watch.event(2058, |told| message(told).contains(wanted));
        assert_eq!(text(&told, "ClientUserId"), "otto");
    }
    let state = watch.field.server().dir().join("state");
    let count = |kind: &str| String::from_utf8(files(&state)).expect("text").matches(kind).count();
    until("both are written", || count("\"login.blocked\"") == 1 && count("\"login.unblocked\"") == 1);
}

#[test]
fn routine_that_is_left_out_has_an_event() {
    let mut watch = Watch::start();
    for _ in 0..30 {
        Session::open(watch.field.server().address).close();
    }
    watch.field.server().server.audit_folded(true);
    let told = watch.event(2058, |_| true);
    assert!(message(&told).contains("sessions without login from this address: "), "{}", message(&told));
}

/// The text of an event.
fn message(told: &Told) -> String {
    let Value::Wire(bytes) = &told["Message"] else { panic!("a message") };
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn clients_hear_when_the_audit_cannot_be_written_and_when_it_can_again() {
    let mut watch = Watch::start();
    let in_the_way = watch.field.server().dir().join("state/audit.head.new");
    until("the head is free", || std::fs::create_dir(&in_the_way).is_ok());
    watch.otto().close();
    let told = watch.event(2131, |_| true);
    assert!(message(&told).contains("the audit is not written to its files"), "{}", message(&told));
    assert_eq!(watch.otto().write(node("Pump.Number"), &Value::Int32(6)), StatusCode::Good, "the server goes on");
    std::fs::remove_dir(&in_the_way).expect("out of the way");
    let told = watch.event(2131, |_| true);
    assert!(message(&told).contains("again"), "{}", message(&told));
    let state = watch.field.server().dir().join("state");
    until("all is there", || String::from_utf8(files(&state)).expect("text").contains("\"new\":\"6\""));
    assert_eq!(verify(&state).expect("it can be read").findings, vec![]);
}

#[test]
fn a_run_is_told_from_its_start_to_its_end() {
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
