// SPDX-License-Identifier: Apache-2.0
//! Attacks on paths, by a container that shares a volume or the rootfs with a container that is
//! created.

use crate::arena::{Arena, Attack, Contained, add_mount, attacker, bind};
use conformance::attack::Count;
use conformance::console::ConsoleSocket;
use conformance::{Doing, Result, bundle};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "a mount point becomes a link",
        stands_for: "CVE-2021-30465, CVE-2024-45310: a directory of a shared volume is exchanged with links and \
                     files during a mount on it",
        run: mount_points,
    },
    Attack {
        name: "the null device becomes a link",
        stands_for: "CVE-2025-31133: the /dev/null that covers masked files is exchanged with a link to a kernel \
                     parameter and with a file",
        run: null_device,
    },
    Attack {
        name: "the console becomes a link",
        stands_for: "CVE-2025-52565, CVE-2026-88264: /dev/console and /dev/pts of a shared /dev are exchanged with \
                     links to the host's files",
        run: console,
    },
    Attack {
        name: "/dev becomes a link",
        stands_for: "CVE-2026-41579: the image's /dev is exchanged with links out of the rootfs while device nodes \
                     and links are made in it",
        run: dev,
    },
    Attack {
        name: "/proc becomes a link",
        stands_for: "CVE-2019-19921, CVE-2023-27561, CVE-2023-28642, CVE-2025-54867: the image's /proc is exchanged \
                     with a link while procfs is mounted and masked",
        run: |arena| proc(arena, |rootfs| symlink("/tmp", rootfs.join("other")).doing("symlink")),
    },
    Attack {
        name: "/proc goes away while it is masked",
        stands_for: "A container that shares the rootfs exchanges the directory that procfs is mounted on, so \
                     that masks and read-only paths do not find their files",
        run: |arena| proc(arena, |rootfs| fs::create_dir(rootfs.join("other")).doing("mkdir")),
    },
    Attack {
        name: "kernel parameters are written to another file",
        stands_for: "CVE-2025-52881: procfs is covered or exchanged, so that writes to it go to another file",
        run: sysctl,
    },
];

/// The slot in which the attacker counts its exchanges.
const EXCHANGES: usize = 0;

/// Runs the victim again and again while the attacker exchanges `path`, in a directory that both
/// share, with each of `others`. `path` is only moved for a moment to a name that begins with `=`.
pub(crate) fn race(
    arena: &Arena,
    victim: &Contained<'_>,
    shared: &Path,
    path: &str,
    others: &[&str],
) -> Result<Count> {
    race_with(arena, victim, shared, path, others, run_with_console)
}

/// Makes the same race with another way to run the victim.
pub(crate) fn race_with(
    arena: &Arena,
    victim: &Contained<'_>,
    shared: &Path,
    path: &str,
    others: &[&str],
    run: impl Fn(&Contained<'_>) -> Result,
) -> Result<Count> {
    let paths: Vec<_> = [path].iter().chain(others).copied().collect();
    let mut hangs = false;
    race_against(arena, victim, shared, "exchange", &paths, |count| {
        // The victim may fail when the path is exchanged, but not hang. A hang counts once, because
        // it takes a minute.
        if !hangs && let Err(error) = run(victim) {
            hangs = true;
            count.success(error);
        }
        Ok(())
    })
}

/// Makes the tries while the attacker runs this verb on paths in the shared directory.
pub(crate) fn race_against(
    arena: &Arena,
    victim: &Contained<'_>,
    shared: &Path,
    verb: &str,
    paths: &[&str],
    mut try_once: impl FnMut(&mut Count) -> Result,
) -> Result<Count> {
    let inside = |name: &&str| match name.strip_prefix('=') {
        Some(name) => format!("=/volume/{name}"),
        None => format!("/volume/{name}"),
    };
    let paths: Vec<_> = paths.iter().map(inside).collect();
    let words: Vec<_> = ["paths", verb].into_iter().chain(paths.iter().map(String::as_str)).collect();
    let attacker = arena.container("attacker", &words, |config| bind(config, shared, "/volume"))?;
    attacker.start()?;
    let mut count = Count::default();
    for _ in 0..arena.tries {
        let before = attacker.score.slots[EXCHANGES].load(SeqCst);
        try_once(&mut count)?;
        count.tries += 1;
        count.near += u64::from(attacker.score.slots[EXCHANGES].load(SeqCst) > before);
    }
    attacker.stop()?;
    for _ in 0..victim.score.successes.load(SeqCst) {
        count.success("the victim was led astray".to_owned());
    }
    Ok(count)
}

/// Runs a container, with a terminal if it has one.
pub(crate) fn run_with_console(victim: &Contained<'_>) -> Result {
    if victim.bundle.config["process"]["terminal"] != true {
        return victim.run().map(drop);
    }
    let socket = ConsoleSocket::new()?;
    let path = socket.path();
    let output = victim.run_detached(&["--console-socket", &path.to_string_lossy()])?;
    if output.status.success() {
        victim.stop()?;
    }
    Ok(())
}

fn mount_points(arena: &Arena) -> Result<Count> {
    let volume = arena.volume("volume")?;
    fs::create_dir_all(volume.join("dir/a")).doing("mkdir")?;
    symlink(arena.outside(), volume.join("link")).doing("symlink")?;
    let up = "../".repeat(20) + arena.outside().to_string_lossy().trim_start_matches('/');
    symlink(up, volume.join("up")).doing("symlink")?;
    fs::write(volume.join("file"), "").doing("write")?;
    let victim = arena.container("victim", &["paths", "reads", "/none"], |config| {
        bind(config, &volume, "/volume");
        for at in ["dir", "dir/a/b"] {
            let destination = format!("/volume/{at}");
            add_mount(config, json!({ "destination": destination, "type": "tmpfs", "source": "tmpfs" }));
        }
        bind(config, &volume.join("file"), "/volume/dir/c");
    })?;
    let hook =
        json!([bundle::beside("attacker"), victim.score_path(), "paths", "mounts-in", arena.outside()]);
    let victim = victim.with(|config| {
        let path = hook[0].clone();
        config["hooks"] = json!({ "createRuntime": [{ "path": path, "args": hook }] });
    })?;
    race(arena, &victim, &volume, "dir", &["link", "up", "file"])
}

/// Replaces the mounts at /dev by a volume.
pub(crate) fn with_dev(config: &mut Value, volume: &Path) {
    without_dev(config);
    bind(config, volume, "/dev");
}

fn without_dev(config: &mut Value) {
    if let Some(mounts) = config["mounts"].as_array_mut() {
        mounts.retain(|mount| !mount["destination"].as_str().is_some_and(|to| to.starts_with("/dev")));
    }
}

pub(crate) fn make_null(path: &Path) -> Result {
    mknod(path, SFlag::S_IFCHR, Mode::from_bits_retain(0o666), makedev(1, 3)).doing("mknod")
}

fn null_device(arena: &Arena) -> Result<Count> {
    let volume = arena.volume("volume")?;
    make_null(&volume.join("null"))?;
    symlink("/proc/sys/kernel/core_pattern", volume.join("link")).doing("symlink")?;
    fs::write(volume.join("file"), "a file").doing("write")?;
    let victim = arena.container("victim", &["paths", "reads", "/secret"], |config| {
        with_dev(config, &volume);
        config["linux"]["maskedPaths"] = json!(["/secret"]);
    })?;
    fs::write(victim.bundle.rootfs("secret"), "a secret").doing("write")?;
    race(arena, &victim, &volume, "null", &["link", "file"])
}

fn console(arena: &Arena) -> Result<Count> {
    let volume = arena.volume("volume")?;
    make_null(&volume.join("null"))?;
    fs::write(volume.join("console"), "").doing("write")?;
    symlink(arena.outside().join("new"), volume.join("new")).doing("symlink")?;
    symlink(arena.outside().join("secret"), volume.join("old")).doing("symlink")?;
    symlink("/etc/passwd", volume.join("inside")).doing("symlink")?;
    fs::create_dir(volume.join("pts")).doing("mkdir")?;
    let victim = arena.container("victim", &["paths", "reads", "/none"], |config| {
        with_dev(config, &volume);
        config["process"]["terminal"] = json!(true);
        let options = ["newinstance", "ptmxmode=0666", "mode=0620"];
        let devpts =
            json!({ "destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": options });
        add_mount(config, devpts);
        let hook = attacker(&["paths", "has-terminal-outside", "/dev"]);
        config["hooks"] = json!({ "startContainer": [{ "path": hook[0], "args": hook }] });
    })?;
    race(arena, &victim, &volume, "console", &["new", "old", "inside"])
}

fn dev(arena: &Arena) -> Result<Count> {
    let victim = arena.container("victim", &["paths", "reads", "/none"], without_dev)?;
    let rootfs = victim.bundle.rootfs("");
    symlink(arena.outside(), rootfs.join("link")).doing("symlink")?;
    let up = "../".repeat(20) + arena.outside().to_string_lossy().trim_start_matches('/');
    symlink(up, rootfs.join("up")).doing("symlink")?;
    race(arena, &victim, &rootfs, "dev", &["link", "up"])
}

/// Makes the race in which `other`, made by `make`, replaces the rootfs's /proc.
fn proc(arena: &Arena, make: impl FnOnce(&Path) -> Result) -> Result<Count> {
    let victim = arena.container("victim", &["paths", "is-unmasked"], |_| ())?;
    let rootfs = victim.bundle.rootfs("");
    make(&rootfs)?;
    race(arena, &victim, &rootfs, "proc", &["other"])
}

fn sysctl(arena: &Arena) -> Result<Count> {
    const NAME: &str = "sys/net/ipv4/ip_forward";
    let victim = arena.container("victim", &["paths", "reads", "/none"], |config| {
        config["linux"]["sysctl"] = json!({ "net.ipv4.ip_forward": "1" });
    })?;
    let rootfs = victim.bundle.rootfs("");
    let trap = rootfs.join("other").join(NAME);
    fs::create_dir_all(trap.parent().ok_or("no parent")?).doing("mkdir")?;
    symlink(arena.outside().join("secret"), &trap).doing("symlink")?;
    let mut count = race(arena, &victim, &rootfs, "proc", &["other"])?;
    let written = [rootfs.join("proc"), rootfs.join("other")].map(|dir| fs::read_to_string(dir.join(NAME)));
    if written.iter().flatten().any(|text| text.trim() == "1") {
        count.success("a kernel parameter was written to a file of the image".to_owned());
    }
    Ok(count)
}
