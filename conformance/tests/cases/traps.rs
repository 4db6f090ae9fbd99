// SPDX-License-Identifier: Apache-2.0
//! Choices that the specification leaves open, or that others read differently, and that no other
//! group checks: docs/decisions/traps.md.

use crate::support::{Case, accepts, refused};
use conformance::change::push;
use conformance::{Result, each};
use serde_json::json;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "pids without a limit are accepted",
        quote: "limit (int64, OPTIONAL) specifies the maximum number of tasks in the cgroup (config-linux.md, PIDs, since \
                1.3): 0 is a limit, and absent is none",
        run: |runtime| accepts(runtime, |config| config["linux"]["resources"]["pids"] = json!({})),
    },
    Case {
        name: "numbers of a fifo are ignored",
        quote: "major, minor (int64, REQUIRED unless type is p) (config-linux.md, Devices)",
        run: |runtime| {
            accepts(runtime, |config| {
                config["linux"]["devices"] =
                    json!([{ "path": "/dev/fifo", "type": "p", "major": 8, "minor": 666 }]);
            })
        },
    },
    Case {
        name: "options of a file system for a bind mount are errors",
        quote: "runc: a bind mount has no file system that could take an option",
        run: |runtime| {
            each(["mode=755", "size=1k"], |option| {
                refused(runtime, |config| {
                    let options = json!(["bind", option]);
                    push(config, json!({ "destination": "/mnt", "source": "/etc", "options": options }));
                })
            })
        },
    },
    Case {
        name: "a filter may deny getcwd",
        quote: "syscalls: match a syscall in seccomp (config-linux.md, Seccomp): a call that only the runtime makes may be \
                denied",
        run: |runtime| {
            each([true, false], |no_new_privileges| {
                accepts(runtime, |config| {
                    config["process"]["noNewPrivileges"] = json!(no_new_privileges);
                    config["linux"]["seccomp"] = json!({
                        "defaultAction": "SCMP_ACT_ALLOW",
                        "syscalls": [{ "names": ["getcwd"], "action": "SCMP_ACT_ERRNO" }],
                    });
                })
            })
        },
    },
    Case {
        name: "a small limit on memory does not keep a filter from being loaded",
        quote: "rlimits (array of objects, OPTIONAL) allows setting resource limits for the process (config.md, POSIX \
                process): for the process, and not for what the runtime does before",
        run: |runtime| {
            accepts(runtime, |config| {
                config["process"]["rlimits"] =
                    json!([{ "type": "RLIMIT_AS", "soft": 8 << 20, "hard": 8 << 20 }]);
                config["linux"]["seccomp"] = json!({
                    "defaultAction": "SCMP_ACT_ALLOW",
                    "syscalls": [{ "names": ["acct"], "action": "SCMP_ACT_ERRNO" }],
                });
            })
        },
    },
    Case {
        name: "a list where an object belongs is an error",
        quote: "Runtimes MUST generate an error when invalid or unsupported values are encountered (config.md, Valid \
                values)",
        run: |runtime| -> Result { refused(runtime, |config| config["process"]["user"] = json!([1])) },
    },
];
