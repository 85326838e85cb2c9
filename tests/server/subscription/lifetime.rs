//! Lifetime and publishing interval of a subscription.

use opcua::{ModifySubscriptionRequest, StatusCode};
use testkit::server::{CELL, TestServer};
use testkit::ua::Session;
use testkit::until;

/// A subscription without Publish requests ends after its lifetime, and its session is notified at its next Publish.
#[test]
fn a_subscription_without_publish_requests_ends_with_bad_timeout() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(20.0, 3, 1);
    until("it ends", || server.server.subscriptions.get(subscription).is_none());
    let told = client.publish(&[]).expect("a message");
    assert_eq!((told.subscription, told.status_change), (subscription, Some(StatusCode::BadTimeout)));
    assert_eq!(client.publish(&[]).err(), Some(StatusCode::BadNoSubscription));
}

/// A shorter publishing interval takes effect at once, not when the longer one is over.
#[test]
fn a_changed_publishing_interval_begins_at_once() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(3_600_000.0, 3, 1);
    client.ask(ModifySubscriptionRequest {
        subscription_id: subscription,
        requested_publishing_interval: 50.0,
        requested_lifetime_count: 1_000,
        requested_max_keep_alive_count: 1,
        ..ModifySubscriptionRequest::default()
    });
    assert_eq!(client.publish(&[]).expect("a message").subscription, subscription);
}
