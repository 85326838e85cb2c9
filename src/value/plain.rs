//! Characters of a peer's text that are safe in a log and on a terminal.

/// Not control characters, nor what breaks a line or turns the direction of what follows (Unicode: line and paragraph
/// separator, and the marks of Bidi_Control): with these a name could look like another, and a line like two.
pub fn is_plain(letter: char) -> bool {
    let turns =
        matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !letter.is_control() && !turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_any_script_are_plain_and_what_moves_the_cursor_or_the_line_is_not() {
        assert!("Ünit 7 (北京) ‌שלום – 🏭".chars().all(is_plain));
        for letter in
            ['\0', '\n', '\r', '\x1b', '\u{7f}', '\u{9b}', '\u{2028}', '\u{2029}', '\u{202e}', '\u{2066}', '\u{200f}']
        {
            assert!(!is_plain(letter), "{letter:?}");
        }
    }
}
