// SPDX-License-Identifier: Apache-2.0
//! The arena of an attack: a substitute for the host that can be damaged without harm.

use conformance::attack::Count;
use conformance::score::Score;
use conformance::{Bundle, Doing, Output, Result, Runtime, bundle, host};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// One attack.
#[derive(Debug)]
pub(crate) struct Attack {
    /// The action of the attacker, in a few words.
    pub(crate) name: &'static str,
    /// The vulnerability that it stands for: its id, or a sentence.
    pub(crate) stands_for: &'static str,
    /// Makes the tries and counts them. A race makes [`Arena::tries`].
    pub(crate) run: fn(&Arena) -> Result<Count>,
}

/// A tmpfs for all files of the attacks, and a /dev with devices that only this program's mount
/// namespace has.
#[derive(Debug)]
pub(crate) struct Ground {
    dir: PathBuf,
    /// The attacked runtime, of which each arena has a copy.
    program: PathBuf,
    tries: u32,
}

/// The number of tries of a race unless TRIES is set.
const TRIES: u32 = 300;

impl Ground {
    pub(crate) fn new() -> Result<Self> {
        let program = Runtime::from_env()?.program().to_owned();
        let tries = match std::env::var("TRIES") {
            Ok(text) => text.parse().doing(&format!("TRIES={text}"))?,
            Err(_) => TRIES,
        };
        let dir = tempfile::Builder::new().prefix("attacks-").tempdir().doing("temporary directory")?.keep();
        mount(Some("tmpfs"), &dir, Some("tmpfs"), MsFlags::empty(), Some("mode=0755")).doing("tmpfs")?;
        let ground = Ground { dir, program, tries };
        ground.replace_dev()?;
        // Bundles and state directories are on the tmpfs, too.
        let tmp = ground.dir.join("tmp");
        fs::create_dir(&tmp).doing("mkdir")?;
        fs::set_permissions(&tmp, PermissionsExt::from_mode(0o1777)).doing("chmod")?;
        let _first = tempfile::env::override_temp_dir(&tmp);
        Ok(ground)
    }

    /// Covers /dev with other devices: an attacker that reaches the host's null device could break
    /// every program of the host.
    fn replace_dev(&self) -> Result {
        let pts = self.dir.join("pts");
        fs::create_dir(&pts).doing("mkdir")?;
        let bind = |from: &Path, to: &Path| {
            mount(Some(from), to, None::<&str>, MsFlags::MS_BIND, None::<&str>).doing("bind /dev/pts")
        };
        bind(Path::new("/dev/pts"), &pts)?;
        mount(Some("tmpfs"), "/dev", Some("tmpfs"), MsFlags::empty(), Some("mode=0755")).doing("/dev")?;
        for (name, minor) in [("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9)] {
            let path = Path::new("/dev").join(name);
            mknod(&path, SFlag::S_IFCHR, Mode::empty(), makedev(1, minor)).doing("mknod")?;
            fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).doing("chmod")?;
        }
        mknod("/dev/tty", SFlag::S_IFCHR, Mode::from_bits_retain(0o666), makedev(5, 0)).doing("mknod")?;
        for name in ["/dev/pts", "/dev/shm"] {
            fs::create_dir(name).doing("mkdir")?;
        }
        bind(&pts, Path::new("/dev/pts"))?;
        symlink("pts/ptmx", "/dev/ptmx").doing("symlink")?;
        symlink("/proc/self/fd", "/dev/fd").doing("symlink")
    }

    /// Prepares an arena for one attack.
    pub(crate) fn arena(&self) -> Result<Arena> {
        let dir = tempfile::tempdir().doing("temporary directory")?;
        fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).doing("chmod")?;
        let program = dir.path().join("runtime");
        fs::copy(&self.program, &program).doing("copy the runtime")?;
        let outside = dir.path().join("outside");
        fs::create_dir(&outside).doing("mkdir")?;
        fs::write(outside.join("secret"), SECRET).doing("write")?;
        let runtime = Runtime::new(&program)?;
        let original = self.program.clone();
        let mut arena = Arena { runtime, tries: self.tries, dir, original, before: Vec::new() };
        arena.before = arena.look();
        Ok(arena)
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // The mount namespace ends with this program; the directory would stay on the host.
        let _detached = umount2(&self.dir, MntFlags::MNT_DETACH);
        let _removed = fs::remove_dir(&self.dir);
    }
}

/// The content of `outside/secret`.
pub(crate) const SECRET: &str = "the host's secret";

/// A copy of the runtime, and the substitute for the host's files.
#[derive(Debug)]
pub(crate) struct Arena {
    /// The copy of the runtime.
    pub(crate) runtime: Runtime,
    /// The number of tries of a race.
    pub(crate) tries: u32,
    dir: tempfile::TempDir,
    original: PathBuf,
    before: Vec<(String, String)>,
}

impl Arena {
    /// Runs a command and ignores its result. Kills it after two seconds.
    pub(crate) fn briefly(&self, command: &mut Command) -> Result {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().doing("a command")?;
        let end = Instant::now() + Duration::from_secs(2);
        while Instant::now() < end {
            if child.try_wait().doing("wait")?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().doing("kill")?;
        child.wait().doing("wait").map(drop)
    }

    /// Returns a directory of the host with a file `secret`, which no container is given. A change
    /// in it is a success of the attack.
    pub(crate) fn outside(&self) -> PathBuf {
        self.dir.path().join("outside")
    }

    /// Makes a directory of the host to share with containers.
    pub(crate) fn volume(&self, name: &str) -> Result<PathBuf> {
        let volume = self.dir.path().join(name);
        fs::create_dir(&volume).doing("mkdir")?;
        Ok(volume)
    }

    /// Makes a container that runs the attacker with the arguments `words`. The attacker counts in
    /// the score.
    pub(crate) fn container(
        &self,
        id: &'static str,
        words: &[&str],
        change: impl FnOnce(&mut Value),
    ) -> Result<Contained<'_>> {
        let volume = tempfile::tempdir_in(self.dir.path()).doing("temporary directory")?;
        let score = Score::open(&volume.path().join("score"))?;
        let bundle = Bundle::new(&[])?.with(|config| {
            config["process"]["args"] = json!(attacker(words));
            bind(config, volume.path(), "/score");
            change(config);
        })?;
        for name in ["score", "volume"] {
            fs::create_dir(bundle.rootfs(name)).doing("mkdir")?;
        }
        fs::copy(bundle::beside("attacker"), bundle.rootfs("attacker")).doing("copy the attacker")?;
        Ok(Contained { arena: self, id, bundle, score, volume })
    }

    /// Starts the attacker as an unprivileged user of the host, until it is dropped, and waits
    /// until the attack can begin.
    pub(crate) fn user(&self, name: &str, words: &[&str]) -> Result<User> {
        let dir = self.volume(name)?;
        chown(&dir, Some(USER), Some(USER)).doing("chown")?;
        let path = dir.join("score");
        let score = Score::open(&path)?;
        chown(&path, Some(USER), Some(USER)).doing("chown")?;
        let mut command = Command::new(bundle::beside("attacker"));
        command.arg(&path).args(words).current_dir(&dir).stdin(Stdio::null()).uid(USER).gid(USER);
        let user = User { child: command.spawn().doing("the attacker")?, score };
        user.score.await_ready()?;
        Ok(user)
    }

    /// Returns marks of the host that no attack may change.
    fn look(&self) -> Vec<(String, String)> {
        let node = |path: &str| {
            let meta = fs::symlink_metadata(path);
            meta.map_or_else(
                |e| e.to_string(),
                |m| format!("{:o} {}:{} {}", m.mode(), m.uid(), m.gid(), m.rdev()),
            )
        };
        let text = |path: &str| fs::read_to_string(path).unwrap_or_else(|e| e.to_string());
        let mut marks: Vec<_> =
            ["/dev/null", "/dev/zero", "/dev/ptmx"].map(|path| (path.to_owned(), node(path))).into();
        marks.extend(
            ["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/net/ipv4/ip_forward"]
                .map(|path| (path.to_owned(), text(path))),
        );
        let mut files: Vec<_> = fs::read_dir(self.outside()).into_iter().flatten().flatten().collect();
        files.sort_by_key(fs::DirEntry::file_name);
        for file in files {
            let path = file.path().display().to_string();
            // Reading a device might never end.
            let is_file = file.file_type().is_ok_and(|kind| kind.is_file());
            let content = if is_file { text(&path) } else { String::new() };
            marks.push((path.clone(), format!("{} {content}", node(&path))));
        }
        marks
    }

    /// Returns the damage: changes of the program and of the host's substitute.
    pub(crate) fn damage(&self) -> Vec<String> {
        let mut damage = Vec::new();
        let (original, copy) = (fs::read(&self.original).ok(), fs::read(self.runtime.program()).ok());
        if original != copy {
            damage.push("the runtime's program was overwritten".to_owned());
        }
        let now = self.look();
        for (name, was) in &self.before {
            match now.iter().find(|(other, _)| other == name) {
                Some((_, is)) if is == was => {}
                Some((_, is)) => damage.push(format!("{name} is {is:?}, was {was:?}")),
                None => damage.push(format!("{name} is gone")),
            }
        }
        let new = now.iter().filter(|(name, _)| !self.before.iter().any(|(other, _)| other == name));
        damage.extend(new.map(|(name, is)| format!("{name} is new: {is:?}")));
        damage
    }

    /// Restores the program.
    pub(crate) fn repair(&self) -> Result {
        let new = self.dir.path().join("new");
        fs::copy(&self.original, &new).doing("copy the runtime")?;
        fs::rename(&new, self.runtime.program()).doing("rename")
    }

    /// Deletes the containers that an attack has left.
    pub(crate) fn delete_all(&self) {
        for entry in fs::read_dir(self.runtime.root()).into_iter().flatten().flatten() {
            let _deleted = self.runtime.run(&["delete", "--force", &entry.file_name().to_string_lossy()]);
        }
    }
}

/// Returns the arguments that run the attacker, as a container's program or by exec.
pub(crate) fn attacker<'a>(words: &[&'a str]) -> Vec<&'a str> {
    ["/attacker", "/score/score"].iter().chain(words).copied().collect()
}

/// A container in which the attacker runs: as a hostile program, or as the victim that reports what
/// it was given.
#[derive(Debug)]
pub(crate) struct Contained<'a> {
    arena: &'a Arena,
    pub(crate) id: &'static str,
    pub(crate) bundle: Bundle,
    pub(crate) score: Score,
    volume: tempfile::TempDir,
}

impl Contained<'_> {
    /// Starts the container and waits until the attack can begin.
    pub(crate) fn start(&self) -> Result {
        self.arena.runtime.run_in(&self.bundle, &["run", "--detach", self.id])?.ok()?;
        self.score.await_ready()
    }

    /// Runs the container to its end, whatever its exit status.
    pub(crate) fn run(&self) -> Result<Output> {
        self.arena.runtime.run_in(&self.bundle, &["run", self.id])
    }

    /// Starts the container and leaves it running, whatever the exit status of `run`.
    pub(crate) fn run_detached(&self, flags: &[&str]) -> Result<Output> {
        self.arena.runtime.run_in(&self.bundle, &[&["run", "--detach"], flags, &[self.id]].concat())
    }

    /// Changes its configuration.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Value)) -> Result<Self> {
        self.bundle = self.bundle.with(change)?;
        Ok(self)
    }

    /// Executes a program in it for at most two seconds, whatever its exit status.
    pub(crate) fn exec_briefly(&self, args: &[&str]) -> Result {
        self.arena.briefly(&mut self.arena.runtime.command(&[&["exec", self.id], args].concat()))
    }

    /// Stops the container. It may be busy in the kernel for a while, and it waits for orphans,
    /// which this program reaps.
    pub(crate) fn stop(&self) -> Result {
        let stop = || self.arena.runtime.run(&["delete", "--force", self.id])?.ok().map(drop);
        stop().or_else(|_busy| {
            host::reap();
            stop()
        })
    }

    /// Lets other users write to the score, such as those of a user namespace.
    pub(crate) fn open_score(&self) -> Result {
        for (path, mode) in [(self.volume.path(), 0o777), (&self.score_path(), 0o666)] {
            fs::set_permissions(path, PermissionsExt::from_mode(mode)).doing("chmod")?;
        }
        Ok(())
    }

    /// Returns the host's path of the score, for attackers outside the container.
    pub(crate) fn score_path(&self) -> PathBuf {
        self.volume.path().join("score")
    }

    /// Adds the counts of the attacker.
    pub(crate) fn tally(&self, count: Count) -> Count {
        tally(&self.score, self.id, count)
    }
}

fn tally(score: &Score, who: &str, mut count: Count) -> Count {
    count.near += score.near.load(SeqCst) as u64;
    for _ in 0..score.successes.load(SeqCst) {
        count.success(format!("{who} succeeded"));
    }
    count
}

/// An unprivileged user of the host.
pub(crate) const USER: u32 = 54_321;

/// The attacker, run by a user of the host.
#[derive(Debug)]
pub(crate) struct User {
    child: Child,
    pub(crate) score: Score,
}

impl User {
    /// Adds the counts of the attacker.
    pub(crate) fn tally(&self, count: Count) -> Count {
        tally(&self.score, "the user", count)
    }
}

impl Drop for User {
    fn drop(&mut self) {
        // It has not been reaped, so the pid is still its own.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// Adds a volume to a configuration.
pub(crate) fn bind(config: &mut Value, source: &Path, destination: &str) {
    add_mount(
        config,
        json!({ "destination": destination, "type": "bind", "source": source, "options": ["rbind"] }),
    );
}

/// Adds a mount to a configuration.
pub(crate) fn add_mount(config: &mut Value, mount: Value) {
    if let Some(mounts) = config["mounts"].as_array_mut() {
        mounts.push(mount);
    }
}
