// SPDX-License-Identifier: Apache-2.0
//! exec(1): one more process in a container. It is create without "make" and
//! with "join"; both end in the same function of `init`.

use super::Container;
use super::create::{Created, Process, announce, check_preserved, connect_console, start_failed};
use super::state::status;
use crate::cgroup::{Cgroup, Hierarchy};
use crate::config::namespaces::Kind;
use crate::config::process::Process as ProcessConfig;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::init::plan::{Join, Plan};
use crate::launch::{self, Child, Progress, Running, outside};
use crate::path::proc::Proc;
use crate::plan::{self, Extras};
use crate::spec::{self, Status};
use crate::state::record::Record;
use crate::sys::{Errno, cred, fd};
use std::ffi::{CString, OsStr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// A process that is to run in a container. Made by [`Container::exec`].
#[derive(Debug)]
#[must_use]
pub struct Exec {
    container: Container,
    process: spec::Process,
    console_socket: Option<PathBuf>,
    pidfd_socket: Option<PathBuf>,
    pid_file: Option<PathBuf>,
    cgroup: Option<String>,
    ignore_paused: bool,
    extras: Extras,
}

impl Container {
    /// Begins to run `process` in the container. What it leaves open
    /// (capabilities, limits, labels, umask) is as for the container's first
    /// process; the system call filter always is.
    pub fn exec(&self, process: spec::Process) -> Exec {
        Exec {
            container: self.clone(),
            process,
            console_socket: None,
            pidfd_socket: None,
            pid_file: None,
            cgroup: None,
            ignore_paused: false,
            extras: Extras::default(),
        }
    }
}

impl Exec {
    /// Sends the master of the process's terminal to the socket at `path`.
    pub fn console_socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.console_socket = Some(path.into());
        self
    }

    /// As [`console_socket`](Self::console_socket), with a connected socket.
    pub fn console(mut self, socket: OwnedFd) -> Self {
        self.extras.console = Some(socket);
        self
    }

    /// Sends a pidfd of the process to the socket at `path`.
    pub fn pidfd_socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.pidfd_socket = Some(path.into());
        self
    }

    /// Writes the pid of the process, in decimal, to the file at `path`.
    pub fn pid_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.pid_file = Some(path.into());
        self
    }

    /// What becomes standard input, output and error; `None`: what the caller has.
    pub fn stdio(mut self, stdio: [Option<OwnedFd>; 3]) -> Self {
        self.extras.stdio = stdio;
        self
    }

    /// Gives the process the caller's descriptors 3 to 2 + `count` too.
    pub fn preserve_fds(mut self, count: u16) -> Self {
        self.extras.preserve_fds = count.into();
        self
    }

    /// Adds a variable to the environment of the process.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.extras.add_env(name.as_ref(), value.as_ref());
        self
    }

    /// Runs the process in this cgroup below the container's.
    pub fn cgroup(mut self, path: impl Into<String>) -> Self {
        self.cgroup = Some(path.into());
        self
    }

    /// Allows a paused container, in which the process will wait with the others.
    pub fn ignore_paused(mut self, ignore: bool) -> Self {
        self.ignore_paused = ignore;
        self
    }

    /// Starts the process.
    pub fn spawn(mut self) -> Result<Created> {
        let entry = self.container.store.entry(&self.container.id)?;
        let record = entry.record()?;
        let refuse = |why: &str| Err(Error::new(ErrorKind::InvalidState, why));
        match status(&entry, &record)? {
            Status::Created | Status::Running => {}
            Status::Paused if self.ignore_paused => {}
            Status::Paused => return refuse("cannot exec in a paused container (use --ignore-paused to override)"),
            Status::Stopped => return refuse("cannot exec in a stopped container"),
            Status::Creating => return refuse("cannot exec in a container that is being created"),
        }
        let Some(init) = record.init.open()? else { return refuse("cannot exec in a stopped container") };
        let mut warnings = Vec::new();
        record.inherited.complete(&mut self.process);
        let config = ProcessConfig::new(&self.process, available_capabilities(&record)?, &mut warnings)?;
        check_preserved(self.extras.preserve_fds)?;
        let console = connect_console(self.console_socket.as_deref(), self.extras.console.take())?;
        let extras = Extras {
            console,
            no_new_keyring: record.no_new_keyring,
            ..std::mem::take(&mut self.extras)
        };
        let mut plan = plan::for_exec(&config, &record.id, joins(&record, init)?, extras)?;
        let cgroup = self.open_cgroup(&record)?;
        let child = spawn_in(&mut plan, &cgroup, &record)?;
        let running = self.drive(child, &plan, &config).map_err(start_failed)?;
        Ok(Created { process: Process::new(running), warnings })
    }

    /// The cgroup that the process is to be born in.
    fn open_cgroup(&self, record: &Record) -> Result<Cgroup> {
        let path = record.cgroup_path();
        let gone = || Error::new(ErrorKind::InvalidState, format!("the container's cgroup {path} is gone"));
        let Some(below) = self.cgroup.as_deref().filter(|below| !below.is_empty()) else {
            return Cgroup::from_record(path)?.ok_or_else(gone);
        };
        // By components: `..`, and a name that only begins like the container's,
        // lead elsewhere.
        if below.split('/').any(|part| part == "..") {
            return Err(Error::new(ErrorKind::InvalidConfig, format!("bad sub cgroup path: {below}")));
        }
        let path = format!("{path}/{}", crate::path::clean(below));
        Cgroup::from_record(&path)?.ok_or_else(|| {
            Error::os(Errno::ENOENT, format!("can't open cgroup: open {path}")).of_kind(ErrorKind::InvalidConfig)
        })
    }

    fn drive(&self, child: Child, plan: &Plan, config: &ProcessConfig) -> Result<Running> {
        loop {
            match child.progress(plan)? {
                // Only create has one.
                Progress::Barrier => child.go()?,
                Progress::Ready => break,
            }
        }
        outside::apply(config, &Proc::host().context(|| "open /proc")?, child.pid)?;
        announce(&child, b"setns", self.pidfd_socket.as_deref(), self.pid_file.as_deref())?;
        child.release()
    }
}

/// Clones the process into `cgroup`. A container that has made cgroups of its
/// own with controllers in them cannot have processes in its root any more;
/// then the process goes where the container's init is.
fn spawn_in(plan: &mut Plan, cgroup: &Cgroup, record: &Record) -> Result<Child> {
    match launch::spawn(plan, Some(cgroup.dir())) {
        Err(error) if error.errno() == Some(libc::EBUSY) => {}
        other => return other,
    }
    let path = Hierarchy::of(record.init.pid)?;
    let own = Hierarchy::find()?.open(&path)?;
    let own = own.ok_or_else(|| Error::new(ErrorKind::InvalidState, format!("the init's cgroup {path} is gone")))?;
    launch::spawn(plan, Some(own.dir()))
}

/// The namespaces of init that are not the runtime's own.
fn joins(record: &Record, init: OwnedFd) -> Result<Box<[Join]>> {
    let mut flags = 0;
    for kind in Kind::ALL {
        let Some(path) = record.namespace_paths.get(kind.clone_name()) else { continue };
        // The kernel refuses to enter the user namespace that one is in.
        if kind == Kind::User && is_own_user_namespace(path)? {
            continue;
        }
        flags |= kind.flag();
    }
    Ok(if flags == 0 { Box::default() } else { Box::new([Join { fd: init, flags }]) })
}

fn is_own_user_namespace(path: &str) -> Result<bool> {
    let path = CString::new(path).unwrap_or_default();
    let stat = |path| fd::stat_at(fd::CWD, path, 0).context(|| format!("stat {}", crate::path::show(path)));
    let (own, other) = (stat(c"/proc/self/ns/user")?, stat(&path)?);
    Ok((own.st_dev, own.st_ino) == (other.st_dev, other.st_ino))
}

fn available_capabilities(record: &Record) -> Result<u64> {
    if record.namespace_paths.contains_key(Kind::User.clone_name()) {
        super::create::all_capabilities()
    } else {
        Ok(cred::cap_get().context(|| "capget")?.permitted)
    }
}

