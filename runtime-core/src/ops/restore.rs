// SPDX-License-Identifier: Apache-2.0
//! restore(1): makes a container from the files of a checkpoint, by CRIU.
//!
//! The configuration is that of the bundle: cgroup, limits, device filter, namespaces to join and
//! the sources of bind mounts. The processes, with all that they have, are those of the images. CRIU
//! is in the container's cgroup, and makes the processes there.

use super::bundle::Bundle;
use super::caller_hooks::CallerHooks;
use super::checkpoint::namespace_key;
use super::container::{Container, Runtime};
use super::create::{available_capabilities, own_namespaces, record};
use super::images::{
    DESCRIPTORS, ImageOptions, ManageCgroups, check_mount_point, descriptors, image_options, is_fifo,
    is_pipe, is_terminal,
};
use super::mount_points;
use super::notify;
use super::options::{ProcessOptions, stream_options};
use super::process::Process;
use super::rootfs_mounts::GivenMounts;
use super::target::{CgroupManager, Rootless, Target};
use super::transaction::{Made, Transaction};
use crate::boundary::plan::{Stream, Sysctl};
use crate::child::devices::SHARED;
use crate::child::helpers::Finish;
use crate::config::field::invalid;
use crate::config::mounts::{Follow, MountSource};
use crate::config::namespaces::{NamespaceKind, Origin};
use crate::config::{Caller, Config};
use crate::criu::{Criu, Message, Notice, RequestKind, Restorer, option};
use crate::error::{Context, Error, ErrorKind, Result, Warning};
use crate::hook::HookKind;
use crate::id::ContainerId;
use crate::marks::{Mark, Traced};
use crate::parent::child::Running;
use crate::parent::helpers::finish_restored;
use crate::parent::{hooks, reap};
use crate::path::proc::{self, PidFile};
use crate::path::{file, show};
use crate::prepare::restored::{self, Source};
use crate::prepare::{self, Extras, labels};
use crate::spec::{self, Spec};
use crate::state::entry::Locked;
use crate::state::process::ProcessId;
use crate::state::record::Phase;
use crate::stdio::Stdio;
use crate::watch::Watch;
use nix::sys::stat::fstat;
use runtime_sys::text::c_str;
use runtime_sys::{Errno, fd, mount, ns, process, socket};
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio as CommandStdio;

/// A builder for a container from a checkpoint, made by [`Runtime::restore`].
#[derive(Debug)]
#[must_use]
pub struct RestoreBuilder {
    container: Container,
    path: PathBuf,
    /// The bundle at `path`, once it has been opened.
    bundle: Option<Bundle>,
    /// The configuration, once it has been read or given.
    spec: Option<Box<Spec>>,
    warnings: Vec<Warning>,
    rootfs_mounts: Option<GivenMounts>,
    images: ImageOptions,
    cgroup_manager: CgroupManager,
    notify: bool,
    lsm_profile: Option<String>,
    lsm_mount_context: Option<String>,
    pub(super) options: ProcessOptions,
}

impl Runtime {
    /// Returns a builder for the new container `id` from the bundle at `bundle` and from the checkpoint
    /// in the directory `images`, which [`Container::checkpoint`] has made. Nothing is read before
    /// [`RestoreBuilder::restore`].
    ///
    /// The images decide what the processes are and what they may do: they have to be as trusted as
    /// config.json.
    pub fn restore(
        &self,
        id: ContainerId,
        bundle: impl AsRef<Path>,
        images: impl Into<PathBuf>,
    ) -> RestoreBuilder {
        RestoreBuilder {
            container: self.container(id),
            path: bundle.as_ref().to_owned(),
            bundle: None,
            spec: None,
            warnings: Vec::new(),
            rootfs_mounts: None,
            images: ImageOptions { images: images.into(), ..ImageOptions::default() },
            cgroup_manager: CgroupManager::default(),
            notify: false,
            lsm_profile: None,
            lsm_mount_context: None,
            options: ProcessOptions::default(),
        }
    }
}

impl RestoreBuilder {
    stream_options!();
    image_options!();

    /// Uses `spec` in place of the bundle's config.json.
    pub fn spec(mut self, spec: Spec) -> Self {
        self.spec = Some(Box::new(spec));
        self
    }

    /// Reads the bundle's config.json now, for a caller that wants to inspect it
    /// ([`Self::loaded`]) before the restore.
    ///
    /// Errors: there is no bundle, or its config.json is not valid.
    pub fn load(mut self) -> Result<Self> {
        self.read()?;
        Ok(self)
    }

    /// Opens the bundle, and reads its configuration unless the caller has given one. Does nothing if the
    /// bundle is open already.
    fn read(&mut self) -> Result<()> {
        if self.bundle.is_some() {
            return Ok(());
        }
        let bundle = Bundle::open(&self.path)?;
        if self.spec.is_none() {
            let (spec, mistyped) = bundle.parse(&bundle.json()?)?;
            self.warnings.extend(mistyped);
            self.spec = Some(Box::new(spec));
        }
        self.bundle = Some(bundle);
        Ok(())
    }

    /// Returns the configuration, if it has been read or given.
    #[must_use]
    pub fn loaded(&self) -> Option<&Spec> {
        self.spec.as_deref()
    }

    /// Makes the root file system of these mounts, as
    /// [`ContainerBuilder::rootfs_mounts`](super::ContainerBuilder::rootfs_mounts) does.
    pub fn rootfs_mounts(mut self, mounts: impl IntoIterator<Item = spec::Mount>) -> Self {
        self.rootfs_mounts = Some(GivenMounts::new(mounts.into_iter().collect()));
        self
    }

    /// Sets who makes the container's cgroup. The default is [`CgroupManager::Fs`].
    pub fn cgroup_manager(mut self, manager: CgroupManager) -> Self {
        self.cgroup_manager = manager;
        self
    }

    /// Makes the place for notifications again that a container with
    /// [`ContainerBuilder::notify`](super::ContainerBuilder::notify) has.
    pub fn notify(mut self, notify: bool) -> Self {
        self.notify = notify;
        self
    }

    /// Gets memory pages from the daemon `criu lazy-pages` when a process uses them, instead of
    /// reading them from the images.
    pub fn lazy_pages(mut self, lazy: bool) -> Self {
        self.images.lazy_pages = lazy;
        self
    }

    /// Gives the processes this profile of a security module, such as `apparmor:name` or
    /// `selinux:label`, in place of the one in the images.
    pub fn lsm_profile(mut self, profile: impl Into<String>) -> Self {
        self.lsm_profile = Some(profile.into());
        self
    }

    /// Mounts file systems with this SELinux context, in place of the one in the images.
    pub fn lsm_mount_context(mut self, context: impl Into<String>) -> Self {
        self.lsm_mount_context = Some(context.into());
        self
    }

    /// Makes the container. Its processes go on where they were when the checkpoint was made. Runs the
    /// prestart and createRuntime hooks when the namespaces exist.
    ///
    /// Makes missing mount points in the root file system, and a directory /tmp in one that is to be
    /// read-only. They stay there, also after an error.
    ///
    /// Standard streams that were pipes are connected with those of this builder.
    ///
    /// Errors: [`ErrorKind::AlreadyExists`]; [`ErrorKind::InvalidConfig`], [`ErrorKind::Unsupported`]:
    /// CRIU is missing or too old, or cannot restore such a container; [`ErrorKind::Hook`],
    /// [`ErrorKind::Cancelled`]; [`ErrorKind::System`]: CRIU has failed. After an error, everything
    /// that was made is removed.
    pub fn restore(mut self) -> Result<Process> {
        let read = self.read();
        let mut warnings = std::mem::take(&mut self.warnings);
        match read.and_then(|()| self.make(&mut warnings)) {
            Ok(process) => Ok(process.with_warnings(warnings)),
            Err(error) => Err(error.with_warnings(warnings)),
        }
    }

    fn make(mut self, warnings: &mut Vec<Warning>) -> Result<Process> {
        let (Some(bundle), Some(mut spec)) = (self.bundle.take(), self.spec.take()) else {
            return Err(Error::new(ErrorKind::System, "the bundle has not been read"));
        };
        let container = &self.container;
        let id = container.id.as_str();
        let process = if self.notify { spec.process.clone() } else { None };
        if self.notify {
            notify::add(&mut spec, &container.store, &container.id)?;
        }
        let own = own_namespaces(&spec)?;
        let caller = Caller { capabilities: available_capabilities(&spec, &own)?, namespaces: own };
        let config = Config::new(&spec, &bundle.path, &caller, warnings).traced(Mark::CheckConfig)?;
        check(&config)?;
        self.check_profile(&config)?;
        self.images.check(&config.annotations)?;
        if container.store.has(&container.id) {
            return Err(container.store.taken(&container.id));
        }
        let mut dirs = self.images.open(false, c"restore.log")?;
        let streams = read_descriptors(dirs.images())?;
        let terminal = spec.process.as_ref().is_some_and(|process| process.terminal);
        self.check_terminal(terminal)?;
        self.check_streams(terminal, &streams)?;
        let streams = connected(streams, terminal);
        let cgroups_path = spec.linux.as_ref().map_or("", |linux| linux.cgroups_path.as_str());
        let rootfs = bundle.resolve(&config.rootfs);
        let given_rootfs = self.rootfs_mounts.take();
        let given_rootfs =
            given_rootfs.map(|mounts| mounts.check(&bundle.path, &rootfs, warnings)).transpose()?;
        let target = Target::find(&config, rootfs, id, self.cgroup_manager, cgroups_path)?;
        let filter =
            config.seccomp.as_ref().map(prepare::seccomp::compile).transpose().traced(Mark::CompileFilter)?;
        let (given, ours) = self.options.take_extras()?;
        let extras = Extras { filter, ..given };
        let mut record = record(id, bundle.path, &config, *spec, process, &target, &extras);
        let Extras { console, stdio, filter, .. } = extras;
        let new_streams = prepare::streams(&stdio)?;
        check_fifos(&streams, new_streams)?;
        record.external_descriptors = descriptors(terminal, new_streams);
        for (new, old) in record.external_descriptors.iter_mut().zip(&streams) {
            if is_pipe(new) && !is_pipe(old) {
                new.clear();
            }
        }

        let tx = Transaction {
            container,
            config: &config,
            target,
            options: &self.options,
            rootless: Rootless::No,
            record,
            notes: Vec::new(),
            made: Made::default(),
            hooks: &mut CallerHooks::default(),
        };
        let (images, lsm) = (&self.images, (&self.lsm_profile, &self.lsm_mount_context));
        let notify = self.notify;
        let made = tx.run(|tx, entry| {
            if notify {
                entry.make_notify()?;
            }
            if let Some(filter) = &filter {
                entry.write_filter(filter.program.instructions())?;
            }
            let dir = open_rootfs(&tx.target.rootfs)?;
            let sources = restored::sources(&config, &dir, &tx.target.rootfs)?;
            let nodes = restored::nodes(&config)?;
            let cancel = self.options.cancel();
            let (tree, rootfs) = restored::rootfs(given_rootfs.as_ref(), &tx.target.rootfs, dir, cancel)?;
            let point = entry.make_root()?;
            let mut options = Message::default();
            options.bytes(option::ROOT, point.to_bytes());
            let mut inherited = Vec::new();
            namespaces(&config, &mut options, &mut inherited)?;
            let has_terminal = console.is_some();
            let mut stdio = stdio;
            for (n, (given, stream)) in (0..).zip(stdio.iter_mut().zip(&streams)) {
                if !has_terminal && is_pipe(stream) {
                    let own = own_device(given.as_ref().map_or(fd::stdio(n), AsFd::as_fd));
                    *given = own.context(|| format!("standard stream {n}: a device node"))?.or(given.take());
                }
            }
            let mut stdio = stdio.into_iter();
            let stdio = [0, 1, 2].map(|_| match stdio.next().flatten() {
                _ if has_terminal => CommandStdio::null(),
                Some(fd) => CommandStdio::from(fd),
                None => CommandStdio::inherit(),
            });
            let restorer = Restorer { work_dir: dirs.work(), inherited, tree, mount_point: point };
            let children = reap::children();
            let mut criu = Criu::start(images.program.as_deref(), stdio, Some(restorer), cancel)?;
            dirs.set_work(criu.work_dir()?);
            mount_points::make(&config, &rootfs, &sources)?;
            let cgroup = tx.make_cgroup(entry)?;
            tx.limit_maker(criu.pid, cgroup)?;
            tx.intel_rdt(criu.pid)?;

            images.fill(&mut options, &dirs, &config.annotations);
            mount_externally(&mut options, &config, &sources, &nodes);
            let cgroups = cgroups_of(criu.pid)?;
            fill(&mut options, &streams, &cgroups);
            let (profile, context) = lsm;
            for (field, text) in [(option::LSM_PROFILE, profile), (option::LSM_MOUNT_CONTEXT, context)] {
                if let Some(text) = text {
                    options.text(field, text);
                }
            }
            let steps = finish(&config, &sources);
            let mut restored = Restored { init: None, console: console.as_ref(), steps };
            let done = criu
                .request(RequestKind::Restore, &options, cancel, |notice| restored.react(notice, tx, entry));
            let finished = done.map_err(|error| dirs.explain(error)).and_then(|_pid| {
                drop(criu);
                entry.remove_root()?;
                let (pid, pidfd) = restored.init.as_ref().ok_or_else(no_init)?;
                let ours = ours.with_terminal()?;
                self.options.report_pid(*pid, pidfd.as_fd(), b"standard").traced(Mark::Announce)?;
                Ok(ours)
            });
            match (finished, restored.init) {
                (Ok(ours), Some((pid, pidfd))) => Ok((Running::restored(pid, pidfd), ours)),
                (Ok(_), None) => Err(no_init()),
                (Err(error), init) => {
                    match init {
                        Some((_, pidfd)) => reap::end(pidfd),
                        // CRIU has announced none, but may have made one, as a child of this thread.
                        None => {
                            runtime_sys::ignore(
                                children.and_then(|before| reap::end_new_children(&before, &cgroups)),
                            );
                        }
                    }
                    Err(error)
                }
            }
        });
        let ((running, ours), tx) = made?;
        let (watch, record) = (tx.made.oom_watch, tx.record);
        Ok(Process::restored(container.clone(), running, ours, watch, record, self.options.cancel))
    }

    /// Refuses an AppArmor profile that is gone. CRIU 4.2 waits for ever if it cannot give a process the
    /// profile of the images, which is probably that of the configuration.
    fn check_profile(&self, config: &Config) -> Result<()> {
        let configured = config.process.apparmor_profile.as_deref().map(|profile| show(profile).to_string());
        match self.lsm_profile.as_deref() {
            Some(given) => given
                .strip_prefix("apparmor:")
                .map_or(Ok(()), |profile| labels::check_loaded("lsm_profile", profile)),
            None => {
                configured.map_or(Ok(()), |profile| labels::check_loaded("process.apparmorProfile", &profile))
            }
        }
    }

    fn check_terminal(&self, terminal: bool) -> Result<()> {
        let has_place = self.options.terminal || self.options.console_socket.is_some();
        match (terminal, has_place) {
            (true, false) => Err(prepare::needs_console_socket()),
            (false, true) => Err(prepare::needs_no_console_socket()),
            _ => Ok(()),
        }
    }

    /// Refuses a configuration with a terminal for processes that have none, or the other way round.
    /// The processes of a shell job keep the terminal of the caller.
    fn check_streams(&self, terminal: bool, streams: &[String]) -> Result<()> {
        let why = match (terminal, streams.iter().any(|stream| is_terminal(stream))) {
            // An older version has not written what the streams are.
            (true, false) if !streams.is_empty() => "the container in the images has no terminal",
            (false, true) if !self.images.shell_job => "the container in the images has a terminal",
            _ => return Ok(()),
        };
        Err(invalid("process.terminal", why))
    }
}

/// Returns the names of the three standard streams, empty for those that are not connected with the
/// caller's: of a stream without a name, and of a pipe if there is a terminal. The streams of CRIU are
/// then the host's /dev/null.
fn connected(names: Vec<String>, terminal: bool) -> [String; 3] {
    let mut names =
        names.into_iter().map(|name| if terminal && is_pipe(&name) { String::new() } else { name });
    [(); 3].map(|()| names.next().unwrap_or_default())
}

/// Refuses a stream in place of a fifo that is none: CRIU opens it again, as that of the images.
fn check_fifos(old: &[String; 3], new: [Stream; 3]) -> Result<()> {
    for (number, (old, new)) in old.iter().zip(new).enumerate() {
        if is_fifo(old) && !matches!(new, Stream::Pipe(_) | Stream::Fifo { .. }) {
            let text =
                format!("standard stream {number} of the container was a fifo, and has to be one again");
            return Err(Error::new(ErrorKind::InvalidConfig, text));
        }
    }
    Ok(())
}

/// The first process of the container, as far as CRIU has made it.
struct Restored<'a> {
    init: Option<(i32, OwnedFd)>,
    /// The socket that the master of the terminal is sent to.
    console: Option<&'a OwnedFd>,
    /// The steps in the namespaces before the processes go on.
    steps: Finish,
}

impl Restored<'_> {
    /// Reacts to an announcement of CRIU, which then waits.
    fn react(&mut self, notice: Notice, tx: &mut Transaction<'_>, entry: &Locked) -> Result<()> {
        if notice.pid > 0 && self.init.is_none() {
            // A child that was not waited for, so the pid is not reused.
            let pidfd = process::pidfd_open(notice.pid).context(|| "pidfd_open")?;
            self.init = Some((notice.pid, pidfd));
        }
        match notice.script.as_str() {
            // The namespaces exist, and nothing in them.
            "setup-namespaces" => {
                let (pid, pidfd) = self.init.as_ref().ok_or_else(no_init)?;
                tx.record.init = ProcessId::of(*pid)?;
                entry.write(&tx.record)?;
                tx.move_restored_devices(*pid, pidfd.as_fd())?;
                let watch = Watch::cancel(tx.options.cancel()).with(pidfd.as_fd());
                let state = tx.state(*pid);
                for kind in [HookKind::Prestart, HookKind::CreateRuntime] {
                    hooks::run(kind, tx.config.hooks.of(kind), &state, watch)?;
                }
                Ok(())
            }
            // All processes exist, and none runs yet.
            "post-restore" => {
                let (pid, pidfd) = self.init.as_ref().ok_or_else(no_init)?;
                finish_restored(pidfd.as_fd(), &self.steps)?;
                tx.delegate_to_owner(*pid, &proc::host()?)?;
                tx.record.init = ProcessId::of(*pid)?;
                tx.record.namespace_paths = namespace_paths(*pid)?;
                tx.record.phase = Phase::Created;
                entry.write(&tx.record)
            }
            "orphan-pts-master" => match (self.console.take(), notice.fd) {
                (Some(console), Some(master)) => socket::send_fd(console, b"/dev/ptmx", master)
                    .context(|| "sending the terminal")
                    .map(drop),
                // Without a receiver the terminal hangs up.
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

fn no_init() -> Error {
    Error::new(ErrorKind::Setup, "criu has restored no process")
}

/// Refuses what CRIU would restore differently from what the configuration says.
fn check(config: &Config) -> Result<()> {
    let unsupported = |place: &str, why: &str| Err(invalid(place, why).of_kind(ErrorKind::Unsupported));
    let origin = |kind| config.namespaces.origin(kind);
    if !matches!(origin(NamespaceKind::Mount), Origin::New) {
        return unsupported("linux.namespaces", "restore needs a new mount namespace");
    }
    match origin(NamespaceKind::Pid) {
        Origin::New => {}
        Origin::Shared => {
            return unsupported(
                "linux.namespaces",
                "restore needs a pid namespace: the pids may be taken otherwise",
            );
        }
        Origin::Path(_) => {
            return unsupported(
                "linux.namespaces",
                "restore cannot join a pid namespace: its processes could take over criu, which has the host's rights",
            );
        }
    }
    for kind in [NamespaceKind::User, NamespaceKind::Cgroup] {
        if matches!(origin(kind), Origin::Path(_)) {
            let why = format!("restore cannot join a {} namespace", kind.name());
            return unsupported("linux.namespaces", &why);
        }
    }
    for (i, mount) in config.mounts.iter().enumerate() {
        check_mount_point(&show(&mount.destination).to_string())?;
        let why = match &mount.source {
            MountSource::Bind { id_map: Some(_), .. } => "an id-mapped mount",
            MountSource::Bind { follow: Follow::No | Follow::Copy, .. } => "a mount of a link",
            _ if mount.is_new_root() => "a mount on the root",
            _ => continue,
        };
        return unsupported(&format!("mounts[{i}]"), &format!("{why} cannot be restored"));
    }
    Ok(())
}

fn open_rootfs(path: &str) -> Result<OwnedFd> {
    c_str(path)
        .and_then(|path| fd::open_follow(fd::CWD, &path, libc::O_PATH | libc::O_DIRECTORY, 0))
        .context(|| format!("stat {path}"))
        .map_err(|error| error.wrap_as(ErrorKind::InvalidConfig, "invalid rootfs").at("root.path"))
}

/// Adds the namespaces that the processes join. CRIU gets their descriptors in `inherited`.
fn namespaces(config: &Config, options: &mut Message, inherited: &mut Vec<OwnedFd>) -> Result<()> {
    for kind in NamespaceKind::ALL {
        let Origin::Path(path) = config.namespaces.origin(kind) else { continue };
        let name = show(path).to_string();
        if kind == NamespaceKind::Network {
            let file = fd::open_follow(fd::CWD, path, libc::O_RDONLY, 0)
                .context(|| format!("linux.namespaces: open {name}"))
                .map_err(|error| error.of_kind(ErrorKind::InvalidConfig))?;
            inherit(options, namespace_key(kind.file()), file.as_raw_fd());
            inherited.push(file);
        } else {
            let mut join = Message::default();
            join.text(1, kind.file());
            join.text(2, &name);
            options.message(option::JOIN_NS, &join);
        }
    }
    Ok(())
}

fn inherit(options: &mut Message, key: &str, fd: i32) {
    let mut entry = Message::default();
    entry.text(1, key);
    entry.number(2, fd.into());
    options.message(option::INHERIT_FD, &entry);
}

/// Adds the files of the host to mount. CRIU knows them by their destinations.
fn mount_externally(options: &mut Message, config: &Config, sources: &[Source], nodes: &[&CStr]) {
    let mut external = |point: &str, source: &str| {
        let mut mount = Message::default();
        mount.text(1, point);
        mount.text(2, source);
        options.message(option::EXT_MNT, &mount);
    };
    for (i, mount) in config.mounts.iter().enumerate() {
        if let Some(source) = sources.iter().find(|source| source.is_of(i)) {
            external(&format!("/{}", show(&mount.destination)), &source.path);
        }
    }
    for node in nodes {
        let path = format!("/{}", show(node));
        external(&path, &path);
    }
}

/// Returns the cgroups of CRIU, which is in that of the container.
fn cgroups_of(criu: i32) -> Result<Vec<u8>> {
    let file = PidFile::new(criu, "cgroup");
    let cgroups = file.absolute().and_then(|path| fd::read_file(fd::CWD, &path, 1 << 20));
    cgroups.context(|| format!("read {file}"))
}

/// Adds the standard streams and the cgroups.
fn fill(options: &mut Message, streams: &[String; 3], cgroups: &[u8]) {
    options.flag(option::EVASIVE_DEVICES, true);
    options.flag(option::RST_SIBLING, true);
    for (number, stream) in (0..3).zip(streams) {
        if is_pipe(stream) {
            inherit(options, stream, number);
        }
    }
    for line in String::from_utf8_lossy(cgroups).lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        if let (Some(controllers), Some(path)) = (fields.next(), fields.next()) {
            let mut root = Message::default();
            root.text(1, controllers);
            root.text(2, path);
            options.message(option::CG_ROOT, &root);
        }
    }
}

/// Opens a new node of the same device as `stream`, if that is a node of the host. A process could
/// change the host's through its descriptor. The container's own nodes do not exist yet.
fn own_device(stream: BorrowedFd<'_>) -> runtime_sys::Result<Option<OwnedFd>> {
    const NAME: &CStr = c"device";
    let st = fstat(stream)?;
    if !SHARED.iter().any(|device| device.is(&st)) {
        return Ok(None);
    }
    let context = mount::fsopen(c"tmpfs")?;
    mount::fsconfig_create(&context)?;
    let dir = mount::fsmount(&context, mount::attr::NOSUID | mount::attr::NOEXEC)?;
    fd::mknod(&dir, NAME, libc::S_IFCHR | 0o666, st.st_rdev)?;
    fd::chmod_at(&dir, NAME, 0o666)?;
    fd::open(&dir, NAME, fd::access_mode(stream)?, 0).map(Some)
}

/// Returns what CRIU does not do: it leaves a new network namespace empty, and takes the flags of
/// bind mounts from the images. It does not know the flags of the root.
fn finish(config: &Config, sources: &[Source]) -> Finish {
    let of_network = config.sysctls.iter().filter(|sysctl| sysctl.namespace == NamespaceKind::Network);
    Finish {
        loopback: config.namespaces.is_new(NamespaceKind::Network),
        sysctls: of_network.map(|s| Sysctl { path: s.path.clone(), line: s.line.clone() }).collect(),
        binds: sources.iter().filter_map(|source| source.bind(&config.mounts)).collect(),
        readonly: config.rootfs_readonly,
    }
}

/// Returns the paths of the namespaces that a process does not share with the caller. CRIU may have
/// put it into more than the configuration names: it keeps the clocks with a time namespace.
fn namespace_paths(pid: i32) -> Result<BTreeMap<String, String>> {
    let mut paths = BTreeMap::new();
    for kind in NamespaceKind::ALL {
        let name = format!("ns/{}", kind.file());
        let file = PidFile::new(pid, &name);
        let stat = file.absolute().and_then(|path| fd::stat_at(fd::CWD, &path, 0));
        let is_own = match stat.and_then(|stat| ns::is_own(kind.file(), &stat)) {
            // The kernel has no namespaces of this type.
            Err(Errno::ENOENT) => true,
            is_own => is_own.context(|| format!("stat {file}"))?,
        };
        if !is_own {
            paths.insert(kind.clone_name().to_owned(), file.to_string());
        }
    }
    Ok(paths)
}

/// Reads which standard streams the first process had, which [`Container::checkpoint`] and runc write.
fn read_descriptors(images: BorrowedFd<'_>) -> Result<Vec<String>> {
    const FILE_MAX: usize = 64 << 10;
    let bad = |error: Error| {
        error
            .of_kind(ErrorKind::InvalidConfig)
            .with_hint("the image directory has no checkpoint of a container")
    };
    let what = || "read descriptors.json of the checkpoint".to_owned();
    let (json, _) =
        file::read(images, DESCRIPTORS, false, FILE_MAX).map_err(|unread| bad(unread.into_error(what())))?;
    serde_json::from_str(&String::from_utf8_lossy(&json))
        .map_err(|error| bad(Error::new(ErrorKind::InvalidConfig, format!("{}: {error}", what()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_with_a_terminal_gets_no_stream_of_the_caller() {
        let names = |names: &[&str]| names.iter().copied().map(str::to_owned).collect::<Vec<_>>();
        let mixed = names(&["/dev/pts/0", "pipe:[7]", "pipe:[8]", "pipe:[9]"]);
        assert_eq!(connected(mixed.clone(), true), ["/dev/pts/0", "", ""]);
        assert_eq!(connected(mixed, false), ["/dev/pts/0", "pipe:[7]", "pipe:[8]"]);
        assert_eq!(connected(names(&["pipe:[7]"]), false), ["pipe:[7]", "", ""]);
    }
}
