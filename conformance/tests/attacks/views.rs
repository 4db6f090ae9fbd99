// SPDX-License-Identifier: Apache-2.0
//! Attacks on the container's views of the kernel, procfs and sysfs, by a container that shares its
//! rootfs and moves the directories that they are mounted on.

use crate::arena::{Arena, Attack, bind};
use crate::paths::race_against;
use conformance::attack::Count;
use conformance::{Doing, Result};
use serde_json::json;
use std::fs;

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "procfs moves into a source",
        stands_for: "The source of a recursive bind mount is in the rootfs: the directory that procfs is mounted \
                     on is moved there, and an unmasked procfs is at the destination",
        run: source,
    },
    Attack {
        name: "procfs moves into a read-only path",
        stands_for: "A path in the rootfs is mounted on itself to be read-only: the directory that procfs is \
                     mounted on is moved there, and the copy of procfs is not masked",
        run: readonly_path,
    },
];

fn source(arena: &Arena) -> Result<Count> {
    let victim = arena.container("victim", &["views", "is-unmasked", "/copy/moved"], |_| ())?;
    let rootfs = victim.bundle.rootfs("");
    let source = rootfs.join("source");
    fs::create_dir(&source).doing("mkdir")?;
    let victim = victim.with(|config| bind(config, &source, "/copy"))?;
    race_against(arena, &victim, &rootfs, "move", &["proc", "source/moved"], |_| victim.run().map(drop))
}

fn readonly_path(arena: &Arena) -> Result<Count> {
    let victim = arena.container("victim", &["views", "is-unmasked", "/source/moved"], |config| {
        config["linux"]["readonlyPaths"] = json!(["/source", "/proc/sys"]);
    })?;
    let rootfs = victim.bundle.rootfs("");
    fs::create_dir(rootfs.join("source")).doing("mkdir")?;
    race_against(arena, &victim, &rootfs, "move", &["proc", "source/moved"], |_| victim.run().map(drop))
}
