//! `opcell run`, and no verb at all: start the server and say how to reach it.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use futures_util::FutureExt;

use super::status::SIMULATED;
use super::{Answer, Global, findings_text, path_or_default};
use crate::app::{self, Asked, Reloader, Running, Signals, Worker};
use crate::config::{self, Shown};
use crate::logging;
use crate::model::ServerPlan;
use crate::model::count;

#[derive(Debug, Clone, Default, Args)]
pub struct RunArgs {
    /// A cell file, a server file, or a folder (default: ./address-space)
    pub path: Option<PathBuf>,
}

/// Runs until a signal or a closed terminal ends it, then returns the answer.
pub(crate) fn run(args: &RunArgs, global: &Global, print: &mut dyn FnMut(&str)) -> Answer {
    let failed = |what: &str, error: std::io::Error| Answer {
        err: format!("error: cannot {what}: {error}\n"),
        code: 1,
        ..Answer::default()
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed("start", error),
    };
    let guard = runtime.enter();
    let mut signals = match Signals::install() {
        Ok(signals) => signals,
        Err(error) => return failed("handle signals", error),
    };
    drop(guard);
    let path = match path_or_default(args.path.as_deref()) {
        Ok(path) => path,
        Err(answer) => return answer,
    };
    let worker = match Worker::start() {
        Ok(worker) => worker,
        Err(error) => return failed("start a thread", error),
    };
    let options = app::with_mirrors(&path, global.options());
    let source = app::Source { path, options };
    let files = source.clone();
    let read = move || {
        let (compiled, report) = config::load(&files.path, &files.options);
        // The report holds the text of all files: not for as long as the server runs.
        (compiled, findings_text(&report, Shown::Some))
    };
    let Some((compiled, findings)) = worker.run_first(read) else {
        return Answer::failed("the files could not be read; this is a bug in opcell");
    };
    let Some(compiled) = compiled else {
        return Answer { err: findings, code: 2, ..Answer::default() };
    };
    if !findings.is_empty() {
        print(&findings);
    }
    init_log(compiled.server.log);
    let assembly = app::assemble(compiled).reloadable(source).with_worker(worker);
    runtime.block_on(serve(assembly, &mut signals, print))
}

/// `RUST_LOG` overrides the level of the server file. The level may change while the server runs.
fn init_log(level: log::LevelFilter) {
    let mut builder = env_logger::Builder::new();
    builder.filter_level(log::LevelFilter::Trace).parse_default_env().format_timestamp_millis();
    if builder.try_init().is_err() {
        log::debug!("the log was set up before");
    }
    logging::set_file_level(level);
}

async fn serve(assembly: app::Assembly, signals: &mut Signals, print: &mut dyn FnMut(&str)) -> Answer {
    // The files were read before: a request to read them again is done after the start.
    let early = signals.next().now_or_never();
    if let Some(Asked::End(_)) = early {
        return Answer::default();
    }
    let mut running = match assembly.start().await {
        Ok(running) => running,
        Err(error) => return Answer { err: format!("error: {error}\n"), code: 1, ..Answer::default() },
    };
    print(&welcome(&running));
    if running.server.world().plant.simulated {
        log::warn!("--simulate: {SIMULATED}");
    }
    let mut reason = String::new();
    let reloader = running.reloader().clone();
    running.run_until(async { reason = heed(early, signals, &reloader).await }).await;
    print("stopping\n");
    running.stop(&reason).await;
    Answer::default()
}

/// Does what signals ask for, until one ends the server; returns the reason.
async fn heed(early: Option<Asked>, signals: &mut Signals, reloader: &Arc<Reloader>) -> String {
    let mut next = early;
    loop {
        let asked = match next.take() {
            Some(asked) => asked,
            None => signals.next().await,
        };
        match asked {
            Asked::End(reason) => return reason,
            Asked::Reload => {
                log::info!("SIGHUP: reading the files again");
                let reloader = Arc::clone(reloader);
                // In a task: a signal that ends the server is heard meanwhile.
                tokio::spawn(async move { reloader.reload_and_log().await });
            }
            Asked::MoreLog => logging::step("SIGUSR1", logging::Step::More),
            Asked::LessLog => logging::step("SIGUSR2", logging::Step::Less),
        }
    }
}

/// The server's URLs, the place of its certificate, and how to trust a client.
fn welcome(running: &Running) -> String {
    let server = &running.server;
    let world = server.world();
    let (plan, plant) = (&world.plan, &world.plant);
    let mut text = String::new();
    let cells: Vec<&str> = plant.cells.iter().map(|cell| cell.name.as_str()).collect();
    let mut line = |name: &str, value: &str| writeln!(text, "{name:<13}{value}").expect("a String takes all");
    line(
        "opcell",
        &format!("{} serves {} of {}", env!("CARGO_PKG_VERSION"), count(plant.tags.len(), "tag"), cells.join(", ")),
    );
    if plant.simulated {
        line("SIMULATED", SIMULATED);
    }
    for url in urls(running) {
        line("endpoint", &url);
    }
    line("certificate", &running.certificate.display().to_string());
    line("trust", &format!("a client that was refused: opcell pki list --pki-dir {}", running.pki_dir.display()));
    line("", &format!("then: opcell pki trust NAME --pki-dir {}", running.pki_dir.display()));
    if let Some(archives) = &world.archives {
        let folder = crate::app::history::folder(&plan.history, &plan.state_dir);
        line("history", &format!("{}, in {}", count(archives.tags().count(), "tag"), folder.display()));
    }
    for note in notes(plan) {
        line("note", note);
    }
    text
}

/// Addresses that a client can dial; 0.0.0.0 means all addresses of this host.
fn urls(running: &Running) -> Vec<String> {
    let mut urls = Vec::new();
    for address in &running.addresses {
        if address.ip().is_unspecified() {
            urls.push(format!("opc.tcp://{}:{}", running.server.application.host, address.port()));
        } else {
            urls.push(format!("opc.tcp://{address}"));
        }
    }
    let port = running.server.application.port;
    urls.extend(running.server.world().plan.advertise.iter().map(|name| format!("opc.tcp://{name}:{port}")));
    urls.dedup();
    urls
}

fn notes(plan: &ServerPlan) -> Vec<&'static str> {
    let mut notes = Vec::new();
    if plan.security.allow_unsecured {
        notes.push("data is also served without any protection (allow_unsecured); for the lab only");
    }
    if plan.accounts.anonymous.0 != 0 {
        notes.push("clients need no login (anonymous)");
    } else if plan.accounts.users.is_empty() {
        notes.push("there are no users; add one: opcell user add NAME --role Operator");
    }
    notes
}
