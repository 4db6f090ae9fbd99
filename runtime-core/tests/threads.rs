// SPDX-License-Identifier: Apache-2.0
//! Sixteen threads that create, exec in and delete containers, while other threads of the program
//! allocate, log and fork. RUNTIME_CORE_CONTAINERS=5000 makes that many; a few hundred otherwise.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr)]

use conformance::Bundle;
use runtime_core::{ContainerId, DeleteOptions, Runtime, spec};
use std::io::Write;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

const THREADS: usize = 16;

fn fds() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Returns the children of this process, zombies too.
fn children() -> String {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    // A thread that has been joined may still be in the list.
    let of = |task: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default()
    };
    tasks.map(of).collect()
}

fn probe(args: &[&str]) -> spec::Process {
    let args = ["/probe"].iter().chain(args).map(|arg| (*arg).to_owned()).collect();
    spec::Process { args, cwd: "/".into(), ..Default::default() }
}

/// Makes a container, executes a process in it and deletes it.
fn one(runtime: &Runtime, bundle: &Bundle, n: usize) {
    let id = ContainerId::new(&format!("threads-{}-{n}", std::process::id())).unwrap();
    let init = runtime.builder(id, bundle.path()).parallel(n.is_multiple_of(2)).create();
    let init = init.unwrap_or_else(|error| panic!("create {n}: {error:#}"));
    let container = init.container();
    container.start().unwrap_or_else(|error| panic!("start {n}: {error:#}"));
    let status = (n % 100).to_string();
    let output = container.exec(probe(&["exit", &status])).output(1 << 10);
    let output = output.unwrap_or_else(|error| panic!("exec {n}: {error:#}"));
    assert_eq!(output.status.code(), (n % 100) as i32, "{n}: {output:?}");
    let deleted = container.delete(DeleteOptions::new().force(true));
    deleted.unwrap_or_else(|error| panic!("delete {n}: {error:#}"));
    assert_eq!(init.wait().unwrap().code(), 128 + libc::SIGKILL, "{n}");
}

#[test]
fn sixteen_threads_make_containers_and_leave_nothing() {
    let count = std::env::var("RUNTIME_CORE_CONTAINERS").ok();
    let count: usize = count.map_or(320, |count| count.parse().unwrap());
    let root = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(root.path());
    let bundle = Bundle::new(&["sleep"]).unwrap();
    let mut log = tempfile::tempfile().unwrap();
    one(&runtime, &bundle, 1);
    let before = fds();
    let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let until_over = |noise: &mut dyn FnMut(usize)| {
        (0..).take_while(|_| !is_over.load(Ordering::Relaxed)).for_each(noise);
    };
    let begin = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| until_over(&mut |n| drop(vec![1u8; 1 << (n % 20)])));
        scope.spawn(|| until_over(&mut |n| writeln!(log, "{n}: a line of the log").unwrap()));
        scope.spawn(|| until_over(&mut |_| assert!(Command::new("true").status().unwrap().success())));
        let work = || {
            std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed))
                .take_while(|n| *n < count)
                .for_each(|n| one(&runtime, &bundle, n));
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        let ended: Vec<_> = threads.into_iter().map(thread::ScopedJoinHandle::join).collect();
        is_over.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok));
    });
    let seconds = begin.elapsed().as_secs_f64();
    eprintln!("{count} containers in {seconds:.1} s, {:.0} a second", count as f64 / seconds);
    assert!(runtime.list().unwrap().is_empty());
    assert_eq!((fds(), children().as_str()), (before, ""));
}
