//! `opcell status`: what a running server is doing.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::text::{shown, shown_within, when};
use super::{Answer, Global, state_dir};
use crate::control::{self, LinkStatus, PublisherStatus, Request, Response, SessionStatus, Status};
use crate::model::count;
use clap::Args;

#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Cell file, server file or folder that the server runs with (default: ./address-space)
    pub path: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

pub(crate) fn status(args: &StatusArgs, global: &Global) -> Answer {
    let dir = match state_dir(args.path.as_deref(), global) {
        Ok(dir) => dir,
        Err(answer) => return answer,
    };
    match control::ask(&dir, &Request::Status) {
        Ok(Response::Status(status)) if args.json => {
            Answer { out: format!("{:#}\n", serde_json::json!(status)), ..Answer::default() }
        }
        Ok(Response::Status(status)) => Answer { out: text(&status), ..Answer::default() },
        Ok(Response::Done(_) | Response::Reloaded { .. }) => Answer::failed("the server answered another question"),
        Ok(Response::Error(error)) => Answer::failed(&error),
        Err(error) => Answer::failed(&error.to_string()),
    }
}

/// Marks a simulation in every description of a server.
pub(super) const SIMULATED: &str = "no device is connected: all values of connections are made up";

fn text(status: &Status) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: &str| writeln!(out, "{name:<13}{value}").expect("a String takes all");
    line("opcell", &format!("{}, process {}", status.version, status.process));
    if status.simulated {
        line("SIMULATED", SIMULATED);
    }
    line("up", &format!("{} since {}", span(status.now - status.started), when(status.started)));
    line("listens", &status.listens.join(", "));
    line("revision", &revision_text(status));
    for key in &status.needs_restart {
        line("", &format!("`{key}` changed and takes effect at the next start"));
    }
    let (subscriptions, items) = (status.subscriptions, status.monitored_items);
    line("sessions", &{
        let (sessions, subscriptions) = (status.sessions.len(), count(subscriptions, "subscription"));
        format!("{sessions}, {subscriptions}, {}", count(items, "monitored item"))
    });
    for session in &status.sessions {
        line("", &session_text(session));
    }
    if let Some(certificate) = &status.certificate {
        let short = certificate.thumbprint.get(..8).unwrap_or_default();
        let by = if certificate.is_self_signed { "signed by itself" } else { "of a CA" };
        let (name, until) = (shown(&certificate.name), when(certificate.until));
        line("certificate", &format!("{short} `{name}`, {by}, until {until}"));
    }
    line("links", &status.links.len().to_string());
    for link in &status.links {
        line("", &link_text(link));
    }
    if !status.publishers.is_empty() {
        line("publishers", &status.publishers.len().to_string());
    }
    for publisher in &status.publishers {
        line("", &publisher_text(publisher));
    }
    if let Some(history) = &status.history {
        line("history", &super::history::summary(history));
    }
    out
}

fn revision_text(status: &Status) -> String {
    match &status.reload {
        None => status.revision.to_string(),
        Some(last) => format!("{}, last reload {} at {}", status.revision, last.result.name(), last.at),
    }
}

fn session_text(session: &SessionStatus) -> String {
    let user = if session.user.is_empty() { "without login".to_owned() } else { shown(&session.user) };
    let secured = if session.secured { "" } else { ", unsecured" };
    let (name, application) = (shown(&session.name), shown(&session.application));
    let (from, since) = (&session.from, when(session.since));
    let subscriptions = count(session.subscriptions, "subscription");
    format!("{user} from {from} since {since}{secured}: `{name}` of {application}, {subscriptions}")
}

fn link_text(link: &LinkStatus) -> String {
    let mut text = format!("{} {}", link.name, link.state);
    let mut add = |more: String| text.push_str(&more);
    if let Some(since) = link.since {
        add(format!(" since {}", when(since)));
    }
    add(format!(", {}, {}", count(link.requests, "request"), count(link.errors, "error")));
    if link.load > 100.0 {
        add(format!(", its poll plan needs {:.0} % of the link's time", link.load));
    }
    if link.demoted > 0 {
        add(format!(", {}", count(link.demoted, "silent unit")));
    }
    if link.dropped > 0 {
        add(format!(", {} dropped", count(link.dropped, "sample")));
    }
    if !link.why.is_empty() {
        add(format!("; {}", shown_within(&link.why, 300)));
    } else if !link.last_error.is_empty() {
        let at = link.last_error_at.map(|at| format!(" at {}", when(at))).unwrap_or_default();
        add(format!("; last error{at}: {}", shown(&link.last_error)));
    }
    text
}

fn publisher_text(publisher: &PublisherStatus) -> String {
    let mut text = format!("{} {}", shown(&publisher.name), publisher.state);
    let mut add = |more: String| text.push_str(&more);
    if let Some(since) = publisher.since {
        add(format!(" since {}", when(since)));
    }
    add(format!(", {} sent, {} acknowledged", count(publisher.sent, "message"), publisher.acknowledged));
    for (number, word) in [
        (publisher.buffered, "buffered"),
        (publisher.dropped, "dropped"),
        (publisher.refused, "refused"),
        (publisher.not_written, "not obeyed"),
    ] {
        if number > 0 {
            add(format!(", {number} {word}"));
        }
    }
    if publisher.written > 0 {
        add(format!(", {} obeyed", count(publisher.written, "command")));
    }
    if !publisher.last_error.is_empty() {
        let at = publisher.last_error_at.map(|at| format!(" at {}", when(at))).unwrap_or_default();
        add(format!("; last error{at}: {}", shown_within(&publisher.last_error, 300)));
    }
    if let Some(next) = publisher.next_attempt {
        add(format!("; next try at {}", when(next)));
    }
    text
}

/// `3 d 4 h`, `5 min 6 s`.
fn span(seconds: i64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_in_the_two_largest_units() {
        for (seconds, wanted) in
            [(0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3_661, "1 h 1 min"), (90_000, "1 d 1 h")]
        {
            assert_eq!(span(seconds), wanted);
        }
    }

    #[test]
    fn a_client_cannot_forge_lines() {
        assert_eq!(shown("a\nb\u{1b}[2J"), "a?b?[2J");
    }
}
