//! Messages of a connection's sessions: each is sent as the answer to a request that waits in the session.

use std::sync::Arc;

use tokio::time::Instant;

use super::core::Core;
use super::responder::{Call, Responder};
use crate::stack::channel::ServerChannel;
use crate::ua::outbox::Outbox;
use crate::ua::services::publish::{self, Ready};
use crate::ua::session::{PublishRequest, Session};
use crate::ua::subscription::MESSAGE_BYTES;

/// Encoded bytes of a chunk of the smallest size that a client may ask for.
const CHUNK_BYTES: usize = 8000;

impl Core {
    /// Answers Publish requests for which a message waits, and refuses those that will have no answer.
    pub(crate) fn publish_waiting(&mut self, channel: &mut ServerChannel, outbox: &mut Outbox) {
        let most = self.server.limits.send_buffer;
        for session in &self.bound {
            while outbox.waiting() < most {
                let Some((request, ready)) = publish::next(session) else { break };
                let mut responder = self.responder(channel, &mut outbox.out);
                self.publish(&mut responder, session, &request, &ready);
            }
            for refused in publish::take_refused(session, Instant::now()) {
                let call = Call { request_id: refused.request_id, handle: refused.handle };
                self.responder(channel, &mut outbox.out).refuse(call, refused.status);
            }
        }
    }

    fn publish(&self, responder: &mut Responder<'_>, session: &Arc<Session>, request: &PublishRequest, ready: &Ready) {
        let (message, chunks) = responder.channel.response_limits();
        let cap = |limit: usize| if limit == 0 { MESSAGE_BYTES } else { limit.min(MESSAGE_BYTES) };
        let most = cap(message as usize * 3 / 4).min(cap(chunks as usize * CHUNK_BYTES));
        let call = Call { request_id: request.request_id, handle: request.handle };
        responder.answer(call, |w| {
            publish::write(&self.server, session, request, ready, most, w);
            Ok(())
        });
    }
}
