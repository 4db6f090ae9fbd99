// SPDX-License-Identifier: Apache-2.0
//! The check of `process` of config.json and of the document of `exec --process`.

use super::field::{c_string, id, invalid, lookup, number_list, unsupported};
use super::scheduling::{io_priority, scheduler};
use crate::error::{Result, Warning};
use crate::spec;
use crate::values::{Capabilities, MemoryPolicy, RLIMITS, Rlimit};
use runtime_sys::process::SchedAttr;
use std::collections::BTreeSet;
use std::ffi::{CStr, CString};

/// The umask of a container without `process.user.umask`. It is that of runc; the
/// specification would keep the caller's umask (docs/decisions/umask.md).
const DEFAULT_UMASK: u32 = 0o022;

/// A program to run in a container, and its user.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) terminal: Option<TerminalConfig>,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
    pub(crate) umask: u32,
    pub(crate) args: Vec<CString>,
    /// The environment with one entry for each name, the last one given. HOME is left out if it
    /// is empty.
    pub(crate) env: Vec<CString>,
    pub(crate) cwd: CString,
    /// The capability sets. `None` if config.json has none: the process keeps the capabilities
    /// that its ids give it.
    pub(crate) capabilities: Option<Capabilities>,
    pub(crate) rlimits: Vec<Rlimit>,
    pub(crate) no_new_privileges: bool,
    pub(crate) apparmor_profile: Option<CString>,
    pub(crate) selinux_label: Option<CString>,
    pub(crate) oom_score_adj: Option<i32>,
    pub(crate) scheduler: Option<SchedAttr>,
    pub(crate) io_priority: Option<u16>,
    pub(crate) exec_affinity: Affinity,
    /// The execution domain of personality(2).
    pub(crate) personality: Option<u32>,
    pub(crate) memory_policy: Option<MemoryPolicy>,
}

/// A request for a pseudoterminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TerminalConfig {
    /// The initial size: rows and columns.
    pub(crate) size: Option<(u16, u16)>,
}

/// The CPU masks of an exec'd process. An empty mask leaves the affinity unchanged.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Affinity {
    pub(crate) initial: Vec<u64>,
    pub(crate) last: Vec<u64>,
}

impl Affinity {
    /// Returns the CPU mask of the program: `final`, or `initial` if there is no `final`.
    pub(crate) fn to_stay(&self) -> &[u64] {
        if self.last.is_empty() { &self.initial } else { &self.last }
    }
}

impl Process {
    /// Checks everything about a process that can be checked without running it.
    /// `available` has the capabilities that can be granted to the container.
    pub(crate) fn new(spec: &spec::Process, available: u64, warnings: &mut Vec<Warning>) -> Result<Self> {
        if spec.args.is_empty() {
            return Err(invalid("process.args", "args must not be empty"));
        }
        if spec.cwd.is_empty() {
            return Err(invalid("process.cwd", "Cwd property must not be empty"));
        }
        if !spec.cwd.starts_with('/') {
            return Err(invalid("process.cwd", "Cwd must be an absolute path"));
        }
        Ok(Process {
            terminal: terminal(spec)?,
            uid: user_id("process.user.uid", spec.user.uid, &spec.user, warnings)?,
            gid: user_id("process.user.gid", spec.user.gid, &spec.user, warnings)?,
            groups: groups(&spec.user.additional_gids)?,
            umask: umask(spec.user.umask)?,
            args: args(&spec.args)?,
            env: environment(&spec.env)?,
            cwd: c_string("process.cwd", &spec.cwd)?,
            capabilities: spec.capabilities.as_ref().map(|caps| Capabilities::new(caps, available, warnings)),
            rlimits: rlimits(&spec.rlimits)?,
            no_new_privileges: spec.no_new_privileges,
            apparmor_profile: optional("process.apparmorProfile", &spec.apparmor_profile)?,
            selinux_label: optional("process.selinuxLabel", &spec.selinux_label)?,
            oom_score_adj: oom_score_adj(spec.oom_score_adj)?,
            scheduler: spec.scheduler.as_ref().map(scheduler).transpose()?,
            io_priority: spec.io_priority.as_ref().map(io_priority).transpose()?,
            exec_affinity: affinity(spec.exec_cpu_affinity.as_ref())?,
            personality: None,
            memory_policy: None,
        })
    }

    /// Adds the settings of `linux` that apply to every process of the container.
    pub(crate) fn with_linux(
        self,
        personality: Option<&spec::Personality>,
        memory_policy: Option<&spec::MemoryPolicy>,
    ) -> Result<Self> {
        Ok(Process {
            personality: personality.map(domain).transpose()?,
            memory_policy: memory_policy.map(MemoryPolicy::new).transpose()?,
            ..self
        })
    }

    /// Drops `additionalGids` if the process keeps the caller's groups. Podman writes both: the
    /// `additionalGids` of the image's /etc/group, and the annotation for `--group-add
    /// keep-groups`.
    pub(crate) fn keeping_groups(mut self, keeps: bool) -> Self {
        if keeps {
            self.groups.clear();
        }
        self
    }
}

/// Returns the value of an entry of an environment, if it is the variable `name`.
pub(crate) fn variable<'a>(entry: &'a CStr, name: &[u8]) -> Option<&'a CStr> {
    let value = entry.to_bytes_with_nul().strip_prefix(name)?.strip_prefix(b"=")?;
    CStr::from_bytes_with_nul(value).ok()
}

fn optional(path: &str, value: &str) -> Result<Option<CString>> {
    if value.is_empty() { Ok(None) } else { c_string(path, value).map(Some) }
}

/// Checks a user or group id. A missing id is 0, with a warning: runc and crun start such a
/// program as root, and tests of engines leave the ids out. `user` itself is not REQUIRED,
/// so there is no warning if `user` is absent, or has nothing but a umask, which exec takes from
/// the container's first process.
fn user_id(path: &str, given: Option<u32>, user: &spec::User, warnings: &mut Vec<Warning>) -> Result<u32> {
    match given {
        Some(given) => id(path, given),
        None if user.gid.is_none() && user.uid.is_none() && user.additional_gids.is_empty() => Ok(0),
        None => {
            warnings.push(Warning(format!("{path}: must be given; 0 is used")));
            Ok(0)
        }
    }
}

fn groups(gids: &[u32]) -> Result<Vec<u32>> {
    gids.iter()
        .enumerate()
        .map(|(i, gid)| id(format_args!("process.user.additionalGids[{i}]"), *gid))
        .collect()
}

fn umask(umask: Option<u32>) -> Result<u32> {
    match umask {
        None => Ok(DEFAULT_UMASK),
        Some(mask) if mask <= 0o777 => Ok(mask),
        Some(mask) => Err(invalid("process.user.umask", format_args!("{mask} is more than 511 (octal 777)"))),
    }
}

fn terminal(spec: &spec::Process) -> Result<Option<TerminalConfig>> {
    if !spec.terminal {
        return Ok(None);
    }
    let size = spec.console_size.filter(|size| size.height != 0 && size.width != 0);
    let size =
        size.map(|size| Ok((cells("height", size.height)?, cells("width", size.width)?))).transpose()?;
    Ok(Some(TerminalConfig { size }))
}

fn cells(field: &str, n: u64) -> Result<u16> {
    u16::try_from(n).map_err(|_too_large| {
        let path = format!("process.consoleSize.{field}");
        match n {
            spec::ConsoleSize::INVALID => invalid(path, "expected a number"),
            n => invalid(path, format_args!("{n} is more than 65535")),
        }
    })
}

fn args(args: &[String]) -> Result<Vec<CString>> {
    args.iter().enumerate().map(|(i, arg)| c_string(format_args!("process.args[{i}]"), arg)).collect()
}

/// Returns the environment with one entry for each name: the last one, at its position, as
/// in runc. An empty HOME is left out.
fn environment(env: &[String]) -> Result<Vec<CString>> {
    let mut seen = BTreeSet::new();
    let mut kept = Vec::with_capacity(env.len() + 1);
    for (i, entry) in env.iter().enumerate().rev() {
        let path = format_args!("process.env[{i}]").to_string();
        let Some((name, value)) = entry.split_once('=') else {
            return Err(invalid(
                path,
                format_args!("invalid environment variable: missing '=' in {entry:?}"),
            ));
        };
        if name.is_empty() {
            return Err(invalid(path, "invalid environment variable: name cannot be empty"));
        }
        let entry_c = c_string(path, entry)?;
        if seen.insert(name) && !(name == "HOME" && value.is_empty()) {
            kept.push(entry_c);
        }
    }
    kept.reverse();
    Ok(kept)
}

fn rlimits(spec: &[spec::Rlimit]) -> Result<Vec<Rlimit>> {
    let mut limits: Vec<Rlimit> = Vec::with_capacity(spec.len());
    for (i, rlimit) in spec.iter().enumerate() {
        let path = format_args!("process.rlimits[{i}]").to_string();
        let resource = lookup(format_args!("{path}.type"), "wrong rlimit value:", &rlimit.kind, RLIMITS)?;
        if limits.iter().any(|other| other.resource == resource) {
            return Err(invalid(path, format_args!("{} is given twice", rlimit.kind)));
        }
        if rlimit.soft > rlimit.hard {
            return Err(invalid(
                format_args!("{path}.soft"),
                format_args!("{} is above the hard limit {}", rlimit.soft, rlimit.hard),
            ));
        }
        limits.push(Rlimit { resource, soft: rlimit.soft, hard: rlimit.hard });
    }
    Ok(limits)
}

fn oom_score_adj(score: Option<i32>) -> Result<Option<i32>> {
    match score {
        Some(score) if !(-1000..=1000).contains(&score) => {
            Err(invalid("process.oomScoreAdj", format_args!("expected -1000 to 1000, got {score}")))
        }
        score => Ok(score),
    }
}

/// The execution domains: PER_LINUX and PER_LINUX32 of personality(2).
const DOMAINS: &[(&str, u32)] = &[("LINUX", 0x0000), ("LINUX32", 0x0008)];

fn domain(spec: &spec::Personality) -> Result<u32> {
    if !spec.flags.is_empty() {
        return Err(unsupported("linux.personality.flags", "the specification defines none"));
    }
    lookup("linux.personality.domain", "unknown execution domain", &spec.domain, DOMAINS)
}

fn affinity(spec: Option<&spec::CpuAffinity>) -> Result<Affinity> {
    let Some(spec) = spec else { return Ok(Affinity::default()) };
    let what = "invalid list of CPUs";
    Ok(Affinity {
        initial: number_list("process.execCPUAffinity.initial", what, &spec.initial)?,
        last: number_list("process.execCPUAffinity.final", what, &spec.last)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut spec::Process)) -> Result<Process> {
        let mut spec = spec::Spec::example(false).process.unwrap();
        change(&mut spec);
        Process::new(&spec, u64::MAX, &mut Vec::new())
    }

    fn report(change: impl FnOnce(&mut spec::Process)) -> String {
        check(change).unwrap_err().report()
    }

    #[test]
    fn the_example_passes() {
        let process = check(|_| ()).unwrap();
        assert_eq!(process.terminal, Some(TerminalConfig { size: None }));
        assert_eq!(process.umask, 0o022);
        let find = |name: &[u8]| process.env.iter().find_map(|entry| variable(entry, name));
        assert!(find(b"PATH").unwrap().to_str().unwrap().starts_with("/usr/local/sbin:"));
        assert!(find(b"HOME").is_none());
    }

    #[test]
    fn the_last_variable_of_a_name_wins_and_keeps_its_place() {
        let env = ["A=1", "B=1", "HOME=", "A=2", "C=", "B==2"].map(str::to_owned);
        let kept = environment(&env).unwrap();
        let kept: Vec<_> = kept.iter().map(|e| e.to_str().unwrap()).collect();
        assert_eq!(kept, ["A=2", "C=", "B==2"]);
    }

    #[test]
    fn refusals_name_the_field() {
        assert_eq!(report(|p| p.args.clear()), "process.args: args must not be empty");
        assert_eq!(report(|p| p.cwd.clear()), "process.cwd: Cwd property must not be empty");
        assert_eq!(report(|p| p.cwd = "tmp".into()), "process.cwd: Cwd must be an absolute path");
        assert_eq!(
            report(|p| p.env.push("FOO".into())),
            "process.env[2]: invalid environment variable: missing '=' in \"FOO\""
        );
        assert!(report(|p| p.args[0] = "a\0b".into()).starts_with("process.args[0]: "));
        assert!(
            report(|p| p.rlimits[0].kind = "RLIMIT_X".into())
                .starts_with("process.rlimits[0].type: wrong rlimit value: \"RLIMIT_X\" (known: RLIMIT_AS, ")
        );
        assert_eq!(
            report(|p| p.rlimits[0].soft = 2000),
            "process.rlimits[0].soft: 2000 is above the hard limit 1024"
        );
        assert_eq!(
            report(|p| p.rlimits.push(p.rlimits[0].clone())),
            "process.rlimits[1]: RLIMIT_NOFILE is given twice"
        );
        assert_eq!(report(|p| p.user.uid = Some(u32::MAX)), "process.user.uid: 4294967295 is not an id");
        assert!(report(|p| p.user.umask = Some(0o1000)).starts_with("process.user.umask: 512 "));
        assert!(report(|p| p.oom_score_adj = Some(1001)).starts_with("process.oomScoreAdj: "));
        assert!(
            report(|p| p.console_size = Some(spec::ConsoleSize { height: 70_000, width: 1 }))
                .starts_with("process.consoleSize.height: ")
        );
    }

    #[test]
    fn execution_domains_have_their_numbers() {
        let with = |domain: &str, flags: &[&str]| {
            let flags = flags.iter().map(|flag| (*flag).into()).collect();
            check(|_| ()).unwrap().with_linux(Some(&spec::Personality { domain: domain.into(), flags }), None)
        };
        assert_eq!(with("LINUX32", &[]).unwrap().personality, Some(8));
        assert_eq!(
            with("linux", &[]).unwrap_err().report(),
            "linux.personality.domain: unknown execution domain \"linux\" (known: LINUX, LINUX32)"
        );
        assert!(with("LINUX", &["x"]).unwrap_err().report().starts_with("linux.personality.flags: "));
    }
}
