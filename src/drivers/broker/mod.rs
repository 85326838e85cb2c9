//! A session with an MQTT broker, 3.1.1 or 5, as the drivers of MQTT and Sparkplug share it.
//!
//! The session has no task of its own: the driver that waits for the next packet also sends what waits to be sent, and pings. So a
//! broker is read no faster than samples are taken, and memory is bounded by one message and the acknowledgements of what was
//! read with it.

mod connect;
mod filters;
mod inbox;
mod keys;
mod packet;
mod probe;
mod properties;
mod session;
mod topic;
mod url;
mod wire;
mod write;

pub(crate) use connect::{Options, Will};
pub(crate) use filters::{Filters, Subscribed};
pub(crate) use keys::{SessionKeys, VersionSetting, check_session, doubt_port, own_id};
pub(crate) use packet::is_refusal;
pub(crate) use session::{Incoming, Session};
pub(crate) use topic::{TopicFault, check_filter, check_topic, covers, has_wildcard};
pub(crate) use url::Url;

pub(crate) use super::contract::LinkError;

/// Feeds bytes to the parsers as if a broker had sent them; for fuzzing.
pub fn fuzz(bytes: &[u8]) {
    inbox::fuzz(bytes);
}
