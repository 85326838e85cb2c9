//! How lines are written, for the reference.

pub(super) fn addresses() -> String {
    "
### Lines of driver `gpio`

| address | line |
|---|---|
| `line/17` | by its offset in the chip |
| `line/ESTOP` | by its name, as the device tree has it |
| `line/name=17` | by a name that has digits alone |

With `write: true` a line is an output, and its level is read back. The SourceTimestamp of an input is the kernel's time of the
edge. Numbers of /sys/class/gpio are not lines; `opcell browse CONNECTION` lists the lines of a chip.
"
    .to_owned()
}
