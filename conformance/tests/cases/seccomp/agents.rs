// SPDX-License-Identifier: Apache-2.0
//! Agents: processes of the host that answer notified system calls.

use super::support::{BOTH, bundle, calls, refused};
use crate::support::Case;
use conformance::agent::Connection;
use conformance::runtime::Output;
use conformance::{Agent, Bundle, Doing, Result, Runtime, ensure, ensure_eq, payload};
use nix::libc;
use serde_json::{Value, json};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a listener goes to the agent",
        quote: "The container runtime MUST send the container process state over the UNIX socket as regular \
                payload serialized in JSON and file descriptors MUST be sent using SCM_RIGHTS [...] in the first \
                call (config-linux.md, The Container Process State)",
        run: listener,
    },
    Case {
        name: "the state that the agent gets has a version",
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
        name: "a state that does not fit into one message is sent in several",
        quote: "If multiple sendmsg calls are used to send the container process state, the file descriptors MUST be sent \
                only in the first call (config-linux.md, The Container Process State)",
        run: |runtime| {
            let agent = Agent::start(MKDIRAT)?;
            // More than a socket takes in one message.
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
        name: "each connection has exactly one state",
        quote: "The runtime MUST send exactly one container process state per connection. The connection MUST NOT \
                be reused and it MUST be closed after sending a seccomp state (config-linux.md, Seccomp)",
        run: listener_of_exec,
    },
    Case {
        name: "a missing agent is an error",
        quote: "If sending to this socket fails, the runtime MUST generate an error (config-linux.md, Seccomp)",
        run: |runtime| refused(runtime, notify("/nonexistent/agent")),
    },
    Case {
        name: "listenerPath without SCMP_ACT_NOTIFY is ignored",
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
        name: "a program is not executed if its agent ends before start",
        quote: "seccomp_unotify(2): a notified call returns ENOSYS when the listener is closed. runc: also in \
                the init, which closes its copy",
        run: ended_agent,
    },
    Case {
        name: "exec fails if its agent ends before the process starts",
        quote: "seccomp_unotify(2): a notified call returns ENOSYS when the listener is closed",
        run: ended_agent_of_exec,
    },
    Case {
        name: "an agent gets the listener of a filter that does not allow close",
        quote: "Seccomp configuration allows one to configure actions to take for matched syscalls \
                (config-linux.md, Seccomp): those of the program",
        run: denied_close,
    },
];

/// Returns a profile that notifies mkdirat(2).
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
        // crun sends the state at start; the specification leaves the time open.
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

/// Deletes the container, if it exists.
fn end(runtime: &Runtime) -> Result {
    match runtime.run(&["state", "c"])?.ok() {
        Ok(_) => runtime.run(&["delete", "--force", "c"])?.ok().map(drop),
        Err(_) => Ok(()),
    }
}

/// Checks that a program is not executed when no agent answers for execve(2).
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
        // runc writes the reason to the container's log only.
        let stopped = runtime.run(&["start", "c"]).and_then(|started| match started.failed() {
            Ok(_) => Ok(()),
            Err(_) => runtime.await_status("c", "stopped"),
        });
        end(runtime)?;
        stopped?;
    }
    Ok(())
}

/// Checks the same for exec, while the container's own agent answers.
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

/// Runs a program that closes nothing, with a filter that denies close(2) or kills for it.
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
