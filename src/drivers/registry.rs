//! The macro of the list of drivers, which is in `drivers`.
//!
//! The list is of types. Code that needs a driver's own types (config decodes its keys, the schema shows them) visits it;
//! all other code asks through `Settings`.

use std::time::Duration;

use super::driver::{Delivery, Driver, Mirroring};

/// Work that is done for the type of a driver.
pub(crate) trait Visit {
    type Out;

    fn driver<D: Driver>(&mut self) -> Self::Out;
}

/// A driver's constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct About {
    pub name: &'static str,
    pub about: &'static str,
    pub also: &'static [&'static str],
    pub place: &'static [&'static str],
    pub reconnect_max: Duration,
    pub delivery: Delivery,
    pub mirrors: Mirroring,
}

impl About {
    pub(super) const fn of<D: Driver>() -> About {
        About {
            name: D::NAME,
            about: D::ABOUT,
            also: D::ALSO,
            place: D::PLACE,
            reconnect_max: D::RECONNECT_MAX,
            delivery: D::DELIVERY,
            mirrors: D::MIRRORS,
        }
    }
}

macro_rules! drivers {
    ($($(#[$when:meta])* $driver:ty),* $(,)?) => {
        /// Every driver there is, in the order of the list.
        pub(crate) const DRIVERS: &[About] = &[$($(#[$when])* About::of::<$driver>()),*];

        /// The constants of the driver of this name.
        pub(crate) fn driver(name: &str) -> Option<&'static About> {
            DRIVERS.iter().find(|driver| driver.name == name)
        }

        /// Visits each driver.
        pub(crate) fn each<V: Visit>(visit: &mut V) -> Vec<V::Out> {
            vec![$($(#[$when])* visit.driver::<$driver>()),*]
        }

        /// Visits the driver of this name.
        pub(crate) fn named<V: Visit>(name: &str, visit: &mut V) -> Option<V::Out> {
            $($(#[$when])* if name == <$driver as Driver>::NAME {
                return Some(visit.driver::<$driver>());
            })*
            None
        }
    };
}

pub(super) use drivers;
