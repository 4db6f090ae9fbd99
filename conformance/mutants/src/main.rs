// SPDX-License-Identifier: Apache-2.0
//! Breaks the runtime one expression at a time, and runs the tests:
//!
//! ```text
//! box DIRECTORY mutants DIRECTORY [--seed N] [--sample N] [--cases N] [--again] FOLDER...
//! ```
//!
//! All mutants are compiled at once, each behind a switch (switch.rs), into a copy of the
//! repository in DIRECTORY. Each unit test and each conformance case runs once to record the
//! mutants that it reaches. Then the tests that reach a mutant of the sample run with it, until one
//! fails. Results go to DIRECTORY/results.tsv, line by line; a later run appends to them.
mod judge;
mod result;
mod rewrite;

use judge::{Judge, Verdict};
use result::{Result, text};
use rewrite::{From, Mapping, Mutant, Rewriter};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mutants: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The options of the command line.
struct Options {
    directory: PathBuf,
    seed: u64,
    sample: usize,
    /// The largest number of cases for a mutant.
    cases: usize,
    /// Judge the mutants again that have survived an earlier run.
    again: bool,
    folders: Vec<String>,
}

fn options(args: Vec<String>) -> Result<Options> {
    let mut args = args.into_iter();
    let directory = args
        .next()
        .ok_or("usage: mutants DIRECTORY [--seed N] [--sample N] [--cases N] [--again] FOLDER...")?;
    let mut options = Options {
        directory: directory.into(),
        seed: 1,
        sample: usize::MAX,
        cases: usize::MAX,
        again: false,
        folders: Vec::new(),
    };
    while let Some(arg) = args.next() {
        let mut number = || -> Result<u64> {
            let text = args.next().ok_or(format!("{arg} needs a number"))?;
            text.parse().map_err(|_| format!("{arg} {text}: not a number"))
        };
        match arg.as_str() {
            "--seed" => options.seed = number()?,
            "--sample" => options.sample = number()? as usize,
            "--cases" => options.cases = number()? as usize,
            "--again" => options.again = true,
            _ => options.folders.push(arg),
        }
    }
    Ok(options)
}

fn run(args: Vec<String>) -> Result {
    let options = options(args)?;
    // In its own pid namespace, where processes that tests have left can be killed.
    if std::os::unix::process::parent_id() != 1 {
        return Err("this is for a box: conformance/mutants/box DIRECTORY mutants DIRECTORY ...".into());
    }
    std::fs::create_dir_all(&options.directory).map_err(|error| error.to_string())?;
    let tree = options.directory.join("tree");
    copy(&tree)?;
    let (mutants, switch) = build(&options, &tree)?;
    let mut judge = Judge::new(&options.directory, &tree, switch)?;
    judge.learn(&mutants)?;

    let results = options.directory.join("results.tsv");
    let mut known = BTreeMap::new();
    for line in std::fs::read_to_string(&results).unwrap_or_default().lines() {
        let Some((key, verdict)) = line.rsplit_once('\t') else { continue };
        known.insert(without_line(key), verdict.to_owned());
    }
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&results).map_err(text)?;
    for folder in &options.folders {
        let mut of_folder: Vec<_> =
            mutants.iter().filter(|mutant| mutant.file.contains(&format!("/src/{folder}/"))).collect();
        let all = of_folder.len();
        of_folder.sort_by_key(|mutant| shuffled(options.seed, &mutant.key));
        of_folder.truncate(options.sample);
        let (mut killed, mut judged) = (0, 0);
        for mutant in &of_folder {
            let key = &mutant.key;
            let verdict = match known.get(key) {
                Some(verdict) if !options.again || !verdict.starts_with(Verdict::SURVIVED) => verdict.clone(),
                _ => {
                    let same = mutants.iter().filter(|other| other.file == mutant.file);
                    let same: Vec<u32> = same.map(|other| other.number).collect();
                    let verdict = judge.judge(mutant, &same, options.cases)?.to_string();
                    let (name, rest) = key.split_once('\t').unwrap_or((key, ""));
                    writeln!(file, "{name}:{}\t{rest}\t{verdict}", mutant.line).map_err(text)?;
                    verdict
                }
            };
            judged += 1;
            killed += usize::from(!verdict.starts_with(Verdict::SURVIVED));
        }
        println!("{folder}: {killed} of {judged} are killed, {} survive ({all} in all)", judged - killed);
    }
    Ok(())
}

/// Returns the key of a mutant from a line of the results, without the line number.
fn without_line(key: &str) -> String {
    let (place, rest) = key.split_once('\t').unwrap_or((key, ""));
    let file = place.rsplit_once(':').map_or(place, |(file, _)| file);
    format!("{file}\t{rest}")
}

/// Copies the files that git knows, from the work tree.
fn copy(tree: &Path) -> Result {
    std::fs::create_dir_all(tree).map_err(text)?;
    let command = format!("git ls-files -z | xargs -0 cp --parents -u -p -t '{}'", tree.display());
    ok(Command::new("sh").args(["-c", &command]))
}

pub fn ok(command: &mut Command) -> Result {
    let status = command.status().map_err(text)?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} ended with {status}")) }
}

/// Adds the module `mutant` to the library in a folder of the tree.
fn add_module(tree: &Path, folder: &str, visibility: &str, module: &str) -> Result {
    let library = std::fs::read_to_string(Path::new(folder).join("lib.rs")).map_err(text)?;
    write(&tree.join(folder).join("lib.rs"), &format!("{library}\n{visibility}mod mutant;\n"))?;
    write(&tree.join(folder).join("mutant.rs"), module)
}

/// Builds all mutants that compile. The compiler's errors show the others.
fn build(options: &Options, tree: &Path) -> Result<(Vec<Mutant>, PathBuf)> {
    let switch = options.directory.join("switch");
    // The switch needs `unsafe`.
    add_module(tree, "runtime-core/sys/src", "pub ", include_str!("../../../runtime-core/sys/testing/mutant.rs"))?;
    add_module(tree, "runtime-core/src", "", "pub(crate) use runtime_sys::mutant::*;\n")?;
    let mut files = Vec::new();
    for folder in &options.folders {
        sources(Path::new("runtime-core/src").join(folder).as_path(), &mut files)?;
    }
    let dropped_list = options.directory.join("dropped");
    let known = std::fs::read_to_string(&dropped_list).unwrap_or_default();
    let mut dropped: BTreeSet<String> = known.lines().map(str::to_owned).collect();
    loop {
        let (mut mutants, mut mappings, mut next) = (Vec::new(), BTreeMap::new(), 1);
        for path in &files {
            let source = std::fs::read_to_string(path).map_err(text)?;
            let wanted = |key: &str| !dropped.contains(key);
            let mut rewriter = Rewriter::new(&path.to_string_lossy(), &source, next, &wanted);
            rewriter.read().map_err(text)?;
            let (new, mapping, of_file, after) = rewriter.finish();
            next = after;
            write(&tree.join(path), &new)?;
            mutants.extend(of_file);
            mappings.insert(path.to_string_lossy().into_owned(), mapping);
        }
        let bad = errors(tree, &switch, &mappings, &mutants)?;
        println!("{} mutants, of which {} cannot be compiled", mutants.len(), bad.len());
        if bad.is_empty() {
            let mut map = vec![0; 1 << 16];
            map.truncate(1 << 16);
            std::fs::write(&switch, map).map_err(text)?;
            ok(Command::new("chmod").arg("666").arg(&switch))?;
            return Ok((mutants, switch));
        }
        let keys = mutants.iter().filter(|mutant| bad.contains(&mutant.number));
        dropped.extend(keys.map(|mutant| mutant.key.clone()));
        let list: String = dropped.iter().map(|key| format!("{key}\n")).collect();
        write(&dropped_list, &list)?;
    }
}

/// Returns the mutants that the compiler rejects.
fn errors(
    tree: &Path,
    switch: &Path,
    mappings: &BTreeMap<String, Mapping>,
    mutants: &[Mutant],
) -> Result<BTreeSet<u32>> {
    let output = Command::new("cargo")
        .args(["check", "--quiet", "-p", "runtime-core", "--message-format=json"])
        .current_dir(tree)
        .env("MUTANTS_FILE", switch)
        .env("CARGO_TARGET_DIR", tree.join("target"))
        .output()
        .map_err(text)?;
    let mut bad = BTreeSet::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(message) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        let message = &message["message"];
        if message["level"] != "error" {
            continue;
        }
        let arms_only = message["code"]["code"] == "E0004";
        for span in
            message["spans"].as_array().into_iter().flatten().filter(|span| span["is_primary"] == true)
        {
            let name = span["file_name"].as_str().unwrap_or_default();
            let Some(mapping) = mappings.get(name) else {
                return Err(format!("an error outside of the mutants: {}", message["rendered"]));
            };
            match mapping.back(span["byte_start"].as_u64().unwrap_or_default() as usize) {
                From::Mutant(number) if !arms_only => {
                    bad.insert(number);
                }
                From::Mutant(_) if !arms_only => {}
                From::Mutant(number) => {
                    bad.insert(number);
                }
                From::Source(at) => {
                    let here = || {
                        mutants.iter().filter(|mutant| {
                            mutant.file == name
                                && mutant.region.contains(&at)
                                && (!arms_only || mutant.change.starts_with("no arm"))
                        })
                    };
                    let smallest = here().map(|mutant| mutant.region.len()).min();
                    let found: Vec<_> =
                        here().filter(|mutant| Some(mutant.region.len()) == smallest).collect();
                    bad.extend(found.iter().map(|mutant| mutant.number));
                    if found.is_empty() {
                        // The compiler may report a type error behind the replaced value.
                        let before = mutants.iter().filter(|mutant| {
                            mutant.file == name
                                && mutant.region.start < at
                                && mutant.change.starts_with("Ok(())")
                        });
                        let nearest = before.max_by_key(|mutant| mutant.region.start);
                        let nearest =
                            nearest.ok_or(format!("an error of no mutant: {}", message["rendered"]))?;
                        bad.insert(nearest.number);
                    }
                }
            }
        }
    }
    if bad.is_empty() && !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(bad)
}

/// Writes a file unless it is unchanged: cargo compares modification times.
fn write(path: &Path, text: &str) -> Result {
    if std::fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) -> Result {
    let mut entries: Vec<_> =
        std::fs::read_dir(folder).map_err(text)?.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            sources(&path, files)?;
        } else if name.ends_with(".rs") && !matches!(name.as_str(), "mutations.rs" | "tests.rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// Returns a sort key: FNV-1a of the mutant's key, started with the seed.
fn shuffled(seed: u64, key: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for byte in key.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    hash
}
