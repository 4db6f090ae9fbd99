// SPDX-License-Identifier: Apache-2.0
//! The default container of `runc spec`, seen from inside.

use crate::support::{Case, has_links, own_namespace};
use conformance::change::{push, without_namespace};
use conformance::{Bundle, Doing, Report, Result, Runtime, ensure, ensure_eq};
use serde_json::json;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "namespaces without a path are new",
        quote: "If path is not specified, the runtime MUST create a new container namespace of type type \
                (config-linux.md, Namespaces)",
        run: |runtime| {
            let report = report(runtime)?;
            ensure_eq!(report.pid, 1);
            ensure_eq!(report.processes, [1]);
            ensure_eq!(report.hostname, "inside");
            ensure_eq!(report.cgroup, "/");
            for kind in ["pid", "net", "ipc", "uts", "mnt", "cgroup"] {
                ensure!(report.namespaces.get(kind) != Some(&own_namespace(kind)?), "{kind} is the host's");
            }
            Ok(())
        },
    },
    Case {
        name: "namespaces that are not listed are shared",
        quote: "If a namespace type is not specified in the namespaces array, the container MUST inherit the \
                runtime namespace of that type (config-linux.md, Namespaces)",
        run: |runtime| {
            let bundle = Bundle::new(&["report"])?.with(|config| {
                for kind in ["network", "ipc", "cgroup", "uts", "pid"] {
                    without_namespace(config, kind);
                }
                config.as_object_mut().map(|all| all.remove("hostname"));
            })?;
            let report = runtime.report(&bundle)?;
            for kind in ["net", "ipc", "cgroup", "uts", "pid", "user", "time"] {
                ensure_eq!(report.namespaces.get(kind), Some(&own_namespace(kind)?));
            }
            Ok(())
        },
    },
    Case {
        name: "a mount namespace that is not listed is shared",
        quote: "If a namespace type is not specified in the namespaces array, the container MUST inherit the \
                runtime namespace of that type (config-linux.md, Namespaces)",
        run: |runtime| {
            let bundle = Bundle::new(&["sleep"])?.with(|config| {
                without_namespace(config, "mount");
                config["mounts"] = json!([]);
                config["linux"]["maskedPaths"] = json!([]);
                config["linux"]["readonlyPaths"] = json!([]);
                config["root"]["readonly"] = json!(false);
            })?;
            runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
            let pid = runtime.state("c")?["pid"].clone();
            let of = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/mnt")).doing("readlink");
            let (inside, own) = (of(&pid.to_string())?, of("self")?);
            let root = std::path::Path::new(&format!("/proc/{pid}/root/probe")).exists();
            runtime.run(&["delete", "--force", "c"])?.ok()?;
            ensure_eq!(inside, own);
            ensure!(root, "its root is not the container's");
            Ok(())
        },
    },
    Case {
        name: "the loopback interface is up",
        quote: "runc: in a new network namespace lo is up",
        run: |runtime| {
            ensure_eq!(report(runtime)?.interfaces, [("lo".to_owned(), true)].into());
            Ok(())
        },
    },
    Case {
        name: "the mounts are made in their order",
        quote: "The runtime MUST mount entries in the listed order (config.md, Mounts)",
        run: mounts,
    },
    Case {
        name: "a read-only root file system cannot be written to",
        quote: "readonly: If true then the root filesystem MUST be read-only inside the container (config.md, Root)",
        run: |runtime| {
            let bundle = Bundle::new(&["write", "/x", "y"])?;
            let output = runtime.run_in(&bundle, &["run", "c"])?.failed()?;
            ensure!(output.stderr.contains("Read-only file system"), "{output}");
            let bundle = bundle.with(|config| config["root"]["readonly"] = json!(false))?;
            runtime.run_in(&bundle, &["run", "c"])?.ok()?;
            ensure!(bundle.rootfs("x").exists(), "nothing was written");
            Ok(())
        },
    },
    Case {
        name: "the default devices are supplied",
        quote: "In addition to any devices configured with this setting, the runtime MUST also supply /dev/null, \
                /dev/zero, /dev/full, /dev/random, /dev/urandom, /dev/tty and /dev/ptmx (config-linux.md, Default Devices)",
        run: |runtime| {
            let report = report(runtime)?;
            let kind = |name: &str| report.dev.get(name).map(|node| node.kind.as_str());
            for (name, number) in [
                ("null", "1:3"),
                ("zero", "1:5"),
                ("full", "1:7"),
                ("random", "1:8"),
                ("urandom", "1:9"),
                ("tty", "5:0"),
            ] {
                ensure_eq!(kind(name), Some(format!("char {number}").as_str()));
                ensure_eq!(report.dev.get(name).map(|node| (node.mode, node.owner)), Some((0o666, (0, 0))));
            }
            ensure_eq!(kind("ptmx"), Some("link pts/ptmx"));
            Ok(())
        },
    },
    Case {
        name: "/dev has links to the standard streams",
        quote: "The runtime MUST create the following symlinks if the source file exists after processing mounts: \
                /dev/fd, /dev/stdin, /dev/stdout, /dev/stderr (runtime-linux.md, Dev symbolic links)",
        run: |runtime| has_links(&report(runtime)?),
    },
    Case {
        name: "masked paths cannot be read",
        quote: "maskedPaths will mask over the provided paths inside the container so that they cannot be read \
                (config-linux.md, Masked Paths)",
        run: |runtime| {
            let bundle = Bundle::new(&["cat", "/secret/file"])?.with(|config| {
                config["linux"]["maskedPaths"] = json!(["/secret/file", "/dir", "/nonexistent", "/dir"]);
            })?;
            for dir in ["secret", "dir"] {
                std::fs::create_dir(bundle.rootfs(dir)).doing("mkdir")?;
            }
            std::fs::write(bundle.rootfs("secret/file"), "secret").doing("write")?;
            std::fs::write(bundle.rootfs("dir/file"), "secret").doing("write")?;
            ensure_eq!(runtime.run_in(&bundle, &["run", "c"])?.ok()?.stdout, "");
            let bundle =
                bundle.with(|config| config["process"]["args"] = json!(["/probe", "cat", "/dir/file"]))?;
            let output = runtime.run_in(&bundle, &["run", "c"])?.failed()?;
            ensure!(output.stderr.contains("No such file"), "{output}");
            Ok(())
        },
    },
    Case {
        name: "read-only paths cannot be written to",
        quote: "readonlyPaths will set the provided paths as readonly inside the container \
                (config-linux.md, Readonly Paths)",
        run: |runtime| {
            let report = report(runtime)?;
            let exists = |path: &&&str| std::path::Path::new(path).exists();
            for path in ["/proc/sys", "/proc/sysrq-trigger", "/proc/irq"].iter().filter(exists).copied() {
                let readonly = report.mount(path).map(|m| m.options.contains(&"ro".to_owned()));
                ensure!(readonly == Some(true), "{path} is not read-only");
            }
            Ok(())
        },
    },
    Case {
        name: "the program has the configured capabilities",
        quote: "capabilities is an object containing arrays that specifies the sets of capabilities for the process \
                (config.md, Linux Process)",
        run: |runtime| {
            let report = report(runtime)?;
            // CAP_KILL 5, CAP_NET_BIND_SERVICE 10, CAP_AUDIT_WRITE 29
            let three = format!("{:016x}", 1u64 << 5 | 1 << 10 | 1 << 29);
            for set in ["CapBnd", "CapEff", "CapPrm"] {
                ensure_eq!(report.capabilities.get(set), Some(&three));
            }
            for set in ["CapInh", "CapAmb"] {
                ensure_eq!(report.capabilities.get(set), Some(&"0".repeat(16)));
            }
            Ok(())
        },
    },
    Case {
        name: "an unknown capability is a warning",
        quote: "If the runtime cannot grant a capability it MUST log a warning and SHOULD NOT fail \
                (config.md, Linux Process, since 1.1)",
        run: |runtime| {
            let bundle = Bundle::new(&["exit", "0"])?.with(|config| {
                config["process"]["capabilities"]["bounding"] = json!(["CAP_KILL", "CAP_NO_SUCH_THING"]);
            })?;
            let output = runtime.run_in(&bundle, &["run", "c"])?.ok()?;
            ensure!(output.stderr.contains("CAP_NO_SUCH_THING"), "{output}");
            Ok(())
        },
    },
    Case {
        name: "the program has the configured resource limits",
        quote: "getrlimit(3) MUST succeed, rlim.rlim_cur MUST match the configured value, rlim.rlim_max MUST match \
                the configured value (config.md, POSIX Process)",
        run: |runtime| {
            let bundle = Bundle::new(&["report"])?.with(|config| {
                config["process"]["rlimits"] = json!([
                    { "type": "RLIMIT_NOFILE", "soft": 100, "hard": 200 },
                    { "type": "RLIMIT_CORE", "soft": 0, "hard": 0 },
                ]);
            })?;
            let report = runtime.report(&bundle)?;
            ensure_eq!(report.rlimits.get("RLIMIT_NOFILE"), Some(&(100, 200)));
            ensure_eq!(report.rlimits.get("RLIMIT_CORE"), Some(&(0, 0)));
            Ok(())
        },
    },
    Case {
        name: "no_new_privs is set",
        quote: "noNewPrivileges: setting it to true prevents the process from gaining additional privileges \
                (config.md, Linux Process)",
        run: |runtime| {
            ensure_eq!(report(runtime)?.status.get("NoNewPrivs").map(String::as_str), Some("1"));
            let bundle = Bundle::new(&["report"])?
                .with(|config| config["process"]["noNewPrivileges"] = json!(false))?;
            ensure_eq!(runtime.report(&bundle)?.status.get("NoNewPrivs").map(String::as_str), Some("0"));
            Ok(())
        },
    },
    Case {
        name: "the program has its user and only the configured groups",
        quote: "additionalGids specifies additional group IDs in the container namespace to be added to the process \
                (config.md, POSIX-platform User)",
        run: |runtime| {
            let bundle = Bundle::new(&["report"])?.with(|config| {
                config["process"]["user"] = json!({ "uid": 1000, "gid": 1001, "additionalGids": [5, 7] });
            })?;
            let report = runtime.report(&bundle)?;
            ensure_eq!(report.uids, [1000; 4]);
            ensure_eq!(report.gids, [1001; 4]);
            ensure_eq!(report.groups, [5, 7]);
            ensure_eq!(report.capabilities.get("CapEff"), Some(&"0".repeat(16)));
            // The caller's own groups are not the container's (CVE-2014-8989 and similar ones).
            let mut command = runtime.command(&["run", "c"]);
            let bundle = Bundle::new(&["report"])?;
            command.current_dir(bundle.path());
            with_groups(&mut command);
            let output = conformance::runtime::finish(command)?.ok()?;
            let report: Report = serde_json::from_str(&output.stdout).doing("report")?;
            ensure_eq!(report.groups, Vec::<u32>::new());
            Ok(())
        },
    },
    Case {
        name: "HOME comes from passwd, and a repeated variable has its last value",
        quote: "runc: the last value of a repeated variable is used, at its position; HOME comes from the \
                container's /etc/passwd",
        run: |runtime| {
            let bundle = Bundle::new(&["report"])?.with(|config| {
                config["process"]["env"] = json!(["Z=1", "A=2", "Z=3", "EMPTY="]);
                config["process"]["user"]["uid"] = json!(1000);
            })?;
            ensure_eq!(runtime.report(&bundle)?.env, ["A=2", "Z=3", "EMPTY=", "HOME=/home/user"]);
            let bundle = bundle.with(|config| config["process"]["env"] = json!(["HOME=/x"]))?;
            ensure_eq!(runtime.report(&bundle)?.env, ["HOME=/x"]);
            let bundle = bundle.with(|config| {
                config["process"]["env"] = json!([]);
                config["process"]["user"]["uid"] = json!(4711);
            })?;
            ensure_eq!(runtime.report(&bundle)?.env, ["HOME=/"]);
            Ok(())
        },
    },
    Case {
        name: "the program gets its arguments and is found in PATH",
        quote: "args: this specification extends the IEEE standard in that at least one entry is REQUIRED, and that \
                entry is used with the same semantics as execvp's file (config.md, Process)",
        run: |runtime| {
            let bundle = Bundle::new(&["report"])?
                .with(|config| config["process"]["args"] = json!(["probe", "report"]))?;
            ensure_eq!(runtime.report(&bundle)?.args, ["probe", "report"]);
            Ok(())
        },
    },
    Case {
        name: "the program has its working directory and umask",
        quote: "cwd is the working directory that will be set for the executable; umask specifies the umask of the user \
                (config.md, Process)",
        run: |runtime| {
            let bundle = Bundle::new(&["report"])?.with(|config| {
                config["process"]["cwd"] = json!("/tmp");
                config["process"]["user"]["umask"] = json!(0o077);
            })?;
            let report = runtime.report(&bundle)?;
            ensure_eq!(report.cwd, "/tmp");
            ensure_eq!(report.umask, 0o077);
            let bundle = Bundle::new(&["report"])?.with(|config| {
                config["process"]["cwd"] = json!("/made/by/the/runtime");
                config["root"]["readonly"] = json!(false);
            })?;
            let report = runtime.report(&bundle)?;
            ensure_eq!(report.cwd, "/made/by/the/runtime");
            ensure_eq!(report.umask, 0o022);
            Ok(())
        },
    },
    Case {
        name: "only the standard descriptors are open",
        quote: "By default, only the stdin, stdout and stderr file descriptors are kept open for the application by \
                the runtime (runtime-linux.md, File descriptors)",
        run: |runtime| {
            let report = report(runtime)?;
            ensure_eq!(report.fds.keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
            ensure_eq!(report.status.get("SigBlk").map(String::as_str), Some("0000000000000000"));
            Ok(())
        },
    },
    Case {
        name: "only allowed devices can be opened",
        quote: "devices: configures the allowed device list; the runtime MUST apply entries in the listed order \
                (config-linux.md, Allowed Device list)",
        run: |runtime| {
            // The numbers of /dev/mem, which every host has and no default rule allows.
            let device =
                json!({ "path": "/dev/test", "type": "c", "major": 1, "minor": 1, "fileMode": 0o666 });
            let bundle = Bundle::new(&["cat", "/dev/test"])?
                .with(|config| config["linux"]["devices"] = json!([device]))?;
            let output = runtime.run_in(&bundle, &["run", "c"])?.failed()?;
            ensure!(output.stderr.contains("Operation not permitted"), "{output}");
            // The numbers of /dev/kmsg, which can be opened for writing without harm.
            let device =
                json!({ "path": "/dev/test", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666 });
            let bundle = Bundle::new(&["write", "/dev/test", ""])?.with(|config| {
                config["linux"]["devices"] = json!([device]);
                config["linux"]["resources"]["devices"] = json!([
                    { "allow": false, "access": "rwm" },
                    { "allow": true, "type": "c", "major": 1, "minor": 11, "access": "w" },
                ]);
            })?;
            runtime.run_in(&bundle, &["run", "c"])?.ok()?;
            let bundle =
                bundle.with(|config| config["process"]["args"] = json!(["/probe", "cat", "/dev/test"]))?;
            runtime.run_in(&bundle, &["run", "c"])?.failed().map(drop)
        },
    },
    Case {
        name: "the session keyring is private",
        quote: "runc: the container joins a new session keyring _ses.ID",
        run: |runtime| {
            let bundle =
                Bundle::new(&["report"])?.with(|config| config["linux"]["maskedPaths"] = json!([]))?;
            let report = runtime.report(&bundle)?;
            ensure!(
                report.keyring.is_empty() || report.keyring.contains("_ses.report"),
                "{}",
                report.keyring
            );
            Ok(())
        },
    },
    Case {
        name: "the host's binary cannot be reached",
        quote: "CVE-2019-5736: a container executes or opens /proc/self/exe of the runtime and overwrites it",
        run: protected_exe,
    },
    Case {
        name: "links of the image do not lead out",
        quote: "CVE-2021-30465, CVE-2026-41579 and similar ones: mount points and devices follow links of the \
                image out of the rootfs",
        run: hostile_links,
    },
];

fn report(runtime: &Runtime) -> Result<Report> {
    runtime.report(&Bundle::new(&["report"])?)
}

fn mounts(runtime: &Runtime) -> Result {
    let report = report(runtime)?;
    let want = [
        ("/proc", "proc", &["rw", "relatime"][..], &["rw"][..]),
        ("/dev", "tmpfs", &["rw", "nosuid"], &["rw", "size=65536k", "mode=755"]),
        ("/dev/pts", "devpts", &["nosuid", "noexec"], &["gid=5", "mode=620", "ptmxmode=666"]),
        ("/dev/shm", "tmpfs", &["nosuid", "nodev", "noexec"], &["size=65536k"]),
        ("/dev/mqueue", "mqueue", &["nosuid", "nodev", "noexec"], &[]),
        ("/sys", "sysfs", &["ro", "nosuid", "nodev", "noexec"], &[]),
        ("/sys/fs/cgroup", "cgroup2", &["ro", "nosuid", "nodev", "noexec"], &[]),
    ];
    let mut order = Vec::new();
    for (target, fstype, options, super_options) in want {
        let place = report.mounts.iter().position(|m| m.target == target);
        let Some(mount) = place.and_then(|i| report.mounts.get(i)) else {
            return Err(format!("no {target}"));
        };
        order.extend(place);
        // With cgroup v1 this is a mount of another type.
        ensure!(mount.fstype == fstype || target == "/sys/fs/cgroup", "{mount:?}");
        for option in options {
            ensure!(mount.options.iter().any(|o| o == option), "{target} lacks {option}: {mount:?}");
        }
        for option in super_options {
            ensure!(mount.super_options.iter().any(|o| o == option), "{target} lacks {option}: {mount:?}");
        }
    }
    ensure!(order.is_sorted(), "the order is {order:?}");
    Ok(())
}

fn with_groups(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    // std cannot set the supplementary groups yet, so setpriv does.
    let program = command.get_program().to_owned();
    let args: Vec<_> = command.get_args().map(std::ffi::OsStr::to_owned).collect();
    let dir = command.get_current_dir().map(std::path::Path::to_owned);
    let mut wrapped = std::process::Command::new("setpriv");
    wrapped.arg("--groups=4,27").arg(program).args(args).stdin(std::process::Stdio::null());
    if let Some(dir) = dir {
        wrapped.current_dir(dir);
    }
    wrapped.arg0("setpriv");
    *command = wrapped;
}

fn protected_exe(runtime: &Runtime) -> Result {
    let bundle = Bundle::new(&["sleep"])?;
    runtime.run_in(&bundle, &["create", "c"])?.ok()?;
    let pid = runtime.state("c")?["pid"].as_i64().unwrap_or_default();
    let exe = format!("/proc/{pid}/exe");
    let before = std::fs::read(runtime.program()).doing("read the runtime")?;
    // While the runtime executes the file, it is busy or read-only.
    ensure!(
        std::fs::OpenOptions::new().write(true).open(&exe).is_err(),
        "the init's exe can be opened for writing"
    );
    // The exploit keeps a descriptor that outlives the init.
    let handle = std::fs::File::open(&exe).doing("open exe")?;
    runtime.run(&["delete", "--force", "c"])?.ok()?;
    use std::os::fd::AsRawFd;
    let again = format!("/proc/self/fd/{}", handle.as_raw_fd());
    let written = std::fs::OpenOptions::new().write(true).open(again);
    ensure!(written.is_err(), "the runtime's file can be written to through its init's exe");
    ensure!(std::fs::read(runtime.program()).doing("read the runtime")? == before, "the runtime was changed");
    Ok(())
}

fn hostile_links(runtime: &Runtime) -> Result {
    use std::os::unix::fs::symlink;
    let outside = tempfile::tempdir().doing("temporary directory")?;
    let count = || std::fs::read_dir(outside.path()).map(Iterator::count).doing("read");
    let reset = |bundle: &Bundle, name: &str, target: &std::path::Path| -> Result {
        let path = bundle.rootfs(name);
        let _removed = std::fs::remove_dir(&path);
        symlink(target, &path).doing("symlink")
    };
    // The target of a link is looked up below the container's root, where it does not exist.
    for (name, target) in [("dev", outside.path().to_owned()), ("tmp", "../../../../../../../../tmp".into())]
    {
        let bundle = Bundle::new(&["exit", "0"])?;
        reset(&bundle, name, &target)?;
        let bundle = bundle.with(|config| {
            push(config, json!({ "destination": "/tmp/made", "type": "tmpfs", "source": "tmpfs" }));
            config["root"]["readonly"] = json!(false);
        })?;
        // The container may fail, but must not touch the host.
        let _either = runtime.run_in(&bundle, &["run", "c"])?;
        ensure_eq!(count()?, 0);
        ensure!(!std::path::Path::new("/tmp/made").exists(), "a directory was made in the host's /tmp");
        let _gone = runtime.run(&["delete", "--force", "c"])?;
    }
    // /proc must be a real directory, or labels and sysctls would be written elsewhere
    // (CVE-2019-19921).
    let bundle = Bundle::new(&["exit", "0"])?;
    reset(&bundle, "proc", std::path::Path::new("/tmp"))?;
    runtime.run_in(&bundle, &["run", "c"])?.failed()?;
    // Only a procfs may be mounted there (CVE-2019-16884).
    for destination in ["/proc", "/proc/self", "/proc/sys"] {
        let bundle = Bundle::new(&["exit", "0"])?.with(|config| {
            push(config, json!({ "destination": destination, "type": "tmpfs", "source": "x" }));
        })?;
        runtime.run_in(&bundle, &["run", "c"])?.failed()?;
    }
    Ok(())
}
