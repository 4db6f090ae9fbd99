// SPDX-License-Identifier: Apache-2.0
//! The kernel's verdicts: the effects of a compiled filter in a child that has loaded it.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::generate::Random;
use common::json::LinuxSeccomp;
use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use runtime_sys::seccomp::load_listening;
use seccomp::{Instruction, Program, compile};
use std::os::fd::AsRawFd as _;
use sys_testing::process::{exit_on, fork};
use sys_testing::raw::call_i386;

/// The end of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Exited(i32),
    Signalled(i32),
}

/// Runs `body` in a child and uses its result as exit status. It makes system calls only.
fn child(body: impl FnOnce() -> i32) -> End {
    match waitpid(fork(body).unwrap(), None).unwrap() {
        WaitStatus::Exited(_, status) => End::Exited(status),
        WaitStatus::Signaled(_, signal, _) => End::Signalled(signal as i32),
        other => panic!("{other:?}"),
    }
}

/// Makes a system call that touches no memory. Returns its result, or the negative error number.
fn call(nr: u32, args: [u64; 6]) -> i64 {
    let number = i64::from(nr as i32);
    sys_testing::raw::call(number, args.map(|arg| arg as i64)).unwrap_or_else(|errno| -i64::from(errno))
}

/// Loads a filter into this process, which gets no_new_privs.
fn load(instructions: &[Instruction]) -> Result<(), Errno> {
    nix::sys::prctl::set_no_new_privs()?;
    runtime_sys::seccomp::load(instructions, 0)
}

fn program(json: &str) -> Program {
    compile(&common::policy(&LinuxSeccomp::parse(json).profile())).unwrap()
}

/// Loads the program in a child, which then runs `body`.
fn under(program: &Program, body: impl FnOnce() -> i32) -> End {
    child(|| if load(program.instructions()).is_ok() { body() } else { 99 })
}

/// Compares the result of a call with this error number. Returns an exit status.
fn fails(result: i64, errno: i32) -> i32 {
    i32::from(result != -i64::from(errno))
}

const NO_ARGS: [u64; 6] = [0; 6];
const GETPPID: u32 = 110;
const SOCKET: u32 = 41;
const EXIT_GROUP: u32 = 231;
const X32_BIT: u32 = 0x4000_0000;

/// Returns a filter with this action for one call, which allows all others.
fn except_getppid(action: &str) -> Program {
    program(&format!(
        r#"{{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"],
        "listenerPath": "/unused", "syscalls": [{{ "names": ["getppid"], "action": "{action}" }}] }}"#
    ))
}

#[test]
fn allowed_and_logged_calls_are_made() {
    for action in ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG"] {
        let made = || i32::from(call(GETPPID, NO_ARGS) <= 0);
        assert_eq!(under(&except_getppid(action), made), End::Exited(0), "{action}");
    }
}

#[test]
fn an_errno_is_returned() {
    let program = except_getppid("SCMP_ACT_ERRNO");
    assert_eq!(under(&program, || fails(call(GETPPID, NO_ARGS), libc::EPERM)), End::Exited(0));
    // Without a tracer, SCMP_ACT_TRACE returns ENOSYS.
    let program = except_getppid("SCMP_ACT_TRACE");
    assert_eq!(under(&program, || fails(call(GETPPID, NO_ARGS), libc::ENOSYS)), End::Exited(0));
}

#[test]
fn a_forbidden_call_kills() {
    for action in ["SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS"] {
        let end = under(&except_getppid(action), || i32::from(call(GETPPID, NO_ARGS) > 0));
        assert_eq!(end, End::Signalled(libc::SIGSYS), "{action}");
    }
}

#[test]
fn a_forbidden_call_raises_a_signal() {
    let end = under(&except_getppid("SCMP_ACT_TRAP"), || {
        exit_on(Signal::SIGSYS).unwrap();
        call(GETPPID, NO_ARGS) as i32
    });
    assert_eq!(end, End::Exited(128 + libc::SIGSYS));
}

#[test]
fn a_tracer_decides() {
    let program = except_getppid("SCMP_ACT_TRACE");
    let end = child(|| {
        let traced = fork(|| {
            ptrace::traceme().unwrap();
            // Lets the tracer set its options before the call.
            raise(Signal::SIGSTOP).unwrap();
            load(program.instructions()).unwrap();
            i32::from(call(GETPPID, NO_ARGS) <= 0)
        })
        .unwrap();
        if waitpid(traced, None) != Ok(WaitStatus::Stopped(traced, Signal::SIGSTOP)) {
            return 1;
        }
        ptrace::setoptions(traced, ptrace::Options::PTRACE_O_TRACESECCOMP).unwrap();
        ptrace::cont(traced, None).unwrap();
        let event = WaitStatus::PtraceEvent(traced, Signal::SIGTRAP, libc::PTRACE_EVENT_SECCOMP);
        if waitpid(traced, None) != Ok(event) {
            return 2;
        }
        let message = ptrace::getevent(traced).unwrap();
        ptrace::cont(traced, None).unwrap();
        // The message is errnoRet's default, EPERM.
        if message == 1 && waitpid(traced, None) == Ok(WaitStatus::Exited(traced, 0)) { 0 } else { 3 }
    });
    assert_eq!(end, End::Exited(0));
}

#[test]
fn a_listener_is_notified() {
    let json = r#"{ "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/unused",
        "syscalls": [{ "names": ["getppid"], "action": "SCMP_ACT_NOTIFY" }] }"#;
    let policy = common::policy(&LinuxSeccomp::parse(json).profile());
    let program = compile(&policy).unwrap();
    let end = child(|| {
        nix::sys::prctl::set_no_new_privs().unwrap();
        let listener = load_listening(program.instructions(), policy.filter_flags());
        if listener.map_or(0, |listener| listener.as_raw_fd()) <= 2 {
            return 1;
        }
        // The listener is closed.
        fails(call(GETPPID, NO_ARGS), libc::ENOSYS)
    });
    assert_eq!(end, End::Exited(0));
}

#[test]
fn calls_above_the_profile_do_not_exist() {
    let program = program(common::DOCKER);
    // This kernel does not have 600 either, but the profile's default would be EPERM.
    assert_eq!(under(&program, || fails(call(600, NO_ARGS), libc::ENOSYS)), End::Exited(0));
    assert_eq!(under(&program, || fails(call(X32_BIT | 600, NO_ARGS), libc::ENOSYS)), End::Exited(0));
    assert_eq!(under(&program, || fails(call_i386(600, 0).into(), libc::ENOSYS)), End::Exited(0));
    assert_eq!(under(&program, || fails(call(u32::MAX, NO_ARGS), libc::ENOSYS)), End::Exited(0));
    // acct is old, known and not allowed. For clone3 the profile itself returns ENOSYS.
    assert_eq!(under(&program, || fails(call(163, NO_ARGS), libc::EPERM)), End::Exited(0));
    assert_eq!(under(&program, || fails(call(435, NO_ARGS), libc::ENOSYS)), End::Exited(0));
}

#[test]
fn docker_looks_at_whole_arguments() {
    let program = program(common::DOCKER);
    let socket = |domain: u64| call(SOCKET, [domain, 0xffff, 0, 0, 0, 0]);
    // AF_VSOCK (40) is denied by the filter. AF_ALG is 38. AF_UNIX with an invalid type gets as far
    // as the kernel.
    assert_eq!(under(&program, || fails(socket(40), libc::EPERM)), End::Exited(0));
    assert_eq!(under(&program, || fails(socket(38), libc::EPERM)), End::Exited(0));
    assert_eq!(under(&program, || fails(socket(1), libc::EINVAL)), End::Exited(0));
    // The kernel would take the low half, 38. The profile allows all values above 40.
    assert_eq!(under(&program, || i32::from(socket(0x1_0000_0026) == -1)), End::Exited(0));
    // clone with CLONE_NEWUSER.
    let clone = || fails(call(56, [0x1000_0000, 0, 0, 0, 0, 0]), libc::EPERM);
    assert_eq!(under(&program, clone), End::Exited(0));
}

#[test]
fn x32_is_killed_unless_it_is_listed() {
    let x32_getppid = || i32::from(call(X32_BIT | GETPPID, NO_ARGS) == 0);
    let program = except_getppid("SCMP_ACT_ERRNO");
    assert_eq!(under(&program, x32_getppid), End::Signalled(libc::SIGSYS));
    let program = program_with_x32();
    assert_eq!(under(&program, || fails(call(X32_BIT | GETPPID, NO_ARGS), 7)), End::Exited(0));
}

fn program_with_x32() -> Program {
    program(
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X32"],
        "syscalls": [{ "names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 7 }] }"#,
    )
}

#[test]
fn int_0x80_obeys_the_section_of_x86() {
    // 64 is getppid on x86, and semget on x86_64.
    let program = except_getppid("SCMP_ACT_ERRNO");
    assert_eq!(under(&program, || fails(call_i386(64, 0).into(), libc::EPERM)), End::Exited(0));
    assert_eq!(under(&program, || i32::from(call_i386(20, 0) <= 0)), End::Exited(0));
    // x86 is not in the profile, so any of its calls kills.
    let program = program_with_x32();
    assert_eq!(under(&program, || call_i386(20, 0)), End::Signalled(libc::SIGSYS));
}

#[test]
fn socketcall_is_seen_through() {
    let program = program(
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"],
        "syscalls": [{ "names": ["bind"], "action": "SCMP_ACT_ERRNO", "errnoRet": 7 }] }"#,
    );
    // bind is call 2 of socketcall; 3, connect, reaches the kernel, which cannot read its arguments at address 0.
    assert_eq!(under(&program, || fails(call_i386(102, 2).into(), 7)), End::Exited(0));
    assert_eq!(under(&program, || fails(call_i386(102, 3).into(), libc::EFAULT)), End::Exited(0));
}

#[test]
fn the_largest_program_loads_and_a_larger_one_is_refused() {
    let allowed = |count: u64| {
        let rule = |n| {
            format!(
                r#"{{ "names": ["ioctl"], "action": "SCMP_ACT_ALLOW",
            "args": [{{ "index": 1, "value": {}, "op": "SCMP_CMP_EQ" }}] }}"#,
                n * 3
            )
        };
        let rules: Vec<String> = (0..count).map(rule).collect();
        let json = format!(
            r#"{{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{},
            {{ "names": ["exit", "exit_group"], "action": "SCMP_ACT_ALLOW" }}] }}"#,
            rules.join(", ")
        );
        compile(&common::policy(&LinuxSeccomp::parse(&json).profile()))
    };
    // The largest number of values that fits.
    let (mut fits, mut too_many) = (1, 4096);
    while too_many - fits > 1 {
        let middle = u64::midpoint(fits, too_many);
        *if allowed(middle).is_ok() { &mut fits } else { &mut too_many } = middle;
    }
    let program = allowed(fits).unwrap();
    assert!((4090..=4096).contains(&program.instructions().len()), "{}", program.instructions().len());
    let ioctl = |value| move || fails(call(16, [u64::MAX, value, 0, 0, 0, 0]), libc::EBADF);
    assert_eq!(under(&program, ioctl((fits - 1) * 3)), End::Exited(0));
    assert_eq!(under(&program, ioctl(fits * 3)), End::Exited(1));
    assert!((4097..4110).contains(&allowed(too_many).unwrap_err().instructions));
}

/// `Program::new` and the kernel must agree on what a filter is.
#[test]
fn the_checker_is_as_strict_as_the_kernel() {
    // All codes of each class, with the operands and jumps that matter.
    let mut random = Random(0xb1f);
    let ks = [0, 1, 2, 3, 4, 15, 16, 31, 32, 60, 63, 64, 68, 0xffff_f000, u32::MAX];
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..3000_u32 {
        let len = 1 + random.next() % 6;
        let mut instructions: Vec<Instruction> = (0..len)
            .map(|_| Instruction {
                // Mostly existing codes, so that some programs pass.
                code: if random.next().is_multiple_of(4) {
                    (random.next() % 0x108) as u16
                } else {
                    random.pick(&[
                        0x20, 0x80, 0x00, 0x60, 0x81, 0x01, 0x61, 0x02, 0x03, 0x07, 0x87, 0x04, 0x14, 0x24,
                        0x34, 0x3c, 0x54, 0x64, 0x6c, 0x84, 0xa4, 0x05, 0x15, 0x2d, 0x35, 0x45, 0x16, 0x06,
                    ])
                },
                jt: (random.next() % 4) as u8,
                jf: (random.next() % 3) as u8,
                k: random.pick(&ks),
            })
            .collect();
        if !random.next().is_multiple_of(8) {
            instructions.push(Instruction { code: 0x06, jt: 0, jf: 0, k: 0x7fff_0000 });
        }
        let ours = Program::new(instructions.clone()).is_ok();
        let end = child(|| {
            if load(&instructions).is_ok() {
                // exit_group ends the process, or the filter kills it.
                call(EXIT_GROUP, NO_ARGS);
                std::process::abort();
            }
            1
        });
        assert_eq!(ours, end != End::Exited(1), "{round}: {instructions:x?}");
        *if ours { &mut accepted } else { &mut refused } += 1;
    }
    assert!(accepted > 300 && refused > 300, "{accepted} accepted, {refused} refused");
}

/// The interpreter's result for a program is the kernel's.
#[test]
fn the_interpreter_computes_like_the_kernel() {
    let mut random = Random(0x1e7);
    for _ in 0..1500 {
        let instruction = |code, k| Instruction { code, jt: 0, jf: 0, k };
        // Allows all other calls. For getppid, computes a value from the argument ...
        let mut instructions = vec![
            instruction(0x20, 0),
            Instruction { code: 0x15, jt: 1, jf: 0, k: GETPPID },
            instruction(0x06, 0x7fff_0000),
            instruction(0x20, 16),
            instruction(0x07, 0),
            instruction(0x20, 20),
        ];
        for _ in 0..6 {
            let code = random.pick(&[
                0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3c, 0x44, 0x4c, 0x54, 0x5c, 0x64, 0x6c, 0x74,
                0x7c, 0x84, 0xa4, 0xac, 0x07, 0x87, 0x80, 0x81,
            ]);
            let k = if matches!(code, 0x64 | 0x74) { random.next() % 32 } else { random.next() | 1 };
            instructions.push(instruction(code, k as u32));
        }
        // ... and returns its low 11 bits as an error number, by way of the scratch memory.
        instructions.extend([
            instruction(0x54, 0x7ff),
            instruction(0x02, 3),
            instruction(0x61, 3),
            instruction(0x00, 0x5_0000),
            instruction(0x4c, 0),
            instruction(0x16, 0),
        ]);
        let program = Program::new(instructions).unwrap();
        let argument = random.next();
        let data = seccomp::SeccompData {
            nr: GETPPID,
            arch: 0xc000_003e,
            instruction_pointer: 0,
            args: [argument, 0, 0, 0, 0, 0],
        };
        let expected = (seccomp::interp(&program, &data) & 0xffff) as i32;
        // A division by zero returns 0 at once, which kills.
        let divides = seccomp::interp(&program, &data) == 0;
        let end = under(&program, || {
            let errno = -call(GETPPID, [argument, 0, 0, 0, 0, 0]);
            // An exit status has 8 bits, so the child compares.
            i32::from(errno != i64::from(expected))
        });
        let wanted = if divides { End::Signalled(libc::SIGSYS) } else { End::Exited(0) };
        assert_eq!(end, wanted, "{argument:#x} {expected}\n{program}");
    }
}
