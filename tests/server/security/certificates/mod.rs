//! Every way in which a certificate can be wrong, on the wire and in the log; and the table of them in
//! docs/security.md.

mod cases;
pub(crate) mod made;
mod restricted;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use opcell::testing::pki::{Pki, Suppressed};
use opcell::testing::stack::channel::{Caller, CertificateCheck};
use opcell::testing::stack::crypto::Policy;
use opcua::StatusCode;

use cases::{Case, Tried};
use testkit::server;
use testkit::server::TestServer;

const POLICY: Policy = Policy::Basic256Sha256;

fn write(pki: &Path, cases: &[Case]) {
    for (n, case) in cases.iter().enumerate() {
        for (part, (folder, bytes)) in case.files.iter().enumerate() {
            let folder = pki.join(folder);
            fs::create_dir_all(&folder).expect("a folder");
            fs::write(folder.join(format!("{n}-{part}.der")), bytes).expect("written");
        }
    }
}

fn clause(tried: Tried) -> &'static str {
    match tried {
        Tried::Structure => "Certificate Structure",
        Tried::Chain => "Build Certificate Chain",
        Tried::Signature => "Signature",
        Tried::Policy => "Security Policy Check",
        Tried::Trust => "Trust List Check",
        Tried::Validity => "Validity Period",
        Tried::Uri => "URI",
        Tried::Usage => "Certificate Usage",
        Tried::FindList => "Find Revocation List",
        Tried::Revocation => "Revocation Check",
    }
}

#[test]
fn every_wrong_certificate_has_its_code_in_the_log_and_the_one_shown_to_the_client() {
    let dir = tempfile::tempdir().expect("a folder");
    let cases = cases::all(dir.path());
    assert!(cases.len() >= 80, "only {}", cases.len());
    write(&dir.path().join("pki"), &cases);
    let pki = Pki::open(&dir.path().join("pki"), Suppressed::default()).expect("folders are read");
    let mut wrong = Vec::new();
    for case in &cases {
        let told = pki.check_client(&case.sent, &Caller { address: None, policy: POLICY }).err();
        let found = told.as_ref().map(|refusal| (refusal.code, refusal.status));
        if found != case.refused {
            wrong.push(format!("{}: wanted {:?}, found {told:?}", case.name, case.refused));
        }
        if let Some(refusal) = told {
            assert!(refusal.rule.contains(&refusal.code.to_string()), "{}: {}", case.name, refusal.rule);
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    check_page(&cases);
}

#[test]
fn a_list_that_does_not_count_is_named_with_its_file_and_the_reason() {
    for (case, why) in restricted::lists() {
        let dir = tempfile::tempdir().expect("a folder");
        write(&dir.path().join("pki"), std::slice::from_ref(&case));
        let pki = Pki::open(&dir.path().join("pki"), Suppressed::default()).expect("folders are read");
        let told = pki.check_client(&case.sent, &Caller { address: None, policy: POLICY }).err();
        let code = told.as_ref().map(|refusal| refusal.code);
        assert_eq!(code, case.refused.map(|(code, _)| code), "{}", case.name);
        let rule = told.map(|refusal| refusal.rule).unwrap_or_default();
        let is_named = rule.contains("trusted/0-") || rule.contains("issuers/0-");
        assert!(why.is_empty() || is_named && rule.contains(why), "{}: {rule}", case.name);
    }
}

/// The table in docs/security.md; `UPDATE=1 cargo test` writes it again.
fn check_page(cases: &[Case]) {
    const BEGIN: &str = "<!-- certificates: begin -->\n";
    const END: &str = "<!-- certificates: end -->";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/security.md");
    let page = fs::read_to_string(&path).expect("docs/security.md");
    let (before, rest) = page.split_once(BEGIN).expect("where the table begins");
    let (_, after) = rest.split_once(END).expect("where it ends");
    let mut table = String::from(
        "| step of Part 4 §6.1.3 | certificate | log and audit | told to the client |\n|---|---|---|---|\n",
    );
    for case in cases {
        let (code, wire) = match case.refused {
            None => ("-".to_owned(), "comes in".to_owned()),
            Some((code, wire)) => (code.to_string(), wire.to_string()),
        };
        table.push_str(&format!("| {} | {} | {code} | {wire} |\n", clause(case.tried), case.name));
    }
    let wanted = format!("{before}{BEGIN}{table}{END}{after}");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, wanted).expect("written");
    } else {
        assert!(page == wanted, "the table in docs/security.md is not current; run UPDATE=1 cargo test");
    }
}

/// Hello and an OpenSecureChannel with this certificate; the status of the Error that comes back.
fn knock(address: std::net::SocketAddr, certificate: &[u8], own: &[u8]) -> StatusCode {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    let url = format!("opc.tcp://{address}");
    let text = |out: &mut Vec<u8>, bytes: &[u8]| {
        out.extend(u32::try_from(bytes.len()).expect("short").to_le_bytes());
        out.extend_from_slice(bytes);
    };
    let mut hello = Vec::new();
    for number in [0u32, 65_536, 65_536, 0, 0] {
        hello.extend(number.to_le_bytes());
    }
    text(&mut hello, url.as_bytes());
    let mut open = 0u32.to_le_bytes().to_vec();
    text(&mut open, POLICY.uri().as_bytes());
    text(&mut open, certificate);
    text(&mut open, &opcell::testing::stack::crypto::thumbprint(own));
    open.extend([7; 256]);
    for (kind, body) in [(b"HELF", &hello), (b"OPNF", &open)] {
        let mut message = kind.to_vec();
        message.extend(u32::try_from(body.len() + 8).expect("short").to_le_bytes());
        message.extend_from_slice(body);
        // The server may refuse before it has read all of it.
        drop(stream.write_all(&message));
        let mut header = [0; 8];
        // A connection too many is closed, mostly with a word.
        if stream.read_exact(&mut header).is_err() {
            return StatusCode::BadTcpServerTooBusy;
        }
        let length = u32::from_le_bytes(header[4..].try_into().expect("four")) as usize - 8;
        let mut body = vec![0; length];
        stream.read_exact(&mut body).expect("its body");
        if &header[..4] == b"ERRF" {
            return StatusCode::from(u32::from_le_bytes(body[..4].try_into().expect("four")));
        }
    }
    panic!("no refusal");
}

/// Again while the server answers that one address opens too many connections in a short time.
fn patiently(attempt: impl Fn() -> StatusCode) -> StatusCode {
    let began = std::time::Instant::now();
    loop {
        let told = attempt();
        if told != StatusCode::BadTcpServerTooBusy || began.elapsed() > Duration::from_secs(20) {
            return told;
        }
        std::thread::yield_now();
    }
}

#[test]
fn each_client_learns_only_what_it_may_know() {
    let dir = tempfile::tempdir().expect("a folder");
    let made = tempfile::tempdir().expect("a folder");
    let cases = cases::all(made.path());
    write(&dir.path().join("pki"), &cases);
    // A file of 10 MB next to the others is skipped.
    fs::write(dir.path().join("pki/trusted/large.der"), vec![0x30; 10 << 20]).expect("written");
    fs::write(dir.path().join("cell.yaml"), server::CELL).expect("written");
    let server = TestServer::start_with(dir);
    let own = fs::read(server.dir().join("pki/own/certificate.der")).expect("its certificate");
    for case in &cases {
        let told = patiently(|| knock(server.address, &case.sent, &own));
        // Who may come in is stopped by the next check: the message is not made with its key.
        let wanted = case.refused.map_or(StatusCode::BadSecurityChecksFailed, |(_, wire)| wire);
        // A certificate that is not there at all, or of an endless length, is no certificate to the message itself.
        let is_unread = matches!(told, StatusCode::BadSecurityChecksFailed | StatusCode::BadCertificateInvalid);
        assert!(told == wanted || case.tried == Tried::Structure && is_unread, "{}: {told}, not {wanted}", case.name);
    }
    let large = vec![0x30; 10 << 20];
    let told = patiently(|| knock(server.address, &large, &own));
    assert!(told.is_bad(), "{told}");
}

#[test]
fn a_suppressed_step_lets_its_own_fault_through_and_no_other() {
    let dir = tempfile::tempdir().expect("a folder");
    let cases = cases::all(dir.path());
    write(&dir.path().join("pki"), &cases);
    let none = Suppressed::default();
    for (suppressed, code) in [
        (Suppressed { time: true, ..none }, StatusCode::BadCertificateTimeInvalid),
        (Suppressed { issuer_time: true, ..none }, StatusCode::BadCertificateIssuerTimeInvalid),
        (Suppressed { usage: true, ..none }, StatusCode::BadCertificateUseNotAllowed),
        (Suppressed { revocation_unknown: true, ..none }, StatusCode::BadCertificateRevocationUnknown),
        (Suppressed { issuer_revocation_unknown: true, ..none }, StatusCode::BadCertificateIssuerRevocationUnknown),
    ] {
        let pki = Pki::open(&dir.path().join("pki"), suppressed).expect("folders are read");
        for case in cases.iter().filter(|case| case.refused.is_some()) {
            let told = pki.check_client(&case.sent, &Caller { address: None, policy: POLICY }).err();
            let still = told.map(|refusal| refusal.code);
            let was = case.refused.map(|(code, _)| code);
            if was == Some(code) {
                // Without its list, the list of its issuer is looked for next.
                let next = Some(StatusCode::BadCertificateIssuerRevocationUnknown);
                assert!(still.is_none() || still == next, "{}: {still:?} with {suppressed:?}", case.name);
            } else {
                assert_eq!(still, was, "{} with {suppressed:?}", case.name);
            }
        }
    }
}
