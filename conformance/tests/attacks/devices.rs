// SPDX-License-Identifier: Apache-2.0
//! Attacks on devices, by a container that shares their directory with a container that is created
//! or joined.

use crate::arena::{Arena, Attack, Contained, add_mount, attacker};
use crate::paths::{make_null, race_against, run_with_console, with_dev};
use conformance::attack::Count;
use conformance::{Doing, Opens, Result};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use serde_json::json;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "the null device goes away",
        stands_for: "The null device of a shared /dev is removed for moments: the host's stays standard input, \
                     and its mode can be changed for all users",
        run: null_goes_away,
    },
    Attack {
        name: "the null device goes away while it is needed by exec",
        stands_for: "The null device of a running container is removed for moments: the host's stays standard \
                     input of exec",
        run: null_goes_away_from_exec,
    },
    Attack {
        name: "the null device becomes another device",
        stands_for: "A device whose open has side effects replaces /dev/null for moments",
        run: |arena| {
            let volume = arena.volume("volume")?;
            make_null(&volume.join("null"))?;
            let trap = make_trap(&volume.join("trap"))?;
            let victim = arena.container("victim", &["paths", "reads", "/none"], |config| {
                with_dev(config, &volume);
                config["linux"]["maskedPaths"] = json!([]);
            })?;
            opened(arena, &victim, &volume, "null", &trap)
        },
    },
    Attack {
        name: "the multiplexer becomes another device",
        stands_for: "A device whose open has side effects replaces /dev/pts/ptmx for moments, also before the \
                     device filter is loaded",
        run: |arena| {
            let volume = arena.volume("volume")?;
            make_null(&volume.join("null"))?;
            for name in ["pts", "trap"] {
                fs::create_dir(volume.join(name)).doing("mkdir")?;
            }
            let trap = make_trap(&volume.join("trap/ptmx"))?;
            let victim = arena.container("victim", &["paths", "reads", "/none"], |config| {
                with_dev(config, &volume);
                config["process"]["terminal"] = json!(true);
                let options = ["newinstance", "ptmxmode=0666", "mode=0620"];
                let devpts = json!({
                    "destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": options
                });
                add_mount(config, devpts);
            })?;
            opened(arena, &victim, &volume, "pts", &trap)
        },
    },
    Attack {
        name: "the passwd file becomes a device",
        stands_for: "A device whose open has side effects replaces the image's /etc/passwd for moments",
        run: |arena| {
            let victim = arena.container("victim", &["paths", "reads", "/none"], |_| ())?;
            let etc = victim.bundle.rootfs("etc");
            let trap = make_trap(&etc.join("trap"))?;
            opened(arena, &victim, &etc, "passwd", &trap)
        },
    },
    Attack {
        name: "a file that is copied becomes a device",
        stands_for: "A device whose open has side effects replaces a file that tmpcopyup copies for moments",
        run: |arena| {
            let victim = arena.container("victim", &["paths", "reads", "/none"], |config| {
                let options = ["tmpcopyup"];
                let copied =
                    json!({ "destination": "/etc", "type": "tmpfs", "source": "tmpfs", "options": options });
                add_mount(config, copied);
            })?;
            let etc = victim.bundle.rootfs("etc");
            let trap = make_trap(&etc.join("trap"))?;
            opened(arena, &victim, &etc, "passwd", &trap)
        },
    },
];

/// Returns the host's null device, in the notation of the attacker's `has-stream`.
fn host_null() -> Result<String> {
    let meta = fs::metadata("/dev/null").doing("/dev/null")?;
    Ok(format!("{}:{}", meta.dev(), meta.ino()))
}

fn null_goes_away(arena: &Arena) -> Result<Count> {
    let volume = arena.volume("volume")?;
    make_null(&volume.join("null"))?;
    let victim = arena.container("victim", &["devices", "has-stream", &host_null()?], |config| {
        with_dev(config, &volume);
        config["linux"]["maskedPaths"] = json!([]);
    })?;
    race_against(arena, &victim, &volume, "hide", &["null"], |_| run_with_console(&victim))
}

fn null_goes_away_from_exec(arena: &Arena) -> Result<Count> {
    let volume = arena.volume("volume")?;
    make_null(&volume.join("null"))?;
    let victim = arena.container("victim", &["devices", "wait"], |config| with_dev(config, &volume))?;
    victim.start()?;
    let null = host_null()?;
    let words = attacker(&["devices", "has-stream", &null]);
    let count = race_against(arena, &victim, &volume, "hide", &["null"], |_| victim.exec_briefly(&words));
    victim.stop()?;
    count
}

/// Makes a device that counts its openings.
fn make_trap(path: &Path) -> Result<Opens> {
    mknod(path, SFlag::S_IFCHR, Mode::from_bits_retain(0o666), makedev(1, 5)).doing("mknod")?;
    Opens::of(path)
}

/// Runs the victim while the attacker exchanges `name` with `trap`. An opening of the trap is a
/// success.
fn opened(arena: &Arena, victim: &Contained<'_>, shared: &Path, name: &str, trap: &Opens) -> Result<Count> {
    race_against(arena, victim, shared, "exchange", &[name, "trap"], |count| {
        run_with_console(victim)?;
        if trap.count()? > 0 {
            count.success(format!("{name} was a device, and was opened"));
        }
        Ok(())
    })
}
