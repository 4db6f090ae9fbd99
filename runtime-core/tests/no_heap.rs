// SPDX-License-Identifier: Apache-2.0
//! The child of the clone never uses the heap: this program's allocator aborts every process but
//! the first one, while other threads hold its locks as often as possible. A library must be usable
//! in a program with threads.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use conformance::{Agent, Bundle};
use runtime_core::host::Fitness;
use runtime_core::trace::Trace;
use runtime_core::{ContainerId, DeleteOptions, ErrorKind, Runtime, spec};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use sys_testing::heap::Tripwire;

#[global_allocator]
static ALLOCATOR: Tripwire = Tripwire::new();

/// Makes a configuration that takes the child through every step that this machine has.
fn bundle(args: &[&str]) -> Bundle {
    let bundle = Bundle::new(args).unwrap();
    let source = bundle.path().join("config.json");
    bundle
        .with(|config| {
            config["hostname"] = json!("no-heap");
            config["domainname"] = json!("example.org");
            config["root"]["readonly"] = json!(true);
            config["process"]["env"] = json!(["PATH=/nowhere:/"]);
            config["process"]["args"][0] = json!("probe");
            config["process"]["user"] = json!({ "uid": 1000, "gid": 1000, "additionalGids": [5, 6] });
            config["process"]["cwd"] = json!("/tmp/made");
            config["linux"]["sysctl"] = json!({ "net.ipv4.ip_forward": "0", "kernel.shm_rmid_forced": "0" });
            config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "time" }));
            config["linux"]["timeOffsets"] = json!({ "monotonic": { "secs": 100 } });
            config["linux"]["rootfsPropagation"] = json!("shared");
            config["linux"]["personality"] = json!({ "domain": "LINUX" });
            config["linux"]["memoryPolicy"] = json!({ "mode": "MPOL_PREFERRED", "nodes": "0" });
            config["hooks"] = json!({
                "createRuntime": [{ "path": "/bin/true" }],
                "createContainer": [{ "path": "/bin/true" }],
                "startContainer": [{ "path": "/probe", "args": ["probe", "exit", "0"] }],
            });
            let mounts = config["mounts"].as_array_mut().unwrap();
            mounts.push(json!({ "destination": "/made/dir", "type": "tmpfs", "source": "t", "options": ["ro", "rslave"] }));
            mounts.push(json!({ "destination": "/made/file", "source": source, "options": ["bind", "ro", "rnosuid"] }));
            mounts.push(json!({ "destination": "/tmp", "type": "tmpfs", "source": "t" }));
            mounts.push(json!({ "destination": "/etc", "type": "tmpfs", "source": "t", "options": ["tmpcopyup"] }));
            mounts.push(json!({ "destination": "/copy", "source": "rootfs/etc", "options": ["bind", "rprivate"] }));
            config["linux"]["seccomp"] = filter(None);
        })
        .unwrap()
}

/// Adds a user namespace, and a mount that only the parent can make.
fn in_user_namespace(bundle: Bundle) -> Bundle {
    let identity = json!([{ "containerID": 0, "hostID": 0, "size": 65536 }]);
    bundle
        .with(|config| {
            config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "user" }));
            config["linux"]["uidMappings"] = identity.clone();
            config["linux"]["gidMappings"] = identity;
            config["linux"]["devices"] = json!([
                { "path": "/dev/made", "type": "c", "major": 1, "minor": 5, "fileMode": 0o600, "uid": 7 },
            ]);
            let mounts = config["mounts"].as_array_mut().unwrap();
            mounts.push(
                json!({ "destination": "/mapped", "source": "rootfs/root", "options": ["bind", "idmap"] }),
            );
        })
        .unwrap()
}

/// Returns a filter; with an agent, one that notifies every call that the child makes under it.
fn filter(agent: Option<&Path>) -> Value {
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "listenerPath": agent.unwrap_or(Path::new("")),
        "syscalls": [
            { "names": ["acct", "swapon"], "action": "SCMP_ACT_ERRNO" },
            { "names": ["read", "write", "execve"], "action": if agent.is_some() { "SCMP_ACT_NOTIFY" } else { "SCMP_ACT_ALLOW" } },
        ],
    })
}

/// Makes the root of the files of the bundle: by a bind mount, or by an overlay.
fn root_mount(round: i32, bundle: &Bundle) -> spec::Mount {
    let path = |name: &str| {
        let path = bundle.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        path.display().to_string()
    };
    let overlay = || {
        ["lowerdir=", "upperdir=", "workdir="]
            .into_iter()
            .zip(["rootfs", "upper", "work"])
            .map(|(key, name)| format!("{key}{}", path(name)))
    };
    match round {
        // Its layers are id-mapped.
        0 => spec::Mount {
            kind: "overlay".into(),
            options: overlay().chain(["uidmap=0:0:65536".into(), "gidmap=0:0:65536".into()]).collect(),
            ..Default::default()
        },
        // Its options are longer than fsconfig(2) takes.
        6 => {
            let mut options: Vec<_> = overlay().collect();
            options[0].extend([":".to_owned(), path(&"x".repeat(250))]);
            spec::Mount { kind: "overlay".into(), options, ..Default::default() }
        }
        _ => spec::Mount {
            source: path("rootfs"),
            options: vec!["rbind".into(), "nosuid".into()],
            ..Default::default()
        },
    }
}

#[test]
fn create_exec_and_run_allocate_nothing_after_the_clone() {
    ALLOCATOR.arm();
    static STOP: AtomicBool = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !STOP.load(Ordering::Relaxed) {
                    std::hint::black_box(vec![0u8; 1000]);
                }
            });
        }
        let result = std::panic::catch_unwind(containers);
        STOP.store(true, Ordering::Relaxed);
        result.unwrap();
    });
}

fn containers() {
    let trace = Trace::begin().unwrap();
    let root = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(root.path());
    let id = ContainerId::new(&format!("no-heap-{}", std::process::id())).unwrap();
    let container = runtime.container(id.clone());

    // With an agent, and with capabilities that only the filter needs.
    let agent = Agent::start(&[]).unwrap();
    for round in 0..12 {
        let bundle = bundle(&["sleep"])
            .with(|config| {
                if round >= 10 {
                    config["linux"]["seccomp"] = filter(Some(agent.path()));
                    config["process"]["noNewPrivileges"] = json!(false);
                }
            })
            .unwrap();
        let bundle = if round % 2 == 0 { bundle } else { in_user_namespace(bundle) };
        let mut create = runtime.builder(id.clone(), bundle.path()).parallel(round % 4 == 0);
        if round % 3 == 0 {
            let below =
                spec::Mount { destination: "/srv".into(), kind: "tmpfs".into(), ..Default::default() };
            create = create.rootfs_mounts([root_mount(round, &bundle), below]);
        }
        let created = create.create().unwrap_or_else(|e| panic!("{round}: {e:?}"));
        container.start().unwrap();
        let process = spec::Process {
            args: vec!["probe".into(), "exit".into(), "7".into()],
            env: vec!["PATH=/".into()],
            cwd: "/".into(),
            ..Default::default()
        };
        let executed = container.exec(process).spawn().unwrap_or_else(|e| panic!("{round}: {e:?}"));
        assert_eq!(executed.wait().unwrap().code(), 7);
        container.kill(libc::SIGKILL).unwrap();
        created.wait().unwrap();
        container.delete(DeleteOptions::new()).unwrap();
    }

    // A failure of a child is reported without the heap, too: of the process that mounts, and of the init.
    let plain = bundle(&[]);
    for round in [0, 6] {
        let mut overlay = root_mount(round, &plain);
        overlay.options.push("nonsense".into());
        let error = runtime.builder(id.clone(), plain.path()).rootfs_mounts([overlay]).create().unwrap_err();
        assert_eq!(error.field(), Some("rootfs_mounts[0]"), "{error:?}");
    }
    let broken = bundle(&[]).with(|config| config["process"]["args"] = json!(["nonexistent"])).unwrap();
    let error = runtime.builder(id.clone(), broken.path()).create().unwrap_err();
    assert!(
        error.report().contains("exec: \"nonexistent\": executable file not found in $PATH; hint: "),
        "{error:?}"
    );

    // So is a program that execve(2) refuses.
    let script = bundle(&[]).with(|config| config["process"]["args"] = json!(["/script"])).unwrap();
    std::fs::write(script.rootfs("script"), "#!/nonexistent\n").unwrap();
    std::fs::set_permissions(script.rootfs("script"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let error = runtime.builder(id.clone(), script.path()).run().unwrap_err();
    let text =
        "exec /script: no such file or directory; hint: its #! line names \"/nonexistent\", which is missing";
    assert!(error.report().starts_with(text), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::NotExecuted);
    assert_eq!(container.state().unwrap_err().kind(), ErrorKind::NotFound);
    let created = runtime.builder(id, script.path()).create().unwrap();
    assert!(container.start().unwrap_err().report().starts_with(text));
    assert_eq!(created.wait().unwrap().code(), 255);
    container.delete(DeleteOptions::new()).unwrap();

    // A process that used the heap would have been killed.
    let report = runtime.check();
    assert!(report.rows.iter().all(|row| !row.found.contains("kills the caller")), "{report:?}");
    assert_eq!(report.row("kernel.pivot-root").unwrap().fitness, Fitness::Works);

    // All processes have marked their steps.
    let timeline = trace.to_json();
    for step in ["\"name\":\"Join\"", "\"name\":\"Mount\"", "\"name\":\"Seccomp\"", "\"name\":\"EnterPid\""] {
        assert!(timeline.contains(step), "no {step}");
    }
    assert!(timeline.contains("\"0 marks lost\""), "{timeline}");
}
