//! The signature by which a client proves that it talks to this very server.

use opcell::testing::stack::crypto::MessageSecurityMode::SignAndEncrypt;
use opcua::StatusCode;

use testkit::interop::Field;
use testkit::login::Login;
use testkit::server;

#[test]
fn a_client_may_sign_the_servers_leaf_or_its_whole_chain_and_nothing_else() {
    let mut field = Field::open("urn:test:raw");
    // As an operator does who puts the issuer behind the server's certificate.
    let own = field.server().dir().join("pki/own/certificate.der");
    let leaf = std::fs::read(&own).expect("a certificate");
    let issuer = field.erika.identity.leaf().to_vec();
    let chain = [&leaf[..], &issuer].concat();
    std::fs::write(&own, &chain).expect("written");
    field.server = field.server.take().map(server::TestServer::restart);
    let opal = Login { client: &field.client, mode: SignAndEncrypt, user: Some("opal") };
    for (what, signed, expected) in [
        ("the leaf", &leaf, StatusCode::Good),
        ("the chain", &chain, StatusCode::Good),
        ("the issuer", &issuer, StatusCode::BadApplicationSignatureInvalid),
        ("nothing", &vec![], StatusCode::BadApplicationSignatureInvalid),
    ] {
        let mut session = opal.connect(&field);
        session.create(&field.client.uri, field.client.identity.leaf()).good();
        assert_eq!(opal.activate_signing(&mut session, &field, signed).result, expected, "{what}");
    }
}
