//! Whether a connection may stay when the server file has other networks, policies or modes than when it came.

use opcua::StatusCode;

use super::{Connection, End};
use crate::logging;
use crate::stack::crypto::{MessageSecurityMode, Policy};
use crate::stack::transport::Fatal;
use crate::ua::session::Ending;

impl Connection {
    /// Ends a connection that the server file no longer admits, and its sessions. A channel without security stays for
    /// discovery, as long as no session uses it.
    pub(super) fn check_admission(&mut self) -> Option<End> {
        let (fatal, ending) = self.objection()?;
        let peer = self.core.peer.address;
        let line = format_args!("{peer}: connection closed: {}", fatal.reason);
        logging::limited(log::Level::Warn, "client no longer admitted", Some(peer.ip()), line);
        for session in self.core.bound.drain(..) {
            self.core.server.end_session(&session, true, &ending);
        }
        fatal.write(&mut self.outbox.out);
        Some(End::Fatal(fatal))
    }

    /// The error for the client, and the reason for which its sessions end (Part 4 §5.6.2, 1.05: codes of a channel whose
    /// policy or mode is not offered).
    fn objection(&self) -> Option<(Fatal, Ending)> {
        let server = &self.core.server;
        let world = server.world();
        if !world.plan.admits(self.core.peer.address.ip()) {
            let reason = "its address is no longer in `networks` of the server file";
            return Some((Fatal::new(StatusCode::BadConnectionRejected, reason), Ending::NetworkClosed));
        }
        let security = self.channel.security()?;
        let is_offered = security.policy == Policy::None || server.channels.policies.load().contains(&security.policy);
        if !is_offered {
            let reason = "the server no longer offers its security policy";
            return Some((Fatal::new(StatusCode::BadSecurityPolicyRejected, reason), Ending::SecurityChanged));
        }
        let is_open = security.mode == MessageSecurityMode::None && !world.plan.security.allow_unsecured;
        if is_open && !self.core.bound.is_empty() {
            let reason = "the server no longer serves data over channels without security";
            return Some((Fatal::new(StatusCode::BadSecurityModeRejected, reason), Ending::SecurityChanged));
        }
        None
    }
}
