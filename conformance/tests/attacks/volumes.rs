// SPDX-License-Identifier: Apache-2.0
//! Attacks by a container that shares a volume or the rootfs with a container that is created, on
//! objects below them: sources, devices, directories, files that the runtime reads.

use crate::arena::{Arena, Attack, add_mount, attacker, bind};
use crate::descriptors::secret;
use crate::paths::{make_null, race, race_with};
use conformance::attack::Count;
use conformance::opens::Opens;
use conformance::{Doing, Result};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "a source becomes procfs",
        stands_for: "The source of a bind mount is in the rootfs, and the image makes it a link to /proc/sys: an \
                     unmasked procfs, or a path of the host, is at the destination",
        run: sources,
    },
    Attack {
        name: "a volume on a link to /dev",
        stands_for: "The image's /data, where a volume is mounted, is a link to /dev: device nodes and links are made \
                     in the host's volume",
        run: volume_on_dev,
    },
    Attack {
        name: "a volume on a link to the root",
        stands_for: "The image's /data, where a volume is mounted, is a link to /: later processes see the volume as \
                     their root, without /proc and masks",
        run: volume_on_root,
    },
    Attack {
        name: "the passwd file becomes another file",
        stands_for: "A container that shares the rootfs exchanges /etc/passwd with a fifo and with a file of procfs \
                     while it is read",
        run: passwd,
    },
    Attack {
        name: "the working directory becomes a link",
        stands_for: "CVE-2024-21626 and similar ones: the working directory is exchanged with a link to a \
                     descriptor of the runtime, and with one out of the rootfs",
        run: working_directory,
    },
    Attack {
        name: "a directory that is copied up becomes a link",
        stands_for: "A directory that tmpcopyup copies into a tmpfs is exchanged with links during the copy",
        run: copy_up,
    },
];

fn links(dir: &Path, links: &[(&str, &Path)]) -> Result {
    links.iter().try_for_each(|(name, target)| symlink(target, dir.join(name)).doing("symlink"))
}

/// Returns a path that leads out of any directory.
fn up(path: &Path) -> std::path::PathBuf {
    Path::new(&"../".repeat(24)).join(path.strip_prefix("/").unwrap_or(path))
}

fn sources(arena: &Arena) -> Result<Count> {
    let victim = arena.container("victim", &["paths", "has-mounted", "/one", "/two"], |_| ())?;
    let rootfs = victim.bundle.rootfs("");
    // A spelling that a comparison of texts would not find to be in the rootfs.
    let spelled = rootfs.join("tmp/../source");
    let alias = arena.volume("alias")?.join("rootfs");
    symlink(&rootfs, &alias).doing("symlink")?;
    fs::create_dir(rootfs.join("source")).doing("mkdir")?;
    links(
        &rootfs,
        &[
            ("sys-link", Path::new("/sys")),
            ("proc-link", Path::new("/proc/sys")),
            ("out", &arena.outside()),
            ("up", &up(&arena.outside())),
        ],
    )?;
    let victim = victim.with(|config| {
        bind(config, &spelled, "/one");
        bind(config, &alias.join("source"), "/two");
    })?;
    race(arena, &victim, &rootfs, "source", &["proc-link", "sys-link", "out", "up"])
}

fn volume_on_dev(arena: &Arena) -> Result<Count> {
    let volume = arena.volume("data")?;
    fs::write(volume.join("ptmx"), "the volume's own").doing("write")?;
    let victim = arena.container("victim", &["paths", "reads", "/none"], |config| {
        bind(config, &volume, "/data");
    })?;
    let rootfs = victim.bundle.rootfs("");
    fs::create_dir(rootfs.join("data")).doing("mkdir")?;
    links(&rootfs, &[("link", Path::new("dev"))])?;
    let mut count = race(arena, &victim, &rootfs, "data", &["link"])?;
    let content: Vec<_> =
        fs::read_dir(&volume).doing("read")?.flatten().map(|entry| entry.file_name()).collect();
    if content != ["ptmx"]
        || fs::read_to_string(volume.join("ptmx")).is_ok_and(|text| text != "the volume's own")
    {
        count.success(format!("the volume has {content:?}"));
    }
    Ok(count)
}

fn volume_on_root(arena: &Arena) -> Result<Count> {
    let volume = arena.volume("data")?;
    for name in ["proc", "dev", "sys", "score"] {
        fs::create_dir(volume.join(name)).doing("mkdir")?;
    }
    make_null(&volume.join("dev/null"))?;
    fs::copy(conformance::bundle::beside("attacker"), volume.join("attacker")).doing("copy")?;
    let victim = arena.container("victim", &["secrets", "sleep"], |config| bind(config, &volume, "/data"))?;
    let rootfs = victim.bundle.rootfs("");
    fs::create_dir(rootfs.join("data")).doing("mkdir")?;
    links(&rootfs, &[("link", Path::new("/"))])?;
    let mut count = race_with(arena, &victim, &rootfs, "data", &["link"], |victim| {
        if victim.run_detached(&[])?.status.success() {
            let args = [&["exec", "victim"], attacker(&["paths", "reads", "/none"]).as_slice()].concat();
            let _either = arena.runtime.run(&args)?;
            victim.stop()?;
        }
        Ok(())
    })?;
    // Without a mount on the directory, the program has made the file itself.
    if volume.join("score/score").exists() {
        count.success("a program was executed in the volume".to_owned());
    }
    Ok(count)
}

fn passwd(arena: &Arena) -> Result<Count> {
    const LINE: &str = "\nroot:x:0:0::/stolen:/\n";
    let victim = arena.container("victim", &["secrets", "home", "/stolen", LINE], |_| ())?;
    let etc = victim.bundle.rootfs("etc");
    mkfifo(&etc.join("fifo"), Mode::from_bits_retain(0o666)).doing("mkfifo")?;
    let trap = Opens::of(&etc.join("fifo"))?;
    links(&etc, &[("link", Path::new("/proc/self/cmdline")), ("one", Path::new("/proc/1/cmdline"))])?;
    let mut count = race(arena, &victim, &etc, "passwd", &["fifo", "link", "one"])?;
    for _ in 0..trap.count()? {
        count.success("a fifo was opened as a passwd file".to_owned());
    }
    Ok(count)
}

fn working_directory(arena: &Arena) -> Result<Count> {
    let volume = arena.volume("volume")?;
    fs::create_dir(volume.join("dir")).doing("mkdir")?;
    let names: Vec<_> = (3..16).map(|n| (format!("fd{n}"), format!("/proc/self/fd/{n}"))).collect();
    for (name, target) in &names {
        symlink(target, volume.join(name)).doing("symlink")?;
    }
    links(&volume, &[("out", &arena.outside()), ("up", &up(&arena.outside().join("new")))])?;
    let (path, id) = secret(arena)?;
    let victim = arena.container("victim", &["descriptors", "own", &path, &id], |config| {
        bind(config, &volume, "/volume");
        config["process"]["cwd"] = json!("/volume/dir");
    })?;
    let others: Vec<_> = names.iter().map(|(name, _)| name.as_str()).chain(["out", "up"]).collect();
    race(arena, &victim, &volume, "dir", &others)
}

/// The number of copies that a container makes of a directory.
const COPIES: u32 = 20;

fn copy_up(arena: &Arena) -> Result<Count> {
    let volume = arena.volume("volume")?;
    fs::create_dir_all(volume.join("from/sub/deeper")).doing("mkdir")?;
    fs::write(volume.join("from/sub/file"), "a file").doing("write")?;
    links(&volume, &[("out", &arena.outside()), ("up", &up(&arena.outside()))])?;
    // The victim must not get the content "secret". The race lasts microseconds, so there are many
    // copies.
    let victim = arena.container("victim", &["paths", "finds", "/copies", "secret"], |config| {
        for place in (0..COPIES).map(|n| format!("/copies/{n}")) {
            bind(config, &volume, &place);
            add_mount(
                config,
                json!({
                    "destination": format!("{place}/from"), "type": "tmpfs", "source": "tmpfs",
                    "options": ["tmpcopyup"]
                }),
            );
        }
    })?;
    race(arena, &victim, &volume, "from/sub", &["out", "up"])
}
