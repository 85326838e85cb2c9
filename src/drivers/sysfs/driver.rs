//! The driver of files.

use std::path::PathBuf;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::address::Address;
use super::poller::Poller;
use super::settings::Settings;
use super::{browse, check, notes};
use crate::drivers::driver::{ConnectionOf, Driver, NoKeys, PointOf};
use crate::drivers::link::Link;
use crate::drivers::listing::{Listing, Start};
use crate::drivers::reading::{PointError, ProbeError, ProbeLine, Reading, SettingsError};
use crate::drivers::worker::Workers;

/// Sensors of this computer.
#[derive(Debug)]
pub(crate) struct Sysfs;

impl Driver for Sysfs {
    const NAME: &'static str = "sysfs";
    const ABOUT: &'static str = "sensors and files of the Linux kernel: hwmon, IIO, thermal zones";
    const ALSO: &'static [&'static str] = &["hwmon", "iio", "thermal", "sensors", "adc"];
    const STAND_IN: Option<&'static str> = Some("file/any");

    type Settings = Settings;
    type Point = NoKeys;

    fn stand_in() -> Settings {
        Settings::default()
    }

    fn check_settings(settings: &Settings) -> Vec<SettingsError> {
        check::settings(settings)
    }

    fn check_address(text: &str) -> Result<(), PointError> {
        Address::parse(text).map(drop)
    }

    fn check_point(_: &Settings, point: PointOf<'_, NoKeys>) -> Result<Reading, PointError> {
        check::point(point)
    }

    fn open(connections: &[ConnectionOf<'_, Sysfs>]) -> Link {
        Link::poll(Poller::new(connections[0]))
    }

    fn probe<'a>(
        connection: ConnectionOf<'a, Sysfs>,
        address: &'a str,
    ) -> BoxFuture<'a, Result<Vec<ProbeLine>, ProbeError>> {
        async move {
            let help = |error: PointError| ProbeError::Failed(format!("{}: {}", error.message, error.help));
            let (address, root) = (Address::parse(address).map_err(help)?, root(connection));
            call(connection, move || browse::probe(&root, &address)).await
        }
        .boxed()
    }

    /// The devices with all that they measure; `from` is the begin of addresses.
    fn browse<'a>(connection: ConnectionOf<'a, Sysfs>, start: &'a Start) -> BoxFuture<'a, Result<Listing, ProbeError>> {
        async move {
            let (root, from) = (root(connection), start.from.clone().unwrap_or_default());
            let found = call(connection, move || browse::all(&root, &from)).await?;
            Ok(Listing::of(start, found))
        }
        .boxed()
    }

    fn address_notes() -> String {
        notes::addresses()
    }
}

fn root(connection: ConnectionOf<'_, Sysfs>) -> PathBuf {
    PathBuf::from(&connection.settings.root)
}

async fn call<T: Send + 'static>(
    connection: ConnectionOf<'_, Sysfs>,
    call: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, ProbeError> {
    let limit = connection.plan.timeout.saturating_mul(5);
    let late = |_| ProbeError::Failed("the kernel does not answer".to_owned());
    Workers::new("sysfs").call((), limit, call).await.map_err(late)?.map_err(ProbeError::Failed)
}
