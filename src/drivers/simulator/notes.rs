//! The signals, for the reference.

use std::fmt::Write;

use super::signal::SIGNALS;

pub(super) fn signals() -> String {
    let mut out = String::new();
    out.push_str(
        "\n### Signals of the simulator\n\nAn address of driver `simulator`, and a text of `simulate:`, is a signal with its arguments by name, as
`sine(mean=21, amp=2, period=10min)`; an argument that is left out has its default. The same `seed` gives the same signals.
`phase` is in degrees.

| signal | makes | arguments and defaults |
|---|---|---|
",
    );
    for (name, about, keys) in SIGNALS {
        let keys = keys.iter().map(|(key, default)| match (*key, *default) {
            ("values", _) => "the list, **required**".to_owned(),
            (key, "") => format!("`{key}` (none)"),
            (key, default) => format!("`{key}={default}`"),
        });
        writeln!(out, "| `{name}` | {about} | {} |", keys.collect::<Vec<_>>().join(", ")).expect("a String takes all");
    }
    out
}
