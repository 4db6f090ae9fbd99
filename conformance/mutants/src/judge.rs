// SPDX-License-Identifier: Apache-2.0
//! The tests, and their verdict on a mutant.

use crate::result::{Result, text};
use crate::rewrite::Mutant;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The time limit of a test that judges. Slower tests wait for something or try at random.
const SLOW: Duration = Duration::from_millis(1500);

/// A passing test, with the mutants that it reaches.
#[derive(Debug)]
struct Test {
    name: String,
    is_case: bool,
    takes: Duration,
    reaches: Vec<bool>,
    kills: usize,
}

/// The test programs, with their history.
pub struct Judge {
    directory: PathBuf,
    switch: File,
    unit_tests: PathBuf,
    cases: PathBuf,
    runtime: PathBuf,
    tests: Vec<Test>,
    kills: u32,
}

/// The verdict on a mutant.
#[derive(Debug)]
pub enum Verdict {
    /// This test failed.
    Killed(String),
    /// This test did not end in time.
    TimedOut(String),
    /// The number of tests that reach it. None of them failed.
    Survived(usize),
}

impl Verdict {
    pub const SURVIVED: &str = "survived";
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Killed(test) => f.write_str(test),
            Verdict::TimedOut(test) => write!(f, "{test} (timeout)"),
            Verdict::Survived(0) => write!(f, "{}, not reached", Verdict::SURVIVED),
            Verdict::Survived(tests) => write!(f, "{} {tests} tests", Verdict::SURVIVED),
        }
    }
}

/// The end of a run of tests.
enum End {
    Passed,
    Failed(String),
    TimedOut(String),
}

impl Judge {
    /// Builds the test programs.
    pub fn new(directory: &Path, tree: &Path, switch: PathBuf) -> Result<Self> {
        let cargo = |args: &[&str]| -> Result<String> {
            let output = Command::new("cargo")
                .args(args)
                .args(["--quiet", "--message-format=json"])
                .current_dir(tree)
                .env("MUTANTS_FILE", &switch)
                .env("CARGO_TARGET_DIR", tree.join("target"))
                .stderr(Stdio::inherit())
                .output()
                .map_err(text)?;
            if !output.status.success() {
                return Err(format!("cargo {args:?} ended with {}", output.status));
            }
            String::from_utf8(output.stdout).map_err(text)
        };
        let executable = |messages: &str, name: &str| -> Result<PathBuf> {
            let found =
                messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            let found = found.filter(|message| message["target"]["name"] == name);
            found
                .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
                .next_back()
                .ok_or(format!("cargo built no {name}"))
        };
        let runtime = executable(&cargo(&["build", "-p", "runtime-cli"])?, "runtime-cli")?;
        cargo(&["build", "-p", "conformance", "--bins"])?;
        let cases =
            executable(&cargo(&["test", "--no-run", "-p", "conformance", "--test", "cases"])?, "cases")?;
        let messages = cargo(&["test", "--no-run", "-p", "runtime-core", "--lib"])?;
        let unit_tests =
            executable(&messages, "runtime_core").or_else(|_| executable(&messages, "runtime-core"))?;
        let switch = File::options().read(true).write(true).open(switch).map_err(text)?;
        Ok(Judge {
            directory: directory.into(),
            switch,
            unit_tests,
            cases,
            runtime,
            tests: Vec::new(),
            kills: 0,
        })
    }

    /// Runs each test alone, without a mutant, to record the mutants that it reaches, or reads the
    /// record of an earlier run. Tests that fail are left out.
    pub fn learn(&mut self, mutants: &[Mutant]) -> Result {
        let last = mutants.last().map_or(0, |mutant| mutant.number) as usize;
        let path = self.directory.join("reaches.json");
        let seen: Value =
            std::fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        let known: BTreeSet<&str> = strings(&seen["mutants"]).collect();
        let mut learned = json!({ "mutants": mutants.iter().map(|mutant| &mutant.key).collect::<Vec<_>>(), "tests": {}, "failing": seen["failing"] });
        for is_case in [false, true] {
            for name in self.list(is_case)? {
                let mut reaches = vec![false; last + 1];
                let old = &seen["tests"][&name];
                let takes;
                if old.is_object() {
                    let reached: BTreeSet<&str> = strings(&old["reaches"]).collect();
                    for Mutant { number, key, .. } in mutants {
                        // A mutant that is newer than the record counts as reached.
                        reaches[*number as usize] =
                            reached.contains(key.as_str()) || !known.contains(key.as_str());
                    }
                    takes = Duration::from_millis(old["takes"].as_u64().unwrap_or_default());
                } else if seen["failing"][&name].is_null() {
                    self.choose(0)?;
                    self.switch.write_all_at(&vec![0; last + 1], 4).map_err(text)?;
                    let begin = Instant::now();
                    let end = self.run(is_case, &[&name], Duration::from_secs(120))?;
                    takes = begin.elapsed();
                    if !matches!(end, End::Passed) {
                        println!("fails without a mutant: {name}");
                        learned["failing"][&name] = true.into();
                        continue;
                    }
                    let mut reached = vec![0; last + 1];
                    self.switch.read_exact_at(&mut reached, 4).map_err(text)?;
                    reaches = reached.iter().map(|byte| *byte != 0).collect();
                } else {
                    continue;
                }
                let reached = mutants.iter().filter(|mutant| reaches[mutant.number as usize]);
                let reached: Vec<_> = reached.map(|mutant| &mutant.key).collect();
                learned["tests"][&name] = json!({ "takes": takes.as_millis() as u64, "reaches": reached });
                self.tests.push(Test { name, is_case, takes, reaches, kills: 0 });
            }
        }
        std::fs::write(path, learned.to_string()).map_err(text)
    }

    fn list(&self, is_case: bool) -> Result<Vec<String>> {
        let program = if is_case { &self.cases } else { &self.unit_tests };
        let output = Command::new(program).arg("--list").output().map_err(text)?;
        let listed = String::from_utf8(output.stdout).map_err(text)?;
        Ok(listed.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
    }

    fn choose(&self, mutant: u32) -> Result {
        self.switch.write_all_at(&mutant.to_ne_bytes(), 0).map_err(text)
    }

    /// Returns the tests that reach a mutant, best first: tests that reach little besides its file,
    /// or that have killed its neighbours.
    fn most_fit(&self, mutant: &Mutant, is_case: bool, of_file: &[u32]) -> Vec<(f64, Duration, String)> {
        let of_kind = || self.tests.iter().filter(|test| test.is_case == is_case);
        let rare =
            |number: &u32| 1.0 / of_kind().filter(|test| test.reaches[*number as usize]).count() as f64;
        let rare: Vec<(u32, f64)> = of_file.iter().map(|number| (*number, rare(number))).collect();
        let mut fit: Vec<_> = of_kind()
            .filter(|test| test.reaches[mutant.number as usize] && test.takes < SLOW)
            .map(|test| {
                let reached = rare.iter().filter(|(number, _)| test.reaches[*number as usize]);
                let score: f64 = reached.map(|(_, rare)| rare).sum();
                (score * (1 + test.kills) as f64, test.takes, test.name.clone())
            })
            .collect();
        fit.sort_by(|a, b| b.0.total_cmp(&a.0));
        fit
    }

    /// Judges one mutant: by the unit tests that reach it, then by at most `most` cases.
    pub fn judge(&mut self, mutant: &Mutant, of_file: &[u32], most: usize) -> Result<Verdict> {
        self.choose(mutant.number)?;
        let unit_tests = self.most_fit(mutant, false, of_file);
        let mut cases = self.most_fit(mutant, true, of_file);
        cases.truncate(most);
        let reached = unit_tests.len() + cases.len();
        let (fast, slow) =
            unit_tests.into_iter().partition(|(_, takes, _)| *takes < Duration::from_millis(300));
        for (is_case, tests) in [(false, fast), (false, slow), (true, cases)] {
            let tests: Vec<(f64, Duration, String)> = tests;
            let mut rest: &[_] = &tests;
            while !rest.is_empty() {
                let usual: Duration = rest.iter().map(|(_, takes, _)| *takes).sum();
                let list: Vec<&str> = rest.iter().map(|(_, _, name)| name.as_str()).collect();
                let name = match self.run(is_case, &list, Duration::from_secs(20) + 4 * usual)? {
                    End::Passed => break,
                    End::TimedOut(name) => return Ok(Verdict::TimedOut(name)),
                    End::Failed(name) => name,
                };
                // Runs a slow case again: other programs may have delayed it.
                let takes = rest.iter().find(|(_, _, known)| *known == name).map(|(_, takes, _)| *takes);
                let is_sure = takes.is_some_and(|takes| takes < Duration::from_millis(400));
                if is_case
                    && !is_sure
                    && matches!(self.run(true, &[&name], Duration::from_secs(60))?, End::Passed)
                {
                    let at = rest.iter().position(|(_, _, known)| *known == name);
                    rest = &rest[at.map_or(rest.len(), |at| at + 1)..];
                    continue;
                }
                self.count(&name, is_case, mutant)?;
                return Ok(Verdict::Killed(name));
            }
        }
        Ok(Verdict::Survived(reached))
    }

    /// Counts a kill. From time to time, checks that the test still passes without the mutant.
    fn count(&mut self, name: &str, is_case: bool, mutant: &Mutant) -> Result {
        if let Some(test) = self.tests.iter_mut().find(|test| test.name == name) {
            test.kills += 1;
        }
        self.kills += u32::from(is_case);
        if is_case && self.kills.is_multiple_of(10) {
            self.choose(0)?;
            if !matches!(self.run(true, &[name], Duration::from_secs(60))?, End::Passed) {
                return Err(format!("{name} fails without a mutant, too, after {}", mutant.key));
            }
        }
        Ok(())
    }

    /// Runs unit tests, or cases until one fails.
    fn run(&self, is_case: bool, names: &[&str], patience: Duration) -> Result<End> {
        let log = self.directory.join("log");
        let stdout = File::create(&log).map_err(text)?;
        let mut command;
        if is_case {
            let list = self.directory.join("cases");
            std::fs::write(&list, names.join("\n")).map_err(text)?;
            // In new namespaces, because a broken runtime may change the host name or leave a
            // device.
            command = Command::new("unshare");
            command.args(["--net", "--uts", "--ipc", "sh", "-c", "ip link set lo up; exec \"$0\""]);
            command.arg(&self.cases).env("CASES", list).env("RUNTIME", &self.runtime);
        } else {
            command = Command::new(&self.unit_tests);
            command.env("PROPTEST_MAX_SHRINK_ITERS", "0").env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true");
            command.args(["--exact", "--test-threads=1"]).args(names);
        }
        let stderr = stdout.try_clone().map_err(text)?;
        let mut child = command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn().map_err(text)?;
        let end = Instant::now() + patience;
        let status = loop {
            if let Some(status) = child.try_wait().map_err(text)? {
                break status;
            }
            if Instant::now() > end {
                child.kill().and_then(|()| child.wait()).map_err(text)?;
                end_all();
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                let last = said.lines().rfind(|line| line.starts_with("test "));
                let last = last.and_then(|line| line.strip_prefix("test ")?.split(" ...").next());
                return Ok(End::TimedOut(last.unwrap_or(names[0]).trim().to_owned()));
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        if status.success() {
            return Ok(End::Passed);
        }
        end_all();
        let said = std::fs::read(&log).map_err(text)?;
        let said = String::from_utf8_lossy(&said);
        let failed: BTreeMap<_, _> = said
            .lines()
            .filter(|line| line.ends_with("FAILED"))
            .filter_map(|line| {
                Some((line.strip_prefix("test ")?.rsplit_once(" ...")?.0.trim().to_owned(), ()))
            })
            .collect();
        // The test has ended the whole program, so there is no result line.
        let name = failed.into_keys().next().unwrap_or_else(|| names[0].to_owned());
        Ok(End::Failed(name))
    }
}

fn strings(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// Kills all other processes of the box, which a broken runtime may have left.
fn end_all() {
    let _there_are_none = kill(Pid::from_raw(-1), Signal::SIGKILL);
}
