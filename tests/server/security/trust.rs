//! How a client gets trusted: refused first, filed under `rejected`, let in once its file is in `trusted`.

use opcell::testing::control::{self, Request, Response};
use opcell::testing::pki;
use opcell::testing::stack::client::ClientError;
use opcell::testing::stack::crypto::{MessageSecurityMode::SignAndEncrypt, Policy};
use opcua::{StatusCode, VariableId};

use testkit::interop::{Field, Holder};
use testkit::login::Login;
use testkit::ua::{Session, secured};
use testkit::{request, until};

fn knock(field: &Field, stranger: &Holder) -> Result<Session, ClientError> {
    let settings = secured(Policy::Basic256Sha256, SignAndEncrypt, &stranger.identity, &field.peer());
    Session::connect(field.server().address, settings)
}

#[test]
fn an_unknown_client_is_refused_until_it_is_trusted_without_a_restart() {
    let field = Field::open("urn:test:raw");
    let stranger = Holder::of("urn:test:stranger");
    let dir = field.server().dir().join("pki");
    let Err(ClientError::Channel(refused)) = knock(&field, &stranger) else { panic!("a stranger is let in") };
    assert_eq!(refused.status, StatusCode::BadSecurityChecksFailed, "an unknown client learns no more");
    until("the refusal is listed", || pki::list(&dir).expect("a list").contains("urn:test:stranger"));
    pki::trust(&dir, "urn:test:stranger").expect("trusted");
    until("the trusted folder is read", || knock(&field, &stranger).is_ok());
    let mut session = Login { client: &stranger, mode: SignAndEncrypt, user: Some("opal") }.open(&field);
    assert_eq!(session.read(&[(VariableId::Server_ServerStatus_State, 13)]).len(), 1);
    // And out again: the open channel is cut, and others don't notice.
    let other = Holder::of("urn:test:other");
    pki::trust(&dir, "urn:test:other").expect_err("it never knocked");
    let Err(ClientError::Channel(_)) = knock(&field, &other) else { panic!("a stranger is let in") };
    until("the other one can be trusted", || pki::trust(&dir, "urn:test:other").is_ok());
    until("the trusted folder is read", || knock(&field, &other).is_ok());
    let mut stays = Login { client: &other, mode: SignAndEncrypt, user: Some("opal") }.open(&field);
    pki::revoke(&dir, "urn:test:stranger").expect("revoked");
    let read = |session: &mut Session| session.try_call(request::read(&[(VariableId::Server_ServerStatus_State, 13)]));
    until("a revoked client reads no more", || read(&mut session).is_err());
    assert!(read(&mut stays).is_ok(), "the other one was disturbed");
    until("the trusted folder is read", || knock(&field, &stranger).is_err());
}

#[test]
fn a_trust_window_trusts_on_first_use_but_never_a_revoked_client() {
    let field = Field::open("urn:test:raw");
    let dir = field.server().dir().join("pki");
    let window = |seconds: u64, from: Option<&str>| {
        let request = Request::PkiWindow { seconds, from: from.map(str::to_owned) };
        control::ask(&field.server().dir().join("state"), &request)
    };
    let [first, second, third] = ["first", "second", "third"].map(|name| Holder::of(&format!("urn:test:{name}")));
    assert!(knock(&field, &first).is_err());
    assert!(matches!(window(60, Some("10.0.0.0/8")), Ok(Response::Done(_))));
    assert!(knock(&field, &first).is_err(), "another network");
    assert!(matches!(window(60, Some("127.0.0.0/8")), Ok(Response::Done(_))));
    assert!(knock(&field, &first).is_ok(), "let in and pinned");
    assert!(matches!(window(0, None), Ok(Response::Done(text)) if text == "the window is closed"));
    assert!(knock(&field, &first).is_ok(), "it stays trusted");
    assert!(knock(&field, &second).is_err(), "the window is closed");
    let list = pki::list(&dir).expect("a list");
    assert!(list.lines().any(|line| line.starts_with("trusted") && line.contains("urn:test:first")), "{list}");
    until("who is refused, and why", || {
        pki::list(&dir).expect("a list").contains("it is not trusted, and neither is an issuer of it")
    });

    assert!(knock(&field, &third).is_err(), "a stranger");
    until("the third can be revoked", || pki::revoke(&dir, "urn:test:third").is_ok());
    assert!(matches!(window(60, None), Ok(Response::Done(_))));
    let Err(ClientError::Channel(refused)) = knock(&field, &third) else { panic!("a revoked client is let in") };
    assert_eq!(refused.status, StatusCode::BadSecurityChecksFailed);
    assert!(matches!(window(60, Some("nowhere")), Err(control::AskError::Refused(text)) if text.contains("nowhere")));
}
