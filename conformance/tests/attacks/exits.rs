// SPDX-License-Identifier: Apache-2.0
//! Attacks that keep a killed process from ending.

use crate::arena::{Arena, Attack};
use crate::waits::ends;
use conformance::attack::Count;
use conformance::{Doing, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::Stdio;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "the init is stopped at its exit",
        stands_for: "A process of the container traces the init, and stops it after it was killed \
                     (PTRACE_O_TRACEEXIT): the container survives kill, and without a cgroup it cannot be \
                     deleted either",
        run: traced_init,
    },
    Attack {
        name: "exec is stopped at its exit",
        stands_for: "A process in the container traces the process of exec, and stops it after it was killed \
                     (PTRACE_O_TRACEEXIT): a foreground exec cannot be ended",
        run: traced_exec,
    },
];

fn traced_init(arena: &Arena) -> Result<Count> {
    let mut count = Count::default();
    let ways = [("process", "first-thread"), ("thread", "first-thread"), ("process", "second-thread")];
    for ((tracer, traced), without_cgroup) in ways.into_iter().flat_map(|way| [(way, false), (way, true)]) {
        let attacker = arena.container("attacker", &["exits", "keep-first", tracer, traced], |_| ())?;
        let flags: &[&str] = if without_cgroup { &["--cgroup-manager", "disabled"] } else { &[] };
        let args = [flags, &["run", "--detach", attacker.id]].concat();
        if arena.runtime.run_in(&attacker.bundle, &args)?.ok().is_err() && without_cgroup {
            continue; // A flag of crun's.
        }
        attacker.score.await_ready()?;
        arena.runtime.run(&["kill", attacker.id, "KILL"])?.ok()?;
        let stopped = arena.runtime.await_status(attacker.id, "stopped");
        count.count(stopped.is_err().then(|| "the container survives SIGKILL".to_owned()));
        if let Err(error) = attacker.stop() {
            count.success(error);
            break;
        }
    }
    Ok(count)
}

fn traced_exec(arena: &Arena) -> Result<Count> {
    let attacker = arena.container("attacker", &["exits", "keep-others"], |_| ())?;
    attacker.start()?;
    let mut count = Count::default();
    for _ in 0..3 {
        let near = attacker.score.near.load(SeqCst);
        let mut command = arena.runtime.command(&["exec", "attacker", "/probe", "sleep"]);
        let mut exec = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().doing("exec")?;
        let traced = (0..1000).any(|_| {
            std::thread::sleep(Duration::from_millis(5));
            attacker.score.near.load(SeqCst) > near
        });
        ensure!(traced, "the attacker does not find the process");
        kill(Pid::from_raw(exec.id() as i32), Signal::SIGTERM).doing("kill")?;
        count.tries += 1;
        if !ends(&mut exec, Duration::from_secs(15))? {
            count.success("a foreground exec cannot be ended".to_owned());
        }
    }
    attacker.stop()?;
    Ok(attacker.tally(count))
}
