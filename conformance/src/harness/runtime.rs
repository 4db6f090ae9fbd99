// SPDX-License-Identifier: Apache-2.0
//! The command line of a runtime, run with its output captured.

use crate::ensure;
use crate::harness::bundle::Bundle;
use crate::inside::report::Report;
use crate::result::{Doing, Result};
use serde_json::Value;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A runtime with a state directory of its own.
#[derive(Debug)]
pub struct Runtime {
    program: PathBuf,
    root: tempfile::TempDir,
    systemd: bool,
}

/// The exit status and the output of a command and of its container.
#[derive(Clone, Debug)]
pub struct Output {
    /// The command, for messages.
    pub command: String,
    /// Its exit status.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    /// Returns the output if the command has succeeded.
    pub fn ok(self) -> Result<Self> {
        ensure!(self.status.success(), "{self}");
        Ok(self)
    }

    /// Returns the output if the command has failed with status 1 to 255.
    pub fn failed(self) -> Result<Self> {
        ensure!(self.status.code().is_some_and(|code| code != 0), "must fail: {self}");
        Ok(self)
    }

    /// Returns the output if the command has failed with this status and `text` on standard error.
    pub fn failed_with(self, status: i32, text: &str) -> Result<Self> {
        ensure!(self.status.code() == Some(status), "must fail with {status}: {self}");
        ensure!(self.stderr.contains(text), "must say {text:?}: {self}");
        Ok(self)
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Output { command, status, stdout, stderr } = self;
        write!(f, "`{command}` ended with {status}\nstdout: {stdout}\nstderr: {stderr}")
    }
}

/// The time limit of a command.
const PATIENCE: Duration = Duration::from_secs(60);

impl Runtime {
    /// Returns the runtime that the environment variable RUNTIME names, or the one of this
    /// workspace; if SYSTEMD_CGROUP is set, with systemd's cgroups.
    pub fn from_env() -> Result<Self> {
        let program = std::env::var_os("RUNTIME")
            .map_or_else(|| crate::harness::bundle::beside("runtime-cli"), PathBuf::from);
        Ok(Self::new(&program)?.with_systemd(std::env::var_os("SYSTEMD_CGROUP").is_some()))
    }

    /// Sets whether systemd makes the cgroups.
    pub fn with_systemd(mut self, systemd: bool) -> Self {
        self.systemd = systemd;
        self
    }

    /// Returns the runtime at a path.
    pub fn new(program: &Path) -> Result<Self> {
        ensure!(program.is_file(), "no runtime at {} (set RUNTIME)", program.display());
        let root = tempfile::Builder::new().prefix("state-").tempdir().doing("temporary directory")?;
        let program = std::path::absolute(program).doing("absolute path")?;
        Ok(Runtime { program, root, systemd: false })
    }

    /// Returns true if systemd makes the cgroups.
    pub fn has_systemd_cgroups(&self) -> bool {
        self.systemd
    }

    /// Returns its program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Returns its state directory.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Returns a command, to be changed before [`finish`] runs it.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(self.root.path());
        if self.systemd {
            command.arg("--systemd-cgroup");
        }
        command.args(args).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Result<Output> {
        finish(self.command(args))
    }

    /// Runs a command to its end, in the bundle's directory.
    pub fn run_in(&self, bundle: &Bundle, args: &[&str]) -> Result<Output> {
        let mut command = self.command(args);
        command.current_dir(bundle.path());
        finish(command)
    }

    /// Runs a bundle with the program `probe report` in the foreground.
    pub fn report(&self, bundle: &Bundle) -> Result<Report> {
        let output = self.run_in(bundle, &["run", "report"])?.ok()?;
        serde_json::from_str(&output.stdout).doing(&format!("the probe's report {:?}", output.stdout))
    }

    /// Returns the state of a container.
    pub fn state(&self, id: &str) -> Result<Value> {
        let output = self.run(&["state", id])?.ok()?;
        serde_json::from_str(&output.stdout).doing(&format!("state {:?}", output.stdout))
    }

    /// Returns the status of a container.
    pub fn status(&self, id: &str) -> Result<String> {
        Ok(self.state(id)?["status"].as_str().unwrap_or_default().to_owned())
    }

    /// Waits until a container has a status.
    pub fn await_status(&self, id: &str, status: &str) -> Result {
        let end = Instant::now() + PATIENCE;
        loop {
            let now = self.status(id)?;
            if now == status {
                return Ok(());
            }
            ensure!(Instant::now() < end, "container {id} is {now} and does not become {status}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Parses a runtime of a command line: `NAME=PATH`, or a path whose last component is the name.
pub fn named(argument: &str) -> Result<(String, PathBuf)> {
    let (name, path) = match argument.split_once('=') {
        Some((name, path)) => (name.to_owned(), path),
        None => {
            let name = Path::new(argument).file_name().unwrap_or_default();
            (name.to_string_lossy().into_owned(), argument)
        }
    };
    ensure!(Path::new(path).is_file(), "there is no runtime {path}");
    Ok((name, std::path::absolute(path).doing(path)?))
}

/// Runs a command to its end. Its output goes to files: a container that still runs would keep a
/// pipe open.
pub fn finish(mut command: Command) -> Result<Output> {
    let line = format!("{command:?}");
    let mut stdout = tempfile::tempfile().doing("temporary file")?;
    let mut stderr = tempfile::tempfile().doing("temporary file")?;
    command.stdout(stdout.try_clone().doing("dup")?).stderr(stderr.try_clone().doing("dup")?);
    let mut child = command.spawn().doing(&line)?;
    let status = wait(&mut child).map_err(|error| {
        format!("{line}: {error}\nstdout: {}\nstderr: {}", text(&mut stdout), text(&mut stderr))
    })?;
    Ok(Output { command: line, status, stdout: text(&mut stdout), stderr: text(&mut stderr) })
}

/// Waits for a child, and kills it after the time limit.
pub fn wait(child: &mut Child) -> Result<ExitStatus> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().doing("wait")? {
            return Ok(status);
        }
        if Instant::now() > end {
            child.kill().doing("kill")?;
            child.wait().doing("wait")?;
            return Err(format!("did not end within {PATIENCE:?}"));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn text(file: &mut File) -> String {
    let mut bytes = Vec::new();
    match file.rewind().and_then(|()| file.read_to_end(&mut bytes)) {
        Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => format!("<{error}>"),
    }
}
