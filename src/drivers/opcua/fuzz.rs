//! Any bytes as a server's response.

use opcua::StatusCode;

use super::address::{Address, written};
use super::attributes::{read_values, read_written};
use super::browse::{read_browsed, read_browsed_next};
use super::discovery::read_get_endpoints;
use super::items::{read_deleted, read_items, read_subscription, read_transferred};
use super::login::{read_activated, read_created};
use super::message::{self, DELETE_ITEMS, Response, Service};
use super::publish::{Notifications, read_published, read_republished};
use super::seen;
use super::view::read_translated;
use crate::stack::codec::{IdRef, LocalizedTextRef, NodeIdRef, QualifiedNameRef, Writer};
use crate::stack::crypto::Policy;
use crate::value::{UaTime, Value};

/// Reads the bytes as each response that this client knows. The first byte is the number of operations.
pub fn fuzz_responses(bytes: &[u8]) {
    let Some((&count, body)) = bytes.split_first() else { return };
    let count = usize::from(count);
    drop(Response::read(body));
    drop(read_get_endpoints(body));
    drop((read_created(body), read_activated(body)));
    let values = read_values(body, count).unwrap_or_default();
    values.iter().filter_map(|read| read.value.as_ref()).for_each(seen::fuzz);
    drop((values, read_written(body)));
    let namespaces = ["http://opcfoundation.org/UA/".to_owned(), "urn:x".to_owned()];
    drop(read_translated(body, count, &namespaces));
    let browsed = [read_browsed(body, count, &namespaces), read_browsed_next(body, count, &namespaces)];
    for reference in browsed.into_iter().flatten().flatten().flat_map(|one| one.all) {
        if let Some(address) = written(&reference.node, &namespaces) {
            Address::parse(&address, None).expect("an address that is written can be read");
        }
    }
    drop((read_subscription(body), read_items(body, count), read_deleted(body, DELETE_ITEMS, count)));
    drop(read_transferred(body, count));
    for message in
        [read_published(body).map(|published| published.message), read_republished(body)].into_iter().flatten()
    {
        let mut said = 0;
        // A value takes five bytes or more.
        let mut notifications = Notifications::new(message.bytes);
        while let Ok(Some(_)) = notifications.next() {
            said += 1;
        }
        assert!(said * 4 <= message.bytes.len(), "{said}");
    }
    if let Ok(text) = std::str::from_utf8(body) {
        check_address(text);
    }
}

/// A refused address names a part of itself.
fn check_address(text: &str) {
    if let Err(error) = Address::parse(text, None) {
        assert!(text.get(error.at.clone()).is_some(), "{:?} of {text:?}", error.at);
    }
}

/// Responses of a listing.
fn listed() -> [Vec<u8>; 2] {
    let browsed = response(message::BROWSE, |out| {
        out.count(1);
        out.status(StatusCode::Good);
        out.bytes(Some(&[1, 2]));
        out.count(1);
        out.node_id(NodeIdRef::numeric(0, 46));
        out.bool(true);
        out.node_id(NodeIdRef::string(1, "Speed"));
        out.qualified_name(QualifiedNameRef { namespace: 0, name: Some("EURange") });
        out.localized_text(LocalizedTextRef { locale: None, text: Some("Speed") });
        out.i32(2);
        out.node_id(NodeIdRef::numeric(0, 68));
    });
    let read = response(message::READ, |out| {
        out.count(1);
        out.u8(1);
        out.u8(22);
        out.extension_object(886, |out| {
            out.f64(0.0);
            out.f64(100.0);
        });
    });
    [browsed, read]
}

/// Well-formed responses to begin with, and some addresses.
pub fn fuzz_seeds() -> Vec<Vec<u8>> {
    let addresses = ["nsu=urn:m;s=Speed", "m:g=72962b91-fa75-4ae6-8d28-b404dc7daf63", "/Objects/2:a&/b/c", "ns=2;i=7"];
    let mut all: Vec<Vec<u8>> = addresses.iter().map(|text| [&[1], text.as_bytes()].concat()).collect();
    let status = |out: &mut Writer| out.status(StatusCode::Good);
    let value = |out: &mut Writer| {
        out.data_value(&Value::Double(1.5), StatusCode::from(0x480), Some(UaTime(132_000_000_000_000_000)), None);
    };
    let message = |out: &mut Writer| {
        out.u32(7);
        out.time(UaTime(1));
        out.count(2);
        out.extension_object(811, |out| {
            out.count(2);
            for handle in [3, 4] {
                out.u32(handle);
                value(out);
            }
            out.null_array();
        });
        out.extension_object(820, |out| {
            out.status(StatusCode::BadTimeout);
            out.u8(0);
        });
    };
    all.push(response(message::GET_ENDPOINTS, endpoints));
    all.push(response(message::CREATE_SESSION, |out| {
        out.node_id(NodeIdRef::numeric(1, 5));
        out.node_id(NodeIdRef { namespace: 0, id: IdRef::Opaque(&[7; 32]) });
        out.f64(30_000.0);
        out.bytes(Some(&[9; 32]));
        out.bytes(Some(&[0x30, 0]));
        endpoints(out);
        out.null_array();
        out.string(None);
        out.bytes(Some(&[1; 8]));
        out.u32(0);
    }));
    all.push(response(message::ACTIVATE_SESSION, |out| out.bytes(Some(&[9; 32]))));
    all.push(response(message::READ, |out| {
        out.count(1);
        value(out);
    }));
    all.push(response(message::WRITE, |out| {
        out.count(1);
        status(out);
    }));
    all.push(response(message::TRANSLATE, |out| {
        out.count(1);
        status(out);
        out.count(1);
        out.node_id(NodeIdRef::numeric(2, 70_000));
        out.u32(u32::MAX);
    }));
    all.extend(listed());
    all.push(response(message::CREATE_SUBSCRIPTION, |out| {
        out.u32(1);
        out.f64(500.0);
        out.u32(100);
        out.u32(4);
    }));
    all.push(response(message::CREATE_ITEMS, |out| {
        out.count(1);
        status(out);
        out.u32(5);
        out.f64(100.0);
        out.u32(10);
        out.null_extension_object();
    }));
    all.push(response(message::TRANSFER, |out| {
        out.count(1);
        status(out);
        out.count(1);
        out.u32(3);
    }));
    all.push(response(message::PUBLISH, |out| {
        out.u32(1);
        out.count(1);
        out.u32(7);
        out.bool(false);
        message(out);
    }));
    all.push(response(message::REPUBLISH, message));
    all
}

/// The number of operations, then a response.
fn response(service: Service, body: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut out = Writer::new();
    out.u8(1);
    out.node_id(NodeIdRef::numeric(0, service.response));
    out.time(UaTime(1));
    out.u32(1);
    out.status(StatusCode::Good);
    out.u8(0);
    out.null_array();
    out.null_extension_object();
    body(&mut out);
    out.buf
}

fn endpoints(out: &mut Writer) {
    out.count(1);
    out.text("opc.tcp://x:4840");
    out.text("urn:x");
    out.string(None);
    out.localized_text(LocalizedTextRef { locale: None, text: Some("x") });
    out.i32(0);
    out.string(None);
    out.string(None);
    out.null_array();
    out.bytes(Some(&[0x30, 0]));
    out.i32(3);
    out.text(Policy::Basic256Sha256.uri());
    out.count(1);
    out.text("user");
    out.i32(1);
    out.string(None);
    out.string(None);
    out.string(None);
    out.string(None);
    out.u8(5);
}
