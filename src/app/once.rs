//! One look at a device without a server: `opcell probe` and `opcell browse`.

use std::sync::Arc;

use super::application::Own;
use super::{application, own_request, suppressed};
use crate::drivers;
use crate::model::ServerPlan;
use crate::pki::{OwnCertificate, Pki, PkiError};
use crate::stack::crypto::Identities;

/// This server as a client of other servers: with its own certificate, which is made when there is none, and with its trust.
pub(crate) struct AsClient {
    own: Arc<Own>,
}

impl AsClient {
    /// `None` where the folders of certificates cannot be used: only unsecured connections can be opened then.
    pub(crate) fn new(plan: &ServerPlan) -> Option<AsClient> {
        let open = || {
            let pki = Pki::open(&plan.pki_dir, suppressed(plan.security.suppressed))?;
            let certificate = OwnCertificate::load_or_make(&plan.pki_dir, &own_request(plan))?;
            let identities = Arc::new(Identities::default());
            identities.replace(certificate.identities());
            Ok::<_, PkiError>(Own { application: application(plan), identities, pki, listings: Arc::default() })
        };
        match open() {
            Ok(own) => Some(AsClient { own: Arc::new(own) }),
            Err(error) => {
                log::warn!("no certificate to connect with: {error}");
                None
            }
        }
    }
}

/// Runs one look at a device. A server whose certificate is refused lies in `rejected` afterwards.
pub(crate) fn once<T>(
    client: Option<&AsClient>,
    look: impl AsyncFnOnce(Option<&Arc<dyn drivers::Application>>) -> T,
) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let application = client.map(|client| Arc::clone(&client.own) as Arc<dyn drivers::Application>);
    let done = runtime.block_on(look(application.as_ref()));
    if let Some(AsClient { own }) = client {
        own.pki.file_refused();
    }
    Ok(done)
}
