//! Addresses: `line/17`, `line/ESTOP`, and `line/name=17` for a name of digits.

use crate::drivers::reading::PointError;

/// A line of a chip.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Address {
    Offset(u32),
    Name(String),
}

const ELSEWHERE: &str = "numbers of /sys/class/gpio are not lines: `opcell browse CONNECTION` lists them";

/// Bytes of a name in the kernel, without the zero at its end.
const LONGEST_NAME: usize = 31;

impl Address {
    pub(super) fn parse(text: &str) -> Result<Address, PointError> {
        let whole = 0..text.len();
        let Some(line) = text.strip_prefix("line/") else {
            return Err(PointError::new(whole, format!("`{text}` is no line of a chip"), &meant(text)));
        };
        let at = "line/".len()..text.len();
        let name = line.strip_prefix("name=");
        if name.unwrap_or(line).is_empty() {
            return Err(PointError::new(whole, "the line is missing".to_owned(), "write line/17 or line/NAME"));
        }
        if name.is_none() && line.bytes().all(|byte| byte.is_ascii_digit()) {
            let offset = line.parse().map(Address::Offset);
            return offset.map_err(|_| PointError::new(at, format!("no chip has a line {line}"), "write line/17"));
        }
        let name = name.unwrap_or(line);
        if name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
            let message = format!("`{name}` cannot be the name of a line");
            let help = "names have at most 31 bytes: `opcell browse CONNECTION` lists them";
            return Err(PointError::new(at, message, help));
        }
        Ok(Address::Name(name.to_owned()))
    }
}

/// The help for an address that begins with another word.
fn meant(text: &str) -> String {
    let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    let word = text[..text.len() - digits.len()].to_ascii_lowercase();
    let is_number = !digits.is_empty() && digits.len() < 10 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number && ["", "line", "gpio", "pin", "io", "gpio_", "line_", "line:"].contains(&word.as_str()) {
        return format!("line/{digits}; {ELSEWHERE}");
    }
    format!("write line/17 or line/NAME; {ELSEWHERE}")
}
