//! Policies and user tokens that the endpoints offer.

use std::collections::BTreeSet;

use opcua::{EndpointDescription, MessageSecurityMode, StatusCode, UserTokenType};
use testkit::interop::{Field, PASSWORD};
use testkit::login::Login;
use testkit::request::{get_endpoints, user_name};
use testkit::ua::{Session, unsecured};

const CLIENT: &str = "urn:test:offered";

fn endpoints(session: &mut Session) -> Vec<EndpointDescription> {
    session.ask(get_endpoints("opc.tcp://127.0.0.1:4840")).endpoints.expect("endpoints")
}

/// A user token is always protected by a policy that encrypts, also on the None endpoint; a password in clear text is
/// refused everywhere.
#[test]
fn no_client_is_invited_to_send_a_password_in_clear_text() {
    let field = Field::open(CLIENT);
    let mut session = Session::connect(field.server().address, unsecured()).expect("a channel");
    let all = endpoints(&mut session);
    assert!(all.iter().any(|endpoint| endpoint.security_mode == MessageSecurityMode::None), "there is a None endpoint");
    for endpoint in &all {
        let channel = &endpoint.security_policy_uri;
        assert!(!endpoint.server_certificate.is_null_or_empty(), "{channel}");
        for token in endpoint.user_identity_tokens.iter().flatten() {
            let policy = token.security_policy_uri.as_ref();
            let is_anonymous = token.token_type == UserTokenType::Anonymous;
            assert_eq!(is_anonymous, policy.is_empty(), "token {:?} on {channel}", token.token_type);
            assert!(!policy.ends_with("#None"), "token {:?} on {channel}", token.token_type);
        }
    }
    session.create(CLIENT, b"").good();
    for algorithm in [None, Some("http://opcfoundation.org/UA/SecurityPolicy#None")] {
        let response = session.activate(None, user_name("opal", PASSWORD.as_bytes(), algorithm));
        assert_eq!(response.result, StatusCode::BadIdentityTokenInvalid, "{algorithm:?}");
    }
    let opal = Login {
        client: &field.client,
        mode: opcell::testing::stack::crypto::MessageSecurityMode::None,
        user: Some("opal"),
    };
    opal.activate(&mut session, &field).good();
}

/// No deprecated policy is offered, neither for a channel nor for a token.
#[test]
fn no_deprecated_policy_is_offered() {
    let field = Field::open(CLIENT);
    let mut session = Session::connect(field.server().address, unsecured()).expect("a channel");
    let mut offered = BTreeSet::new();
    for endpoint in endpoints(&mut session) {
        offered.insert(endpoint.security_policy_uri.to_string());
        let tokens = endpoint.user_identity_tokens.unwrap_or_default();
        offered.extend(tokens.into_iter().map(|token| token.security_policy_uri.to_string()));
    }
    let names: Vec<&str> = offered.iter().filter_map(|uri| uri.rsplit_once('#')).map(|(_, name)| name).collect();
    assert_eq!(names, ["Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss", "Basic256Sha256", "None"]);
}
