// SPDX-License-Identifier: Apache-2.0
//! `run` and `exec` in the foreground: no output is lost, and a stream that is not read, or never
//! ends, blocks no other.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use conformance::{Bundle, Runtime, runtime::wait};
use nix::pty::openpty;
use serde_json::json;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn runtime() -> Runtime {
    Runtime::new(&conformance::bundle::beside("runtime-cli")).unwrap()
}

fn bundle(args: &[&str], terminal: bool) -> Bundle {
    let cgroup = format!("/foreground-{}-{:?}", std::process::id(), std::thread::current().id());
    Bundle::new(args)
        .unwrap()
        .with(|config| {
            config["process"]["terminal"] = json!(terminal);
            config["linux"]["cgroupsPath"] = json!(cgroup);
        })
        .unwrap()
}

fn run(runtime: &Runtime, bundle: &Bundle) -> Command {
    let mut command = runtime.command(&["run", "c"]);
    command.current_dir(bundle.path());
    command
}

/// Waits for a foreground command, and returns its exit status.
fn end(runtime: &Runtime, mut child: Child) -> i32 {
    let ended = wait(&mut child);
    if ended.is_err() {
        runtime.run(&["delete", "--force", "c"]).unwrap().ok().unwrap();
    }
    ended.unwrap().code().unwrap()
}

#[test]
fn a_slow_reader_gets_all() {
    let (runtime, bundle) = (runtime(), bundle(&["flood", "130000"], false));
    let mut child = run(&runtime, &bundle).stdout(Stdio::piped()).spawn().unwrap();
    // The container's program ends while a part of its output is still in the pipe.
    std::thread::sleep(Duration::from_millis(500));
    let mut all = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut all).unwrap();
    assert_eq!(all.len(), 130_000);
    assert_eq!(end(&runtime, child), 0);
}

#[test]
fn the_runtime_can_be_ended_while_its_output_is_unread() {
    let (runtime, bundle) = (runtime(), bundle(&["flood", "130000"], false));
    let mut child = run(&runtime, &bundle).stdout(Stdio::piped()).spawn().unwrap();
    let nobody_reads = child.stdout.take();
    std::thread::sleep(Duration::from_millis(500));
    signal(&child, nix::sys::signal::Signal::SIGTERM);
    assert_eq!(end(&runtime, child), 0);
    drop(nobody_reads);
}

#[test]
fn the_program_notices_the_end_of_its_reader() {
    let (runtime, bundle) = (runtime(), bundle(&["flood", "max"], false));
    let mut child = run(&runtime, &bundle).stdout(Stdio::piped()).spawn().unwrap();
    let mut some = [0; 100];
    child.stdout.take().unwrap().read_exact(&mut some).unwrap();
    assert_ne!(end(&runtime, child), 0);
}

#[test]
fn endless_input_ends_with_the_program() {
    let (runtime, bundle) = (runtime(), bundle(&["exit", "7"], false));
    let child = run(&runtime, &bundle).stdin(File::open("/dev/zero").unwrap()).spawn().unwrap();
    assert_eq!(end(&runtime, child), 7);
}

/// Opens a pseudoterminal, like that of an interactive shell.
fn terminal() -> (File, OwnedFd) {
    let pty = openpty(None, None).unwrap();
    (pty.master.into(), pty.slave)
}

#[test]
fn unread_input_does_not_block_the_output_of_a_terminal() {
    let (runtime, bundle) = (runtime(), bundle(&["flood", "300000"], true));
    let (_master, slave) = terminal();
    let mut command = run(&runtime, &bundle);
    // The runtime takes the terminal from standard error.
    command.stdin(File::open("/dev/zero").unwrap()).stdout(Stdio::piped()).stderr(slave);
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut output = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        output.read_to_end(&mut all).map(|_| all.iter().filter(|b| **b == b'x').count())
    });
    assert_eq!(end(&runtime, child), 0);
    assert_eq!(reader.join().unwrap().unwrap(), 300_000);
}

#[test]
fn an_unread_terminal_does_not_block_signals() {
    let (runtime, bundle) = (runtime(), bundle(&["flood", "max"], true));
    let (mut master, slave) = terminal();
    let mut command = run(&runtime, &bundle);
    command.stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap()).stderr(slave);
    let child = command.spawn().unwrap();
    drop(command);
    let mut some = [0; 100];
    master.read_exact(&mut some).unwrap();
    // From now on nothing reads the output.
    std::thread::sleep(Duration::from_millis(500));
    let init = runtime.state("c").unwrap()["pid"].as_i64().unwrap();
    signal(&child, nix::sys::signal::Signal::SIGUSR1);
    let pending = |field: &str| {
        let mask = conformance::host::process_status(init, field).unwrap();
        u64::from_str_radix(&mask, 16).unwrap() >> (nix::libc::SIGUSR1 - 1) & 1 == 1
    };
    let deadline = Instant::now() + Duration::from_secs(5);
    let mut arrived = false;
    // The program blocks the signal, so it stays pending and visible.
    while !arrived && Instant::now() < deadline {
        arrived = pending("ShdPnd");
        std::thread::sleep(Duration::from_millis(10));
    }
    runtime.run(&["kill", "c", "KILL"]).unwrap().ok().unwrap();
    while conformance::host::process_status(init, "State").is_some() {
        std::thread::sleep(Duration::from_millis(10));
    }
    signal(&child, nix::sys::signal::Signal::SIGTERM);
    assert_eq!(end(&runtime, child), 137);
    assert!(arrived, "the signal was not passed on");
}

/// The first realtime signals, some of which each C library uses for its threads.
#[test]
fn signals_that_c_libraries_reserve_are_forwarded() {
    for signal in 32..=35 {
        let runtime = runtime();
        // The first process of a pid namespace would ignore some of the signals.
        let of_the_host = |config: &mut serde_json::Value| {
            config["linux"]["namespaces"].as_array_mut().unwrap().retain(|ns| ns["type"] != "pid");
        };
        let bundle = bundle(&["sleep"], false).with(of_the_host).unwrap();
        let child = run(&runtime, &bundle).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline && !runtime.state("c").is_ok_and(|state| state["status"] == "running")
        {
            std::thread::sleep(Duration::from_millis(10));
        }
        let sent =
            Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert_eq!(end(&runtime, child), 128 + signal);
    }
}

fn signal(child: &Child, signal: nix::sys::signal::Signal) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), signal).unwrap();
}
