// SPDX-License-Identifier: Apache-2.0
//! The library in another program: it changes nothing of its caller, and works from the threads of
//! an asynchronous runtime.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use conformance::Bundle;
use runtime_core::{
    ContainerId, DeleteOptions, ErrorKind, ExitStatus, Process, Protection, Runtime, Stdio, spec::Status,
};
use runtime_sys::fd::poll;
use runtime_sys::mount::{Depth, MountAttr, attr, set_attr};
use runtime_sys::process::{pidfd_getfd, pidfd_open};
use serde_json::json;
use std::collections::BTreeMap;
use std::future::Future;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

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

/// Serialises the tests, which watch the process.
fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn fds() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
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

/// Returns a new id for this process.
fn own_id(name: &str) -> ContainerId {
    ContainerId::new(&format!("{name}-{}", std::process::id())).unwrap()
}

/// A process that runs a shell script of the host's shell: the container has the host's root directory, read-only.
fn script(text: &str) -> runtime_core::spec::Process {
    runtime_core::spec::Process {
        args: ["/bin/sh", "-c", text].map(str::to_owned).to_vec(),
        cwd: "/".into(),
        env: vec!["PATH=/usr/bin:/bin".into()],
        ..Default::default()
    }
}

/// Makes a container with the host's files, which sleeps.
fn shell_container(runtime: &Runtime, name: &str) -> (Bundle, Process) {
    let bundle = Bundle::new(&["sleep"]).unwrap();
    let bind =
        |dir: &str| json!({ "destination": dir, "source": dir, "type": "bind", "options": ["rbind", "ro"] });
    let host = ["/bin", "/usr", "/lib", "/lib64"].into_iter().filter(|dir| Path::new(dir).is_dir()).map(bind);
    let host: Vec<_> = host.collect();
    let bundle = bundle.with(|config| config["mounts"].as_array_mut().unwrap().extend(host)).unwrap();
    let init = runtime.builder(own_id(name), bundle.path()).run().unwrap_or_else(|e| panic!("{e:?}"));
    (bundle, init)
}

fn end(init: Process) {
    init.container().delete(DeleteOptions::new().force(true)).unwrap();
    init.wait().unwrap();
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

/// Returns an unused id, which is also the cgroup's name.
fn id_of(place: &Path) -> ContainerId {
    let name = place.display().to_string();
    ContainerId::new(&name.trim_start_matches('/').replace(['/', '.'], "_")).unwrap()
}

/// Runs a future in a runtime of tokio with four threads.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    tokio.block_on(future)
}

#[test]
fn from_the_tasks_of_tokio() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(root.path());
    // Before any clone, which would inherit the descriptor by which a bundle's program is written:
    // its execve(2) would fail meanwhile (ETXTBSY).
    let bundles = [0, 1, 2, 3, 4, 5, 6, 7].map(|n| (n, Bundle::new(&["exit", &n.to_string()]).unwrap()));
    block_on(async {
        let tasks: Vec<_> = bundles
            .into_iter()
            .map(|(n, bundle)| {
                let runtime = runtime.clone();
                tokio::spawn(async move {
                    let id = ContainerId::new(&format!("task{n}")).unwrap();
                    let init = runtime.builder(id, bundle.path()).run_async().await.unwrap();
                    assert_eq!(init.wait_async().await.unwrap().code(), n);
                    init.delete().unwrap();
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert!(runtime.list().unwrap().is_empty());
}

#[test]
fn a_server_on_tokio_executes_processes() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(root.path());
    let (_bundle, init) = shell_container(&runtime, "server");
    let before = fds();
    block_on(async {
        let container = init.container();
        let text = "sleep 1000 & head -c 3000000 /dev/zero; echo err >&2; exit 7";
        let output = container.exec(script(text)).output_async(1 << 20).await.unwrap();
        assert_eq!((output.status.code(), output.stdout.len(), output.is_truncated), (7, 1 << 20, true));
        assert_eq!(output.stderr, b"err\n");

        let mut process =
            container.exec(script("read x; echo got $x")).terminal().spawn_async().await.unwrap();
        let mut terminal = process.terminal.take().unwrap().into_async().unwrap();
        terminal.get().resize(10, 20).unwrap();
        terminal.write_all(b"word\n").await.unwrap();
        let mut said = Vec::new();
        terminal.read_to_end(&mut said).await.unwrap();
        assert!(String::from_utf8(said).unwrap().contains("got word"));
        assert_eq!(process.wait_async().await.unwrap().code(), 0);

        // A wait that is given up loses nothing.
        let mut events = container.events(Duration::from_millis(20)).unwrap();
        let slow = container.exec(script("sleep 0.3; exit 3")).spawn_async().await.unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(1), slow.wait_async()).await.is_err());
        assert!(matches!(events.next_async().await.unwrap(), Some(runtime_core::Event::Stats(_))));
        assert_eq!(slow.wait_async().await.unwrap().code(), 3);
        let mut events = container.events(Duration::from_secs(1000)).unwrap();
        let end = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            container.kill(9).unwrap();
        };
        let (event, ()) = tokio::join!(events.next_async(), end);
        assert_eq!(event.unwrap(), None);
    });
    assert_eq!(fds(), before);
    end(init);
}

/// A future that is dropped leaves nothing, at whatever moment that is.
#[test]
fn a_dropped_future_leaves_nothing() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(root.path());
    let hook = json!({ "path": "/bin/sleep", "args": ["sleep", "1000"] });
    let bundle = |hooks| Bundle::new(&["sleep"]).unwrap().with(|c| c["hooks"] = hooks).unwrap();
    let quick = bundle(json!({}));
    let hangs = bundle(json!({ "createRuntime": [hook] }));
    let hangs_late = bundle(json!({ "poststart": [hook] }));
    let before = fds();
    block_on(async {
        for millis in [0, 1, 2, 3, 5, 8, 13, 20, 40] {
            for (bundle, in_steps) in [(&quick, false), (&hangs, false), (&quick, true), (&hangs_late, true)]
            {
                let builder = runtime.builder(own_id("dropped"), bundle.path());
                let run = async {
                    match in_steps {
                        false => builder.run_async().await,
                        true => builder.prepare_async().await?.start_async().await,
                    }
                };
                if let Ok(Ok(init)) = tokio::time::timeout(Duration::from_millis(millis), run).await {
                    end(init);
                }
                // The thread that undoes the creation goes on after the future is gone.
                let deadline = Instant::now() + Duration::from_secs(20);
                while !runtime.list().unwrap_or_default().is_empty() {
                    assert!(Instant::now() < deadline, "{millis} ms: the container is left");
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        }
    });
    assert_eq!(fds(), before);
    assert_eq!(children(), 0);
}

/// Returns the result of a future, and how often a timer of 10 ms has ended meanwhile.
async fn with_ticks<T>(future: impl Future<Output = T>) -> (T, usize) {
    let mut future = std::pin::pin!(future);
    let mut ticks = 0;
    loop {
        tokio::select! {
            result = &mut future => return (result, ticks),
            () = tokio::time::sleep(Duration::from_millis(10)) => ticks += 1,
        }
    }
}

/// Returns hooks that take 300 ms, and then make the file `mark`.
fn slow_hooks(mark: &Path) -> serde_json::Value {
    let text = format!("sleep 0.3; : >{}", mark.display());
    json!([{ "path": "/bin/sh", "args": ["sh", "-c", text], "env": ["PATH=/usr/bin:/bin"] }])
}

/// No operation keeps the only thread of an event loop from its other tasks.
#[test]
fn the_event_loop_goes_on_during_each_operation() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(root.path());
    let mark = root.path().join("mark");
    let hooks = json!({ "poststart": slow_hooks(&mark), "poststop": slow_hooks(&mark) });
    let bundle = Bundle::new(&["sleep"]).unwrap().with(|c| c["hooks"] = hooks).unwrap();
    let id = own_id("ticks");
    let directory = root.path().join(id.as_str());
    // Holds the container's lock for 300 ms, as another operation does.
    let locked = || {
        let lock = std::fs::File::open(&directory).unwrap();
        lock.lock().unwrap();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            drop(lock);
        })
    };
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio.block_on(async {
        let init = runtime.builder(id.clone(), bundle.path()).create_async().await.unwrap();
        let container = init.container().clone();
        let (started, ticks) = with_ticks(container.start_async()).await;
        started.unwrap();
        assert!(ticks > 5, "start: {ticks}");

        locked();
        let (paused, ticks) = with_ticks(container.pause_async()).await;
        paused.unwrap();
        assert!(ticks > 5, "pause: {ticks}");
        assert_eq!(container.state().unwrap().status, Status::Paused);
        locked();
        let (resumed, ticks) = with_ticks(container.resume_async()).await;
        resumed.unwrap();
        assert!(ticks > 5, "resume: {ticks}");
        locked();
        let (updated, ticks) = with_ticks(container.update_async(&Default::default())).await;
        updated.unwrap();
        assert!(ticks > 5, "update: {ticks}");

        container.kill_async(9).await.unwrap();
        assert_eq!(init.wait_async().await.unwrap().code(), 128 + 9);
        let (deleted, ticks) = with_ticks(init.delete_async()).await;
        assert!(deleted.unwrap().is_empty());
        assert!(ticks > 5, "delete: {ticks}");
        let error = container.delete_async(DeleteOptions::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
    assert!(mark.exists());
}

/// A program that has not made the container waits for it, while its parent does, and after that.
#[test]
fn another_program_waits_for_a_container() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(root.path());
    let bundle = Bundle::new(&["sleep"]).unwrap();
    let before = fds();
    for _ in 0..20 {
        let init = runtime.builder(own_id("waits"), bundle.path()).run().unwrap();
        let container = init.container().clone();
        std::thread::scope(|scope| {
            let other = scope.spawn(|| container.wait().unwrap());
            let (told, reaped) = block_on(async {
                let end = async {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    container.kill(9).unwrap();
                    init.wait().unwrap()
                };
                tokio::join!(container.wait_async(), end)
            });
            assert_eq!(reaped, ExitStatus::Signaled(9));
            // Linux 6.15 tells every one of them.
            for told in [told.unwrap(), other.join().unwrap()] {
                assert!(told == Some(reaped) || told.is_none() && !tells_reaped(), "{told:?}");
            }
        });
        assert_eq!(container.wait().unwrap(), None);
        init.delete().unwrap();
    }
    assert_eq!(fds(), before);
}

/// Returns whether the kernel tells the exit status of a process that was reaped (6.15).
fn tells_reaped() -> bool {
    let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
    let pidfd = pidfd_open(child.id() as i32).unwrap();
    child.wait().unwrap();
    runtime_sys::process::exit_of_reaped(&pidfd).unwrap().is_some()
}

/// A start and a deletion whose futures are dropped go on to their ends.
#[test]
fn a_dropped_start_or_deletion_goes_on() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(root.path().join("state"));
    let marks = ["started", "deleted"].map(|name| root.path().join(name));
    let hooks = json!({ "poststart": slow_hooks(&marks[0]), "poststop": slow_hooks(&marks[1]) });
    let bundle = Bundle::new(&["sleep"]).unwrap().with(|c| c["hooks"] = hooks).unwrap();
    let (before, soon) = (fds(), Duration::from_millis(50));
    block_on(async {
        let exists = async |mark: &Path| {
            let deadline = Instant::now() + Duration::from_secs(20);
            while !mark.exists() {
                assert!(Instant::now() < deadline, "no {}", mark.display());
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let init = runtime.builder(own_id("goes-on"), bundle.path()).create_async().await.unwrap();
        let container = init.container().clone();
        assert!(tokio::time::timeout(soon, container.start_async()).await.is_err());
        exists(&marks[0]).await;
        assert_eq!(container.state().unwrap().status, Status::Running);
        let force = DeleteOptions::new().force(true);
        assert!(tokio::time::timeout(soon, container.delete_async(force)).await.is_err());
        exists(&marks[1]).await;
        assert_eq!(container.state().unwrap_err().kind(), ErrorKind::NotFound);
        init.wait_async().await.unwrap();
    });
    assert_eq!((fds(), children()), (before, 0));
}

/// If the future of a process's output is dropped, the process is killed and reaped. An unreaped
/// process would keep the container's init from ending, and the container could not be deleted.
#[test]
fn an_output_that_is_given_up_leaves_no_process() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let (_bundle, init) = shell_container(&Runtime::new(root.path()), "given-up");
    let container = init.container().clone();
    let (read, write) = std::io::pipe().unwrap();
    let (own_read, own_write) = std::io::pipe().unwrap();
    block_on(async {
        let output = container.exec(script("exec sleep 1000")).output_async(100);
        assert!(tokio::time::timeout(Duration::from_millis(300), output).await.is_err());
        // So does the caller's own event.
        drop(own_write);
        let output =
            container.exec(script("exec sleep 1000")).cancel(own_read.into()).output_async(100).await;
        assert_eq!(output.unwrap_err().kind(), ErrorKind::Cancelled);
    });
    std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            drop(write);
        });
        let output = container.exec(script("exec sleep 1000")).cancel(read.into()).output(100);
        assert_eq!(output.unwrap_err().kind(), ErrorKind::Cancelled);
    });
    end(init);
    assert_eq!(children(), 0);
}

/// A future that is dropped when its container has been made undoes that container, and no other
/// that has the id by now.
#[test]
fn a_dropped_future_keeps_another_container_with_the_id() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(root.path());
    let bundle = Bundle::new(&["sleep"]).unwrap();
    let container = runtime.container(own_id("replaced"));
    let other = block_on(async {
        let mut run = Box::pin(runtime.builder(own_id("replaced"), bundle.path()).run_async());
        assert!(tokio::time::timeout(Duration::from_millis(1), &mut run).await.is_err());
        while container.state().map(|state| state.status).ok() != Some(Status::Running) {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(200));
        container.delete(DeleteOptions::new().force(true)).unwrap();
        let other = runtime.builder(own_id("replaced"), bundle.path()).run().unwrap();
        drop(run);
        tokio::time::sleep(Duration::from_millis(300)).await;
        other
    });
    assert_eq!(container.state().unwrap().status, Status::Running);
    end(other);
    assert_eq!(children(), 0);
}

/// A dropped future cancels a creation that has an event of its own to be cancelled by.
#[test]
fn a_dropped_future_with_an_event_of_its_own() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(root.path());
    let hook = json!({ "path": "/bin/sleep", "args": ["sleep", "1000"] });
    let hangs = Bundle::new(&["sleep"]).unwrap();
    let hangs = hangs.with(|c| c["hooks"] = json!({ "createRuntime": [hook] })).unwrap();
    let (event, _other_end) = std::io::pipe().unwrap();
    block_on(async {
        let run = runtime.builder(own_id("own-event"), hangs.path()).cancel(event.into()).run_async();
        assert!(tokio::time::timeout(Duration::from_millis(300), run).await.is_err());
        let deadline = Instant::now() + Duration::from_secs(10);
        while !runtime.list().unwrap_or_default().is_empty() {
            assert!(Instant::now() < deadline, "the container is left");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    assert_eq!(children(), 0);
}

/// Returns the number of children of this process, zombies too.
fn children() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let of = |task: std::io::Result<std::fs::DirEntry>| {
        // A thread may end meanwhile.
        let list = std::fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default();
        list.split_ascii_whitespace().count()
    };
    tasks.map(of).sum()
}

/// The calling program's own hook: its error and its panic destroy the container.
#[test]
fn a_hook_of_the_calling_program() {
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

/// A handle that is dropped in the middle: what was only prepared ends, what runs goes on.
#[test]
fn handles_that_are_dropped() {
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
fn a_program_without_descriptors() {
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
