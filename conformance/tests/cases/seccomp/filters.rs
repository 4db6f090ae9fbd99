// SPDX-License-Identifier: Apache-2.0
//! Filters: their actions, their operators, and the processes under them.

use super::support::{BOTH, bundle, calls, made, refused};
use crate::support::Case;
use conformance::{Agent, Doing, Report, Result, Runtime, each, ensure, ensure_eq};
use nix::libc;
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a filter is in force",
        quote: "Seccomp configuration allows one to configure actions to take for matched syscalls \
                (config-linux.md, Seccomp)",
        run: in_force,
    },
    Case {
        name: "a filter is in force in exec",
        quote: "runc: processes of exec have the container's filter",
        run: in_force_in_exec,
    },
    Case {
        name: "capabilities are the same with a filter",
        quote: "capabilities is an object containing arrays that specifies the sets of capabilities for the \
                process (config.md, Linux Process)",
        run: capabilities,
    },
    Case {
        name: "an action returns its errno, or EPERM",
        quote: "Some actions like SCMP_ACT_ERRNO and SCMP_ACT_TRACE allow to specify the errno code to return. \
                [...] The default is EPERM (config-linux.md, Seccomp)",
        run: errno,
    },
    Case {
        name: "errnoRet with an action that has none is an error",
        quote: "When the action doesn't support an errno, the runtime MUST print and error and fail \
                (config-linux.md, Seccomp)",
        run: |runtime| {
            let agent = Agent::start(&[])?;
            let actions = ["KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP", "LOG", "ALLOW", "NOTIFY"];
            let all = actions.into_iter().flat_map(|action| [(action, 1), (action, 0)]);
            each(all, |&(action, errno)| {
                refused(
                    runtime,
                    json!({ "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": agent.path(), "syscalls": [
                        { "names": ["acct"], "action": format!("SCMP_ACT_{action}"), "errnoRet": errno }] }),
                )?;
                // A container that would run, but for the errnoRet.
                let allowed = json!({ "names": ALLOWED, "action": "SCMP_ACT_ALLOW" });
                refused(
                    runtime,
                    json!({ "defaultAction": format!("SCMP_ACT_{action}"), "listenerPath": agent.path(),
                        "defaultErrnoRet": errno, "syscalls": [allowed] }),
                )
            })
        },
    },
    Case {
        name: "every action is accepted",
        quote: "A valid list of constants as of libseccomp v2.6.0 is shown below (config-linux.md, Seccomp, \
                syscalls[].action)",
        run: actions,
    },
    Case {
        name: "every operator compares as its name says",
        quote: "op (string, REQUIRED) - the operator for syscall arguments in seccomp (config-linux.md, Seccomp)",
        run: operators,
    },
    Case {
        name: "unknown names of system calls are ignored",
        quote: "runc: a profile may name calls that this version does not know",
        run: |runtime| {
            let results = calls(
                runtime,
                json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                    { "names": ["no_such_call", "acct"], "action": "SCMP_ACT_ERRNO" }] }),
                &[libc::SYS_acct],
            )?;
            ensure_eq!(results, [libc::EPERM]);
            Ok(())
        },
    },
    Case {
        name: "unknown actions, architectures, operators and flags are errors",
        quote: "The actions, architectures, and operators are strings that match the definitions in seccomp.h \
                from libseccomp (config-linux.md, Seccomp)",
        run: |runtime| {
            let rule = |rule: Value| json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule] });
            refused(runtime, json!({ "defaultAction": "SCMP_ACT_MAYBE" }))?;
            refused(runtime, rule(json!({ "names": ["acct"], "action": "SCMP_ACT_MAYBE" })))?;
            refused(
                runtime,
                json!({ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_PDP11"] }),
            )?;
            refused(
                runtime,
                json!({ "defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_X"] }),
            )?;
            refused(
                runtime,
                rule(json!({ "names": ["acct"], "action": "SCMP_ACT_ERRNO",
                "args": [{ "index": 0, "value": 0, "op": "SCMP_CMP_IS" }] })),
            )
        },
    },
    Case {
        name: "the error of execve is reported under a filter that forbids writev",
        quote: "runc: the error of execve is reported under every filter that allows write",
        run: |runtime| {
            each(BOTH, |&no_new_privileges| {
                let profile = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                    { "names": ["writev"], "action": "SCMP_ACT_ERRNO" }] });
                let bundle = bundle(&profile, &[])?.with(|config| {
                    config["process"]["args"] = json!(["/garbage"]);
                    config["process"]["noNewPrivileges"] = no_new_privileges.into();
                })?;
                let garbage = bundle.rootfs("garbage");
                fs::write(&garbage, "\0\0\0\0").doing("write the program")?;
                fs::set_permissions(&garbage, Permissions::from_mode(0o755)).doing("chmod")?;
                let output = runtime.run_in(&bundle, &["run", "c"])?.failed()?;
                ensure!(output.stderr.contains("exec format error"), "{output}");
                Ok(())
            })
        },
    },
    Case {
        name: "a run ends under a filter that forbids execve, write and exit",
        quote: "A run ends, also if its process can neither execute its program nor exit (runc, with the first \
                of these filters and noNewPrivileges, does not end)",
        run: |runtime| {
            let deny = |names: &[&str]| {
                json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                    { "names": names, "action": "SCMP_ACT_ERRNO" }] })
            };
            let everything = json!({ "defaultAction": "SCMP_ACT_ERRNO" });
            let all = [deny(&["execve", "execveat", "exit", "exit_group"]), everything];
            each(
                all.into_iter()
                    .flat_map(|profile| BOTH.map(|no_new_privileges| (profile.clone(), no_new_privileges))),
                |(profile, no_new_privileges)| {
                    let bundle = bundle(profile, &["exit", "0"])?
                        .with(|config| config["process"]["noNewPrivileges"] = (*no_new_privileges).into())?;
                    runtime.run_in(&bundle, &["run", "c"])?.failed()?;
                    Ok(())
                },
            )
        },
    },
    Case {
        name: "calls newer than the profile do not exist",
        quote: "runc: with a default action that denies, system calls above the highest that the profile names \
                return ENOSYS",
        run: |runtime| {
            let results = calls(
                runtime,
                json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
                    { "names": ALLOWED, "action": "SCMP_ACT_ALLOW" }] }),
                &[600, libc::SYS_acct],
            )?;
            ensure_eq!(results, [libc::ENOSYS, libc::EPERM]);
            Ok(())
        },
    },
];

/// The system calls that the probe, and a runtime written in Go, need.
const ALLOWED: &[&str] = &[
    "access",
    "arch_prctl",
    "brk",
    "capget",
    "capset",
    "chdir",
    "clock_gettime",
    "clone",
    "clone3",
    "close",
    "close_range",
    "dup3",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "eventfd2",
    "execve",
    "exit",
    "exit_group",
    "faccessat",
    "faccessat2",
    "fchown",
    "fchownat",
    "fcntl",
    "fstat",
    "fstatfs",
    "fsync",
    "futex",
    "getcwd",
    "getdents64",
    "getegid",
    "geteuid",
    "getgid",
    "getpgrp",
    "getpid",
    "getppid",
    "getrandom",
    "gettid",
    "getuid",
    "ioctl",
    "lseek",
    "madvise",
    "mmap",
    "mprotect",
    "munmap",
    "nanosleep",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "pipe2",
    "poll",
    "ppoll",
    "prctl",
    "pread64",
    "prlimit64",
    "read",
    "readlink",
    "readlinkat",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "sched_yield",
    "seccomp",
    "set_robust_list",
    "set_tid_address",
    "setgid",
    "setgroups",
    "setresgid",
    "setresuid",
    "setuid",
    "sigaltstack",
    "stat",
    "statfs",
    "statx",
    "tgkill",
    "umask",
    "unlinkat",
    "waitid",
    "write",
    "writev",
];

fn deny_acct() -> Value {
    json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        { "names": ["acct"], "action": "SCMP_ACT_ERRNO", "errnoRet": libc::ENOTTY }] })
}

fn is_filtered(report: &Report) -> Result {
    ensure_eq!(report.status.get("Seccomp").map(String::as_str), Some("2"));
    Ok(())
}

fn in_force(runtime: &Runtime) -> Result {
    for no_new_privileges in BOTH {
        for uid in [0, 1000] {
            let change = |config: &mut Value| {
                config["process"]["noNewPrivileges"] = json!(no_new_privileges);
                config["process"]["user"]["uid"] = json!(uid);
            };
            let report = runtime.report(&bundle(&deny_acct(), &["report"])?.with(change)?)?;
            is_filtered(&report)?;
            let call = libc::SYS_acct.to_string();
            let bundle = bundle(&deny_acct(), &["syscalls", &call])?.with(change)?;
            let output = runtime.run_in(&bundle, &["run", "c"])?.ok()?;
            ensure!(output.stdout.trim() == format!("[{}]", libc::ENOTTY), "{output}");
        }
    }
    Ok(())
}

fn in_force_in_exec(runtime: &Runtime) -> Result {
    for no_new_privileges in BOTH {
        let bundle = bundle(&deny_acct(), &["sleep"])?
            .with(|config| config["process"]["noNewPrivileges"] = json!(no_new_privileges))?;
        runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
        for user in ["0", "1000:1000"] {
            let report = runtime.run(&["exec", "--user", user, "c", "/probe", "report"])?.ok()?.stdout;
            is_filtered(&serde_json::from_str(&report).doing(&report)?)?;
        }
        let output = runtime.run(&["exec", "c", "/probe", "syscalls", &libc::SYS_acct.to_string()])?.ok()?;
        ensure!(output.stdout.trim() == format!("[{}]", libc::ENOTTY), "{output}");
        runtime.run(&["delete", "--force", "c"])?.ok()?;
    }
    Ok(())
}

fn capabilities(runtime: &Runtime) -> Result {
    for no_new_privileges in BOTH {
        for uid in [0, 1000] {
            for sets in [
                json!(null),
                json!({}),
                json!({ "bounding": ["CAP_KILL", "CAP_SYS_ADMIN"],
                "permitted": ["CAP_KILL"], "effective": ["CAP_KILL"], "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"] }),
            ] {
                let report = |profile: Value| -> Result<Report> {
                    runtime.report(&bundle(&profile, &["report"])?.with(|config| {
                        config["process"]["noNewPrivileges"] = json!(no_new_privileges);
                        config["process"]["user"]["uid"] = json!(uid);
                        config["process"]["capabilities"] = sets.clone();
                    })?)
                };
                let (without, with) = (report(Value::Null)?, report(deny_acct())?);
                is_filtered(&with)?;
                ensure!(
                    with.capabilities == without.capabilities,
                    "uid {uid}, noNewPrivileges {no_new_privileges}, {sets}: {:?} with a filter, {:?} without",
                    with.capabilities,
                    without.capabilities
                );
            }
        }
    }
    Ok(())
}

fn errno(runtime: &Runtime) -> Result {
    let rule =
        |name: &str, errno: Value| json!({ "names": [name], "action": "SCMP_ACT_ERRNO", "errnoRet": errno });
    let profile = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        rule("acct", json!(null)), rule("swapon", json!(libc::ENETDOWN)), rule("swapoff", json!(0))] });
    let results = calls(runtime, profile, &[libc::SYS_acct, libc::SYS_swapon, libc::SYS_swapoff])?;
    ensure_eq!(results, [libc::EPERM, libc::ENETDOWN, 0]);
    let profile = json!({ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": libc::ENXIO, "syscalls": [
        { "names": ALLOWED, "action": "SCMP_ACT_ALLOW" }] });
    ensure_eq!(calls(runtime, profile, &[libc::SYS_acct])?, [libc::ENXIO]);
    Ok(())
}

fn actions(runtime: &Runtime) -> Result {
    for (action, want) in
        [("ALLOW", libc::EPERM), ("ERRNO", libc::EPERM), ("LOG", libc::EPERM), ("TRACE", libc::ENOSYS)]
    {
        let profile = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            { "names": ["acct"], "action": format!("SCMP_ACT_{action}") }] });
        let results = calls(runtime, profile, &[libc::SYS_acct]).map_err(|why| format!("{action}: {why}"))?;
        ensure_eq!(results, [want]);
    }
    for action in ["KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP"] {
        let profile = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            { "names": ["acct"], "action": format!("SCMP_ACT_{action}") }] });
        let bundle = bundle(&profile, &["syscalls", &libc::SYS_acct.to_string()])?.with(|config| {
            config["process"]["rlimits"] = json!([{ "type": "RLIMIT_CORE", "soft": 0, "hard": 0 }]);
        })?;
        runtime
            .run_in(&bundle, &["run", "c"])?
            .failed_with(128 + libc::SIGSYS, "")
            .map_err(|why| format!("{action}: {why}"))?;
    }
    Ok(())
}

/// Checks each operator with arguments of dup(2) that the kernel ignores.
fn operators(runtime: &Runtime) -> Result {
    let cases: &[(&str, u64, u64, &[u64])] = &[
        ("SCMP_CMP_NE", 5, 0, &[4, 6]),
        ("SCMP_CMP_LT", 5, 0, &[4]),
        ("SCMP_CMP_LE", 5, 0, &[4, 5]),
        ("SCMP_CMP_EQ", 5, 0, &[5]),
        ("SCMP_CMP_GE", 5, 0, &[5, 6]),
        ("SCMP_CMP_GT", 5, 0, &[6]),
        ("SCMP_CMP_MASKED_EQ", 6, 4, &[4, 5]),
    ];
    for (op, value, value_two, denied) in cases {
        let profile = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["dup"],
            "action": "SCMP_ACT_ERRNO", "args": [
                { "index": 1, "value": value, "valueTwo": value_two, "op": op }] }] });
        // dup(0): the kernel ignores the second argument.
        let calls: Vec<String> = [4, 5, 6].iter().map(|n| format!("{},0,{n}", libc::SYS_dup)).collect();
        let want: Vec<i32> =
            [4, 5, 6].iter().map(|n| if denied.contains(n) { libc::EPERM } else { 0 }).collect();
        let results = made(runtime, &profile, &calls)?;
        ensure!(results == want, "{op}: got {results:?}, want {want:?}");
    }
    // All of a rule's conditions must hold.
    let profile = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["dup"],
        "action": "SCMP_ACT_ERRNO", "args": [
            { "index": 1, "value": 1, "op": "SCMP_CMP_EQ" },
            { "index": 2, "value": 0x1_0000_0001u64, "op": "SCMP_CMP_EQ" }] }] });
    let calls = ["1,1", "1,4294967297", "2,4294967297"].map(|args| format!("{},0,{args}", libc::SYS_dup));
    ensure_eq!(made(runtime, &profile, &calls)?, [0, libc::EPERM, 0]);
    Ok(())
}
