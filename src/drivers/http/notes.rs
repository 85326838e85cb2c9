//! How requests are written, for the reference.

pub(super) fn addresses() -> String {
    "
### Requests of driver `http`

An address is a path that begins with `/`, which is asked for by GET, or the name of one of the `requests` of the connection. Tags
with the same request and the same `poll` share one request and one moment. `json` finds the value in the answer.
"
    .to_owned()
}
