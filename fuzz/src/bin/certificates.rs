//! Certificates, revocation lists and PEM.

fn main() {
    opcell_fuzz::run("certificates", Vec::new(), opcell::testing::pki::fuzz_certificate);
}
