//! No circles between the files of a crate. A file and the files of its folder belong together, so an arrow between a module and its
//! parent does not count. Neither does code for tests.
//!
//! The arrows are the paths that begin with `crate`, `super` or `self`, in imports, in code and in calls of macros. The paths in the
//! definition of a macro do not count, since they are expanded in other files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A module, by its path from the root of the crate.
type Module = Vec<String>;
/// The arrows between modules.
type Arrows = BTreeMap<Module, BTreeSet<Module>>;

#[test]
fn the_files_of_a_crate_form_no_circles() {
    let house = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let crates = fs::read_dir(house.join("crates")).expect("a folder").map(|entry| entry.expect("an entry").path());
    for folder in crates.chain([house.join("tests")]) {
        let source = folder.join("src");
        let shown = source.strip_prefix(&house).expect("the file is in the workspace").display().to_string();
        let circles: Vec<Vec<String>> = circles(&arrows(&source))
            .iter()
            .map(|circle| circle.iter().map(|module| format!("{shown}/{}", module.join("/"))).collect())
            .collect();
        assert!(circles.is_empty(), "these files form a circle: {circles:#?}");
    }
}

/// The arrows between the modules of a library that have files of their own.
fn arrows(source: &Path) -> Arrows {
    let modules: BTreeMap<Module, PathBuf> =
        files(source).into_iter().filter_map(|file| Some((module(file.strip_prefix(source).ok()?)?, file))).collect();
    let mut arrows = Arrows::new();
    for (from, file) in &modules {
        let text = fs::read_to_string(file).expect("a file");
        let tokens: TokenStream = text.parse().expect("the file is Rust");
        let mut paths = Vec::new();
        collect(tokens, from, &mut paths);
        let to = paths.into_iter().map(|mut path| {
            // A path that names no module names an item in one.
            while !path.is_empty() && !modules.contains_key(&path) {
                path.pop();
            }
            path
        });
        arrows.insert(from.clone(), to.filter(|to| !to.starts_with(from) && !from.starts_with(to)).collect());
    }
    arrows
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
                let is_attribute = group.delimiter() == Delimiter::Bracket;
                for_tests = is_attribute && (for_tests || group.stream().to_string().replace(' ', "") == "cfg(test)");
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
    let is_colon = |at| matches!(tokens.get(at), Some(TokenTree::Punct(mark)) if mark.as_char() == ':');
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
            let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ',');
            for one in several.split(is_comma).filter(|one| !one.is_empty()) {
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
