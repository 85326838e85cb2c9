//! Certificates, trust, handshakes and logins.

pub(crate) mod certificates;
mod handshakes;
mod logins;
mod offered;
mod own_certificate;
mod proof;
mod trust;
