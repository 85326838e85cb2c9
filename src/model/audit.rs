//! Settings of the audit trail: the records, and their files.

use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPlan {
    pub log: AuditLog,
    /// Records are appended to the hash-chained files in the state folder.
    pub file: bool,
    /// Writes of clients are recorded, in addition to the records about security.
    pub writes: bool,
    /// Files whose last record is older are removed.
    pub keep: Duration,
    /// Bytes of all files together; each class of records has one half.
    pub max_size: u64,
    /// Bytes of one file.
    pub max_file: u64,
}

/// Form of a record in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditLog {
    Text,
    Json,
    Off,
}

impl Default for AuditPlan {
    fn default() -> AuditPlan {
        AuditPlan {
            log: AuditLog::Text,
            file: true,
            writes: true,
            keep: Duration::from_secs(400 * 86_400),
            max_size: 1 << 30,
            max_file: 64 << 20,
        }
    }
}

impl AuditPlan {
    pub fn is_on(&self) -> bool {
        self.file || self.log != AuditLog::Off
    }
}
