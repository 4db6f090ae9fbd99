// SPDX-License-Identifier: Apache-2.0
//! Commands that change their process between fork(2) and execve(2).

use nix::unistd::{Gid, setgroups, setsid};
use seccomp::Instruction;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Lets a command inherit only its standard streams.
pub fn close_others(command: &mut Command) {
    // SAFETY: one system call, without the heap or a lock. Descriptors are closed at execve(2) only.
    unsafe {
        command.pre_exec(|| {
            runtime_sys::fd::close_range(3, i32::MAX, libc::CLOSE_RANGE_CLOEXEC).map_err(io::Error::from)
        })
    };
}

/// Gives supplementary groups to a command.
pub fn with_groups<const N: usize>(command: &mut Command, groups: [u32; N]) {
    let groups = groups.map(Gid::from_raw);
    // SAFETY: one system call, without the heap or a lock: the process has one thread.
    unsafe { command.pre_exec(move || setgroups(&groups).map_err(io::Error::from)) };
}

/// Starts a command in a session of its own, with this controlling terminal.
pub fn with_terminal(command: &mut Command, terminal: OwnedFd) {
    let prepare = move || {
        setsid()?;
        runtime_sys::tty::set_controlling(&terminal).map_err(io::Error::from)
    };
    // SAFETY: two system calls, without the heap or a lock.
    unsafe { command.pre_exec(prepare) };
}

/// Loads a system call filter into a command of root, without no_new_privs.
pub fn under_filter(command: &mut Command, program: Vec<Instruction>) {
    // SAFETY: one system call, without the heap or a lock.
    unsafe { command.pre_exec(move || runtime_sys::seccomp::load(&program, 0).map_err(io::Error::from)) };
}
