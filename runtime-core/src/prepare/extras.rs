// SPDX-License-Identifier: Apache-2.0
//! The parts of a plan that are not in config.json.

use crate::boundary::plan::Keeps;
use crate::child::rootfs_maker::Place;
use crate::config::process::variable;
use crate::config::rootfs_mounts::RootfsMount;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::state::filter::CompiledFilter;
use runtime_sys::fd;
use runtime_sys::text::c_str;
use std::ffi::{CStr, CString, OsString};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// The options of create and exec that become part of the plan.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    /// The socket that the terminal's master is sent to.
    pub(crate) console: Option<OwnedFd>,
    /// Standard input, output and error.
    pub(crate) stdio: [Option<OwnedFd>; 3],
    /// The number of descriptors, from 3 on, that are passed to the program.
    pub(crate) preserve_fds: u16,
    /// Names and values of variables to set in the environment.
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) no_pivot: bool,
    pub(crate) no_new_keyring: bool,
    /// True if the calling program has hooks of its own.
    pub(crate) has_caller_hooks: bool,
    /// The caller's supplementary groups that the process keeps.
    pub(crate) keeps: Keeps,
    /// The fifo at which init waits for `start`.
    pub(crate) fifo: Option<OwnedFd>,
    /// The seccomp filter.
    pub(crate) filter: Option<CompiledFilter>,
    /// The mounts that make the root file system.
    pub(crate) rootfs_mounts: Option<RootfsMounts>,
}

/// The mounts that make the root file system, and the function that makes them. It is called through a
/// pointer, so that programs that never give such mounts, like the command line, do not contain it.
#[derive(Debug)]
pub(crate) struct RootfsMounts {
    pub(crate) mounts: Vec<RootfsMount>,
    pub(crate) make: MakeRootfs,
}

type MakeRootfs = fn(&[RootfsMount], &Place<'_>, Option<BorrowedFd<'_>>) -> Result<OwnedFd>;

/// Returns `env`, which has one entry for each name, with the variables of the caller set. Fails for
/// a variable that cannot be in an environment.
pub(crate) fn set_env(mut env: Vec<CString>, variables: &[(OsString, OsString)]) -> Result<Vec<CString>> {
    for (name, value) in variables {
        let bytes = name.as_bytes();
        let entry = c_str([bytes, b"=", value.as_bytes()].concat())
            .map_err(|_nul| bad_variable(format!("{name:?}={value:?} has a NUL byte")))?;
        if bytes.is_empty() {
            return Err(bad_variable(format!("the name of the value {value:?} cannot be empty")));
        }
        if bytes.contains(&b'=') {
            return Err(bad_variable(format!("the name {name:?} has a '='")));
        }
        env.retain(|entry| variable(entry, bytes).is_none());
        env.push(entry);
    }
    Ok(env)
}

fn bad_variable(why: String) -> Error {
    Error::new(ErrorKind::InvalidConfig, format!("invalid environment variable of the caller: {why}"))
}

/// A container's places on the host.
#[derive(Debug)]
pub(crate) struct Host<'a> {
    /// The absolute path of the container's root.
    pub(crate) rootfs: &'a str,
    /// The mount point of cgroup2.
    pub(crate) hierarchy: &'a CStr,
    pub(crate) mode: Mode<'a>,
}

/// The purpose of a plan.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mode<'a> {
    /// A child carries the plan out. `cancel` is the event that cancels the operation.
    Make { cancel: Option<BorrowedFd<'a>> },
    /// The plan is only shown, so nothing may be made for it: trees are left to be cloned later, and
    /// [files](stand_in) stand in for everything else. `notify` is the directory of the notification
    /// socket, if there is to be one: the source of a mount that does not exist yet.
    Show { notify: Option<&'a CStr> },
}

impl Mode<'_> {
    pub(crate) fn makes(self) -> bool {
        matches!(self, Mode::Make { .. })
    }
}

/// Returns a file in the place of a descriptor that is not made for a plan that is only shown.
pub(crate) fn stand_in() -> Result<OwnedFd> {
    fd::open(fd::CWD, c"/", libc::O_PATH | libc::O_DIRECTORY, 0).context(|| "open /")
}

/// Converts text of a configuration or of a record.
pub(super) fn c_string(text: &str) -> Result<CString> {
    c_str(text).context(|| format!("{text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: &str) -> std::result::Result<Vec<String>, String> {
        let env = set_env(vec![c"A=1".to_owned(), c"AB=2".to_owned()], &[(name.into(), value.into())]);
        let text = |entry: CString| entry.into_string().unwrap();
        env.map(|env| env.into_iter().map(text).collect()).map_err(|error| error.report())
    }

    #[test]
    fn a_variable_of_the_caller_replaces_the_one_of_its_name() {
        assert_eq!(set("C", "3").unwrap(), ["A=1", "AB=2", "C=3"]);
        assert_eq!(set("A", "3").unwrap(), ["AB=2", "A=3"]);
        assert_eq!(set("A", "").unwrap(), ["AB=2", "A="]);
    }

    #[test]
    fn a_variable_that_cannot_exist_is_an_error() {
        let of_caller = "invalid environment variable of the caller: ";
        for (name, value, why) in [
            ("A\0B", "1", r#""A\0B"="1" has a NUL byte"#),
            ("A", "1\0", r#""A"="1\0" has a NUL byte"#),
            ("", "1", r#"the name of the value "1" cannot be empty"#),
            ("A=B", "1", r#"the name "A=B" has a '='"#),
        ] {
            assert_eq!(set(name, value).unwrap_err(), format!("{of_caller}{why}"));
        }
    }
}
