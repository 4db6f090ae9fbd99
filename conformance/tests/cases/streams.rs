// SPDX-License-Identifier: Apache-2.0
//! Standard streams, terminals, and the container's files that the init opens.

use crate::support::{Case, bind_dev, with_image_dev};
use conformance::change::{push, with_user_namespace};
use conformance::console::ConsoleSocket;
use conformance::{Bundle, Doing, Opens, Report, Result, Runtime, ensure, ensure_eq};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use serde_json::json;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, symlink};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "no standard stream is a device node of the host",
        quote: "runc, reOpenDevNull: standard streams that are the host's /dev/null become the container's. A \
                program with the host's device may change its mode for all users",
        run: |runtime| {
            for device in ["/dev/null", "/dev/zero"] {
                let bundle = Bundle::new(&["streams", "/answer"])?
                    .with(|config| config["root"]["readonly"] = json!(false))?;
                let mut command = runtime.command(&["run", "--detach", "c"]);
                command.current_dir(bundle.path()).stdin(File::open(device).doing(device)?);
                conformance::runtime::finish(command)?.ok()?;
                runtime.await_status("c", "stopped")?;
                runtime.run(&["delete", "c"])?.ok()?;
                is_not_the_hosts(&bundle, device)?;
            }
            Ok(())
        },
    },
    Case {
        name: "no standard stream stays the host's null device if the container has none",
        quote: "runc, reOpenDevNull: error reopening /dev/null inside container",
        run: |runtime| {
            let dev = tempfile::tempdir().doing("temporary directory")?;
            let bundle = Bundle::new(&["streams", "/answer"])?.with(|config| bind_dev(config, dev.path()))?;
            if runtime.run_in(&bundle, &["run", "c"])?.status.success() {
                is_not_the_hosts(&bundle, "/dev/null")?;
            }
            Ok(())
        },
    },
    Case {
        name: "exec: no standard stream stays the host's null device if the container has none",
        quote: "runc, reOpenDevNull: error reopening /dev/null inside container. The container may have removed its own",
        run: |runtime| {
            let bundle = Bundle::new(&["sleep"])?.with(|config| config["root"]["readonly"] = json!(false))?;
            runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
            runtime.run(&["exec", "c", "/probe", "unlink", "/dev/null"])?.ok()?;
            let output = runtime.run(&["exec", "c", "/probe", "streams", "/answer"])?;
            runtime.run(&["delete", "--force", "c"])?.ok()?;
            if output.status.success() { is_not_the_hosts(&bundle, "/dev/null") } else { Ok(()) }
        },
    },
    Case {
        name: "HOME never comes from a file of procfs",
        quote: "the image's /etc/passwd is a link to a file of procfs, which the init would read with all its \
                rights: /proc/kmsg takes the kernel's log from the host, /proc/self/environ shows the caller's \
                secrets",
        run: |runtime| {
            for exec in [false, true] {
                let bundle = Bundle::new(&[if exec { "sleep" } else { "report" }])?.with(|config| {
                    config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 });
                })?;
                let passwd = bundle.rootfs("etc/passwd");
                fs::remove_file(&passwd).doing("unlink")?;
                symlink("/proc/self/environ", &passwd).doing("symlink")?;
                let mut args = vec!["run"];
                args.extend(exec.then_some("--detach"));
                args.push("c");
                let mut command = runtime.command(&args);
                command.current_dir(bundle.path()).env("SECRET", "\nuser:x:1000:1000::/leaked:\n");
                let mut output = conformance::runtime::finish(command)?.ok()?;
                if exec {
                    let args = ["exec", "--user", "1000:1000", "c", "/probe", "report"];
                    let mut command = runtime.command(&args);
                    command.env("SECRET", "\nuser:x:1000:1000::/leaked:\n");
                    output = conformance::runtime::finish(command)?.ok()?;
                    runtime.run(&["delete", "--force", "c"])?.ok()?;
                }
                let report: Report = serde_json::from_str(&output.stdout).doing("report")?;
                ensure_eq!(report.variable("HOME"), Some("/"));
            }
            Ok(())
        },
    },
    Case {
        name: "only a file of a devpts is opened for a terminal",
        quote: "the image's /dev/pts/ptmx is a device whose open has side effects: a watchdog fires",
        run: |runtime| {
            let bundle = Bundle::new(&["sleep"])?.with(|config| {
                with_image_dev(config);
                config["process"]["terminal"] = json!(true);
            })?;
            fs::create_dir(bundle.rootfs("dev/pts")).doing("mkdir")?;
            let ptmx = bundle.rootfs("dev/pts/ptmx");
            mknod(&ptmx, SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(1, 5)).doing("mknod")?;
            let opens = Opens::of(&ptmx)?;
            let socket = ConsoleSocket::new()?;
            let path = socket.path();
            let args = ["create", "--console-socket", &path.to_string_lossy(), "c"];
            runtime.run_in(&bundle, &args)?.failed()?;
            ensure_eq!(opens.count()?, 0);
            Ok(())
        },
    },
    Case {
        name: "exec: only a file of a devpts is opened for a terminal",
        quote: "the container has another device at /dev/pts/ptmx, whose open has side effects",
        run: |runtime| {
            let pts = tempfile::tempdir().doing("temporary directory")?;
            let bundle = Bundle::new(&["sleep"])?.with(|config| {
                push(config, json!({ "destination": "/dev/pts", "type": "bind", "source": pts.path(), "options": ["rbind"] }));
            })?;
            let ptmx = pts.path().join("ptmx");
            mknod(&ptmx, SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(1, 5)).doing("mknod")?;
            runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
            let opens = Opens::of(&ptmx)?;
            let socket = ConsoleSocket::new()?;
            let path = socket.path();
            let args = [
                "exec",
                "--tty",
                "--detach",
                "--console-socket",
                &path.to_string_lossy(),
                "c",
                "/probe",
                "sleep",
            ];
            runtime.run(&args)?.failed()?;
            let count = opens.count()?;
            runtime.run(&["delete", "--force", "c"])?.ok()?;
            ensure_eq!(count, 0);
            Ok(())
        },
    },
    Case {
        name: "standard output is the user's in a user namespace",
        quote: "runc#4475, containerd#10598: a user cannot reopen /dev/stdout, because the pipe belongs to the \
                host's root",
        run: |runtime| {
            for exec in [false, true] {
                let args: &[&str] = if exec { &["sleep"] } else { &["write", "/dev/stdout", "hello"] };
                let bundle = Bundle::new(args)?.with(|config| {
                    with_user_namespace(config);
                    config["process"]["user"] = json!({ "uid": 101, "gid": 101 });
                })?;
                if !exec {
                    ensure_eq!(piped(runtime, &bundle, &["run", "c"])?, "hello");
                    continue;
                }
                runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
                let args = ["exec", "--user", "101:101", "c", "/probe", "write", "/dev/stdout", "hello"];
                let said = piped(runtime, &bundle, &args);
                runtime.run(&["delete", "--force", "c"])?.ok()?;
                ensure_eq!(said?, "hello");
            }
            Ok(())
        },
    },
    Case {
        name: "a forwarded pipe is the user's in a user namespace",
        quote: "runc#4475, containerd#10598: engines forward pipes that belong to the host's root",
        run: |runtime| {
            let bundle = Bundle::new(&["write", "/dev/stdout", "hello"])?.with(|config| {
                with_user_namespace(config);
                config["process"]["user"] = json!({ "uid": 101, "gid": 101 });
            })?;
            let said = piped(runtime, &bundle, &["run", "--detach", "c"])?;
            runtime.await_status("c", "stopped")?;
            runtime.run(&["delete", "c"])?.ok()?;
            ensure_eq!(said, "hello");
            Ok(())
        },
    },
    Case {
        name: "a file that is open for reading keeps its owner",
        quote: "a file that is passed as standard input, such as a file of /etc, does not belong to the \
                container's user",
        run: |runtime| {
            let bundle = Bundle::new(&["exit", "0"])?
                .with(|config| config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 }))?;
            let file = tempfile::NamedTempFile::new().doing("temporary file")?;
            let mut command = runtime.command(&["run", "--detach", "c"]);
            command.current_dir(bundle.path()).stdin(File::open(file.path()).doing("open")?);
            conformance::runtime::finish(command)?.ok()?;
            runtime.await_status("c", "stopped")?;
            runtime.run(&["delete", "c"])?.ok()?;
            ensure_eq!(fs::metadata(file.path()).doing("stat")?.uid(), 0);
            Ok(())
        },
    },
    Case {
        name: "exec: the terminal is the user's in a user namespace",
        quote: "crun#1158, podman#17701: the terminal of exec --tty belongs to the overflow uid 65534, and cannot be \
                reopened",
        run: |runtime| {
            let bundle = Bundle::new(&["sleep"])?.with(with_user_namespace)?;
            runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
            let said = ["0:0", "1000:1000"].iter().try_for_each(|user| {
                let socket = ConsoleSocket::new()?;
                let path = socket.path();
                let path = path.to_string_lossy();
                let args = ["exec", "--tty", "--detach", "--user", user, "--console-socket", &path, "c"];
                let program = ["/probe", "write", "/proc/self/fd/1", "hello"];
                runtime.run(&[&args[..], &program].concat())?.ok()?;
                let mut said = Vec::new();
                // A master ends with EIO.
                let _end = File::from(socket.receive()?).read_to_end(&mut said);
                await_orphan();
                let said = String::from_utf8_lossy(&said);
                ensure!(said.contains("hello"), "as {user}: {said}");
                Ok(())
            });
            runtime.run(&["delete", "--force", "c"])?.ok()?;
            said
        },
    },
    Case {
        name: "lines end in CR LF on a real terminal",
        quote: "moby#33101, runc#1272: in the foreground, the terminal of the container does not add the CR; the caller's \
                terminal does (OPOST)",
        run: |runtime| {
            let bundle =
                Bundle::new(&["print", "one"])?.with(|config| config["process"]["terminal"] = json!(true))?;
            let mut command = std::process::Command::new("script");
            command.args(["--quiet", "--return", "--command", "\"$R\" --root \"$ROOT\" run c", "/dev/null"]);
            command.env("R", runtime.program()).env("ROOT", runtime.root()).current_dir(bundle.path());
            // The input has no end: script(1) would type the end of its own input.
            let (read, _open) = std::io::pipe().doing("pipe")?;
            command.stdin(read);
            let output = conformance::runtime::finish(command)?.ok()?;
            ensure!(output.stdout.contains("one\r\n"), "{:?}", output.stdout);
            Ok(())
        },
    },
];

/// Reaps an ended process of a container, which would keep the container's init. Waits for a
/// second.
fn await_orphan() {
    for _ in 0..500 {
        if !matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive)) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// Returns all that a command, or the container that it leaves, writes to a pipe.
fn piped(runtime: &Runtime, bundle: &Bundle, args: &[&str]) -> Result<String> {
    let (mut read, write) = std::io::pipe().doing("pipe")?;
    let mut command = runtime.command(args);
    command.current_dir(bundle.path()).stdout(write).stderr(std::process::Stdio::null());
    let mut child = command.spawn().doing("spawn")?;
    drop(command);
    let mut said = String::new();
    read.read_to_string(&mut said).doing("read")?;
    conformance::runtime::wait(&mut child)?;
    Ok(said)
}

/// Checks that standard input, as `probe streams` recorded it, is not the host's node of this
/// device.
fn is_not_the_hosts(bundle: &Bundle, device: &str) -> Result {
    let meta = fs::metadata(device).doing(device)?;
    let host = format!("{}:{}", meta.dev(), meta.ino());
    let answer = fs::read_to_string(bundle.rootfs("answer")).doing("the probe's answer")?;
    ensure!(answer.lines().count() == 3, "the probe's answer is {answer:?}");
    ensure!(answer.lines().all(|stream| stream != host), "{device} is the host's: {host} among {answer:?}");
    Ok(())
}
