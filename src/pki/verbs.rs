//! The verbs of `opcell pki`: text in, text out. A running server watches the folders, so it sees each change at once.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use super::PkiError;
use super::certificate::Certificate;
use super::folders::{Entry, certificates};
use super::rejected::stem;
use super::text::{hex, printable, when};
use crate::value::UaTime;

/// Every certificate with its folder: `trusted   1a2b3c4d  UaExpert@host  until 2030-…`.
pub fn list(dir: &Path) -> Result<String, PkiError> {
    let now = UaTime::now().unix_seconds();
    let mut text = String::new();
    for folder in super::folders::FOLDERS {
        for Entry { certificate, path } in of_folder(dir, folder)? {
            let state = if certificate.is_valid_at(now) { "until" } else { "NOT VALID; until" };
            let name = printable(certificate.name());
            let (short, end) = (certificate.short(), when(certificate.not_after));
            let why = if folder == "rejected" { why(&path) } else { String::new() };
            writeln!(text, "{folder:9} {short}  {name:40} {state} {end}{why}").expect("text takes every write");
        }
    }
    if text.is_empty() {
        text = format!("no certificates in {}\n", dir.display());
    }
    Ok(text)
}

/// The server's own certificate, which may be followed by its issuers.
fn of_folder(dir: &Path, folder: &str) -> Result<Vec<Entry>, PkiError> {
    if folder != "own" {
        return certificates(&dir.join(folder));
    }
    let path = dir.join("own/certificate.der");
    let chain = match fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(PkiError::io(&path))?,
    };
    let leaf = crate::stack::crypto::certificate::leaf(&chain).and_then(Certificate::parse);
    Ok(leaf.into_iter().map(|leaf| Entry { path: path.clone(), certificate: leaf.into() }).collect())
}

/// The text file of a refused certificate, in one line.
fn why(path: &Path) -> String {
    let Ok(text) = fs::read_to_string(path.with_extension("txt")) else { return String::new() };
    let field = |title: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(title)).unwrap_or_default();
        printable(line.trim())
    };
    let since = field("first ").split('(').nth(1).unwrap_or_default().trim_end_matches(')').to_owned();
    let times = match field("count ") {
        count if count == "1" => "once".to_owned(),
        count => format!("{count} times"),
    };
    format!("\n          since {since}, {times}, last from {}: {}", field("from "), field("rule "))
}

/// Moves a certificate from `rejected` or `revoked` to `trusted`. `which`: part of its name, or the beginning of its
/// thumbprint, or a file that the client's operator handed over.
pub fn trust(dir: &Path, which: &str) -> Result<String, PkiError> {
    if let Some(certificate) = of_file(Path::new(which))? {
        let done = put(dir, "trusted", &certificate)?;
        for folder in ["rejected", "revoked"] {
            take_out(dir, folder, &certificate)?;
        }
        return Ok(done);
    }
    move_one(dir, which, &["rejected", "revoked"], "trusted")
}

/// Removes a certificate from `rejected`; it returns when the client tries again.
pub(crate) fn reject(dir: &Path, which: &str) -> Result<String, PkiError> {
    let entry = select(certificates(&dir.join("rejected"))?, which, "rejected")?;
    remove(&entry, "rejected")?;
    let (short, name) = (entry.certificate.short(), printable(entry.certificate.name()));
    Ok(format!("{short} `{name}` is off the list of refusals\n"))
}

/// Moves a certificate to `revoked`: it is refused even if an authority vouches for it, and its channels are closed. `which` may also
/// be a file, for a client that an issuer vouches for.
pub fn revoke(dir: &Path, which: &str) -> Result<String, PkiError> {
    if let Some(certificate) = of_file(Path::new(which))? {
        return put(dir, "revoked", &certificate);
    }
    move_one(dir, which, &["trusted", "rejected"], "revoked")
}

/// Puts a person's certificate among those that may log in, as NAME.der; returns that name of the file.
pub(crate) fn add_user(dir: &Path, name: &str, from: &Path) -> Result<String, PkiError> {
    let certificate = read_one(from)?;
    if !certificate.is_valid_at(UaTime::now().unix_seconds()) {
        let span = format!("{} to {}", when(certificate.not_before), when(certificate.not_after));
        return Err(PkiError::refused(from, format!("is valid from {span}, not now")));
    }
    let folder = dir.join("users");
    fs::create_dir_all(&folder).map_err(PkiError::io(&folder))?;
    let plain = |c: char| if c.is_alphanumeric() || c == '-' || c == '_' { c } else { '_' };
    let file = format!("{}.der", name.chars().map(plain).collect::<String>());
    let path = folder.join(&file);
    let known = certificates(&folder)?;
    if let Some(other) = known.iter().find(|entry| entry.certificate.thumbprint == certificate.thumbprint) {
        // Left by an attempt that came no further.
        if other.path == path && other.certificate.der == certificate.der {
            return Ok(file);
        }
        return Err(PkiError::refused(&other.path, "holds this certificate already; one certificate is one person"));
    }
    if path.exists() {
        return Err(PkiError::refused(&path, "is there already with another certificate; remove it first"));
    }
    super::folders::write(&path, &certificate.der).map_err(PkiError::io(&path))?;
    Ok(file)
}

/// The first certificate of a file.
fn read_one(file: &Path) -> Result<Certificate, PkiError> {
    let bytes = fs::read(file).map_err(PkiError::io(file))?;
    let found = super::folders::ders(&bytes).iter().find_map(|der| Certificate::parse(der));
    found.ok_or_else(|| PkiError::refused(file, "holds no certificate"))
}

/// `None`: there is no such file.
fn of_file(file: &Path) -> Result<Option<Certificate>, PkiError> {
    if file.is_file() { read_one(file).map(Some) } else { Ok(None) }
}

/// The server's own certificate, for clients that want it in their trust list: DER, or PEM for `.pem` and `.crt`.
pub(crate) fn export(dir: &Path, to: &Path) -> Result<String, PkiError> {
    let own = dir.join("own/certificate.der");
    let chain = fs::read(&own).map_err(PkiError::io(&own))?;
    let leaf = crate::stack::crypto::certificate::leaf(&chain)
        .ok_or_else(|| PkiError::refused(&own, "is not a certificate in DER"))?;
    let is_text = to.extension().is_some_and(|end| end == "pem" || end == "crt");
    let bytes = if is_text { pem("CERTIFICATE", leaf).into_bytes() } else { leaf.to_vec() };
    let mut file = fs::File::options().write(true).create_new(true).open(to).map_err(PkiError::io(to))?;
    file.write_all(&bytes).map_err(PkiError::io(to))?;
    Ok(format!("the server's certificate is in {}; put it among the client's trusted ones\n", to.display()))
}

pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let text = base64(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// RFC 4648 §4.
pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

pub(crate) fn show(dir: &Path, which: &str) -> Result<String, PkiError> {
    let mut all = Vec::new();
    for folder in super::folders::FOLDERS {
        all.extend(of_folder(dir, folder)?);
    }
    let entry = select(all, which, "pki folder")?;
    let mut text = format!("{:16} {}\n{}", "file", entry.path.display(), entry.certificate.describe());
    let why = entry.path.with_extension("txt");
    if why.exists() {
        let rejected = fs::read_to_string(&why).map_err(PkiError::io(&why))?;
        text.extend(["\n", rejected.split("\n\n").next().unwrap_or_default(), "\n"]);
    }
    Ok(text)
}

fn move_one(dir: &Path, which: &str, from: &[&str], to: &str) -> Result<String, PkiError> {
    let mut all = Vec::new();
    for folder in from {
        all.extend(certificates(&dir.join(folder))?);
    }
    let entry = select(all, which, &from.join(" or "))?;
    let done = put(dir, to, &entry.certificate)?;
    // It may lie in both.
    for folder in from {
        take_out(dir, folder, &entry.certificate)?;
    }
    Ok(done)
}

fn take_out(dir: &Path, folder: &str, certificate: &Certificate) -> Result<(), PkiError> {
    let entries = certificates(&dir.join(folder))?;
    entries
        .iter()
        .filter(|other| other.certificate.thumbprint == certificate.thumbprint)
        .try_for_each(|other| remove(other, folder))
}

fn put(dir: &Path, folder: &str, certificate: &Certificate) -> Result<String, PkiError> {
    let target = dir.join(folder);
    fs::create_dir_all(&target).map_err(PkiError::io(&target))?;
    let file = stem(&target, certificate).with_extension("der");
    super::folders::write(&file, &certificate.der).map_err(PkiError::io(&file))?;
    Ok(format!("{} `{}` is now {folder} ({})\n", certificate.short(), printable(certificate.name()), file.display()))
}

/// Removes the file that the certificate came from, unless others are in it.
fn remove(entry: &Entry, from: &str) -> Result<(), PkiError> {
    let folder = entry.path.parent().unwrap_or(&entry.path);
    let others = certificates(folder)?.iter().filter(|other| other.path == entry.path).count();
    if others > 1 {
        let what = format!("holds other certificates too; remove this one from it by hand to take it out of {from}/");
        return Err(PkiError::refused(&entry.path, what));
    }
    fs::remove_file(&entry.path).map_err(PkiError::io(&entry.path))?;
    let text = entry.path.with_extension("txt");
    if text.exists() {
        fs::remove_file(&text).map_err(PkiError::io(&text))?;
    }
    Ok(())
}

/// The one certificate that `which` means.
fn select(entries: Vec<Entry>, which: &str, place: &str) -> Result<Entry, PkiError> {
    let wanted = which.trim().to_lowercase();
    let is_meant = |entry: &Entry| {
        let file = entry.path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        let digits = wanted.replace([':', ' '], "");
        (digits.len() >= 4 && hex(&entry.certificate.thumbprint).starts_with(&digits))
            || entry.certificate.name().to_lowercase().contains(&wanted)
            || file == wanted
    };
    let mut found: Vec<Entry> = entries.into_iter().filter(|entry| !wanted.is_empty() && is_meant(entry)).collect();
    let first = found.first().map(|entry| entry.certificate.thumbprint);
    if found.iter().any(|entry| Some(entry.certificate.thumbprint) != first) {
        let names = found
            .iter()
            .map(|entry| format!("{} `{}`", entry.certificate.short(), printable(entry.certificate.name())));
        let names = names.collect::<Vec<_>>().join(", ");
        return Err(PkiError::Selection(format!("`{which}` means several in {place}: {names}; give the eight digits")));
    }
    match found.is_empty() {
        false => Ok(found.swap_remove(0)),
        true => Err(PkiError::Selection(format!("no certificate in {place} is `{which}`; see: opcell pki list"))),
    }
}
