// SPDX-License-Identifier: Apache-2.0
//! The working directory of one contender: its bundles and its state directory.

use crate::contender::{Contender, Role};
use crate::filter;
use conformance::{Bundle, Doing, Result, payload};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The compiled filter in the floor's bundle.
const FILTER: &str = "filter.bpf";

#[derive(Debug)]
pub(crate) struct Workdir {
    pub(crate) contender: Contender,
    root: tempfile::TempDir,
    /// The bundle whose program exits.
    exits: Bundle,
    /// The bundle whose program waits for ever.
    waits: Bundle,
    filtered: bool,
}

impl Workdir {
    /// Makes the bundles, and a state directory below `ram`.
    pub(crate) fn new(contender: &Contender, filtered: bool, ram: &Path) -> Result<Self> {
        let root = tempfile::tempdir_in(ram).doing("temporary directory")?;
        let workdir = Workdir {
            contender: contender.clone(),
            root,
            exits: bundle("/exits", filtered)?,
            waits: bundle("/waits", filtered)?,
            filtered,
        };
        if filtered {
            let instructions = filter::instructions(&filter::json()?)?;
            std::fs::write(workdir.exits.path().join(FILTER), instructions).doing(FILTER)?;
        }
        Ok(workdir)
    }

    /// Returns the state directory.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// Returns the program that exits, in its own bundle.
    pub(crate) fn payload(&self) -> PathBuf {
        self.exits.rootfs("exits")
    }

    /// Returns the program that exits, in the bundle whose container waits.
    pub(crate) fn exec_payload(&self) -> PathBuf {
        self.waits.rootfs("exits")
    }

    /// Returns the program that waits.
    pub(crate) fn waiting_payload(&self) -> PathBuf {
        self.waits.rootfs("waits")
    }

    /// Returns `run` of the container that exits.
    pub(crate) fn run(&self, id: &str) -> Command {
        let mut command = self.command(&["run", id]);
        if self.contender.role == Role::Floor && self.filtered {
            command.arg(FILTER);
        }
        command.current_dir(self.exits.path());
        command
    }

    /// Returns `create` of the container that waits.
    pub(crate) fn create(&self, id: &str) -> Command {
        let mut command = self.command(&["create", "--pid-file"]);
        command.arg(self.pid_file()).arg(id).current_dir(self.waits.path());
        command
    }

    /// Returns any other command.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.contender.program);
        if self.contender.role != Role::Nothing {
            command.arg("--root").arg(self.root.path()).args(args);
        }
        command
    }

    fn pid_file(&self) -> PathBuf {
        self.waits.path().join("pid")
    }

    /// Reads the pid of the container that was created last.
    pub(crate) fn pid(&self) -> Result<i32> {
        std::fs::read_to_string(self.pid_file()).doing("pid file")?.trim().parse().doing("pid file")
    }
}

fn bundle(program: &str, filtered: bool) -> Result<Bundle> {
    let bundle = payload::bundle(program)?;
    if !filtered {
        return Ok(bundle);
    }
    let profile = filter::json()?;
    bundle.with(|config| config["linux"]["seccomp"] = profile)
}
