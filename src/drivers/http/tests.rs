//! Urls, paths and targets, and the planning of requests.

use std::collections::HashSet;

use proptest::prelude::*;

use super::address::{Server, Target, check_path};
use super::poller::Poller;
use super::settings::{HttpPoint, HttpSettings, Method};
use crate::drivers::driver::ConnectionOf;
use crate::drivers::plan::{ConnectionPlan, PointPlan, PointSettings, Settings};
use crate::drivers::poll::Poll;
use crate::model::ConnectionIx;

use super::Http;

#[test]
fn urls_are_taken_apart() {
    for (url, wanted) in [
        ("http://10.0.0.7", Ok(("10.0.0.7", 80, "", false))),
        ("https://oven.local", Ok(("oven.local", 443, "", true))),
        ("http://oven:8080/api/", Ok(("oven", 8080, "/api", false))),
        ("http://[::1]:81/x", Ok(("[::1]", 81, "/x", false))),
        ("https://[::1]", Ok(("[::1]", 443, "", true))),
        ("oven", Err("`oven` is not http(s)")),
        ("ftp://oven", Err("`ftp://oven` is not http(s)")),
        ("http://", Err("`http://` names no host")),
        ("http://oven:0", Err("`0` is no TCP port")),
        ("http://oven:x", Err("`x` is no TCP port")),
        ("http://me:pw@oven", Err("a user inside the url")),
        ("http://oven/?a=1", Err("a url has no query here")),
        ("http://ov en", Err("`http://ov en` has a blank or a control character")),
        ("http://oven\r\nX: y", Err("`http://oven\\r\\nX: y` has a blank or a control character")),
    ] {
        let parsed = Server::parse(url);
        let parts = parsed.as_ref().map(|of| (of.host.as_str(), of.port, of.base.as_str(), of.is_tls));
        assert_eq!(parts.map_err(|fault| fault.message.as_str()), wanted, "{url}");
    }
}

#[test]
fn paths_and_targets_are_those_of_a_request_line() {
    for path in ["/", "/status?unit=3&x=%20", "/a/b.json"] {
        assert_eq!(check_path(path), Ok(()), "{path}");
    }
    for (path, message) in [
        ("status", "`status` is no path"),
        ("/a b", "` ` cannot be in a path"),
        ("/ä", "`ä` cannot be in a path"),
        ("/a\r\nX: y", "`\\r` cannot be in a path"),
        ("/a#b", "a part after `#` never reaches the server"),
        ("", "`` is no path"),
    ] {
        assert_eq!(check_path(path).expect_err(path).message, message);
    }
    assert_eq!(Target::parse("PUT /set"), Ok(Target { method: Method::Put, path: "/set".to_owned() }));
    for (text, message, help) in [
        ("/set", "a write needs its method", "write the method: PUT /set"),
        ("GET /set", "`GET` writes nothing", "write PUT /set or POST /set"),
        ("PUT set", "`set` is no path", "a path begins with `/`: /set"),
    ] {
        let fault = Target::parse(text).expect_err(text);
        assert_eq!((fault.message.as_str(), fault.help.as_str()), (message, help));
    }
}

fn connection(addresses: &[String]) -> ConnectionPlan {
    let settings: HttpSettings =
        serde_json::from_str("{\"url\": \"http://oven\", \"requests\": {\"r1\": {\"path\": \"/x\"}}}")
            .expect("settings");
    let point = |(tag, address): (u32, &String)| PointPlan {
        address: address.clone(),
        write: false,
        settings: PointSettings::of(HttpPoint { json: Some("/v".to_owned()), ..HttpPoint::default() }),
        ..PointPlan::sample(tag)
    };
    ConnectionPlan {
        ix: ConnectionIx(0),
        name: "oven".to_owned(),
        cell: "c".to_owned(),
        settings: Settings::of::<Http>(settings),
        timeout: std::time::Duration::from_secs(1),
        retries: 0,
        reconnect_max: std::time::Duration::from_secs(1),
        enabled: true,
        is_scan: false,
        browses: Default::default(),
        points: std::sync::Arc::new((0..).zip(addresses).map(point).collect()),
    }
}

proptest! {
    #[test]
    fn each_point_is_in_exactly_one_request_with_all_others_of_its_address(
        picks in proptest::collection::vec(0..5_usize, 0..60),
    ) {
        let known = ["/a", "/b", "/b?x=1", "r1", "no such request"];
        let addresses: Vec<String> = picks.iter().map(|pick| known[*pick].to_owned()).collect();
        let plan = connection(&addresses);
        let settings = plan.settings.get::<Http>().expect("of this driver");
        let poller = Poller::new(&[ConnectionOf::<Http> { plan: &plan, settings, application: None }]);
        let points: Vec<u32> = (0..).take(addresses.len()).collect();
        let asks = poller.plan(&points);
        let asked: Vec<u32> = asks.iter().flat_map(|ask| ask.points.iter().copied()).collect();
        let wanted: Vec<u32> = points.iter().copied().filter(|at| picks[*at as usize] < 4).collect();
        prop_assert_eq!(asked.iter().copied().collect::<HashSet<_>>(), wanted.iter().copied().collect::<HashSet<_>>());
        prop_assert_eq!(asked.len(), wanted.len());
        for ask in &asks {
            let of: HashSet<&String> = ask.points.iter().map(|at| &addresses[*at as usize]).collect();
            prop_assert_eq!(of.len(), 1);
        }
        prop_assert_eq!(asks.len(), picks.iter().filter(|pick| **pick < 4).collect::<HashSet<_>>().len());
    }
}
