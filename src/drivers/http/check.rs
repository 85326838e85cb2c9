//! Checks of a connection and its points without a server.

use super::address::{Fault, Server, Target, check_address, check_path};
use super::settings::{HttpPoint, HttpSettings};
use crate::drivers::driver::PointOf;
use crate::drivers::payload::{Body, Format, PayloadPoint};
use crate::drivers::reading::{Part, PointError, Reading, SettingsError};

pub(super) fn address(text: &str, settings: Option<&HttpSettings>) -> Result<(), PointError> {
    check_address(text, settings).map_err(|fault| PointError::new(fault.at, fault.message, &fault.help))
}

pub(super) fn point(settings: &HttpSettings, point: PointOf<'_, HttpPoint>) -> Result<Reading, PointError> {
    address(&point.address, Some(settings).filter(|settings| !settings.url.is_empty()))?;
    if let Some(second) = point.words.get(1) {
        let message = format!("a tag has one request, and `{second}` is a second one");
        let error = PointError::new(0..0, message, "write one path");
        return Err(PointError { part: Part::Entry("address", 1), ..error });
    }
    if let Some(exponent) = &point.exponent {
        let help = "delete `exponent`: an answer has its value as a whole";
        let error = PointError::new(0..exponent.len(), "answers have no exponent".to_owned(), help);
        return Err(PointError { part: Part::Exponent, ..error });
    }
    match &point.keys.publish {
        Some(text) => {
            Target::parse(text).map_err(|fault| PointError::key("publish", fault.message, &fault.help))?;
        }
        None if point.write => {
            let help = "add `publish: PUT /path`, where the server takes the value";
            return Err(PointError::key("write", "`write: true` needs `publish`".to_owned(), help));
        }
        None => {}
    }
    if point.keys.publish.is_some() && !point.write {
        let help = "add `write: true`, or delete `publish`";
        return Err(PointError::key("publish", "`publish` is for writes".to_owned(), help));
    }
    let keys = point.keys.payload_keys();
    let format = Format::of(point)?;
    Body::of(&keys, point.plan, &format)?;
    Ok(Reading { warning: Format::doubt(&keys), ..Reading::default() })
}

pub(super) fn settings(settings: &HttpSettings) -> Vec<SettingsError> {
    let error = |key, Fault { message, help, .. }: Fault| SettingsError { key, in_file: None, message, help };
    let plain = |key, message: String, help: &str| SettingsError { key, in_file: None, message, help: help.to_owned() };
    let mut errors = Vec::new();
    let server = Server::parse(&settings.url);
    let is_plain = server.as_ref().is_ok_and(|server| !server.is_tls);
    errors.extend(server.err().map(|fault| error("url", fault)));
    let files = [("ca", &settings.ca), ("certificate", &settings.certificate), ("key", &settings.key)];
    if let Some((key, _)) = files.iter().find(|(_, file)| file.is_some() && is_plain) {
        errors.push(plain(key, format!("`{key}` is only for https"), "write `https://` in `url`, or delete it"));
    }
    errors.extend(settings.tls().check());
    if settings.password.is_some() && settings.user.is_none() {
        errors.push(plain("password", "`password` needs `user`".to_owned(), "add `user`"));
    }
    for (name, request) in &settings.requests {
        if name.contains('/') {
            let message = format!("the name `{name}` has a `/`");
            errors.push(plain("requests", message, "a name without `/`, so that it differs from a path"));
        }
        if let Err(fault) = check_path(&request.path) {
            errors.push(plain("requests", format!("request `{name}`: {}", fault.message), &fault.help));
        }
    }
    let of_requests = settings.requests.values().flat_map(|request| request.headers.iter());
    for (name, value) in settings.headers.iter().chain(of_requests) {
        let is_name = hyper::header::HeaderName::try_from(name.as_str()).is_ok();
        let is_value = hyper::header::HeaderValue::try_from(value.0.as_str()).is_ok();
        if !is_name || !is_value {
            let message = format!("`{name}` cannot be a header{}", if is_name { " with this value" } else { "" });
            errors.push(plain("headers", message, "a name of letters and `-`, and a value of one line"));
        }
    }
    errors
}
