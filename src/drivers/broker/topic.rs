//! Topics and filters (MQTT 3.1.1 §4.7).

/// The wrong part of a topic, as a range of bytes of its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicFault {
    pub at: std::ops::Range<usize>,
    pub message: String,
    pub help: String,
}

fn fault(at: std::ops::Range<usize>, message: String, help: &str) -> TopicFault {
    TopicFault { at, message, help: help.to_owned() }
}

pub(crate) fn has_wildcard(filter: &str) -> bool {
    filter.contains(['+', '#'])
}

/// Whether the text is a filter.
pub(crate) fn check_filter(filter: &str) -> Result<(), TopicFault> {
    check_text(filter)?;
    if filter.starts_with("$share/") {
        let message = "a shared subscription gives each message to one of several clients".to_owned();
        return Err(fault(0..filter.len(), message, "write the topic without `$share/` and the name of the group"));
    }
    let mut start = 0;
    for level in filter.split('/') {
        let (at, is_last) = (start..start + level.len(), start + level.len() == filter.len());
        if level.contains('#') && (level != "#" || !is_last) {
            let message = format!("`#` in `{filter}` is not at the end");
            let place = at.start + level.find('#').unwrap_or(0);
            return Err(fault(place..place + 1, message, "`#` is the last level alone, as cell3/#"));
        }
        if level.contains('+') && level != "+" {
            let message = format!("`+` is a whole level, `{level}` is not");
            return Err(fault(at, message, "write `+` for the level, as cell3/+/temp"));
        }
        start += level.len() + 1;
    }
    Ok(())
}

/// Whether the text is a topic to write to, or of one device.
pub(crate) fn check_topic(topic: &str) -> Result<(), TopicFault> {
    check_text(topic)?;
    match topic.find(['+', '#']) {
        Some(at) => {
            let message = format!("`{}` is for many topics, and this is one", &topic[at..=at]);
            Err(fault(at..at + 1, message, "write the whole topic"))
        }
        None => Ok(()),
    }
}

fn check_text(topic: &str) -> Result<(), TopicFault> {
    let all = 0..topic.len();
    if topic.is_empty() {
        return Err(fault(all, "a topic has at least one letter".to_owned(), "write the topic as the broker has it"));
    }
    if topic.len() > usize::from(u16::MAX) {
        return Err(fault(all, "a topic has at most 65,535 bytes".to_owned(), "write a shorter one"));
    }
    match topic.char_indices().find(|(_, c)| c.is_control()) {
        Some((at, c)) => {
            let message = "a topic holds no control characters".to_owned();
            Err(fault(at..at + c.len_utf8(), message, "delete this character"))
        }
        None => Ok(()),
    }
}

/// Whether each topic that `inner` matches is one that `filter` matches, too.
pub(crate) fn covers(filter: &str, inner: &str) -> bool {
    // A wildcard in the first level does not match `$SYS` (3.1.1 §4.7.2).
    if inner.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let (mut wide, mut narrow) = (filter.split('/'), inner.split('/'));
    loop {
        match (wide.next(), narrow.next()) {
            (Some("#"), _) => return true,
            (None, None) => return true,
            (Some("+"), Some(level)) if level != "#" => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_covers_what_all_its_topics_are() {
        for (filter, inner, wanted) in [
            ("a/b", "a/b", true),
            ("a/b", "a/c", false),
            ("a/+", "a/b", true),
            ("a/+", "a/+", true),
            ("a/+", "a/#", false),
            ("a/+", "a", false),
            ("a/+", "a/", true),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("a/#", "a/#", true),
            ("a/#", "a/+/x", true),
            ("#", "$SYS/x", false),
            ("+/x", "$SYS/x", false),
            ("$SYS/#", "$SYS/x", true),
            ("+/b", "a/b", true),
            ("/+", "/a", true),
            ("+", "/a", false),
            ("+/+", "/a", true),
        ] {
            assert_eq!(covers(filter, inner), wanted, "{filter} covers {inner}");
        }
    }

    #[test]
    fn faults_of_topics_have_their_place() {
        for (filter, at) in [("a/#/b", 2..3), ("a/te+", 2..5), ("a/b#", 3..4), ("", 0..0), ("a\nb", 1..2)] {
            assert_eq!(check_filter(filter).expect_err(filter).at, at, "{filter}");
        }
        for filter in ["a/+/b", "#", "+", "/a", "a//b", "a/ b", "$SYS/#", "+/+/#"] {
            assert_eq!(check_filter(filter), Ok(()), "{filter}");
        }
        assert_eq!(check_topic("a/+").expect_err("many").at, 2..3);
    }
}
