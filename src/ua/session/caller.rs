//! The channel over which a client asks for a session.

use std::net::SocketAddr;

use crate::stack::channel::Security;

/// A client before its session: the channel that its request came over.
#[derive(Debug, Clone)]
pub struct Caller {
    pub channel: u32,
    pub security: Security,
    pub peer: SocketAddr,
    /// Our end of the connection.
    pub near: Option<SocketAddr>,
}
