// SPDX-License-Identifier: Apache-2.0
//! The boundary between caller and container: the container inherits nothing from the caller, and
//! the image cannot block the caller.

use crate::support::{Case, command_by, run_by};
use conformance::change::without_namespace;
use conformance::{Bundle, Doing, Report, ensure, ensure_eq};
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "no signal is ignored",
        quote: "execve(2): \"The dispositions of any signals that are being ignored are left unchanged\": a \
                container with its caller's dispositions could not be ended by SIGTERM, or wait for its children",
        run: |runtime| {
            let report = run_by(runtime, &["sh", "-c", "trap '' CHLD TERM USR1; exec \"$@\"", "sh"], |_| ())?;
            let ignored = u64::from_str_radix(&report.status["SigIgn"], 16).doing("SigIgn")?;
            for signal in [nix::libc::SIGCHLD, nix::libc::SIGTERM, nix::libc::SIGUSR1] {
                ensure!(ignored >> (signal - 1) & 1 == 0, "signal {signal} is ignored: {ignored:#x}");
            }
            ensure_eq!(report.status["SigBlk"], "0000000000000000");
            Ok(())
        },
    },
    Case {
        name: "the program has only the configured ambient capabilities",
        quote: "config.md, \"Linux Process\": the `ambient` field is an array of ambient capabilities that are \
            kept for the process",
        run: |runtime| {
            let caller = ["setpriv", "--inh-caps=+kill", "--ambient-caps=+kill"];
            let report = run_by(runtime, &caller, |config| {
                config["process"]["capabilities"]["inheritable"] = json!(["CAP_KILL"]);
            })?;
            ensure_eq!(report.capabilities["CapInh"], "0000000000000020");
            ensure_eq!(report.capabilities["CapAmb"], "0000000000000000");
            Ok(())
        },
    },
    Case {
        name: "the container gets no descriptor of the caller",
        quote: "By default, only the stdin, stdout and stderr file descriptors are kept open for the application by the \
            runtime (runtime-linux.md, File descriptors)",
        run: |runtime| {
            let caller = ["sh", "-c", "exec 3</ 5</dev/null 7</etc 9</dev/zero; exec \"$@\"", "sh"];
            let report = run_by(runtime, &caller, |_| ())?;
            ensure_eq!(report.fds.keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
            // For each step: the container as its caller sees it, and a process that is executed
            // later.
            let bundle = Bundle::new(&["sleep"])?;
            command_by(runtime, &caller, &bundle, &["create", "c"])?.ok()?;
            command_by(runtime, &caller, &bundle, &["start", "c"])?.ok()?;
            let pid = runtime.state("c")?["pid"].clone();
            let list = fs::read_dir(format!("/proc/{pid}/fd")).doing("fd")?;
            let mut names: Vec<_> = list.flatten().map(|entry| entry.file_name()).collect();
            let exec = command_by(runtime, &caller, &bundle, &["exec", "c", "/probe", "report"]);
            runtime.run(&["delete", "--force", "c"])?.ok()?;
            names.sort();
            ensure_eq!(names, ["0", "1", "2"]);
            let report: Report = serde_json::from_str(&exec?.ok()?.stdout).doing("report")?;
            ensure_eq!(report.fds.keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
            Ok(())
        },
    },
    Case {
        name: "the umask is 0022, whatever the caller's is",
        quote: "runc, crun: 0022, where config.md (User) says that an absent umask SHOULD NOT change the caller's \
            (docs/decisions/umask.md)",
        run: |runtime| {
            let report = run_by(runtime, &["sh", "-c", "umask 0007; exec \"$@\"", "sh"], |_| ())?;
            ensure_eq!(report.umask, 0o022);
            Ok(())
        },
    },
    Case {
        name: "hooks get no descriptor of the caller",
        quote: "a surviving hook would keep descriptors of the runtime's caller open: containerd's shim has a \
                listening socket, and the next shim of that name waits for an answer there",
        run: |runtime| {
            let log = tempfile::NamedTempFile::new().doing("log")?;
            let note = |kind: &str| {
                let script = format!("test ! -e /proc/self/fd/7 || echo {kind} >>{}", log.path().display());
                json!([{ "path": "/bin/sh", "args": ["sh", "-c", script] }])
            };
            run_by(runtime, &["sh", "-c", "exec 7</dev/null; exec \"$@\"", "sh"], |config| {
                let kinds = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"];
                config["hooks"] = kinds.into_iter().map(|kind| (kind.to_owned(), note(kind))).collect();
            })?;
            ensure_eq!(fs::read_to_string(log.path()).doing("log")?, "");
            Ok(())
        },
    },
    Case {
        name: "kernel parameters are refused in the caller's namespace, given by path",
        quote: "runc: a path in linux.namespaces may lead to the namespace of the host, whose kernel parameters no \
            container sets",
        run: |runtime| {
            let bundle = Bundle::new(&["exit", "0"])?.with(|config| {
                without_namespace(config, "network");
                let path = format!("/proc/{}/ns/net", std::process::id());
                if let Some(list) = config["linux"]["namespaces"].as_array_mut() {
                    list.push(json!({ "type": "network", "path": path }));
                }
                config["linux"]["sysctl"] = json!({ "net.ipv4.ping_group_range": "1 0" });
            })?;
            runtime.run_in(&bundle, &["run", "c"])?.failed().map(drop)
        },
    },
    Case {
        name: "kernel parameters of interfaces that hooks make are set",
        quote: "runc: kernel parameters are set after the hooks of create, which make interfaces",
        run: |runtime| {
            let parameter = "net.ipv4.conf.made.log_martians";
            let script = "pid=$(sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/'); \
                exec nsenter --net=/proc/$pid/ns/net ip link add made type veth peer other";
            let bundle =
                Bundle::new(&["cat", "/proc/sys/net/ipv4/conf/made/log_martians"])?.with(|config| {
                    config["linux"]["sysctl"] = json!({ parameter: "1" });
                    config["hooks"] = json!({ "createRuntime": [{
                    "path": "/bin/sh", "args": ["sh", "-c", script],
                    "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
                }] });
                })?;
            let output = runtime.run_in(&bundle, &["run", "c"])?.ok()?;
            ensure_eq!(output.stdout, "1\n");
            Ok(())
        },
    },
    Case {
        name: "an endless passwd file is not read to its end",
        quote: "HOME is looked up in the image's /etc/passwd, which may be any file: here, a link to a device",
        run: |runtime| {
            let bundle = Bundle::new(&["report"])?;
            fs::remove_file(bundle.rootfs("etc/passwd")).doing("unlink")?;
            symlink("/dev/zero", bundle.rootfs("etc/passwd")).doing("symlink")?;
            let report = runtime.report(&bundle)?;
            ensure!(report.env.contains(&"HOME=/".to_owned()), "{:?}", report.env);
            Ok(())
        },
    },
];
