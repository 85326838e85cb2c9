//! The `audit` key of the server file.

use std::time::Duration;

use super::Compiler;
use crate::config::at::At;
use crate::config::source::Ix;
use crate::config::spec::{self, AuditFormat};
use crate::model::{AuditLog, AuditPlan, Period, Size};

/// The smallest file, and the shortest time that records are kept.
const LEAST_FILE: u64 = 1 << 20;
const LEAST_KEEP: Duration = Duration::from_secs(86_400);

impl Compiler<'_> {
    pub(super) fn audit(&mut self, given: &spec::Audit, at: Ix) -> AuditPlan {
        let usual = AuditPlan::default();
        let size = |size: &Option<At<Size>>, usual: u64| size.as_ref().map_or(usual, |size| size.value.0);
        let plan = AuditPlan {
            log: match given.log {
                None | Some(AuditFormat::Text) => AuditLog::Text,
                Some(AuditFormat::Json) => AuditLog::Json,
                Some(AuditFormat::Off) => AuditLog::Off,
            },
            file: given.file.unwrap_or(usual.file),
            writes: given.writes.unwrap_or(usual.writes),
            keep: given.keep.as_ref().map_or(usual.keep, |keep| keep.value.0),
            max_size: size(&given.max_size, usual.max_size),
            // A smaller whole takes smaller files, so that not everything goes at once.
            max_file: size(&given.max_file, usual.max_file.min(size(&given.max_size, usual.max_size) / 4)),
        };
        self.check_audit(given, &plan);
        if !plan.is_on() {
            let finding = self.findings.warning(&self.source, at, "`file: false` and `log: off`: nothing is audited");
            finding.help("delete `file: false`, or write `log: text`");
        }
        plan
    }

    fn check_audit(&mut self, given: &spec::Audit, plan: &AuditPlan) {
        if let Some(keep) = given.keep.as_ref().filter(|_| plan.keep < LEAST_KEEP) {
            let message = format!("`{}` is too short", Period(plan.keep));
            self.findings.error(&self.source, keep.ix, message).help("write at least `1d`; usual is `400d`");
        }
        let file = given.max_file.as_ref().or(given.max_size.as_ref());
        if let Some(file) = file.filter(|_| plan.max_file < LEAST_FILE) {
            let least = if given.max_file.is_some() { "1MiB" } else { "4MiB" };
            let message = format!("`{}` is too small", self.source.shown(file.ix));
            self.findings.error(&self.source, file.ix, message).help(format!("write at least {least}"));
        } else if let Some(file) = file.filter(|_| plan.max_file > plan.max_size / 4) {
            let message = "`max_file` is more than a quarter of `max_size`";
            self.findings
                .error(&self.source, file.ix, message)
                .help("write at most a quarter of `max_size`, so that several files are kept");
        }
    }
}
