//! The plan that a good file becomes: default access, inheritance, names of nodes, settings for drivers.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use opcell::testing::config::{self, Compiled, Memory, Options, Shown};
use opcell::testing::model::{NodeKind, NodeName, Origin, Role, Roles, Scale, Tag};
use opcell::value::{BuiltIn, Value};

fn files(list: &[(&str, &str)]) -> Memory {
    let mut files = Memory::default();
    files.files.extend(list.iter().map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec())));
    files
}

fn load(list: &[(&str, &str)], path: &str, options: &Options) -> Compiled {
    let (compiled, report) = config::load_from(&files(list), Path::new(path), options);
    compiled.unwrap_or_else(|| panic!("{}", report.render(Shown::All)))
}

/// The cell that holds `nodes`, with one Modbus connection that may be written.
fn cell(nodes: &str) -> Compiled {
    let text = format!(
        "schema: 1\ncell: press\nconnections:\n  plc: {{ driver: modbus-tcp, host: a, allow_write: true }}\nnodes:\n{nodes}"
    );
    load(&[("a.yaml", &text)], "a.yaml", &Options::default())
}

fn tag<'a>(compiled: &'a Compiled, path: &str) -> &'a Tag {
    let plant = &compiled.plant;
    let found = plant.tags.values().find(|tag| plant.cells[usize::from(tag.cell)].path(tag.node) == path);
    found.unwrap_or_else(|| panic!("no tag {path}"))
}

fn roles(list: &[Role]) -> Roles {
    list.iter().copied().collect()
}

const SMALL: &str = "schema: 1\ncell: small\n";

#[test]
fn a_lone_cell_is_open_on_loopback_and_every_other_door_is_closed() {
    let open = roles(&[Role::OBSERVER, Role::OPERATOR]);
    let server = "schema: 1\ncells: [small.yaml]\n";
    let on = |address: &str| Some(vec![address.parse::<SocketAddr>().expect("an address")]);
    for (path, listen, is_open, address) in [
        ("f/small.yaml", None, true, "127.0.0.1:4840"),
        ("f/small.yaml", on("127.0.0.1:5000"), true, "127.0.0.1:5000"),
        ("f/small.yaml", on("[::1]:5000"), true, "[::1]:5000"),
        ("f/small.yaml", on("10.0.0.1:4840"), false, "10.0.0.1:4840"),
        ("f", None, true, "127.0.0.1:4840"),
        ("s/server.yaml", None, false, "0.0.0.0:4840"),
        ("s", on("127.0.0.1:4840"), false, "127.0.0.1:4840"),
    ] {
        let list = [
            ("f/small.yaml", SMALL),
            ("f/part.yaml", "nodes: {}\n"),
            ("s/small.yaml", SMALL),
            ("s/server.yaml", server),
        ];
        let options = Options { listen, ..Options::default() };
        let plan = load(&list, path, &options).server;
        assert_eq!(plan.listen, [address.parse::<SocketAddr>().expect("an address")], "{path}");
        assert_eq!(plan.security.allow_unsecured, is_open, "{path} {address}");
        assert_eq!(plan.accounts.anonymous, if is_open { open } else { Roles::NONE }, "{path} {address}");
        assert_eq!(plan.file.is_some(), path.starts_with('s'), "{path}");
        let folder = Path::new(&path[..1]);
        assert_eq!((plan.state_dir, plan.pki_dir), (folder.join("state"), folder.join("pki")), "{path}");
    }
}

#[test]
fn the_demo_states_what_it_opens_and_serves_one_cell() {
    let (compiled, _) = config::load(Path::new("address-space"), &Options::default());
    let compiled = compiled.expect("the demo is good");
    assert_eq!(compiled.plant.cells.iter().map(|cell| cell.name.as_str()).collect::<Vec<_>>(), ["demo"]);
    assert!(compiled.server.security.allow_unsecured);
    assert_eq!(compiled.server.accounts.anonymous, roles(&[Role::OBSERVER, Role::OPERATOR]));
    assert!(compiled.server.listen.iter().all(|address| address.ip().is_loopback()));
    assert_eq!(compiled.server.pki_dir, Path::new("address-space/../pki"));
}

#[test]
fn the_command_line_wins_over_the_server_file() {
    let server = "schema: 1\ncells: [small.yaml]\nanonymous: [Observer]\nlog: error\nstate_dir: x\n";
    let options = Options {
        state_dir: Some("/s".into()),
        pki_dir: Some("/p".into()),
        log: Some(log::LevelFilter::Debug),
        ..Options::default()
    };
    let plan = load(&[("server.yaml", server), ("small.yaml", SMALL)], "server.yaml", &options).server;
    assert_eq!((plan.state_dir.as_path(), plan.pki_dir.as_path()), (Path::new("/s"), Path::new("/p")));
    assert_eq!(plan.log, log::LevelFilter::Debug);
}

#[test]
fn access_is_inherited_key_by_key() {
    let compiled = cell(
        "  A:\n    access: { write: [Engineer] }\n    children:\n      B: { type: Int16, value: 1, access: { read: [Supervisor] } }\n  C: { type: Int16, value: 1 }\n",
    );
    let plant = &compiled.plant;
    let access = |path| plant.access[usize::from(tag(&compiled, path).access.0)];
    assert_eq!(access("A.B").write, roles(&[Role::ENGINEER]));
    assert_eq!(access("A.B").read, roles(&[Role::SUPERVISOR]));
    assert_eq!(access("A.B").call, roles(&[Role::OPERATOR, Role::ENGINEER, Role::SUPERVISOR]));
    assert_eq!(access("C").read, roles(&[Role::AUTHENTICATED_USER, Role::OBSERVER]));
}

#[test]
fn own_roles_and_users_are_known_to_cells() {
    let server = "schema: 1\ncells: [a.yaml]\nusers:\n  ann: { certificate: ann.der, roles: [Fitter] }\n\
                  roles:\n  Fitter: { users: [ann], applications: [urn:scada] }\n  Operator: { users: [ann] }\n";
    let text = "schema: 1\ncell: a\nnodes:\n  T: { type: Int16, value: 1, write: true, access: { write: [Fitter] } }\n";
    let compiled = load(&[("server.yaml", server), ("a.yaml", text)], "server.yaml", &Options::default());
    assert_eq!(compiled.server.own_roles, [(Role(9), "Fitter".to_owned())].into());
    assert_eq!(compiled.server.accounts.users["ann"].roles, roles(&[Role(9)]));
    assert_eq!(compiled.plant.access[usize::from(tag(&compiled, "T").access.0)].write, roles(&[Role(9)]));
    let rules = &compiled.server.accounts.role_rules;
    assert_eq!((rules[0].role, rules[1].role), (Role(9), Role::OPERATOR));
    assert_eq!(rules[0].applications, ["urn:scada"]);
}

#[test]
fn periods_and_staleness_are_inherited_and_have_defaults() {
    let compiled = cell(
        "  A: { poll: 4s, children: { B: { type: Int16, source: holding/1 }, C: { type: Int16, source: { address: holding/2, poll: 100ms } } } }\n  \
         D: { type: Int16, source: holding/3, stale_after: 2s, enabled: false }\n",
    );
    for (path, poll, stale) in [("A.B", 4_000, 12_000), ("A.C", 100, 5_000), ("D", 1_000, 2_000)] {
        let tag = tag(&compiled, path);
        assert_eq!((tag.poll, tag.stale_after), (Duration::from_millis(poll), Duration::from_millis(stale)), "{path}");
    }
    // A tag that is off is not polled.
    assert_eq!(compiled.drivers[0].points.len(), 2);
    assert!(!tag(&compiled, "D").enabled);
}

#[test]
fn scales_deadbands_and_values_become_what_they_say() {
    let compiled = cell(
        "  A: { type: Double, range: [0, 100], source: { address: holding/1, raw_type: int16 }, scale: { raw: [0, 27648], clamp: true }, deadband: 0.5% }\n  \
         B: { type: Float, source: { address: holding/2, raw_type: int16, write: true, on_stop: 0 }, scale: { factor: 0.1, offset: -5 }, wraps: true }\n  \
         C: { type: Byte, array: [2, 2], value: [[1, 2], [3, 4]], write: true }\n  D: { type: DateTime, value: \"2026-01-31T12:00:00Z\" }\n",
    );
    let a = tag(&compiled, "A");
    assert_eq!(a.scale, Some(Scale::Range { raw: (0.0, 27648.0), eu: (0.0, 100.0), clamp: true }));
    assert!((a.deadband - 0.5).abs() < 1e-12);
    let b = tag(&compiled, "B");
    assert_eq!(b.scale, Some(Scale::Factor { factor: 0.1, offset: -5.0 }));
    assert!(b.wraps);
    assert!(matches!(&b.origin, Origin::Device { write: true, on_stop: Some(Value::Float(0.0)), .. }));
    let Origin::Memory { initial: Value::Array(array), write: true } = &tag(&compiled, "C").origin else {
        panic!("no array")
    };
    assert_eq!((array.elements.len(), array.dimensions.as_slice()), (4, [2, 2].as_slice()));
    let Origin::Memory { initial: Value::DateTime(time), .. } = &tag(&compiled, "D").origin else { panic!("no time") };
    assert_eq!(time.unix_seconds(), 1_769_860_800);
}

#[test]
fn ids_are_paths_unless_they_are_pinned() {
    let compiled = cell(
        "  A: { children: { B: { type: Int16, value: 1 }, C: { type: Int16, value: 1, id: i=7 }, D: { type: Int16, value: 1, id: own } } }\n",
    );
    let cell = &compiled.plant.cells[0];
    assert_eq!(cell.namespace, "urn:opcell:press");
    assert_eq!(cell.nodes[0].id, NodeName::Text("@cell".into()));
    let ids: Vec<_> = cell.nodes[1..].iter().map(|node| node.id.clone()).collect();
    assert_eq!(ids, [NodeName::Path, NodeName::Path, NodeName::Numeric(7), NodeName::Text("own".into())]);
}

#[test]
fn instances_take_the_connection_of_a_parameter() {
    let text = "schema: 1\ncell: a\nconnections:\n  one: { driver: modbus-tcp, host: a }\n  two: { driver: modbus-tcp, host: b }\n\
                types:\n  objects:\n    Valve:\n      params: { plc: { type: connection }, at: { type: int, default: 5 } }\n      connection: \"{plc}\"\n      \
                children: { Open: { type: Boolean, source: \"discrete/{at}\" } }\n\
                nodes:\n  A: { of: Valve, with: { plc: one } }\n  B: { of: Valve, with: { plc: two, at: 9 } }\n";
    let compiled = load(&[("a.yaml", text)], "a.yaml", &Options::default());
    let points: Vec<_> = compiled.drivers.iter().map(|plan| plan.points[0].address.as_str()).collect();
    assert_eq!(points, ["discrete/5", "discrete/9"]);
    let objects = compiled.plant.cells[0].nodes.iter().filter(|node| matches!(node.kind, NodeKind::Object(_)));
    assert_eq!(objects.count(), 2);
}

#[test]
fn simulate_puts_a_fitting_signal_in_place_of_every_source() {
    let text = "schema: 1\ncell: a\nconnections:\n  plc: { driver: modbus-tcp, host: a }\n  sim: { driver: simulator, seed: 3 }\n\
                defaults: { connection: plc }\nnodes:\n  A: { type: Float, range: [10, 20], source: holding/1 }\n  \
                B: { type: Boolean, source: coil/1 }\n  C: { type: Float, source: holding/3, simulate: \"ramp(low=0, high=5, period=1s)\" }\n  \
                D: { type: Float, connection: sim, source: \"noise(mean=1, sigma=1)\" }\n";
    let options = Options { simulate: true, ..Options::default() };
    let compiled = load(&[("a.yaml", text)], "a.yaml", &options);
    let addresses: Vec<_> =
        compiled.drivers.iter().flat_map(|plan| plan.points.iter()).map(|point| point.address.as_str()).collect();
    assert_eq!(
        addresses,
        [
            "sine(mean=15, amp=5, period=1min, phase=145)",
            "square(low=0, high=1, period=10s, phase=210)",
            "ramp(low=0, high=5, period=1s)",
            "noise(mean=1, sigma=1)"
        ]
    );
    assert!(compiled.plant.connections.values().all(|connection| connection.driver == "simulator"));
}

#[test]
fn points_tell_the_driver_type_shape_and_gates() {
    let compiled = cell(
        "  A: { type: String, length: 8, source: holding/1 }\n  B: { type: Float, array: [2, 3], source: { address: holding/10, read: false, write: true } }\n",
    );
    let points = &compiled.drivers[0].points;
    assert_eq!((points[0].kind, points[0].length, points[0].is_array), (BuiltIn::String, Some(8), false));
    assert_eq!((points[1].elements, points[1].is_array, points[1].read, points[1].write), (6, true, false, true));
}
