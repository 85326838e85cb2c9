//! The driver of recordings.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::notes;
use super::player::Player;
use super::settings::{AtEnd, Settings};
use super::table::{Fault, First, Strange};
use crate::drivers::driver::{ConnectionOf, Delivery, Driver, NoKeys, PointOf};
use crate::drivers::file_text::FileKey;
use crate::drivers::link::Link;
use crate::drivers::listing::{Listing, Start};
use crate::drivers::reading::{PointError, ProbeError, Reading, SettingsError};
use crate::value::BuiltIn;

/// Milliseconds that a turn of a loop takes at least.
const SHORTEST_TURN: f64 = 10.0;

/// Recordings as signals.
#[derive(Debug)]
pub(crate) struct Replay;

impl Driver for Replay {
    const NAME: &'static str = "replay";
    const ABOUT: &'static str = "a recording in a CSV file, or an export of the history, as live signals";
    const ALSO: &'static [&'static str] = &["csv", "file", "playback"];
    const DELIVERY: Delivery = Delivery::Pushed;

    type Settings = Settings;
    type Point = NoKeys;

    fn stand_in() -> Settings {
        serde_json::from_value(serde_json::json!({ "file": "" })).expect("no other key is required")
    }

    fn files(settings: &mut Settings) -> Vec<FileKey<'_>> {
        vec![FileKey { key: "file", file: &mut settings.file }]
    }

    fn check_settings(settings: &Settings) -> Vec<SettingsError> {
        let error = |Fault { key, at, message, help }: &Fault| SettingsError {
            key: if at.is_some() { "file" } else { key },
            in_file: at.clone(),
            message: message.clone(),
            help: help.clone(),
        };
        let table = match settings.table() {
            Ok(table) => table,
            Err(fault) => return vec![error(fault)],
        };
        // A turn that takes no time would keep a core busy.
        #[expect(clippy::cast_precision_loss, reason = "a length in words")]
        let turn = table.length() as f64 / 1e4 / settings.speed;
        if settings.at_end == AtEnd::Loop && table.length() > 0 && turn < SHORTEST_TURN {
            let message = format!("a turn of this recording lasts {turn:.3} ms");
            let help = "write a lower `speed`, or `at_end: hold`: a turn of a loop takes at least 10 ms".to_owned();
            return vec![SettingsError { key: "file", in_file: None, message, help }];
        }
        Vec::new()
    }

    fn check_address(text: &str) -> Result<(), PointError> {
        if text.trim().is_empty() {
            return Err(PointError::new(
                0..text.len(),
                "an address is a heading of the file".to_owned(),
                "name a column",
            ));
        }
        Ok(())
    }

    fn check_point(settings: &Settings, point: PointOf<'_, NoKeys>) -> Result<Reading, PointError> {
        Replay::check_address(&point.address)?;
        if point.write {
            let message = "a recording cannot be written".to_owned();
            return Err(PointError::key("write", message, "delete `write`, or use driver `simulator`"));
        }
        // What is wrong with the file was reported at its place.
        let Ok(table) = settings.table() else { return Ok(Reading::default()) };
        let Some(signal) = table.signal(&point.address) else {
            let what = if table.is_export() { "signal" } else { "column" };
            let message = format!("no {what} `{}` in {}", point.address, table.file_name());
            return Err(PointError::new(0..point.address.len(), message, &table.nearest(&point.address)));
        };
        let is_scalar_of = |is: bool| is && !point.is_array && point.enumeration.is_none();
        let strange = match point.kind {
            kind if is_scalar_of(kind.is_number() || point.has_scale) => &signal.not_number,
            kind if is_scalar_of(kind == BuiltIn::Boolean) => &signal.not_boolean,
            _ => return Ok(Reading::default()),
        };
        let warning = strange.first.as_ref().map(|first| doubt(point, strange, first, table.file_name()));
        Ok(Reading { warning, ..Reading::default() })
    }

    fn open(connections: &[ConnectionOf<'_, Replay>]) -> Link {
        let connection = connections[0];
        Link::push(Player::new(connection.settings, Arc::clone(&connection.plan.points)))
    }

    /// The signals of the file, with the type that their cells suggest.
    fn browse<'a>(
        connection: ConnectionOf<'a, Replay>,
        start: &'a Start,
    ) -> BoxFuture<'a, Result<Listing, ProbeError>> {
        async move {
            match connection.settings.table() {
                Ok(table) => Ok(Listing::of(start, table.found())),
                Err(fault) => Err(ProbeError::Failed(fault.message.clone())),
            }
        }
        .boxed()
    }

    fn address_notes() -> String {
        notes::addresses()
    }
}

fn doubt(point: PointOf<'_, NoKeys>, strange: &Strange, first: &First, file: &str) -> PointError {
    let First { line, text } = first;
    let message = match strange.count {
        1 => format!("`{text}` in line {line} of {file} is no {:?}", point.kind),
        count => format!("{count} cells are no {:?}, the first is `{text}` in line {line} of {file}", point.kind),
    };
    PointError::new(
        0..point.address.len(),
        message,
        "such a cell is BadDataEncodingInvalid; leave it empty, or write #Bad",
    )
}
