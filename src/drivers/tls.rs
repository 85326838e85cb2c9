//! TLS of drivers that are clients: trust and the client's own certificate from the files that settings name.
//!
//! Names of hosts are always checked. Without `ca` the system's certificates are trusted, which are read when the link opens.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::contract::LinkError;
use super::file_text::{FileKey, FileText};
use super::reading::SettingsError;

/// The files of a connection, by the keys that all drivers give them.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct TlsFiles {
    pub ca: Option<FileText>,
    pub certificate: Option<FileText>,
    pub key: Option<FileText>,
}

/// The files that settings name by the usual keys, for config to fill.
pub(crate) fn keys<'a>(
    ca: &'a mut Option<FileText>,
    certificate: &'a mut Option<FileText>,
    key: &'a mut Option<FileText>,
) -> Vec<FileKey<'a>> {
    let files = [("ca", ca), ("certificate", certificate), ("key", key)];
    files.into_iter().filter_map(|(key, file)| Some(FileKey { key, file: file.as_mut()? })).collect()
}

/// A server that is reached by TLS, for the words of errors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reached<'a> {
    /// The kind of server, as "broker".
    pub what: &'static str,
    pub host: &'a str,
    /// The host came from outside of the cell file: no message may show it.
    pub is_hidden: bool,
}

/// A file that cannot be used, by its key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unusable {
    key: &'static str,
    message: String,
    help: &'static str,
}

impl TlsFiles {
    /// Faults of the files and of their keys. No I/O.
    pub(crate) fn check(&self) -> Vec<SettingsError> {
        let mut all = Vec::new();
        let mut note = |key, message: String, help: &str| {
            all.push(SettingsError { key, in_file: None, message, help: help.to_owned() });
        };
        if self.certificate.is_some() && self.key.is_none() {
            note(
                "certificate",
                "`certificate` needs `key`".to_owned(),
                "name the file of the private key: `key: client.key`",
            );
        }
        if self.key.is_some() && self.certificate.is_none() {
            note(
                "key",
                "`key` needs `certificate`".to_owned(),
                "name the file of the certificate: `certificate: client.pem`",
            );
        }
        let named = [("ca", &self.ca), ("certificate", &self.certificate)];
        let faults = named.into_iter().filter_map(|(key, file)| certificates(key, file.as_ref()?).err());
        let key = self.key.as_ref().map(private_key).and_then(Result::err);
        let known = all.len();
        for Unusable { key, message, help } in faults.chain(key) {
            all.push(SettingsError { key, in_file: None, message, help: help.to_owned() });
        }
        if all.len() == known
            && let Err(Unusable { key, message, help }) = self.own().map(drop)
        {
            all.push(SettingsError { key, in_file: None, message, help: help.to_owned() });
        }
        all
    }

    /// Secures a connection.
    pub(crate) async fn connect(
        &self,
        server: Reached<'_>,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, LinkError> {
        let config = self.config().await?;
        handshake(server, stream, config).await
    }

    /// Looks at the certificate and the protocol of a server, whether it is to be believed or not.
    pub(crate) async fn look(&self, server: Reached<'_>, stream: TcpStream) -> Looked {
        let config = match self.config().await {
            Ok(config) => config,
            Err(error) => return Looked { certificate: None, outcome: Err(error) },
        };
        let seen: Arc<Mutex<Option<Vec<u8>>>> = Arc::default();
        let roots = self.roots();
        let inner = roots.and_then(|roots| verifier(roots).map_err(|error| error.to_string()));
        let mut config = ClientConfig::clone(&config);
        if let Ok(inner) = inner {
            config.dangerous().set_certificate_verifier(Arc::new(Looking { inner, seen: Arc::clone(&seen) }));
        }
        let outcome = handshake(server, stream, Arc::new(config)).await.map(|stream| {
            let (_, session) = stream.get_ref();
            session.protocol_version().map_or_else(|| "TLS".to_owned(), |version| format!("{version:?}"))
        });
        let certificate = seen.lock().take();
        Looked { certificate, outcome }
    }

    async fn config(&self) -> Result<Arc<ClientConfig>, LinkError> {
        let files = self.clone();
        // The system's certificates are files.
        let config = tokio::task::spawn_blocking(move || files.client()).await;
        config.map_err(|error| LinkError::Lost(error.to_string()))?.map_err(LinkError::Lost)
    }

    /// The settings of a client. Reads the system's certificates where `ca` is not given.
    fn client(&self) -> Result<Arc<ClientConfig>, String> {
        let text = |fault: Unusable| fault.message;
        let builder = builder()?.with_root_certificates(self.roots()?);
        let config = match self.own().map_err(text)? {
            None => builder.with_no_client_auth(),
            Some(Own { chain, key }) => builder.with_client_auth_cert(chain, key).map_err(|error| error.to_string())?,
        };
        Ok(Arc::new(config))
    }

    /// The authorities that are trusted.
    fn roots(&self) -> Result<RootCertStore, String> {
        let text = |fault: Unusable| fault.message;
        let mut roots = RootCertStore::empty();
        match &self.ca {
            Some(ca) => {
                for certificate in certificates("ca", ca).map_err(text)? {
                    roots.add(certificate).map_err(|error| format!("`{}`: {error}", ca.path()))?;
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if roots.is_empty() {
                    return Err("the system has no certificates of authorities: name one with `ca`".to_owned());
                }
            }
        }
        Ok(roots)
    }

    fn own(&self) -> Result<Option<Own>, Unusable> {
        let (Some(certificate), Some(key)) = (&self.certificate, &self.key) else { return Ok(None) };
        let own = Own { chain: certificates("certificate", certificate)?, key: private_key(key)? };
        let (chain, private) = (own.chain.clone(), own.key.clone_key());
        let tried = builder().map(|builder| {
            builder.with_root_certificates(RootCertStore::empty()).with_client_auth_cert(chain, private)
        });
        match tried {
            Ok(Ok(_)) => Ok(Some(own)),
            Ok(Err(rustls::Error::InconsistentKeys(_))) => Err(Unusable {
                key: "key",
                message: format!("the key in {} is not that of the certificate in {}", key.path(), certificate.path()),
                help: "name the two files that were made together",
            }),
            Ok(Err(error)) => {
                let message = format!("{} and {} cannot be used: {error}", certificate.path(), key.path());
                Err(Unusable { key: "certificate", message, help: "make them again, with an RSA or an EC key" })
            }
            Err(message) => Err(Unusable { key: "certificate", message, help: "" }),
        }
    }
}

async fn handshake(
    server: Reached<'_>,
    stream: TcpStream,
    config: Arc<ClientConfig>,
) -> Result<TlsStream<TcpStream>, LinkError> {
    let name = ServerName::try_from(server.host.to_owned()).map_err(|_| {
        LinkError::Lost(match server.is_hidden {
            true => "`url` has no name of a host".to_owned(),
            false => format!("`{}` is no name of a host", server.host),
        })
    })?;
    TlsConnector::from(config).connect(name, stream).await.map_err(|error| untrusted(server, error))
}

/// A server as `opcell probe` sees it.
pub(crate) struct Looked {
    /// Its certificate, as DER.
    pub certificate: Option<Vec<u8>>,
    /// The protocol, or why the handshake failed.
    pub outcome: Result<String, LinkError>,
}

fn verifier(roots: RootCertStore) -> Result<Arc<WebPkiServerVerifier>, VerifierBuilderError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()
}

/// Keeps the certificate of the server, and leaves the decision to the usual verifier.
#[derive(Debug)]
struct Looking {
    inner: Arc<WebPkiServerVerifier>,
    seen: Arc<Mutex<Option<Vec<u8>>>>,
}

impl ServerCertVerifier for Looking {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.seen.lock() = Some(leaf.to_vec());
        self.inner.verify_server_cert(leaf, issuers, name, stapled, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// A failed handshake. The words of TLS about a name show the host.
fn untrusted(server: Reached<'_>, error: io::Error) -> LinkError {
    let is_name = matches!(
        tls_error(&error),
        Some(rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
        ))
    );
    match is_name && server.is_hidden {
        true => {
            LinkError::Lost(format!("the {}'s certificate is for another host; write its name in `url`", server.what))
        }
        false => lost(server.what, &error),
    }
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

/// A failed socket, with words for the refusals of TLS; `what` is the peer, as "broker". With TLS 1.3 its refusal comes after the
/// handshake.
pub(crate) fn lost(what: &str, error: &io::Error) -> LinkError {
    match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(why)) => LinkError::Lost(match why {
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!("the {what}'s certificate is for another host ({why}); write its name in `url`")
            }
            CertificateError::UnknownIssuer => {
                format!("the {what}'s certificate is not trusted; name the file of its authority in `ca`")
            }
            why => format!("the {what}'s certificate is refused ({why})"),
        }),
        Some(rustls::Error::AlertReceived(
            alert @ (AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied),
        )) => LinkError::Denied(format!("the {what} refuses the client certificate ({alert:?}); check `certificate`")),
        Some(tls) => LinkError::Lost(format!("TLS: {tls}")),
        None => LinkError::Lost(error.to_string()),
    }
}

/// A certificate with those that signed it, and its key.
struct Own {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    versions.map_err(|error| error.to_string())
}

fn is_pem(bytes: &[u8]) -> bool {
    bytes.windows(11).any(|part| part == b"-----BEGIN ")
}

/// The certificates of a file, PEM or one as DER.
fn certificates(key: &'static str, file: &FileText) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let bytes = file.bytes();
    let none = || Unusable {
        key,
        message: format!("{} holds no certificate", file.path()),
        help: "name a PEM file, with `-----BEGIN CERTIFICATE-----`",
    };
    let found = match is_pem(bytes) {
        // The parser's words may hold a part of the file.
        true => CertificateDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>().map_err(|_| none())?,
        false => vec![CertificateDer::from(bytes.to_vec())],
    };
    let mut roots = RootCertStore::empty();
    let is_good = !found.is_empty() && found.iter().all(|certificate| roots.add(certificate.clone()).is_ok());
    if is_good { Ok(found) } else { Err(none()) }
}

/// The private key of a file. What the file holds is never part of an error.
fn private_key(file: &FileText) -> Result<PrivateKeyDer<'static>, Unusable> {
    let bytes = file.bytes();
    let is_encrypted = is_pem(bytes) && file.text().contains("ENCRYPTED");
    if is_encrypted {
        return Err(Unusable {
            key: "key",
            message: format!("the key in {} is encrypted", file.path()),
            help: "store it without a password, readable for the server alone (chmod 600)",
        });
    }
    let found = match is_pem(bytes) {
        true => PrivateKeyDer::from_pem_slice(bytes).ok(),
        false => PrivateKeyDer::try_from(bytes.to_vec()).ok(),
    };
    found.ok_or_else(|| Unusable {
        key: "key",
        message: format!("{} holds no private key", file.path()),
        help: "name a PEM file, with `-----BEGIN PRIVATE KEY-----`",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, bytes: &[u8]) -> FileText {
        let mut file: FileText = serde_json::from_value(name.into()).expect("a path");
        file.fill(bytes.into());
        file
    }

    struct Made {
        pem: FileText,
        der: FileText,
        key: FileText,
    }

    fn made(name: &str) -> Made {
        let own = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
        Made {
            pem: file("a.pem", own.cert.pem().as_bytes()),
            der: file("a.der", own.cert.der()),
            key: file("a.key", own.signing_key.serialize_pem().as_bytes()),
        }
    }

    fn faults(files: &TlsFiles) -> Vec<String> {
        files.check().into_iter().map(|fault| format!("{}: {}", fault.key, fault.message)).collect()
    }

    #[test]
    fn pem_and_der_make_a_client() {
        let made = made("broker.test");
        for certificate in [&made.pem, &made.der] {
            let files = TlsFiles {
                ca: Some(certificate.clone()),
                certificate: Some(certificate.clone()),
                key: Some(made.key.clone()),
            };
            assert_eq!(faults(&files), [""; 0]);
            assert!(files.client().is_ok());
        }
        let files = TlsFiles { ca: Some(made.pem.clone()), ..TlsFiles::default() };
        assert!(files.check().is_empty() && files.client().is_ok());
    }

    #[test]
    fn files_that_cannot_be_used_are_named_by_their_keys() {
        let (one, other) = (made("a.test"), made("b.test"));
        let empty = file("empty.pem", b"");
        let text = file("text.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        let locked =
            file("locked.key", b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
        let of = |ca: Option<&FileText>, certificate: Option<&FileText>, key: Option<&FileText>| TlsFiles {
            ca: ca.cloned(),
            certificate: certificate.cloned(),
            key: key.cloned(),
        };
        for (files, wanted) in [
            (of(Some(&empty), None, None), vec!["ca: empty.pem holds no certificate"]),
            (of(Some(&text), None, None), vec!["ca: text.pem holds no certificate"]),
            (of(None, Some(&one.pem), None), vec!["certificate: `certificate` needs `key`"]),
            (of(None, None, Some(&one.key)), vec!["key: `key` needs `certificate`"]),
            (of(None, Some(&one.pem), Some(&locked)), vec!["key: the key in locked.key is encrypted"]),
            (of(None, Some(&one.pem), Some(&one.pem)), vec!["key: a.pem holds no private key"]),
            (
                of(None, Some(&one.pem), Some(&other.key)),
                vec!["key: the key in a.key is not that of the certificate in a.pem"],
            ),
        ] {
            assert_eq!(faults(&files), wanted);
        }
    }

    #[test]
    fn a_host_from_outside_of_the_cell_file_is_not_told() {
        let name = "hush.example";
        let of = |is_hidden| Reached { what: "server", host: name, is_hidden };
        let refused = || {
            let context = CertificateError::NotValidForNameContext {
                expected: ServerName::try_from(name).expect("a name"),
                presented: vec!["other".to_owned()],
            };
            io::Error::other(rustls::Error::InvalidCertificate(context))
        };
        let told = untrusted(of(false), refused()).to_string();
        assert!(told.contains("for another host") && told.contains(name), "{told}");
        let hidden = untrusted(of(true), refused()).to_string();
        assert_eq!(hidden, "the server's certificate is for another host; write its name in `url`");
    }
}
