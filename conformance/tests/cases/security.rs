// SPDX-License-Identifier: Apache-2.0
//! Published vulnerabilities of container runtimes, each with the harmless part of its exploit.

use crate::support::{Case, refused, with_image_dev};
use conformance::change::{push, without_namespace};
use conformance::console::ConsoleSocket;
use conformance::{Bundle, Doing, Report, Result, Runtime, each, ensure, ensure_eq};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a mask is never the image's file",
        quote: "CVE-2025-31133: masked paths are covered with the image's /dev/null, which is a link",
        run: hostile_null,
    },
    Case {
        name: "a terminal never follows the image's links",
        quote: "CVE-2025-52565, CVE-2026-88264: /dev/console and /dev/pts/N of the image are links",
        run: hostile_console,
    },
    Case {
        name: "standard streams never become the image's file",
        quote: "CVE-2026-88265: the image's /dev/null leads to a volume, whose owner is changed",
        run: null_in_a_volume,
    },
    Case {
        name: "the root is read-only, whatever the image's /proc is",
        quote: "CVE-2026-115521: the last remount goes through the container's /proc/self/fd",
        run: |runtime| {
            let bundle = Bundle::new(&["write", "/written", "x"])?.with(without_mounts)?;
            let fds = bundle.rootfs("proc/self/fd");
            fs::create_dir_all(&fds).doing("mkdir")?;
            for n in 0..64 {
                symlink("/tmp", fds.join(n.to_string())).doing("symlink")?;
            }
            let _either = runtime.run_in(&bundle, &["run", "c"])?;
            ensure!(!bundle.rootfs("written").exists(), "the root is writable");
            Ok(())
        },
    },
    Case {
        name: "a /proc or /sys that is a link is an error",
        quote: "CVE-2023-27561, CVE-2023-28642, CVE-2025-54867: the image's /proc or /sys is a link",
        run: |runtime| {
            for name in ["proc", "sys"] {
                let bundle = Bundle::new(&["exit", "0"])?;
                fs::remove_dir(bundle.rootfs(name)).doing("rmdir")?;
                fs::create_dir(bundle.rootfs("other")).doing("mkdir")?;
                symlink("/other", bundle.rootfs(name)).doing("symlink")?;
                runtime.run_in(&bundle, &["run", "c"])?.failed()?;
            }
            Ok(())
        },
    },
    Case {
        name: "no working directory is outside",
        quote: "CVE-2024-21626: process.cwd is /proc/self/fd/N, and a descriptor of the host was left open",
        run: |runtime| {
            for n in 3..20 {
                let bundle = Bundle::new(&["report"])?
                    .with(|config| config["process"]["cwd"] = json!(format!("/proc/self/fd/{n}")))?;
                let output = runtime.run_in(&bundle, &["run", "c"])?;
                // The runtime's own descriptors, of the container's root and of mounts in it, are
                // harmless: a directory outside would have no path (getcwd(3)).
                let harmless = || output.stdout.contains(r#""cwd":"/"#);
                ensure!(!output.status.success() || harmless(), "descriptor {n} leads out: {output}");
            }
            Ok(())
        },
    },
    Case {
        name: "exec adds no inheritable capabilities",
        quote: "CVE-2022-29162, CVE-2025-27612: exec --cap leaves a non-empty inheritable set",
        run: |runtime| {
            let report = exec(runtime, &["--cap", "CAP_NET_RAW"])?;
            for set in ["CapInh", "CapAmb"] {
                ensure_eq!(report.capabilities.get(set).map(String::as_str), Some("0000000000000000"));
            }
            Ok(())
        },
    },
    Case {
        name: "a numeric user is a number",
        quote: "CVE-2016-3697, CVE-2026-30892: a user \"1000\" of the image's passwd wins over the uid",
        run: |runtime| {
            ensure_eq!(exec(runtime, &["--user", "1000"])?.uids, [1000; 4]);
            ensure_eq!(exec(runtime, &["--user", "1:1"])?.uids, [1; 4]);
            Ok(())
        },
    },
    Case {
        name: "kernel parameters of the host are refused",
        quote: "CVE-2022-0811: a sysctl that has no namespace, or a path that leads to one",
        run: |runtime| {
            let all = ["kernel.panic", "kernel.core_pattern", "vm.overcommit_memory", "fs.file-max"];
            for name in all.into_iter().chain(["net/../kernel/panic", "net.ipv4/../../kernel/panic"]) {
                refused(runtime, |config| config["linux"]["sysctl"] = json!({ name: "1" }))?;
            }
            refused(runtime, |config| {
                without_namespace(config, "network");
                config["linux"]["sysctl"] = json!({ "net.ipv4.ip_forward": "1" });
            })
        },
    },
    Case {
        name: "lengths beyond the size of a message are errors",
        quote: "CVE-2021-43784: the length of a namespace's path or of id mappings overflows a netlink attribute",
        run: |runtime| {
            refused(runtime, |config| {
                let path = "/".repeat(70_000) + "proc/1/ns/net";
                without_namespace(config, "network");
                if let Some(list) = config["linux"]["namespaces"].as_array_mut() {
                    list.push(json!({ "type": "network", "path": path }));
                }
            })?;
            refused(runtime, |config| {
                let map: Vec<_> = (0..5000)
                    .map(|n| json!({ "containerID": n, "hostID": 100_000 + n, "size": 1 }))
                    .collect();
                config["linux"]["uidMappings"] = json!(map);
                config["linux"]["gidMappings"] = json!(map);
                if let Some(list) = config["linux"]["namespaces"].as_array_mut() {
                    list.push(json!({ "type": "user" }));
                }
            })
        },
    },
    Case {
        name: "exec stays in the container's cgroup",
        quote: "runc 1.5.2: exec --cgroup leads to a sibling by `..` or by a name with the same beginning",
        run: |runtime| {
            let bundle = Bundle::new(&["sleep"])?;
            runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
            for path in ["../../x", "..", "/../x", "-other"] {
                runtime.run(&["exec", "--cgroup", path, "c", "/probe", "exit", "0"])?.failed()?;
            }
            runtime.run(&["delete", "--force", "c"])?.ok().map(drop)
        },
    },
    Case {
        name: "exec shows nothing of the host to a tracer",
        quote: "CVE-2016-9962: a process that may trace others finds the host's directories in /proc/PID/fd",
        run: watched_exec,
    },
    Case {
        name: "nothing is made outside when directories become links in the middle",
        quote: "CVE-2021-30465, CVE-2024-45310: a volume's directory is exchanged with a link while it is mounted on",
        run: exchanged,
    },
    Case {
        name: "another file system on /proc is an error",
        quote: "CVE-2019-16884, CVE-2019-19921: with a directory of the image or of a volume as /proc, labels \
                are written into a file and have no effect",
        run: |runtime| {
            let volume = tempfile::tempdir().doing("temporary directory")?;
            each(["bind", "rbind"], |option| {
                refused(runtime, |config| {
                    config["mounts"] = json!([
                        { "destination": "/proc", "source": volume.path(), "options": [option] },
                    ]);
                    config["linux"]["maskedPaths"] = json!([]);
                    config["linux"]["readonlyPaths"] = json!([]);
                })
            })
        },
    },
    Case {
        name: "a mount that a link of the image leads into /proc is an error",
        quote: "CVE-2019-16884, CVE-2025-52881: a mount below /proc redirects the runtime's writes",
        run: |runtime| {
            each(["/proc/sys", "/proc/self/attr", "/proc/1/task"], |target| {
                let bundle = Bundle::new(&["exit", "0"])?.with(|config| {
                    push(config, json!({ "destination": "/link", "type": "tmpfs", "source": "t" }));
                })?;
                symlink(target, bundle.rootfs("link")).doing("symlink")?;
                runtime.run_in(&bundle, &["run", "c"])?.failed().map(drop)
            })
        },
    },
    Case {
        name: "the host's mounts do not change without a mount namespace",
        quote: "runc 1.5.3: without a mount namespace the propagation of the host's / was changed",
        run: |runtime| {
            let bundle = Bundle::new(&["exit", "0"])?.with(|config| {
                without_mounts(config);
                without_namespace(config, "mount");
                config["root"]["readonly"] = json!(false);
            })?;
            // The container may fail. The check after each case finds changes on the host.
            each([&["run", "c"][..], &["run", "--no-pivot", "c"]], |args| {
                runtime.run_in(&bundle, args).map(drop)
            })
        },
    },
];

fn without_mounts(config: &mut Value) {
    config["mounts"] = json!([]);
    config["linux"]["maskedPaths"] = json!([]);
    config["linux"]["readonlyPaths"] = json!([]);
}

/// Returns the report of a process that exec has started with these flags.
fn exec(runtime: &Runtime, flags: &[&str]) -> Result<Report> {
    let bundle = Bundle::new(&["sleep"])?;
    fs::write(bundle.rootfs("etc/passwd"), "root:x:0:0::/:\n1000:x:0:0::/:\n1:x:0:0::/:\n")
        .doing("write passwd")?;
    runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
    let args = [&["exec"], flags, &["c", "/probe", "report"]].concat();
    let output = runtime.run(&args)?.ok()?;
    runtime.run(&["delete", "--force", "c"])?.ok()?;
    serde_json::from_str(&output.stdout).doing("the probe's report")
}

fn hostile_null(runtime: &Runtime) -> Result {
    for kind in ["link", "file", "nothing"] {
        let bundle = Bundle::new(&["cat", "/secret"])?.with(|config| {
            with_image_dev(config);
            config["linux"]["maskedPaths"] = json!(["/secret"]);
        })?;
        fs::write(bundle.rootfs("secret"), "secret").doing("write")?;
        fs::write(bundle.rootfs("trap"), "trap").doing("write")?;
        let null = bundle.rootfs("dev/null");
        match kind {
            "link" => symlink("/trap", null).doing("symlink")?,
            "file" => fs::write(null, "trap").doing("write")?,
            _ => {}
        }
        let output = runtime.run_in(&bundle, &["run", "c"])?;
        ensure!(output.stdout.is_empty(), "/dev/null is a {kind}: {output}");
    }
    Ok(())
}

fn hostile_console(runtime: &Runtime) -> Result {
    let outside = tempfile::tempdir().doing("temporary directory")?;
    fs::write(outside.path().join("file"), "mine").doing("write")?;
    for target in ["file", "new"] {
        let target = outside.path().join(target);
        let bundle = Bundle::new(&["sleep"])?.with(|config| {
            with_image_dev(config);
            config["process"]["terminal"] = json!(true);
            config["root"]["readonly"] = json!(false);
        })?;
        symlink(&target, bundle.rootfs("dev/console")).doing("symlink")?;
        fs::create_dir(bundle.rootfs("dev/pts")).doing("mkdir")?;
        for n in 0..16 {
            symlink(&target, bundle.rootfs(&format!("dev/pts/{n}"))).doing("symlink")?;
        }
        let socket = ConsoleSocket::new()?;
        let path = socket.path();
        let output =
            runtime.run_in(&bundle, &["create", "--console-socket", &path.to_string_lossy(), "c"])?;
        if output.status.success() {
            socket.receive()?;
            runtime.run(&["start", "c"])?;
            runtime.run(&["delete", "--force", "c"])?.ok()?;
        }
        ensure!(!outside.path().join("new").exists(), "a file was made outside");
        let content = fs::read_to_string(outside.path().join("file")).doing("read")?;
        ensure_eq!(content, "mine");
    }
    Ok(())
}

fn null_in_a_volume(runtime: &Runtime) -> Result {
    let volume = tempfile::tempdir().doing("temporary directory")?;
    let file = volume.path().join("file");
    fs::write(&file, "").doing("write")?;
    let bundle = Bundle::new(&["print", "leaked"])?.with(|config| {
        with_image_dev(config);
        config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 });
        if let Some(mounts) = config["mounts"].as_array_mut() {
            mounts.push(json!({ "destination": "/volume", "source": volume.path(), "options": ["rbind"] }));
        }
    })?;
    fs::create_dir(bundle.rootfs("volume")).doing("mkdir")?;
    symlink("/volume/file", bundle.rootfs("dev/null")).doing("symlink")?;
    let mut command = runtime.command(&["run", "c"]);
    command.current_dir(bundle.path());
    // Standard output is the host's /dev/null, which the runtime has to replace.
    let mut child = command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .doing("run")?;
    conformance::runtime::wait(&mut child)?;
    let meta = fs::metadata(&file).doing("stat")?;
    ensure!(meta.uid() == 0 && meta.len() == 0, "the volume's file belongs to {}, {meta:?}", meta.uid());
    Ok(())
}

fn watched_exec(runtime: &Runtime) -> Result {
    let marker = tempfile::NamedTempFile::new().doing("temporary file")?;
    let marker = marker.path().to_string_lossy();
    let bundle = Bundle::new(&["watch", "/found", &marker])?.with(|config| {
        config["root"]["readonly"] = json!(false);
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = json!(["CAP_SYS_PTRACE", "CAP_KILL"]);
        }
    })?;
    runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
    // A descriptor of the host's root, as a careless engine leaks it to the runtime.
    let _leak = nix::fcntl::open("/", nix::fcntl::OFlag::O_DIRECTORY, nix::sys::stat::Mode::empty())
        .doing("open /")?;
    for _ in 0..40 {
        runtime.run(&["exec", "c", "/probe", "exit", "0"])?.ok()?;
    }
    runtime.run(&["delete", "--force", "c"])?.ok()?;
    let found = fs::read_to_string(bundle.rootfs("found")).doing("what the watcher found")?;
    ensure_eq!(found.trim(), "");
    Ok(())
}

fn exchanged(runtime: &Runtime) -> Result {
    let volume = tempfile::tempdir().doing("temporary directory")?;
    let outside = tempfile::tempdir().doing("temporary directory")?;
    let (dir, link) = (volume.path().join("dir"), volume.path().join("link"));
    fs::create_dir(&dir).doing("mkdir")?;
    symlink(outside.path(), &link).doing("symlink")?;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let flags = nix::fcntl::RenameFlags::RENAME_EXCHANGE;
                let cwd = nix::fcntl::AT_FDCWD;
                if let Err(errno) = nix::fcntl::renameat2(cwd, &dir, cwd, &link, flags) {
                    unreachable!("renameat2 in a directory of our own: {errno}");
                }
            }
        });
        let result = creates_over(runtime, volume.path(), outside.path());
        done.store(true, Ordering::Relaxed);
        result
    })
}

fn creates_over(runtime: &Runtime, volume: &Path, outside: &Path) -> Result {
    let bundle = Bundle::new(&["exit", "0"])?.with(|config| {
        if let Some(mounts) = config["mounts"].as_array_mut() {
            mounts.push(json!({ "destination": "/volume", "source": volume, "options": ["rbind"] }));
            mounts.push(json!({ "destination": "/volume/dir/a/b", "type": "tmpfs", "source": "x" }));
        }
    })?;
    fs::create_dir(bundle.rootfs("volume")).doing("mkdir")?;
    for _ in 0..40 {
        let _either = runtime.run_in(&bundle, &["run", "c"])?;
        let made: Vec<_> = fs::read_dir(outside).doing("read")?.flatten().map(|e| e.path()).collect();
        ensure!(made.is_empty(), "made outside: {made:?}");
    }
    Ok(())
}
