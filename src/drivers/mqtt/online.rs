//! Topics by which devices say that they are there.

/// Whether a message says that the device is not there.
pub(super) fn is_offline(message: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(message) else { return false };
    let text = text.trim();
    is_word(text) || state_of(text).is_some_and(|state| is_word(state.trim()))
}

fn is_word(text: &str) -> bool {
    ["offline", "false", "0"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// The member `state` of a JSON object.
fn state_of(text: &str) -> Option<String> {
    /// The message of a device of Home Assistant and others.
    #[derive(serde::Deserialize)]
    struct State {
        state: String,
    }
    if !text.starts_with('{') {
        return None;
    }
    serde_json::from_str(text).ok().map(|State { state }| state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_words_mean_offline_and_anything_else_online() {
        for (message, wanted) in [
            ("offline", true),
            (" Offline\n", true),
            ("false", true),
            ("0", true),
            ("{\"state\":\"offline\"}", true),
            ("{\"state\": \"Offline\", \"since\": 1}", true),
            ("{\"state\":\"online\"}", false),
            ("{\"state\":1}", false),
            ("{\"status\":\"offline\"}", false),
            ("online", false),
            ("1", false),
            ("", false),
            ("offline now", false),
        ] {
            assert_eq!(is_offline(message.as_bytes()), wanted, "{message}");
        }
        assert!(!is_offline(b"\xff"));
    }
}
