//! Signals, and a terminal that is closed: some end the server in order, the others end nothing.
//!
//! SIGHUP has two meanings. A terminal that closes sends it, and then the server stops; anything else that sends it
//! wants the configuration to be read again.

use std::io::{self, IsTerminal};

use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals that end the server. SIGPWR means that the power fails.
const ENDS: [(&str, Number); 4] =
    [("SIGTERM", Number::TERM), ("SIGINT", Number::INT), ("SIGQUIT", Number::QUIT), ("SIGPWR", Number::POWER)];

/// Signals that would end the process at once, with outputs left on, although nobody means that.
const WITHOUT_MEANING: [(&str, Number); 5] = [
    ("SIGUSR1", Number::USR1),
    ("SIGUSR2", Number::USR2),
    ("SIGALRM", Number::ALARM),
    ("SIGIO", Number::IO),
    ("SIGXFSZ", Number::XFSZ),
];

/// The handlers; install them before anything else, so that a signal during the start is only remembered.
#[derive(Debug)]
pub struct Signals {
    ends: Vec<(&'static str, Signal)>,
    hangup: Signal,
    others: Vec<(&'static str, Signal)>,
    terminals: [bool; 3],
}

impl Signals {
    /// Needs a runtime around it.
    pub fn install() -> io::Result<Signals> {
        let hangup = signal(SignalKind::hangup())?;
        let (ends, others) = (handlers(&ENDS)?, handlers(&WITHOUT_MEANING)?);
        Ok(Signals { ends, hangup, others, terminals: terminals() })
    }

    /// Waits until the server has to stop, and gives the reason.
    pub async fn end(&mut self) -> String {
        loop {
            tokio::select! {
                name = first(&mut self.ends) => return format!("the server received {name}"),
                _ = self.hangup.recv() => {
                    if self.is_terminal_closed() {
                        return "its terminal was closed".to_owned();
                    }
                    log::warn!("SIGHUP: reload is not in this version; restart the server to read its files again");
                }
                name = first(&mut self.others) => log::warn!("{name} has no meaning here and is ignored"),
            }
        }
    }

    /// A terminal that is hung up is none any more: the kernel answers every question about it with EIO.
    fn is_terminal_closed(&self) -> bool {
        self.terminals.iter().zip(terminals()).any(|(before, now)| *before && !now)
    }
}

fn handlers(of: &[(&'static str, Number)]) -> io::Result<Vec<(&'static str, Signal)>> {
    of.iter().map(|(name, number)| Ok((*name, signal(SignalKind::from_raw(number.as_raw()))?))).collect()
}

/// Which of the standard streams are terminals.
fn terminals() -> [bool; 3] {
    [io::stdin().is_terminal(), io::stdout().is_terminal(), io::stderr().is_terminal()]
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
