// SPDX-License-Identifier: Apache-2.0
//! Attacks that block the runtime.

use crate::arena::{Arena, Attack};
use conformance::attack::Count;
use conformance::change::with_trace_rights;
use conformance::{Bundle, Doing, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "a peer that takes no connections",
        stands_for: "A seccomp agent, or the receiver of a pidfd or a terminal, has a full backlog: create waits \
                     for ever, and so does `delete --force`",
        run: full_backlog,
    },
    Attack {
        name: "exec is stopped by the container",
        stands_for: "A process in the container stops the process of exec, and a foreground exec cannot be ended",
        run: |arena| kept_exec(arena, "stop-others", SOON, |_| ()),
    },
    Attack {
        name: "exec is traced by the container",
        stands_for: "A process in the container traces the process of exec, and never waits for it: a foreground \
                     exec cannot be ended",
        run: |arena| kept_exec(arena, "trace-others", PATIENCE, with_trace_rights),
    },
];

/// The time limit of `delete --force`, and of a foreground exec that is killed.
const SOON: Duration = Duration::from_secs(5);
/// The time limit of create with a silent peer.
const PATIENCE: Duration = Duration::from_secs(15);

/// Returns true if a child ends in time.
pub(crate) fn ends(child: &mut Child, time: Duration) -> Result<bool> {
    let end = Instant::now() + time;
    while Instant::now() < end {
        if child.try_wait().doing("wait")?.is_some() {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().doing("kill")?;
    child.wait().doing("wait")?;
    Ok(false)
}

/// Opens connections until the backlog of a listener is full.
fn fill(path: &Path) -> Result<Vec<OwnedFd>> {
    let address = UnixAddr::new(path).doing("address")?;
    let mut held = Vec::new();
    loop {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let connection = socket(AddressFamily::Unix, SockType::Stream, flags, None).doing("socket")?;
        match connect(connection.as_raw_fd(), &address) {
            Ok(()) => held.push(connection),
            Err(nix::Error::EAGAIN) => return Ok(held),
            Err(errno) => return Err(format!("connect: {errno}")),
        }
        ensure!(held.len() < 10_000, "the backlog has no end");
    }
}

fn full_backlog(arena: &Arena) -> Result<Count> {
    let directory = arena.volume("sockets")?;
    let mut count = Count::default();
    for kind in ["agent", "pidfd", "console"] {
        let path = directory.join(kind);
        let _listener = UnixListener::bind(&path).doing("bind")?;
        let _held = fill(&path)?;
        let socket = path.to_string_lossy();
        let bundle = Bundle::new(&["exit", "0"])?.with(|config| match kind {
            "agent" => {
                config["linux"]["seccomp"] = json!({
                    "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path,
                    "syscalls": [{ "names": ["sethostname"], "action": "SCMP_ACT_NOTIFY" }]
                });
            }
            "console" => config["process"]["terminal"] = json!(true),
            _ => {}
        })?;
        let args: &[&str] = match kind {
            "pidfd" => &["create", "--pidfd-socket", &socket, "victim"],
            "console" => &["create", "--console-socket", &socket, "victim"],
            _ => &["create", "victim"],
        };
        let spawn = |args: &[&str]| {
            let mut command = arena.runtime.command(args);
            command.current_dir(bundle.path()).stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn().doing("a command")
        };
        let mut create = spawn(args)?;
        std::thread::sleep(Duration::from_millis(300));
        let mut delete = spawn(&["delete", "--force", "victim"])?;
        let deleted = ends(&mut delete, SOON)?;
        let created = ends(&mut create, PATIENCE)?;
        count.count((!deleted).then(|| format!("{kind}: delete --force waits")));
        count.count((!created).then(|| format!("{kind}: create waits for ever")));
        // One of the two may have left it.
        arena.runtime.run(&["delete", "--force", "victim"])?;
    }
    Ok(count)
}

/// Kills a foreground exec while the container runs `verb` on each new process.
fn kept_exec(arena: &Arena, verb: &str, time: Duration, change: fn(&mut Value)) -> Result<Count> {
    let attacker = arena.container("attacker", &["endings", verb], change)?;
    attacker.start()?;
    let mut count = Count::default();
    for _ in 0..5 {
        let mut command = arena.runtime.command(&["exec", "attacker", "/probe", "sleep"]);
        let mut exec = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().doing("exec")?;
        std::thread::sleep(Duration::from_millis(300));
        kill(Pid::from_raw(exec.id() as i32), Signal::SIGTERM).doing("kill")?;
        count.tries += 1;
        if !ends(&mut exec, time)? {
            count.success("a foreground exec cannot be ended".to_owned());
        }
    }
    attacker.stop()?;
    Ok(attacker.tally(count))
}
