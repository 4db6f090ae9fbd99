// SPDX-License-Identifier: Apache-2.0
//! System call filters: the promises of this library beyond the specification. (The conformance
//! cases check the specification.)
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use conformance::{Agent, Bundle, host};
use nix::sys::wait::{WaitStatus, waitpid};
use runtime_core::{Container, ContainerId, DeleteOptions, ErrorKind, Runtime, spec};
use seccomp::Instruction;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use sys_testing::process::fork;

/// A bundle, and the directory for the container's record.
struct Fixture {
    root: tempfile::TempDir,
    bundle: Bundle,
    container: Container,
}

/// Returns the id, which is also the cgroup's name: other tests may run on this machine.
fn id() -> String {
    format!("seccomp-{}", std::process::id())
}

impl Fixture {
    fn new(args: &[&str], profile: Value) -> Self {
        let bundle = Bundle::new(args).unwrap().with(|config| config["linux"]["seccomp"] = profile).unwrap();
        let root = tempfile::tempdir().unwrap();
        let container = Runtime::new(root.path()).container(ContainerId::new(&id()).unwrap());
        Fixture { root, bundle, container }
    }

    fn with(mut self, change: impl FnOnce(&mut Value)) -> Self {
        self.bundle = self.bundle.with(change).unwrap();
        self
    }

    fn create(&self) -> runtime_core::ContainerBuilder {
        Runtime::new(self.root.path()).builder(self.container.id().clone(), self.bundle.path())
    }

    /// Runs the container to its end, and returns its exit status.
    fn run(&self) -> i32 {
        let created = self.create().run().unwrap();
        let status = created.wait().unwrap().code();
        self.container.delete(DeleteOptions::new()).unwrap();
        status
    }

    fn exec(&self, args: &[&str], no_new_privileges: bool) -> runtime_core::Result<i32> {
        let process = spec::Process {
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            cwd: "/".into(),
            no_new_privileges,
            ..Default::default()
        };
        Ok(self.container.exec(process).spawn()?.wait().unwrap().code())
    }

    /// Writes a program into the rootfs that is one `exit_group`, so that execve is the only call
    /// before it.
    fn with_exit_program(self, status: u8) -> Self {
        let path = self.bundle.rootfs("exit");
        std::fs::write(&path, conformance::payload::exits_with(status)).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        self
    }
}

/// Yields both values of no_new_privileges, for two users.
fn all_ways() -> impl Iterator<Item = (bool, u32)> {
    [(true, 0), (true, 1000), (false, 0), (false, 1000)].into_iter()
}

fn become_so(config: &mut Value, no_new_privileges: bool, uid: u32) {
    config["process"]["noNewPrivileges"] = json!(no_new_privileges);
    config["process"]["user"] = json!({ "uid": uid, "gid": uid });
}

#[test]
fn a_profile_need_allow_nothing_that_only_the_runtime_does() {
    let _alone = host::alone();
    let profile = json!({ "defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [
        { "names": ["execve", "exit_group"], "action": "SCMP_ACT_ALLOW" }] });
    for (no_new_privileges, uid) in all_ways() {
        let fixture = Fixture::new(&[], profile.clone()).with_exit_program(7).with(|config| {
            become_so(config, no_new_privileges, uid);
            config["process"]["args"] = json!(["/exit"]);
        });
        assert_eq!(fixture.run(), 7, "uid {uid}, noNewPrivileges {no_new_privileges}");
    }
    // The same for exec, in a container whose first process sleeps.
    let mut names = vec!["execve", "exit_group"];
    let sleeper = [
        "arch_prctl",
        "brk",
        "close",
        "clock_nanosleep",
        "clone3",
        "fstat",
        "futex",
        "getrandom",
        "gettid",
        "madvise",
        "mmap",
        "mprotect",
        "munmap",
        "newfstatat",
        "openat",
        "poll",
        "prlimit64",
        "read",
        "readlink",
        "readlinkat",
        "rseq",
        "rt_sigaction",
        "rt_sigprocmask",
        "sched_getaffinity",
        "set_robust_list",
        "set_tid_address",
        "sigaltstack",
    ];
    names.extend(sleeper);
    let profile = json!({ "defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [
        { "names": names, "action": "SCMP_ACT_ALLOW" }] });
    let fixture = Fixture::new(&["sleep"], profile).with_exit_program(9);
    let created = fixture.create().run().unwrap();
    for no_new_privileges in [true, false] {
        assert_eq!(fixture.exec(&["/exit"], no_new_privileges).unwrap(), 9);
        // The filter does not allow write.
        assert_eq!(fixture.exec(&["/probe", "print", "x"], no_new_privileges).unwrap(), 128 + libc::SIGSYS);
    }
    fixture.container.delete(DeleteOptions::new().force(true)).unwrap();
    created.wait().unwrap();
}

#[test]
fn everything_may_be_notified() {
    let _alone = host::alone();
    for (no_new_privileges, uid) in all_ways() {
        let agent = Agent::start(&[libc::SYS_mkdirat]).unwrap();
        let profile = json!({ "defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": agent.path() });
        let fixture = Fixture::new(&["exit", "7"], profile.clone())
            .with(|config| become_so(config, no_new_privileges, uid));
        assert_eq!(fixture.run(), 7);
        let fixture =
            Fixture::new(&["sleep"], profile).with(|config| become_so(config, no_new_privileges, uid));
        let created = fixture.create().create().unwrap();
        fixture.container.start().unwrap();
        assert_eq!(fixture.exec(&["/probe", "exit", "8"], no_new_privileges).unwrap(), 8);
        // The last calls before the program are notified, too, and take their time.
        let comm = format!("/proc/{}/comm", created.pid());
        while std::fs::read_to_string(&comm).unwrap() != "probe\n" {
            std::thread::yield_now();
        }
        fixture.container.delete(DeleteOptions::new().force(true)).unwrap();
        created.wait().unwrap();
        let connections = agent.connections(3).unwrap();
        for connection in connections {
            for call in [libc::SYS_write, libc::SYS_read, libc::SYS_execve] {
                assert!(connection.calls.contains(&(call as i32)), "{connection:?}");
            }
        }
    }
}

#[test]
fn without_an_agent_nothing_is_made() {
    let _alone = host::alone();
    let notify = |path: &Path| {
        json!({ "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path, "syscalls": [
        { "names": ["mkdirat"], "action": "SCMP_ACT_NOTIFY" }] })
    };
    let fixture = Fixture::new(&["exit", "0"], notify(Path::new("/nonexistent/agent")));
    let error = fixture.create().create().unwrap_err();
    assert!(error.report().contains("failed to connect with seccomp agent"), "{error:?}");
    assert!(
        error.report().contains("dial unix /nonexistent/agent: connect: no such file or directory; hint"),
        "{error:?}"
    );
    assert_eq!(fixture.container.state().unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(std::fs::read_dir(fixture.root.path()).unwrap().count(), 0);

    // An agent that is gone before exec.
    let agent = Agent::start(&[]).unwrap();
    let fixture = Fixture::new(&["sleep"], notify(agent.path()));
    let created = fixture.create().run().unwrap();
    drop(agent);
    let error = fixture.exec(&["/probe", "exit", "0"], true).unwrap_err();
    assert!(error.report().contains("failed to connect with seccomp agent"), "{error:?}");
    fixture.container.delete(DeleteOptions::new().force(true)).unwrap();
    created.wait().unwrap();
}

#[test]
fn exec_never_runs_without_the_filter() {
    let _alone = host::alone();
    let fixture = Fixture::new(
        &["sleep"],
        json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        { "names": ["acct"], "action": "SCMP_ACT_ERRNO" }] }),
    );
    let created = fixture.create().run().unwrap();
    assert_eq!(fixture.exec(&["/probe", "exit", "0"], true).unwrap(), 0);
    // The contents of config.json no longer matter.
    std::fs::write(fixture.bundle.path().join("config.json"), "{}").unwrap();
    let file = fixture.root.path().join(id()).join("seccomp.bpf");
    let program = std::fs::read(&file).unwrap();
    let refused = |why: &str| {
        let error = fixture.exec(&["/probe", "exit", "0"], true).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadRecord);
        assert!(error.report().contains(why), "{error:?}");
    };
    std::fs::write(&file, &program[8..]).unwrap();
    refused("read seccomp.bpf of container seccomp-");
    std::fs::write(&file, vec![0xff; program.len()]).unwrap();
    refused("read seccomp.bpf of container seccomp-");
    std::fs::remove_file(&file).unwrap();
    refused("no such file or directory");
    fixture.container.delete(DeleteOptions::new().force(true)).unwrap();
    created.wait().unwrap();
}

#[test]
fn predictable_errors_come_before_anything_is_made() {
    let _alone = host::alone();
    // More alternatives than fit into 4096 instructions.
    let args = |value: u64| json!([{ "index": 0, "value": value * 7, "op": "SCMP_CMP_EQ" }, { "index": 1, "value": value * 5, "op": "SCMP_CMP_NE" }]);
    let rules: Vec<Value> = (0..3000)
        .map(|n| json!({ "names": ["dup"], "action": "SCMP_ACT_ERRNO", "errnoRet": n % 1000, "args": args(n) }))
        .collect();
    let fixture =
        Fixture::new(&["exit", "0"], json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules }));
    let error = fixture.create().create().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.report().starts_with("linux.seccomp.syscalls: the filter needs "), "{error:?}");
    assert_eq!(std::fs::read_dir(fixture.root.path()).unwrap().count(), 0);
}

/// Loads a filter of this many instructions that allows everything.
fn load_filter(len: usize) -> bool {
    let allow = Instruction { code: 0x06, jt: 0, jf: 0, k: 0x7fff_0000 };
    runtime_sys::seccomp::load(&vec![allow; len], 0).is_ok()
}

#[test]
fn a_program_whose_filter_cannot_be_loaded_is_not_executed() {
    let _alone = host::alone();
    // The kernel allows 32,768 instructions for all filters of a process together, inherited ones
    // included: these leave room for none.
    let profile = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{
        "names": ["dup"], "action": "SCMP_ACT_ERRNO",
        "args": (0..400).map(|n| json!({ "index": 0, "value": n * 3, "op": "SCMP_CMP_EQ" })).collect::<Vec<_>>() }] });
    let stderr = tempfile::NamedTempFile::new().unwrap();
    let fixture = Fixture::new(&["touch-then-sleep", "/ran"], profile)
        .with(|config| config["root"]["readonly"] = json!(false));
    let child = fork(|| {
        nix::sys::prctl::set_no_new_privs().unwrap();
        for len in [4096, 1024, 256, 64, 16] {
            while load_filter(len) {}
        }
        let created = fixture.create().stderr(stderr.reopen().unwrap()).create().unwrap();
        let error = fixture.container.start().unwrap_err().report();
        assert!(error.contains("loading the system call filter"), "{error}");
        let status = created.wait().unwrap().code();
        fixture.container.delete(DeleteOptions::new()).unwrap();
        status
    })
    .unwrap();
    assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 255));
    assert!(!fixture.bundle.rootfs("ran").exists());
    assert_eq!(
        std::fs::read_to_string(stderr.path()).unwrap(),
        "exec /probe: loading the system call filter: cannot allocate memory\n"
    );
}

#[test]
fn a_small_limit_on_memory_is_the_programs_alone() {
    let _alone = host::alone();
    let profile: Value = serde_json::from_str(include_str!("../../seccomp/tests/data/docker.json")).unwrap();
    for (no_new_privileges, uid) in all_ways() {
        let fixture = Fixture::new(&[], profile.clone()).with_exit_program(3).with(|config| {
            become_so(config, no_new_privileges, uid);
            config["process"]["args"] = json!(["/exit"]);
            config["process"]["rlimits"] = json!([{ "type": "RLIMIT_AS", "soft": 1 << 20, "hard": 1 << 20 }]);
        });
        assert_eq!(fixture.run(), 3);
    }
}

#[test]
fn notes_list_ignored_parts() {
    let _alone = host::alone();
    let fixture = Fixture::new(
        &["exit", "0"],
        json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        { "names": ["acct", "no_such_call"], "action": "SCMP_ACT_ERRNO" }] }),
    );
    let created = fixture.create().run().unwrap();
    assert_eq!(
        created.notes(),
        [
            "linux.seccomp.syscalls[0].names[1]: the unknown system call \"no_such_call\" is ignored",
            "seccomp filter flags: 4",
        ]
    );
    assert!(created.warnings().is_empty());
    created.wait().unwrap();
    fixture.container.delete(DeleteOptions::new()).unwrap();
}
