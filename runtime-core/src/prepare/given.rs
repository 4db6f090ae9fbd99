// SPDX-License-Identifier: Apache-2.0
//! The parts of a plan that config.json does not have.

use crate::boundary::plan::Keeps;
use crate::state::filter::CompiledFilter;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

/// What create and exec add to the configuration.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    /// Where the terminal's master goes.
    pub(crate) console: Option<OwnedFd>,
    /// What becomes standard input, output and error.
    pub(crate) stdio: [Option<OwnedFd>; 3],
    /// Descriptors from 3 on that the program gets.
    pub(crate) preserve_fds: u16,
    /// Added to the environment.
    pub(crate) env: Vec<CString>,
    pub(crate) no_pivot: bool,
    pub(crate) no_new_keyring: bool,
    /// Which of the caller's groups the process is to keep.
    pub(crate) keeps: Keeps,
    /// The fifo of `start`.
    pub(crate) fifo: Option<OwnedFd>,
    /// The system call filter.
    pub(crate) filter: Option<CompiledFilter>,
}

impl Extras {
    pub(crate) fn add_env(&mut self, name: &OsStr, value: &OsStr) {
        let entry = [name.as_bytes(), b"=", value.as_bytes()].concat();
        // A variable with a NUL byte cannot exist.
        self.env.extend(CString::new(entry));
    }
}

/// What the host has for a container.
#[derive(Debug)]
pub(crate) struct Host<'a> {
    /// The absolute path of its root.
    pub(crate) rootfs: &'a str,
    /// Where cgroup2 is mounted.
    pub(crate) hierarchy: &'a CStr,
}

/// Text that `config` has checked for NUL bytes.
pub(super) fn c_string(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}
