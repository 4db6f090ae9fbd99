// SPDX-License-Identifier: Apache-2.0
//! config-linux.md, "Seccomp": filters, and agents that answer for them.

use crate::Case;
use conformance::agent::Connection;
use conformance::runtime::Output;
use conformance::{Agent, Bundle, Doing, Report, Result, Runtime, each, ensure, ensure_eq, payload};
use nix::libc;
use serde_json::{Value, json};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a filter is in force",
        quote: "Seccomp configuration allows one to configure actions to take for matched syscalls \
                (config-linux.md, Seccomp)",
        run: in_force,
    },
    Case {
        name: "a filter is in force in exec",
        quote: "runc: exec'd processes have the container's filter",
        run: in_force_in_exec,
    },
    Case {
        name: "capabilities are the same with a filter",
        quote: "capabilities is an object containing arrays that specifies the sets of capabilities for the \
                process (config.md, Linux Process)",
        run: capabilities,
    },
    Case {
        name: "errno",
        quote: "Some actions like SCMP_ACT_ERRNO and SCMP_ACT_TRACE allow to specify the errno code to return. \
                [...] The default is EPERM (config-linux.md, Seccomp)",
        run: errno,
    },
    Case {
        name: "errnoRet with an action that takes none",
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
                // Whatever else would let the container run.
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
        name: "every action",
        quote: "A valid list of constants as of libseccomp v2.6.0 is shown below (config-linux.md, Seccomp, \
                syscalls[].action)",
        run: actions,
    },
    Case {
        name: "every operator",
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
        name: "unknown actions, architectures, operators and flags",
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
    Case {
        name: "a listener goes to the agent",
        quote: "The container runtime MUST send the container process state over the UNIX socket as regular \
                payload serialized in JSON and file descriptors MUST be sent using SCM_RIGHTS [...] in the first \
                call (config-linux.md, The Container Process State)",
        run: listener,
    },
    Case {
        name: "the version of what the agent gets",
        quote: "ociVersion (string, REQUIRED) is version of the Open Container Initiative Runtime Specification with \
                which the container process state complies (config-linux.md, The Container Process State): 1.1 is the \
                first that has one",
        run: |runtime| {
            let agent = Agent::start(MKDIRAT)?;
            let bundle = bundle(&notify(&agent.path().to_string_lossy()), &["sleep"])?;
            runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
            let document = agent.connections(1)?[0].document.clone();
            runtime.run(&["delete", "--force", "c"])?.ok()?;
            for version in [&document["ociVersion"], &document["state"]["ociVersion"]] {
                ensure!(version.as_str().is_some_and(|version| version.starts_with("1.")), "{document}");
            }
            Ok(())
        },
    },
    Case {
        name: "a state that does not fit into one message",
        quote: "If multiple sendmsg calls are used to send the container process state, the file descriptors MUST be sent \
                only in the first call (config-linux.md, The Container Process State)",
        run: |runtime| {
            let agent = Agent::start(MKDIRAT)?;
            // More than a socket takes at once.
            let long = "x".repeat(1_000_000);
            let bundle = bundle(&notify(&agent.path().to_string_lossy()), &["sleep"])?
                .with(|config| config["annotations"] = json!({ "org.example.long": long }))?;
            runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
            let connections = agent.connections(1);
            runtime.run(&["delete", "--force", "c"])?.ok()?;
            let connection = &connections?[0];
            let document = &connection.document;
            ensure!(connection.rest.is_empty(), "{} bytes behind it", connection.rest.len());
            ensure!(
                document["state"]["annotations"]["org.example.long"] == long.as_str(),
                "not all of it came"
            );
            ensure!(connection.descriptors.len() > 1, "one message");
            ensure_eq!(connection.descriptors.iter().position(|count| *count > 0), Some(0));
            ensure_eq!(connection.descriptors.iter().sum::<usize>(), 1);
            Ok(())
        },
    },
    Case {
        name: "one state for each connection",
        quote: "The runtime MUST send exactly one container process state per connection. The connection MUST NOT \
                be reused and it MUST be closed after sending a seccomp state (config-linux.md, Seccomp)",
        run: listener_of_exec,
    },
    Case {
        name: "no agent",
        quote: "If sending to this socket fails, the runtime MUST generate an error (config-linux.md, Seccomp)",
        run: |runtime| refused(runtime, notify("/nonexistent/agent")),
    },
    Case {
        name: "listenerPath without SCMP_ACT_NOTIFY",
        quote: "If the SCMP_ACT_NOTIFY action is not used this value is ignored (config-linux.md, Seccomp)",
        run: |runtime| {
            let profile = json!({ "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/nonexistent/agent",
                "syscalls": [{ "names": ["acct"], "action": "SCMP_ACT_ERRNO" }] });
            ensure_eq!(calls(runtime, profile, &[libc::SYS_acct])?, [libc::EPERM]);
            Ok(())
        },
    },
    Case {
        name: "calls that the runtime makes itself may be notified",
        quote: "runc issue 4328: profiles notify fcntl, openat, close and others, which the runtime's init needs",
        run: busy_calls,
    },
    Case {
        name: "an agent that ends before the container is started",
        quote: "seccomp_unotify(2): ENOSYS is what a notified call gets when the listener is closed. runc: so it is for \
                the init, which does not hold on to it",
        run: ended_agent,
    },
    Case {
        name: "an agent that ends before an exec'd process begins",
        quote: "seccomp_unotify(2): ENOSYS is what a notified call gets when the listener is closed",
        run: ended_agent_of_exec,
    },
    Case {
        name: "an agent, and a filter that does not allow close",
        quote: "Seccomp configuration allows one to configure actions to take for matched syscalls \
                (config-linux.md, Seccomp): those of the program",
        run: denied_close,
    },
];

/// What the probe and a runtime written in Go need.
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

fn bundle(profile: &Value, args: &[&str]) -> Result<Bundle> {
    Bundle::new(args)?.with(|config| config["linux"]["seccomp"] = profile.clone())
}

/// The error numbers that calls give in a container, made without arguments.
fn calls(runtime: &Runtime, profile: Value, numbers: &[i64]) -> Result<Vec<i32>> {
    let words: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    made(runtime, &profile, &words)
}

/// As [`calls`], each written as the probe takes it.
fn made(runtime: &Runtime, profile: &Value, calls: &[String]) -> Result<Vec<i32>> {
    let args: Vec<&str> = ["syscalls"].into_iter().chain(calls.iter().map(String::as_str)).collect();
    let output = runtime.run_in(&bundle(profile, &args)?, &["run", "c"])?.ok()?;
    serde_json::from_str(&output.stdout).doing(&output.to_string())
}

/// Neither create nor run makes a container with this profile.
fn refused(runtime: &Runtime, profile: Value) -> Result {
    let bundle = bundle(&profile, &["exit", "0"])?;
    for verb in ["create", "run"] {
        runtime.run_in(&bundle, &[verb, "refused"])?.failed().map_err(|why| format!("{profile}: {why}"))?;
        runtime.run(&["state", "refused"])?.failed()?;
    }
    Ok(())
}

fn deny_acct() -> Value {
    json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        { "names": ["acct"], "action": "SCMP_ACT_ERRNO", "errnoRet": libc::ENOTTY }] })
}

/// Both ways to become a process that may load a filter.
const BOTH: [bool; 2] = [true, false];

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

/// alarm(2) with these arguments; it takes any.
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
        // dup(0), whose second argument the kernel does not look at.
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

/// A profile that asks about mkdirat(2).
fn notify(path: &str) -> Value {
    json!({ "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path, "listenerMetadata": "for the agent",
        "syscalls": [{ "names": ["mkdirat"], "action": "SCMP_ACT_NOTIFY" }] })
}

const MKDIRAT: &[i64] = &[libc::SYS_mkdirat];

fn check(connection: &Connection, bundle: &Bundle, pid: &Value, init: &Value, status: &[&str]) -> Result {
    let Connection { document, descriptors, rest, .. } = connection;
    ensure!(document.is_object() && rest.is_empty(), "not exactly one document: {connection:?}");
    ensure!(descriptors.first() == Some(&1) && descriptors.iter().sum::<usize>() == 1, "{descriptors:?}");
    ensure!(document["ociVersion"].is_string(), "{document}");
    ensure_eq!(document["fds"], json!(["seccompFd"]));
    ensure_eq!(document["pid"], *pid);
    ensure_eq!(document["metadata"], "for the agent");
    let state = &document["state"];
    ensure!(state["ociVersion"].is_string(), "{document}");
    ensure_eq!(state["id"], "c");
    ensure!(state["status"].as_str().is_some_and(|s| status.contains(&s)), "status: {document}");
    ensure_eq!(state["pid"], *init);
    ensure_eq!(state["bundle"].as_str(), bundle.path().to_str());
    ensure_eq!(state["annotations"], json!({ "org.example.key": "value" }));
    Ok(())
}

fn listener(runtime: &Runtime) -> Result {
    for no_new_privileges in BOTH {
        let agent = Agent::start(MKDIRAT)?;
        let call = format!("{},-1,0,0", libc::SYS_mkdirat);
        let bundle =
            bundle(&notify(&agent.path().to_string_lossy()), &["syscalls", &call])?.with(|config| {
                config["process"]["noNewPrivileges"] = json!(no_new_privileges);
                config["annotations"] = json!({ "org.example.key": "value" });
            })?;
        runtime.run_in(&bundle, &["create", "--pid-file", "pid", "c"])?.ok()?;
        let pid = std::fs::read_to_string(bundle.path().join("pid")).doing("pid file")?;
        let pid = json!(pid.parse::<i32>().doing("pid file")?);
        // crun sends it when the container is started; the specification does not say when.
        runtime.run(&["start", "c"])?.ok()?;
        check(&agent.connections(1)?[0], &bundle, &pid, &pid, &["creating"])?;
        runtime.await_status("c", "stopped")?;
        runtime.run(&["delete", "c"])?.ok()?;
        ensure_eq!(agent.connections(1)?[0].calls, [libc::SYS_mkdirat as i32]);
        let output = runtime.run_in(&bundle, &["run", "c"])?.ok()?;
        ensure!(output.stdout.trim() == format!("[{}]", libc::ENOMEDIUM), "{output}");
    }
    Ok(())
}

fn listener_of_exec(runtime: &Runtime) -> Result {
    let agent = Agent::start(MKDIRAT)?;
    let bundle = bundle(&notify(&agent.path().to_string_lossy()), &["sleep"])?
        .with(|config| config["annotations"] = json!({ "org.example.key": "value" }))?;
    runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
    let init = runtime.state("c")?["pid"].clone();
    let call = format!("{},-1,0,0", libc::SYS_mkdirat);
    let mut exec = runtime.command(&["exec", "--pid-file", "pid", "c", "/probe", "syscalls", &call]);
    exec.current_dir(bundle.path());
    let output = conformance::runtime::finish(exec)?.ok()?;
    ensure!(output.stdout.trim() == format!("[{}]", libc::ENOMEDIUM), "{output}");
    let pid = std::fs::read_to_string(bundle.path().join("pid")).doing("pid file")?;
    let pid = json!(pid.parse::<i32>().doing("pid file")?);
    let connections = agent.connections(2)?;
    check(&connections[0], &bundle, &init, &init, &["creating"])?;
    check(&connections[1], &bundle, &pid, &init, &["running"])?;
    runtime.run(&["delete", "--force", "c"])?.ok().map(drop)
}

fn busy_calls(runtime: &Runtime) -> Result {
    for no_new_privileges in BOTH {
        let agent = Agent::start(&[])?;
        let mut profile = notify(&agent.path().to_string_lossy());
        profile["syscalls"][0]["names"] =
            json!(["execve", "openat", "open", "read", "close", "fcntl", "mkdirat"]);
        let bundle = bundle(&profile, &["exit", "0"])?
            .with(|config| config["process"]["noNewPrivileges"] = json!(no_new_privileges))?;
        runtime.run_in(&bundle, &["run", "c"])?.ok()?;
        ensure!(
            agent.connections(1)?[0].calls.contains(&(libc::SYS_execve as i32)),
            "execve was not notified"
        );
    }
    Ok(())
}

/// Ends a container, if it has begun.
fn end(runtime: &Runtime) -> Result {
    match runtime.run(&["state", "c"])?.ok() {
        Ok(_) => runtime.run(&["delete", "--force", "c"])?.ok().map(drop),
        Err(_) => Ok(()),
    }
}

/// The call that the agent does not answer is the one that executes the program.
fn ended_agent(runtime: &Runtime) -> Result {
    for no_new_privileges in BOTH {
        let agent = Agent::deserting()?;
        let mut profile = notify(&agent.path().to_string_lossy());
        profile["syscalls"][0]["names"] = json!(["execve"]);
        let bundle = bundle(&profile, &["sleep"])?
            .with(|config| config["process"]["noNewPrivileges"] = json!(no_new_privileges))?;
        let ran = runtime.run_in(&bundle, &["run", "c"]).and_then(Output::failed);
        end(runtime)?;
        ran?;
        runtime.run_in(&bundle, &["create", "c"])?.ok()?;
        // runc does not say why a program was not executed but to the container's log.
        let stopped = runtime.run(&["start", "c"]).and_then(|started| match started.failed() {
            Ok(_) => Ok(()),
            Err(_) => runtime.await_status("c", "stopped"),
        });
        end(runtime)?;
        stopped?;
    }
    Ok(())
}

/// As [`ended_agent`]; the container's own agent is there.
fn ended_agent_of_exec(runtime: &Runtime) -> Result {
    let agent = Agent::start(&[])?;
    let mut profile = notify(&agent.path().to_string_lossy());
    profile["syscalls"][0]["names"] = json!(["execve"]);
    let bundle = bundle(&profile, &["sleep"])?;
    runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
    let second = Agent::replacing(&agent)?;
    let executed = runtime.run(&["exec", "c", "/probe", "exit", "0"]).and_then(Output::failed);
    drop(second);
    end(runtime)?;
    executed.map(drop)
}

/// A program that closes nothing, with a filter that ends, or stops, whoever does.
fn denied_close(runtime: &Runtime) -> Result {
    for action in ["SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"] {
        let agent = Agent::start(MKDIRAT)?;
        let mut profile = notify(&agent.path().to_string_lossy());
        if let Some(rules) = profile["syscalls"].as_array_mut() {
            rules.push(json!({ "names": ["close"], "action": action }));
        }
        let bundle =
            payload::bundle("/exits")?.with(|config| config["linux"]["seccomp"] = profile.clone())?;
        runtime.run_in(&bundle, &["run", "c"])?.ok().map_err(|why| format!("{action}: {why}"))?;
        agent.connections(1)?;
    }
    Ok(())
}
