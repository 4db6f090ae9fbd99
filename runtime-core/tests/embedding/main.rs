// SPDX-License-Identifier: Apache-2.0
//! The library in another program: it changes nothing of its caller, and works from the threads of
//! an asynchronous runtime.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod asynchronous;
mod rootfs_mounts;
mod support;
mod tracing;

use conformance::Bundle;
use runtime_core::{ContainerId, DeleteOptions, ErrorKind, Protection, Runtime, Stdio, spec::Status};
use runtime_sys::cred;
use runtime_sys::fd::poll;
use runtime_sys::mount::{Depth, MountAttr, attr, set_attr};
use runtime_sys::process::{pidfd_getfd, pidfd_open};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};
use support::{alone, children, end, fds, id_of, own_id, script, shell_container};

/// Returns the properties of this process that a library must not change.
fn caller() -> BTreeMap<&'static str, String> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let link = |path: &str| std::fs::read_link(path).unwrap().display().to_string();
    let status = read("/proc/thread-self/status");
    let field =
        |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    let mut state = BTreeMap::from([
        ("cwd", link("/proc/thread-self/cwd")),
        ("root", link("/proc/thread-self/root")),
        ("exe", link("/proc/thread-self/exe")),
        ("oom", read("/proc/thread-self/oom_score_adj")),
        ("cgroup", read("/proc/thread-self/cgroup")),
        // The files of an undumpable process belong to root, but so do all here: reads the flag
        // itself.
        ("dumpable", nix::sys::prctl::get_dumpable().unwrap().to_string()),
    ]);
    for name in
        ["SigBlk", "SigIgn", "SigCgt", "Umask", "Uid", "Gid", "Groups", "CapEff", "CapBnd", "NoNewPrivs"]
    {
        state.insert(name, field(name));
    }
    for name in ["pid_for_children", "net", "mnt", "uts", "ipc", "cgroup", "user", "time_for_children"] {
        state.insert(name, link(&format!("/proc/thread-self/ns/{name}")));
    }
    state
}

#[test]
fn the_caller_is_as_it_was() {
    stays_as_it_was(false);
}

#[test]
fn the_caller_is_as_it_was_with_a_thread() {
    stays_as_it_was(true);
}

fn stays_as_it_was(parallel: bool) {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(root.path().join("made/on/demand"));
    let bundle = Bundle::new(&["sleep"]).unwrap();
    let id = ContainerId::new("caller").unwrap();
    let container = runtime.container(id.clone());
    let before = (caller(), fds());
    let created = runtime.builder(id.clone(), bundle.path()).parallel(parallel).create().unwrap();
    assert_eq!(container.state().unwrap().status, Status::Created);
    assert_eq!(container.state().unwrap().pid, created.pid());
    container.start().unwrap();
    assert_eq!(container.state().unwrap().status, Status::Running);
    assert_eq!(container.pids().unwrap(), [created.pid()]);
    container.kill(15).unwrap();
    container.kill(9).unwrap();
    created.wait().unwrap();
    assert_eq!(container.state().unwrap().status, Status::Stopped);
    assert_eq!(container.kill(9).unwrap_err().kind(), ErrorKind::NotRunning);
    container.delete(DeleteOptions::new()).unwrap();
    assert_eq!(container.state().unwrap_err().kind(), ErrorKind::NotFound);
    // A failure changes nothing either.
    let broken = bundle.with(|config| config["root"]["path"] = json!("nowhere")).unwrap();
    let error = runtime.builder(id, broken.path()).parallel(parallel).create().unwrap_err();
    assert!(error.report().starts_with("invalid rootfs: stat "), "{error:?}");
    assert_eq!((error.field(), format!("{error:#}")), (Some("root.path"), error.report()));
    drop(created);
    assert_eq!((caller(), fds()), before);
}

#[test]
fn a_plan_has_the_parts_of_the_caller_and_makes_nothing() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(root.path().join("made/on/demand"));
    let bundle = Bundle::new(&["exit", "0"]).unwrap();
    let before = (caller(), fds(), children());
    let builder = || {
        let source = bundle.rootfs("").display().to_string();
        let mount = runtime_core::spec::Mount {
            kind: "bind".into(),
            source,
            options: vec!["rbind".into()],
            ..Default::default()
        };
        let builder = runtime.builder(own_id("planned"), bundle.path()).parallel(true).stdin(Stdio::Null);
        let builder = builder.stdout(Stdio::Piped).env("SECRET", "value").rootfs_mounts([mount]);
        builder.create_runtime_hook(|_| panic!("a hook of a plan is not called"))
    };
    for plan in [builder().plan_run().unwrap(), builder().plan_create().unwrap()] {
        let text =
            |name| plan.steps_named(name).map(|step| step.text.as_str()).collect::<Vec<_>>().join("; ");
        assert!(text("Rootfs").starts_with("attach the mounts of the calling program at "));
        assert!(text("Network").starts_with("make a network namespace; enter "));
        assert_eq!(text("Hook"), "call the hooks of the calling program (1)");
        assert!(
            text("Console").starts_with("use for 0: /dev/null, 1: a pipe to the caller, 2: the caller's ")
        );
        let Some(runtime_core::dry_run::Details::Program(program)) =
            &plan.steps_named("Exec").next().unwrap().details
        else {
            panic!("{plan:?}")
        };
        assert!(program.env.contains(&"SECRET".to_owned()) && !format!("{plan:?}").contains("value\""));
    }
    assert_eq!((caller(), fds(), children()), before);
    assert!(!root.path().join("made").exists());
}

#[test]
fn the_program_that_links_the_library_is_protected() {
    let _alone = alone();
    assert_eq!(runtime_core::protection().unwrap(), Protection::PerInit);
    let root = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(root.path());
    let bundle = Bundle::new(&["sleep"]).unwrap();
    let id = ContainerId::new("exe").unwrap();
    let created = runtime.builder(id.clone(), bundle.path()).create().unwrap();
    let exe = std::fs::File::open(format!("/proc/{}/exe", created.pid())).unwrap();
    runtime.container(id).delete(DeleteOptions::new().force(true)).unwrap();
    created.wait().unwrap();
    let again = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&exe));
    let error = std::fs::OpenOptions::new().write(true).open(again).unwrap_err();
    // This test executes its program from another mount than the init: EROFS here, ETXTBSY there.
    assert!(matches!(error.raw_os_error(), Some(libc::EROFS | libc::ETXTBSY)), "{error}");
    let flags = nix::sys::statvfs::fstatvfs(&exe).unwrap().flags();
    assert!(flags.contains(nix::sys::statvfs::FsFlags::ST_RDONLY));
}

/// runtime.md, "Lifecycle", steps 9 and 12: "The `poststart` hooks MUST be invoked by the runtime", and if one
/// fails, the container is destroyed. The program has no other caller that would run them.
#[test]
fn run_runs_the_poststart_hooks() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(root.path());
    let mark = root.path().join("mark");
    let hooks = |script: &str| json!({ "poststart": [{ "path": "/bin/sh", "args": ["sh", "-c", script] }] });
    let bundle = Bundle::new(&["sleep"]).unwrap();
    let write = bundle.with(|c| c["hooks"] = hooks(&format!("cat >{}", mark.display()))).unwrap();
    let id = |name: &str| ContainerId::new(&format!("{name}-{}", std::process::id())).unwrap();
    let init = runtime.builder(id("poststart"), write.path()).run().unwrap();
    let state: serde_json::Value = serde_json::from_slice(&std::fs::read(&mark).unwrap()).unwrap();
    assert_eq!((&state["status"], &state["pid"]), (&json!("running"), &json!(init.pid())));
    init.container().kill(9).unwrap();
    init.wait().unwrap();
    init.delete().unwrap();

    let fail = Bundle::new(&["sleep"]).unwrap().with(|c| c["hooks"] = hooks("exit 3")).unwrap();
    let error = runtime.builder(id("failing"), fail.path()).run().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Hook, "{error:?}");
    assert!(runtime.list().unwrap().is_empty());
}

#[test]
fn output_is_collected_and_has_a_limit() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(root.path());
    let (_bundle, init) = shell_container(&runtime, "output");
    let before = fds();
    let container = init.container();
    // More than a pipe holds; a background process has the pipes for longer than the process lives.
    let text = "sleep 1000 & head -c 300000 /dev/zero; echo err >&2; exit 7";
    let begin = Instant::now();
    let output = container.exec(script(text)).output(1 << 20).unwrap();
    assert!(begin.elapsed() < Duration::from_secs(100));
    assert_eq!((output.status.code(), output.stdout.len(), output.is_truncated), (7, 300_000, false));
    assert_eq!(output.stderr, b"err\n");
    let output = container.exec(script("echo 0123456789; cat")).output(4).unwrap();
    assert_eq!((output.stdout.as_slice(), output.is_truncated), (&b"0123"[..], true));
    // A pipe to standard input.
    let mut cat = container.exec(script("cat")).stdin(Stdio::Piped).stdout(Stdio::Piped).spawn().unwrap();
    cat.stdin.as_mut().unwrap().write_all(b"in and out").unwrap();
    let output = cat.wait_with_output(100).unwrap();
    assert_eq!((output.stdout.as_slice(), cat.wait().unwrap().code()), (&b"in and out"[..], 0));
    assert_eq!(cat.try_wait().unwrap(), Some(output.status));
    drop(cat);
    assert_eq!(fds(), before);
    end(init);
}

#[test]
fn a_variable_of_the_caller_is_set_or_an_error() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(root.path());
    let (_bundle, init) = shell_container(&runtime, "variable");
    let exec = || init.container().exec(script("echo $A $PATH; grep -zc ^PATH= </proc/$$/environ"));
    let output = exec().env("A", "1").env("PATH", "/bin:/usr/bin").output(1000).unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "1 /bin:/usr/bin\n1\n");
    for (name, value) in [("A\0", "1"), ("A", "\0"), ("", "1"), ("A=B", "1")] {
        let error = exec().env(name, value).output(1000).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{name:?}={value:?}: {error:?}");
    }
    end(init);
}

#[test]
fn a_terminal_is_returned_to_the_caller() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(root.path());
    let (bundle, init) = shell_container(&runtime, "terminal");
    let before = fds();
    let text = "read line; stty size; tty; echo got $line";
    let mut process = init.container().exec(script(text)).terminal().spawn().unwrap();
    let mut terminal = process.terminal.take().unwrap();
    terminal.resize(33, 77).unwrap();
    assert_eq!(terminal.size().unwrap(), (33, 77));
    terminal.write_all(b"hello\n").unwrap();
    let mut said = String::new();
    terminal.read_to_string(&mut said).unwrap();
    assert!(said.contains("33 77\r\n") && said.contains("/dev/pts/") && said.contains("got hello"), "{said}");
    assert_eq!(process.wait().unwrap().code(), 0);
    drop((process, terminal));
    assert_eq!(fds(), before);

    let both = init.container().exec(script("true")).terminal().stdout(Stdio::Piped).spawn().unwrap_err();
    assert_eq!(both.kind(), ErrorKind::InvalidConfig);
    assert_eq!(fds(), before);
    end(init);
    // The container's first process, too.
    let mut init = runtime.builder(own_id("first"), bundle.path()).terminal().run().unwrap();
    assert!(init.terminal.take().unwrap().size().is_ok());
    end(init);
}

/// CVE-2019-5736: before its execve(2) the init executes the host's file, on a mount that no
/// process may make writable.
#[test]
fn no_mount_of_the_program_can_be_changed() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(root.path());
    let bundle = Bundle::new(&["sleep"]).unwrap();
    let judge = |pid: i32| {
        let exe = std::fs::File::open(format!("/proc/{pid}/exe")).unwrap();
        let writable = MountAttr { clear: attr::RDONLY, ..MountAttr::default() };
        assert_eq!(set_attr(&exe, Depth::One, &writable), Err(nix::errno::Errno::EINVAL));
    };
    let id = ContainerId::new("dead-mount").unwrap();
    let held = runtime.builder(id.clone(), bundle.path()).prepare().unwrap();
    judge(runtime.container(id.clone()).state().unwrap().pid);
    let created = held.start().unwrap();
    judge(created.pid());
    runtime.container(id).delete(DeleteOptions::new().force(true)).unwrap();
    created.wait().unwrap();
}

/// A clone inherits all descriptors, also those of other threads' containers, until it closes them.
/// This must not block the others.
#[test]
fn a_slow_container_does_not_block_others() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(root.path());
    let with_hook = |seconds: &str| {
        let hook = json!({ "path": "/bin/sleep", "args": ["sleep", seconds] });
        Bundle::new(&["sleep"]).unwrap().with(|c| c["hooks"] = json!({ "createRuntime": [hook] })).unwrap()
    };
    let (quick, slow) = (with_hook("1"), with_hook("4"));
    let id = |name: &str| ContainerId::new(&format!("{name}-{}", std::process::id())).unwrap();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| runtime.builder(id("quick"), quick.path()).create().unwrap());
        // While the first container is being made, and its lock is held.
        std::thread::sleep(std::time::Duration::from_millis(300));
        let second = scope.spawn(|| runtime.builder(id("slow"), slow.path()).create().unwrap());
        let first = first.join().unwrap();
        let begin = std::time::Instant::now();
        runtime.container(id("quick")).start().unwrap();
        let waited = begin.elapsed();
        let second = second.join().unwrap();
        for (name, created) in [("quick", first), ("slow", second)] {
            runtime.container(id(name)).delete(DeleteOptions::new().force(true)).unwrap();
            created.wait().unwrap();
        }
        assert!(waited.as_secs() < 2, "start has waited for {waited:?}");
    });
}

/// A process that another thread clones inherits all descriptors, and may outlive the program: no
/// child may wait until the last of them is closed.
#[test]
fn an_unfinished_create_ends_with_its_program() {
    const ITS_DIRECTORY: &str = "RUNTIME_CORE_TEST_DIRECTORY";
    if let Some(directory) = std::env::var_os(ITS_DIRECTORY) {
        let directory = Path::new(&directory);
        let runtime = Runtime::new(directory.join("states"));
        drop(runtime.builder(id_of(directory), directory.join("bundle")).create().unwrap());
        return;
    }
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    // The hook records its state and waits for a message.
    let (state, end) = (directory.path().join("state"), directory.path().join("end"));
    nix::unistd::mkfifo(&end, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let script = format!("cat >{0}.new && mv {0}.new {0}; read word <{1}", state.display(), end.display());
    let hooks = json!({ "createRuntime": [{ "path": "/bin/sh", "args": ["sh", "-c", script] }] });
    let bundle = Bundle::new(&["sleep"]).unwrap().with(|c| c["hooks"] = hooks).unwrap();
    std::os::unix::fs::symlink(bundle.path(), directory.path().join("bundle")).unwrap();
    let mut program = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "an_unfinished_create_ends_with_its_program"])
        .env(ITS_DIRECTORY, directory.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !state.exists() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    let held = std::fs::read(&state).ok().and_then(|told| {
        let told: serde_json::Value = serde_json::from_slice(&told).ok()?;
        Some((pidfd_open(told["pid"].as_i64()? as i32).unwrap(), sockets_of(program.id().into())))
    });
    program.kill().unwrap();
    program.wait().unwrap();
    // No hook shall be left, whatever the result. Opening both ends does not block if the hook is
    // gone.
    let mut end = std::fs::OpenOptions::new().read(true).write(true).open(end).unwrap();
    end.write_all(b"\n").unwrap();
    let (init, copies) = held.unwrap();
    let ended = poll(&init, libc::POLLIN, 10_000).unwrap();
    assert!(!copies.is_empty());
    let container = Runtime::new(directory.path().join("states")).container(id_of(directory.path()));
    container.delete(DeleteOptions::new().force(true)).unwrap();
    assert_eq!(ended, libc::POLLIN);
}

/// Copies all sockets of a process.
fn sockets_of(pid: i64) -> Vec<OwnedFd> {
    let process = pidfd_open(pid as i32).unwrap();
    let copy = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.unwrap();
        let target = std::fs::read_link(entry.path()).ok()?;
        let number: i32 = entry.file_name().to_str()?.parse().ok()?;
        target.to_str()?.starts_with("socket:").then(|| pidfd_getfd(&process, number).unwrap())
    };
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().filter_map(copy).collect()
}

/// The calling program's own hook: its error and its panic destroy the container.
#[test]
fn a_hook_of_the_calling_program_runs_and_may_fail() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(root.path());
    let bundle = Bundle::new(&["sleep"]).unwrap();
    let before = (caller(), fds());
    let (sender, told) = std::sync::mpsc::channel();
    let init = runtime
        .builder(own_id("hook"), bundle.path())
        .create_runtime_hook(move |state| {
            let namespace = std::fs::read_link(format!("/proc/{}/ns/net", state.pid))?;
            Ok(sender.send((state.pid, state.status, namespace))?)
        })
        .run()
        .unwrap();
    let (pid, status, namespace) = told.recv().unwrap();
    assert_eq!((pid, status), (init.pid(), Status::Creating));
    assert_eq!(namespace, std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap());
    end(init);

    let builder = runtime.builder(own_id("hook"), bundle.path());
    let error = builder.create_runtime_hook(|_| Err("no address is left".into())).create().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Hook);
    assert!(error.report().contains("#0 of the calling program: no address is left"), "{error:?}");

    let builder = runtime.builder(own_id("hook"), bundle.path());
    let builder = builder.create_runtime_hook(|_| panic!("a bug of the caller"));
    let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| builder.create())).unwrap_err();
    assert_eq!(*payload.downcast::<&str>().unwrap(), "a bug of the caller");
    assert!(runtime.list().unwrap().is_empty());
    assert_eq!(((caller(), fds()), children()), (before, 0));
}

/// The kernel shows 0 in place of the exit status of a process that the caller may not inspect.
#[test]
fn a_status_that_the_kernel_hides_is_not_zero() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let bundle = Bundle::new(&["exit", "7"]).unwrap();
    let bundle = bundle.with(|c| c["process"]["user"]["uid"] = json!(1000)).unwrap();
    let init = Runtime::new(root.path()).builder(own_id("hidden"), bundle.path()).create().unwrap();
    let container = init.container().clone();
    let waits = std::thread::spawn(move || {
        // The capabilities are those of the thread.
        let mut sets = cred::cap_get().unwrap();
        sets.effective &= !(1 << 19); // CAP_SYS_PTRACE
        cred::cap_set(&sets).unwrap();
        container.wait().unwrap()
    });
    std::thread::sleep(Duration::from_millis(200));
    init.container().start().unwrap();
    assert_eq!(waits.join().unwrap(), None);
    assert_eq!(init.container().wait().unwrap(), None, "it has ended before the call");
    assert_eq!(init.wait().unwrap().code(), 7);
    init.delete().unwrap();
}

/// A container that may write to its cgroup can make cgroups of any name.
#[test]
fn cgroups_with_the_names_of_files_do_not_hide_the_statistics() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let id = own_id("named");
    let bundle = Bundle::new(&["sleep"]).unwrap();
    let init = Runtime::new(root.path()).builder(id.clone(), bundle.path()).run().unwrap();
    let cgroup = conformance::host::hierarchy().join(id.as_str());
    for name in ["hugetlb.evil.current", "memory.current", "pids.current", "io.stat"] {
        if !cgroup.join(name).exists() {
            std::fs::create_dir(cgroup.join(name)).unwrap();
        }
    }
    init.container().stats().unwrap();
    let metrics = init.container().metrics().unwrap();
    assert!(metrics.hugetlb.iter().all(|size| size.size != "evil"), "{:?}", metrics.hugetlb);
    end(init);
}

/// A handle that is dropped in the middle: what was only prepared ends, what runs goes on.
#[test]
fn dropped_handles_leave_a_running_container_and_no_descriptors() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(root.path());
    let bundle = Bundle::new(&["sleep"]).unwrap();
    let before = fds();
    let id = own_id("handles");
    let container = runtime.container(id.clone());
    drop(runtime.builder(id.clone(), bundle.path()).parallel(true).load().unwrap());
    assert_eq!(container.state().unwrap_err().kind(), ErrorKind::NotFound);

    drop(runtime.builder(id.clone(), bundle.path()).prepare().unwrap());
    assert_eq!(container.state().unwrap().status, Status::Stopped);
    assert_eq!(children(), 0);
    container.delete(DeleteOptions::new()).unwrap();

    let init = runtime.builder(id, bundle.path()).run().unwrap();
    let pid = init.pid();
    drop(init);
    let found = runtime.container(container.id().clone());
    assert_eq!((found.state().unwrap().status, found.state().unwrap().pid), (Status::Running, pid));
    drop(container.exec(script("x")).prepare().unwrap_err());
    let pidfd = found.pidfd().unwrap().unwrap();
    assert_eq!(poll(&pidfd, libc::POLLIN, 0).unwrap(), 0);
    found.delete(DeleteOptions::new().force(true)).unwrap();
    assert_eq!(poll(&pidfd, libc::POLLIN, 0).unwrap(), libc::POLLIN);
    drop(pidfd);
    // Nothing has waited for it.
    assert_eq!(children(), 1);
    nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None).unwrap();
    assert_eq!((fds(), children()), (before, 0));
}

/// With any number of free descriptors, a container is made, or an error names the limit and nothing is left.
#[test]
fn a_run_with_too_few_descriptors_leaves_nothing() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(root.path());
    let bundle = Bundle::new(&["sleep"]).unwrap();
    let before = fds();
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let is_free = |fd: &u64| std::fs::symlink_metadata(format!("/proc/self/fd/{fd}")).is_err();
    let numbers: Vec<u64> = (0..1000).filter(is_free).collect();
    let mut made = 0;
    for (free, limit) in numbers.into_iter().take(80).enumerate() {
        setrlimit(Resource::RLIMIT_NOFILE, limit, hard).unwrap();
        let result = runtime.builder(own_id("fds"), bundle.path()).run();
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
        match result {
            Ok(init) => {
                made += 1;
                end(init);
            }
            Err(error) => {
                assert_eq!(error.errno(), Some(libc::EMFILE), "{free}: {error:?}");
                let left = runtime.list().unwrap_or_default();
                assert!(left.is_empty(), "{free}: {error:?}: {left:?}");
            }
        }
        assert_eq!((fds(), children()), (before, 0), "{free}");
    }
    assert!((1..80).contains(&made), "{made}");
}
