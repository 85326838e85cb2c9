//! Other people's clients against the server: run where they can be, replayed from their documents where not.

mod alarms;
mod asyncua;
mod documented;
mod history;
mod node_opcua;
mod o6;

use testkit::interop::classes;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The checks of a client that browses everything: `first`, then the attributes of each node class.
fn browsed(first: &[&str]) -> Vec<String> {
    let mut expected = names(first);
    let classes = classes();
    let of_classes = classes.as_array().expect("a list").iter().map(|class| class["name"].as_str().expect("a name"));
    expected.extend(of_classes.map(|class| format!("attributes of {class}")));
    expected
}

/// A client with one session, one subscription and its items, while the server reloads changed cells.
fn run_over_reloads(run: impl FnOnce(&str, &[String])) {
    let changed = ["changed range", "new range", "removed node", "returned node", "added node", "changed value"];
    run("reload", &names(&[&changed[..], &["same subscription", "untouched node"]].concat()));
}
