//! The subject of a certificate, for comparison: names with values, whatever the order and the notation.
//!
//! A rule may be written as `pki show` prints a subject (`CN=HMI 1, O=Plant`), or as OPC UA writes criteria
//! (`CN="HMI 1"/O="Plant"`); both mean the same.

use std::fmt;

/// Names that are used, in the order in which they are shown; all others in a certificate are skipped.
const NAMES: [&str; 9] = ["CN", "O", "OU", "DC", "L", "S", "C", "dnQualifier", "serialNumber"];

/// Place in `NAMES` and value, sorted by place; equal names stay in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Subject(Vec<(usize, String)>);

fn place(name: &str) -> Option<usize> {
    let name = if name.eq_ignore_ascii_case("ST") { "S" } else { name };
    NAMES.iter().position(|known| known.eq_ignore_ascii_case(name))
}

impl Subject {
    /// Of the names in a certificate, in their order.
    pub(crate) fn new<'n>(names: impl Iterator<Item = (&'n str, &'n str)>) -> Subject {
        let mut all: Vec<_> = names.filter_map(|(name, value)| Some((place(name)?, value.to_owned()))).collect();
        all.sort_by_key(|(place, _)| *place);
        Subject(all)
    }

    /// `None` for what is no subject, or has a name that is never looked at: such a rule would meet more than it says.
    pub(crate) fn parse(text: &str) -> Option<Subject> {
        let mut all = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (name, behind) = rest.split_once('=')?;
            let place = place(name.trim())?;
            let (value, next) = match behind.trim_start().strip_prefix('"') {
                Some(quoted) => {
                    let (value, next) = quoted.split_once('"')?;
                    (value, next.trim_start())
                }
                None => {
                    let end = behind.find([',', '/']).unwrap_or(behind.len());
                    (behind[..end].trim(), &behind[end..])
                }
            };
            if value.is_empty() {
                return None;
            }
            all.push((place, value.to_owned()));
            rest = match next.strip_prefix([',', '/']) {
                Some(next) if !next.trim().is_empty() => next.trim_start(),
                None if next.is_empty() => next,
                _ => return None,
            };
        }
        all.sort_by_key(|(place, _)| *place);
        if all.is_empty() { None } else { Some(Subject(all)) }
    }
}

/// As OPC UA writes criteria.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (place, value)) in self.0.iter().enumerate() {
            let slash = if n == 0 { "" } else { "/" };
            write!(f, "{slash}{}=\"{value}\"", NAMES[*place])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_notation_make_no_difference_and_every_name_counts() {
        let subject = Subject::new([("C", "DE"), ("O", "Plant"), ("CN", "HMI 1"), ("email", "a@b")].into_iter());
        for (text, same) in [
            ("CN=HMI 1, O=Plant, C=DE", true),
            ("C=DE, O=Plant, CN=HMI 1", true),
            (r#"CN="HMI 1"/O="Plant"/C="DE""#, true),
            (r#"C="DE", CN="HMI 1", O="Plant""#, true),
            ("CN=HMI 1, O=Plant", false),
            ("CN=HMI 1", false),
            ("CN=hmi 1, O=Plant, C=DE", false),
            ("CN=HMI 1, O=Plant, C=DE, L=Bonn", false),
        ] {
            let parsed = Subject::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(parsed == subject, same, "{text}");
        }
        assert_eq!(subject.to_string(), r#"CN="HMI 1"/O="Plant"/C="DE""#);
    }

    #[test]
    fn a_value_can_not_pose_as_two() {
        let forged = Subject::new([("CN", "HMI 1, O=Plant")].into_iter());
        assert_ne!(Subject::parse("CN=HMI 1, O=Plant"), Some(forged.clone()));
        assert_eq!(Subject::parse(r#"CN="HMI 1, O=Plant""#), Some(forged));
    }

    #[test]
    fn what_is_no_subject_is_none() {
        for text in ["", "HMI 1", "CN=", "CN", "XY=1", "CN=1,", "CN=1//O=2", r#"CN="1"#, r#"CN="1"O=2"#, "ab12cd"] {
            assert_eq!(Subject::parse(text), None, "{text}");
        }
    }
}
