//! Checks of a connection and its points without a broker.

use super::settings::{MqttPoint, MqttSettings};
use crate::drivers::broker::{TopicFault, check_filter, check_session, check_topic, covers, doubt_port, has_wildcard};
use crate::drivers::driver::PointOf;
use crate::drivers::payload::{Body, Format, PayloadPoint};
use crate::drivers::plan::ConnectionPlan;
use crate::drivers::reading::{Part, PointError, Reading, Remark, RemarkPlace, SettingsError};

fn key_error(key: &'static str, fault: TopicFault) -> PointError {
    PointError::key(key, fault.message, &fault.help)
}

pub(super) fn check_address(text: &str) -> Result<(), PointError> {
    check_filter(text).map_err(|fault| PointError::new(fault.at, fault.message, &fault.help))
}

pub(super) fn check_point(point: PointOf<'_, MqttPoint>) -> Result<Reading, PointError> {
    check_address(&point.address)?;
    if let Some(second) = point.words.get(1) {
        let message = format!("a tag has one topic, and `{second}` is a second one");
        let error = PointError::new(0..0, message, "write one topic, with `+` or `#` for several");
        return Err(PointError { part: Part::Entry("address", 1), ..error });
    }
    if let Some(exponent) = &point.exponent {
        let help = "delete `exponent`: a message has its value as a whole";
        let error = PointError::new(0..exponent.len(), "messages have no exponent".to_owned(), help);
        return Err(PointError { part: Part::Exponent, ..error });
    }
    check_write(point)?;
    if let Some(online) = &point.keys.online {
        check_topic(online).map_err(|fault| key_error("online", fault))?;
    }
    let keys = point.keys.payload_keys();
    let format = Format::of(point)?;
    Body::of(&keys, point.plan, &format)?;
    Ok(Reading { warning: warning(point).or_else(|| Format::doubt(&keys)), ..Reading::default() })
}

fn check_write(point: PointOf<'_, MqttPoint>) -> Result<(), PointError> {
    let only_with_write = |key: &'static str| {
        let help = format!("add `write: true`, or delete `{key}`");
        Err(PointError::key(key, format!("`{key}` is for writes"), &help))
    };
    match &point.keys.publish {
        Some(topic) => check_topic(topic).map_err(|fault| key_error("publish", fault))?,
        None if point.write => {
            let help = "add `publish: TOPIC`, the topic that the device listens to";
            return Err(PointError::key("write", "`write: true` needs `publish`".to_owned(), help));
        }
        None if point.keys.retain => {
            let message = "`retain` is for writes with `publish`".to_owned();
            return Err(PointError::key("retain", message, "add `publish`, or delete `retain`"));
        }
        None => {}
    }
    match () {
        () if point.write => Ok(()),
        () if point.keys.publish.is_some() => only_with_write("publish"),
        () if point.keys.retain => only_with_write("retain"),
        () => Ok(()),
    }
}

fn warning(point: PointOf<'_, MqttPoint>) -> Option<PointError> {
    let topic = &point.address;
    if topic.starts_with('/') {
        let message = "the topic begins with `/`, an empty level: is that so on the broker?".to_owned();
        return Some(PointError::new(0..1, message, "delete the `/` unless devices publish with it"));
    }
    if has_wildcard(topic) && point.read {
        let at = topic.find(['+', '#']).unwrap_or(0);
        let message = "several devices on one tag: the newest message of any matching topic is its value".to_owned();
        let help = "write one tag for each device with `repeat`, unless this is meant";
        return Some(PointError::new(at..at + 1, message, help));
    }
    None
}

pub(super) fn check_settings(settings: &MqttSettings) -> Vec<SettingsError> {
    let mut errors = check_session(&settings.session());
    if let Some(Err(fault)) = settings.online.as_deref().map(check_topic) {
        errors.push(SettingsError { key: "online", in_file: None, message: fault.message, help: fault.help });
    }
    errors
}

/// Filters and topics that do not go together, and ports that seem wrong.
pub(super) fn check_together(settings: &MqttSettings, plan: &ConnectionPlan) -> Vec<Remark> {
    let remark =
        |place, is_warning, message: String, help: &str| Remark { place, is_warning, message, help: help.to_owned() };
    let mut remarks: Vec<Remark> = doubt_port(&settings.url).into_iter().collect();
    let mut is_whole = true;
    for (at, filter) in settings.subscribe.iter().enumerate() {
        let place = RemarkPlace::Entry("subscribe", at);
        if let Err(fault) = check_filter(filter) {
            is_whole = false;
            remarks.push(remark(place, false, fault.message, &fault.help));
        } else if !plan.points.iter().any(|point| point.read && covers(filter, &point.address)) {
            let message = format!("filter `{filter}` matches no tag");
            remarks.push(remark(place, true, message, "delete it, or correct it"));
        }
    }
    if settings.subscribe.is_empty() || !is_whole {
        return remarks;
    }
    for (at, point) in plan.points.iter().enumerate().filter(|(_, point)| point.read) {
        if !settings.subscribe.iter().any(|filter| covers(filter, &point.address)) {
            let message = format!("`{}` is matched by no filter of `subscribe`", point.address);
            let help = "add it to `subscribe`, or correct the topic";
            remarks.push(remark(RemarkPlace::Point(at), false, message, help));
        }
    }
    remarks
}
