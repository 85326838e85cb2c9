//! The keys of a chip and of its lines; their doc comments are the user's reference.

use std::time::Duration;

use crate::drivers::keys::point_keys;
use crate::drivers::reading::Part;
use crate::model::Period;

/// A chip with digital inputs and outputs.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct GpioSettings {
    /// GPIO chip, by device or label: gpiochip0, /dev/gpiochip0, pinctrl-bcm2711.
    #[schemars(extend("x-also" = ["device", "gpiochip", "label"]))]
    pub chip: String,
}

/// Use of a line.
#[derive(Debug, Clone, PartialEq, Default, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct GpioPoint {
    /// Level that means true: high or low (default high).
    #[serde(default)]
    #[schemars(extend("x-also" = ["active_level", "polarity"]))]
    pub active: Option<Active>,
    /// Edges closer than this are ignored (default 0ms).
    #[serde(default)]
    #[schemars(extend("x-also" = ["debounce_time", "filter"]))]
    pub debounce: Option<Period>,
    /// Pull resistor: as-is, up, down or off (default as-is).
    #[serde(default)]
    #[schemars(extend("x-also" = ["pull"]))]
    pub bias: Option<Bias>,
    /// The tag is the number of edges since the start, not the level: rising, falling or both (default none). A rising edge is one
    /// to true.
    #[serde(default)]
    #[schemars(extend("x-also" = ["edge", "edges", "counter"]))]
    pub count: Option<Count>,
    /// Output stage: push-pull, open-drain or open-source (default push-pull).
    #[serde(default)]
    pub drive: Option<Drive>,
    /// Level at start, before the first write (default: as it is).
    #[serde(default)]
    #[schemars(extend("x-also" = ["initial", "default"]))]
    pub on_start: Option<bool>,
}

point_keys!(GpioPoint { active, debounce, bias, count, drive, on_start });

/// Level that means true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Active {
    #[default]
    High,
    Low,
}

/// Pull resistor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Bias {
    #[default]
    AsIs,
    Up,
    Down,
    Off,
}

/// Edges that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Count {
    Rising,
    Falling,
    Both,
}

/// Output stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Drive {
    #[default]
    PushPull,
    OpenDrain,
    OpenSource,
}

impl GpioPoint {
    pub(super) fn debounce(&self) -> Duration {
        self.debounce.map_or(Duration::ZERO, |period| period.0)
    }

    /// Leaves out a key that was refused.
    pub(super) fn leave_out(&mut self, part: Part) -> bool {
        let Part::Key(key) = part else { return false };
        match key {
            "active" => self.active = None,
            "debounce" => self.debounce = None,
            "bias" => self.bias = None,
            "count" => self.count = None,
            "drive" => self.drive = None,
            "on_start" => self.on_start = None,
            _ => return false,
        }
        true
    }
}
