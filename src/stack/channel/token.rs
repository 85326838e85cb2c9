//! Security tokens and their overlap (Part 4 §5.6.2.1, 1.05): the server sends with the old one until the client used
//! the new one or the old one ended; each side accepts the old one for 25 % longer than its lifetime.

use std::time::{Duration, Instant};

use crate::stack::crypto::{Opening, Sealing};

#[derive(Debug)]
pub(super) struct Token {
    pub id: u32,
    pub lifetime: Duration,
    pub created: Instant,
    /// `None` with mode None.
    pub keys: Option<(Sealing, Opening)>,
}

impl Token {
    fn ends(&self) -> Instant {
        self.created + self.lifetime
    }

    /// Until when messages that it secured are accepted.
    fn accepted_until(&self) -> Instant {
        self.created + self.lifetime + self.lifetime / 4
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Server,
    Client,
}

/// At most two tokens: the one that we send with, and a newer one (server) or an older one (client).
#[derive(Debug)]
pub(super) struct Tokens {
    role: Role,
    sending: Token,
    other: Option<Token>,
}

impl Tokens {
    pub(crate) fn new(role: Role, first: Token) -> Tokens {
        Tokens { role, sending: first, other: None }
    }

    pub(crate) fn renew(&mut self, token: Token) {
        self.other = Some(match self.role {
            Role::Server => token,
            Role::Client => std::mem::replace(&mut self.sending, token),
        });
    }

    /// The token to send with now.
    pub(crate) fn sending(&mut self, now: Instant) -> &Token {
        if self.role == Role::Server
            && now >= self.sending.ends()
            && let Some(newer) = self.other.take_if(|other| other.id > self.sending.id)
        {
            // The old one stays for what the client still secures with it.
            self.other = Some(std::mem::replace(&mut self.sending, newer));
        }
        &self.sending
    }

    /// The token that secured a message that came; `None` when it is unknown or too old.
    pub(crate) fn receiving(&mut self, id: u32, now: Instant) -> Option<&Token> {
        if self.sending.id == id {
            return Some(&self.sending).filter(|token| now <= token.accepted_until());
        }
        let other = self.other.as_ref().filter(|token| token.id == id && now <= token.accepted_until())?;
        Some(other)
    }

    /// A message that `id` secured proved to be genuine. Once the newer token is in use the older one is gone.
    pub(crate) fn used(&mut self, id: u32) {
        let Some(other) = self.other.take() else { return };
        let (newer, older) =
            if other.id > self.sending.id { (other.id, self.sending.id) } else { (self.sending.id, other.id) };
        if id == older {
            self.other = Some(other);
        } else if other.id == newer {
            self.sending = other;
        }
    }

    /// When the last token ends and the channel with it.
    pub(crate) fn deadline(&self) -> Instant {
        self.other.iter().map(Token::accepted_until).fold(self.sending.accepted_until(), Instant::max)
    }

    /// When a client should renew: at 75 % of the lifetime (Part 4 §5.6.2.1, 1.05).
    pub(crate) fn renew_at(&self) -> Instant {
        self.sending.created + self.sending.lifetime * 3 / 4
    }
}
