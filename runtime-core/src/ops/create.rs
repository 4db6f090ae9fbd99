// SPDX-License-Identifier: Apache-2.0
//! create(1): makes a container, up to the execution of its program.
//!
//! The order of steps matters. All validation is done before anything is made. The record,
//! which names everything that will be made, is written first. The child is released when the
//! record is complete. So `delete --force` finds everything that a killed runtime leaves.

use super::bundle::Bundle;
use super::caller_hooks::{CallerHooks, HookResult};
use super::container::{Container, Runtime};
use super::images::check_mount_point;
use super::inherited::Inherited;
use super::notify;
use super::options::{ProcessOptions, Streams, process_options};
use super::process::{Pending, Process};
use super::rootfs_mounts::GivenMounts;
use super::target::{CgroupManager, Rootless, Target};
use super::transaction::{Made, Transaction};
use crate::boundary::plan::{Keeps, Plan};
use crate::config::mounts::{Follow, Mount, MountSource};
use crate::config::namespaces::{NAMESPACE_KINDS, NamespaceKind, Origin, network_can_be_ahead};
use crate::config::{Caller, Config};
use crate::error::{Context, Error, ErrorKind, Result, Warning};
use crate::hook::HookKind;
use crate::id::ContainerId;
use crate::marks::{Mark, Traced};
use crate::parent::ids;
use crate::parent::network::NewNetwork;
use crate::path::proc::Proc;
use crate::path::show;
use crate::prepare::{self, Extras};
use crate::spec::{self, Spec, StateDocument};
use crate::state::filter::CompiledFilter;
use crate::state::record::{Document, HookRecord, Record};
use crate::stdio::Stdio;
use crate::watch::Watch;
use runtime_sys::mount::attr;
use runtime_sys::{cred, fd, ns};
use seccomp::Policy;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// A builder for a new container, made by [`Runtime::builder`].
#[derive(Debug)]
#[must_use]
pub struct ContainerBuilder {
    pub(super) container: Container,
    path: PathBuf,
    /// The bundle at `path`, once it has been opened.
    bundle: Option<Bundle>,
    /// The configuration, once it has been read or given.
    spec: Option<Box<Spec>>,
    /// The network namespace that a thread makes once the configuration is known.
    pub(super) network: Option<NewNetwork>,
    warnings: Vec<Warning>,
    cgroup_manager: CgroupManager,
    pub(super) rootless: Rootless,
    pub(super) notify: bool,
    pub(super) parallel: bool,
    pub(super) hooks: CallerHooks,
    pub(super) rootfs_mounts: Option<GivenMounts>,
    pub(super) options: ProcessOptions,
}

/// All that is known about a new container before anything is made.
pub(super) struct Settled {
    /// The absolute path of the bundle.
    pub(super) bundle: String,
    pub(super) spec: Box<Spec>,
    /// The process that later ones inherit from, if that is not the one of `spec`.
    pub(super) process: Option<spec::Process>,
    pub(super) config: Config,
    pub(super) target: Target,
    pub(super) notes: Vec<String>,
    pub(super) extras: Extras,
    pub(super) streams: Streams,
}

/// The event that a container's program waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    ForStart,
    ForRelease,
}

impl Runtime {
    /// Returns a builder for the new container `id` from the bundle at `bundle`, a directory with a
    /// config.json. Nothing is read before one of the builder's last methods.
    pub fn builder(&self, id: ContainerId, bundle: impl AsRef<Path>) -> ContainerBuilder {
        ContainerBuilder {
            container: self.container(id),
            path: bundle.as_ref().to_owned(),
            bundle: None,
            spec: None,
            network: None,
            warnings: Vec::new(),
            cgroup_manager: CgroupManager::default(),
            rootless: Rootless::Auto,
            notify: false,
            parallel: false,
            hooks: CallerHooks::default(),
            rootfs_mounts: None,
            options: ProcessOptions::default(),
        }
    }
}

impl ContainerBuilder {
    process_options!();

    /// Uses `spec` in place of the bundle's config.json.
    pub fn spec(mut self, spec: Spec) -> Self {
        self.spec = Some(Box::new(spec));
        self
    }

    /// Uses a configuration of the crate `oci_spec` in place of the bundle's config.json.
    ///
    /// Errors: a part of it has no counterpart in config.json.
    #[cfg(feature = "oci-spec")]
    pub fn oci_spec(self, spec: &oci_spec::runtime::Spec) -> Result<Self> {
        Ok(self.spec(Spec::try_from(spec)?))
    }

    /// Reads the bundle's config.json now, for a caller that wants to inspect it
    /// ([`Self::loaded`]) before the container is made. If [`Self::parallel`] was allowed
    /// before, this starts the thread; the thread ends before this value is dropped.
    ///
    /// Errors: there is no bundle, or its config.json is not valid.
    pub fn load(mut self) -> Result<Self> {
        // Before the bundle is opened, which could get one of the numbers to preserve.
        self.options.check()?;
        self.read()?;
        Ok(self)
    }

    /// Opens the bundle, reads its configuration unless the caller has given one, and starts the
    /// thread for the network namespace. Does nothing if the bundle is open already.
    pub(super) fn read(&mut self) -> Result<()> {
        if self.bundle.is_some() {
            return Ok(());
        }
        let bundle = Bundle::open(&self.path)?;
        let mut spec = match self.spec.take() {
            Some(spec) => spec,
            None => {
                let (spec, warnings) = bundle.parse(&bundle.json()?)?;
                self.warnings.extend(warnings);
                Box::new(spec)
            }
        };
        if let Some(process) = spec.process.as_mut().filter(|_| self.options.terminal) {
            process.terminal = true;
        }
        self.network = (self.parallel && network_can_be_ahead(&spec)).then(NewNetwork::begin).flatten();
        self.spec = Some(spec);
        self.bundle = Some(bundle);
        Ok(())
    }

    /// Returns the configuration, if it has been read or given.
    #[must_use]
    pub fn loaded(&self) -> Option<&Spec> {
        self.spec.as_deref()
    }

    /// Takes the warnings about the configuration that [`Self::load`] has read, for a caller
    /// that shows them before the container is made. Warnings that are not taken are in
    /// [`Process::warnings`].
    pub fn take_warnings(&mut self) -> Vec<Warning> {
        std::mem::take(&mut self.warnings)
    }

    /// Sets whether the container may go without a cgroup. The default is [`Rootless::Auto`].
    pub fn rootless(mut self, rootless: Rootless) -> Self {
        self.rootless = rootless;
        self
    }

    /// Sets who makes the container's cgroup. The default is [`CgroupManager::Fs`].
    pub fn cgroup_manager(mut self, manager: CgroupManager) -> Self {
        self.cgroup_manager = manager;
        self
    }

    /// Gives the program a socket for notifications such as READY=1 (sd_notify(3)). Its variable
    /// NOTIFY_SOCKET is the path of the socket that the caller of [`Container::start`] makes at
    /// [`Container::notify_socket`].
    pub fn notify(mut self, notify: bool) -> Self {
        self.notify = notify;
        self
    }

    /// Lets a thread make the container's network namespace while the calling thread prepares
    /// the rest. This takes a tenth less time if two processors are free. The thread blocks all
    /// signals, and has ended when the creation succeeds or fails. By default no thread is
    /// started.
    pub fn parallel(mut self, parallel: bool) -> Self {
        self.parallel = parallel;
        self
    }

    /// Calls `hook` in the calling thread after the createRuntime hooks of config.json, with the
    /// state document that those get: the container's namespaces and mounts exist, and its process,
    /// whose pid is in the document, waits before pivot_root(2). This is where a program gives the
    /// container a network, for example. Hooks that are added first are called first.
    ///
    /// The container's lock is held: the hook must not operate on the container, and nothing limits
    /// its time. If it fails, the container is destroyed and the error is of the kind
    /// [`ErrorKind::Hook`]. If it panics, the container is destroyed, then the panic goes on.
    pub fn create_runtime_hook(
        mut self,
        hook: impl FnOnce(&StateDocument<'_>) -> HookResult + Send + 'static,
    ) -> Self {
        self.hooks.add(hook);
        self
    }

    /// Makes the root file system of `mounts`, in their order, instead of using what is at
    /// `root.path`, as containerd expects it of a shim. `root.path` names an existing directory, on
    /// which the mounts are made. The first of them has the destination `/`, or none; the
    /// destination of each other is a path below that. Types, sources and options are those of
    /// `mounts` in config.json: `bind`, `overlay`, a file system on a block device. For the layers
    /// of an overlay there is no limit of a page (since Linux 6.7); their paths must be absolute. `uid_mappings` and `gid_mappings`, or
    /// containerd's options `uidmap=0:100000:65536` and `gidmap=...`, map the ids of a bind mount, and of
    /// the lower layers of an overlay that is the first mount (since Linux 6.7).
    ///
    /// The mounts are only in the container's mount namespace. They end with its last process, and
    /// nothing has to be unmounted if the creation fails or the calling program is killed. Programs
    /// of the host, such as createRuntime hooks, see them at the path of the rootfs if they enter
    /// that namespace. A container without a mount namespace of its own has its root file system in
    /// the caller's, until [`Container::delete`](crate::Container::delete).
    ///
    /// This takes CAP_SYS_ADMIN outside of the container's user namespace. It blocks for as long as
    /// the kernel takes to mount, or until [`cancel`](Self::cancel).
    ///
    /// Errors of the operation: [`ErrorKind::InvalidConfig`] or [`ErrorKind::Unsupported`], with the
    /// [`field`](Error::field) `rootfs_mounts[0].options`, for example; [`ErrorKind::Setup`] if the
    /// kernel refuses a mount.
    pub fn rootfs_mounts(mut self, mounts: impl IntoIterator<Item = spec::Mount>) -> Self {
        self.rootfs_mounts = Some(GivenMounts::new(mounts.into_iter().collect()));
        self
    }

    /// Uses chroot(2) instead of pivot_root(2), for a rootfs on an initramfs.
    /// Less safe: the host's mounts stay in the mount namespace.
    pub fn no_pivot(mut self, no_pivot: bool) -> Self {
        self.options.extras.no_pivot = no_pivot;
        self
    }

    /// Leaves the container in the caller's session keyring.
    pub fn no_new_keyring(mut self, no_new_keyring: bool) -> Self {
        self.options.extras.no_new_keyring = no_new_keyring;
        self
    }

    /// Makes the container. Its program waits for [`Container::start`].
    ///
    /// Errors: [`ErrorKind::AlreadyExists`], [`ErrorKind::InvalidConfig`],
    /// [`ErrorKind::Unsupported`], [`ErrorKind::Setup`], [`ErrorKind::Hook`],
    /// [`ErrorKind::Cancelled`]. After an error, everything that was made is removed.
    pub fn create(self) -> Result<Process> {
        self.prepare_for(Waits::ForStart)?.await_start()
    }

    /// Makes the container, starts its program, and runs the poststart hooks when the program has
    /// been executed. If any of this fails, the container is destroyed.
    ///
    /// Errors: those of [`create`](Self::create), and [`ErrorKind::NotExecuted`].
    pub fn run(self) -> Result<Process> {
        self.prepare()?.start_at_once()
    }

    /// Makes the container, whose program waits for [`Pending::start`]: for a caller that sets up
    /// the terminal first.
    ///
    /// Errors: see [`create`](Self::create).
    pub fn prepare(self) -> Result<Pending> {
        self.prepare_for(Waits::ForRelease)
    }

    fn prepare_for(mut self, waits: Waits) -> Result<Pending> {
        // The descriptors to preserve are checked before anything is opened.
        let read = self.options.check().and_then(|()| self.read());
        let mut warnings = std::mem::take(&mut self.warnings);
        Pending::warned(read.and_then(|()| self.make(waits, &mut warnings)), warnings)
    }

    /// Validates, compiles and looks up all that the creation needs. Makes nothing on the host.
    /// `extras` takes those options of the process that are part of the plan.
    pub(super) fn settle(
        &mut self,
        warnings: &mut Vec<Warning>,
        extras: impl FnOnce(&mut ProcessOptions) -> Result<(Extras, Streams)>,
    ) -> Result<Settled> {
        let (Some(bundle), Some(mut spec)) = (self.bundle.take(), self.spec.take()) else {
            return Err(Error::new(ErrorKind::System, "the bundle has not been read"));
        };
        let container = &self.container;
        let id = container.id.as_str();

        // Only the first process gets the notification socket, so later processes inherit from a
        // copy without it.
        let process = if self.notify { spec.process.clone() } else { None };
        if self.notify {
            notify::add(&mut spec, &container.store, &container.id)?;
        }
        let own = own_namespaces(&spec)?;
        let caller = Caller { capabilities: available_capabilities(&spec, &own)?, namespaces: own };
        let config = Config::new(&spec, &bundle.path, &caller, warnings).traced(Mark::CheckConfig)?;
        // An early check for a better error; the transaction reserves the id.
        if container.store.has(&container.id) {
            return Err(container.store.taken(&container.id));
        }
        let cgroups_path = spec.linux.as_ref().map_or("", |linux| linux.cgroups_path.as_str());
        let rootfs = bundle.resolve(&config.rootfs);
        let rootfs_mounts = self.rootfs_mounts.take();
        let rootfs_mounts =
            rootfs_mounts.map(|mounts| mounts.check(&bundle.path, &rootfs, warnings)).transpose()?;
        let target = Target::find(&config, rootfs, id, self.cgroup_manager, cgroups_path)?;
        let filter =
            config.seccomp.as_ref().map(prepare::seccomp::compile).transpose().traced(Mark::CompileFilter)?;
        warnings.extend(filter.as_ref().and_then(prepare::seccomp::warning));
        let notes = seccomp_notes(&config, filter.as_ref());
        let (given, streams) = extras(&mut self.options)?;
        let keeps = groups_to_keep(&config)?;
        let extras =
            Extras { keeps, filter, has_caller_hooks: !self.hooks.are_none(), rootfs_mounts, ..given };
        Ok(Settled { bundle: bundle.path, spec, process, config, target, notes, extras, streams })
    }

    /// Makes the container, whose program then waits. This is the whole sequence of the parent's
    /// steps.
    fn make(mut self, waits: Waits, warnings: &mut Vec<Warning>) -> Result<Pending> {
        // Validation, compilation and look-ups come first. Nothing is made yet.
        let settled = self.settle(warnings, ProcessOptions::take_extras)?;
        let Settled { bundle, spec, process, config, target, notes, mut extras, streams } = settled;
        let (container, mut network) = (&self.container, self.network.take());
        let mut hooks = std::mem::take(&mut self.hooks);

        // The record names everything that will be made, and is written first.
        let record = record(container.id.as_str(), bundle, &config, *spec, process, &target, &extras);

        let (options, rootless, made) = (&self.options, self.rootless, Made::default());
        let config = &config;
        let tx = Transaction {
            container,
            config,
            target,
            options,
            rootless,
            record,
            notes,
            made,
            hooks: &mut hooks,
        };
        let made = tx.run(|tx, entry| {
            if self.notify {
                entry.make_notify()?;
            }
            let cgroup = tx.make_cgroup(entry)?;
            if waits == Waits::ForStart {
                extras.fifo = Some(entry.make_fifo()?);
            }
            let mut plan = tx.plan(extras, network.as_mut())?;
            let (mut child, cgroup) = tx.spawn(&mut plan, cgroup, entry)?;
            let ahead = tx.write_ahead(entry, &child, &plan)?;
            tx.with_init(&mut child, |tx, child| {
                let proc = procfs(&plan)?;
                network.take().map_or(Ok(()), NewNetwork::finish)?;
                child.start_tree_cloner(&plan, &tx.device_owners(child, &plan, proc, warnings)?)?;
                tx.id_maps(child, proc)?;
                tx.intel_rdt(child.pid())?;
                tx.limits(child, &plan, proc, cgroup)?;
                tx.serve(child, &plan, proc)
            })?;
            let streams = streams.with_terminal()?;
            tx.commit(entry, &child, ahead)?;
            tx.options.report_pid(child.pid(), child.pidfd(), b"standard").traced(Mark::Announce)?;
            if waits == Waits::ForRelease {
                container.start_container_hooks(&tx.record, Watch::cancel(tx.options.cancel()))?;
            }
            Ok((child, plan, streams))
        });
        let ((child, plan, streams), tx) = match made {
            Ok(made) => made,
            Err(error) => return Err(hooks.undone(error)),
        };
        let pending = Pending::new(container.clone(), child, plan, tx.made.oom_watch, tx.notes, streams);
        Ok(pending.with_record(tx.record).cancelled_by(self.options.cancel))
    }
}

/// Makes the record of a container that is going to be made. Later processes inherit from
/// `process` if given, otherwise from the process of `spec`.
pub(super) fn record(
    id: &str,
    bundle: String,
    config: &Config,
    spec: Spec,
    process: Option<spec::Process>,
    target: &Target,
    extras: &Extras,
) -> Record {
    let resources = spec.linux.as_ref().and_then(|linux| linux.resources.clone()).unwrap_or_default();
    let mut inherited = Inherited::new(spec);
    if let Some(process) = process {
        inherited.process = process;
    }
    let (rootfs, cgroup_path) = (target.rootfs.clone(), target.cgroup_path());
    let mut record = Record::creating(id, bundle, rootfs, cgroup_path, target.cgroup.record());
    record.annotations.clone_from(&config.annotations);
    record.inherited = Document::new(&inherited);
    record.shared_pid_namespace = !config.namespaces.is_new(NamespaceKind::Pid);
    record.resources = Document::new(&resources);
    record.no_new_keyring = extras.no_new_keyring;
    record.seccomp = extras.filter.as_ref().map(CompiledFilter::record);
    record.host_mount_below = target.host_mount;
    record.external = Some(external(config));
    record.own_mounts = own_mounts(config);
    record.read_only = read_only(config);
    record.not_restorable = not_restorable(config);
    record.resctrl = target.resctrl.as_ref().map(|(_, place)| place.clone());
    record.start_container = HookRecord::list(config.hooks.of(HookKind::StartContainer));
    record.poststart = HookRecord::list(config.hooks.of(HookKind::Poststart));
    record.poststop = HookRecord::list(config.hooks.of(HookKind::Poststop));
    record
}

/// Returns the parts of the container that are of the host, for the record.
fn external(config: &Config) -> Vec<String> {
    let absolute = |path: &CStr| format!("/{}", show(path));
    let is_bind = |mount: &&Mount| matches!(mount.source, MountSource::Bind { .. });
    let binds = config.mounts.iter().filter(is_bind).map(|mount| absolute(&mount.destination));
    // Where devices cannot be made, those of the host are mounted.
    let nodes = prepare::mounted_nodes(config).into_iter().map(|node| absolute(&node.path));
    let kinds = [NamespaceKind::Network, NamespaceKind::Pid].into_iter();
    let is_joined = |kind: &NamespaceKind| matches!(config.namespaces.origin(*kind), Origin::Path(_));
    let joined = kinds.filter(is_joined).map(|kind| kind.file().to_owned());
    joined.chain(binds).chain(nodes).collect()
}

/// The mount point of a container's terminal.
const CONSOLE: &CStr = c"dev/console";

/// Returns the places of all mounts that the container has beside those of config.json's binds, for the
/// record: new file systems, the mounts of read-only and masked paths, and the terminal.
fn own_mounts(config: &Config) -> Vec<String> {
    let is_new = |mount: &&Mount| matches!(mount.source, MountSource::New { .. });
    let new = config.mounts.iter().filter(is_new).map(|mount| mount.destination.as_c_str());
    let paths = config.readonly_paths.iter().chain(&config.masked_paths).map(CString::as_c_str);
    let console = config.process.terminal.as_ref().map(|_| CONSOLE);
    new.chain(paths).chain(console).map(|path| format!("/{}", show(path))).collect()
}

/// Returns the destinations of the bind mounts that are read-only, for the record. Not of those that
/// may be remounted.
fn read_only(config: &Config) -> Vec<String> {
    if config.mounts.iter().any(|mount| matches!(mount.source, MountSource::Remount { .. })) {
        return Vec::new();
    }
    let is_read_only = |mount: &&Mount| {
        matches!(mount.source, MountSource::Bind { .. })
            && (mount.flags.is_readonly() || mount.all.set & attr::RDONLY != 0)
    };
    let mounts = config.mounts.iter().filter(is_read_only);
    mounts.map(|mount| format!("/{}", show(&mount.destination))).collect()
}

/// Returns why the container could not be restored from a checkpoint, for the record: what
/// [`Runtime::restore`] refuses.
fn not_restorable(config: &Config) -> Option<String> {
    for kind in [NamespaceKind::Mount, NamespaceKind::User, NamespaceKind::Cgroup, NamespaceKind::Pid] {
        if matches!(config.namespaces.origin(kind), Origin::Path(_)) {
            return Some(format!("that has joined a {} namespace", kind.name()));
        }
    }
    config.mounts.iter().find_map(|mount| {
        let why = match &mount.source {
            _ if check_mount_point(&show(&mount.destination).to_string()).is_err() => {
                "with a mount point that has \"]:\" in its path"
            }
            MountSource::Bind { id_map: Some(_), .. } => "with an id-mapped mount",
            MountSource::Bind { follow: Follow::No | Follow::Copy, .. } => "with a mount of a link",
            _ if mount.is_new_root() => "with a mount on the root",
            _ => return None,
        };
        Some(format!("{why}: /{}", show(&mount.destination)))
    })
}

/// Returns the notes about the seccomp filter for a debug log: its flags, and the parts of the
/// policy without a meaning on this kernel.
fn seccomp_notes(config: &Config, filter: Option<&CompiledFilter>) -> Vec<String> {
    let ignored = config.seccomp.iter().flat_map(Policy::notes).map(|note| format!("linux.seccomp.{note}"));
    ignored.chain(filter.map(CompiledFilter::note)).collect()
}

/// Returns the host's procfs.
fn procfs(plan: &Plan) -> Result<&Proc> {
    plan.proc.as_ref().ok_or_else(|| Error::new(ErrorKind::Setup, "the plan has no procfs"))
}

/// Returns which of the caller's supplementary groups the process keeps. For a new user namespace,
/// the child checks this itself.
fn groups_to_keep(config: &Config) -> Result<Keeps> {
    Ok(if config.keeps_groups {
        Keeps::All
    } else if !config.namespaces.is_own(NamespaceKind::User) && ids::denies_groups(None)? {
        Keeps::Undroppable
    } else {
        Keeps::None
    })
}

/// Returns the types of namespaces whose paths in the configuration lead to the caller's own
/// namespaces, compared by inode. The mount namespace is left out: a path to the caller's own
/// is refused later.
pub(super) fn own_namespaces(spec: &Spec) -> Result<Vec<NamespaceKind>> {
    let given = spec.linux.iter().flat_map(|linux| &linux.namespaces).filter(|given| !given.path.is_empty());
    let mut own = Vec::new();
    for given in given {
        let kind = NAMESPACE_KINDS.iter().find(|(name, _)| *name == given.kind).map(|(_, kind)| *kind);
        let Some(kind) = kind.filter(|kind| *kind != NamespaceKind::Mount) else { continue };
        // Errors of a path are reported later, when it is opened to be joined.
        let Ok(Ok(file)) = CString::new(given.path.as_str()).map(|path| fd::stat_at(fd::CWD, &path, 0))
        else {
            continue;
        };
        if ns::is_own(kind.file(), &file).context(|| format!("stat /proc/self/ns/{}", kind.file()))? {
            own.push(kind);
        }
    }
    Ok(own)
}

/// Returns the capabilities that a container can get: all that the kernel knows in a user
/// namespace of its own, otherwise those of the caller.
pub(super) fn available_capabilities(spec: &Spec, own: &[NamespaceKind]) -> Result<u64> {
    let is_user = |ns: &crate::spec::Namespace| ns.kind == "user" && !own.contains(&NamespaceKind::User);
    if !spec.linux.as_ref().is_some_and(|linux| linux.namespaces.iter().any(is_user)) {
        return Ok(cred::cap_get().context(|| "capget")?.permitted);
    }
    Ok(cred::known())
}
