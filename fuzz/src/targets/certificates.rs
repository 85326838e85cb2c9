//! Certificates, revocation lists and PEM.

pub(super) fn run() {
    opcell_fuzz::run("certificates", Vec::new(), opcell::testing::pki::fuzz_certificate);
}
