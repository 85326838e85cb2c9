//! Words of the operating system, for reasons.

/// The text of a failed call, without Rust's number at the end.
pub(super) fn said_by_system(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}
