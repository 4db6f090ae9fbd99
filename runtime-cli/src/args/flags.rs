// SPDX-License-Identifier: Apache-2.0
//! The flags by name. A command asks for the value of a flag with one of these constants, so
//! that the compiler refuses an unknown name and a value of the wrong type.

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Arg, ArgAction};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// A flag without a value, or with `=true` or `=false`. The long name comes first, here and below.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Switch(pub(crate) &'static [&'static str]);

/// A flag that takes a text. If the flag is given several times, the last value counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text(pub(crate) &'static [&'static str]);

/// A flag that takes an integer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Integer(pub(crate) &'static [&'static str]);

/// A flag that takes a text and may be given several times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Texts(pub(crate) &'static [&'static str]);

/// A flag that takes an integer and may be given several times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Integers(pub(crate) &'static [&'static str]);

macro_rules! entries {
    ($($kind:ident => $value:ident),*) => {
        $(impl $kind {
            /// Returns the flag with its line of help, for the table.
            pub(super) fn help(self, help: &'static str) -> Arg {
                $value(named(self.0)).help(help)
            }

            /// Returns the flag for the table, accepted but not in the help.
            #[allow(dead_code, reason = "of some types only")]
            pub(super) fn hidden(self) -> Arg {
                $value(named(self.0)).hide(true)
            }

            /// Returns the long name.
            #[allow(dead_code, reason = "the man pages are made from the table alone")]
            pub(crate) fn name(self) -> &'static str {
                self.0.first().copied().unwrap_or_default()
            }
        })*
    };
}

entries!(Switch => switch, Text => text, Integer => integer, Texts => texts, Integers => integers);

fn named(names: &'static [&'static str]) -> Arg {
    let long = names.first().copied().unwrap_or_default();
    let short = names.get(1).and_then(|name| name.chars().next());
    Arg::new(long).long(long).short(short)
}

/// Takes a value only behind `=`, so that `--force true` is a flag and an argument.
fn switch(arg: Arg) -> Arg {
    arg.num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .value_name("bool")
        .value_parser(OsStringValueParser::new().try_map(|value| parse_bool(&value).ok_or("parse error")))
}

fn text(arg: Arg) -> Arg {
    arg.action(ArgAction::Set).value_name("string").value_parser(OsStringValueParser::new())
}

fn texts(arg: Arg) -> Arg {
    text(arg).action(ArgAction::Append)
}

fn integer(arg: Arg) -> Arg {
    let parse = |value: OsString| {
        let number = value.to_str().and_then(|text| text.parse::<i64>().ok());
        number
            .ok_or_else(|| format!("strconv.ParseInt: parsing {:?}: invalid syntax", value.to_string_lossy()))
    };
    arg.action(ArgAction::Set).value_name("int").value_parser(OsStringValueParser::new().try_map(parse))
}

fn integers(arg: Arg) -> Arg {
    integer(arg).action(ArgAction::Append)
}

/// Parses a truth value as Go's strconv.ParseBool does.
pub(crate) fn parse_bool(value: &OsStr) -> Option<bool> {
    match value.as_bytes() {
        b"1" | b"t" | b"T" | b"true" | b"TRUE" | b"True" => Some(true),
        b"0" | b"f" | b"F" | b"false" | b"FALSE" | b"False" => Some(false),
        _ => None,
    }
}

/// Returns the flag for help, which every command has.
pub(super) fn help_flag() -> Arg {
    with_any_value(named(&["help", "h"])).help("show help")
}

/// Returns the global flag for the version.
pub(super) fn version_flag() -> Arg {
    with_any_value(named(&["version", "v"])).help("print the version")
}

/// Lets a flag count as given with any value behind `=`.
fn with_any_value(arg: Arg) -> Arg {
    switch(arg).value_parser(OsStringValueParser::new().map(|_value| true))
}

pub(crate) const ADDITIONAL_GIDS: Integers = Integers(&["additional-gids", "g"]);
pub(crate) const ALL: Switch = Switch(&["all", "a"]);
pub(crate) const APPARMOR: Text = Text(&["apparmor"]);
pub(crate) const AUTO_DEDUP: Switch = Switch(&["auto-dedup"]);
pub(crate) const BLKIO_WEIGHT: Integer = Integer(&["blkio-weight"]);
pub(crate) const BUNDLE: Text = Text(&["bundle", "b"]);
pub(crate) const CAP: Texts = Texts(&["cap", "c"]);
pub(crate) const CGROUP: Texts = Texts(&["cgroup"]);
pub(crate) const CGROUP_MANAGER: Text = Text(&["cgroup-manager"]);
pub(crate) const CONSOLE_SOCKET: Text = Text(&["console-socket"]);
pub(crate) const CPUSET_CPUS: Text = Text(&["cpuset-cpus"]);
pub(crate) const CPUSET_MEMS: Text = Text(&["cpuset-mems"]);
pub(crate) const CPU_BURST: Text = Text(&["cpu-burst"]);
pub(crate) const CPU_IDLE: Text = Text(&["cpu-idle"]);
pub(crate) const CPU_PERIOD: Text = Text(&["cpu-period"]);
pub(crate) const CPU_QUOTA: Text = Text(&["cpu-quota"]);
pub(crate) const CPU_RT_PERIOD: Text = Text(&["cpu-rt-period"]);
pub(crate) const CPU_RT_RUNTIME: Text = Text(&["cpu-rt-runtime"]);
pub(crate) const CPU_SHARE: Text = Text(&["cpu-share"]);
pub(crate) const CWD: Text = Text(&["cwd"]);
pub(crate) const DEBUG: Switch = Switch(&["debug"]);
pub(crate) const DETACH: Switch = Switch(&["detach", "d"]);
pub(crate) const DRY_RUN: Switch = Switch(&["dry-run"]);
pub(crate) const DRY_RUN_FORMAT: Text = Text(&["format"]);
pub(crate) const EMPTY_NS: Texts = Texts(&["empty-ns"]);
pub(crate) const ENV: Texts = Texts(&["env", "e"]);
pub(crate) const EXT_UNIX_SK: Switch = Switch(&["ext-unix-sk"]);
pub(crate) const FILE_LOCKS: Switch = Switch(&["file-locks"]);
pub(crate) const FORCE: Switch = Switch(&["force", "f"]);
pub(crate) const FORMAT: Text = Text(&["format", "f"]);
pub(crate) const IGNORE_PAUSED: Switch = Switch(&["ignore-paused"]);
pub(crate) const IMAGE_PATH: Text = Text(&["image-path"]);
pub(crate) const INTERVAL: Text = Text(&["interval"]);
pub(crate) const KEEP: Switch = Switch(&["keep"]);
pub(crate) const KERNEL_MEMORY: Text = Text(&["kernel-memory"]);
pub(crate) const KERNEL_MEMORY_TCP: Text = Text(&["kernel-memory-tcp"]);
pub(crate) const L3_CACHE_SCHEMA: Text = Text(&["l3-cache-schema"]);
pub(crate) const LAZY_PAGES: Switch = Switch(&["lazy-pages"]);
pub(crate) const LEAVE_RUNNING: Switch = Switch(&["leave-running"]);
pub(crate) const LINK_REMAP: Switch = Switch(&["link-remap"]);
pub(crate) const LOG: Text = Text(&["log"]);
pub(crate) const LOG_FORMAT: Text = Text(&["log-format"]);
pub(crate) const LSM_MOUNT_CONTEXT: Text = Text(&["lsm-mount-context"]);
pub(crate) const LSM_PROFILE: Text = Text(&["lsm-profile"]);
pub(crate) const MANAGE_CGROUPS_MODE: Text = Text(&["manage-cgroups-mode"]);
pub(crate) const MEMORY: Text = Text(&["memory"]);
pub(crate) const MEMORY_RESERVATION: Text = Text(&["memory-reservation"]);
pub(crate) const MEMORY_SWAP: Text = Text(&["memory-swap"]);
pub(crate) const MEM_BW_SCHEMA: Text = Text(&["mem-bw-schema"]);
pub(crate) const NO_NEW_KEYRING: Switch = Switch(&["no-new-keyring"]);
pub(crate) const NO_NEW_PRIVS: Switch = Switch(&["no-new-privs"]);
pub(crate) const NO_PIVOT: Switch = Switch(&["no-pivot"]);
pub(crate) const NO_SUBREAPER: Switch = Switch(&["no-subreaper"]);
pub(crate) const PAGE_SERVER: Text = Text(&["page-server"]);
pub(crate) const PARENT_PATH: Text = Text(&["parent-path"]);
pub(crate) const PIDFD_SOCKET: Text = Text(&["pidfd-socket"]);
pub(crate) const PIDS_LIMIT: Integer = Integer(&["pids-limit"]);
pub(crate) const PID_FILE: Text = Text(&["pid-file"]);
pub(crate) const PRE_DUMP: Switch = Switch(&["pre-dump"]);
pub(crate) const PRESERVE_FDS: Integer = Integer(&["preserve-fds"]);
pub(crate) const PROCESS: Text = Text(&["process", "p"]);
pub(crate) const PROCESS_LABEL: Text = Text(&["process-label"]);
pub(crate) const QUIET: Switch = Switch(&["quiet", "q"]);
pub(crate) const RESOURCES: Text = Text(&["resources", "r"]);
pub(crate) const ROOT: Text = Text(&["root"]);
/// The global flag.
pub(crate) const ROOTLESS: Text = Text(&["rootless"]);
pub(crate) const SHELL_JOB: Switch = Switch(&["shell-job"]);
/// The flag of `spec`.
pub(crate) const SPEC_ROOTLESS: Switch = Switch(&["rootless"]);
pub(crate) const STATS: Switch = Switch(&["stats"]);
pub(crate) const STATUS_FD: Integer = Integer(&["status-fd"]);
pub(crate) const SYSTEMD_CGROUP: Switch = Switch(&["systemd-cgroup"]);
pub(crate) const TCP_ESTABLISHED: Switch = Switch(&["tcp-established"]);
pub(crate) const TCP_SKIP_IN_FLIGHT: Switch = Switch(&["tcp-skip-in-flight"]);
pub(crate) const TRACE: Text = Text(&["trace"]);
pub(crate) const TTY: Switch = Switch(&["tty", "t"]);
pub(crate) const USER: Text = Text(&["user", "u"]);
pub(crate) const WORK_PATH: Text = Text(&["work-path"]);
