//! Faults of files, as texts that name the file and the remedy.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::history::Fault;

/// Bytes on disk that are not what was written there; says what is wrong with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Damage(pub &'static str);

pub(crate) type Intact<T> = Result<T, Damage>;

pub(crate) fn fault(path: &Path, what: impl ToString, remedy: &str) -> Fault {
    Fault::Store { path: path.display().to_string(), what: what.to_string(), remedy: remedy.to_owned() }
}

pub(crate) fn io_fault(path: &Path) -> impl FnOnce(std::io::Error) -> Fault {
    move |error| fault(path, error, "check that the folder exists and that opcell may write to it")
}

/// A fault of SQLite with the remedy for its kind.
pub(crate) fn sql_fault(path: &Path) -> impl Fn(rusqlite::Error) -> Fault {
    move |error| fault(path, &error, remedy(&error))
}

pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
        || matches!(
            error,
            rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::FromSqlConversionFailure(..)
        )
}

/// The remedy of every damage, by which a fault is known as one.
const DAMAGED: &str = "the file is damaged: `opcell history verify` tells what is lost; restore it from a backup";

pub(crate) fn tells_of_damage(fault: &Fault) -> bool {
    matches!(fault, Fault::Store { remedy, .. } if remedy == DAMAGED)
}

fn remedy(error: &rusqlite::Error) -> &'static str {
    if is_damage(error) {
        return DAMAGED;
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "make room on the disk",
        Some(ErrorCode::SystemIoFailure) => "look for disk errors in the system's log",
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            "check that the folder exists and that opcell may write to it"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => "end the program that holds the file",
        _ => "`opcell history verify` may tell more",
    }
}
