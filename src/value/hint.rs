//! The name that is meant by one that does not exist.

/// The name that `wrong` most likely means: what others call it first, then the nearest by spelling; a wrong hint
/// is worse than none.
pub(crate) fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = wrong.to_lowercase();
    let mut best: Option<(usize, &str)> = None;
    for name in known {
        let distance = strsim::osa_distance(&lower, &name.to_lowercase());
        let most = (lower.chars().count().min(name.chars().count()) / 3).max(1);
        let better = best.is_none_or(|(least, other)| (distance, name) < (least, other));
        if distance <= most && better && lower.chars().count() > distance {
            best = Some((distance, name));
        }
    }
    best.map(|(_, name)| name)
}

/// `; did you mean …` as a help line, or nothing.
pub(crate) fn did_you_mean<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(wrong, known).map(|name| format!("did you mean `{name}`?")).unwrap_or_default()
}

/// The first `most` of a list in words, each in code quotes.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>, most: usize) -> String {
    let all: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    let more = if all.len() > most { ", …" } else { "" };
    format!("{}{more}", all[..all.len().min(most)].join(", "))
}
