// SPDX-License-Identifier: Apache-2.0
//! Groups of the resctrl file system: parts of the cache and of the memory
//! bandwidth (config-linux.md, "IntelRdt"; Documentation/filesystems/resctrl.rst).

use crate::config::intel_rdt::{Class, IntelRdt};
use crate::error::{Context, Error, ErrorKind, Result};
use nix::unistd::{UnlinkatFlags, unlinkat};
use runtime_sys::Errno;
use runtime_sys::fd::{self, resolve};
use runtime_sys::text::c_str;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::OwnedFd;

const MAGIC: i64 = 0x765_5821;
const FIELD: &str = "linux.intelRdt";

/// The root directory of the resctrl file system.
#[derive(Debug)]
pub(crate) struct Resctrl(OwnedFd);

/// The groups of a container. Later processes of the container join them. Those made for the
/// container alone are removed with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ResctrlGroup {
    /// The class: a directory below the root; empty: the root itself.
    group: String,
    /// True if the class is made for this container alone.
    own: bool,
    /// The name of the container's monitoring group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    monitoring: Option<String>,
}

impl Resctrl {
    pub(crate) fn find() -> Result<Self> {
        let root = fd::open_follow(fd::CWD, c"/sys/fs/resctrl", libc::O_PATH | libc::O_DIRECTORY, 0);
        match root.and_then(|root| Ok((fd::filesystem(&root)?, root))) {
            Ok((MAGIC, root)) => Ok(Resctrl(root)),
            Ok(_) | Err(Errno::ENOENT) => Err(Error::new(
                ErrorKind::Unsupported,
                format!("{FIELD}: no resctrl file system at /sys/fs/resctrl"),
            )
            .with_hint("mount -t resctrl resctrl /sys/fs/resctrl, if the processor supports it")),
            Err(errno) => Err(errno).context(|| "open /sys/fs/resctrl"),
        }
    }

    /// Chooses the groups of the container `id`. Makes nothing.
    pub(crate) fn place(&self, rdt: &IntelRdt, id: &str) -> Result<ResctrlGroup> {
        let (group, own) = match &rdt.class {
            Class::Default => (String::new(), false),
            Class::Named(name) => (name.clone(), false),
            Class::Own => (id.to_owned(), !self.exists(id)?),
        };
        if self.exists(if group.is_empty() { "." } else { &group })? {
            self.compare(rdt, &group)?;
        } else if let Class::Named(name) = &rdt.class
            && rdt.lines().next().is_none()
        {
            let why = format!("{FIELD}.closID: there is no group {name:?}, and no schema to make it with");
            return Err(Error::new(ErrorKind::InvalidConfig, why));
        }
        let place = ResctrlGroup { group, own, monitoring: rdt.monitoring.then(|| id.to_owned()) };
        let monitoring = place.monitoring_path();
        if rdt.monitoring && self.exists(&monitoring)? {
            let why = format!("{FIELD}.enableMonitoring: the group {monitoring:?} exists");
            return Err(Error::new(ErrorKind::AlreadyExists, why)
                .with_hint("it belongs to something else, or to a container that was not deleted"));
        }
        Ok(place)
    }

    /// Makes the missing groups, and puts the process into them. On failure, removes those that
    /// were made for the container alone, and nothing else.
    pub(crate) fn make(&self, place: &ResctrlGroup, rdt: &IntelRdt, pid: i32) -> Result<()> {
        let mut made = None;
        self.try_make(place, rdt, pid, &mut made).map_err(|error| {
            if let Some(path) = &made {
                // The first error is the one to report.
                runtime_sys::ignore(unlinkat(&self.0, path.as_c_str(), UnlinkatFlags::RemoveDir));
            }
            let error = error.wrap_as(ErrorKind::Setup, FIELD).at(FIELD);
            match self.read("info/last_cmd_status") {
                Ok(status) if !status.is_empty() && status != "ok" => error.with_hint(status),
                _ => error,
            }
        })
    }

    /// Makes the groups and sets `made` to the directory that is to be removed on failure, with
    /// everything in it: the container's own class, or its monitoring group.
    fn try_make(
        &self,
        place: &ResctrlGroup,
        rdt: &IntelRdt,
        pid: i32,
        made: &mut Option<CString>,
    ) -> Result<()> {
        if !place.group.is_empty() && self.make_group(place)? && place.own {
            *made = Some(c_str(place.group.as_str()).context(|| format!("mkdir {}", place.group))?);
        }
        self.write_schemata(place, rdt)?;
        if place.monitoring.is_some() {
            let path = place.monitoring_path();
            let make = |path: CString| fd::mkdir(&self.0, &path, 0o755).map(|()| path);
            let path = c_str(path.as_str()).and_then(make).context(|| format!("mkdir {path}"))?;
            made.get_or_insert(path);
        }
        self.assign(place, pid)
    }

    /// Makes the class. Returns false if it exists already and is not the container's own.
    fn make_group(&self, place: &ResctrlGroup) -> Result<bool> {
        match c_str(place.group.as_str()).and_then(|group| fd::mkdir(&self.0, &group, 0o755)) {
            Ok(()) => Ok(true),
            Err(Errno::EEXIST) if !place.own => Ok(false),
            Err(errno) => Err(errno).context(|| format!("mkdir {}", place.group)),
        }
    }

    /// Writes all lines in one write. Writes nothing without lines.
    fn write_schemata(&self, place: &ResctrlGroup, rdt: &IntelRdt) -> Result<()> {
        let lines: String = rdt.lines().flat_map(|line| [line, "\n"]).collect();
        // Every other process is in the default class too, so it is not written to. `place` has
        // checked that it has the requested values.
        if lines.is_empty() || place.group.is_empty() {
            return Ok(());
        }
        self.write(&place.file("schemata"), &lines)
    }

    /// Puts a process into the container's groups.
    pub(crate) fn assign(&self, place: &ResctrlGroup, pid: i32) -> Result<()> {
        self.write(&place.file("tasks"), &pid.to_string())?;
        match &place.monitoring {
            Some(_) => self.write(&format!("{}/tasks", place.monitoring_path()), &pid.to_string()),
            None => Ok(()),
        }
    }

    /// Removes what was made for the container alone.
    pub(crate) fn remove(&self, place: &ResctrlGroup) -> Result<()> {
        let path = match (&place.monitoring, place.own) {
            // Removing a class removes its monitoring groups too.
            (_, true) => place.group.clone(),
            (Some(_), false) => place.monitoring_path(),
            (None, false) => return Ok(()),
        };
        let remove = |path: CString| unlinkat(&self.0, path.as_c_str(), UnlinkatFlags::RemoveDir);
        match c_str(path.as_str()).and_then(remove) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(Error::os(errno, format!("rmdir /sys/fs/resctrl/{path}"))),
        }
    }

    fn exists(&self, name: &str) -> Result<bool> {
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        match c_str(name).and_then(|name| fd::openat2(&self.0, &name, flags, 0, resolve::BENEATH)) {
            Ok(_) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(Error::os(errno, format!("open /sys/fs/resctrl/{name}"))),
        }
    }

    /// Checks that an existing class has the requested `l3CacheSchema` and `memBwSchema`. The
    /// default class is never written to, so it must have all `schemata` as well
    /// (docs/decisions/traps.md, T24).
    fn compare(&self, rdt: &IntelRdt, name: &str) -> Result<()> {
        let older = [("l3CacheSchema", &rdt.l3_cache), ("memBwSchema", &rdt.mem_bw)];
        let older =
            older.into_iter().filter_map(|(field, wanted)| Some((field.to_owned(), wanted.as_ref()?)));
        let is_default = name.is_empty();
        let newer = rdt.schemata.iter().enumerate().filter(|_| is_default);
        let newer = newer.map(|(i, wanted)| (format!("schemata[{i}]"), wanted));
        let mut wanted = older.chain(newer).peekable();
        if wanted.peek().is_none() {
            return Ok(());
        }
        let found =
            self.read(&if is_default { "schemata".to_owned() } else { format!("{name}/schemata") })?;
        for (field, wanted) in wanted {
            if !agrees(wanted, &found) {
                let name = if is_default { "/" } else { name };
                let why =
                    format!("{FIELD}.{field}: the group {name:?} exists with a different value: {found:?}");
                return Err(Error::new(ErrorKind::InvalidConfig, why));
            }
        }
        Ok(())
    }

    fn open(&self, path: &str, flags: i32) -> Result<OwnedFd> {
        let resolve = resolve::BENEATH | resolve::NO_SYMLINKS;
        c_str(path)
            .and_then(|path| fd::openat2(&self.0, &path, flags, 0, resolve))
            .context(|| format!("open /sys/fs/resctrl/{path}"))
    }

    fn read(&self, path: &str) -> Result<String> {
        let text = fd::read_all(self.open(path, libc::O_RDONLY)?, 1 << 20)
            .context(|| format!("read /sys/fs/resctrl/{path}"))?;
        Ok(String::from_utf8_lossy(&text).trim().to_owned())
    }

    fn write(&self, path: &str, content: &str) -> Result<()> {
        fd::write_all(self.open(path, libc::O_WRONLY)?, content.as_bytes())
            .context(|| format!("write {content:?} to /sys/fs/resctrl/{path}"))
    }
}

impl ResctrlGroup {
    fn file(&self, name: &str) -> String {
        if self.group.is_empty() { name.to_owned() } else { format!("{}/{name}", self.group) }
    }

    fn monitoring_path(&self) -> String {
        self.file(&format!("mon_groups/{}", self.monitoring.as_deref().unwrap_or_default()))
    }
}

/// Returns the value for each resource and domain: `L3:0=00ff;1=c0` is ("L3", "0") = "ff"
/// and ("L3", "1") = "c0". Leading zeros are dropped, because bit masks may have them.
fn domains(schemata: &str) -> BTreeMap<(&str, &str), &str> {
    let mut all = BTreeMap::new();
    for line in schemata.lines() {
        let Some((resource, values)) = line.split_once(':') else { continue };
        for (domain, value) in values.split(';').filter_map(|value| value.split_once('=')) {
            let value = value.trim();
            let digits = value.trim_start_matches('0');
            let value = if digits.is_empty() { value.get(..1).unwrap_or_default() } else { digits };
            all.insert((resource.trim(), domain.trim()), value);
        }
    }
    all
}

/// Returns true if each wanted value was found.
fn agrees(wanted: &str, found: &str) -> bool {
    let found = domains(found);
    domains(wanted)
        .iter()
        .all(|(place, value)| found.get(place).is_some_and(|v| v.eq_ignore_ascii_case(value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec;

    #[test]
    fn schemata_are_compared_by_value() {
        let found = "    MB:0= 20;1= 70\n    L3:0=00ff;1=7c0\n    L2:0=0";
        assert!(agrees("L3:0=FF;1=07c0", found));
        assert!(agrees("MB:1=70", found));
        assert!(agrees("L2:0=000", found));
        assert!(!agrees("L3:0=7f", found));
        assert!(!agrees("MB:2=70", found));
        assert!(!agrees("L3CODE:0=ff", found));
    }

    /// Makes a directory in place of the resctrl file system, for the checks before anything is
    /// made. (The rest needs a processor with resctrl.)
    fn resctrl() -> (tempfile::TempDir, Resctrl) {
        let dir = tempfile::tempdir().unwrap();
        let path = crate::path::c_path(dir.path()).unwrap();
        let root = fd::open(fd::CWD, &path, libc::O_PATH | libc::O_DIRECTORY, 0).unwrap();
        (dir, Resctrl(root))
    }

    #[test]
    #[allow(clippy::disallowed_methods)]
    fn a_container_has_a_group_of_its_own_or_an_existing_one() {
        let (dir, resctrl) = resctrl();
        std::fs::create_dir(dir.path().join("gold")).unwrap();
        std::fs::write(dir.path().join("gold/schemata"), "L3:0=ff\n").unwrap();
        let place = |change: fn(&mut spec::IntelRdt)| {
            let mut spec = spec::IntelRdt::default();
            change(&mut spec);
            resctrl.place(&IntelRdt::new(&spec).unwrap(), "box")
        };
        let own = place(|s| s.enable_monitoring = true).unwrap();
        assert_eq!((own.group.as_str(), own.own), ("box", true));
        assert_eq!(own.monitoring_path(), "box/mon_groups/box");
        let root = place(|s| s.clos_id = "/".into()).unwrap();
        assert_eq!((root.file("tasks").as_str(), root.own), ("tasks", false));
        assert!(!place(|s| s.clos_id = "gold".into()).unwrap().own);
        let given = |s: &mut spec::IntelRdt| {
            s.clos_id = "gold".into();
            s.l3_cache_schema = "L3:0=0ff".into();
        };
        assert!(place(given).is_ok());
        let report = |change| place(change).unwrap_err().report();
        let error = report(|s| {
            s.clos_id = "gold".into();
            s.l3_cache_schema = "L3:0=f".into();
        });
        assert!(error.starts_with("linux.intelRdt.l3CacheSchema: the group \"gold\" exists"), "{error}");
        let error = report(|s| s.clos_id = "silver".into());
        assert!(error.starts_with("linux.intelRdt.closID: there is no group \"silver\""), "{error}");
        let error = report(|s| {
            s.clos_id = "gold".into();
            s.mem_bw_schema = "MB:0=20".into();
        });
        assert!(error.starts_with("linux.intelRdt.memBwSchema: the group \"gold\" exists"), "{error}");
        // An existing group of the same name is not the container's own.
        std::fs::create_dir(dir.path().join("box")).unwrap();
        std::fs::write(dir.path().join("box/schemata"), "L3:0=ff\n").unwrap();
        assert!(!place(|_| ()).unwrap().own);
        let error = report(|s| s.l3_cache_schema = "L3:0=f".into());
        assert!(error.starts_with("linux.intelRdt.l3CacheSchema: the group \"box\" exists"), "{error}");
        // An existing monitoring group is not the container's own either.
        std::fs::create_dir_all(dir.path().join("gold/mon_groups/box")).unwrap();
        let error = report(|s| {
            s.clos_id = "gold".into();
            s.enable_monitoring = true;
        });
        assert!(error.contains("the group \"gold/mon_groups/box\" exists"), "{error}");
    }

    #[test]
    #[allow(clippy::disallowed_methods)]
    fn the_default_class_is_compared_and_never_written() {
        let (dir, resctrl) = resctrl();
        std::fs::write(dir.path().join("schemata"), "    MB:0=100\n    L3:0=ff\n    L2:0=f\n").unwrap();
        std::fs::write(dir.path().join("tasks"), "").unwrap();
        let rdt = |l3: &str, schemata: &[&str]| {
            let spec = spec::IntelRdt {
                clos_id: "/".into(),
                l3_cache_schema: l3.into(),
                schemata: schemata.iter().map(|line| (*line).to_owned()).collect(),
                ..Default::default()
            };
            IntelRdt::new(&spec).unwrap()
        };
        for (l3, schemata, field) in [
            ("L3:0=f", &[][..], "l3CacheSchema"),
            ("", &["L2:0=f", "MB:0=20"], "schemata[1]"),
            ("", &["L9:0=f"], "schemata[0]"),
        ] {
            let error = resctrl.place(&rdt(l3, schemata), "box").unwrap_err().report();
            assert!(error.starts_with(&format!("linux.intelRdt.{field}: the group \"/\"")), "{error}");
        }
        let same = rdt("L3:0=0ff", &["L2:0=f"]);
        let place = resctrl.place(&same, "box").unwrap();
        let before = std::fs::metadata(dir.path().join("schemata")).unwrap().modified().unwrap();
        resctrl.make(&place, &same, 7).unwrap();
        assert_eq!(std::fs::metadata(dir.path().join("schemata")).unwrap().modified().unwrap(), before);
        assert_eq!(std::fs::read(dir.path().join("tasks")).unwrap(), b"7");
    }

    /// The kernel makes the files of a new group. Here the test does.
    #[test]
    #[allow(clippy::disallowed_methods)]
    fn only_the_configured_lines_are_written() {
        let (dir, resctrl) = resctrl();
        let files = |group: &str| {
            for name in ["schemata", "tasks"] {
                std::fs::write(dir.path().join(group).join(name), "as it was").unwrap();
            }
        };
        let read = |path: &str| std::fs::read_to_string(dir.path().join(path)).unwrap();
        let all = |clos_id: &str| spec::IntelRdt {
            clos_id: clos_id.into(),
            l3_cache_schema: "L3:0=f".into(),
            mem_bw_schema: "MB:0=20".into(),
            schemata: vec!["L2:0=3".into()],
            ..Default::default()
        };
        let written = "L3:0=f\nMB:0=20\nL2:0=3\n";
        // The container's id names a class of its own.
        let rdt = IntelRdt::new(&all("")).unwrap();
        let place = resctrl.place(&rdt, "box").unwrap();
        assert!(resctrl.make_group(&place).unwrap() && dir.path().join("box").is_dir());
        files("box");
        resctrl.write_schemata(&place, &rdt).unwrap();
        resctrl.assign(&place, 7).unwrap();
        assert!(read("box/schemata").starts_with(written), "{}", read("box/schemata"));
        assert!(read("box/tasks").starts_with('7'));
        // An existing class must have the older schemas, and gets the lines of `schemata` too.
        std::fs::create_dir(dir.path().join("gold")).unwrap();
        files("gold");
        std::fs::write(dir.path().join("gold/schemata"), "L3:0=f\nMB:0=20\n").unwrap();
        let rdt = IntelRdt::new(&all("gold")).unwrap();
        let place = resctrl.place(&rdt, "box").unwrap();
        resctrl.make(&place, &rdt, 7).unwrap();
        assert_eq!(read("gold/schemata"), written);
        // An existing class is not written to without schemas.
        files("gold");
        let spec = spec::IntelRdt { clos_id: "gold".into(), ..Default::default() };
        let rdt = IntelRdt::new(&spec).unwrap();
        let place = resctrl.place(&rdt, "box").unwrap();
        resctrl.make(&place, &rdt, 7).unwrap();
        assert_eq!(read("gold/schemata"), "as it was");
        assert!(read("gold/tasks").starts_with('7'));
    }

    /// Here, too, the test makes the files of new groups.
    #[test]
    #[allow(clippy::disallowed_methods)]
    fn the_lines_of_a_new_group_are_written() {
        let (dir, resctrl) = resctrl();
        let read = |path: &str| std::fs::read_to_string(dir.path().join(path)).unwrap();
        let make = |id: &str, change: &dyn Fn(&mut spec::IntelRdt)| {
            let mut spec = spec::IntelRdt::default();
            change(&mut spec);
            let rdt = IntelRdt::new(&spec).unwrap();
            let place = resctrl.place(&rdt, id).unwrap();
            assert!(resctrl.make_group(&place).unwrap(), "{id}: nothing was made");
            for name in ["schemata", "tasks"] {
                std::fs::write(dir.path().join(&place.group).join(name), "").unwrap();
            }
            resctrl.write_schemata(&place, &rdt).unwrap();
            place
        };
        assert!(make("l3", &|s| s.l3_cache_schema = "L3:0=f".into()).own);
        assert!(make("mb", &|s| s.mem_bw_schema = "MB:0=20".into()).own);
        assert!(make("lines", &|s| s.schemata = vec!["L2:0=f".into(), "L2:1=7".into()]).own);
        // A named class that is missing is made with its schema, and stays.
        let gold = make("x", &|s| (s.clos_id, s.l3_cache_schema) = ("gold".into(), "L3:0=3".into()));
        assert!(!gold.own);
        assert_eq!(
            ["l3", "mb", "gold"].map(|group| read(&format!("{group}/schemata"))),
            ["L3:0=f\n", "MB:0=20\n", "L3:0=3\n"]
        );
        assert_eq!(read("lines/schemata"), "L2:0=f\nL2:1=7\n");
        // Both the class and the monitoring group get the process, with exec, too.
        let place = ResctrlGroup { monitoring: Some("x".into()), ..gold };
        std::fs::create_dir_all(dir.path().join("gold/mon_groups/x")).unwrap();
        std::fs::write(dir.path().join("gold/mon_groups/x/tasks"), "").unwrap();
        resctrl.assign(&place, 8).unwrap();
        assert_eq!((read("gold/tasks"), read("gold/mon_groups/x/tasks")), ("8".into(), "8".into()));
    }

    /// A new group in a plain directory has no files, so it cannot be used.
    #[test]
    #[allow(clippy::disallowed_methods)]
    fn a_failure_leaves_and_removes_nothing() {
        let (dir, resctrl) = resctrl();
        let rdt = |change: fn(&mut spec::IntelRdt)| {
            let mut spec = spec::IntelRdt::default();
            change(&mut spec);
            IntelRdt::new(&spec).unwrap()
        };
        let own = rdt(|s| s.enable_monitoring = true);
        let place = resctrl.place(&own, "box").unwrap();
        resctrl.make(&place, &own, 7).unwrap_err();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        // Another process has made the class or the monitoring group meanwhile.
        std::fs::create_dir(dir.path().join("box")).unwrap();
        let error = resctrl.make(&place, &own, 7).unwrap_err().report();
        assert!(error.contains("mkdir box: file exists"), "{error}");
        assert!(dir.path().join("box").is_dir());
        std::fs::create_dir_all(dir.path().join("gold/mon_groups")).unwrap();
        let gold = rdt(|s| {
            s.clos_id = "gold".into();
            s.enable_monitoring = true;
        });
        let place = resctrl.place(&gold, "box").unwrap();
        std::fs::create_dir(dir.path().join("gold/mon_groups/box")).unwrap();
        let error = resctrl.make(&place, &gold, 7).unwrap_err().report();
        assert!(error.contains("mkdir gold/mon_groups/box: file exists"), "{error}");
        assert!(dir.path().join("gold/mon_groups/box").is_dir());
        // The container's own monitoring group is removed again.
        std::fs::remove_dir(dir.path().join("gold/mon_groups/box")).unwrap();
        resctrl.make(&place, &gold, 7).unwrap_err();
        assert_eq!(std::fs::read_dir(dir.path().join("gold/mon_groups")).unwrap().count(), 0);
        assert!(dir.path().join("gold").is_dir());
    }

    #[test]
    fn only_the_containers_own_groups_are_removed() {
        let (dir, resctrl) = resctrl();
        std::fs::create_dir_all(dir.path().join("gold/mon_groups/box")).unwrap();
        std::fs::create_dir_all(dir.path().join("box")).unwrap();
        let place = |group: &str, own, monitoring: Option<&str>| ResctrlGroup {
            group: group.into(),
            own,
            monitoring: monitoring.map(Into::into),
        };
        let names = || std::fs::read_dir(dir.path()).unwrap().count();
        resctrl.remove(&place("box", false, None)).unwrap();
        resctrl.remove(&place("", false, None)).unwrap();
        assert_eq!(names(), 2);
        resctrl.remove(&place("gold", false, Some("box"))).unwrap();
        assert_eq!(std::fs::read_dir(dir.path().join("gold/mon_groups")).unwrap().count(), 0);
        resctrl.remove(&place("box", true, None)).unwrap();
        assert_eq!(names(), 1);
        // Another process has removed the group already.
        resctrl.remove(&place("box", true, None)).unwrap();
    }
}
