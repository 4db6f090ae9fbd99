// SPDX-License-Identifier: Apache-2.0
//! The kernel's verdicts: the effects of a compiled filter in a child that has loaded it.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(unsafe_code, reason = "fork, seccomp(2) and raw system calls")]
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::generate::Random;
use common::json::LinuxSeccomp;
use seccomp::{Instruction, Program, compile};
use std::os::fd::{FromRawFd as _, OwnedFd};

/// The end of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Exited(i32),
    Signalled(i32),
}

/// Runs `body` in a child and uses its result as exit status.
fn child(body: impl FnOnce() -> i32) -> End {
    // SAFETY: the child only makes system calls and touches memory of its own: it
    // takes no lock that another thread of the test program may have held.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let status = body();
        // SAFETY: ends this process at once.
        unsafe { libc::_exit(status) };
    }
    assert!(pid > 0);
    let mut status = 0;
    // SAFETY: waits for our own child; the status is ours to write.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    if libc::WIFSIGNALED(status) {
        End::Signalled(libc::WTERMSIG(status))
    } else {
        End::Exited(libc::WEXITSTATUS(status))
    }
}

/// Makes a system call. Returns its result, or the negative error number.
fn call(nr: u32, args: [u64; 6]) -> i64 {
    let result: i64;
    // SAFETY: the callers pass numbers and arguments that touch no memory; the
    // kernel clobbers rcx and r11 only.
    unsafe {
        std::arch::asm!("syscall", inlateout("rax") i64::from(nr as i32) => result,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2],
            in("r10") args[3], in("r8") args[4], in("r9") args[5],
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

/// Makes a system call by the entry of 32-bit programs.
fn call_i386(nr: u32, first: u32) -> i32 {
    let result: i32;
    // SAFETY: as above. rbx is not ours to name as an operand, so it is exchanged.
    unsafe {
        std::arch::asm!("xchg rbx, {first:r}", "int 0x80", "xchg rbx, {first:r}",
            first = inout(reg) u64::from(first) => _, inlateout("eax") nr as i32 => result,
            in("ecx") 0, in("edx") 0, in("esi") 0, in("edi") 0,
            lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _, options(nostack));
    }
    result
}

/// Loads a filter into this process. Returns the listener if the flags ask for one, else 0.
fn load(instructions: &[Instruction], flags: u32) -> i64 {
    let program = libc::sock_fprog {
        len: instructions.len() as u16,
        // `Instruction` has the layout of `struct sock_filter`; the kernel only reads it.
        filter: instructions.as_ptr().cast_mut().cast(),
    };
    // SAFETY: takes integers.
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    // SAFETY: the program and its instructions live through the call.
    unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) }
}

fn program(json: &str) -> Program {
    compile(&common::policy(&LinuxSeccomp::parse(json).profile())).unwrap()
}

/// Loads the program in a child, which then runs `body`.
fn under(program: &Program, body: impl FnOnce() -> i32) -> End {
    child(|| if load(program.instructions(), 0) == 0 { body() } else { 99 })
}

/// Compares the result of a call with this error number. Returns an exit status.
fn fails(result: i64, errno: i32) -> i32 {
    i32::from(result != -i64::from(errno))
}

const NO_ARGS: [u64; 6] = [0; 6];
const GETPPID: u32 = 110;
const SOCKET: u32 = 41;
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
fn errno() {
    let program = except_getppid("SCMP_ACT_ERRNO");
    assert_eq!(under(&program, || fails(call(GETPPID, NO_ARGS), libc::EPERM)), End::Exited(0));
    // Without a tracer, SCMP_ACT_TRACE returns ENOSYS.
    let program = except_getppid("SCMP_ACT_TRACE");
    assert_eq!(under(&program, || fails(call(GETPPID, NO_ARGS), libc::ENOSYS)), End::Exited(0));
}

#[test]
fn killed() {
    for action in ["SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS"] {
        let end = under(&except_getppid(action), || i32::from(call(GETPPID, NO_ARGS) > 0));
        assert_eq!(end, End::Signalled(libc::SIGSYS), "{action}");
    }
}

#[test]
fn trapped() {
    extern "C" fn on_sigsys(_: libc::c_int) {
        // SAFETY: _exit may be called by a signal handler.
        unsafe { libc::_exit(42) };
    }
    let end = under(&except_getppid("SCMP_ACT_TRAP"), || {
        #[expect(clippy::fn_to_numeric_cast_any, reason = "how libc wants it")]
        let handler = on_sigsys as *const () as libc::sighandler_t;
        // SAFETY: the handler makes one call, which is safe there.
        unsafe { libc::signal(libc::SIGSYS, handler) };
        call(GETPPID, NO_ARGS) as i32
    });
    assert_eq!(end, End::Exited(42));
}

#[test]
fn traced() {
    let program = except_getppid("SCMP_ACT_TRACE");
    let end = child(|| {
        // SAFETY: a process of one thread (this is a forked child) may fork.
        let traced = unsafe { libc::fork() };
        if traced == 0 {
            // SAFETY: takes integers.
            unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) };
            // SAFETY: takes integers. Lets the tracer set its options before the call.
            unsafe { libc::raise(libc::SIGSTOP) };
            load(program.instructions(), 0);
            // SAFETY: ends this process at once.
            unsafe { libc::_exit(i32::from(call(GETPPID, NO_ARGS) <= 0)) };
        }
        let mut status = 0;
        let mut wait = || {
            // SAFETY: waits for our own child; the status is ours to write.
            unsafe { libc::waitpid(traced, &raw mut status, 0) };
            status
        };
        if !libc::WIFSTOPPED(wait()) {
            return 1;
        }
        // SAFETY: takes integers.
        unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, traced, 0, libc::PTRACE_O_TRACESECCOMP) };
        // SAFETY: takes integers.
        unsafe { libc::ptrace(libc::PTRACE_CONT, traced, 0, 0) };
        if wait() >> 8 != libc::SIGTRAP | libc::PTRACE_EVENT_SECCOMP << 8 {
            return 2;
        }
        let mut message: libc::c_ulong = 0;
        // SAFETY: writes one word to `message`.
        unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, traced, 0, &raw mut message) };
        // SAFETY: takes integers.
        unsafe { libc::ptrace(libc::PTRACE_CONT, traced, 0, 0) };
        let status = wait();
        // The message is errnoRet's default, EPERM.
        if message == 1 && libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0 { 0 } else { 3 }
    });
    assert_eq!(end, End::Exited(0));
}

#[test]
fn notified() {
    let json = r#"{ "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/unused",
        "syscalls": [{ "names": ["getppid"], "action": "SCMP_ACT_NOTIFY" }] }"#;
    let policy = common::policy(&LinuxSeccomp::parse(json).profile());
    let program = compile(&policy).unwrap();
    let end = child(|| {
        let listener = load(program.instructions(), policy.filter_flags());
        if listener <= 2 {
            return 1;
        }
        // SAFETY: the kernel has just given us this descriptor.
        let listener = unsafe { OwnedFd::from_raw_fd(listener as i32) };
        drop(listener);
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
            if load(&instructions, 0) == 0 {
                // exit_group ends the process, or the filter kills it.
                // SAFETY: ends this process at once, if it may.
                unsafe { libc::syscall(libc::SYS_exit_group, 0) };
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
