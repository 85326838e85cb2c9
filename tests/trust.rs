//! How a client gets trusted: refused first, filed under `rejected`, let in once its file is in `trusted`.

#[path = "support/interop.rs"]
mod interop;
#[path = "support/login.rs"]
mod login;
#[path = "support/relay.rs"]
mod relay;
#[path = "support/server.rs"]
mod server;
#[path = "support/ua.rs"]
mod ua;

use std::time::Instant;

use opcell::pki;
use opcell::stack::client::ClientError;
use opcell::stack::crypto::{MessageSecurityMode::SignAndEncrypt, Policy};
use opcua::StatusCode;

use interop::{Field, Holder};
use login::Login;
use ua::{Session, secured};

fn knock(field: &Field, stranger: &Holder) -> Result<Session, ClientError> {
    let settings = secured(Policy::Basic256Sha256, SignAndEncrypt, &stranger.identity, &field.peer());
    Session::connect(field.server().address, settings)
}

#[test]
fn a_stranger_is_refused_until_the_operator_trusts_it_and_no_restart_is_needed() {
    let field = Field::open("urn:test:raw");
    let stranger = Holder::of("urn:test:stranger");
    let dir = field.server().dir().join("pki");
    let Err(ClientError::Channel(refused)) = knock(&field, &stranger) else { panic!("a stranger is let in") };
    assert_eq!(refused.status, StatusCode::BadSecurityChecksFailed, "no more is told to a stranger");
    assert!(pki::list(&dir).expect("a list").contains("urn:test:stranger"));
    pki::trust(&dir, "urn:test:stranger").expect("trusted");
    let began = Instant::now();
    while knock(&field, &stranger).is_err() {
        assert!(began.elapsed() < ua::TIMEOUT, "the trusted folder is not watched");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let mut session = Login { client: &stranger, mode: SignAndEncrypt, user: Some("opal") }.open(&field);
    assert_eq!(session.read(&[(opcell::stack::codec::NodeIdRef::numeric(0, 2259), 13)]).len(), 1);
    session.close();
    // And out again.
    pki::reject(&dir, "urn:test:stranger").expect("rejected");
    let began = Instant::now();
    while knock(&field, &stranger).is_ok() {
        assert!(began.elapsed() < ua::TIMEOUT, "the trusted folder is not watched");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
