// SPDX-License-Identifier: Apache-2.0
//! The library in the tasks of tokio.

use crate::support::{alone, children, end, fds, own_id, script, shell_container};
use conformance::Bundle;
use runtime_core::{ContainerId, DeleteOptions, ErrorKind, ExitStatus, Runtime, spec::Status};
use runtime_sys::process::pidfd_open;
use serde_json::json;
use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

/// Runs a future in a runtime of tokio with four threads.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    tokio.block_on(future)
}

#[test]
fn containers_run_from_the_tasks_of_tokio() {
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
fn a_process_lives_longer_than_the_threads_of_the_pool() {
    const KEPT: Duration = Duration::from_millis(20);
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(root.path());
    let bundle = Bundle::new(&["sleep-until-parent-ends"]).unwrap();
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().thread_keep_alive(KEPT).build();
    tokio.unwrap().block_on(async {
        let init = runtime.builder(own_id("parent"), bundle.path()).run_async().await.unwrap();
        let program = runtime_core::spec::Process {
            args: ["/probe", "sleep-until-parent-ends"].map(str::to_owned).to_vec(),
            cwd: "/".into(),
            ..Default::default()
        };
        let exec = init.container().exec(program).spawn_async().await.unwrap();
        tokio::time::sleep(KEPT * 20).await;
        assert!(exec.try_wait().unwrap().is_none(), "the exec has got its parent-death signal");
        assert!(init.try_wait().unwrap().is_none(), "the init has got its parent-death signal");
        exec.signal(libc::SIGKILL).unwrap();
        exec.wait_async().await.unwrap();
        init.container().delete_async(DeleteOptions::new().force(true)).await.unwrap();
        init.wait_async().await.unwrap();
    });
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
fn a_dropped_future_with_an_event_of_its_own_leaves_nothing() {
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
