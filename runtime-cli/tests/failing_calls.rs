// SPDX-License-Identifier: Apache-2.0
//! System calls that rarely fail, and the state after their failure.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use conformance::{Bundle, Runtime, host, runtime};
use nix::libc;
use serde_json::json;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use sys_testing::filter;

/// Adds a filter to a command with which the call `number` fails with `errno`.
fn without(command: Command, number: libc::c_long, errno: i32) -> Command {
    filtered(command, number, &[], errno)
}

/// Adds a filter to a command with which it cannot pass on a signal: pidfd_send_signal(2) fails.
fn without_signal(command: Command, signal: i32) -> Command {
    filtered(command, libc::SYS_pidfd_send_signal, &[(1, signal as u32)], libc::EPERM)
}

/// Adds a filter to a command with which a call with these arguments fails with `errno`.
fn filtered(mut command: Command, number: libc::c_long, arguments: &[(usize, u32)], errno: i32) -> Command {
    let filter = filter::of_call(number, arguments, libc::SECCOMP_RET_ERRNO | errno as u32);
    sys_testing::command::under_filter(&mut command, filter);
    command
}

fn id(name: &str) -> String {
    format!("failing-{name}-{}", std::process::id())
}

fn is_empty(runtime: &Runtime, id: &str) -> bool {
    std::fs::read_dir(runtime.root()).unwrap().next().is_none() && !host::hierarchy().join(id).exists()
}

/// The last message to the init is sent after the record says that the container is created.
#[test]
fn a_message_that_cannot_be_sent_leaves_nothing() {
    let _alone = host::alone();
    let runtime = Runtime::from_env().unwrap();
    let bundle = Bundle::new(&["sleep"]).unwrap();
    let id = id("go");
    for verb in [&["create", &id][..], &["run", &id], &["run", "--detach", &id]] {
        let mut command = without(runtime.command(verb), libc::SYS_sendto, libc::ENOBUFS);
        command.current_dir(bundle.path());
        runtime::finish(command).unwrap().failed_with(1, "send: no buffer space available").unwrap();
        assert!(is_empty(&runtime, &id), "{verb:?}");
    }
}

#[test]
fn a_failing_lock_leaves_nothing() {
    let _alone = host::alone();
    let runtime = Runtime::from_env().unwrap();
    let bundle = Bundle::new(&["sleep"]).unwrap();
    let id = id("lock");
    let mut command = without(runtime.command(&["create", &id]), libc::SYS_flock, libc::ENOLCK);
    command.current_dir(bundle.path());
    runtime::finish(command).unwrap().failed_with(1, "flock").unwrap();
    assert!(is_empty(&runtime, &id));
}

/// Hash tables of the standard library panic without random numbers.
#[test]
fn random_numbers_are_not_needed() {
    let _alone = host::alone();
    let runtime = Runtime::from_env().unwrap();
    let names = ["acct", "swapon", "kexec_load"];
    let without_random = |args: &[&str], bundle: &Bundle| {
        let mut command = without(runtime.command(args), libc::SYS_getrandom, libc::EIO);
        command.current_dir(bundle.path());
        runtime::finish(command).unwrap()
    };
    let bundle = Bundle::new(&["sleep"])
        .unwrap()
        .with(|config| {
            config["linux"]["seccomp"] = json!({
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{ "names": names, "action": "SCMP_ACT_ERRNO" }],
            });
            // A capability of each set that a warning lists.
            let sets = &mut config["process"]["capabilities"];
            for set in ["effective", "inheritable", "ambient"] {
                sets[set] = json!(["CAP_NONE", "CAP_KILL", "CAP_SYS_TIME", "CAP_SYS_BOOT"]);
            }
        })
        .unwrap();
    let id = id("random");
    let output = without_random(&["run", "--detach", &id], &bundle);
    assert_eq!(output.status.code(), Some(0), "{output}");
    assert!(output.stderr.contains("CAP_SYS_TIME"), "{output}");
    let exec: &[&str] = &["exec", "--cap", "CAP_SYS_BOOT", &id, "/probe", "exit", "7"];
    for (args, code) in [
        (exec, 7),
        (&["features"], 0),
        (&["state", &id], 0),
        (&["list"], 0),
        (&["ps", &id], 0),
        (&["events", "--stats", &id], 0),
        (&["update", "--pids-limit", "10", &id], 0),
        (&["kill", &id, "KILL"], 0),
        (&["delete", "--force", &id], 0),
        (&["check"], 2),
        (&["spec"], 0),
    ] {
        // A limit or a file that this host lacks is an error, not a panic (status 101).
        let output = without_random(args, &bundle);
        let may_fail = ["check", "events", "update", "spec"].contains(&args[0]);
        assert!(output.status.code() == Some(code) || may_fail, "{args:?}: {output}");
        assert!(
            !output.stderr.contains("panicked") && output.status.code() != Some(101),
            "{args:?}: {output}"
        );
    }
}

/// Runs a command with at most `count` descriptors.
fn with_descriptors(runtime: &Runtime, count: usize, args: &[&str]) -> conformance::runtime::Output {
    let mut command = Command::new("prlimit");
    command.arg(format!("--nofile={count}:")).arg("--").arg(runtime.program());
    command.arg("--root").arg(runtime.root()).args(args);
    runtime::finish(command).unwrap()
}

/// The standard streams of such a process are not served any more.
#[test]
fn an_exec_that_cannot_serve_its_process_ends_it() {
    let _alone = host::alone();
    let runtime = Runtime::from_env().unwrap();
    let bundle = Bundle::new(&["sleep"]).unwrap();
    let id = id("serve");
    runtime.run_in(&bundle, &["run", "--detach", &id]).unwrap().ok().unwrap();
    let processes = || {
        let ps = runtime.run(&["ps", "--format", "json", &id]).unwrap().ok().unwrap();
        serde_json::from_str::<Vec<i32>>(&ps.stdout).unwrap().len()
    };
    let command = runtime.command(&["exec", &id, "/probe", "sleep"]);
    let mut command = without_signal(command, libc::SIGUSR1);
    let mut exec = command.stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline && processes() < 2 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let pid = nix::unistd::Pid::from_raw(exec.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGUSR1).unwrap();
    let status = runtime::wait(&mut exec);
    let left = processes();
    runtime.run(&["delete", "--force", &id]).unwrap().ok().unwrap();
    let mut error = String::new();
    exec.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    assert_eq!(status.unwrap().code(), Some(255), "{error}");
    assert!(error.contains("pidfd_send_signal 10: operation not permitted"), "{error}");
    assert_eq!(left, 1);
}

/// A record that the caller lacks a descriptor to read is not a bad one, which `delete --force`
/// would give up together with the processes and the cgroup that it names.
#[test]
fn a_deletion_with_too_few_descriptors_can_be_repeated() {
    let _alone = host::alone();
    let runtime = Runtime::from_env().unwrap();
    let bundle = Bundle::new(&["sleep"]).unwrap();
    let id = id("few");
    let mut failures = 0;
    for count in 4.. {
        runtime.run_in(&bundle, &["run", "--detach", &id]).unwrap().ok().unwrap();
        let first = with_descriptors(&runtime, count, &["delete", "--force", &id]);
        runtime.run(&["delete", "--force", &id]).unwrap().ok().unwrap();
        assert!(is_empty(&runtime, &id), "with {count} descriptors: {first}");
        if first.status.success() {
            break;
        }
        failures += 1;
    }
    assert!(failures > 0);
}

/// A `start` that fails leaves a container that can be started.
#[test]
fn a_start_with_too_few_descriptors_can_be_repeated() {
    let _alone = host::alone();
    let runtime = Runtime::from_env().unwrap();
    let bundle = Bundle::new(&["sleep"]).unwrap();
    let id = id("begin");
    runtime.run_in(&bundle, &["create", &id]).unwrap().ok().unwrap();
    let mut failures = 0;
    for count in 4.. {
        let first = with_descriptors(&runtime, count, &["start", &id]);
        if first.status.success() {
            break;
        }
        assert_eq!(runtime.status(&id).unwrap(), "created", "with {count} descriptors: {first}");
        failures += 1;
    }
    assert!(failures > 1);
    assert_eq!(runtime.status(&id).unwrap(), "running");
    runtime.run(&["delete", "--force", &id]).unwrap().ok().unwrap();
}
