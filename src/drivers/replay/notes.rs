//! How a recording is written, for the reference.

pub(super) fn addresses() -> String {
    "
### Recordings of driver `replay`

An address is the heading of a column, or an identifier (`s=Tank.Level` or `Tank.Level`) in a file that `opcell history export`
wrote. The first row is played when the connection opens, and each further row when its time has come; the SourceTimestamp is
the time of the row, moved to the present. A value holds until the next row that has one: an empty cell leaves it as it is.
`#Bad`, or a name as `#BadSensorFailure`, makes the tag Bad. Comma, semicolon or tab separates the cells.
"
    .to_owned()
}
