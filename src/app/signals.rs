//! Signals, and a terminal that is closed: some end the server in order, the others end nothing.
//!
//! SIGHUP has two meanings. A terminal that closes sends it, and then the server stops; anything else that sends it
//! wants the configuration to be read again. SIGUSR1 and SIGUSR2 make the log more and less detailed.

use std::io::{self, IsTerminal};

use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::logging;

/// Signals that end the server. SIGPWR means that the power fails.
const ENDS: [(&str, Number); 4] =
    [("SIGTERM", Number::TERM), ("SIGINT", Number::INT), ("SIGQUIT", Number::QUIT), ("SIGPWR", Number::POWER)];

/// Signals that would end the process at once, with outputs left on; no caller means that.
const WITHOUT_MEANING: [(&str, Number); 3] =
    [("SIGALRM", Number::ALARM), ("SIGIO", Number::IO), ("SIGXFSZ", Number::XFSZ)];

/// A request that a signal stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To stop, for this reason.
    End(String),
    /// To read the configuration again.
    Reload,
    MoreLog,
    LessLog,
}

/// The handlers; install them before anything else, so that a signal during the start is only remembered.
#[derive(Debug)]
pub(crate) struct Signals {
    ends: Vec<(&'static str, Signal)>,
    hangup: Signal,
    more_log: Signal,
    less_log: Signal,
    others: Vec<(&'static str, Signal)>,
    terminals: Terminals,
    /// As `nohup` leaves it: a terminal that closes is to end nothing.
    ignores_hangup: bool,
}

impl Signals {
    /// Needs a runtime around it.
    pub(crate) fn install() -> io::Result<Signals> {
        let ignores_hangup = ignores_hangup();
        let hangup = signal(SignalKind::hangup())?;
        let (more_log, less_log) = (signal(SignalKind::user_defined1())?, signal(SignalKind::user_defined2())?);
        let (ends, others) = (handlers(&ENDS)?, handlers(&WITHOUT_MEANING)?);
        Ok(Signals { ends, hangup, more_log, less_log, others, terminals: Terminals::now(), ignores_hangup })
    }

    /// Waits for the next signal that asks for something. It may be dropped: no signal gets lost.
    pub(crate) async fn next(&mut self) -> Asked {
        loop {
            tokio::select! {
                biased;
                name = first(&mut self.ends) => return Asked::End(format!("the server received {name}")),
                _ = self.hangup.recv() => return match self.is_terminal_closed() {
                    true => Asked::End("its terminal was closed".to_owned()),
                    false => Asked::Reload,
                },
                _ = self.more_log.recv() => return Asked::MoreLog,
                _ = self.less_log.recv() => return Asked::LessLog,
                name = first(&mut self.others) => logging::limited(log::Level::Warn, "signal ignored", None, format_args!("{name} has no meaning here and is ignored")),
            }
        }
    }

    fn is_terminal_closed(&self) -> bool {
        !self.ignores_hangup && self.terminals.lost_any(&Terminals::now())
    }
}

/// The standard streams that are terminals, and the controlling terminal. A terminal that is hung up is none any more: the
/// kernel answers every question about it with an error.
#[derive(Debug)]
struct Terminals([bool; 4]);

impl Terminals {
    fn now() -> Terminals {
        let controlling = std::fs::File::open("/dev/tty").is_ok();
        Terminals([io::stdin().is_terminal(), io::stdout().is_terminal(), io::stderr().is_terminal(), controlling])
    }

    fn lost_any(&self, now: &Terminals) -> bool {
        self.0.iter().zip(now.0).any(|(before, now)| *before && !now)
    }
}

/// SIGHUP was ignored when the program started.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).is_some_and(|signals| signals & 1 == 1)
}

fn handlers(of: &[(&'static str, Number)]) -> io::Result<Vec<(&'static str, Signal)>> {
    of.iter().map(|(name, number)| Ok((*name, signal(SignalKind::from_raw(number.as_raw()))?))).collect()
}

async fn first(signals: &mut [(&'static str, Signal)]) -> &'static str {
    let each = signals.iter_mut().map(|(name, signal)| {
        Box::pin(async move {
            signal.recv().await;
            *name
        })
    });
    futures_util::future::select_all(each).await.0
}
