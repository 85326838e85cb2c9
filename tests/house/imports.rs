//! No two files of the crate import each other, directly or through others, except a module and its parents.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::sources;

/// A module as its path: `["ua", "space"]`.
type Module = Vec<String>;

/// A path as it is written in a `use` or in the code.
type Named = Vec<String>;

/// The modules of the crate, with the paths that each one uses and re-exports.
struct Crate {
    named: BTreeMap<Module, Vec<Named>>,
    exports: BTreeMap<Module, BTreeMap<String, Named>>,
}

impl Crate {
    fn read() -> Crate {
        let mut found = Crate { named: BTreeMap::new(), exports: BTreeMap::new() };
        for source in sources().iter().filter(|source| !source.is_test()) {
            let name = source.path.trim_end_matches(".rs").trim_end_matches("/mod");
            let module = if name == "lib" { Vec::new() } else { name.split('/').map(str::to_owned).collect() };
            let (named, exports) = names(&source.product_code());
            found.named.insert(module.clone(), named);
            found.exports.insert(module, exports);
        }
        found
    }

    /// The module that a path inside `module` leads to, through re-exports; `None` for paths of other crates.
    fn target(&self, module: &Module, path: &Named) -> Option<Module> {
        self.resolve(self.absolute(module, path)?, 0)
    }

    fn absolute(&self, module: &Module, path: &Named) -> Option<Named> {
        let first = path.first()?.as_str();
        Some(match first {
            "crate" => path[1..].to_vec(),
            "self" => [module.as_slice(), &path[1..]].concat(),
            "super" => {
                let ups = path.iter().take_while(|part| *part == "super").count();
                [&module[..module.len().checked_sub(ups)?], &path[ups..]].concat()
            }
            _ => {
                let child = [module.as_slice(), &path[..1]].concat();
                self.named.contains_key(&child).then(|| [module.as_slice(), path].concat())?
            }
        })
    }

    fn resolve(&self, path: Named, depth: usize) -> Option<Module> {
        let length = (0..=path.len()).rev().find(|length| self.named.contains_key(&path[..*length]))?;
        let module = path[..length].to_vec();
        let next = path.get(length).and_then(|name| self.exports[&module].get(name));
        match next.and_then(|next| self.absolute(&module, next)) {
            Some(absolute) if depth < 8 => {
                let whole = [absolute.as_slice(), &path[length + 1..]].concat();
                if whole == path { Some(module) } else { self.resolve(whole, depth + 1) }
            }
            _ => Some(module),
        }
    }

    /// The modules that each module imports, parents and children left out.
    fn arrows(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let kin = |one: &Module, other: &Module| one.starts_with(other) || other.starts_with(one);
        let arrows = |(module, named): (&Module, &Vec<Named>)| {
            let targets = named.iter().filter_map(|path| self.target(module, path));
            (module.clone(), targets.filter(|target| !kin(module, target)).collect())
        };
        self.named.iter().map(arrows).collect()
    }
}

/// The paths that code names, and those that it exports by their last name.
fn names(code: &str) -> (Vec<Named>, BTreeMap<String, Named>) {
    let (mut named, mut exports) = (Vec::new(), BTreeMap::new());
    let mut rest = String::new();
    for statement in code.split_inclusive(';') {
        let Some(at) = statement.rfind("use ").filter(|at| starts_a_use(statement, *at)) else {
            rest.push_str(statement);
            continue;
        };
        let paths = expand(statement[at + 4..].trim_end_matches(';'));
        rest.push_str(&statement[..at]);
        let line = statement[..at].rsplit('\n').next().unwrap_or_default();
        if line.trim_start().starts_with("pub") {
            let name = |path: &Named| path.iter().rev().find(|part| *part != "self").cloned();
            exports.extend(paths.iter().filter_map(|path| Some((name(path)?, path.clone()))));
        }
        named.extend(paths);
    }
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let words = rest.split(|c: char| !is_part(c)).filter(|word| word.contains("::"));
    named.extend(words.map(|word| word.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect()));
    (named, exports)
}

/// `use` begins a statement here, and is not the end of a longer word.
fn starts_a_use(statement: &str, at: usize) -> bool {
    let line = statement[..at].rsplit('\n').next().unwrap_or_default().trim();
    line.is_empty() || (line.starts_with("pub") && !line.contains(' ')) || line.starts_with("pub(in")
}

/// The paths of a use tree; names after `as` are left out.
fn expand(tree: &str) -> Vec<Named> {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        let path = tree.split(" as ").next().unwrap_or_default();
        return vec![path.split("::").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()];
    };
    let head: Named =
        tree[..open].split("::").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect();
    let inner = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
    let (mut depth, mut start, mut paths) = (0, 0, Vec::new());
    for (at, letter) in inner.char_indices().chain([(inner.len(), ',')]) {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let part = inner[start..at].trim();
                if !part.is_empty() {
                    paths.extend(expand(part).into_iter().map(|path| [head.as_slice(), &path].concat()));
                }
                start = at + 1;
            }
            _ => {}
        }
    }
    paths
}

/// Modules that can be reached from each other, found by Tarjan's algorithm.
fn circles(arrows: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<Vec<&Module>> {
    #[derive(Default)]
    struct Search<'a> {
        order: BTreeMap<&'a Module, usize>,
        low: BTreeMap<&'a Module, usize>,
        stack: Vec<&'a Module>,
        found: Vec<Vec<&'a Module>>,
    }
    fn visit<'a>(search: &mut Search<'a>, arrows: &'a BTreeMap<Module, BTreeSet<Module>>, module: &'a Module) {
        let number = search.order.len();
        search.order.insert(module, number);
        search.low.insert(module, number);
        search.stack.push(module);
        for target in &arrows[module] {
            let Some((target, _)) = arrows.get_key_value(target) else { continue };
            if !search.order.contains_key(target) {
                visit(search, arrows, target);
                let low = search.low[module].min(search.low[target]);
                search.low.insert(module, low);
            } else if search.stack.contains(&target) {
                let low = search.low[module].min(search.order[target]);
                search.low.insert(module, low);
            }
        }
        if search.low[module] == search.order[module] {
            let at = search.stack.iter().position(|other| *other == module).expect("it was pushed above");
            let circle = search.stack.split_off(at);
            if circle.len() > 1 {
                search.found.push(circle);
            }
        }
    }
    let mut search = Search::default();
    for module in arrows.keys() {
        if !search.order.contains_key(module) {
            visit(&mut search, arrows, module);
        }
    }
    search.found
}

#[test]
fn files_do_not_import_each_other_in_a_circle() {
    let arrows = Crate::read().arrows();
    let show = |circle: &Vec<&Module>| {
        let inside = |module: &Module| {
            let targets = arrows[module].iter().filter(|target| circle.contains(target));
            format!("  {} imports {}", module.join("::"), targets.map(|t| t.join("::")).collect::<Vec<_>>().join(", "))
        };
        circle.iter().map(|module| inside(module)).collect::<Vec<_>>().join("\n")
    };
    let circles: Vec<String> = circles(&arrows).iter().map(show).collect();
    assert!(circles.is_empty(), "files that import each other:\n{}", circles.join("\n\n"));
}

#[test]
fn a_circle_through_a_re_export_is_found() {
    let module = |path: &str| -> Module { path.split("::").map(str::to_owned).collect() };
    let mut found = Crate { named: BTreeMap::new(), exports: BTreeMap::new() };
    for (path, code) in [
        ("a", "pub use one::One;\n"),
        ("a::one", "use crate::b::{self, Two};\n"),
        ("b", "pub struct Two;\nfn f(_: crate::a::One) {}\n"),
        ("c", "use super::b::Two;\nuse std::fmt;\n"),
    ] {
        let (named, exports) = names(code);
        found.named.insert(module(path), named);
        found.exports.insert(module(path), exports);
    }
    found.named.insert(Vec::new(), Vec::new());
    found.exports.insert(Vec::new(), BTreeMap::new());
    let arrows = found.arrows();
    assert_eq!(circles(&arrows), [[&module("a::one"), &module("b")]]);
}
