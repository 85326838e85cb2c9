//! `opcell audit`: verifies and prints the audit trail, also next to a running server.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Answer, Global, server_plan};
use crate::audit::{self, Filter, Finding, Kept, Verdict};
use crate::model::Period;
use crate::model::count;
use crate::value::UaTime;

#[derive(Debug, Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    pub verb: AuditVerb,
}

#[derive(Debug, Subcommand)]
pub enum AuditVerb {
    /// Check every line, the chain over all files and the head; report the first fault
    Verify(At),
    /// Print the records
    Show(ShowArgs),
}

#[derive(Debug, Args)]
pub struct At {
    /// Cell file, server file or folder of the audit trail (default: ./address-space)
    pub path: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    #[command(flatten)]
    pub at: At,
    /// Records since this time (2026-11-21T10:00:00Z) or for this long (8h, 7d)
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only records of this kind (write) or group (session, certificate)
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
}

pub(crate) fn audit(args: &AuditArgs, global: &Global) -> Answer {
    let at = match &args.verb {
        AuditVerb::Verify(at) | AuditVerb::Show(ShowArgs { at, .. }) => at,
    };
    let dir = match &global.state_dir {
        Some(dir) => dir.clone(),
        None => match server_plan(at.path.as_deref(), global, "--state-dir DIR") {
            Ok(plan) => plan.state_dir,
            Err(answer) => return answer,
        },
    };
    let done = match &args.verb {
        AuditVerb::Verify(at) => audit::verify(&dir).map(|verdict| verified(&verdict, at.json)),
        AuditVerb::Show(args) => filter(args).and_then(|filter| show(&dir, &filter, args.at.json)),
    };
    done.unwrap_or_else(|error| Answer::failed(&error.to_string()))
}

fn verified(verdict: &Verdict, is_json: bool) -> Answer {
    let code = u8::from(!verdict.findings.is_empty());
    if is_json {
        return Answer { out: format!("{:#}\n", json(verdict)), code, ..Answer::default() };
    }
    let Verdict { findings, files, records, unconfirmed, kept } = verdict;
    let mut out = String::new();
    if findings.is_empty() {
        writeln!(out, "whole: {} in {}", count(*records, "record"), count(*files, "file")).expect("a String takes all");
    }
    if *unconfirmed > 0 {
        let note = "are not confirmed by the head; the server that wrote them ended without a stop, and the next start looks at them";
        writeln!(out, "the last {unconfirmed} {note}").expect("a String takes all");
    }
    kept.iter().for_each(|kept| out.push_str(&kept_text(kept)));
    let mut err: String = findings.iter().map(finding_text).collect();
    if !findings.is_empty() {
        err.push_str("keep the folder as it is, as evidence; what was shipped elsewhere tells what was changed\n");
    }
    Answer { out, err, code }
}

/// `writes: 200 records since 2026-11-21T10:00:00Z; retention removed 9000 records in 3 files, the newest of …`.
fn kept_text(kept: &Kept) -> String {
    let Kept { class, records, since, removed_files, removed_records, removed_until } = kept;
    let since = since.map_or_else(String::new, |since| format!(" since {}", time_text(since)));
    let removed = match removed_until {
        None => "retention removed nothing".to_owned(),
        Some(until) => {
            let (records, files) = (count(*removed_records, "record"), count(*removed_files, "file"));
            format!("retention removed {records} in {files}, the newest of {}", time_text(*until))
        }
    };
    format!("{class}: {}{since}; {removed}\n", count(*records, "record"))
}

fn time_text(seconds: i64) -> String {
    let time = time::OffsetDateTime::from_unix_timestamp(seconds).ok();
    let text = time.and_then(|time| time.format(&time::format_description::well_known::Rfc3339).ok());
    text.unwrap_or_else(|| format!("{seconds} s after 1970"))
}

/// `audit-000003.jsonl, line 12: removed line: …`.
fn finding_text(finding: &Finding) -> String {
    let Finding { file, line, fault, what } = finding;
    match (file.as_str(), line) {
        ("", _) => format!("{fault}: {what}\n"),
        (file, 0) => format!("{file}: {fault}: {what}\n"),
        (file, line) => format!("{file}, line {line}: {fault}: {what}\n"),
    }
}

fn json(verdict: &Verdict) -> serde_json::Value {
    let finding = |finding: &Finding| {
        let Finding { file, line, fault, what } = finding;
        serde_json::json!({ "file": file, "line": line, "fault": fault.to_string(), "what": what })
    };
    let kept = |kept: &Kept| {
        let Kept { class, records, since, removed_files, removed_records, removed_until } = kept;
        serde_json::json!({
            "class": class,
            "records": records,
            "since": since.map(time_text),
            "removed_files": removed_files,
            "removed_records": removed_records,
            "removed_until": removed_until.map(time_text),
        })
    };
    serde_json::json!({
        "ok": verdict.findings.is_empty(),
        "files": verdict.files,
        "records": verdict.records,
        "unconfirmed": verdict.unconfirmed,
        "kept": verdict.kept.iter().map(kept).collect::<Vec<_>>(),
        "findings": verdict.findings.iter().map(finding).collect::<Vec<_>>(),
    })
}

fn filter(args: &ShowArgs) -> Result<Filter, audit::AuditError> {
    let since = args.since.as_deref().map(since).transpose()?;
    Ok(Filter { since, kind: args.kind.clone() })
}

/// A time, or how long ago it is, in seconds since 1970.
fn since(text: &str) -> Result<i64, audit::AuditError> {
    if let Ok(Period(ago)) = text.parse() {
        return Ok(UaTime::now().unix_seconds().saturating_sub_unsigned(ago.as_secs()));
    }
    let time = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339);
    time.map(time::OffsetDateTime::unix_timestamp).map_err(|_| audit::AuditError::Time { text: text.to_owned() })
}

fn show(dir: &std::path::Path, filter: &Filter, is_json: bool) -> Result<Answer, audit::AuditError> {
    let mut out = String::new();
    let damaged = audit::show(dir, filter, &mut |record, line| {
        match is_json {
            true => out.push_str(line),
            false => out.push_str(&record.text()),
        }
        out.push('\n');
    })?;
    let err = match damaged {
        0 => String::new(),
        1 => "1 line is no record; run: opcell audit verify\n".to_owned(),
        lines => format!("{lines} lines are no records; run: opcell audit verify\n"),
    };
    Ok(Answer { out, err, code: 0 })
}
