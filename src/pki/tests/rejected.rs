//! The folder of refused certificates.

use super::*;

#[test]
fn refused_certificates_are_written_down_slowly_and_at_most_a_hundred() {
    let dir = folder();
    let rejected_dir = dir.path().join("rejected");
    let mut rejected = Rejected::default();
    let count = || fs::read_dir(&rejected_dir).expect("it is there").count() / 2;
    for number in 0..30 {
        rejected.note(&rejected_dir, &rejection(&format!("flood{number}")), 1000).expect("written");
    }
    assert_eq!(count(), 10, "a minute's limit");
    for number in 0..90 {
        rejected.note(&rejected_dir, &rejection(&format!("later{number}")), 2000 + 60 * number).expect("written");
    }
    assert_eq!(count(), 100, "the limit of all");
    let last = rejection("later89");
    for time in [9000, 9001] {
        rejected.note(&rejected_dir, &last, time).expect("written");
    }
    let told = show(dir.path(), &last.certificate.short()).expect("it is there");
    assert!(told.contains("count            3") && told.contains("opcell pki trust"), "{told}");
}

#[test]
fn ten_thousand_different_strangers_leave_room_for_the_newcomer_and_little_work() {
    let dir = folder();
    let rejected_dir = dir.path().join("rejected");
    let mut rejected = Rejected::default();
    let one = rejection("flood");
    let serial = one.certificate.der.windows(5).position(|bytes| bytes == [2, 3, 1, 2, 3]).expect("its number") + 2;
    let stranger = |number: u32, address: [u8; 4]| {
        let mut certificate = (*one.certificate).clone();
        certificate.der[serial..serial + 3].copy_from_slice(&number.to_be_bytes()[1..]);
        certificate.thumbprint = crate::stack::crypto::thumbprint(&certificate.der);
        let (rule, to_trust) = (one.rule.clone(), one.to_trust.clone());
        let address = Some(SocketAddr::from((address, 5)));
        Rejection { certificate: Arc::new(certificate), address, rule, to_trust }
    };
    let names = || -> Vec<String> {
        let entries = fs::read_dir(&rejected_dir).expect("it is there");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    };
    // Eleven hours from one address; another client comes in the middle and is still there at the end.
    let newcomer = rejection("panel");
    for number in 0..10_000 {
        rejected
            .note(&rejected_dir, &stranger(number, [192, 0, 2, 9]), 1_000 + i64::from(number) * 4)
            .expect("written");
        if number == 5_000 {
            let at = 1_000 + i64::from(number) * 4;
            rejected.note(&rejected_dir, &newcomer, at).expect("written");
        }
    }
    assert!(names().iter().any(|name| name.starts_with("panel")), "the newcomer is listed");
    assert!(names().len() <= 200, "{} files", names().len());

    // From a new address each time, within a minute: not all can be listed, and that is said.
    let mut rejected = Rejected::default();
    for number in 0..10_000u32 {
        let [_, a, b, c] = number.to_be_bytes();
        rejected.note(&rejected_dir, &stranger(4_000_000 + number, [10, a, b, c]), 90_000).expect("written");
    }
    assert!(names().len() <= 200, "{} files", names().len());
    assert!(rejected.was_told(), "that some are missing");
}

#[test]
fn a_refusal_is_written_down_although_the_folder_was_deleted() {
    let dir = folder();
    let rejected_dir = dir.path().join("rejected");
    let mut rejected = Rejected::default();
    let refused = rejection("panel");
    for now in [1000, 1001] {
        fs::remove_dir_all(&rejected_dir).expect("it was there");
        rejected.note(&rejected_dir, &refused, now).expect("written");
        let told = show(dir.path(), &refused.certificate.short()).expect("it is there");
        assert!(told.contains("panel"), "{told}");
    }
}
