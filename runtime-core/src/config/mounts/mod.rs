// SPDX-License-Identifier: Apache-2.0
//! `mounts`: the check of options, sources and destinations, and of mounts below /proc.

mod flags;
mod options;
mod remount;
mod source;

pub(crate) use flags::{Flags, RESTRICTIONS, restrictions_of};
pub(crate) use options::{FsOption, LABEL_OPTIONS, known_options, rootfs_propagation};
pub(crate) use source::{Filesystem, Follow, IdMap, MountSource};

use super::field::{c_string, invalid, lookup};
use super::namespaces::{check_map, ranges};
use crate::error::{Result, Warning};
use crate::path::clean;
use crate::path::proc::is_proc_file;
use crate::spec;
use libc::{MS_BIND, MS_REC, MS_REMOUNT, c_ulong};
use options::Options;
use runtime_sys::mount::{Depth, MountAttr};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fmt::Arguments;

/// One mount, checked.
#[derive(Debug)]
pub(crate) struct Mount {
    /// The destination, relative to the container's root and lexically clean; `.` for the root.
    pub(crate) destination: CString,
    pub(crate) source: MountSource,
    pub(crate) flags: Flags,
    /// Attributes for all mounts of the tree.
    pub(crate) all: MountAttr,
    pub(crate) propagation: Vec<(c_ulong, Depth)>,
    /// True if a link at the end of the destination is not followed.
    pub(crate) no_follow: bool,
}

impl Mount {
    /// Checks the mount `i`. A relative source begins at `bundle`. `rootfs` is the path of the
    /// rootfs in the form of [`clean`].
    pub(crate) fn new(i: usize, spec: &spec::Mount, bundle: &str, rootfs: &str) -> Result<Self> {
        Self::checked(format_args!("mounts[{i}]"), spec, bundle, rootfs)
    }

    /// Checks the mount that is called `at` in errors, as [`new`](Self::new) does.
    pub(crate) fn checked(at: Arguments<'_>, spec: &spec::Mount, bundle: &str, rootfs: &str) -> Result<Self> {
        let options = Options::new(at, &spec.kind, &spec.options)?;
        if spec.destination.is_empty() {
            return Err(invalid(format_args!("{at}.destination"), "must be given"));
        }
        let destination = match in_container(&clean(&spec.destination), rootfs) {
            "" => ".".to_owned(),
            destination => destination.to_owned(),
        };
        let is_bind = options.flags.set & MS_BIND != 0 || spec.kind == "bind";
        let source = if options.flags.set & MS_REMOUNT != 0 {
            remount::remount(at, spec, &options)?
        } else if is_bind {
            bind(at, spec, bundle, &options)?
        } else {
            new_filesystem(at, spec, &options)?
        };
        check_proc(at, &destination, &source)?;
        let proper = matches!(source, MountSource::New { kind: Filesystem::Proc | Filesystem::Sysfs, .. });
        Ok(Mount {
            destination: c_string(format_args!("{at}.destination"), &destination)?,
            source,
            flags: Flags { set: options.flags.set & !(MS_BIND | MS_REC | MS_REMOUNT), ..options.flags },
            all: options.all,
            propagation: options.propagation,
            // The /proc of an image may be a link (CVE-2019-19921, CVE-2023-27561).
            no_follow: options.destination_no_follow || proper,
        })
    }

    /// Returns whether this mount becomes the container's new root.
    pub(crate) fn is_new_root(&self) -> bool {
        self.destination.as_c_str() == c"." && !matches!(self.source, MountSource::Remount { .. })
    }

    /// Warns of the options that a bind mount ignores, because they belong to the file system.
    pub(crate) fn warn_of_ignored_options(&self, at: Arguments<'_>, warnings: &mut Vec<Warning>) {
        if !matches!(self.source, MountSource::Bind { .. } | MountSource::Remount { is_bind: true, .. }) {
            return;
        }
        for option in self.flags.superblock_words().map(CStr::to_string_lossy) {
            let why = "a bind mount cannot change its file system";
            warnings.push(Warning(format!("{at}.options: {option:?} is ignored: {why}")));
        }
    }

    /// Returns true for `idmap` and `ridmap` without mappings of the mount's own.
    pub(crate) fn takes_mappings_of_container(&self) -> bool {
        matches!(&self.source, MountSource::Bind { id_map: Some(map), .. } if map.uid.is_empty())
    }
}

fn bind(at: Arguments<'_>, spec: &spec::Mount, bundle: &str, options: &Options) -> Result<MountSource> {
    if let Some((i, option)) = options.data.first() {
        return Err(invalid(
            format_args!("{at}.options[{i}]"),
            format_args!(
                "unknown option {:?}: bind mounts cannot have any filesystem-specific options applied",
                option.key.to_string_lossy()
            ),
        ));
    }
    if options.copy_up {
        return Err(invalid(format_args!("{at}.options"), "tmpcopyup is for tmpfs only"));
    }
    if spec.source.is_empty() {
        return Err(invalid(format_args!("{at}.source"), "a bind mount needs a source"));
    }
    let path =
        if spec.source.starts_with('/') { spec.source.clone() } else { format!("{bundle}/{}", spec.source) };
    Ok(MountSource::Bind {
        path: c_string(format_args!("{at}.source"), &path)?,
        depth: if options.flags.set & MS_REC != 0 { Depth::All } else { Depth::One },
        follow: match (options.copy_symlink, options.source_no_follow) {
            (true, _) => Follow::Copy,
            (false, true) => Follow::No,
            (false, false) => Follow::Yes,
        },
        id_map: id_map(at, spec, options)?,
    })
}

fn id_map(at: Arguments<'_>, spec: &spec::Mount, options: &Options) -> Result<Option<IdMap>> {
    if spec.uid_mappings.is_empty() != spec.gid_mappings.is_empty() {
        let missing = if spec.uid_mappings.is_empty() { "uidMappings" } else { "gidMappings" };
        let why = "uidMappings and gidMappings must be given together";
        return Err(invalid(format_args!("{at}.{missing}"), why));
    }
    if spec.uid_mappings.is_empty() && options.id_map.is_none() {
        return Ok(None);
    }
    let (uid, gid) = (ranges(&spec.uid_mappings), ranges(&spec.gid_mappings));
    check_map(format_args!("{at}.uidMappings"), &uid)?;
    check_map(format_args!("{at}.gidMappings"), &gid)?;
    Ok(Some(IdMap { depth: options.id_map.unwrap_or(Depth::One), uid, gid }))
}

fn new_filesystem(at: Arguments<'_>, spec: &spec::Mount, options: &Options) -> Result<MountSource> {
    if spec.kind.is_empty() {
        return Err(invalid(
            format_args!("{at}.type"),
            "must be given unless the options contain bind or rbind",
        ));
    }
    let given = [
        ("options", options.id_map.is_some()),
        ("uidMappings", !spec.uid_mappings.is_empty()),
        ("gidMappings", !spec.gid_mappings.is_empty()),
    ];
    if let Some((field, _)) = given.iter().find(|(_, is_given)| *is_given) {
        let why = "id-mapped mounts are only supported for bind-mounts";
        return Err(invalid(format_args!("{at}.{field}"), why));
    }
    if options.source_no_follow || options.copy_symlink {
        return Err(invalid(
            format_args!("{at}.options"),
            "src-nofollow and copy-symlink are for bind mounts only",
        ));
    }
    let kind = match spec.kind.as_str() {
        "proc" => Filesystem::Proc,
        "sysfs" => Filesystem::Sysfs,
        "tmpfs" => Filesystem::Tmpfs,
        "cgroup" | "cgroup2" => Filesystem::Cgroup,
        "mqueue" => Filesystem::Mqueue,
        _ => Filesystem::Other,
    };
    if options.copy_up && kind != Filesystem::Tmpfs {
        return Err(invalid(format_args!("{at}.options"), "tmpcopyup is for tmpfs only"));
    }
    Ok(MountSource::New {
        kind,
        fstype: match kind {
            // In the specification, `cgroup` is the type for either version of cgroups.
            Filesystem::Cgroup => c"cgroup2".to_owned(),
            _ => c_string(format_args!("{at}.type"), &spec.kind)?,
        },
        source: match spec.source.as_str() {
            "" => c_string(format_args!("{at}.type"), &spec.kind)?,
            source => c_string(format_args!("{at}.source"), source)?,
        },
        options: options.data.iter().map(|(_, option)| option.clone()).collect(),
        copy_up: options.copy_up,
    })
}

/// Strips the path of the rootfs from a destination that begins with it. Callers that use
/// paths of the host rely on runc for this.
fn in_container<'a>(destination: &'a str, rootfs: &str) -> &'a str {
    match destination.strip_prefix(rootfs).filter(|_| !rootfs.is_empty()) {
        Some("") => "",
        Some(rest) => rest.strip_prefix('/').unwrap_or(destination),
        None => destination,
    }
}

/// Refuses any mount on /proc except a procfs, and any mount below /proc except on files
/// that the runtime never uses. The runtime's writes of labels and kernel parameters must
/// reach the kernel (CVE-2019-16884). The path may lead elsewhere inside the image, so the
/// child checks the opened target again.
fn check_proc(at: Arguments<'_>, destination: &str, source: &MountSource) -> Result<()> {
    let path = format_args!("{at}.destination").to_string();
    match source {
        MountSource::Remount { .. } => Ok(()),
        // A bind mount of a procfs is allowed; `prepare` checks that the source is one.
        MountSource::Bind { .. } | MountSource::New { kind: Filesystem::Proc, .. }
            if destination == "proc" =>
        {
            Ok(())
        }
        _ if destination == "proc" => {
            Err(invalid(path, "\"/proc\" cannot be mounted because it is not of type proc"))
        }
        _ if destination.starts_with("proc/") && !is_proc_file(destination.as_bytes()) => Err(invalid(
            path,
            format_args!("\"/{destination}\" cannot be mounted because it is inside /proc"),
        )),
        _ => Ok(()),
    }
}

/// The annotation of crun that names the mount option for `linux.mountLabel`.
pub(crate) const LABEL_ANNOTATION: &str = "run.oci.mount_context_type";

/// The label of `linux.mountLabel`, and the mount option that sets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MountLabel {
    pub(crate) option: &'static CStr,
    pub(crate) label: CString,
}

/// Reads `linux.mountLabel` and the annotation that goes with it.
pub(crate) fn label(label: &str, annotations: &BTreeMap<String, String>) -> Result<Option<MountLabel>> {
    let kinds = [
        ("context", c"context"),
        ("defcontext", c"defcontext"),
        ("fscontext", c"fscontext"),
        ("rootcontext", c"rootcontext"),
    ];
    let option = match annotations.get(LABEL_ANNOTATION) {
        None => c"context",
        Some(kind) => {
            lookup(format_args!("annotations.{LABEL_ANNOTATION}"), "no such mount option:", kind, &kinds)?
        }
    };
    if label.is_empty() {
        return Ok(None);
    }
    Ok(Some(MountLabel { option, label: c_string("linux.mountLabel", label)? }))
}

#[cfg(test)]
mod tests {
    use super::flags::{ATTR_RELATIME, ST_RELATIME};
    use super::*;
    use runtime_sys::mount::attr;

    fn spec(destination: &str, kind: &str, source: &str, options: &[&str]) -> spec::Mount {
        spec::Mount {
            destination: destination.into(),
            kind: kind.into(),
            source: source.into(),
            options: options.iter().map(|o| (*o).into()).collect(),
            ..Default::default()
        }
    }

    fn parse(destination: &str, kind: &str, source: &str, options: &[&str]) -> Result<Mount> {
        Mount::new(3, &spec(destination, kind, source, options), "/bundle", "bundle/rootfs")
    }

    fn report(destination: &str, kind: &str, source: &str, options: &[&str]) -> String {
        parse(destination, kind, source, options).unwrap_err().report()
    }

    #[test]
    fn options_become_flags_or_go_to_the_file_system() {
        let m =
            parse("/dev//./pts/", "devpts", "devpts", &["nosuid", "newinstance", "gid=5", "noexec", "exec"])
                .unwrap();
        assert_eq!(m.destination.as_c_str(), c"dev/pts");
        assert_eq!(m.flags.new_attr(), attr::NOSUID);
        let MountSource::New { options, kind, .. } = &m.source else { panic!("{m:?}") };
        assert_eq!(*kind, Filesystem::Other);
        assert_eq!(options.len(), 2);
        assert_eq!(options[0], FsOption { key: c"newinstance".into(), value: None });
        assert_eq!(options[1], FsOption { key: c"gid".into(), value: Some(c"5".into()) });
    }

    #[test]
    fn atime_is_one_field() {
        let attr = |options: &[&str]| parse("/x", "tmpfs", "", options).unwrap().flags.new_attr();
        assert_eq!(attr(&[]), ATTR_RELATIME);
        assert_eq!(attr(&["noatime"]), attr::NOATIME);
        assert_eq!(attr(&["noatime", "atime"]), ATTR_RELATIME);
        assert_eq!(attr(&["noatime", "strictatime"]), attr::STRICTATIME);
        let all = |options: &[&str]| parse("/x", "", "/s", &[&["rbind"], options].concat()).unwrap().all;
        assert_eq!(
            all(&["rnoatime"]),
            MountAttr { set: attr::NOATIME, clear: attr::ATIME, ..Default::default() }
        );
        assert_eq!(all(&["rnoatime", "rrelatime"]), MountAttr { clear: attr::ATIME, ..Default::default() });
        assert_eq!(all(&["rro", "rrw"]), MountAttr { clear: attr::RDONLY, ..Default::default() });
        assert_eq!(all(&["rrw", "rro"]), MountAttr { set: attr::RDONLY, ..Default::default() });
    }

    #[test]
    fn a_bind_without_flags_changes_nothing_and_one_flag_replaces_all_but_atime() {
        let m = parse("/x", "bind", "src", &[]).unwrap();
        let MountSource::Bind { path, depth, .. } = &m.source else { panic!("{m:?}") };
        assert_eq!((path.as_c_str(), *depth), (c"/bundle/src", Depth::One));
        assert_eq!(m.flags.bind_attr(), None);
        let change = parse("/x", "", "/s", &["rbind", "ro"]).unwrap().flags.bind_attr().unwrap();
        assert_eq!(change.set, attr::RDONLY);
        assert_eq!(change.clear, attr::NOSUID | attr::NODEV | attr::NOEXEC | attr::NOSYMFOLLOW);
        let change = parse("/x", "", "/s", &["rbind", "rw"]).unwrap().flags.bind_attr().unwrap();
        assert_eq!(change.set, 0);
        assert_ne!(change.clear & attr::RDONLY, 0);
        let change = parse("/x", "", "/s", &["rbind", "noatime"]).unwrap().flags.bind_attr().unwrap();
        assert_eq!(change.set, attr::NOATIME);
        assert_eq!(change.clear & attr::ATIME, attr::ATIME);
        assert_ne!(change.clear & attr::NODIRATIME, 0);
    }

    #[test]
    fn locked_flags_are_kept_or_refused() {
        use libc::{ST_NOATIME, ST_NODEV, ST_NOEXEC, ST_RDONLY};
        let locked = |options: &[&str], source: u64| {
            parse("/x", "", "/s", &[&["bind"], options].concat()).unwrap().flags.locked_attr(source)
        };
        assert_eq!(locked(&[], ST_RDONLY).unwrap(), None);
        // No locked flag would be cleared.
        let change = locked(&["ro"], ST_RDONLY | ST_RELATIME).unwrap().unwrap();
        assert_eq!((change.set, change.clear & attr::ATIME), (attr::RDONLY, 0));
        let change = locked(&["nosuid"], ST_RDONLY | ST_NODEV | ST_NOATIME).unwrap().unwrap();
        assert_eq!(change.set, attr::RDONLY | attr::NODEV | attr::NOSUID | attr::NOATIME);
        let change = locked(&["rw"], ST_RDONLY | ST_RELATIME).unwrap().unwrap();
        assert_eq!(change.set & attr::RDONLY, attr::RDONLY);
        assert_eq!(locked(&["rw", "dev"], ST_RDONLY | ST_NODEV).unwrap_err(), "nodev");
        assert_eq!(locked(&["ro", "exec"], ST_NOEXEC).unwrap_err(), "noexec");
        assert_eq!(locked(&["noatime"], ST_RELATIME).unwrap_err(), "atime");
        assert_eq!(locked(&["strictatime"], 0).unwrap().unwrap().set, attr::STRICTATIME);
    }

    #[test]
    fn a_destination_may_be_a_path_on_the_host() {
        let destination = |path: &str| parse(path, "tmpfs", "", &[]).unwrap().destination;
        assert_eq!(destination("/bundle/rootfs/a/../b").as_c_str(), c"b");
        assert_eq!(destination("/bundle/rootfs2/a").as_c_str(), c"bundle/rootfs2/a");
        assert_eq!(destination("/x/bundle/rootfs/a").as_c_str(), c"x/bundle/rootfs/a");
    }

    #[test]
    fn a_mount_on_the_root_is_a_new_root() {
        let is_new_root = |path: &str, options| parse(path, "tmpfs", "", options).unwrap().is_new_root();
        for path in ["/", "//", "/a/..", ".", "/bundle/rootfs"] {
            assert!(is_new_root(path, &[]), "{path}");
        }
        assert!(!is_new_root("/", &["remount"]));
        assert!(!is_new_root("/a", &[]));
    }

    #[test]
    fn mounts_on_and_below_proc_are_checked() {
        assert!(parse("/proc", "proc", "proc", &[]).unwrap().no_follow);
        assert!(parse("/proc", "", "/proc", &["rbind"]).is_ok());
        assert!(parse("/x/../proc/meminfo", "", "/y", &["bind"]).is_ok());
        assert_eq!(
            report("/proc", "tmpfs", "", &[]),
            "mounts[3].destination: \"/proc\" cannot be mounted because it is not of type proc"
        );
        for destination in ["/proc/self", "/proc/sys", "/x/../proc/1", "/proc/cpuinfo/x"] {
            assert!(report(destination, "", "/y", &["bind"]).contains("because it is inside /proc"));
        }
        assert!(parse("/process", "tmpfs", "", &[]).is_ok());
    }

    #[test]
    fn refusals_of_mounts_name_the_field() {
        assert!(report("", "tmpfs", "", &[]).starts_with("mounts[3].destination: "));
        assert!(
            report("/x", "", "/y", &["rbind", "size=1k"])
                .starts_with("mounts[3].options[1]: unknown option \"size\"")
        );
        assert!(report("/x", "", "", &["rbind"]).starts_with("mounts[3].source: "));
        assert!(report("/x", "", "", &[]).starts_with("mounts[3].type: "));
        assert!(report("/x", "tmpfs", "", &["idmap"]).contains("only supported for bind-mounts"));
        for (options, place) in [
            (&["remount", "bind", "size=1k"][..], "options[2]"),
            (&["remount", &"x".repeat(256)], "options[1]"),
            (&["remount", "ridmap"], "options"),
            (&["remount", "tmpcopyup"], "options"),
            (&["remount", "copy-symlink"], "options"),
        ] {
            let error = report("/x", "tmpfs", "", options);
            assert!(error.starts_with(&format!("mounts[3].{place}: ")), "{error}");
        }
        for longest in ["x".repeat(255), format!("x={}", "y".repeat(255))] {
            assert!(parse("/x", "tmpfs", "", &["remount", &longest]).is_ok());
        }
        assert!(report("/x", "proc", "", &["tmpcopyup"]).contains("tmpcopyup is for tmpfs only"));
        assert!(report("/x", "tmpfs", "", &["=x"]).starts_with("mounts[3].options[0]: "));
        let mut half = spec("/x", "", "/y", &["rbind"]);
        half.uid_mappings = vec![spec::IdMapping { container_id: 0, host_id: 0, size: 1 }];
        assert!(
            Mount::new(0, &half, "/", "")
                .unwrap_err()
                .report()
                .starts_with("mounts[0].gidMappings: uidMappings and")
        );
    }

    #[test]
    fn a_label_becomes_the_option_that_the_annotation_names() {
        let annotated = |kind: &str| BTreeMap::from([(LABEL_ANNOTATION.to_owned(), kind.to_owned())]);
        assert_eq!(label("", &BTreeMap::new()).unwrap(), None);
        assert_eq!(label("a:b", &BTreeMap::new()).unwrap().unwrap().option, c"context");
        assert_eq!(label("a:b", &annotated("rootcontext")).unwrap().unwrap().option, c"rootcontext");
        let report = label("", &annotated("x")).unwrap_err().report();
        assert!(report.starts_with("annotations.run.oci.mount_context_type: no such"), "{report}");
    }
}
