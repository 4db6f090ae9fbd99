// SPDX-License-Identifier: Apache-2.0
//! The floors of docs/architecture.md: imports go downwards, and never in a circle. Unsafe code is
//! below all of them, in the folder `runtime-core/sys`.
//!
//! An import is a path to something in another file, or the line `mod` for that file: methods are
//! called without a path, so a file may use another one that it only declares. The floors are those
//! of the library's rooms. No target of the repository may have a circle, be it a library, a
//! program, a test or a target of fuzzing; unit tests inside of a file are left out.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The files of one target of the workspace, and the imports between them.
#[derive(Default)]
struct CargoTarget {
    /// The file of each module, by the path of the module.
    modules: BTreeMap<Vec<String>, PathBuf>,
    /// Relative to the folder of the workspace.
    imports: BTreeSet<(PathBuf, PathBuf)>,
    /// The macros of the whole crate, which are in no file.
    macros: BTreeSet<String>,
}

/// One source file, without comments, literals and tests.
struct SourceFile {
    file: PathBuf,
    module: Vec<String>,
    tokens: Vec<String>,
}

impl CargoTarget {
    fn read(root: &Path) -> Self {
        let mut target = CargoTarget::default();
        let mut sources = Vec::new();
        let folder = root.parent().unwrap().to_owned();
        target.add_file(root, &folder, Vec::new(), &mut sources);
        for source in &sources {
            target.add_imports(source);
        }
        target
    }

    /// Adds a file and the files of the modules that it declares. The files of those are in
    /// `folder`.
    fn add_file(&mut self, file: &Path, folder: &Path, module: Vec<String>, sources: &mut Vec<SourceFile>) {
        let text = std::fs::read_to_string(workspace().join(file)).unwrap();
        let tokens = without_tests(tokens(&text));
        self.modules.insert(module.clone(), file.to_owned());
        for at in tokens.windows(4) {
            if at[0] == "]" && at[1] == "macro_rules" {
                self.macros.insert(at[3].clone());
            }
        }
        for (within, name, place) in declarations(&tokens) {
            let path = [&module[..], &within, std::slice::from_ref(&name)].concat();
            match place {
                ModulePlace::Inline => {
                    self.modules.insert(path, file.to_owned());
                    continue;
                }
                // Shared by several targets. It imports nothing of this one.
                ModulePlace::Elsewhere => {
                    self.modules.insert(path, PathBuf::from(name));
                    continue;
                }
                ModulePlace::Below => {}
            }
            let below = within.iter().fold(folder.to_owned(), |folder, part| folder.join(part));
            let flat = below.join(format!("{name}.rs"));
            let child =
                if workspace().join(&flat).is_file() { flat } else { below.join(&name).join("mod.rs") };
            // A module's methods can be called without a path to it, so `mod` is an import.
            self.imports.insert((file.to_owned(), child.clone()));
            self.add_file(&child, &below.join(&name), path, sources);
        }
        sources.push(SourceFile { file: file.to_owned(), module, tokens });
    }

    fn add_imports(&mut self, source: &SourceFile) {
        let (names, paths) = paths(&source.tokens);
        for (within, path) in paths {
            let module = [&source.module[..], &within].concat();
            let Some(absolute) = self.absolute(&module, &path, &names) else { continue };
            let is_module = |n: &usize| self.modules.contains_key(&absolute[..*n]);
            let Some(length) = (0..=absolute.len()).rev().find(is_module) else { continue };
            // A path that names only a module uses none of its items.
            let is_macro = length == 0 && absolute.first().is_some_and(|name| self.macros.contains(name));
            if length < absolute.len() && !is_macro {
                let used = self.modules[&absolute[..length]].clone();
                if used != source.file {
                    self.imports.insert((source.file.clone(), used));
                }
            }
        }
    }

    /// Returns the path from the crate's root; `None` for a path in another crate.
    fn absolute(
        &self,
        module: &[String],
        path: &[String],
        names: &BTreeMap<String, Vec<String>>,
    ) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([module, rest].concat()),
            "super" => {
                let parent = module.split_last()?.1;
                match rest.first() {
                    Some(next) if next == "super" => self.absolute(parent, rest, names),
                    _ => Some([parent, rest].concat()),
                }
            }
            name => {
                if self.modules.contains_key(&[module, &path[..1]].concat()) {
                    return Some([module, path].concat());
                }
                let full = names.get(name).filter(|full| full[0] != path[0])?;
                Some([self.absolute(module, full, names)?, rest.to_vec()].concat())
            }
        }
    }

    /// Returns the groups of files that import each other.
    fn circles(&self) -> Vec<BTreeSet<PathBuf>> {
        let mut imports: BTreeMap<&Path, Vec<&Path>> = BTreeMap::new();
        for (importer, imported) in &self.imports {
            imports.entry(importer).or_default().push(imported);
        }
        let mut reaches: BTreeMap<&Path, BTreeSet<&Path>> = BTreeMap::new();
        for file in self.modules.values() {
            let mut reached = BTreeSet::new();
            let mut next = vec![file.as_path()];
            while let Some(from) = next.pop() {
                for to in imports.get(from).into_iter().flatten() {
                    if reached.insert(*to) {
                        next.push(to);
                    }
                }
            }
            reaches.insert(file, reached);
        }
        let mut circles = BTreeSet::new();
        for (file, reached) in &reaches {
            if reached.contains(file) {
                let back = |other: &&&Path| reaches[*other].contains(file);
                circles.insert(reached.iter().filter(back).map(|file| file.to_path_buf()).collect());
            }
        }
        circles.into_iter().collect()
    }
}

/// Splits a source into names, `::` and single characters; leaves out comments and literals.
fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let (mut tokens, mut i) = (Vec::new(), 0);
    while i < chars.len() {
        let c = at(i);
        if c == '/' && at(i + 1) == '/' {
            while i < chars.len() && at(i) != '\n' {
                i += 1;
            }
        } else if c == '"' {
            i += 1;
            while i < chars.len() && at(i) != '"' {
                i += if at(i) == '\\' { 2 } else { 1 };
            }
            i += 1;
        } else if c == '\'' {
            // A lifetime, unless a quote ends it.
            if at(i + 1) == '\\' {
                i += 3;
                while i < chars.len() && at(i) != '\'' {
                    i += 1;
                }
                i += 1;
            } else {
                i += if at(i + 2) == '\'' { 3 } else { 1 };
            }
        } else if is_name(c) {
            let start = i;
            while is_name(at(i)) {
                i += 1;
            }
            let name: String = chars[start..i].iter().collect();
            let hashes = (i..).take_while(|i| at(*i) == '#').count();
            if name.ends_with('r') && at(i + hashes) == '"' {
                let end: String = std::iter::once('"').chain((0..hashes).map(|_| '#')).collect();
                i += hashes + 1;
                while i < chars.len() && !(0..=hashes).all(|n| Some(at(i + n)) == end.chars().nth(n)) {
                    i += 1;
                }
                i += hashes + 1;
            } else if !(at(i) == '"' || at(i) == '\'' && (name == "b")) {
                tokens.push(name);
            }
        } else if c == ':' && at(i + 1) == ':' {
            tokens.push("::".to_owned());
            i += 2;
        } else {
            if !c.is_whitespace() {
                tokens.push(c.to_string());
            }
            i += 1;
        }
    }
    tokens
}

/// Returns the end of the item that begins at `i`: behind its `;`, or behind its braces.
fn end_of_item(tokens: &[String], mut i: usize) -> usize {
    let mut depth = 0usize;
    let mut is_use = false;
    while let Some(token) = tokens.get(i) {
        i += 1;
        match token.as_str() {
            "use" if depth == 0 => is_use = true,
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => {
                depth = depth.saturating_sub(1);
                if depth == 0 && token == "}" && !is_use {
                    return i;
                }
            }
            ";" if depth == 0 => return i,
            _ => {}
        }
    }
    i
}

/// Leaves out test code.
fn without_tests(tokens: Vec<String>) -> Vec<String> {
    let mut kept = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        let is_test = ["#", "[", "cfg", "(", "test", ")", "]"].iter().zip(&tokens[i..]).all(|(a, b)| a == b);
        if is_test && tokens.len() - i > 7 {
            i += 7;
            while tokens.get(i).is_some_and(|token| token == "#") {
                i = (i..tokens.len()).find(|i| tokens[*i] == "]").unwrap() + 1;
            }
            i = end_of_item(&tokens, i);
        } else {
            kept.push(tokens[i].clone());
            i += 1;
        }
    }
    kept
}

/// The place of a module's source.
enum ModulePlace {
    /// In the file that declares the module.
    Inline,
    /// In a file of the module's name.
    Below,
    /// In the file that an attribute `path` names.
    Elsewhere,
}

/// Returns the modules that are declared: the inline modules around each, its name and its place.
fn declarations(tokens: &[String]) -> Vec<(Vec<String>, String, ModulePlace)> {
    let mut found = Vec::new();
    each(tokens, |i, within| {
        let mut before = tokens[..i].iter().rev().take_while(|token| !matches!(token.as_str(), ";" | "}"));
        let is_elsewhere = before.any(|token| token == "path");
        if tokens[i] == "mod" && matches!(tokens[i + 2].as_str(), ";" | "{") {
            let place = match tokens[i + 2].as_str() {
                "{" => ModulePlace::Inline,
                _ if is_elsewhere => ModulePlace::Elsewhere,
                _ => ModulePlace::Below,
            };
            found.push((within.to_vec(), tokens[i + 1].clone(), place));
        }
        i + 1
    });
    found
}

/// Calls `visit` with each index and the inline modules around it; it returns the next index.
fn each(tokens: &[String], mut visit: impl FnMut(usize, &[String]) -> usize) {
    let (mut within, mut depths, mut depth) = (Vec::new(), Vec::new(), 0usize);
    let mut i = 0;
    while i < tokens.len() {
        let next = visit(i, &within);
        match tokens[i].as_str() {
            "mod" if tokens.get(i + 2).is_some_and(|token| token == "{") => {
                within.push(tokens[i + 1].clone());
                depths.push(depth);
            }
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                if depths.last() == Some(&depth) {
                    depths.pop();
                    within.pop();
                }
            }
            _ => {}
        }
        i = next;
    }
}

type Paths = Vec<(Vec<String>, Vec<String>)>;

/// Returns the names that `use` brings, with their paths; and every path, with the inline
/// modules around it.
fn paths(tokens: &[String]) -> (BTreeMap<String, Vec<String>>, Paths) {
    let mut names = BTreeMap::new();
    let mut all = Vec::new();
    each(tokens, |i, within| {
        let begins = i == 0 || matches!(tokens[i - 1].as_str(), ";" | "{" | "}" | "]" | ")" | "pub");
        if tokens[i] == "use" && begins {
            let end = end_of_item(tokens, i);
            let mut i = i + 1;
            let mut found = Vec::new();
            tree(tokens, &mut i, &[], &mut found);
            for (path, name) in found {
                names.insert(name, path.clone());
                all.push((within.to_vec(), path));
            }
            return end;
        }
        let is_first = i == 0 || !matches!(tokens[i - 1].as_str(), "::" | ".");
        if is_first && is_word(&tokens[i]) && tokens.get(i + 1).is_some_and(|token| token == "::") {
            let mut path = vec![tokens[i].clone()];
            let mut i = i + 1;
            while tokens.get(i).is_some_and(|token| token == "::") && is_word(&tokens[i + 1]) {
                path.push(tokens[i + 1].clone());
                i += 2;
            }
            all.push((within.to_vec(), path));
            return i;
        }
        i + 1
    });
    (names, all)
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Reads one tree of a `use`: the full paths, and the names that they get.
fn tree(tokens: &[String], i: &mut usize, before: &[String], found: &mut Vec<(Vec<String>, String)>) {
    let mut path = before.to_vec();
    loop {
        match tokens[*i].as_str() {
            "{" => {
                *i += 1;
                while tokens[*i] != "}" {
                    tree(tokens, i, &path, found);
                    if tokens[*i] == "," {
                        *i += 1;
                    }
                }
                *i += 1;
                return;
            }
            "::" => *i += 1,
            "*" => {
                *i += 1;
                path.push("*".to_owned());
                found.push((path, "*".to_owned()));
                return;
            }
            "as" => {
                found.push((path, tokens[*i + 1].clone()));
                *i += 2;
                return;
            }
            "," | "}" | ";" => {
                let name = path.last().unwrap().clone();
                found.push((path, name));
                return;
            }
            "self" if !path.is_empty() => *i += 1,
            word => {
                path.push(word.to_owned());
                *i += 1;
            }
        }
    }
}

/// Returns the folder of the workspace.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Returns the names in a folder of the workspace; none if there is no such folder.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(workspace().join(folder)) else { return Vec::new() };
    let mut all: Vec<_> = entries.map(|entry| folder.join(entry.unwrap().file_name())).collect();
    all.sort();
    all
}

/// Returns the first file of every target of the repository: libraries, programs, build scripts,
/// tests, examples and the targets of fuzzing.
fn roots() -> Vec<PathBuf> {
    let mut roots = Vec::new();
    for manifest in files(Path::new(""), &|file| file.ends_with("Cargo.toml")) {
        let package = manifest.parent().unwrap();
        roots.extend(["build.rs", "src/lib.rs", "src/main.rs"].map(|file| package.join(file)));
        for folder in ["src/bin", "tests", "examples", "targets"] {
            for entry in entries(&package.join(folder)) {
                roots.push(entry.join("main.rs"));
                roots.push(entry);
            }
        }
        // Targets elsewhere have their paths in the manifest.
        let text = std::fs::read_to_string(workspace().join(&manifest)).unwrap();
        let paths = text.lines().filter_map(|line| line.strip_prefix("path = \"")?.strip_suffix('"'));
        roots.extend(paths.map(|path| package.join(path)));
    }
    let is_source = |file: &PathBuf| {
        file.extension().is_some_and(|extension| extension == "rs") && workspace().join(file).is_file()
    };
    roots.retain(is_source);
    roots
}

/// Returns the library, with the paths of its files from `runtime-core/src`.
fn library() -> BTreeSet<(String, String)> {
    let folder = Path::new("runtime-core/src");
    let name = |file: &Path| file.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
    let imports = CargoTarget::read(&folder.join("lib.rs")).imports;
    imports.iter().map(|(from, to)| (name(from), name(to))).collect()
}

/// Returns the room of a file: the folder, or the file if it is in none.
fn room(file: &str) -> &str {
    file.split_once('/').map_or(file, |(folder, _)| folder)
}

/// Reads the table of floors in docs/architecture.md.
fn floors() -> BTreeMap<String, u32> {
    let page = std::fs::read_to_string(workspace().join("docs/architecture.md")).unwrap();
    let section = page.split("\n## ").find(|section| section.starts_with("Floors\n")).unwrap();
    let mut floors = BTreeMap::new();
    for row in section.lines().filter_map(|line| line.strip_prefix("| ")) {
        let mut cells = row.split(" | ");
        let Ok(floor) = cells.next().unwrap().parse() else { continue };
        for name in cells.next().unwrap().split('`').skip(1).step_by(2) {
            assert_eq!(floors.insert(name.trim_end_matches('/').to_owned(), floor), None, "{name}");
        }
    }
    floors
}

#[test]
fn imports_go_downwards() {
    let floors = floors();
    let rooms: BTreeSet<_> = entries(Path::new("runtime-core/src"))
        .iter()
        .map(|entry| entry.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(floors.keys().cloned().collect::<BTreeSet<_>>(), rooms, "the rooms in docs/architecture.md");
    let imports = library();
    let upwards: Vec<_> = imports
        .iter()
        .filter(|(from, to)| room(from) != room(to) && floors[room(from)] <= floors[room(to)])
        .map(|(from, to)| (from.as_str(), to.as_str()))
        .collect();
    assert_eq!(upwards, [], "file, and what it imports from its own floor or one above");
}

/// The rooms that may see the types of config.json, and those that may see the checked types.
/// `spec/state.rs` is no part of config.json.
#[test]
fn the_forms_of_a_configuration_stay_where_they_belong() {
    let imports = library();
    let seen: Vec<_> = imports
        .iter()
        .filter(|(from, to)| match room(to) {
            "spec" if to == "spec/state.rs" => false,
            "spec" => !matches!(room(from), "spec" | "config" | "ops" | "lib.rs" | "for_fuzzing.rs"),
            "config" => matches!(room(from), "boundary" | "child" | "parent" | "state" | "trace.rs"),
            _ => false,
        })
        .map(|(from, to)| (from.as_str(), to.as_str()))
        .collect();
    assert_eq!(seen, [], "file, and what it should not see");
}

/// Returns the files below a folder of the workspace for which `is_wanted` returns true, without
/// build products.
fn files(folder: &Path, is_wanted: &impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in entries(folder) {
        let name = entry.file_name().unwrap().to_str().unwrap();
        if workspace().join(&entry).is_dir() {
            if name != "target" && !name.starts_with('.') {
                found.extend(files(&entry, is_wanted));
            }
        } else if is_wanted(&entry) {
            found.push(entry);
        }
    }
    found
}

/// The only folder with unsafe code: a crate of the product, and two for tests.
const UNSAFE: &str = "runtime-core/sys";

/// Tests, examples, build scripts and the targets of fuzzing are included.
#[test]
fn only_the_sys_crates_have_unsafe_code() {
    let sources = files(Path::new(""), &|file| file.extension().is_some_and(|extension| extension == "rs"));
    let has_unsafe = |file: &&PathBuf| {
        let text = std::fs::read_to_string(workspace().join(file)).unwrap();
        tokens(&text).iter().any(|token| token == "unsafe")
    };
    let (allowed, others): (Vec<_>, Vec<_>) =
        sources.iter().filter(has_unsafe).partition(|file| file.starts_with(UNSAFE));
    assert_eq!(others, Vec::<&PathBuf>::new());
    // Otherwise the test would find no unsafe code anywhere.
    assert!(allowed.len() > 10, "{allowed:?}");
}

/// The compiler, unlike the test before, also sees code that is put together by the package's own
/// macros. (Neither sees code from macros of other crates, such as `runtime_sys::entry!`.)
#[test]
fn every_package_but_the_sys_crates_forbids_unsafe_code() {
    let read = |file: &Path| std::fs::read_to_string(workspace().join(file)).unwrap();
    let lints_of = |manifest: &str| -> Vec<String> {
        let is_lints =
            |section: &&str| section.starts_with("workspace.lints.") || section.starts_with("lints");
        let without_comment = |line: &str| line.split('#').next().unwrap().trim().to_owned();
        let lines = manifest.split("\n[").filter(is_lints).flat_map(str::lines).map(without_comment);
        lines
            .filter(|line| !line.is_empty())
            .map(|line| line.trim_start_matches("workspace.").to_owned())
            .collect()
    };
    let of_workspace = lints_of(&read(Path::new("Cargo.toml")));
    assert!(of_workspace.contains(&"unsafe_code = \"forbid\"".to_owned()), "{of_workspace:?}");
    let manifests =
        files(Path::new(""), &|file| file.ends_with("Cargo.toml") && file != Path::new("Cargo.toml"));
    assert!(manifests.len() > 5, "{manifests:?}");
    for manifest in manifests {
        let lints = lints_of(&read(&manifest));
        if manifest.starts_with(UNSAFE) {
            let but_for_one =
                |line: &String| line.replace("unsafe_code = \"forbid\"", "unsafe_code = \"deny\"");
            assert_eq!(
                lints,
                of_workspace.iter().map(but_for_one).collect::<Vec<_>>(),
                "{}",
                manifest.display()
            );
        } else {
            let forbids = [&["lints]", "workspace = true"][..], &["lints.rust]", "unsafe_code = \"forbid\""]];
            assert!(
                forbids.contains(&&*lints.iter().map(String::as_str).collect::<Vec<_>>()),
                "{}",
                manifest.display()
            );
        }
    }
}

#[test]
fn no_files_import_each_other() {
    let circles: BTreeSet<_> = roots().iter().flat_map(|root| CargoTarget::read(root).circles()).collect();
    assert_eq!(circles, BTreeSet::new());
}
