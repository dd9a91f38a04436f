//! No circles between the files of a crate. A file and the files of its folder belong together, so an arrow between a module and its
//! parent does not count. Neither does code for tests.
//!
//! The arrows are the paths that begin with `crate`, `super` or `self`, in imports, in code and in calls of macros. An arrow ends at
//! the file that defines the item: a name that another module re-exports is followed to its origin. The paths in the definition of a
//! macro do not count, since they are expanded in other files.
#![allow(clippy::print_stdout, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// A module, by its path from the root of the crate.
type Module = Vec<String>;
/// The code of the modules of a crate.
type Code = BTreeMap<Module, TokenStream>;
/// The arrows between modules.
type Arrows = BTreeMap<Module, BTreeSet<Module>>;

/// The names that are in scope in a module, as far as its file shows.
#[derive(Default)]
struct Scope {
    /// The imported names, each with the path that it stands for. A name from another crate has no path.
    imports: BTreeMap<String, Option<Module>>,
    /// The modules of which every name is imported.
    globs: Vec<Module>,
    /// The names of the items that the file defines.
    items: BTreeSet<String>,
}

#[test]
fn the_files_of_a_crate_form_no_circles() {
    let house = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let crates = fs::read_dir(house.join("crates")).expect("a folder").map(|entry| entry.expect("an entry").path());
    for folder in crates.chain([house.join("tests")]) {
        let source = folder.join("src");
        let shown = source.strip_prefix(&house).expect("the file is in the workspace").display().to_string();
        let circles: Vec<Vec<String>> = circles(&arrows(&read(&source)))
            .iter()
            .map(|circle| circle.iter().map(|module| format!("{shown}/{}", module.join("/"))).collect())
            .collect();
        assert!(circles.is_empty(), "these files form a circle: {circles:#?}");
    }
}

/// The code of the modules of a library that have files of their own.
fn read(source: &Path) -> Code {
    let read = |file: PathBuf| {
        let module = module(file.strip_prefix(source).expect("the file is in the folder"))?;
        let text = fs::read_to_string(file).expect("a file");
        Some((module, text.parse().expect("the file is Rust")))
    };
    files(source).into_iter().filter_map(read).collect()
}

/// The arrows between modules.
fn arrows(code: &Code) -> Arrows {
    let scopes: BTreeMap<Module, Scope> =
        code.iter().map(|(module, tokens)| (module.clone(), scope(tokens, module, code))).collect();
    let of = |(from, tokens): (&Module, &TokenStream)| {
        let mut paths = Vec::new();
        collect(tokens.clone(), from, &mut paths);
        let to = paths.iter().filter_map(|path| origin(path, &scopes, &mut BTreeSet::new()));
        (from.clone(), to.filter(|to| !to.starts_with(from) && !from.starts_with(to)).collect())
    };
    code.iter().map(of).collect()
}

/// The module that defines what a path names, or none for an item of another crate.
fn origin(path: &[String], scopes: &BTreeMap<Module, Scope>, seen: &mut BTreeSet<Module>) -> Option<Module> {
    let length = (0..=path.len()).rev().find(|length| scopes.contains_key(&path[..*length])).unwrap_or(0);
    let (module, rest) = path.split_at(length);
    let here = Some(module.to_vec());
    let (Some(scope), [name, after @ ..]) = (scopes.get(module), rest) else { return here };
    if scope.items.contains(name) || !seen.insert(path.to_vec()) {
        return here;
    }
    if let Some(import) = scope.imports.get(name) {
        return origin(&[import.as_deref()?, after].concat(), scopes, seen);
    }
    let offers = |scope: &Scope| scope.items.contains(name) || scope.imports.contains_key(name);
    let globs = scope.globs.iter().filter_map(|glob| origin(glob, scopes, seen)).collect::<Vec<_>>();
    match globs.into_iter().find(|glob| scopes.get(glob).is_some_and(offers)) {
        Some(glob) => origin(&[glob.as_slice(), rest].concat(), scopes, seen),
        None => here,
    }
}

/// The scope of a module, apart from code for tests.
fn scope(tokens: &TokenStream, module: &Module, code: &Code) -> Scope {
    let tokens: Vec<TokenTree> = tokens.clone().into_iter().collect();
    let mut scope = Scope::default();
    let mut for_tests = false;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => for_tests = marks_tests(group, for_tests),
            TokenTree::Ident(word) if !for_tests => match (word.to_string().as_str(), tokens.get(at + 1)) {
                ("use", Some(TokenTree::Ident(_) | TokenTree::Group(_))) => {
                    let import = tokens[at + 1..].split(is_mark(';')).next().unwrap_or_default();
                    scope.import(import, &Start::Module(module, code));
                }
                (
                    "struct" | "enum" | "union" | "fn" | "trait" | "type" | "const" | "static",
                    Some(TokenTree::Ident(name)),
                ) => {
                    scope.items.insert(name.to_string());
                }
                ("macro_rules", _) => scope.items.extend(tokens.get(at + 2).map(ToString::to_string)),
                _ => {}
            },
            TokenTree::Punct(mark) if mark.as_char() == ';' => for_tests = false,
            TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
    scope
}

/// Where the next word of an import is looked up.
enum Start<'c> {
    /// In a module of the crate, at the beginning of the import.
    Module(&'c Module, &'c Code),
    /// After a path in the crate.
    Path(Module),
    /// In another crate, or in the module itself.
    Elsewhere,
}

impl Start<'_> {
    /// The path after one more word.
    fn then(&self, word: &str) -> Option<Module> {
        match self {
            Start::Module(module, code) => {
                let path = base(word, module);
                (["crate", "self", "super"].contains(&word) || code.contains_key(&path)).then_some(path)
            }
            Start::Path(path) => Some(base(word, path)),
            Start::Elsewhere => None,
        }
    }
}

impl Scope {
    /// Adds an import: a path, which may end with another name or with everything, or several paths in braces.
    fn import(&mut self, import: &[TokenTree], start: &Start<'_>) {
        match import {
            [TokenTree::Ident(word), rest @ ..] => {
                let path = start.then(&word.to_string());
                if leads_on(rest, 0) {
                    return self.import(&rest[2..], &path.map_or(Start::Elsewhere, Start::Path));
                }
                let name = match rest {
                    [_, TokenTree::Ident(other)] => Some(other.to_string()),
                    _ if word == "self" => path.as_ref().and_then(|path| path.last().cloned()),
                    _ => Some(word.to_string()),
                };
                // A first word that names no module is an item of this module, or another crate.
                let is_first = matches!(start, Start::Module(..));
                if let Some(name) = name.filter(|_| path.is_some() || !is_first) {
                    self.imports.insert(name, path);
                }
            }
            [TokenTree::Group(several)] => {
                let several: Vec<TokenTree> = several.stream().into_iter().collect();
                several.split(is_mark(',')).for_each(|one| self.import(one, start));
            }
            [TokenTree::Punct(_)] => {
                if let Start::Path(path) = start {
                    self.globs.push(path.clone());
                }
            }
            _ => {}
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let found = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    found.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// The module of a file, or none for a program, which is a crate of its own.
fn module(file: &Path) -> Option<Module> {
    let mut names: Module = file.with_extension("").iter().map(|name| name.to_string_lossy().into_owned()).collect();
    match names.first().map(String::as_str) {
        Some("bin") => return None,
        Some("main") if names.len() == 1 => return None,
        Some("lib") if names.len() == 1 => names.clear(),
        _ => {}
    }
    if names.last().is_some_and(|name| name == "mod") {
        names.pop();
    }
    Some(names)
}

/// Collects the paths in the code of a module, each from the root of the crate.
fn collect(tokens: TokenStream, module: &Module, paths: &mut Vec<Module>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    let mut for_tests = false;
    while let Some(token) = tokens.get(at) {
        match token {
            TokenTree::Group(group) => {
                for_tests = marks_tests(group, for_tests);
                collect(group.stream(), module, paths);
            }
            TokenTree::Ident(word) => match word.to_string().as_str() {
                // `macro_rules! name { … }`
                "macro_rules" => at += 3,
                "mod" => {
                    if let (Some(TokenTree::Ident(name)), Some(TokenTree::Group(inside))) =
                        (tokens.get(at + 1), tokens.get(at + 2))
                    {
                        if !for_tests {
                            let inner = [module.clone(), vec![name.to_string()]].concat();
                            collect(inside.stream(), &inner, paths);
                        }
                        at += 2;
                    }
                    for_tests = false;
                }
                word @ ("crate" | "super" | "self")
                    if leads_on(&tokens, at + 1) && !(at > 1 && leads_on(&tokens, at - 2)) =>
                {
                    let from = base(word, module);
                    at = tree(&tokens, at + 3, &from, paths);
                    continue;
                }
                _ => {}
            },
            TokenTree::Punct(mark) if mark.as_char() == ';' => for_tests = false,
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
        at += 1;
    }
}

/// Whether what follows a group is for tests. An attribute may say so; the visibility after it, such as `pub(crate)`, keeps that.
fn marks_tests(group: &Group, before: bool) -> bool {
    match group.delimiter() {
        Delimiter::Bracket => before || group.stream().to_string().replace(' ', "") == "cfg(test)",
        Delimiter::Parenthesis => before,
        Delimiter::Brace | Delimiter::None => false,
    }
}

/// Whether a token is a punctuation mark.
fn is_mark(mark: char) -> impl Fn(&TokenTree) -> bool {
    move |token| matches!(token, TokenTree::Punct(found) if found.as_char() == mark)
}

/// The module in which a path continues after its first word.
fn base(word: &str, from: &[String]) -> Module {
    match word {
        "crate" => Module::new(),
        "self" => from.to_vec(),
        "super" => from[..from.len().saturating_sub(1)].to_vec(),
        name => [from, &[name.to_owned()]].concat(),
    }
}

/// Whether the tokens at an index are `::`.
fn leads_on(tokens: &[TokenTree], at: usize) -> bool {
    let is_colon = |at| tokens.get(at).is_some_and(is_mark(':'));
    is_colon(at) && is_colon(at + 1)
}

/// Reads what follows a `::`: a word that may continue, or several in braces. Returns the index of its end.
fn tree(tokens: &[TokenTree], at: usize, from: &[String], paths: &mut Vec<Module>) -> usize {
    match tokens.get(at) {
        Some(TokenTree::Ident(word)) => {
            let here = base(&word.to_string(), from);
            if leads_on(tokens, at + 1) {
                return tree(tokens, at + 3, &here, paths);
            }
            paths.push(here);
        }
        Some(TokenTree::Group(several)) if several.delimiter() == Delimiter::Brace => {
            let several: Vec<TokenTree> = several.stream().into_iter().collect();
            for one in several.split(is_mark(',')).filter(|one| !one.is_empty()) {
                tree(one, 0, from, paths);
            }
        }
        _ => paths.push(from.to_vec()),
    }
    at + 1
}

/// The sets of modules in which each module leads to each other one.
fn circles(arrows: &Arrows) -> Vec<Vec<Module>> {
    let reached: BTreeMap<&Module, BTreeSet<&Module>> = arrows.keys().map(|from| (from, reach(arrows, from))).collect();
    let mut circles: Vec<Vec<Module>> = Vec::new();
    for (from, to) in &reached {
        let circle: Vec<Module> = to.iter().filter(|to| reached[**to].contains(from)).map(|to| (*to).clone()).collect();
        if !circle.is_empty() && !circles.contains(&circle) {
            circles.push(circle);
        }
    }
    circles
}

/// All modules that a module leads to, directly or not.
fn reach<'a>(arrows: &'a Arrows, from: &'a Module) -> BTreeSet<&'a Module> {
    let mut found = BTreeSet::new();
    let mut open = vec![from];
    while let Some(module) = open.pop() {
        open.extend(arrows[module].iter().filter(|to| found.insert(*to)));
    }
    found
}

#[test]
fn paths_are_found_in_imports_in_code_and_in_macros() {
    let code = "
        use crate::{a, b::{self, C}, d::*};
        mod inner { use super::e::F; use super::super::g; }
        macro_rules! m { () => { crate::never!() } }
        fn h() { println!(\"{}\", super::i::j()); self::k() }
        #[cfg(test)] mod tests { use crate::never; }
    ";
    let mut paths = Vec::new();
    collect(code.parse().expect("the file is Rust"), &vec!["x".to_owned(), "y".to_owned()], &mut paths);
    let shown: Vec<_> = paths.iter().map(|path| path.join("::")).collect();
    assert_eq!(shown, ["a", "b", "b::C", "d", "x::y::e::F", "x::g", "x::i::j", "x::y::k"]);
}

#[test]
fn a_circle_is_found_with_all_its_modules() {
    let module = |name: &str| vec![name.to_owned()];
    let arrow = |(from, to): (&str, &[&str])| (module(from), to.iter().map(|to| module(to)).collect());
    let all: [(&str, &[&str]); 5] = [("a", &["b"]), ("b", &["c"]), ("c", &["a", "d"]), ("d", &[]), ("e", &["a"])];
    assert_eq!(circles(&all.map(arrow).into_iter().collect()), [[module("a"), module("b"), module("c")]]);
}

/// The code of modules, by their paths.
fn code<const N: usize>(modules: [(&str, &str); N]) -> Code {
    let path = |name: &str| name.split("::").filter(|word| !word.is_empty()).map(str::to_owned).collect();
    modules.into_iter().map(|(name, text)| (path(name), text.parse().expect("the code is Rust"))).collect()
}

#[test]
fn a_name_is_followed_to_the_file_that_defines_it() {
    let code = code([
        ("", "pub use a::{X, b::Y as Z}; pub use other::K; pub use c::d; mod a; mod c;"),
        (
            "a",
            "mod b; pub use b::*; pub use self::x::X; use crate::c::W; #[cfg(test)] use crate::c::T; pub struct Own;",
        ),
        ("a::b", "pub struct V; pub enum Y {} macro_rules! m { () => { crate::never!() } } pub(crate) use {m};"),
        ("a::x", "declared! { X }"),
        ("c", "pub mod d; pub struct W; pub struct T;"),
        ("c::d", "fn f() -> impl Iterator + use<> {} pub fn g() {}"),
        ("user", "use crate::{X, Z, K, d::g, a::{Own, V, W, T, m, Unknown}, c::d as e};"),
    ]);
    let scopes = code.iter().map(|(module, tokens)| (module.clone(), scope(tokens, module, &code))).collect();
    let mut paths = Vec::new();
    collect(code[&vec!["user".to_owned()]].clone(), &vec!["user".to_owned()], &mut paths);
    let found = paths.iter().map(|path| {
        let origin = origin(path, &scopes, &mut BTreeSet::new());
        format!("{} {}", path.join("::"), origin.map_or_else(|| "-".to_owned(), |origin| origin.join("::")))
    });
    assert_eq!(
        found.collect::<Vec<_>>(),
        [
            "X a::x",
            "Z a::b",
            "K -",
            "d::g c::d",
            "a::Own a",
            "a::V a::b",
            "a::W c",
            "a::T a",
            "a::m a::b",
            "a::Unknown a",
            "c::d c::d"
        ]
    );
}

#[test]
fn a_circle_by_way_of_a_re_export_is_found() {
    let code = code([
        ("cart", "mod open; mod state; pub use open::NotYours; pub use state::Cart;"),
        ("cart::open", "use super::Cart; pub struct NotYours;"),
        ("cart::state", "use super::NotYours; pub struct Cart;"),
    ]);
    let module = |name: &str| vec!["cart".to_owned(), name.to_owned()];
    assert_eq!(circles(&arrows(&code)), [[module("open"), module("state")]]);
}
