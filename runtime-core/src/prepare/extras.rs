// SPDX-License-Identifier: Apache-2.0
//! The parts of a plan that are not in config.json.

use crate::boundary::plan::Keeps;
use crate::error::{Context, Result};
use crate::state::filter::CompiledFilter;
use runtime_sys::text::c_str;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::OwnedFd;
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
    /// Variables to add to the environment.
    pub(crate) env: Vec<CString>,
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
}

impl Extras {
    pub(crate) fn add_env(&mut self, name: &OsStr, value: &OsStr) {
        let entry = [name.as_bytes(), b"=", value.as_bytes()].concat();
        // A variable with a NUL byte cannot exist.
        self.env.extend(CString::new(entry));
    }
}

/// A container's places on the host.
#[derive(Debug)]
pub(crate) struct Host<'a> {
    /// The absolute path of the container's root.
    pub(crate) rootfs: &'a str,
    /// The mount point of cgroup2.
    pub(crate) hierarchy: &'a CStr,
}

/// Converts text of a configuration or of a record.
pub(super) fn c_string(text: &str) -> Result<CString> {
    c_str(text).context(|| format!("{text:?}"))
}
