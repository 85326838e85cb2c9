//! Which client a session belongs to.

use opcell::testing::stack::crypto::{MessageSecurityMode, Policy};
use opcua::StatusCode;
use testkit::interop::Field;
use testkit::ua::{Session, secured};

const CLIENT: &str = "urn:test:identity";

/// The ApplicationUri of CreateSession is the one of the client's certificate, and the certificate is the channel's
/// (Part 4 §5.7.2). Chains and revocation lists are in `security/certificates`.
#[test]
fn the_application_uri_is_the_one_in_the_certificate() {
    let field = Field::open(CLIENT);
    let (policy, mode) = (Policy::Basic256Sha256, MessageSecurityMode::SignAndEncrypt);
    for (uri, certificate, status) in [
        ("urn:test:somebody-else", field.client.identity.leaf(), StatusCode::BadCertificateUriInvalid),
        ("", field.client.identity.leaf(), StatusCode::BadCertificateUriInvalid),
        (CLIENT, field.erika.identity.leaf(), StatusCode::BadCertificateInvalid),
        (CLIENT, b"".as_slice(), StatusCode::BadCertificateInvalid),
        (CLIENT, field.client.identity.leaf(), StatusCode::Good),
    ] {
        let settings = secured(policy, mode, &field.client.identity, &field.peer());
        let mut session = Session::connect(field.server().address, settings).expect("a channel");
        assert_eq!(session.create(uri, certificate).result, status, "{uri}");
    }
    let stranger = secured(policy, mode, &field.erika.identity, &field.peer());
    assert!(Session::connect(field.server().address, stranger).is_err(), "a certificate that nobody trusts");
}
