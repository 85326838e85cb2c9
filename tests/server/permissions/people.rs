//! The plant of the matrix, and who comes to it: each as a row of `PEOPLE`.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use opcell::testing::stack::crypto::MessageSecurityMode::{self, None as Open, Sign, SignAndEncrypt};
use opcell::testing::stack::crypto::{Policy, thumbprint};
use opcell::testing::ua::users::hash_password;
use opcua::{ActivateSessionRequest, ExtensionObject, X509IdentityToken};
use testkit::interop::{Field, Holder, PASSWORD};
use testkit::login::Login;
use testkit::relay::Relay;
use testkit::request::{activate_session, signature};
use testkit::server::TestServer;
use testkit::ua::{Response, Session, unsecured};

pub(super) const CELL: &str = r#"
schema: 1
cell: plant
namespace: urn:test:plant
connections:
  sim: { driver: simulator }
types:
  objects:
    Pump: { children: { Speed: { type: Double, value: 1.0, write: true } } }
nodes:
  Level: { type: Double, value: 1.0, write: true }
  Fixed: { type: Double, value: 1.0 }
  Own: { type: Double, range: [0, 9], value: 1.0, write: true, access: { read: [Keeper], write: [Keeper] } }
  Setpoint: { type: Double, value: 1.0, write: true, access: { write: [Keeper] } }
  Line:
    access: { read: [Engineer, Supervisor], write: [Engineer] }
    children:
      Station: { children: { Leaf: { type: Double, value: 1.0, write: true } } }
  Safe: { type: Double, range: [0, 9], value: 1.0, write: true, history: process, access: { encrypted: true } }
  Vault:
    access: { read: [SecurityAdmin] }
    children:
      Seen: { type: Double, value: 1.0, access: { read: [Observer] } }
  Kept: { type: Double, value: 1.0, write: true, history: process }
  Pump1: { of: Pump }
  Thumb: { type: Double, value: 1.0, access: { read: [ByThumb] } }
  Subject: { type: Double, value: 1.0, access: { read: [BySubject] } }
  Application: { type: Double, value: 1.0, access: { read: [ByApplication] } }
  Door: { type: Double, value: 1.0, access: { read: [ByEndpoint] } }
  Badge: { type: Double, value: 1.0, access: { read: [ByBadge] } }
"#;

/// Another address of this host than the one that everybody else comes to.
const SIDE_DOOR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// How a person proves their identity.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    Anonymous,
    Password(&'static str),
    /// Erika's certificate.
    Certificate,
}

pub(super) struct Person {
    pub name: &'static str,
    pub mode: MessageSecurityMode,
    /// Its ApplicationUri.
    application: &'static str,
    proof: Proof,
    /// Comes to `SIDE_DOOR`.
    aside: bool,
}

const HMI: &str = "urn:test:hmi";

const fn person(name: &'static str, mode: MessageSecurityMode, application: &'static str, proof: Proof) -> Person {
    Person { name, mode, application, proof, aside: false }
}

const fn user(name: &'static str, mode: MessageSecurityMode, user: &'static str) -> Person {
    person(name, mode, HMI, Proof::Password(user))
}

pub(super) const PEOPLE: [Person; 24] = [
    person("anonymous", Open, HMI, Proof::Anonymous),
    person("anonymous-sign", Sign, HMI, Proof::Anonymous),
    person("anonymous-encrypt", SignAndEncrypt, HMI, Proof::Anonymous),
    user("plain", Open, "plain"),
    user("observer", Open, "observer"),
    user("operator", Open, "operator"),
    user("operator-sign", Sign, "operator"),
    user("operator-encrypt", SignAndEncrypt, "operator"),
    user("engineer", Open, "engineer"),
    user("engineer-encrypt", SignAndEncrypt, "engineer"),
    user("supervisor", Open, "supervisor"),
    user("configure", Open, "configure"),
    user("configure-encrypt", SignAndEncrypt, "configure"),
    user("security", Open, "security"),
    user("security-encrypt", SignAndEncrypt, "security"),
    user("keeper", Open, "keeper"),
    person("by-thumbprint", Sign, "urn:test:thumb", Proof::Anonymous),
    person("by-subject", Sign, "urn:test:subject", Proof::Anonymous),
    person("by-application", Sign, "urn:test:application", Proof::Anonymous),
    person("by-application-open", Open, "urn:test:application", Proof::Anonymous),
    Person { aside: true, ..user("by-endpoint", Open, "guest") },
    user("by-endpoint-lie", Open, "guest"),
    person("by-badge", Open, HMI, Proof::Certificate),
    person("by-badge-encrypt", SignAndEncrypt, HMI, Proof::Certificate),
];

fn server_file(port: u16, erika: &Holder) -> String {
    let hash = hash_password(PASSWORD.as_bytes()).expect("a hash");
    let digits = |holder: &Holder| thumbprint(holder.identity.leaf()).map(|byte| format!("{byte:02X}")).concat();
    let users: String = [
        ("plain", ""),
        ("observer", "Observer"),
        ("operator", "Operator"),
        ("engineer", "Engineer"),
        ("supervisor", "Supervisor"),
        ("configure", "ConfigureAdmin"),
        ("security", "SecurityAdmin"),
        ("keeper", ""),
        ("guest", ""),
    ]
    .map(|(name, role)| format!("  {name}: {{ password_hash: \"{hash}\", roles: [{role}] }}\n"))
    .concat();
    format!(
        r#"
schema: 1
cells: [cell.yaml]
application: {{ uri: "urn:test:interop" }}
security: {{ allow_unsecured: true }}
anonymous: [Anonymous]
users:
{users}
  erika: {{ certificate: erika.der, roles: [] }}
roles:
  Keeper: {{ users: [keeper] }}
  ByThumb: {{ certificates: ["{}"] }}
  BySubject: {{ certificates: ["O=opcell, CN=urn:test:subject"] }}
  ByApplication: {{ applications: ["urn:test:application"] }}
  ByEndpoint: {{ users: [guest], endpoints: ["opc.tcp://{SIDE_DOOR}:{port}"] }}
  ByBadge: {{ certificates: ["{}"] }}
"#,
        digits(&Holder::of("urn:test:thumb")),
        digits(erika),
    )
}

/// The server on all addresses of this host.
pub(super) fn open() -> Field {
    let (client, erika, own) = (Holder::of(HMI), Holder::of("urn:test:erika"), Holder::of("urn:test:interop"));
    let dir = tempfile::tempdir().expect("a folder");
    let put = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, bytes).expect("written");
    };
    // The rule by endpoint must know the port before the server runs.
    let free = std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port");
    let port = free.local_addr().expect("it is bound").port();
    drop(free);
    put("cell.yaml", CELL.as_bytes());
    put("server.yaml", server_file(port, &erika).as_bytes());
    put("pki/own/certificate.der", own.identity.leaf());
    std::fs::copy(own.key(), dir.path().join("pki/own/key.pem")).expect("copied");
    for (at, uri) in [HMI, "urn:test:thumb", "urn:test:subject", "urn:test:application"].iter().enumerate() {
        put(&format!("pki/trusted/{at}.der"), Holder::of(uri).identity.leaf());
    }
    put("pki/users/erika.der", erika.identity.leaf());
    let mut server = TestServer::start_at(dir, &format!("0.0.0.0:{port}"));
    server.address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let relay = Relay::to(server.address);
    Field { server: Some(server), relay, client, erika }
}

pub(super) fn find(name: &str) -> &'static Person {
    PEOPLE.iter().find(|person| person.name == name).unwrap_or_else(|| panic!("nobody is called {name}"))
}

impl Person {
    /// A session, activated.
    pub(super) fn come(&self, field: &Field) -> Session {
        let mut session = self.connect(field);
        let certificate = Holder::of(self.application);
        let leaf = if self.mode == Open { &[][..] } else { certificate.identity.leaf() };
        // Everybody says that it dialled the side door: what a client says of that is no proof.
        let dialled = format!("opc.tcp://{SIDE_DOOR}:{}", field.server().address.port());
        session.create_dialling(self.application, leaf, &dialled).good();
        self.activate(&mut session, field).good();
        session
    }

    pub(super) fn connect(&self, field: &Field) -> Session {
        if self.aside {
            let door = SocketAddr::from((SIDE_DOOR, field.server().address.port()));
            return Session::connect(door, unsecured()).expect("a channel");
        }
        let client = Holder::of(self.application);
        Login { client: &client, mode: self.mode, user: None }.connect(field)
    }

    pub(super) fn activate(&self, session: &mut Session, field: &Field) -> Response {
        let client = Holder::of(self.application);
        let user = match self.proof {
            Proof::Anonymous => None,
            Proof::Password(user) => Some(user),
            Proof::Certificate => return self.show_badge(session, field, &client),
        };
        Login { client: &client, mode: self.mode, user }.activate(session, field)
    }

    fn show_badge(&self, session: &mut Session, field: &Field, client: &Arc<Holder>) -> Response {
        let policy = Policy::Basic256Sha256;
        let algorithm = policy.signature_uri();
        let signed = [field.peer().leaf(), &session.server_nonce].concat();
        let badge = field.erika.identity.key().sign(policy, &[&signed]);
        let channel = (self.mode != Open).then(|| client.identity.key().sign(policy, &[&signed]));
        let channel = channel.as_deref().zip(algorithm).map(|(bytes, algorithm)| (algorithm, bytes));
        let token = ExtensionObject::from_message(X509IdentityToken {
            policy_id: "certificate".into(),
            certificate_data: field.erika.identity.leaf().to_vec().into(),
        });
        session.activate_by(ActivateSessionRequest {
            locale_ids: None,
            user_token_signature: signature(algorithm.map(|algorithm| (algorithm, &badge[..]))),
            ..activate_session(channel, token)
        })
    }
}
