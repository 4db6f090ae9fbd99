// SPDX-License-Identifier: Apache-2.0
//! exec(1): runs one more process in a container. The process joins what create makes, and
//! then takes the same steps as create's child.

use super::container::{Container, NO_CGROUP};
use super::inherited::Inherited;
use super::join::{joins, root_of, spawn_and_attach};
use super::options::{ProcessOptions, process_options};
use super::process::{Output, Pending, Process};
use super::state::status;
use crate::boundary::plan::{Keeps, Plan};
use crate::cgroup::driver::Driver;
use crate::cgroup::oom::OomWatch;
use crate::cgroup::record::CgroupRecord;
use crate::cgroup::{Cgroup, Hierarchy};
use crate::config::annotations::keeps_groups;
use crate::config::namespaces::NamespaceKind;
use crate::config::process::Process as ProcessConfig;
use crate::error::{Context, Error, ErrorKind, Result, Warning};
use crate::hook::Hook;
use crate::marks::{Mark, Traced};
use crate::parent::attributes::{self, AffinityGuard};
use crate::parent::child::{Child, Progress};
use crate::parent::explain::start_failed;
use crate::parent::{agent, ids};
use crate::path::proc;
use crate::path::proc::PidFile;
use crate::prepare::{self, Extras};
use crate::resctrl::Resctrl;
use crate::spec::{self, OCI_VERSION, StateDocument, Status};
use crate::state::filter::CompiledFilter;
use crate::state::record::Record;
use crate::stdio::Stdio;
use runtime_sys::{Errno, cred};
use seccomp::Listener;
use std::ffi::{CString, OsStr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// A builder for a process in a container, made by [`Container::exec`].
#[derive(Debug)]
#[must_use]
pub struct ExecBuilder {
    container: Container,
    process: spec::Process,
    cgroup: Option<String>,
    ignore_paused: bool,
    hook: Option<Hook>,
    pub(super) options: ProcessOptions,
}

impl Container {
    /// Returns `process` of config.json as it was when the container was created.
    ///
    /// Errors: [`ErrorKind::NotFound`], [`ErrorKind::BadRecord`].
    pub fn spec_process(&self) -> Result<spec::Process> {
        Ok(Inherited::of(&self.store.entry(&self.id)?.record()?)?.process)
    }

    /// Returns a builder that runs `process` in the container. Properties that `process` leaves
    /// open (capabilities, limits, labels, umask) are those of the container's first process. The
    /// seccomp filter always is.
    pub fn exec(&self, process: spec::Process) -> ExecBuilder {
        ExecBuilder {
            container: self.clone(),
            process,
            cgroup: None,
            ignore_paused: false,
            hook: None,
            options: ProcessOptions::default(),
        }
    }
}

impl ExecBuilder {
    process_options!();

    /// Runs the process in the cgroup at `path`, relative to the container's. A cgroup that does not
    /// exist is an error of the operation.
    pub fn cgroup(mut self, path: impl Into<String>) -> Self {
        self.cgroup = Some(path.into());
        self
    }

    /// Allows a paused container. The process is then frozen like the others.
    pub fn ignore_paused(mut self, ignore: bool) -> Self {
        self.ignore_paused = ignore;
        self
    }

    /// Executes a startContainer hook instead of the process's program.
    pub(super) fn hook(mut self, hook: Hook) -> Self {
        self.hook = Some(hook);
        self
    }

    /// Runs the process with /dev/null as its standard input, and collects its output, up to `limit`
    /// bytes of each stream: see [`Process::wait_with_output`]. [`cancel`](Self::cancel) ends the
    /// collection, too. After an error, the process is killed.
    ///
    /// Errors: see [`spawn`](Self::spawn).
    pub fn output(self, limit: usize) -> Result<Output> {
        self.stdin(Stdio::Null).stdout(Stdio::Piped).stderr(Stdio::Piped).spawn()?.into_output(limit)
    }

    /// Starts the process, and waits until its program has been executed.
    ///
    /// Errors: [`ErrorKind::NotFound`]; [`ErrorKind::InvalidState`]: the container has stopped, is paused
    /// or is being created; [`ErrorKind::InvalidConfig`], [`ErrorKind::Setup`],
    /// [`ErrorKind::NotExecuted`], [`ErrorKind::Cancelled`]. After an error, no process is left.
    pub fn spawn(self) -> Result<Process> {
        self.prepare()?.start_at_once()
    }

    /// Makes the process, which waits for [`Pending::start`] to execute its program: for a caller
    /// that sets up the terminal first. Errors: see [`spawn`](Self::spawn).
    pub fn prepare(self) -> Result<Pending> {
        let mut warnings = Vec::new();
        Pending::warned(self.make(&mut warnings), warnings)
    }

    /// Makes the process, which then waits. This is the whole sequence of the parent's steps.
    fn make(mut self, warnings: &mut Vec<Warning>) -> Result<Pending> {
        self.options.check()?;
        self.process.terminal |= self.options.terminal;
        let entry = self.container.store.entry(&self.container.id)?;
        let record = entry.record()?;
        let status = status(&entry, &record)?;
        let init = self.init(status, &record)?;
        let inherited = Inherited::of(&record)?;
        inherited.complete(&mut self.process);
        let config = ProcessConfig::new(&self.process, available_capabilities(&record)?, warnings)
            .and_then(|config| {
                config.with_linux(inherited.personality.as_ref(), inherited.memory_policy.as_ref())
            })
            .traced(Mark::CheckConfig)?;
        let keeps_groups = keeps_groups(&record.annotations)?;
        let config = config.keeping_groups(keeps_groups);
        let (given, streams) = self.options.take_extras()?;
        let filter = entry.filter(&record)?;
        let mut notes: Vec<String> = filter.iter().map(CompiledFilter::note).collect();
        let agent = filter.as_ref().and_then(|filter| filter.agent.clone());
        let target = ExecTarget { record: &record, status, agent };
        let keeps = target.groups_to_keep(keeps_groups)?;
        let extras = Extras { keeps, filter, no_new_keyring: record.no_new_keyring, ..given };

        let joins = joins(&record.namespace_paths, init)?;
        let (root, in_user_namespace) = (root(&record)?, target.in_user_namespace());
        let mut plan = prepare::for_exec(&config, &record.id, in_user_namespace, joins, root, extras)
            .traced(Mark::Plan)?;
        plan.enter = enter(&record)?;
        if let Some(hook) = &self.hook {
            prepare::hook::for_start_container(&mut plan, hook)?;
        }
        let oom_watch = Cgroup::from_record(record.cgroup_path())?.map(|cgroup| {
            let before = cgroup.memory_events();
            OomWatch::new(cgroup, before)
        });

        let bound = match config.exec_affinity.initial.as_slice() {
            [] => None,
            cpus => Some(AffinityGuard::to(cpus)?),
        };
        notes.extend(bound.iter().map(AffinityGuard::note));
        let mut child = spawn(&mut plan, self.cgroup.as_deref(), &record)?;
        drop(bound);
        let served = self.serve(&mut child, &plan, &target);
        let finished = served.and_then(|()| self.finish(&child, &plan, &config, &target));
        finished.map_err(|error| explain(error, &child, oom_watch.as_ref()))?;
        let streams = streams.with_terminal()?;
        let pending = Pending::new(self.container, child, plan, oom_watch, notes, streams);
        Ok(pending.cancelled_by(self.options.cancel))
    }

    /// Returns a pidfd of the container's init, if the container's status allows exec.
    fn init(&self, status: Status, record: &Record) -> Result<OwnedFd> {
        let refuse = |why: &str| Err(Error::new(ErrorKind::InvalidState, why));
        match status {
            Status::Created | Status::Running => {}
            Status::Paused if self.ignore_paused => {}
            Status::Paused => {
                return refuse("cannot exec in a paused container (use --ignore-paused to override)");
            }
            Status::Stopped => return refuse("cannot exec in a stopped container"),
            Status::Creating => return refuse("cannot exec in a container that is being created"),
        }
        let Some(init) = record.init.open()? else { return refuse("cannot exec in a stopped container") };
        Ok(init)
    }

    /// Serves the child's requests until it is ready to execute its program.
    fn serve(&self, child: &mut Child, plan: &Plan, target: &ExecTarget<'_>) -> Result<()> {
        loop {
            match child.progress(plan, self.options.cancel())? {
                Progress::Ready => return Ok(()),
                stop @ (Progress::Namespaces | Progress::Barrier | Progress::NeedMount(_)) => {
                    let text = format!("a process of exec stops at {stop:?}, which only create has");
                    return Err(Error::new(ErrorKind::Setup, text));
                }
                Progress::Listener(listener) => {
                    if let Some(agent) = &target.agent {
                        let watch = self.options.watch(child);
                        agent::hand_over(agent, listener, child.pid(), target.state(), watch)?;
                    }
                    child.go()?;
                }
            }
        }
    }

    /// Sets the attributes that the child has no right to set itself, and reports its pid.
    fn finish(
        &self,
        child: &Child,
        plan: &Plan,
        config: &ProcessConfig,
        target: &ExecTarget<'_>,
    ) -> Result<()> {
        let proc = proc::host()?;
        if let Some(place) = &target.record.resctrl {
            Resctrl::find()?.assign(place, child.pid())?;
        }
        if target.in_user_namespace() {
            attributes::own_streams(plan, &proc, child.pid(), config.uid)?;
        }
        let attributes = prepare::attributes(config, config.exec_affinity.to_stay(), plan);
        attributes::apply(attributes, &proc, child.pid(), target.in_user_namespace())
            .traced(Mark::SetFromOutside)?;
        self.options.report_pid(child.pid(), child.pidfd(), b"setns").traced(Mark::Announce)
    }
}

/// Adds to an error that it comes from the child, and that the child may have been OOM-killed.
fn explain(error: Error, child: &Child, oom_watch: Option<&OomWatch>) -> Error {
    let limit = oom_watch.filter(|_| child.is_killed()).and_then(OomWatch::limit);
    start_failed(match limit {
        None => error,
        Some(limit) => {
            Error::new(ErrorKind::Setup, format!("{} (possibly OOM-killed): {limit}", error.report()))
        }
    })
}

/// The container in which the process is executed.
struct ExecTarget<'a> {
    record: &'a Record,
    status: Status,
    /// The seccomp agent of the container's filter.
    agent: Option<Listener>,
}

impl ExecTarget<'_> {
    /// Returns which of the caller's supplementary groups the process keeps. `all` is true if an
    /// annotation of the container asks to keep all of them.
    fn groups_to_keep(&self, all: bool) -> Result<Keeps> {
        let init = self.in_user_namespace().then_some(self.record.init.pid);
        Ok(if all {
            Keeps::All
        } else if ids::denies_groups(init)? {
            Keeps::Undroppable
        } else {
            Keeps::None
        })
    }

    fn in_user_namespace(&self) -> bool {
        self.record.namespace_paths.contains_key(NamespaceKind::User.clone_name())
    }

    fn state(&self) -> StateDocument<'_> {
        StateDocument {
            oci_version: OCI_VERSION,
            id: &self.record.id,
            status: self.status,
            pid: self.record.init.pid,
            bundle: &self.record.bundle,
            annotations: &self.record.annotations,
        }
    }
}

/// Clones the process into the container's cgroup, or into `below`, a cgroup below it.
///
/// The container's cgroup may be gone, or it may not take processes any more because it has
/// cgroups with controllers below it (EBUSY). Then, without `below`, the process goes into the
/// cgroup of the container's init.
fn spawn(plan: &mut Plan, below: Option<&str>, record: &Record) -> Result<Child> {
    let below = below.filter(|below| !below.is_empty());
    // Whole components are checked: only `..` itself leads out of the container's cgroup.
    if let Some(below) = below
        && below.split('/').any(|part| part == "..")
    {
        return Err(Error::new(ErrorKind::InvalidConfig, format!("bad sub cgroup path: {below}")));
    }
    if record.cgroup == CgroupRecord::None {
        return match below {
            None => Child::spawn(plan, None),
            Some(_) => Err(Error::new(ErrorKind::InvalidState, NO_CGROUP)),
        };
    }
    let clean = crate::path::clean(below.unwrap_or_default());
    let path = format!("{}/{clean}", record.process_cgroup_path());
    let path = path.trim_end_matches('/');
    let error = match Cgroup::from_record(path)? {
        None => Error::os(Errno::ENOENT, format!("can't open cgroup: open {path}"))
            .of_kind(ErrorKind::InvalidConfig),
        Some(cgroup) => {
            let spawned = if record.cgroup == (CgroupRecord::Fs { made: 0 }) {
                spawn_and_attach(plan, |child| cgroup.attach(child.pid()))
            } else {
                Child::spawn(plan, Some(cgroup.dir()))
            };
            match spawned {
                Ok(child) => return Ok(child),
                Err(error) => error,
            }
        }
    };
    match (error.errno(), below, record.driver()) {
        (Some(libc::EBUSY | libc::ENOENT | libc::ENODEV), None, _) => spawn_beside_init(plan, record),
        (Some(libc::EBUSY), Some(_), _) => {
            Err(error.wrap(format!("error adding pid of the process to cgroups [{path}]")))
        }
        // An unprivileged user may not move a process into a scope; systemd does it.
        (Some(libc::EACCES | libc::EPERM), _, Driver::Systemd(scope)) => {
            spawn_and_attach(plan, |child| scope.attach(&clean, child.pid()))
        }
        _ => Err(error),
    }
}

fn spawn_beside_init(plan: &mut Plan, record: &Record) -> Result<Child> {
    let cgroup = Hierarchy::find()?.of_process(record.init.pid)?;
    spawn_and_attach(plan, |child| cgroup.attach(child.pid()))
}

/// Returns the path of init's root directory, relative to /proc. The process will have the same
/// root.
fn root(record: &Record) -> Result<CString> {
    let file = PidFile::new(record.init.pid, "root");
    file.below_proc().context(|| file.to_string())
}

/// Opens init's root directory, for a container in the runtime's mount namespace. Joining that
/// namespace would lead to the host's root.
fn enter(record: &Record) -> Result<Option<OwnedFd>> {
    if record.host_mount_below.is_none() {
        return Ok(None);
    }
    let root = root_of(record.init.pid);
    // The directory belongs to init if init is still alive: its pid was not reused.
    if record.init.open()?.is_none() {
        return Err(Error::new(ErrorKind::InvalidState, "cannot exec in a stopped container"));
    }
    root.map(Some)
}

fn available_capabilities(record: &Record) -> Result<u64> {
    if record.namespace_paths.contains_key(NamespaceKind::User.clone_name()) {
        Ok(cred::known())
    } else {
        Ok(cred::cap_get().context(|| "capget")?.permitted)
    }
}
