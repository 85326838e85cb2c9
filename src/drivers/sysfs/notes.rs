//! How files are named, for the reference.

pub(super) fn addresses() -> String {
    "
### Files of driver `sysfs`

| address | value |
|---|---|
| `hwmon/NAME/temp1` | `temp1_input` of the hwmon device, in °C; `in0` in V, `curr1` in A, `power1` in W, `energy1` in J, `humidity1` in %, `fan1` in rpm, `freq1` in Hz |
| `hwmon/NAME/temp1_input`, `hwmon/NAME/pwm1` | the file as it is |
| `iio/NAME/in_voltage0` | (`in_voltage0_raw` + offset) * scale, in the unit of IIO: mV, mA, milli°C |
| `iio/NAME/in_voltage0_raw` | the file as it is |
| `thermal/TYPE` | temperature of the thermal zone, in °C |
| `file/PATH` | the file at this path below `root` |

NAME is the content of the device's file `name`, TYPE that of `type`. `NAME#2` is the second device of a name, in the order of
their numbers at the first look. `opcell browse CONNECTION` lists them all.
"
    .to_owned()
}
