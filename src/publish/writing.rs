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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use futures_util::FutureExt;

    use super::*;
    use crate::model::{Plant, TagId};
    use crate::value::Value;

    /// A device that takes this long for each write.
    struct Slow {
        takes: Duration,
        begun: AtomicU64,
    }

    impl Commands for Slow {
        fn write(&self, _: Command) -> BoxFuture<'static, StatusCode> {
            self.begun.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(self.takes).map(|()| StatusCode::Good).boxed()
        }
    }

    fn command() -> Command {
        let (plant, value) = (Arc::new(Plant::default()), Ok(Value::Boolean(true)));
        Command { plant, tag: TagId(0), value, user: String::new(), from: String::new() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_that_waited_for_too_long_is_not_obeyed() {
        for (takes, obeyed) in [(Duration::from_millis(100), 10), (Duration::from_millis(900), 3)] {
            let slow = Arc::new(Slow { takes, begun: AtomicU64::new(0) });
            let status = Arc::new(Status::new("up".to_owned()));
            let mut writing = Writing::new(Arc::clone(&slow) as Arc<dyn Commands>, Arc::clone(&status));
            (0..10).for_each(|_| writing.ask("a/set", command()));
            while writing.is_busy() {
                writing.done().await;
            }
            let counts = [&slow.begun, &status.written, &status.not_written].map(|count| count.load(Ordering::Relaxed));
            assert_eq!(counts, [obeyed, obeyed, 10 - obeyed], "{takes:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn commands_that_are_dropped_are_counted_and_the_present_one_ends() {
        let slow = Arc::new(Slow { takes: Duration::from_secs(1), begun: AtomicU64::new(0) });
        let status = Arc::new(Status::new("up".to_owned()));
        let mut writing = Writing::new(slow, Arc::clone(&status));
        (0..3).for_each(|_| writing.ask("a/set", command()));
        writing.clear();
        writing.done().await;
        assert!(!writing.is_busy());
        assert_eq!([&status.written, &status.not_written].map(|count| count.load(Ordering::Relaxed)), [1, 2]);
    }
}
