//! Refusals of a PLC, and the statuses and reasons of their tags.

use std::sync::atomic::Ordering;

use opcell::value::Value;
use opcua::StatusCode;
use testkit::logix::{DINT, Logix, mark};
use testkit::plc::Faults;
use testkit::until::until_async;

use super::{start, why};

#[tokio::test(flavor = "multi_thread")]
async fn a_status_of_a_tag_is_that_tags_alone() {
    let config = StatusCode::BadConfigurationError;
    for (code, status, words) in [
        ((0x04, 0), config, "T0: the PLC has no such tag or member, or its External Access is None (status 0x04)"),
        ((0x05, 0), config, "T0: the PLC has no such tag or member, or its External Access is None (status 0x05)"),
        ((0x08, 0), config, "T0: the PLC does not support this service here (status 0x08)"),
        ((0xff, 0x2105), config, "T0: the array ends before; no such element (status 0xff/0x2105)"),
        ((0xff, 0x2107), config, "T0: the PLC has another type there (status 0xff/0x2107)"),
        (
            (0x0f, 0),
            StatusCode::BadUserAccessDenied,
            "T0: the PLC allows no access; look at External Access of the tag (status 0x0f)",
        ),
        (
            (0x0c, 0),
            StatusCode::BadDeviceFailure,
            "T0: the PLC reports a fault, or is in the wrong state (status 0x0c)",
        ),
        (
            (0x10, 0),
            StatusCode::BadDeviceFailure,
            "T0: the PLC reports a fault, or is in the wrong state (status 0x10)",
        ),
        ((0x02, 0), StatusCode::BadResourceUnavailable, "T0: the PLC is busy (status 0x02)"),
        ((0x77, 3), StatusCode::BadDeviceFailure, "T0: the PLC refuses it (status 0x77/0x0003)"),
    ] {
        let plc = Logix::new(3);
        plc.codes.lock().expect("lock").insert("T0".to_owned(), code);
        let listening = plc.listen(Faults::none()).await;
        let bench = start(
            listening.port,
            "
            A: { type: Int32, source: { address: t0, write: true } }
            B: { type: Int32, source: T1 }
            C: { type: Boolean, array: 2, source: T0 }
            ",
        );
        let sample = bench.until_status(0, status).await;
        assert!(sample.value.is_null());
        assert_eq!(why(&bench, 0), words.replace("T0", "t0"));
        assert_eq!(bench.write(0, &Value::Int32(1)).await, status, "{code:x?}");
        assert_eq!(bench.until_status(1, StatusCode::Good).await.value, Value::Int32(mark(1)));
        bench.until_status(2, status).await;
        plc.codes.lock().expect("lock").clear();
        bench.until_status(0, StatusCode::Good).await;
        bench.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_absent_tags_cost_the_others_nothing() {
    let plc = Logix::new(100);
    let listening = plc.listen(Faults::none()).await;
    let nodes: String = (0..200).map(|at| format!("T{at}: {{ type: Int32, source: T{at} }}\n")).collect();
    let bench = start(listening.port, &nodes);
    for tag in 0..200 {
        let status = if tag < 100 { StatusCode::Good } else { StatusCode::BadConfigurationError };
        bench.until_status(tag, status).await;
    }
    // One request a scan, as if all were there.
    plc.take_asked();
    let before = plc.requests.load(Ordering::Relaxed);
    until_async("some scans", || plc.requests.load(Ordering::Relaxed) > before + 5).await;
    assert!(plc.take_asked().iter().all(|service| service[0] == 0x0a), "batches alone");
    plc.set("T150", DINT, &[1], &7_i32.to_le_bytes());
    bench.until(150, "there after a download", |sample| sample.value == Value::Int32(7)).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plc_without_batches_is_read_tag_by_tag() {
    let plc = Logix::new(8);
    plc.lacks.lock().expect("lock").push(0x0a);
    let listening = plc.listen(Faults::none()).await;
    let nodes: String = (0..8).map(|at| format!("T{at}: {{ type: Int32, source: T{at} }}\n")).collect();
    let bench = start(listening.port, &nodes);
    for tag in 0..8 {
        assert_eq!(bench.until_status(tag, StatusCode::Good).await.value, Value::Int32(mark(tag)));
    }
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_plc_keeps_its_values_for_a_while() {
    let plc = Logix::new(2);
    let listening = plc.listen(Faults::none()).await;
    let bench = start(listening.port, "A: { type: Int32, source: T0 }\nB: { type: Int32, source: T1 }");
    bench.until_status(0, StatusCode::Good).await;
    *plc.batch_code.lock().expect("lock") = Some((2, 0));
    bench.until_status(0, StatusCode::UncertainLastUsableValue).await;
    bench.until_status(0, StatusCode::BadResourceUnavailable).await;
    *plc.batch_code.lock().expect("lock") = None;
    bench.until_status(0, StatusCode::Good).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_without_a_cpu_is_said_in_words() {
    for largest in [4_000, 0] {
        let plc = Logix::new(1);
        *plc.largest.lock().expect("lock") = largest;
        plc.has_no_cpu.store(true, Ordering::Relaxed);
        let listening = plc.listen(Faults::none()).await;
        let bench = start(listening.port, "A: { type: Int32, source: T0 }");
        bench.until_status(0, StatusCode::BadNotConnected).await;
        let words = "no CPU by path 1,0 (status 0x01/0x0312); check `slot` or `path`";
        until_async("the connection says it", || bench.links[0].snapshot().last_error.contains(words)).await;
        plc.has_no_cpu.store(false, Ordering::Relaxed);
        bench.until_status(0, StatusCode::Good).await;
        if largest == 0 {
            // Taken out of the chassis while the module answers on.
            plc.has_no_cpu.store(true, Ordering::Relaxed);
            bench.until(0, "Bad", |sample| sample.status.is_bad()).await;
        }
        bench.stop().await;
    }
}
