// SPDX-License-Identifier: Apache-2.0
//! check: the fitness of the host, and of a bundle for this host. Nothing is made.

use super::bundle::Bundle;
use super::container::Runtime;
use super::create::{available_capabilities, own_namespaces};
use super::target::CgroupManager;
use crate::cgroup::survey::Availability;
use crate::cgroup::{limits, systemd};
use crate::config::mounts::{Follow, MountSource};
use crate::config::namespaces::NamespaceKind;
use crate::config::{Caller, Config};
use crate::error::{Error, Result, Warning};
use crate::hook::HookKind;
use crate::host::{self, Fitness, Image, Report};
use crate::path::root::Root;
use crate::path::{c_path, clean, show};
use crate::prepare;
use crate::spec::Spec;
use crate::values::{IdRange, rlimit_name};
use nix::unistd::{getegid, geteuid};
use runtime_sys::text::c_str;
use runtime_sys::{Errno, cred, fd, net, process};
use serde::Serialize;
use std::collections::BTreeSet;
use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::path::Path;

/// The severity of a [`Finding`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The container can be made, but perhaps not as its author expects. Or it depends on something
    /// that cannot be seen before.
    Warning,
    /// The container cannot be made, or its program cannot be executed.
    Error,
}

/// A problem that a bundle would have on this host.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The severity.
    pub severity: Severity,
    /// The JSON path of the property in config.json that it is about, if it is about one.
    pub field: Option<String>,
    /// The problem, in one line. Begins with the JSON path, if there is one.
    pub text: String,
    /// An action of the user that solves the problem, if one is known.
    pub hint: Option<String>,
}

impl Runtime {
    /// Finds out what this host, and the calling user on it, can and cannot do for containers.
    ///
    /// Each system call, namespace and mount is tried in short-lived child processes with their own
    /// namespaces, and nothing is left on the host. CRIU is started for its version if it is
    /// installed, and systemd is asked for its own. This takes tens of milliseconds. If a process, CRIU
    /// or systemd does not answer, it takes at most ten seconds for each of these.
    #[must_use]
    pub fn check(&self) -> Report {
        Report::new(self.store.path())
    }

    /// Finds out why a container of this bundle could not be made or started on the host that
    /// `report` is about, without making it. An empty list means that no reason was found.
    ///
    /// All requirements are checked that can be seen in files: the configuration as in
    /// [`Spec::validate`], the namespaces, controllers and system calls that it asks for, the
    /// sources of its mounts, its program with the interpreter, and the programs of its hooks.
    /// Nothing of the bundle is executed, and no file of it can block the call.
    #[must_use]
    pub fn check_bundle(
        &self,
        bundle: impl AsRef<Path>,
        manager: CgroupManager,
        report: &Report,
    ) -> Vec<Finding> {
        let mut check = Check { report, findings: Vec::new() };
        if let Err(error) = check.bundle(bundle.as_ref(), manager) {
            check.warn(error.warnings().into_iter().cloned());
            check.error(&error);
        }
        check.findings
    }
}

/// A check of a bundle, and its findings.
struct Check<'a> {
    report: &'a Report,
    findings: Vec<Finding>,
}

impl Check<'_> {
    fn add(&mut self, severity: Severity, field: &str, text: impl std::fmt::Display, hint: &str) {
        self.findings.push(Finding {
            severity,
            field: (!field.is_empty()).then(|| field.to_owned()),
            text: if field.is_empty() { text.to_string() } else { format!("{field}: {text}") },
            hint: (!hint.is_empty()).then(|| hint.to_owned()),
        });
    }

    fn fails(&mut self, field: &str, text: impl std::fmt::Display, hint: &str) {
        self.add(Severity::Error, field, text, hint);
    }

    fn warns(&mut self, field: &str, text: impl std::fmt::Display, hint: &str) {
        self.add(Severity::Warning, field, text, hint);
    }

    /// Adds an error of the library, whose text has the path already.
    fn error(&mut self, error: &Error) {
        self.findings.push(Finding {
            severity: Severity::Error,
            field: error.field().map(str::to_owned),
            text: error.report().split("; hint: ").next().unwrap_or_default().to_owned(),
            hint: error.hint().map(str::to_owned),
        });
    }

    fn warn(&mut self, warnings: impl IntoIterator<Item = Warning>) {
        for Warning(text) in warnings {
            self.findings.push(Finding { severity: Severity::Warning, field: None, text, hint: None });
        }
    }

    /// Adds an error if a row of the host says that this is missing.
    fn needs(&mut self, row: &str, field: &str) {
        let Some(row) = self.report.row(row).filter(|row| row.fitness == Fitness::Missing) else { return };
        let text = format!("this host lacks {}: {}", row.name, row.found);
        self.fails(field, text, row.remedy);
    }

    fn bundle(&mut self, bundle: &Path, manager: CgroupManager) -> Result<()> {
        for row in self.report.rows.iter().filter(|row| row.required && row.fitness == Fitness::Missing) {
            // These are reported with the property that asks for them.
            if !row.name.starts_with("namespace.") {
                self.fails("", format_args!("this host lacks {}: {}", row.name, row.found), row.remedy);
            }
        }
        let bundle = Bundle::open(bundle)?;
        let (spec, warnings) = bundle.parse(&bundle.json()?)?;
        self.warn(warnings);
        let own = own_namespaces(&spec)?;
        let caller = Caller { capabilities: available_capabilities(&spec, &own)?, namespaces: own };
        let mut warnings = Vec::new();
        let config = Config::new(&spec, &bundle.path, &caller, &mut warnings);
        self.warn(warnings);
        let config = config?;

        self.namespaces(&spec, &config);
        self.ids(&config);
        self.cgroup(&spec, &config, manager);
        self.seccomp(&config);
        self.labels(&config);
        self.limits(&config);
        self.sysctls(&config);
        let rootfs = bundle.resolve(&config.rootfs);
        match open_dir(&rootfs) {
            Err(errno) => self.fails(
                "root.path",
                format_args!("{rootfs}: {}", os(errno)),
                "the root file system is a directory, relative to the bundle; engines may mount it later",
            ),
            Ok(root) => {
                self.mounts(&config, &rootfs, &root);
                self.program(&config, &root);
                self.root_options(&config, &root);
            }
        }
        self.hooks(&config);
        self.devices(&config);
        Ok(())
    }

    fn namespaces(&mut self, spec: &Spec, config: &Config) {
        let given = spec.linux.iter().flat_map(|linux| &linux.namespaces);
        let mut are_open = true;
        for (i, given) in given.enumerate() {
            let field = format!("linux.namespaces[{i}]");
            if given.path.is_empty() {
                self.needs(&format!("namespace.{}", given.kind), &field);
                continue;
            }
            let opened = c_path(Path::new(&given.path))
                .and_then(|path| fd::open_follow(fd::CWD, &path, libc::O_PATH, 0));
            if let Err(errno) = opened {
                are_open = false;
                let text = format!("{}: {}", given.path, os(errno));
                self.fails(
                    &format!("{field}.path"),
                    text,
                    "the process that has this namespace may have ended",
                );
            }
        }
        if are_open && let Err(error) = prepare::namespaces::joins(config) {
            self.error(&error);
        }
        if !config.namespaces.is_own(NamespaceKind::User) && !self.report.caller.may_admin {
            self.fails(
                "linux.namespaces",
                "an ordinary user needs a user namespace for a container, and there is none",
                "`spec --rootless` writes such a configuration",
            );
        }
        if config.mounts.iter().any(|mount| {
            matches!(&mount.source, MountSource::New { kind: crate::config::mounts::Filesystem::Proc, .. })
        }) {
            let row = match config.namespaces.is_own(NamespaceKind::User) {
                true => "procfs.fresh-in-user-namespace",
                false => "procfs.fresh",
            };
            self.needs(row, "mounts");
        }
    }

    fn ids(&mut self, config: &Config) {
        if self.report.caller.is_root || !config.namespaces.is_new(NamespaceKind::User) {
            return;
        }
        let lists = [
            (
                "linux.uidMappings",
                &config.namespaces.uid_map,
                geteuid().as_raw(),
                c"/etc/subuid",
                "users.newuidmap",
            ),
            (
                "linux.gidMappings",
                &config.namespaces.gid_map,
                getegid().as_raw(),
                c"/etc/subgid",
                "users.newgidmap",
            ),
        ];
        for (field, map, own, file, helper) in lists {
            if matches!(map.as_slice(), [IdRange { outside, size: 1, .. }] if *outside == own) {
                continue;
            }
            self.needs(helper, field);
            let ranges = host::users::own_ranges(file, self.report.caller.uid);
            for range in map.iter().filter(|range| !(range.size == 1 && range.outside == own)) {
                if ranges.contain(range.outside, range.size) {
                    continue;
                }
                let last = u64::from(range.outside) + u64::from(range.size) - 1;
                let ids = format!("the ids {} to {last}", range.outside);
                let hint = "usermod --add-subuids, --add-subgids";
                match &ranges.unseen {
                    None => self.fails(field, format!("{ids} are not the user's: {}", show(file)), hint),
                    Some(why) => {
                        self.warns(
                            field,
                            format!("{ids} may not be the user's: {}: {why}", show(file)),
                            hint,
                        );
                    }
                }
            }
        }
    }

    fn cgroup(&mut self, spec: &Spec, config: &Config, manager: CgroupManager) {
        let path = spec.linux.as_ref().map_or("", |linux| linux.cgroups_path.as_str());
        if manager == CgroupManager::Systemd {
            self.needs("cgroup.systemd", "linux.cgroupsPath");
            if let Err(error) = systemd::unit::name(path, "c") {
                self.error(&error);
            }
        }
        let writes = limits::writes(&config.resources);
        if manager == CgroupManager::None || (writes.is_empty() && path.is_empty()) {
            return;
        }
        if manager == CgroupManager::Fs && !self.report.row("cgroup.writable").is_some_and(|row| row.required)
        {
            self.needs("cgroup.writable", "linux.resources");
        }
        // Elsewhere other controllers may be enabled: by systemd, in the slice of the scope.
        let is_beside = manager == CgroupManager::Fs && config.cgroups_path.is_beside();
        let mut asked = BTreeSet::new();
        for write in &writes {
            let Some(controller) = write.controller().filter(|one| asked.insert((*one).to_owned())) else {
                continue;
            };
            let why = match host::cgroups::availability(controller) {
                Ok(Availability::Absent) => "the hierarchy does not have it".to_owned(),
                Ok(Availability::NotBelow { cgroup, why }) if is_beside => {
                    format!("it cannot be enabled below {cgroup}: {why}")
                }
                _ => continue,
            };
            let hint =
                self.report.row(&format!("cgroup.controller.{controller}")).map_or("", |row| row.remedy);
            self.fails(&write.field, format_args!("controller {controller:?} is not available: {why}"), hint);
        }
    }

    fn seccomp(&mut self, config: &Config) {
        let Some(policy) = &config.seccomp else { return };
        self.needs("kernel.seccomp", "linux.seccomp");
        match prepare::seccomp::compile(policy) {
            Err(error) => self.error(&error),
            Ok(filter) => {
                self.warn(prepare::seccomp::warning(&filter));
                if let Some(agent) = &filter.agent {
                    self.needs("kernel.seccomp-notify", "linux.seccomp");
                    self.needs("kernel.pidfd-getfd", "linux.seccomp");
                    let path = &agent.path;
                    if let Err(errno) = c_str(path.as_str()).and_then(|path| fd::stat_at(fd::CWD, &path, 0)) {
                        self.fails(
                            "linux.seccomp.listenerPath",
                            format_args!("{path}: {}", os(errno)),
                            "start the agent",
                        );
                    }
                }
            }
        }
    }

    fn labels(&mut self, config: &Config) {
        if let Some(profile) = &config.process.apparmor_profile {
            let field = "process.apparmorProfile";
            let loaded = fd::read_file(fd::CWD, c"/sys/kernel/security/apparmor/profiles", 4 << 20);
            let name = profile.to_string_lossy();
            let is_listed = |text: &[u8]| {
                String::from_utf8_lossy(text)
                    .lines()
                    .any(|line| line.rsplit_once(" (").is_some_and(|(one, _)| one == name))
            };
            if !prepare::labels::has_apparmor() {
                self.fails(
                    field,
                    "AppArmor is not enabled on the host",
                    "remove the profile, or boot with AppArmor",
                );
            } else if name != "unconfined" && loaded.is_ok_and(|text| !is_listed(&text)) {
                self.fails(field, format_args!("{name} is not loaded"), "apparmor_parser --replace FILE");
            }
        }
        let labels = [
            ("process.selinuxLabel", config.process.selinux_label.is_some()),
            ("linux.mountLabel", config.mount_label.is_some()),
        ];
        for (field, _) in
            labels.into_iter().filter(|(_, is_given)| *is_given && !prepare::labels::has_selinux())
        {
            self.fails(field, "SELinux is not enabled on the host", "remove the label, or boot with SELinux");
        }
    }

    fn limits(&mut self, config: &Config) {
        const CAP_SYS_RESOURCE: u8 = 24;
        let may_raise = cred::cap_get().is_ok_and(|sets| sets.effective & 1 << CAP_SYS_RESOURCE != 0)
            && self.report.caller.in_initial_user_namespace == Some(true);
        for (i, limit) in config.process.rlimits.iter().enumerate().filter(|_| !may_raise) {
            if process::own_rlimit_of(limit.resource).is_ok_and(|(_, hard)| limit.hard > hard) {
                let name = rlimit_name(limit.resource);
                self.fails(
                    &format!("process.rlimits[{i}]"),
                    format_args!("{name}: the hard limit of the caller is lower"),
                    "lower it, or call the runtime with CAP_SYS_RESOURCE",
                );
            }
        }
        if config.intel_rdt.is_some() {
            self.needs("resctrl.mounted", "linux.intelRdt");
        }
    }

    fn sysctls(&mut self, config: &Config) {
        // The child may use a procfs of its own, if this one is covered.
        let has = |path: &[u8]| {
            let path = c_str([b"/proc/", path].concat());
            path.and_then(|path| fd::stat_at(fd::CWD, &path, 0)).is_ok()
        };
        let shows_parameters = has(b"sys/net") && has(b"sys/kernel");
        for sysctl in config.sysctls.iter().filter(|sysctl| shows_parameters && !has(sysctl.path.to_bytes()))
        {
            let field = format!("linux.sysctl.{}", sysctl.name);
            let text = format!("the host has no /proc/{}", show(&sysctl.path));
            let path = sysctl.path.to_string_lossy();
            match ["/conf/", "/neigh/"].iter().any(|of_interface| path.contains(of_interface)) {
                true => self.warns(&field, text, "a hook has to make the interface in the container"),
                false => self.fails(&field, text, "load the module that has the parameter, or remove it"),
            }
        }
        if config.net_devices.is_empty() {
            return;
        }
        // A name may be an alternative one, which has no file in /sys/class/net.
        let Ok(socket) = net::route_socket() else { return };
        for device in &config.net_devices {
            if net::interface_index(&socket, &device.host) == Err(Errno::ENODEV) {
                let field = format!("linux.netDevices.{}", show(&device.host));
                self.fails(&field, "the host has no such interface", "`ip link` lists the interfaces");
            }
        }
    }

    fn mounts(&mut self, config: &Config, rootfs: &str, root: &OwnedFd) {
        let rootfs = clean(rootfs);
        for (i, mount) in config.mounts.iter().enumerate() {
            match &mount.source {
                MountSource::Bind { path, follow, id_map, .. } => {
                    let field = format!("mounts[{i}].source");
                    let source = match open_source(path, *follow, &rootfs, root) {
                        Ok(source) => source,
                        Err(errno) => {
                            self.fails(
                                &field,
                                format_args!("{}: {}", show(path), os(errno)),
                                "make it, or remove the mount",
                            );
                            continue;
                        }
                    };
                    if id_map.is_some() && host::kernel::maps_ids_at(&source) == Some(false) {
                        let text = format!("{} is on a file system without id-mapped mounts", show(path));
                        self.fails(
                            &format!("mounts[{i}].uidMappings"),
                            text,
                            "use another file system, or a newer kernel",
                        );
                    }
                }
                MountSource::New { fstype, .. } => {
                    let name = fstype.to_string_lossy();
                    if !host::is_filesystem_loaded(&name) {
                        let text = format!("the file system {name:?} is not loaded");
                        self.warns(
                            &format!("mounts[{i}].type"),
                            text,
                            "it may be a module, which the mount loads",
                        );
                    }
                }
                MountSource::Remount { .. } => {}
            }
        }
    }

    fn program(&mut self, config: &Config, root: &OwnedFd) {
        let process = &config.process;
        let Some(name) = process.args.first() else { return };
        let path = process.env.iter().find_map(|entry| entry.to_bytes().strip_prefix(b"PATH="));
        let gids: Vec<u32> = [process.gid].into_iter().chain(process.groups.iter().copied()).collect();
        let has_hosts_ids = !config.namespaces.is_own(NamespaceKind::User);
        let image = Image { root, user: has_hosts_ids.then_some((process.uid, &gids)), cwd: &process.cwd };
        let Err(fault) = image.check(name, path.unwrap_or(b"/bin:/usr/bin")) else { return };
        // Other mounts may bring the file, and hooks may make it.
        let may_appear = config.hooks.are_before_pivot()
            || config.mounts.iter().any(|mount| match mount.source {
                MountSource::Bind { .. } => true,
                _ => mount.is_new_root(),
            });
        match fault.is_missing && may_appear {
            true => self.warns(
                "process.args[0]",
                format_args!("{} (a mount or a hook may bring it)", fault.text),
                fault.hint,
            ),
            false => self.fails("process.args[0]", fault.text, fault.hint),
        }
    }

    fn root_options(&mut self, config: &Config, root: &OwnedFd) {
        let is_nosuid = fd::mount_flags(root).is_ok_and(|flags| flags & libc::ST_NOSUID != 0);
        if is_nosuid && !config.process.no_new_privileges {
            self.warns(
                "root.path",
                "is on a nosuid mount: setuid programs and file capabilities have no effect",
                "",
            );
        }
    }

    fn hooks(&mut self, config: &Config) {
        for kind in HookKind::ALL {
            // The program of a startContainer hook is that of the container.
            let list = config.hooks.of(kind).iter().enumerate();
            for (i, hook) in list.filter(|_| kind != HookKind::StartContainer) {
                let path = c_path(Path::new(&hook.path));
                let is_program = path.and_then(|path| {
                    fd::access(fd::CWD, &path, libc::X_OK, libc::AT_EACCESS)?;
                    Ok(fd::stat_at(fd::CWD, &path, 0)?.st_mode & libc::S_IFMT == libc::S_IFREG)
                });
                let why = match is_program {
                    Ok(true) => continue,
                    Ok(false) => "is no regular file".to_owned(),
                    Err(errno) => os(errno),
                };
                let field = format!("hooks.{}[{i}].path", kind.name());
                self.fails(
                    &field,
                    format_args!("{}: {why}", hook.path),
                    "install the program of the hook, or remove the hook",
                );
            }
        }
    }

    fn devices(&mut self, config: &Config) {
        if !config.namespaces.is_own(NamespaceKind::User) {
            self.needs("kernel.device-filter", "linux.resources.devices");
        }
    }
}

fn os(errno: Errno) -> String {
    crate::error::OsError(errno as i32).to_string()
}

fn open_dir(path: &str) -> runtime_sys::Result<OwnedFd> {
    fd::open_follow(fd::CWD, &c_str(path)?, libc::O_PATH | libc::O_DIRECTORY, 0)
}

/// Opens the source of a bind mount. A path that enters the rootfs is resolved in the rootfs.
fn open_source(path: &CStr, follow: Follow, rootfs: &str, root: &OwnedFd) -> runtime_sys::Result<OwnedFd> {
    let flags = if follow == Follow::Yes { libc::O_PATH } else { libc::O_PATH | libc::O_NOFOLLOW };
    let inside = path.to_str().ok().map(clean).and_then(|path| {
        let rest = path.strip_prefix(rootfs).filter(|_| !rootfs.is_empty())?;
        (rest.is_empty() || rest.starts_with('/')).then(|| format!("./{rest}"))
    });
    match inside {
        Some(inside) => Root::new(root).open(&c_str(inside)?, flags),
        None => fd::open_follow(fd::CWD, path, flags, 0),
    }
}
