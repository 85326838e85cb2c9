//! Refusals of a PLC, and the statuses and reasons of their tags.

use std::sync::atomic::Ordering;
use std::time::Duration;

use opcell::testing::model::TagId;
use opcell::value::Value;
use opcua::StatusCode;
use testkit::plant::Bench;
use testkit::plc::{Faults, Plc, mark};
use testkit::until::until_async;

use super::start;

fn why(bench: &Bench, tag: u32) -> String {
    bench.tags.reason(TagId(tag)).map_or(String::new(), |why| why.to_string())
}

fn word(db: u16, at: u32) -> Value {
    Value::UInt16(u16::from_be_bytes([mark(db, at), mark(db, at + 1)]))
}

const PUT_GET: &str =
    "PUT/GET is off: allow it under Protection, or read the PLC through its own OPC UA server (driver opcua)";

#[tokio::test(flavor = "multi_thread")]
async fn a_code_of_an_item_is_the_status_of_its_tag() {
    for (code, status, words) in [
        (0x01, StatusCode::BadDeviceFailure, "MW0: the PLC reports a hardware fault (code 0x01)"),
        (0x03, StatusCode::BadUserAccessDenied, "MW0: the PLC allows no access (code 0x03); PUT/GET is off"),
        (0x05, StatusCode::BadConfigurationError, "MW0: the PLC has no such address (code 0x05)"),
        (0x06, StatusCode::BadConfigurationError, "MW0: the PLC does not support this type here (code 0x06)"),
        (0x07, StatusCode::BadConfigurationError, "MW0: the PLC has another type here (code 0x07)"),
        (0x0a, StatusCode::BadConfigurationError, "MW0: the PLC has no such address (code 0x0a)"),
        (0x55, StatusCode::BadDeviceFailure, "MW0: the PLC answers code 0x55"),
    ] {
        let plc = Plc::new();
        plc.codes.lock().expect("lock").insert((0x83, 0), code);
        let listening = plc.listen(Faults::none()).await;
        let bench = start(
            listening.port,
            "A: { type: UInt16, source: { address: MW0, write: true } }\nB: { type: UInt16, source: DB1.DBW0 }",
        );
        let sample = bench.until_status(0, status).await;
        assert!(sample.value.is_null());
        assert!(why(&bench, 0).starts_with(words), "{}", why(&bench, 0));
        assert_eq!(bench.write(0, &Value::UInt16(1)).await, status, "{code:#x}");
        assert_eq!(bench.until_status(1, StatusCode::Good).await.value, word(1, 0));
        plc.codes.lock().expect("lock").clear();
        bench.until_status(0, StatusCode::Good).await;
        bench.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_db_says_what_may_be_the_cause() {
    let plc = Plc::new();
    plc.codes.lock().expect("lock").insert((0x84, 10), 0x0a);
    let listening = plc.listen(Faults::none()).await;
    let nodes: String = (0..200).map(|at| format!("T{at}: {{ type: UInt16, source: DB10.DBW{} }}\n", at * 6)).collect();
    let bench = start(listening.port, &format!("{nodes}Other: {{ type: UInt16, source: DB1.DBW0 }}"));
    for tag in 0..200 {
        bench.until_status(tag, StatusCode::BadConfigurationError).await;
        let words = format!("DB10.DBW{}: DB10 is absent, shorter, or has optimised access (code 0x0a)", tag * 6);
        assert_eq!(why(&bench, tag), words);
    }
    bench.until_status(200, StatusCode::Good).await;
    // Found out once: from then on the block costs as many items as if it were there.
    plc.take_asked();
    let before = plc.requests.load(Ordering::Relaxed);
    until_async("ten scans", || plc.requests.load(Ordering::Relaxed) > before + 50).await;
    let asked = plc.take_asked();
    let items: usize = asked.iter().map(Vec::len).sum();
    assert!(items < asked.len() * 3, "{items} items in {} requests", asked.len());
    // After a download into the PLC it is back with the next scan.
    plc.codes.lock().expect("lock").clear();
    for tag in 0..200 {
        assert_eq!(bench.until_status(tag, StatusCode::Good).await.value, word(10, tag * 6));
    }
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_wrong_address_costs_its_neighbours_nothing_and_comes_back() {
    let plc = Plc::new();
    // Modules at bytes 0 to 29 and 32 to 63.
    *plc.holes.lock().expect("lock") = vec![30, 31];
    let listening = plc.listen(Faults::none()).await;
    let nodes: String = (0..32).map(|at| format!("T{at}: {{ type: UInt16, source: PIW{} }}\n", at * 2)).collect();
    let bench = start(listening.port, &nodes);
    for tag in 0..32 {
        let status = if tag == 15 { StatusCode::BadDeviceFailure } else { StatusCode::Good };
        bench.until_status(tag, status).await;
    }
    plc.take_asked();
    let before = plc.requests.load(Ordering::Relaxed);
    until_async("five scans", || plc.requests.load(Ordering::Relaxed) > before + 5).await;
    let asked = plc.take_asked();
    assert!(asked.iter().all(|items| items.len() < 12), "the cut is remembered, one request a scan: {asked:?}");
    plc.holes.lock().expect("lock").clear();
    bench.until_status(15, StatusCode::Good).await;
    plc.take_asked();
    until_async("it is whole again", || plc.take_asked().last().is_some_and(|items| items.len() == 1)).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn put_get_that_is_off_is_said_in_words() {
    let plc = Plc::new();
    *plc.error.lock().expect("lock") = Some(0x8104);
    let listening = plc.listen(Faults::none()).await;
    let nodes = "A: { type: UInt16, source: { address: MW0, write: true } }\nB: { type: UInt16, source: DB1.DBW0 }";
    let bench = start(listening.port, nodes);
    for tag in [0, 1] {
        bench.until_status(tag, StatusCode::BadUserAccessDenied).await;
        assert_eq!(why(&bench, tag), format!("the PLC refuses the request (error 0x8104); {PUT_GET}"));
    }
    assert_eq!(bench.write(0, &Value::UInt16(1)).await, StatusCode::BadUserAccessDenied);
    *plc.error.lock().expect("lock") = None;
    bench.until_status(0, StatusCode::Good).await;
    bench.stop().await;

    plc.hangs_up.store(true, Ordering::Relaxed);
    let bench = start(listening.port, nodes);
    until_async("the connection says it", || bench.links[0].snapshot().last_error.contains(PUT_GET)).await;
    plc.hangs_up.store(false, Ordering::Relaxed);
    bench.until_status(0, StatusCode::Good).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_rack_and_slot_is_said_in_words() {
    let plc = Plc::new();
    plc.refuses.store(true, Ordering::Relaxed);
    let listening = plc.listen(Faults::none()).await;
    let bench = start(listening.port, "A: { type: UInt16, source: MW0 }");
    bench.until_status(0, StatusCode::BadNotConnected).await;
    let words = "refuses the connection for TSAP 02.01; check `rack`, `slot`, `resource` or `remote_tsap`";
    until_async("the connection says it", || bench.links[0].snapshot().last_error.contains(words)).await;
    plc.refuses.store(false, Ordering::Relaxed);
    bench.until_status(0, StatusCode::Good).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_refused_as_a_whole_is_halved() {
    let plc = Plc::new();
    *plc.error.lock().expect("lock") = Some(0x8500);
    let listening = plc.listen(Faults::none()).await;
    let nodes: String = (0..8).map(|at| format!("T{at}: {{ type: UInt16, source: DB1.DBW{} }}\n", at * 100)).collect();
    let bench = start(listening.port, &nodes);
    for tag in 0..8 {
        bench.until_status(tag, StatusCode::BadConfigurationError).await;
    }
    tokio::time::timeout(Duration::from_secs(5), bench.stop()).await.expect("it stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_closed_at_once_has_its_causes_in_words() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let closing = tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let bench = start(port, "A: { type: UInt16, source: MW0 }");
    bench.until_status(0, StatusCode::BadNotConnected).await;
    let says = |words: &str| bench.links[0].snapshot().last_error.contains(words);
    until_async("both causes are named", || says("check `rack`, `slot`") && says(PUT_GET)).await;
    closing.abort();
    bench.stop().await;
}
