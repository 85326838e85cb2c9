//! Cancel.

use opcua::StatusCode;
use testkit::request::{cancel, publish};
use testkit::server::{CELL, TestServer};
use testkit::ua::Session;

/// Cancel ends the Publish requests of a handle and returns their number (Part 4 §5.7.5).
#[test]
fn cancel_answers_the_requests_of_a_handle() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    client.subscribe(10_000.0, 1_000, 100);
    let handle = client.send(publish(&[])).expect("sent");
    let cancelling = client.send(cancel(handle)).expect("sent");
    client.client.flush().expect("sent");
    let mut answers = [client.receive().expect("an answer"), client.receive().expect("an answer")];
    answers.sort_by_key(|answer| answer.handle);
    assert_eq!((answers[0].handle, answers[0].result), (handle, StatusCode::BadRequestCancelledByClient));
    assert_eq!((answers[1].handle, answers[1].good().u32()), (cancelling, Ok(1)));
    assert_eq!(client.ask(cancel(77)).cancel_count, 0);
}
