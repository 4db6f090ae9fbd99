// SPDX-License-Identifier: Apache-2.0
//! The check of config.json: a [`Config`] is made of a [`Spec`], and every error names the
//! JSON path.
//!
//! Everything that can be refused without looking at the host is refused here.
//! The code behind this module has no optional value that means "use the default",
//! and does not see the types of config.json in [`spec`].

pub(crate) mod annotations;
pub(crate) mod caps;
pub(crate) mod devices;
pub(crate) mod field;
pub(crate) mod hooks;
pub(crate) mod intel_rdt;
pub(crate) mod memory_policy;
pub(crate) mod mounts;
pub(crate) mod namespaces;
pub(crate) mod net_devices;
pub(crate) mod process;
pub(crate) mod resources;
pub(crate) mod rootfs_mounts;
mod scheduling;
mod seccomp;
pub(crate) mod sysctl;
pub(crate) mod update;

#[cfg(test)]
mod mutations;

use crate::error::{Result, Warning};
use crate::spec::{self, Spec};
use devices::{Node, Rule};
use field::{c_string, invalid, unsupported};
use hooks::Hooks;
use intel_rdt::IntelRdt;
use mounts::{Mount, MountLabel};
use namespaces::{NamespaceKind, Namespaces};
use net_devices::NetDevice;
use process::Process;
use resources::Resources;
use runtime_sys::mount::Depth;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use sysctl::Sysctl;

/// A checked config.json, in the form that the code behind this module uses.
#[derive(Debug)]
pub(crate) struct Config {
    /// The path of the root directory: absolute, or relative to the bundle.
    pub(crate) rootfs: String,
    pub(crate) rootfs_readonly: bool,
    pub(crate) rootfs_propagation: Option<(libc::c_ulong, Depth)>,
    pub(crate) mount_label: Option<MountLabel>,
    pub(crate) namespaces: Namespaces,
    pub(crate) hostname: Option<String>,
    pub(crate) domainname: Option<String>,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) device_rules: Vec<Rule>,
    pub(crate) resources: Resources,
    pub(crate) masked_paths: Vec<CString>,
    pub(crate) readonly_paths: Vec<CString>,
    pub(crate) sysctls: Vec<Sysctl>,
    pub(crate) net_devices: Vec<NetDevice>,
    pub(crate) intel_rdt: Option<IntelRdt>,
    pub(crate) process: Process,
    pub(crate) seccomp: Option<::seccomp::Policy>,
    pub(crate) cgroups_path: CgroupsPath,
    /// The uid in the container that becomes the owner of the container's cgroup.
    pub(crate) cgroup_owner: Option<u32>,
    pub(crate) hooks: Hooks,
    pub(crate) annotations: BTreeMap<String, String>,
    /// The value of [`annotations::keeps_groups`].
    pub(crate) keeps_groups: bool,
}

/// `linux.cgroupsPath`, before the runtime's own cgroup is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CgroupsPath {
    /// No path: the cgroup has the container's id as its name, beside the runtime's own cgroup.
    Default,
    /// A path from the mount point of cgroup2; lexically clean, without a leading slash.
    Absolute(String),
    /// A path from beside the runtime's own cgroup; lexically clean.
    Relative(String),
}

impl CgroupsPath {
    /// Returns true if the cgroup is beside the runtime's own cgroup.
    pub(crate) fn is_beside(&self) -> bool {
        !matches!(self, CgroupsPath::Absolute(_))
    }
}

/// The properties of the caller that the meaning of a configuration depends on.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The capabilities that can be granted to the container.
    pub(crate) capabilities: u64,
    /// The types for which `linux.namespaces` has the path of the caller's own namespace.
    pub(crate) namespaces: Vec<NamespaceKind>,
}

impl Default for Caller {
    /// Returns a caller that has all capabilities and is in none of the namespaces that
    /// `linux.namespaces` has a path of.
    fn default() -> Self {
        Caller { capabilities: u64::MAX, namespaces: Vec::new() }
    }
}

impl Config {
    /// Checks `spec`. `bundle` is the absolute path of the bundle.
    pub(crate) fn new(
        spec: &Spec,
        bundle: &str,
        caller: &Caller,
        warnings: &mut Vec<Warning>,
    ) -> Result<Self> {
        check_version(&spec.oci_version)?;
        let Some(root) = &spec.root else { return Err(invalid("root", "root must be specified")) };
        if root.path.is_empty() {
            return Err(invalid("root.path", "must not be empty"));
        }
        let Some(process) = &spec.process else {
            return Err(invalid("process", "process property must not be empty"));
        };
        let no_linux = spec::Linux::default();
        let linux = spec.linux.as_ref().unwrap_or(&no_linux);
        let namespaces = Namespaces::new(linux, &caller.namespaces)?;
        let has_mount = namespaces.is_own(NamespaceKind::Mount);
        let needs_mount = |field: &str, is_empty: bool| {
            if has_mount || is_empty {
                Ok(())
            } else {
                Err(invalid(field, "needs a private mount namespace: it would change the host"))
            }
        };
        needs_mount("linux.maskedPaths", linux.masked_paths.is_empty())?;
        needs_mount("linux.readonlyPaths", linux.readonly_paths.is_empty())?;

        annotations::check(&spec.annotations, warnings)?;
        let keeps_groups = annotations::keeps_groups(&spec.annotations)?;

        let no_resources = spec::Resources::default();
        let rootfs = match root.path.starts_with('/') {
            true => crate::path::clean(&root.path),
            false => crate::path::clean(&format!("{bundle}/{}", root.path)),
        };
        let resources = linux.resources.as_ref().unwrap_or(&no_resources);
        let config = Config {
            rootfs: no_nul("root.path", &root.path)?.to_owned(),
            rootfs_readonly: root.readonly,
            rootfs_propagation: mounts::rootfs_propagation(&linux.rootfs_propagation)?,
            mount_label: mounts::label(&linux.mount_label, &spec.annotations)?,
            hostname: uts_name("hostname", &spec.hostname, &namespaces)?,
            domainname: uts_name("domainname", &spec.domainname, &namespaces)?,
            mounts: spec
                .mounts
                .iter()
                .enumerate()
                .map(|(i, m)| Mount::new(i, m, bundle, &rootfs))
                .collect::<Result<_>>()?,
            nodes: devices::nodes(&linux.devices)?,
            device_rules: devices::rules(&resources.devices, warnings)?,
            resources: Resources::new(resources, warnings)?,
            masked_paths: paths("linux.maskedPaths", &linux.masked_paths, warnings)?,
            readonly_paths: paths("linux.readonlyPaths", &linux.readonly_paths, warnings)?,
            sysctls: sysctl::sysctls(&linux.sysctl, &namespaces, &spec.domainname)?,
            net_devices: net_devices::net_devices(&linux.net_devices, &namespaces)?,
            intel_rdt: linux.intel_rdt.as_ref().map(IntelRdt::new).transpose()?,
            process: Process::new(process, caller.capabilities, warnings)?
                .with_linux(linux.personality.as_ref(), linux.memory_policy.as_ref())?
                .keeping_groups(keeps_groups),
            seccomp: linux.seccomp.as_ref().map(seccomp::policy).transpose()?,
            cgroups_path: cgroups_path(&linux.cgroups_path)?,
            cgroup_owner: cgroup_owner(spec, &namespaces),
            hooks: Hooks::new(spec.hooks.as_ref())?,
            annotations: spec.annotations.clone(),
            keeps_groups,
            namespaces,
        };
        for (i, mount) in config.mounts.iter().enumerate() {
            mount.warn_of_ignored_options(format_args!("mounts[{i}]"), warnings);
            if mount.takes_mappings_of_container() && !config.namespaces.is_own(NamespaceKind::User) {
                let why =
                    "idmap without mappings uses those of the container's user namespace, and there is none";
                return Err(invalid(format_args!("mounts[{i}].options"), why));
            }
        }
        for (i, mount) in spec.mounts.iter().enumerate() {
            if !mount.destination.starts_with('/') {
                warnings.push(Warning(format!(
                    "mounts[{i}].destination: {:?} is relative, which is deprecated; it is taken relative to /",
                    mount.destination
                )));
            }
        }
        Ok(config)
    }
}

impl Spec {
    /// Checks the configuration in the same way as a create, as far as that is possible
    /// without looking at the host. Relative paths begin at `bundle`.
    ///
    /// Errors: [`ErrorKind::InvalidConfig`](crate::ErrorKind::InvalidConfig),
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported), with the JSON path.
    pub fn validate(&self, bundle: &str) -> Result<Vec<Warning>> {
        let mut warnings = Vec::new();
        match Config::new(self, bundle, &Caller::default(), &mut warnings) {
            Ok(_) => Ok(warnings),
            Err(error) => Err(error.with_warnings(warnings)),
        }
    }
}

/// Accepts any version 1.y.z, with or without a pre-release or build part. Later minor
/// versions only add properties, and unknown properties are ignored (config.md,
/// "Specification version").
fn check_version(version: &str) -> Result<()> {
    match semver::Version::parse(version) {
        Ok(parsed) if parsed.major == 1 => Ok(()),
        Ok(_) => Err(unsupported(
            "ociVersion",
            format_args!("{version:?} (supported: {} to {})", spec::OCI_VERSION_MIN, spec::OCI_VERSION),
        )),
        Err(_) if version.is_empty() => Err(invalid("ociVersion", "must be given, such as \"1.2.0\"")),
        Err(why) => {
            Err(invalid("ociVersion", format_args!("{version:?} is not a version of the form x.y.z: {why}")))
        }
    }
}

fn no_nul<'a>(path: &str, value: &'a str) -> Result<&'a str> {
    c_string(path, value).map(|_| value)
}

/// Checks a name of the UTS namespace, which has at most 64 bytes (uname(2)).
fn uts_name(field: &str, name: &str, namespaces: &Namespaces) -> Result<Option<String>> {
    if name.is_empty() {
        return Ok(None);
    }
    if !namespaces.is_own(NamespaceKind::Uts) {
        let note = namespaces.note(NamespaceKind::Uts);
        return Err(invalid(
            field,
            format_args!("needs a private uts namespace{note}: it would change the host"),
        ));
    }
    if name.len() > 64 {
        return Err(invalid(field, format_args!("{} bytes; the kernel accepts 64", name.len())));
    }
    Ok(Some(no_nul(field, name)?.to_owned()))
}

/// Returns the paths relative to the container's root, each once. All must be absolute. An
/// empty path is ignored with a warning, as runc ignores it.
fn paths(field: &str, list: &[String], warnings: &mut Vec<Warning>) -> Result<Vec<CString>> {
    let mut all = Vec::with_capacity(list.len());
    let mut seen = BTreeSet::new();
    for (i, path) in list.iter().enumerate() {
        let at = format_args!("{field}[{i}]");
        if path.is_empty() {
            warnings.push(Warning(format!("{at}: ignored, it is empty")));
            continue;
        }
        let clean = crate::path::clean(path);
        if !path.starts_with('/') || clean.is_empty() {
            return Err(invalid(at, format_args!("{path:?} is not an absolute path below the root")));
        }
        let clean = c_string(at, &clean)?;
        if seen.insert(clean.clone()) {
            all.push(clean);
        }
    }
    Ok(all)
}

fn cgroups_path(path: &str) -> Result<CgroupsPath> {
    let field = "linux.cgroupsPath";
    // docs/decisions/traps.md, T16: peers have made directories outside of the hierarchy.
    if path.split('/').any(|part| part == "..") {
        return Err(invalid(field, format_args!("{path:?} has a \"..\" in it")));
    }
    let clean = crate::path::clean(no_nul(field, path)?);
    match (path.is_empty(), clean.is_empty(), path.starts_with('/')) {
        (true, ..) => Ok(CgroupsPath::Default),
        (_, true, _) => Err(invalid(field, format_args!("{path:?} names the root of the hierarchy"))),
        (.., true) => Ok(CgroupsPath::Absolute(clean)),
        (.., false) => Ok(CgroupsPath::Relative(clean)),
    }
}

/// Returns the owner of the cgroup, if the container has a new cgroup namespace and a
/// writable mount of its cgroup (config-linux.md, "Cgroup ownership").
fn cgroup_owner(spec: &Spec, namespaces: &Namespaces) -> Option<u32> {
    let is_writable = |mount: &spec::Mount| {
        mount.source == "cgroup"
            && crate::path::clean(&mount.destination) == "sys/fs/cgroup"
            && !mount.options.iter().any(|option| option == "ro")
    };
    let delegated = namespaces.is_new(NamespaceKind::Cgroup) && spec.mounts.iter().any(is_writable);
    spec.process.as_ref().filter(|_| delegated).map(|process| process.user.uid.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut Spec)) -> Result<(Config, Vec<Warning>)> {
        let mut spec = Spec::example(true);
        change(&mut spec);
        let mut warnings = Vec::new();
        Ok((Config::new(&spec, "/bundle", &Caller::default(), &mut warnings)?, warnings))
    }

    fn report(change: impl FnOnce(&mut Spec)) -> String {
        check(change).unwrap_err().report()
    }

    fn linux(change: impl FnOnce(&mut spec::Linux)) -> impl FnOnce(&mut Spec) {
        |spec| change(spec.linux.as_mut().unwrap())
    }

    #[test]
    fn the_example_passes_without_a_warning() {
        let (config, warnings) = check(|_| ()).unwrap();
        assert!(warnings.is_empty());
        assert_eq!(config.mounts.len(), 7);
        assert_eq!(config.cgroups_path, CgroupsPath::Default);
        assert_eq!(config.masked_paths[0].as_c_str(), c"proc/acpi");
    }

    #[test]
    fn options_without_a_use_for_bind_mounts_are_warnings() {
        let mount = |options: &[&str]| spec::Mount {
            destination: "/x".into(),
            source: "/y".into(),
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            ..Default::default()
        };
        let (_, warnings) = check(|spec| spec.mounts = vec![mount(&["bind", "sync", "nosuid"])]).unwrap();
        let [warning] = &warnings[..] else { panic!("{warnings:?}") };
        assert!(warning.to_string().starts_with("mounts[0].options: \"sync\" is ignored: "), "{warning}");
    }

    #[test]
    fn versions_are_semver() {
        for version in ["1.0.0", "1.3.0", "1.99.7-rc.1+dev", "1.0.2-dev"] {
            check(|s| s.oci_version = version.into()).unwrap();
        }
        assert_eq!(report(|s| s.oci_version = String::new()), "ociVersion: must be given, such as \"1.2.0\"");
        assert!(report(|s| s.oci_version = "invalid".into()).contains("not a version of the form"));
        // A hand-written parser could let these through: SemVer 2.0.0, items 2, 9 and 10.
        for version in [
            "1.0",
            "1.0.0-",
            "1.0.0+",
            "01.0.0",
            "1.00.0",
            "1.0.0-01",
            "1.0.0-a..b",
            "1.0.0-a_b",
            "1.0.0-\u{e4}",
            "1.0.0-rc\n",
            " 1.0.0",
            "1.0.0 ",
            "+1.0.0",
            "1.0.0.0",
            "v1.0.0",
            "1.x.0",
        ] {
            let report = report(|s| s.oci_version = version.into());
            assert!(report.contains("not a version of the form"), "{version:?}: {report}");
        }
        assert!(report(|s| s.oci_version = "2.0.0".into()).contains("supported: 1.0.0 to 1.3.0"));
    }

    #[test]
    fn a_missing_required_property_is_an_error() {
        assert_eq!(report(|s| s.root = None), "root: root must be specified");
        assert_eq!(report(|s| s.process = None), "process: process property must not be empty");
    }

    #[test]
    fn changes_of_the_host_are_refused() {
        let without =
            |kind: &'static str| move |l: &mut spec::Linux| l.namespaces.retain(|ns| ns.kind != kind);
        assert!(report(linux(without("uts"))).starts_with("hostname: needs a private uts namespace"));
        assert!(
            report(linux(without("mount"))).starts_with("linux.maskedPaths: needs a private mount namespace")
        );
    }

    #[test]
    fn paths_are_absolute_clean_and_unique() {
        let (config, _) =
            check(linux(|l| l.masked_paths = vec!["/a//b".into(), "/a/b".into(), "/c/../d".into()])).unwrap();
        assert_eq!(config.masked_paths, [c"a/b".to_owned(), c"d".to_owned()]);
        assert!(report(linux(|l| l.masked_paths = vec!["a".into()])).starts_with("linux.maskedPaths[0]: "));
        let (config, warnings) = check(linux(|l| l.masked_paths = vec!["".into(), "/a".into()])).unwrap();
        assert_eq!(config.masked_paths, [c"a".to_owned()]);
        assert_eq!(warnings[0].to_string(), "linux.maskedPaths[0]: ignored, it is empty");
        assert!(
            report(linux(|l| l.readonly_paths = vec!["/".into()])).starts_with("linux.readonlyPaths[0]: ")
        );
    }

    #[test]
    fn cgroup_paths_stay_in_the_hierarchy() {
        let path = |p: &str| cgroups_path(p).map_err(|e| e.report());
        assert_eq!(path("/a//b/").unwrap(), CgroupsPath::Absolute("a/b".into()));
        assert_eq!(path("a:b:c").unwrap(), CgroupsPath::Relative("a:b:c".into()));
        assert!(path("/../x").unwrap_err().contains("\"..\""));
        assert!(path("a/../../x").unwrap_err().contains("\"..\""));
        assert!(path("/").unwrap_err().contains("root of the hierarchy"));
    }

    #[test]
    fn only_a_writable_cgroup_of_its_own_gets_an_owner() {
        let owner = |change: fn(&mut Spec)| {
            check(|spec| {
                change(spec);
                spec.process.as_mut().unwrap().user.uid = Some(7);
            })
            .unwrap()
            .0
            .cgroup_owner
        };
        let writable = |spec: &mut Spec| {
            let mount = spec.mounts.iter_mut().find(|m| m.source == "cgroup").unwrap();
            mount.options.retain(|option| option != "ro");
        };
        assert_eq!(owner(|_| ()), None);
        assert_eq!(owner(writable), Some(7));
        assert_eq!(
            owner(|spec| {
                spec.mounts.retain(|m| m.source != "cgroup");
            }),
            None
        );
        assert_eq!(
            check(|spec| {
                writable(spec);
                spec.linux.as_mut().unwrap().namespaces.retain(|ns| ns.kind != "cgroup");
            })
            .unwrap()
            .0
            .cgroup_owner,
            None
        );
    }
}
