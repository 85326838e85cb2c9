//! The life of a connection's channel: it is opened and renewed, it closes, and the audit learns of each.

use opcua::StatusCode;
use tokio::time::Instant;

use super::End;
use super::core::Core;
use crate::stack::channel::{OpenJob, ServerChannel, neighbourhood};
use crate::stack::codec::Writer;
use crate::stack::crypto::Lane;
use crate::stack::transport::Fatal;
use crate::ua::audit::{Channel, Facts, Opening};

impl Core {
    /// This connection, for the audit.
    pub(crate) fn audited(&self) -> Channel {
        Channel { id: self.peer.channel, peer: self.peer.address }
    }

    pub(crate) async fn open(
        &mut self,
        channel: &mut ServerChannel,
        job: OpenJob,
        out: &mut Writer,
    ) -> Result<(), Fatal> {
        let opening = self.opening.insert(Opening::of(&job)).clone();
        let outcome = if job.needs_key() {
            // A client with an active session here is served before those that have none yet.
            let lane = if self.bound.is_empty() { Lane::Handshake } else { Lane::Known };
            let (crypto, from) = (&self.server.crypto, neighbourhood(self.peer.address.ip()));
            let run = crypto.run(lane, from, move || job.run(Instant::now().into_std())).await;
            run.unwrap_or_else(|status| Err(Fatal::new(status, "too many clients connect at once; try again")))
        } else {
            job.run(Instant::now().into_std())
        };
        let facts = outcome.as_ref().ok().map(Facts::of);
        channel.opened(Instant::now().into_std(), outcome, out)?;
        self.opening = None;
        if let Some(facts) = facts {
            self.audited().opened(&self.server, &opening, &facts);
        }
        self.opened = Some(opening);
        Ok(())
    }

    /// The connection is over: a channel that was open is closed, one that was asked for in vain was refused.
    pub(crate) fn audit_end(&self, end: Option<&End>) {
        let fatal = if let Some(End::Fatal(fatal)) = end { Some(fatal) } else { None };
        let is_refused = self.opened.is_none() || self.opening.is_some() || fatal.is_some_and(|f| f.refused.is_some());
        if let Some(fatal) = fatal.filter(|_| is_refused) {
            self.audited().refused(&self.server, self.opening.as_ref(), fatal);
        }
        let Some(opened) = &self.opened else { return };
        let (status, why) = match end {
            None | Some(End::Closed) => (StatusCode::Good, "closed by the client".to_owned()),
            Some(End::Stopped) => (StatusCode::Good, "the server stops".to_owned()),
            Some(End::Stalled) => (StatusCode::BadTimeout, "the client does not read".to_owned()),
            Some(End::Lost(error)) => (StatusCode::BadConnectionClosed, error.to_string()),
            Some(End::Fatal(fatal)) => (fatal.status, fatal.to_string()),
        };
        self.audited().closed(&self.server, opened.peer(), status, why);
    }
}
