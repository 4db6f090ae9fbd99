// SPDX-License-Identifier: Apache-2.0
//! libseccomp, by the few functions that the tests and the benchmark call.
//!
//! Not the `libseccomp` crate, which links the shared library: the workspace links its tests
//! statically (see .cargo/config.toml). The verbatim name finds the archive in the linker's search
//! path; Debian's libseccomp-dev has it.
#![allow(unsafe_code, reason = "a C library")]
#![allow(dead_code, reason = "each program uses a part")]

use std::ffi::{CString, c_char, c_int, c_void};
use std::io::Read as _;
use std::os::fd::AsRawFd as _;

use seccomp::{Action, Arch, Instruction, Profile, Program};

#[link(name = "libseccomp.a", modifiers = "+verbatim")]
unsafe extern "C" {
    fn seccomp_version() -> *const Version;
    fn seccomp_init(def_action: u32) -> *mut c_void;
    fn seccomp_release(ctx: *mut c_void);
    fn seccomp_arch_add(ctx: *mut c_void, arch: u32) -> c_int;
    fn seccomp_arch_remove(ctx: *mut c_void, arch: u32) -> c_int;
    fn seccomp_attr_set(ctx: *mut c_void, attr: c_int, value: u32) -> c_int;
    fn seccomp_syscall_resolve_name(name: *const c_char) -> c_int;
    fn seccomp_syscall_resolve_name_arch(arch: u32, name: *const c_char) -> c_int;
    fn seccomp_rule_add_array(
        ctx: *mut c_void,
        action: u32,
        syscall: c_int,
        arg_cnt: u32,
        args: *const ArgCmp,
    ) -> c_int;
    fn seccomp_export_bpf(ctx: *mut c_void, fd: c_int) -> c_int;
}

unsafe extern "C" {
    /// Sends SIGALRM after a number of microseconds. No longer in POSIX, but in the C library.
    fn ualarm(micros: u32, interval: u32) -> u32;
}

/// A time limit: a hundred times as long as libseccomp takes to compile in a child.
const PATIENCE: u32 = 300_000;

#[repr(C)]
struct Version {
    major: u32,
    minor: u32,
    micro: u32,
}

/// `struct scmp_arg_cmp`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct ArgCmp {
    arg: u32,
    op: u32,
    datum_a: u64,
    datum_b: u64,
}

/// `SCMP_FLTATR_CTL_OPTIMIZE`.
const OPTIMIZE: c_int = 8;

/// `__NR_SCMP_ERROR`: no architecture has the call.
const NO_CALL: c_int = -1;

/// Returns the library's version.
pub(crate) fn version() -> (u32, u32, u32) {
    // SAFETY: takes nothing.
    let version = unsafe { seccomp_version() };
    // SAFETY: points to a constant of the library, which is never written.
    let Version { major, minor, micro } = unsafe { version.read() };
    (major, minor, micro)
}

/// Returns the number of a call on this ABI, negative for calls that only other ABIs have.
pub(crate) fn resolve(name: &str, arch: Arch) -> Option<i32> {
    let name = CString::new(name).ok()?;
    // SAFETY: the name is a C string that lives through the call.
    let number = unsafe { seccomp_syscall_resolve_name_arch(token(arch), name.as_ptr()) };
    (number != NO_CALL).then_some(number)
}

/// `SCMP_ARCH_*`.
fn token(arch: Arch) -> u32 {
    match arch {
        Arch::X32 => 0x4000_003e,
        other => other.audit(),
    }
}

/// A filter of libseccomp.
#[derive(Debug)]
pub(crate) struct Filter(*mut c_void);

/// libseccomp's refusal: a negative error number.
pub(crate) type Refused = c_int;

impl Filter {
    /// Makes a filter for these ABIs and no others.
    fn new(default: Action, archs: &[Arch]) -> Result<Filter, Refused> {
        // SAFETY: takes an integer.
        let filter = Filter(unsafe { seccomp_init(default.ret()) });
        assert!(!filter.0.is_null());
        let native = Arch::NATIVE.unwrap();
        for arch in archs.iter().filter(|arch| **arch != native) {
            // SAFETY: the filter is alive.
            ok(unsafe { seccomp_arch_add(filter.0, token(*arch)) })?;
        }
        if !archs.contains(&native) {
            // SAFETY: the filter is alive.
            ok(unsafe { seccomp_arch_remove(filter.0, token(native)) })?;
        }
        Ok(filter)
    }

    /// Adds a rule, unless the name is unknown.
    fn add(&self, name: &str, action: Action, args: &[ArgCmp]) -> Result<(), Refused> {
        let Ok(name) = CString::new(name) else { return Ok(()) };
        // SAFETY: the name is a C string that lives through the call.
        let number = unsafe { seccomp_syscall_resolve_name(name.as_ptr()) };
        if number == NO_CALL {
            return Ok(());
        }
        // SAFETY: the filter is alive, and the array has as many entries as it is said to have.
        ok(unsafe { seccomp_rule_add_array(self.0, action.ret(), number, args.len() as u32, args.as_ptr()) })
    }

    /// Returns the program.
    pub(crate) fn export(&self) -> Result<Program, Refused> {
        // 4096 instructions are half of a pipe's capacity.
        let (reader, writer) = std::io::pipe().unwrap();
        // SAFETY: the filter is alive; the descriptor is open and stays ours.
        ok(unsafe { seccomp_export_bpf(self.0, writer.as_raw_fd()) })?;
        drop(writer);
        Ok(program(reader))
    }
}

/// Reads an exported program from a pipe.
fn program(mut reader: std::io::PipeReader) -> Program {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    let instructions = bytes
        .chunks_exact(8)
        .map(|b| Instruction {
            code: u16::from_ne_bytes([b[0], b[1]]),
            jt: b[2],
            jf: b[3],
            k: u32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
        })
        .collect();
    Program::new(instructions).unwrap()
}

/// Compiles any profile with libseccomp, if it can.
///
/// In a child: some profiles make libseccomp corrupt its own lists and never return.
pub(crate) fn compile(profile: &Profile<'_>, archs: &[Arch]) -> Option<Program> {
    let (reader, writer) = std::io::pipe().unwrap();
    // SAFETY: the child uses no more than memory, and the C library sees to it that
    // its allocator works there.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: takes integers.
        unsafe { ualarm(PATIENCE, 0) };
        let exported = filter(profile, archs, false).and_then(|filter| {
            // SAFETY: the filter is alive; the descriptor is open and stays ours.
            ok(unsafe { seccomp_export_bpf(filter.0, writer.as_raw_fd()) })
        });
        // SAFETY: ends this process at once.
        unsafe { libc::_exit(i32::from(exported.is_err())) };
    }
    assert!(pid > 0);
    drop(writer);
    let mut status = 0;
    // SAFETY: waits for our own child; the status is ours to write.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    (status == 0).then(|| program(reader))
}

impl Drop for Filter {
    fn drop(&mut self) {
        // SAFETY: the filter is alive, and is not used afterwards.
        unsafe { seccomp_release(self.0) }
    }
}

fn ok(answer: c_int) -> Result<(), Refused> {
    if answer < 0 { Err(answer) } else { Ok(()) }
}

/// Makes the filter that runc makes of a profile, before it adds its ENOSYS stub.
///
/// The order of calls, the skipped rules and the treatment of repeated argument indices are runc's
/// (libcontainer/seccomp). They are implemented again here, so that the crate's interpretation of a
/// profile is compared with another one.
///
/// `optimize` asks for a binary tree instead of a chain of comparisons.
pub(crate) fn filter(profile: &Profile<'_>, archs: &[Arch], optimize: bool) -> Result<Filter, Refused> {
    let default = action(profile.default_action, profile.default_errno_ret);
    let filter = Filter::new(default, archs)?;
    if optimize {
        // SAFETY: the filter is alive.
        ok(unsafe { seccomp_attr_set(filter.0, OPTIMIZE, 2) })?;
    }
    for rule in &profile.syscalls {
        let action = action(rule.action, rule.errno_ret);
        if action == default {
            continue;
        }
        let args: Vec<ArgCmp> = rule
            .args
            .iter()
            .map(|arg| ArgCmp {
                arg: arg.index,
                op: operator(arg.op),
                datum_a: arg.value,
                datum_b: arg.value_two,
            })
            .collect();
        let repeats = (0..6).any(|index| args.iter().filter(|arg| arg.arg == index).count() > 1);
        for name in &rule.names {
            if repeats {
                for arg in &args {
                    filter.add(name, action, std::slice::from_ref(arg))?;
                }
            } else {
                filter.add(name, action, &args)?;
            }
        }
    }
    Ok(filter)
}

fn action(name: &str, errno: Option<u32>) -> Action {
    let number = errno.unwrap_or(1) as u16;
    match name {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_ERRNO" => Action::Errno(number),
        "SCMP_ACT_TRACE" => Action::Trace(number),
        "SCMP_ACT_NOTIFY" => Action::Notify,
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_ALLOW" => Action::Allow,
        _ => panic!("{name}"),
    }
}

/// `enum scmp_compare`.
fn operator(name: &str) -> u32 {
    match name {
        "SCMP_CMP_NE" => 1,
        "SCMP_CMP_LT" => 2,
        "SCMP_CMP_LE" => 3,
        "SCMP_CMP_EQ" => 4,
        "SCMP_CMP_GE" => 5,
        "SCMP_CMP_GT" => 6,
        "SCMP_CMP_MASKED_EQ" => 7,
        _ => panic!("{name}"),
    }
}
