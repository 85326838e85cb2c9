//! Any service request by its type id, in an activated session of a whole server without sockets, with its history.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use opcell::testing::app;
use opcell::testing::config::{self, Options};
use opcell::testing::history::store::{Settings, Store};
use opcell::testing::stack::crypto::PoolThreads;
use opcell::testing::ua::connection::loopback;
use opcell::testing::ua::server::Server;
use opcell_fuzz::seeds;

fn server() -> &'static Arc<Server> {
    static SERVER: OnceLock<(Arc<Server>, PoolThreads)> = OnceLock::new();
    let (server, _) = SERVER.get_or_init(|| {
        let cell = Path::new(env!("CARGO_MANIFEST_DIR")).join("service.yaml");
        let loopback = "127.0.0.1:4840".parse().expect("an address");
        let (compiled, _) = config::load(&cell, &Options { listen: Some(vec![loopback]), ..Options::default() });
        let assembly = app::assemble(compiled.expect("service.yaml is a good cell"));
        // One folder a process; the system clears it away.
        let folder = tempfile::tempdir().expect("a folder").keep();
        let store = Store::open(Settings::new(folder)).expect("a store");
        assembly.bare_with(Some(store)).expect("a server that opens nothing else starts")
    });
    server
}

pub(super) fn run() {
    opcell_fuzz::run("service", seeds::service(), |bytes| loopback::fuzz(server(), bytes));
}
