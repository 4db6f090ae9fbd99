// SPDX-License-Identifier: Apache-2.0
//! A user's program: does each task of the library's examples, from plain threads and from the
//! tasks of tokio at the same time. As a user without rights, in user namespaces.
//!
//! ```text
//! outside BUNDLE     # a directory with a root file system in rootfs, with a shell
//! ```

use oci_spec::runtime::{ProcessBuilder, RootBuilder, SpecBuilder};
use runtime_core::spec::{Process, Spec, Status};
use runtime_core::{
    CgroupManager, ContainerBuilder, ContainerId, DeleteOptions, ErrorKind, Event, Runtime, Stdio,
};
use std::error::Error;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const THREADS: usize = 8;
const ROUNDS: usize = 5;
const LIMIT: usize = 1 << 20;

/// Fails with the place if a condition is false.
macro_rules! ensure {
    ($condition:expr) => {
        if !$condition {
            return Err(format!("{}:{}: {}", file!(), line!(), stringify!($condition)).into());
        }
    };
}

struct User {
    runtime: Runtime,
    bundle: PathBuf,
    uid: u32,
    gid: u32,
    next: AtomicUsize,
}

impl User {
    fn new_id(&self) -> Result<ContainerId> {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        Ok(ContainerId::new(&format!("outside-{}-{n}", std::process::id()))?)
    }

    /// Returns a builder for a container that runs a shell script.
    fn container(&self, script: &str) -> Result<ContainerBuilder> {
        let mut spec = Spec::example(runtime_core::is_unified());
        if self.uid != 0 {
            spec = spec.into_rootless(self.uid, self.gid);
        }
        spec.process = Some(Process { terminal: false, ..process(script) });
        Ok(self.runtime.builder(self.new_id()?, &self.bundle).spec(spec))
    }

    /// Returns true if the user may make cgroups. A container without a cgroup has no events.
    fn has_cgroups(&self) -> bool {
        self.uid == 0
    }
}

fn process(script: &str) -> Process {
    Process {
        args: ["sh", "-c", script].map(str::to_owned).to_vec(),
        env: vec!["PATH=/bin".to_owned()],
        cwd: "/".to_owned(),
        ..Process::default()
    }
}

fn oci_spec(script: &str) -> Result<Spec> {
    let args = ["sh", "-c", script].map(str::to_owned);
    let process = ProcessBuilder::default().terminal(false).args(args).cwd("/").build()?;
    let root = RootBuilder::default().path("rootfs").readonly(true).build()?;
    Ok(Spec::try_from(SpecBuilder::default().process(process).root(root).hostname("outside").build()?)?)
}

/// Every task, from a plain thread.
fn all(user: &User) -> Result<()> {
    // Run and wait.
    let init = user.container("exit 7")?.run()?;
    ensure!(init.wait()?.code() == 7);
    init.delete()?;

    // Captured output.
    let builder = user.container("echo out; echo err >&2")?;
    let mut init = builder.stdin(Stdio::Null).stdout(Stdio::Piped).stderr(Stdio::Piped).run()?;
    let output = init.wait_with_output(LIMIT)?;
    ensure!(output.stdout == b"out\n" && output.stderr == b"err\n");
    init.delete()?;

    // Create, open, start, exec, list, signal, delete.
    let init = user.container("exec sleep 1000")?.create()?;
    let container = user.runtime.container(init.container().id().clone());
    ensure!(container.state()?.status == Status::Created);
    container.start()?;
    ensure!(container.state()?.pid == init.pid());
    ensure!(container.exec(process("echo $((6 * 7))")).output(LIMIT)?.stdout == b"42\n");
    ensure!(user.runtime.list()?.iter().any(|listed| listed.id == *container.id()));
    if user.has_cgroups() {
        container.pause()?;
        ensure!(container.state()?.status == Status::Paused);
        container.resume()?;
        ensure!(container.pids()? == [init.pid()]);
        container.stats()?;
        ensure!(container.metrics()?.cpu.contains_key("usage_usec"));
    }
    container.kill(9)?;
    ensure!(init.wait()?.code() == 128 + 9);
    ensure!(container.wait()?.is_none());
    container.delete(DeleteOptions::new())?;

    // A terminal.
    let mut pending = user.container("stty size")?.terminal().prepare()?;
    let mut terminal = pending.take_terminal().ok_or("no terminal")?;
    terminal.resize(24, 80)?;
    let init = pending.start()?;
    terminal.write_all(b"ignored\n")?;
    let mut screen = String::new();
    terminal.read_to_string(&mut screen)?;
    ensure!(screen.contains("24 80"));
    init.wait()?;
    init.delete()?;

    // A hook, and one that fails.
    let (sender, pid) = std::sync::mpsc::channel();
    let builder = user.container("exit 0")?;
    let init = builder.create_runtime_hook(move |state| Ok(sender.send(state.pid)?)).run()?;
    ensure!(pid.recv()? == init.pid());
    init.wait()?;
    init.delete()?;
    let builder = user.container("exit 0")?;
    let error = builder.create_runtime_hook(|_state| Err("no address".into())).run().err();
    ensure!(error.is_some_and(|error| error.kind() == ErrorKind::Hook));

    // Errors say where.
    let mut spec = Spec::example(false);
    spec.hostname = "x".repeat(100);
    let error = user.runtime.builder(user.new_id()?, &user.bundle).spec(spec).create().err();
    ensure!(error.is_some_and(|error| error.field() == Some("hostname")));

    if user.uid == 0 {
        // The types of oci-spec, and no cgroup.
        let builder = user.runtime.builder(user.new_id()?, &user.bundle).spec(oci_spec("hostname")?);
        let mut init = builder.cgroup_manager(CgroupManager::None).stdout(Stdio::Piped).run()?;
        ensure!(init.wait_with_output(LIMIT)?.stdout == b"outside\n");
        init.delete()?;
    }
    Ok(())
}

/// Every task, from a task of tokio.
async fn all_async(user: Arc<User>) -> Result<()> {
    let init = user.container("exit 7")?.run_async().await?;
    ensure!(init.wait_async().await?.code() == 7);
    init.delete_async().await?;

    let builder = user.container("echo out; echo err >&2")?;
    let builder = builder.stdin(Stdio::Null).stdout(Stdio::Piped).stderr(Stdio::Piped);
    let mut init = builder.run_async().await?;
    let output = init.wait_with_output_async(LIMIT).await?;
    ensure!(output.stdout == b"out\n" && output.stderr == b"err\n");
    init.delete_async().await?;

    let init = user.container("exec sleep 1000")?.create_async().await?;
    let container = init.container().clone();
    container.start_async().await?;
    ensure!(container.exec(process("echo $((6 * 7))")).output_async(LIMIT).await?.stdout == b"42\n");
    if user.has_cgroups() {
        let mut events = container.events(Duration::from_millis(10))?;
        ensure!(matches!(events.next_async().await?, Some(Event::Stats(_))));
        container.pause_async().await?;
        ensure!(container.state()?.status == Status::Paused);
        container.resume_async().await?;
    }
    let (ended, killed) = tokio::join!(container.wait_async(), container.kill_async(9));
    killed?;
    // The init has not been reaped, so every kernel tells the status.
    ensure!(ended?.is_some_and(|status| status.code() == 128 + 9));
    ensure!(init.wait_async().await?.code() == 128 + 9);
    container.delete_async(DeleteOptions::new()).await?;

    let mut init = user.container("read word; echo $word $word")?.terminal().run_async().await?;
    let mut terminal = init.terminal.take().ok_or("no terminal")?.into_async()?;
    terminal.write_all(b"twice\n").await?;
    let mut screen = String::new();
    terminal.read_to_string(&mut screen).await?;
    ensure!(screen.contains("twice twice"));
    init.wait_async().await?;
    init.delete_async().await?;

    // A future that is given up.
    let builder = user.container("exit 0")?.create_runtime_hook(|_state| {
        std::thread::sleep(Duration::from_millis(50));
        Ok(())
    });
    if let Ok(init) = tokio::time::timeout(Duration::from_millis(5), builder.run_async()).await {
        // On a busy machine, the timer may be seen late.
        let init = init?;
        init.wait_async().await?;
        init.delete_async().await?;
    }

    if user.uid == 0 {
        let builder = user.runtime.builder(user.new_id()?, &user.bundle).spec(oci_spec("hostname")?);
        let mut init = builder.stdout(Stdio::Piped).run_async().await?;
        ensure!(init.wait_with_output_async(LIMIT).await?.stdout == b"outside\n");
        init.delete_async().await?;
    }
    Ok(())
}

fn main() -> Result<()> {
    let own = std::fs::metadata("/proc/self")?;
    if own.uid() != 0 {
        runtime_core::protect_program()?;
    }
    let bundle = std::env::args_os().nth(1).ok_or("outside BUNDLE")?.into();
    let state = std::env::temp_dir().join(format!("outside-{}", std::process::id()));
    let runtime = Runtime::new(&state);
    let user = User { runtime, bundle, uid: own.uid(), gid: own.gid(), next: AtomicUsize::new(0) };
    let user = Arc::new(user);

    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    std::thread::scope(|scope| {
        let work = || (0..ROUNDS).try_for_each(|_| all(&user));
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        let tasks: Vec<_> = (0..THREADS * ROUNDS).map(|_| tokio.spawn(all_async(user.clone()))).collect();
        for task in tasks {
            tokio.block_on(task)??;
        }
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or(Err("a panic".into())))
    })?;
    // The creations that were given up end on threads of tokio's.
    tokio.shutdown_timeout(Duration::from_secs(60));
    let left = user.runtime.list()?;
    ensure!(left.is_empty());
    std::fs::remove_dir(state)?;
    println!("{} containers, none left", user.next.load(Ordering::Relaxed));
    Ok(())
}
