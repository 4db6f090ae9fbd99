// SPDX-License-Identifier: Apache-2.0
//! Attacks by root of a user namespace, which may mount: on mounts that the host has locked, on the
//! host's own mounts, and on processes that join the user namespace.

use crate::arena::{Arena, Attack, Contained, SECRET, add_mount, bind};
use crate::privileges::with_groups;
use conformance::attack::Count;
use conformance::change::{UserNamespace, cgroup2_options, with_the_hosts_cgroups, with_user_namespace};
use conformance::{Doing, Mounted, Result, Volume};
use nix::mount::MsFlags;
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "write to a read-only volume",
        stands_for: "Root of a user namespace makes a volume writable that is read-only, nosuid, nodev and \
                     noexec on the host (mount_namespaces(7): its flags are locked)",
        run: volume,
    },
    Attack {
        name: "write to a read-only rootfs",
        stands_for: "Root of a user namespace makes a rootfs writable that the host has mounted read-only",
        run: rootfs,
    },
    Attack {
        name: "read files that a mount covers",
        stands_for: "Root of a user namespace unmounts a mount of the host that covers a directory of a volume",
        run: covered,
    },
    Attack {
        name: "mount and unmount on the host",
        stands_for: "With rootfsPropagation shared, and a shared volume, mounts and unmounts of root of a user \
                     namespace reach the host",
        run: spread,
    },
    Attack {
        name: "deny setgroups to exec",
        stands_for: "CVE-2014-8989 and similar ones: the container's init denies setgroups(2) in its user \
                     namespace, and a process of exec keeps the caller's groups",
        run: groups,
    },
    Attack {
        name: "the host's cgroup namespace by its path",
        stands_for: "A new mount of cgroup2 in the host's cgroup namespace removes options from the host's \
                     mount: nsdelegate, which keeps containers in their cgroups",
        run: cgroups,
    },
];

/// Runs the attacker as root of user namespaces, and checks the host after each try.
fn everywhere<'a>(
    arena: &'a Arena,
    users: &[UserNamespace],
    mut victim: impl FnMut() -> Result<Contained<'a>>,
    look: impl Fn() -> Option<String>,
) -> Result<Count> {
    let mut count = Count::default();
    for user in users {
        let victim = victim()?;
        victim.open_score()?;
        let before = count.successes;
        user.during(&arena.runtime, |change| {
            let victim = victim.with(|config| change(config))?;
            // The runtime may refuse it.
            victim.run()?;
            count.tries += 1;
            count = victim.tally(std::mem::take(&mut count));
            Ok(())
        })?;
        if let Some(evidence) = look()
            && count.successes == before
        {
            count.success(format!("{user:?}: {evidence}"));
        }
    }
    Ok(count)
}

const WITH_MOUNTS: [UserNamespace; 3] =
    [UserNamespace::New, UserNamespace::Joined, UserNamespace::JoinedWithMounts];

fn volume(arena: &Arena) -> Result<Count> {
    let volume = Volume::new()?.restricted()?;
    let victim = || {
        arena.container("victim", &["mapped", "write", "/volume", "/tmp", "file"], |config| {
            bind(config, &volume.path, "/volume");
        })
    };
    everywhere(arena, &WITH_MOUNTS, victim, || None)
}

fn rootfs(arena: &Arena) -> Result<Count> {
    let mut readonly = Vec::new();
    let victim = || {
        let words = ["mapped", "write", "/", "/tmp", "etc/passwd"];
        let victim = arena.container("victim", &words, |config| config["root"]["readonly"] = json!(false))?;
        let passwd = victim.bundle.rootfs("etc/passwd");
        fs::set_permissions(passwd, PermissionsExt::from_mode(0o666)).doing("chmod")?;
        let rootfs = victim.bundle.rootfs("");
        readonly.push(Mounted::bind(&rootfs, &rootfs)?.with(MsFlags::MS_RDONLY)?);
        Ok(victim)
    };
    everywhere(arena, &UserNamespace::ALL, victim, || None)
}

fn covered(arena: &Arena) -> Result<Count> {
    let volume = Volume::new()?;
    let below = volume.path.join("below");
    fs::create_dir(&below).doing("mkdir")?;
    fs::write(below.join("secret"), SECRET).doing("write")?;
    let _cover = Mounted::tmpfs(&below)?;
    let victim = || {
        arena.container("victim", &["mapped", "uncover", "/volume/below", "/tmp", "secret"], |config| {
            bind(config, &volume.path, "/volume");
        })
    };
    everywhere(arena, &UserNamespace::ALL, victim, || None)
}

fn spread(arena: &Arena) -> Result<Count> {
    let mut count = Count::default();
    for options in [&["rbind"] as &[&str], &["rbind", "rshared"]] {
        let volume = Volume::new()?;
        let (new, old) = (volume.path.join("new"), volume.path.join("old"));
        for dir in [&new, &old] {
            fs::create_dir(dir).doing("mkdir")?;
        }
        fs::write(new.join("file"), "").doing("write")?;
        let _old = Mounted::tmpfs(&old)?;
        fs::write(old.join("file"), "").doing("write")?;
        volume.mounted.share()?;
        let victim = || {
            arena.container("victim", &["mapped", "spread", "/volume/new", "/volume/old"], |config| {
                config["linux"]["rootfsPropagation"] = json!("shared");
                let source = &volume.path;
                add_mount(config, json!({ "destination": "/volume", "source": source, "options": options }));
            })
        };
        let made =
            everywhere(arena, &UserNamespace::ALL, victim, || match (new.join("file"), old.join("file")) {
                (new, _) if !new.exists() => Some("a mount covers the host's directory".to_owned()),
                (_, old) if !old.exists() => Some("the host's mount is gone".to_owned()),
                _ => None,
            })?;
        count.add(made);
    }
    Ok(count)
}

fn groups(arena: &Arena) -> Result<Count> {
    let attacker = arena.container("attacker", &["mapped", "deny-groups"], |config| {
        with_user_namespace(config);
        // Needed to map the host's root (user_namespaces(7), since 5.12).
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = json!(["CAP_SETFCAP", "CAP_SETUID", "CAP_SETGID"]);
        }
    })?;
    attacker.open_score()?;
    attacker.start()?;
    let words = crate::arena::attacker(&["privileges", "groups"]);
    let mut count = Count::default();
    for _ in 0..3 {
        let mut exec = arena.runtime.command(&[&["exec", "attacker"], words.as_slice()].concat());
        with_groups(&mut exec);
        // The runtime may refuse it.
        exec.status().doing("exec")?;
        count.tries += 1;
    }
    attacker.stop()?;
    Ok(attacker.tally(count))
}

fn cgroups(arena: &Arena) -> Result<Count> {
    let before = cgroup2_options()?;
    let mut count = Count::default();
    for path in ["/proc/self/ns/cgroup", "/proc/thread-self/../../ns/cgroup"] {
        let victim = arena.container("victim", &["mapped", "cgroups", "new"], |config| {
            with_the_hosts_cgroups(config, path);
        })?;
        victim.run()?;
        count.tries += 1;
        let others = count.successes;
        count = victim.tally(count);
        let after = cgroup2_options()?;
        if after != before && count.successes == others {
            count.success(format!("the host's cgroups have the options {after:?}, had {before:?}"));
        }
    }
    Ok(count)
}
