//! Commands in turn: one is written at a time, a limited number waits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use log::Level;
use opcua::StatusCode;
use tokio::time::Instant;

use super::command::{Command, Commands};
use super::status::{Status, add};
use crate::logging;

/// Commands that wait; further ones are refused.
const WAITING: usize = 64;
/// Longest wait of a command for those before it: who sent it reckons with its effect now, or not at all.
const PATIENCE: Duration = Duration::from_secs(2);

/// The commands of a publisher.
pub(super) struct Writing {
    commands: Arc<dyn Commands>,
    status: Arc<Status>,
    waiting: VecDeque<Asked>,
    now: Option<Now>,
}

struct Asked {
    command: Command,
    topic: String,
    since: Instant,
}

struct Now {
    written: BoxFuture<'static, StatusCode>,
    topic: String,
}

impl Writing {
    pub(super) fn new(commands: Arc<dyn Commands>, status: Arc<Status>) -> Writing {
        Writing { commands, status, waiting: VecDeque::new(), now: None }
    }

    /// Takes a command.
    pub(super) fn ask(&mut self, topic: &str, command: Command) {
        if self.waiting.len() >= WAITING {
            return self.note(topic, StatusCode::BadResourceUnavailable);
        }
        self.waiting.push_back(Asked { command, topic: topic.to_owned(), since: Instant::now() });
        self.begin();
    }

    fn begin(&mut self) {
        while self.now.is_none()
            && let Some(Asked { command, topic, since }) = self.waiting.pop_front()
        {
            match since.elapsed() > PATIENCE {
                true => self.note(&topic, StatusCode::BadTimeout),
                false => self.now = Some(Now { written: self.commands.write(command), topic }),
            }
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.now.is_some()
    }

    /// Waits for the end of the present command. A future that is dropped loses nothing.
    pub(super) async fn done(&mut self) {
        let Some(now) = &mut self.now else { return std::future::pending().await };
        let status = (&mut now.written).await;
        let topic = std::mem::take(&mut now.topic);
        self.now = None;
        self.note(&topic, status);
        self.begin();
    }

    /// Counts a command, and reports one that was not obeyed.
    pub(super) fn note(&self, topic: &str, status: StatusCode) {
        if !status.is_bad() {
            return add(&self.status.written, 1);
        }
        add(&self.status.not_written, 1);
        let topic: String = topic.chars().take(200).collect();
        let line = format_args!("{}: the command on {topic} was not obeyed: {status}", self.status.name);
        logging::limited(Level::Warn, "command refused", None, line);
    }

    /// Drops commands that were not begun: their session has ended, or they are no longer permitted.
    pub(super) fn clear(&mut self) {
        for Asked { topic, .. } in std::mem::take(&mut self.waiting) {
            self.note(&topic, StatusCode::BadNoCommunication);
        }
    }
}
