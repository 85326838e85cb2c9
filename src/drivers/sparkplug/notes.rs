//! How addresses of Sparkplug are written, for the reference.

pub(super) fn metrics() -> String {
    "\n### Addresses of Sparkplug\n\nAn address is `GROUP/NODE:METRIC`, or `GROUP/NODE/DEVICE:METRIC` for a metric of a device. The first `:` ends the ids; the name of
the metric is as in the birth, with its slashes. A member of a template is a metric below it: `Pump1/Speed`.

| example | means |
|---|---|
| `Plant1/Line3:Temperature` | a metric of the edge node Line3 |
| `Plant1/Line3/Filler:Heads/3/Weight` | a metric of its device Filler |
| `Plant1/Line3/Filler:@online` | Boolean: whether the device is born |
| `Plant1/Line3:@birth` | DateTime of the last birth |
| `Plant1/Line3:Node Control/Rebirth` | with `write: true, read: false`: asks for a birth |
"
    .to_owned()
}
