//! Logging in: the answer to a refused login, how guessing is slowed down, and what a revoked certificate ends.

use opcell::testing::pki;
use opcell::testing::stack::crypto::MessageSecurityMode::{None as Unsecured, SignAndEncrypt};
use opcell::testing::stack::crypto::{Policy, encrypt_secret};
use opcua::{ActivateSessionRequest, ExtensionObject, StatusCode, VariableId, X509IdentityToken};
use testkit::interop::{Field, Holder, PASSWORD};
use testkit::login::Login;
use testkit::request::{activate_session, read, signature, user_name};
use testkit::ua::Session;
use testkit::{ua, until};

const POLICY: Policy = Policy::Basic256Sha256;
const REJECTED: StatusCode = StatusCode::BadIdentityTokenRejected;

/// A created session on a channel without security.
fn knock(field: &Field) -> Session {
    let mut session = Session::connect(field.server().address, ua::unsecured()).expect("a channel");
    session.create("urn:test:raw", &[]).good();
    session
}

/// Sends a user name and these encrypted bytes.
fn send(session: &mut Session, user: &str, secret: &[u8]) -> StatusCode {
    let answer = session.activate(None, user_name(user, secret, POLICY.encryption_uri()));
    answer.result
}

fn try_password(session: &mut Session, field: &Field, user: &str, password: &str) -> StatusCode {
    let nonce = session.server_nonce.clone();
    let secret = encrypt_secret(&field.peer().key, POLICY, password.as_bytes(), &nonce).expect("it encrypts");
    send(session, user, &secret)
}

#[test]
fn every_refused_login_gets_the_same_answer() {
    let field = Field::open("urn:test:raw");
    let key = &field.peer().key;
    let encrypt = |bytes: &[u8]| key.encrypt(POLICY, bytes).expect("it encrypts");
    for (case, user) in [("a wrong password", "opal"), ("an unknown user", "nobody"), ("no password user", "erika")] {
        assert_eq!(try_password(&mut knock(&field), &field, user, "wrong"), REJECTED, "{case}");
    }
    for (case, secret) in [
        ("another nonce", encrypt_secret(key, POLICY, PASSWORD.as_bytes(), &[9; 32]).expect("it encrypts")),
        ("another padding", vec![7; key.size()]),
        ("a length beyond the end", encrypt(&[0xff; 40])),
        ("no length", encrypt(&[1])),
        ("half a block", vec![7; key.size() / 2]),
        ("nothing", Vec::new()),
    ] {
        // Of a name each: this is not about guessing.
        assert_eq!(send(&mut knock(&field), case, &secret), REJECTED, "{case}");
    }
}

#[test]
fn an_address_that_guesses_passwords_waits_and_no_other_does() {
    let field = Field::open("urn:test:raw");
    let mut guesser = knock(&field);
    for n in 0..5 {
        assert_eq!(try_password(&mut guesser, &field, "opal", &format!("guess {n}")), REJECTED);
    }
    assert_eq!(try_password(&mut guesser, &field, "opal", PASSWORD), REJECTED, "the right one comes too early");
    assert_eq!(try_password(&mut knock(&field), &field, "opal", PASSWORD), REJECTED, "another session is no way out");
    assert_eq!(try_password(&mut guesser, &field, "otto", PASSWORD), StatusCode::Good, "another user from there");
    let trusted = Login { client: &field.client, mode: SignAndEncrypt, user: Some("opal") };
    trusted.open(&field);
    until("the wait of 1 s ends", || try_password(&mut guesser, &field, "opal", PASSWORD).is_good());
}

#[test]
fn revoking_the_certificate_of_a_user_ends_its_session_and_no_other() {
    let field = Field::open("urn:test:raw");
    let mut erika = knock(&field);
    let nonce = erika.server_nonce.clone();
    let peer = field.peer();
    let signed = field.erika.identity.key().sign(POLICY, &[peer.leaf(), &nonce]);
    let log_in = |session: &mut Session, of_user: &[u8]| {
        let token = ExtensionObject::from_message(X509IdentityToken {
            policy_id: "certificate".into(),
            certificate_data: field.erika.identity.leaf().to_vec().into(),
        });
        let user_token_signature = signature(Some((POLICY.signature_uri().expect("it signs"), of_user)));
        session.activate_by(ActivateSessionRequest { user_token_signature, ..activate_session(None, token) })
    };
    log_in(&mut erika, &signed).good();
    let mut opal = Login { client: &field.client, mode: Unsecured, user: Some("opal") }.open(&field);
    let reads = |session: &mut Session| {
        session
            .try_call(read(&[(VariableId::Server_ServerStatus_CurrentTime, 13)]))
            .is_ok_and(|answer| answer.result.is_good())
    };
    assert!(reads(&mut erika) && reads(&mut opal));
    let dir = field.server().dir().join("pki");
    pki::revoke(&dir, &dir.join("users/erika.der").display().to_string()).expect("revoked");
    until("a revoked user reads no more", || !reads(&mut erika));
    assert!(reads(&mut opal), "the other user was disturbed");
    let mut again = knock(&field);
    let nonce = again.server_nonce.clone();
    let signed = field.erika.identity.key().sign(POLICY, &[peer.leaf(), &nonce]);
    assert_eq!(log_in(&mut again, &signed).result, REJECTED);
    assert!(Holder::of("urn:test:erika").certificate().exists());
}
