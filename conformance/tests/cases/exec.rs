// SPDX-License-Identifier: Apache-2.0
//! `exec`, which the specification does not define: every flag of runc's.

use crate::support::Case;
use conformance::runtime::finish;
use conformance::{Bundle, Doing, Output, Report, Result, Runtime, ensure, ensure_eq, host};
use serde_json::{Value, json};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "exec has the user and the groups of its flags",
        quote: "runc exec --user UID[:GID], --additional-gids GID",
        run: |runtime| {
            in_container(
                runtime,
                |_| (),
                |container| {
                    let report =
                        container.report(&["--user", "1000:1001", "--additional-gids", "5", "-g", "6"])?;
                    ensure_eq!(report.uids, [1000; 4]);
                    ensure_eq!(report.gids, [1001; 4]);
                    ensure_eq!(report.groups, [5, 6]);
                    ensure_eq!(report.variable("HOME"), Some("/home/user"));
                    // The group is still the container's.
                    ensure_eq!(container.report(&["-u", "1000"])?.gids, [0; 4]);
                    for wrong in ["root", "1000:root", "-1", "4294967295"] {
                        container.exec(&["--user", wrong], &["exit", "0"])?.failed_with(255, "")?;
                    }
                    Ok(())
                },
            )
        },
    },
    Case {
        name: "exec has the environment and the working directory of its flags",
        quote: "runc exec --env NAME=value (a comma separates nothing), --cwd DIR",
        run: |runtime| {
            in_container(
                runtime,
                |_| (),
                |container| {
                    let report = container.report(&[
                        "--env",
                        "A=1,B=2",
                        "-e",
                        "C=",
                        "--env=D=x=y",
                        "--cwd",
                        "/tmp",
                    ])?;
                    ensure_eq!(report.variable("A"), Some("1,B=2"));
                    ensure_eq!(report.variable("B"), None);
                    ensure_eq!(report.variable("C"), Some(""));
                    ensure_eq!(report.variable("D"), Some("x=y"));
                    ensure_eq!(report.variable("TERM"), Some("xterm"));
                    ensure_eq!(report.cwd, "/tmp");
                    container
                        .exec(&["--cwd", "tmp"], &["exit", "0"])?
                        .failed_with(255, "Cwd must be an absolute path")?;
                    // A path that only a process in the container's pid namespace has.
                    let own = container.report(&["--cwd", "/proc/self"])?;
                    ensure!(own.cwd.starts_with("/proc/") && !own.cwd.contains("self"), "{}", own.cwd);
                    container.exec(&["--cwd", "/proc/self/missing"], &["exit", "0"])?.failed_with(255, "")?;
                    // create makes a missing working directory, exec does not.
                    container.exec(&["--cwd", "/dev/shm/missing"], &["exit", "0"])?.failed_with(255, "")?;
                    container.exec(&["--env", "A"], &["exit", "0"])?.failed_with(255, "")?;
                    Ok(())
                },
            )
        },
    },
    Case {
        name: "exec adds a capability to three sets",
        quote: "runc exec --cap CAPABILITY adds it to the bounding, effective and permitted sets",
        run: |runtime| {
            in_container(
                runtime,
                |_| (),
                |container| {
                    let (without, with) =
                        (container.report(&[])?, container.report(&["--cap", "CAP_NET_RAW"])?);
                    let set = |report: &Report, name: &str| -> Result<u64> {
                        let text = report.capabilities.get(name).map(String::as_str).unwrap_or_default();
                        u64::from_str_radix(text, 16).doing(text)
                    };
                    const NET_RAW: u64 = 1 << 13;
                    for name in ["CapBnd", "CapEff", "CapPrm"] {
                        ensure_eq!(set(&without, name)? & NET_RAW, 0);
                        ensure_eq!(set(&with, name)?, set(&without, name)? | NET_RAW);
                    }
                    // CVE-2022-29162.
                    ensure_eq!(set(&with, "CapInh")?, 0);
                    Ok(())
                },
            )
        },
    },
    Case {
        name: "exec sets no_new_privs, or keeps the container's",
        quote: "runc exec --no-new-privs sets the flag; without it, it is the container's",
        run: |runtime| {
            for (set, flags, want) in [
                (true, &[][..], "1"),
                (false, &[], "0"),
                (false, &["--no-new-privs"], "1"),
                (true, &["--no-new-privs=false"], "0"),
            ] {
                let change = |config: &mut Value| config["process"]["noNewPrivileges"] = json!(set);
                in_container(runtime, change, |container| {
                    let report = container.report(flags)?;
                    ensure!(
                        report.status.get("NoNewPrivs").map(String::as_str) == Some(want),
                        "container {set}, {flags:?}: not {want}"
                    );
                    Ok(())
                })?;
            }
            Ok(())
        },
    },
    Case {
        name: "exec has the limits and the umask of the first process",
        quote: "runc: processes of exec have the container's limits, oom_score_adj and umask",
        run: |runtime| {
            let change = |config: &mut Value| {
                config["process"]["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "soft": 100, "hard": 200 }]);
                config["process"]["oomScoreAdj"] = json!(500);
                config["process"]["user"]["umask"] = json!(0o27);
            };
            in_container(runtime, change, |container| {
                let report = container.report(&[])?;
                ensure_eq!(report.rlimits.get("RLIMIT_NOFILE"), Some(&(100, 200)));
                ensure_eq!(report.oom_score_adj, 500);
                ensure_eq!(report.umask, 0o27);
                Ok(())
            })
        },
    },
    Case {
        name: "exec reads its process from a file",
        quote: "runc exec --process FILE: the file has the format of config.json's process",
        run: |runtime| {
            in_container(
                runtime,
                |_| (),
                |container| {
                    let process = json!({
                        "args": ["/probe", "report"], "cwd": "/dev", "env": ["X=y"],
                        "user": { "uid": 7, "gid": 8, "additionalGids": [9] }, "noNewPrivileges": true,
                        "rlimits": [{ "type": "RLIMIT_NOFILE", "soft": 50, "hard": 60 }],
                    });
                    std::fs::write(container.bundle.path().join("process.json"), process.to_string())
                        .doing("write")?;
                    let output = container.command(&["exec", "--process", "process.json", "c"])?.ok()?;
                    let report: Report = serde_json::from_str(&output.stdout).doing(&output.stdout)?;
                    ensure_eq!(report.cwd, "/dev");
                    ensure_eq!(report.uids, [7; 4]);
                    ensure_eq!(report.gids, [8; 4]);
                    ensure_eq!(report.groups, [9]);
                    ensure_eq!(
                        report.env.iter().filter(|e| !e.starts_with("HOME=")).collect::<Vec<_>>(),
                        ["X=y"]
                    );
                    ensure_eq!(report.rlimits.get("RLIMIT_NOFILE"), Some(&(50, 60)));
                    container
                        .command(&["exec", "--process", "nonexistent", "c"])?
                        .failed_with(255, "no such file or directory")?;
                    Ok(())
                },
            )
        },
    },
    Case {
        name: "a detached exec writes the pid while the process runs",
        quote: "runc exec --detach --pid-file FILE: the pid, without a newline, while the process runs",
        run: |runtime| {
            in_container(
                runtime,
                |_| (),
                |container| {
                    std::fs::write(container.bundle.path().join("pid"), "what was there before")
                        .doing("write")?;
                    container.exec(&["--detach", "--pid-file", "pid"], &["sleep"])?.ok()?;
                    let pid =
                        std::fs::read_to_string(container.bundle.path().join("pid")).doing("pid file")?;
                    let number: i32 = pid.parse().doing(&pid)?;
                    let namespace =
                        |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/pid")).doing("readlink");
                    let init = container.runtime.state("c")?["pid"].to_string();
                    ensure_eq!(namespace(&number.to_string())?, namespace(&init)?);
                    Ok(())
                },
            )
        },
    },
    Case {
        name: "exec has the exit status of its process",
        quote: "runc exec: the status of the process, 128 + N if signal N ended it, 255 for errors of exec",
        run: |runtime| {
            in_container(
                runtime,
                |_| (),
                |container| {
                    for (args, status) in
                        [(["exit", "0"], 0), (["exit", "42"], 42), (["die-by-signal", "15"], 143)]
                    {
                        let output = container.exec(&[], &args)?;
                        ensure!(output.status.code() == Some(status), "want {status}: {output}");
                    }
                    container
                        .command(&["exec", "c", "/nonexistent"])?
                        .failed_with(255, "no such file or directory")?;
                    container
                        .command(&["exec", "nobody", "/probe"])?
                        .failed_with(255, "container does not exist")?;
                    container.command(&["exec", "c"])?.failed_with(255, "exec args cannot be empty")?;
                    Ok(())
                },
            )
        },
    },
    Case {
        name: "arguments behind the id belong to the command",
        quote: "runc exec: all arguments after the container's id belong to the command",
        run: |runtime| {
            in_container(
                runtime,
                |_| (),
                |container| {
                    let output = container.command(&["exec", "c", "/probe", "print", "--user"])?.ok()?;
                    ensure_eq!(output.stdout, "--user\n");
                    Ok(())
                },
            )
        },
    },
    Case {
        name: "exec passes on only the descriptors to preserve",
        quote: "runc exec --preserve-fds N: the caller's descriptors from 3 on, and no other",
        run: |runtime| {
            in_container(
                runtime,
                |_| (),
                |container| {
                    let shell = |script: &str| container.shell(script);
                    let output = shell("exec 3</dev/zero 4</dev/full 5</dev/zero; exec \"$R\" --root \"$ROOT\" exec --preserve-fds 2 c /probe report")?.ok()?;
                    let report: Report = serde_json::from_str(&output.stdout).doing(&output.stdout)?;
                    ensure_eq!(report.fds.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
                    ensure_eq!(
                        (report.fds[&3].as_str(), report.fds[&4].as_str()),
                        ("/dev/zero", "/dev/full")
                    );
                    shell("exec 3</dev/zero; exec \"$R\" --root \"$ROOT\" exec --preserve-fds 60 c /probe report")?
                    .failed_with(255, "unable to stat preserved-fd")?;
                    Ok(())
                },
            )
        },
    },
    Case {
        name: "a program can be executed through /proc/self",
        quote: "runc: the program is looked up as the process that will execute it (proc_pid_fd(5))",
        run: |runtime| {
            in_container(
                runtime,
                |_| (),
                |container| {
                    let file = container.bundle.rootfs("probe");
                    let run = |program: &str| {
                        let script = format!(
                            "exec 3<'{}'; exec \"$R\" --root \"$ROOT\" exec --preserve-fds 1 c {program} exit 7",
                            file.display()
                        );
                        container.shell(&script)
                    };
                    for program in
                        ["/proc/self/fd/3", "/dev/fd/3", "/proc/self/root/probe", "/proc/thread-self/fd/3"]
                    {
                        let output = run(program)?;
                        ensure!(output.status.code() == Some(7), "{program}: {output:?}");
                    }
                    run("/proc/self/fd/4")?.failed_with(255, "no such file")?;
                    Ok(())
                },
            )
        },
    },
    Case {
        name: "exec passes on the sockets of a service manager",
        quote: "crun (runc does so for run only): LISTEN_FDS is passed on if LISTEN_PID is the runtime, and \
                LISTEN_PID is then 1 (sd_listen_fds(3))",
        run: |runtime| {
            in_container(
                runtime,
                |_| (),
                |container| check_sockets(container, "exec --preserve-fds 1 c /probe report"),
            )
        },
    },
    Case {
        name: "run passes on the sockets of a service manager",
        quote: "runc: LISTEN_FDS is passed on if LISTEN_PID is the runtime, and LISTEN_PID is then 1 \
                (sd_listen_fds(3))",
        run: |runtime| {
            let container = Running { runtime, bundle: Bundle::new(&["report"])? };
            check_sockets(&container, "run --preserve-fds 1 --bundle \"$BUNDLE\" c")
        },
    },
    Case {
        name: "a terminal in the foreground is relayed to the caller's",
        quote: "runc exec --tty: a pseudoterminal of the container, relayed to the caller's",
        run: |runtime| {
            in_container(
                runtime,
                |_| (),
                |container| {
                    // The input has no end: script(1) would type the end of its own input, and the
                    // terminal would echo it into the report.
                    let typed = "mkfifo \"$BUNDLE/input\"; exec <>\"$BUNDLE/input\"; \
                        script --quiet --return --command '\"$R\" --root \"$ROOT\" exec --tty c /probe report' /dev/null";
                    let output = container.shell(typed)?.ok()?;
                    let report: Report =
                        serde_json::from_str(output.stdout.trim()).doing(&output.to_string())?;
                    for n in 0..3 {
                        ensure!(
                            report.fds.get(&n).is_some_and(|to| to.starts_with("/dev/pts/")),
                            "{:?}",
                            report.fds
                        );
                    }
                    ensure_eq!(report.sid, report.pid);
                    container
                        .shell("\"$R\" --root \"$ROOT\" exec --tty --detach c /probe report")?
                        .failed_with(
                            255,
                            "cannot allocate tty if runc will detach without setting console socket",
                        )?;
                    Ok(())
                },
            )
        },
    },
    Case {
        name: "a terminal is sent to a socket",
        quote: "runc exec --console-socket PATH: one message with the name and the descriptor of the master",
        run: |runtime| {
            in_container(
                runtime,
                |_| (),
                |container| {
                    let (path, listener) = container.listen()?;
                    container.exec(&["--tty", "--detach", "--console-socket", &path], &["sleep"])?.ok()?;
                    let (payload, master) = receive(&listener)?;
                    ensure!(!payload.is_empty() && payload.len() < 4096, "{payload:?}");
                    ensure_eq!(nix::unistd::isatty(&master), Ok(true));
                    container.exec(&["--console-socket", &path], &["exit", "0"])?.failed_with(
                        255,
                        "cannot use console socket if runc will not detach or allocate tty",
                    )?;
                    Ok(())
                },
            )
        },
    },
    Case {
        name: "a pidfd is sent to a socket",
        quote: "runc exec --pidfd-socket PATH: one message with the pidfd of the process",
        run: |runtime| {
            in_container(
                runtime,
                |_| (),
                |container| {
                    let (path, listener) = container.listen()?;
                    container
                        .exec(&["--detach", "--pid-file", "pid", "--pidfd-socket", &path], &["sleep"])?
                        .ok()?;
                    let (_, pidfd) = receive(&listener)?;
                    let pid =
                        std::fs::read_to_string(container.bundle.path().join("pid")).doing("pid file")?;
                    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))
                        .doing("fdinfo")?;
                    ensure!(info.lines().any(|line| line == format!("Pid:\t{pid}")), "{info}");
                    Ok(())
                },
            )
        },
    },
    Case {
        name: "labels without a security module are errors",
        quote: "process.apparmorProfile and process.selinuxLabel are refused where there is no such module",
        run: |runtime| {
            in_container(
                runtime,
                |_| (),
                |container| {
                    if !Path::new("/sys/fs/selinux/enforce").exists() {
                        container
                            .exec(&["--process-label", "system_u:system_r:x_t:s0"], &["exit", "0"])?
                            .failed_with(255, "selinux")?;
                    }
                    if !Path::new("/sys/kernel/security/apparmor").exists() {
                        container.exec(&["--apparmor", "profile"], &["exit", "0"])?.failed_with(255, "")?;
                    }
                    Ok(())
                },
            )
        },
    },
    Case {
        name: "exec in a paused container begins when it is resumed",
        quote: "runc exec --ignore-paused: the process begins when the container is resumed",
        run: |runtime| {
            in_container(
                runtime,
                |config| config["root"]["readonly"] = json!(false),
                |container| {
                    container.command(&["pause", "c"])?.ok()?;
                    container
                        .exec(&[], &["exit", "0"])?
                        .failed_with(255, "cannot exec in a paused container")?;
                    let mut exec = container.runtime.command(&[
                        "exec",
                        "--ignore-paused",
                        "c",
                        "/probe",
                        "write",
                        "/mark",
                        "x",
                    ]);
                    let mut exec = exec.spawn().doing("exec")?;
                    std::thread::sleep(std::time::Duration::from_millis(300));
                    let early = container.bundle.rootfs("mark").exists();
                    container.command(&["resume", "c"])?.ok()?;
                    let status = conformance::runtime::wait(&mut exec)?;
                    ensure!(
                        !early && status.success() && container.bundle.rootfs("mark").exists(),
                        "{early}, {status}"
                    );
                    Ok(())
                },
            )
        },
    },
    Case {
        name: "exec in a paused container ends when the container is killed",
        quote: "a stopped container cannot be resumed, so a process of exec in it must not stay frozen",
        run: |runtime| {
            let (_bundle, mut exec) = exec_frozen(runtime)?;
            runtime.run(&["kill", "c", "KILL"])?.ok()?;
            let ended = conformance::runtime::wait(&mut exec);
            host::await_children()?;
            let deleted = runtime.run(&["delete", "c"])?;
            ensure!(!ended?.success(), "exec succeeded");
            deleted.ok().map(drop)
        },
    },
    Case {
        name: "exec in a paused container ends when a container that has stopped is deleted",
        quote: "the same, if init was not killed by the runtime: delete ends all processes in the cgroup",
        run: |runtime| {
            let (_bundle, mut exec) = exec_frozen(runtime)?;
            end_init(runtime)?;
            let deleted = runtime.run(&["delete", "c"])?;
            let ended = conformance::runtime::wait(&mut exec);
            ensure!(!ended?.success(), "exec succeeded");
            deleted.ok().map(drop)
        },
    },
    Case {
        name: "exec in a paused container ends when a container that has stopped is killed",
        quote: "the same: kill finds no init, and thaws the rest",
        run: |runtime| {
            let (_bundle, mut exec) = exec_frozen(runtime)?;
            end_init(runtime)?;
            let killed = runtime.run(&["kill", "c", "KILL"])?;
            let ended = conformance::runtime::wait(&mut exec);
            runtime.run(&["delete", "c"])?.ok()?;
            ensure!(!ended?.success(), "exec succeeded");
            ensure!(!killed.status.success(), "{killed}");
            Ok(())
        },
    },
    Case {
        name: "exec works before the program was started",
        quote: "runc exec works in a container whose program has not been started",
        run: |runtime| {
            let bundle = Bundle::new(&["sleep"])?;
            runtime.run_in(&bundle, &["create", "c"])?.ok()?;
            let output = runtime.run(&["exec", "c", "/probe", "exit", "5"])?;
            ensure!(output.status.code() == Some(5), "{output}");
            ensure_eq!(runtime.status("c")?, "created");
            runtime.run(&["delete", "--force", "c"])?.ok()?;
            Ok(())
        },
    },
    Case {
        name: "exec follows neither an edited nor a deleted config.json",
        quote: "Any changes made to the config.json file after this operation will not have an effect on the container \
            (runtime.md, Create)",
        run: |runtime| {
            let bundle = Bundle::new(&["sleep"])?.with(|config| {
                config["process"]["env"] = json!(["PATH=/", "OF=create"]);
                config["process"]["cwd"] = json!("/tmp");
                config["process"]["user"] = json!({ "uid": 1000, "gid": 1001 });
            })?;
            // A mount keeps the container's file system, after the bundle is deleted.
            let rootfs = tempfile::tempdir().doing("temporary directory")?;
            let moved = rootfs.path().join("rootfs");
            std::fs::rename(bundle.rootfs(""), &moved).doing("rename")?;
            let bundle = bundle.with(|config| config["root"]["path"] = json!(moved))?;
            runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
            let report = || -> Result<Report> {
                let output = runtime.run(&["exec", "c", "/probe", "report"])?.ok()?;
                serde_json::from_str(&output.stdout).doing("the probe's report")
            };
            let bundle = bundle.with(|config| {
                config["process"]["env"] = json!(["PATH=/", "OF=later"]);
                config["process"]["cwd"] = json!("/");
                config["process"]["user"] = json!({ "uid": 0, "gid": 0 });
            })?;
            let edited = report();
            drop(bundle);
            let removed = report();
            runtime.run(&["delete", "--force", "c"])?.ok()?;
            for report in [edited?, removed?] {
                ensure_eq!(report.variable("OF"), Some("create"));
                ensure_eq!(report.cwd, "/tmp");
                ensure_eq!((report.uids[0], report.gids[0]), (1000, 1001));
            }
            Ok(())
        },
    },
];

/// Runs a command that reports its descriptors, with a socket of LISTEN_FDS and one more descriptor
/// to preserve. LISTEN_PID names the runtime in one run, and another process in the other.
fn check_sockets(container: &Running<'_>, command: &str) -> Result {
    let report = |listen_pid: &str| -> Result<Report> {
        let script = format!(
            "exec 3</dev/zero 4</dev/full; \
             LISTEN_PID={listen_pid} LISTEN_FDS=1 exec \"$R\" --root \"$ROOT\" {command}"
        );
        let output = container.shell(&script)?.ok()?;
        serde_json::from_str(&output.stdout).doing(&output.stdout)
    };
    let (ours, not_ours) = (report("$$")?, report("1")?);
    ensure_eq!((ours.variable("LISTEN_FDS"), ours.variable("LISTEN_PID")), (Some("1"), Some("1")));
    ensure_eq!(ours.fds.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    ensure_eq!(not_ours.variable("LISTEN_FDS"), None);
    ensure_eq!(not_ours.fds.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3]);
    Ok(())
}

/// Runs the container `c`, pauses it, and starts an exec in it, which is frozen on its way in.
/// Returns the bundle, which the container needs, and the exec.
fn exec_frozen(runtime: &Runtime) -> Result<(Bundle, std::process::Child)> {
    let bundle = Bundle::new(&["sleep"])?;
    runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
    runtime.run(&["pause", "c"])?.ok()?;
    let mut exec = runtime.command(&["exec", "--ignore-paused", "c", "/probe", "exit", "0"]);
    let exec = exec.stderr(std::process::Stdio::null()).spawn().doing("exec")?;
    let begin = std::time::Instant::now();
    loop {
        let listed = runtime.run(&["ps", "--format", "json", "c"])?.ok()?.stdout;
        let pids: Vec<i64> = serde_json::from_str(&listed).doing("ps")?;
        if pids.len() > 1 {
            return Ok((bundle, exec));
        }
        ensure!(begin.elapsed().as_secs() < 10, "exec has not come into the cgroup");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// Kills the init of the container `c` from outside, and waits until the container has stopped.
fn end_init(runtime: &Runtime) -> Result {
    let pid = runtime.state("c")?["pid"].as_i64().unwrap_or_default();
    ensure!(pid > 0, "no pid");
    let init = nix::unistd::Pid::from_raw(pid as i32);
    nix::sys::signal::kill(init, nix::sys::signal::SIGKILL).doing("kill")?;
    runtime.await_status("c", "stopped")
}

/// A running container `c` whose program sleeps.
struct Running<'a> {
    runtime: &'a Runtime,
    bundle: Bundle,
}

/// Runs a check in a new [`Running`] container.
fn in_container(
    runtime: &Runtime,
    change: impl FnOnce(&mut Value),
    check: impl FnOnce(&Running<'_>) -> Result,
) -> Result {
    let bundle = Bundle::new(&["sleep"])?.with(change)?;
    runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
    let container = Running { runtime, bundle };
    let checked = check(&container);
    runtime.run(&["kill", "c", "KILL"])?.ok()?;
    // Detached processes have become children of this program.
    host::await_children()?;
    runtime.run(&["delete", "c"])?.ok()?;
    checked
}

impl Running<'_> {
    fn command(&self, args: &[&str]) -> Result<Output> {
        self.runtime.run_in(&self.bundle, args)
    }

    fn exec(&self, flags: &[&str], probe: &[&str]) -> Result<Output> {
        let args: Vec<&str> =
            ["exec"].iter().chain(flags).chain(&["c", "/probe"]).chain(probe).copied().collect();
        self.command(&args)
    }

    fn report(&self, flags: &[&str]) -> Result<Report> {
        let output = self.exec(flags, &["report"])?.ok()?;
        serde_json::from_str(&output.stdout).doing(&output.stdout)
    }

    /// Listens on a socket in the bundle. Returns its path and the socket.
    fn listen(&self) -> Result<(String, UnixListener)> {
        let path = self.bundle.path().join("socket");
        let listener = UnixListener::bind(&path).doing("bind")?;
        Ok((path.display().to_string(), listener))
    }

    /// Runs a script that knows the runtime as `$R`, with the state directory `$ROOT`.
    fn shell(&self, script: &str) -> Result<Output> {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", script])
            .env("R", self.runtime.program())
            .env("ROOT", self.runtime.root())
            .env("BUNDLE", self.bundle.path());
        finish(command)
    }
}

/// Receives one message with one descriptor.
fn receive(listener: &UnixListener) -> Result<(Vec<u8>, OwnedFd)> {
    let (stream, _) = listener.accept().doing("accept")?;
    let (payload, descriptors) = sys_testing::descriptor::receive(&stream).doing("recvmsg")?;
    match <[OwnedFd; 1]>::try_from(descriptors) {
        Ok([descriptor]) => Ok((payload, descriptor)),
        Err(descriptors) => Err(format!("{} descriptors", descriptors.len())),
    }
}
