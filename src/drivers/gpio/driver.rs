//! The driver of GPIO chips.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::address::Address;
use super::cdev::CharDevice;
use super::listener::Listener;
use super::settings::{GpioPoint, GpioSettings};
use super::{browse, check, notes};
use crate::drivers::driver::{ConnectionOf, Delivery, Driver, PointOf};
use crate::drivers::link::Link;
use crate::drivers::listing::{Listing, Start};
use crate::drivers::reading::{Part, PointError, ProbeError, ProbeLine, Reading, Remark, SettingsError};
use crate::drivers::worker::Workers;

/// Digital inputs and outputs.
#[derive(Debug)]
pub(crate) struct Gpio;

impl Driver for Gpio {
    const NAME: &'static str = "gpio";
    const ABOUT: &'static str = "digital inputs and outputs of this computer (Linux GPIO chips)";
    const ALSO: &'static [&'static str] = &["gpiod", "libgpiod", "gpiochip", "dio"];
    const RECONNECT_MAX: Duration = Duration::from_secs(5);
    const DELIVERY: Delivery = Delivery::Pushed;
    const STAND_IN: Option<&'static str> = Some("line/0");

    type Settings = GpioSettings;
    type Point = GpioPoint;

    fn stand_in() -> GpioSettings {
        GpioSettings { chip: "gpiochip0".to_owned() }
    }

    fn check_settings(settings: &GpioSettings) -> Vec<SettingsError> {
        check::settings(settings)
    }

    fn check_together(connection: ConnectionOf<'_, Gpio>) -> Vec<Remark> {
        check::together(connection)
    }

    fn check_address(text: &str) -> Result<(), PointError> {
        Address::parse(text).map(drop)
    }

    fn check_point(_: &GpioSettings, point: PointOf<'_, GpioPoint>) -> Result<Reading, PointError> {
        check::point(point)
    }

    fn leave_out(keys: &mut GpioPoint, part: Part) -> bool {
        keys.leave_out(part)
    }

    fn open(connections: &[ConnectionOf<'_, Gpio>]) -> Link {
        Link::push(Listener::<CharDevice>::new(connections[0]))
    }

    fn probe<'a>(
        connection: ConnectionOf<'a, Gpio>,
        address: &'a str,
    ) -> BoxFuture<'a, Result<Vec<ProbeLine>, ProbeError>> {
        async move {
            let help = |error: PointError| ProbeError::Failed(format!("{}: {}", error.message, error.help));
            let address = Address::parse(address).map_err(help)?;
            call(connection, move |chip| browse::probe(chip, &address)).await
        }
        .boxed()
    }

    /// The lines of the chip; `from` is the begin of addresses.
    fn browse<'a>(connection: ConnectionOf<'a, Gpio>, start: &'a Start) -> BoxFuture<'a, Result<Listing, ProbeError>> {
        async move {
            let from = start.from.clone().unwrap_or_default();
            let found = call(connection, move |chip| browse::all(chip, &from)).await?;
            Ok(Listing::of(start, found))
        }
        .boxed()
    }

    fn address_notes() -> String {
        notes::addresses()
    }
}

async fn call<T: Send + 'static>(
    connection: ConnectionOf<'_, Gpio>,
    call: impl FnOnce(&CharDevice) -> Result<T, super::kernel::Fault> + Send + 'static,
) -> Result<T, ProbeError> {
    let (name, runtime) = (connection.settings.chip.clone(), tokio::runtime::Handle::current());
    let call = move || {
        let _context = runtime.enter();
        let chip = <CharDevice as super::kernel::Chip>::open(&name)?;
        call(&chip)
    };
    let late = |_| ProbeError::Failed("the kernel does not answer".to_owned());
    let limit = connection.plan.timeout.saturating_mul(5);
    Workers::new("gpio").call((), limit, call).await.map_err(late)?.map_err(|fault| ProbeError::Failed(fault.text))
}
