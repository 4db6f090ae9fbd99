// SPDX-License-Identifier: Apache-2.0
//! Peers, processes and operations that answer late or never: none may block a caller for ever.

use crate::support::Case;
use conformance::change::{with_trace_rights, without_namespace};
use conformance::{Bundle, Doing, Result, Runtime, each, ensure, ensure_eq, host};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "create fails if a peer accepts no connection",
        quote: "the peer at --console-socket, --pidfd-socket or listenerPath may not react, and the runtime's \
                caller needs an error",
        run: |runtime| {
            each(["console", "pidfd", "agent"], |kind| {
                let peer = Deaf::new()?;
                let bundle = Bundle::new(&["sleep"])?;
                let (bundle, flags) = match *kind {
                    "console" => {
                        let bundle = bundle.with(|config| config["process"]["terminal"] = json!(true))?;
                        (bundle, vec!["--console-socket", peer.path()])
                    }
                    "pidfd" => (bundle, vec!["--pidfd-socket", peer.path()]),
                    _ => (with_agent(bundle, peer.path())?, vec![]),
                };
                within(30, || {
                    runtime.run_in(&bundle, &[&["create"], flags.as_slice(), &["c"]].concat())?.failed()
                })?;
                runtime.run(&["state", "c"])?.failed().map(drop)
            })
        },
    },
    Case {
        name: "the path of a socket may be longer than an address",
        quote: "unix(7): an address has at most 107 bytes; paths (console-socket, pidfd-socket, listenerPath) have up to \
            4,095",
        run: |runtime| {
            let dir = tempfile::tempdir().doing("temporary directory")?;
            let deep = dir.path().join("d".repeat(150));
            std::fs::create_dir(&deep).doing("mkdir")?;
            each(["console", "pidfd", "agent"], |kind| {
                // bind(2) has the same limit.
                let peer = Deaf::at(&dir.path().join(kind), true)?;
                let path = deep.join(kind);
                std::fs::rename(dir.path().join(kind), &path).doing("rename")?;
                let path = path.display().to_string();
                let bundle = Bundle::new(&["sleep"])?;
                let (bundle, flags) = match *kind {
                    "console" => {
                        let bundle = bundle.with(|config| config["process"]["terminal"] = json!(true))?;
                        (bundle, vec!["--console-socket", &path])
                    }
                    "pidfd" => (bundle, vec!["--pidfd-socket", &path]),
                    _ => (with_agent(bundle, &path)?, vec![]),
                };
                runtime.run_in(&bundle, &[&["create"], flags.as_slice(), &["c"]].concat())?.ok()?;
                drop(peer);
                runtime.run(&["delete", "c"])?.ok().map(drop)
            })
        },
    },
    Case {
        name: "create fails if an agent does not read",
        quote: "an agent may accept a connection and never read from it; the state that it gets may be larger \
                than the buffer of a socket",
        run: |runtime| {
            let peer = Deaf::accepting()?;
            let bundle = with_agent(Bundle::new(&["sleep"])?, peer.path())?
                .with(|config| config["annotations"] = json!({ "long": "x".repeat(1 << 20) }))?;
            within(30, || runtime.run_in(&bundle, &["create", "c"])?.failed())?;
            runtime.run(&["state", "c"])?.failed().map(drop)
        },
    },
    Case {
        name: "exec fails if its agent accepts no connection",
        quote: "exec sends its listener to the same agent, which may not react any more",
        run: |runtime| {
            let dir = tempfile::tempdir().doing("temporary directory")?;
            let path = dir.path().join("agent");
            let bundle = with_agent(Bundle::new(&["sleep"])?, &path.display().to_string())?;
            let agent = Deaf::at(&path, true)?;
            runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
            drop(agent);
            std::fs::remove_file(&path).doing("unlink")?;
            let _deaf = Deaf::at(&path, false)?;
            within(30, || runtime.run(&["exec", "c", "/probe", "exit", "0"])?.failed())?;
            runtime.run(&["delete", "--force", "c"])?.ok().map(drop)
        },
    },
    Case {
        name: "delete --force ends a create that waits for a peer",
        quote: "runc: delete --force kills and deletes the container, whatever its state",
        run: |runtime| {
            let peer = Deaf::new()?;
            let bundle = with_agent(Bundle::new(&["sleep"])?, peer.path())?;
            let mut create = spawn(runtime, &bundle, &["create", "c"])?;
            runtime_has(runtime)?;
            std::thread::sleep(Duration::from_millis(300));
            within(5, || runtime.run(&["delete", "--force", "c"])?.ok())?;
            ended(&mut create.0, 5)?;
            runtime.run(&["state", "c"])?.failed().map(drop)
        },
    },
    Case {
        name: "delete --force frees the id while the creating runtime is stopped",
        quote: "runc: delete --force kills and deletes the container, whatever its state",
        run: |runtime| {
            let bundle = Bundle::new(&["sleep"])?;
            let mark = bundle.path().join("mark");
            let hook = sh(&format!("touch {}; sleep 60", mark.display()));
            let bundle = bundle.with(|config| config["hooks"] = json!({ "createRuntime": [hook] }))?;
            let mut create = spawn(runtime, &bundle, &["create", "c"])?;
            await_file(&mark)?;
            signal(&create.0, Signal::SIGSTOP)?;
            let deleted = within(30, || runtime.run(&["delete", "--force", "c"])?.ok());
            // The id can be used again, and the runtime that goes on does not take it away.
            let free = Bundle::new(&["sleep"])?;
            let taken = runtime.run_in(&free, &["create", "c"]);
            signal(&create.0, Signal::SIGCONT)?;
            ended(&mut create.0, 5)?;
            deleted?;
            taken?.ok()?;
            ensure_eq!(runtime.status("c")?, "created");
            runtime.run(&["delete", "--force", "c"])?.ok().map(drop)
        },
    },
    Case {
        name: "a start that goes on after delete --force spares the next container",
        quote: "runc: delete --force kills and deletes the container, whatever its state",
        run: |runtime| {
            let hook = json!({ "path": "/probe", "args": ["/probe", "touch-then-sleep", "/mark"] });
            let bundle = Bundle::new(&["sleep"])?.with(|config| {
                config["hooks"] = json!({ "startContainer": [hook] });
                config["root"]["readonly"] = json!(false);
                // In its own pid namespace its first process would wait until the hook's is reaped.
                without_namespace(config, "pid");
            })?;
            let mark = bundle.rootfs("mark");
            runtime.run_in(&bundle, &["create", "c"])?.ok()?;
            let mut start = spawn(runtime, &bundle, &["start", "c"])?;
            await_file(&mark)?;
            signal(&start.0, Signal::SIGSTOP)?;
            let deleted = within(30, || runtime.run(&["delete", "--force", "c"])?.ok());
            // The next container has the same id and cgroup.
            let next = Bundle::new(&["sleep"])?;
            let begun = runtime.run_in(&next, &["run", "--detach", "c"]);
            signal(&start.0, Signal::SIGCONT)?;
            ended(&mut start.0, 5)?;
            deleted?;
            begun?.ok()?;
            ensure_eq!(runtime.status("c")?, "running");
            runtime.run(&["delete", "--force", "c"])?.ok().map(drop)
        },
    },
    Case {
        name: "operations on a container that is being created are errors",
        quote: "Attempting to send a signal to a container that is neither `created` nor `running` MUST have no effect \
            on the container and MUST generate an error; attempting to `start` a container that is not `created` MUST \
            have no effect on the container and MUST generate an error (runtime.md, Start, Kill)",
        run: while_creating,
    },
    Case {
        name: "SIGTERM ends a foreground exec whose process others have stopped",
        quote: "runc exec: signals are forwarded; a process of the container that stops the new one must not \
                keep the caller from ending it",
        run: |runtime| ended_exec(runtime, "stop-others"),
    },
    Case {
        name: "SIGTERM ends a foreground exec whose process others trace",
        quote: "ptrace(2): a tracer that does not wait keeps a process from running, from its signals, and from being \
            waited for by its parent",
        run: |runtime| ended_exec(runtime, "trace-others"),
    },
    Case {
        name: "SIGTERM ends a foreground run that waits for a hook",
        quote: "runc run: signals end it; nothing of a container that is not made is left (runtime.md, Errors)",
        run: |runtime| {
            each(["createRuntime", "createContainer", "startContainer", "poststart", "poststop"], |kind| {
                let bundle = Bundle::new(&["exit", "0"])?;
                // The container has no program but the probe.
                let (path, mark) = match *kind {
                    "startContainer" => ("/probe".into(), "/mark".to_owned()),
                    _ => (bundle.rootfs("probe"), bundle.rootfs("mark").display().to_string()),
                };
                let hook = json!({ "path": path, "args": ["probe", "touch-then-sleep", mark] });
                let bundle = bundle.with(|config| {
                    config["root"]["readonly"] = json!(false);
                    config["hooks"] = json!({ *kind: [hook] });
                })?;
                let mut run = spawn(runtime, &bundle, &["run", "c"])?;
                await_file(&bundle.rootfs("mark"))?;
                signal(&run.0, Signal::SIGTERM)?;
                let status = ended(&mut run.0, 10);
                let _left = runtime.run(&["delete", "--force", "c"])?;
                status.map(drop)
            })
        },
    },
    Case {
        name: "deleting a container does not end its debugger on the host",
        quote: "runc: delete --force kills and deletes the container, and no process of the host",
        run: |runtime| each([true, false], |shares_pids| debugged(runtime, *shares_pids)),
    },
    Case {
        name: "exec ends with its process, though the tracer does not wait",
        quote: "ptrace(2): a process is a zombie for its parent only when its tracer has waited for it",
        run: |runtime| {
            let bundle = hostile("trace-others")?;
            runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
            let mark = bundle.rootfs("traced");
            let mut command = runtime.command(&["exec", "c", "/probe", "sleep"]);
            let mut exec = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().doing("exec")?;
            let pid = await_file(&mark).and_then(|()| traced_pid(&mark));
            let ended = pid.and_then(|pid| {
                kill(Pid::from_raw(pid), Signal::SIGKILL).doing("kill")?;
                ended(&mut exec, 10)
            });
            let _ended = exec.kill();
            delete(runtime)?;
            let status = ended?;
            ensure_eq!(status.code(), Some(128 + 9));
            Ok(())
        },
    },
];

/// Kills and deletes a container. A debugger on the host traces its first process, and holds it
/// when it exits.
fn debugged(runtime: &Runtime, shares_pids: bool) -> Result {
    let mut bundle = Bundle::new(&["sleep"])?;
    if shares_pids {
        bundle = bundle.with(|config| without_namespace(config, "pid"))?;
    }
    runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
    let pid = runtime.state("c")?["pid"].to_string();
    let mark = bundle.path().join("traced");
    let mut command = Command::new(bundle.rootfs("probe"));
    let mut debugger = Spawned(command.arg("keep").arg(pid).arg(&mark).spawn().doing("spawn")?);
    await_file(&mark)?;
    // They may fail: the container cannot end before its debugger releases it.
    runtime.run(&["kill", "c", "KILL"])?;
    within(30, || runtime.run(&["delete", "--force", "c"]))?;
    let ended = debugger.0.try_wait().doing("wait")?;
    drop(debugger);
    runtime.run(&["delete", "--force", "c"])?;
    ensure_eq!(ended, None);
    Ok(())
}

fn while_creating(runtime: &Runtime) -> Result {
    let bundle = Bundle::new(&["sleep"])?;
    let log = bundle.path().join("log");
    let command = format!("{} --root {}", runtime.program().display(), runtime.root().display());
    let verbs =
        ["kill c KILL", "kill c 0", "start c", "pause c", "resume c", "update --pids-limit 7 c", "delete c"];
    let lines: Vec<_> = verbs
        .iter()
        .map(|verb| {
            format!("timeout -s KILL 5 {command} {verb} 2>/dev/null; echo $? {verb} >>{}", log.display())
        })
        .collect();
    let hook = sh(&lines.join("\n"));
    let bundle = bundle.with(|config| {
        without_namespace(config, "pid");
        config["hooks"] = json!({ "createRuntime": [hook] });
    })?;
    within(50, || runtime.run_in(&bundle, &["create", "c"])?.ok())?;
    ensure_eq!(runtime.status("c")?, "created");
    runtime.run(&["delete", "--force", "c"])?.ok()?;
    let log = std::fs::read_to_string(&log).doing("log")?;
    let want: Vec<_> = verbs.iter().map(|verb| format!("1 {verb}")).collect();
    ensure_eq!(log.lines().collect::<Vec<_>>(), want);
    Ok(())
}

/// Runs exec in the foreground beside a hostile first process, and ends it by SIGTERM.
fn ended_exec(runtime: &Runtime, verb: &str) -> Result {
    let bundle = hostile(verb)?;
    runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
    let result = each(0..3, |_| {
        let mut command = runtime.command(&["exec", "c", "/probe", "sleep"]);
        let mut exec = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().doing("exec")?;
        std::thread::sleep(Duration::from_millis(500));
        signal(&exec, Signal::SIGTERM)?;
        ended(&mut exec, 15).map(drop)
    });
    delete(runtime)?;
    result
}

/// Deletes c. Its first process ends only after this program has reaped the runtime's orphans.
fn delete(runtime: &Runtime) -> Result {
    let mut command = runtime.command(&["delete", "--force", "c"]);
    let mut delete = command.spawn().doing("spawn")?;
    let end = Instant::now() + Duration::from_secs(20);
    while delete.try_wait().doing("wait")?.is_none() {
        ensure!(Instant::now() < end, "delete --force does not end");
        host::reap_all_but(delete.id());
        std::thread::sleep(Duration::from_millis(5));
    }
    ensure!(delete.wait().doing("wait")?.success(), "delete --force fails");
    Ok(())
}

/// Makes a container whose first process runs `verb` on every other process that it sees.
fn hostile(verb: &str) -> Result<Bundle> {
    Bundle::new(&[verb, "/traced"])?.with(|config| {
        config["root"]["readonly"] = json!(false);
        with_trace_rights(config);
    })
}

/// Returns the pid on the host of a process. The container has recorded the process's own pid.
fn traced_pid(mark: &Path) -> Result<i32> {
    let inside = std::fs::read_to_string(mark).doing("mark")?;
    for entry in std::fs::read_dir("/proc").doing("/proc")?.flatten() {
        let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let nspid = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        let exe = std::fs::read_link(entry.path().join("exe")).unwrap_or_default();
        if nspid.split_ascii_whitespace().nth(1) == Some(inside.trim()) && exe.ends_with("probe") {
            return entry.file_name().to_string_lossy().parse().doing("pid");
        }
    }
    Err(format!("no process {inside} of the container"))
}

fn sh(script: &str) -> Value {
    json!({ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"] })
}

/// Adds a filter that notifies a call that no program makes.
fn with_agent(bundle: Bundle, path: &str) -> Result<Bundle> {
    bundle.with(|config| {
        config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": path,
            "syscalls": [{ "names": ["acct"], "action": "SCMP_ACT_NOTIFY" }],
        });
    })
}

/// A listener that never answers.
struct Deaf {
    _dir: Option<tempfile::TempDir>,
    path: String,
    _sockets: Vec<OwnedFd>,
}

impl Deaf {
    /// Makes one with a full backlog.
    fn new() -> Result<Self> {
        Self::in_directory(false)
    }

    /// Makes one that has room for connections and never reads from them.
    fn accepting() -> Result<Self> {
        Self::in_directory(true)
    }

    fn in_directory(has_room: bool) -> Result<Self> {
        let dir = tempfile::tempdir().doing("temporary directory")?;
        let deaf = Self::at(&dir.path().join("s"), has_room)?;
        Ok(Deaf { _dir: Some(dir), ..deaf })
    }

    fn at(path: &Path, has_room: bool) -> Result<Self> {
        let new = |flags| socket(AddressFamily::Unix, SockType::Stream, flags | SockFlag::SOCK_CLOEXEC, None);
        let address = UnixAddr::new(path).doing("address")?;
        let listener = new(SockFlag::empty()).doing("socket")?;
        bind(listener.as_raw_fd(), &address).doing("bind")?;
        let backlog = if has_room { 16 } else { 0 };
        listen(&listener, Backlog::new(backlog).doing("backlog")?).doing("listen")?;
        let mut sockets = vec![listener];
        if has_room {
            return Ok(Deaf { _dir: None, path: path.display().to_string(), _sockets: sockets });
        }
        loop {
            let client = new(SockFlag::SOCK_NONBLOCK).doing("socket")?;
            match connect(client.as_raw_fd(), &address) {
                Ok(()) => sockets.push(client),
                Err(nix::Error::EAGAIN) => break,
                Err(errno) => return Err(format!("connect: {errno}")),
            }
        }
        Ok(Deaf { _dir: None, path: path.display().to_string(), _sockets: sockets })
    }

    fn path(&self) -> &str {
        &self.path
    }
}

fn within<T>(seconds: u64, run: impl FnOnce() -> Result<T>) -> Result<T> {
    let begin = Instant::now();
    let result = run()?;
    let took = begin.elapsed();
    ensure!(took < Duration::from_secs(seconds), "took {took:?}");
    Ok(result)
}

/// A command that is killed when its case ends.
struct Spawned(Child);

impl Drop for Spawned {
    fn drop(&mut self) {
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// Waits for a command, and kills it after a number of seconds.
fn ended(child: &mut Child, seconds: u64) -> Result<ExitStatus> {
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        if let Some(status) = child.try_wait().doing("wait")? {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().and_then(|()| child.wait()).doing("kill")?;
    Err(format!("did not end within {seconds} s"))
}

fn spawn(runtime: &Runtime, bundle: &Bundle, args: &[&str]) -> Result<Spawned> {
    let mut command: Command = runtime.command(args);
    command.current_dir(bundle.path()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().doing("spawn").map(Spawned)
}

fn signal(child: &Child, signal: Signal) -> Result {
    kill(Pid::from_raw(child.id() as i32), signal).doing("kill")
}

/// Waits until the runtime has a record of c.
fn runtime_has(runtime: &Runtime) -> Result {
    await_file(&runtime.root().join("c"))
}

fn await_file(path: &Path) -> Result {
    let end = Instant::now() + Duration::from_secs(20);
    while !path.exists() {
        ensure!(Instant::now() < end, "{} does not appear", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
