// SPDX-License-Identifier: Apache-2.0
//! config.md, "Process": the state in which the program begins.

use crate::support::{Case, output_by, refused, run_by};
use conformance::{Bundle, Doing, Report, Result, Runtime, each, ensure, ensure_eq};
use serde_json::{Value, json};
use std::process::Command;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "start without a process is an error",
        quote: "This operation MUST generate an error if `process` was not set (runtime.md, Start)",
        run: |runtime| {
            let bundle = Bundle::new(&["exit", "0"])?.with(|config| {
                config.as_object_mut().map(|all| all.remove("process"));
            })?;
            // create may fail already.
            if runtime.run_in(&bundle, &["create", "c"])?.status.success() {
                runtime.run(&["start", "c"])?.failed()?;
                runtime.run(&["delete", "--force", "c"])?.ok()?;
            }
            Ok(())
        },
    },
    Case {
        name: "a console size without a terminal is ignored",
        quote: "Runtimes MUST ignore `consoleSize` if `terminal` is `false` or unset (config.md, Process)",
        run: |runtime| {
            let size = json!({ "height": 70_000, "width": 70_000 });
            let bundle =
                Bundle::new(&["exit", "0"])?.with(|config| config["process"]["consoleSize"] = size)?;
            runtime.run_in(&bundle, &["run", "c"])?.ok().map(drop)
        },
    },
    Case {
        name: "a console size of a wrong type is an error only with a terminal",
        quote: "Runtimes MUST ignore `consoleSize` if `terminal` is `false` or unset (config.md, Process); Runtimes MUST \
                generate an error when invalid or unsupported values are encountered (config.md, Valid values)",
        run: |runtime| {
            let invalid = [
                json!("80x25"),
                json!([80, 25]),
                json!({ "height": -1, "width": 80 }),
                json!({ "height": "25", "width": 80 }),
            ];
            each(invalid, |size| {
                let bundle = Bundle::new(&["exit", "0"])?
                    .with(|config| config["process"]["consoleSize"] = size.clone())?;
                runtime.run_in(&bundle, &["run", "c"])?.ok()?;
                refused(runtime, |config| {
                    config["process"]["consoleSize"] = size.clone();
                    config["process"]["terminal"] = json!(true);
                })
            })
        },
    },
    Case {
        name: "a relative working directory is an error",
        quote: "cwd [...] MUST be an absolute path (config.md, Process)",
        run: |runtime| {
            each(["tmp", ".", ""], |&cwd| refused(runtime, |config| config["process"]["cwd"] = json!(cwd)))
        },
    },
    Case {
        name: "a process without arguments is an error",
        quote: "at least one entry is REQUIRED (non-Windows), and that entry is used with the same semantics as \
                `execvp`'s file (config.md, Process)",
        run: |runtime| {
            refused(runtime, |config| config["process"]["args"] = json!([]))?;
            refused(runtime, |config| config["process"]["args"] = json!([""]))
        },
    },
    Case {
        name: "a process has every resource limit",
        quote: "For each entry in `rlimits`, a getrlimit(3) on `type` MUST succeed; `rlim.rlim_cur` MUST match the \
                configured value; `rlim.rlim_max` MUST match the configured value (config.md, POSIX process)",
        run: |runtime| {
            // Below the host's limits: not every runtime may raise them.
            let limits = [
                ("RLIMIT_AS", 2 << 30, 3 << 30),
                ("RLIMIT_CORE", 0, 0),
                ("RLIMIT_CPU", 100, 200),
                ("RLIMIT_DATA", 1 << 30, 2 << 30),
                ("RLIMIT_FSIZE", 1 << 20, 1 << 21),
                ("RLIMIT_LOCKS", 10, 20),
                ("RLIMIT_MEMLOCK", 4096, 8192),
                ("RLIMIT_MSGQUEUE", 4096, 8192),
                ("RLIMIT_NICE", 0, 0),
                ("RLIMIT_NOFILE", 64, 128),
                ("RLIMIT_NPROC", 500, 600),
                ("RLIMIT_RSS", 1 << 30, 1 << 31),
                ("RLIMIT_RTPRIO", 0, 0),
                ("RLIMIT_RTTIME", 1000, 2000),
                ("RLIMIT_SIGPENDING", 10, 20),
                ("RLIMIT_STACK", 1 << 20, 2 << 20),
            ];
            let list: Vec<_> = limits
                .iter()
                .map(|(kind, soft, hard): &(_, u64, u64)| json!({ "type": kind, "soft": soft, "hard": hard }))
                .collect();
            let bundle =
                Bundle::new(&["report"])?.with(|config| config["process"]["rlimits"] = json!(list))?;
            let report = runtime.report(&bundle)?;
            for (kind, soft, hard) in limits {
                let got = report.rlimits.get(kind);
                ensure!(got == Some(&(soft, hard)), "{kind}: {got:?}, want {soft} and {hard}");
            }
            Ok(())
        },
    },
    Case {
        name: "an unknown resource limit is an error",
        quote: "The runtime MUST generate an error for any values which cannot be mapped to a relevant kernel interface \
                (config.md, POSIX process)",
        run: |runtime| {
            each(["RLIMIT_NOTHING", "NOFILE", ""], |&kind| {
                refused(runtime, |config| {
                    config["process"]["rlimits"] = json!([{ "type": kind, "soft": 1, "hard": 1 }]);
                })
            })
        },
    },
    Case {
        name: "a resource limit given twice is an error",
        quote: "If `rlimits` contains duplicated entries with same `type`, the runtime MUST generate an error (config.md, \
                POSIX process)",
        run: |runtime| {
            let limit = json!({ "type": "RLIMIT_CORE", "soft": 0, "hard": 0 });
            refused(runtime, |config| config["process"]["rlimits"] = json!([limit, limit]))
        },
    },
    Case {
        name: "a soft limit above the hard one is an error",
        quote: "If the runtime cannot apply a property as specified in the configuration, it MUST generate an error and \
                a new container MUST NOT be created (runtime.md, Create)",
        run: |runtime| {
            refused(runtime, |config| {
                config["process"]["rlimits"] = json!([{ "type": "RLIMIT_CORE", "soft": 2, "hard": 1 }]);
            })
        },
    },
    Case {
        name: "a process has all sets of capabilities",
        quote: "the `effective`, `bounding`, `inheritable`, `permitted` and `ambient` fields are arrays of capabilities \
                that are kept for the process (config.md, Linux Process)",
        run: |runtime| {
            let bundle = Bundle::new(&["report"])?.with(|config| {
                config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 });
                config["process"]["capabilities"] = json!({
                    "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_NET_RAW"],
                    "permitted": ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID"],
                    "inheritable": ["CAP_CHOWN", "CAP_KILL"],
                    "effective": ["CAP_CHOWN"],
                    "ambient": ["CAP_CHOWN"],
                });
            })?;
            let report = runtime.report(&bundle)?;
            let set = |name: &str| report.capabilities.get(name).cloned().unwrap_or_default();
            ensure_eq!(set("CapBnd"), format!("{:016x}", 1 | 1 << 5 | 1 << 7 | 1 << 13));
            ensure_eq!(set("CapInh"), format!("{:016x}", 1 | 1 << 5));
            // execve(2) reduces the sets of a user other than root to the ambient set.
            for name in ["CapPrm", "CapEff", "CapAmb"] {
                ensure_eq!(set(name), format!("{:016x}", 1));
            }
            Ok(())
        },
    },
    Case {
        name: "a process without sets of capabilities keeps its capabilities",
        quote: "capabilities (object, OPTIONAL) is an object containing arrays that specifies the sets of capabilities for \
                the process (config.md, Linux Process). Without it runc changes none (crun takes all away)",
        run: |runtime| {
            // With no_new_privs, execve(2) gives root no new capability.
            each([false, true], |&no_new_privileges| {
                let bundle = Bundle::new(&["report"])?.with(|config| {
                    config["process"].as_object_mut().map(|process| process.remove("capabilities"));
                    config["process"]["noNewPrivileges"] = json!(no_new_privileges);
                })?;
                let report = runtime.report(&bundle)?;
                let set = |name: &str| report.capabilities.get(name).cloned().unwrap_or_default();
                let all = set("CapBnd");
                ensure!(all != "0000000000000000", "none");
                ensure_eq!((set("CapPrm"), set("CapEff")), (all.clone(), all));
                Ok(())
            })
        },
    },
    Case {
        name: "a capability that cannot be granted is a warning",
        quote: "Runtimes SHOULD NOT fail if the container configuration requests capabilities that cannot be granted, \
                for example, if the runtime operates in a restricted environment with a limited set of capabilities \
                (config.md, Linux Process, since 1.1); Any value which cannot be mapped to a relevant kernel interface, or \
                cannot be granted otherwise, MUST be logged as a warning by the runtime",
        run: |runtime| {
            let caller = ["setpriv", "--bounding-set=-wake_alarm"];
            let bundle = Bundle::new(&["report"])?.with(|config| {
                for set in ["bounding", "permitted", "effective"] {
                    config["process"]["capabilities"][set] = json!(["CAP_KILL", "CAP_WAKE_ALARM"]);
                }
            })?;
            let output = output_by(runtime, &caller, &bundle)?.ok()?;
            ensure!(output.stderr.contains("CAP_WAKE_ALARM"), "no warning: {output}");
            let report: Report = serde_json::from_str(&output.stdout).doing("report")?;
            for set in ["CapBnd", "CapPrm", "CapEff"] {
                ensure_eq!(report.capabilities[set], format!("{:016x}", 1 << 5));
            }
            Ok(())
        },
    },
    Case {
        name: "a process has its oom_score_adj",
        quote: "If `oomScoreAdj` is set, the runtime MUST set `oom_score_adj` to the given value (config.md, Linux \
                Process)",
        run: |runtime| {
            for score in [0, 777, 1000] {
                let bundle = Bundle::new(&["report"])?
                    .with(|config| config["process"]["oomScoreAdj"] = json!(score))?;
                ensure_eq!(runtime.report(&bundle)?.oom_score_adj, score);
            }
            each([-1001, 1001], |&score| {
                refused(runtime, |config| config["process"]["oomScoreAdj"] = json!(score))
            })
        },
    },
    Case {
        name: "a process without oom_score_adj has the caller's",
        quote: "If `oomScoreAdj` is not set, the runtime MUST NOT change the value of `oom_score_adj` (config.md, Linux \
                Process)",
        run: |runtime| {
            let caller = ["sh", "-c", "echo 321 > /proc/self/oom_score_adj; exec \"$@\"", "sh"];
            ensure_eq!(run_by(runtime, &caller, |_| ())?.oom_score_adj, 321);
            Ok(())
        },
    },
    Case {
        name: "a process has its scheduling policy",
        quote: "policy represents the scheduling policy [...] `SCHED_OTHER`, `SCHED_FIFO`, `SCHED_RR`, `SCHED_BATCH`, \
                `SCHED_ISO`, `SCHED_IDLE`, `SCHED_DEADLINE`; nice is the nice value for the process (config.md, Linux \
                Process, since 1.1)",
        run: |runtime| {
            // proc_pid_stat(5): nice, rt_priority, policy.
            for (scheduler, want) in [
                (json!({ "policy": "SCHED_OTHER", "nice": 7 }), ["7", "0", "0"]),
                (json!({ "policy": "SCHED_OTHER" }), ["0", "0", "0"]),
                (json!({ "policy": "SCHED_BATCH" }), ["0", "0", "3"]),
                (json!({ "policy": "SCHED_BATCH", "nice": -3 }), ["-3", "0", "3"]),
                (json!({ "policy": "SCHED_IDLE" }), ["0", "0", "5"]),
                (json!({ "policy": "SCHED_FIFO", "priority": 3 }), ["0", "3", "1"]),
                (json!({ "policy": "SCHED_RR", "priority": 42 }), ["0", "42", "2"]),
            ] {
                let bundle = Bundle::new(&["cat", "/proc/self/stat"])?
                    .with(|config| config["process"]["scheduler"] = scheduler.clone())?;
                // A value that is not given is 0, not the caller's. The kernel uses it with these
                // policies alone.
                let is_nice =
                    ["SCHED_OTHER", "SCHED_BATCH"].iter().any(|policy| scheduler["policy"] == *policy);
                let caller = ["nice", "-n", if is_nice { "5" } else { "0" }];
                let output = output_by(runtime, &caller, &bundle)?.ok()?;
                // The fields behind the name, which is in parentheses, from the third on.
                let fields: Vec<_> =
                    output.stdout.rsplit(')').next().unwrap_or_default().split_ascii_whitespace().collect();
                let got = [19, 40, 41].map(|n: usize| fields.get(n - 3).copied().unwrap_or_default());
                ensure!(got == want, "{scheduler}: {got:?}, want {want:?}");
            }
            Ok(())
        },
    },
    Case {
        name: "the deadline scheduler has its parameters",
        quote: "runtime, deadline, period: used by the deadline scheduler; flags is an array of strings representing \
                scheduling flags (config.md, Linux Process, since 1.1)",
        run: |runtime| {
            let bundle = Bundle::new(&["sleep"])?.with(|config| {
                config["process"]["scheduler"] = json!({
                    "policy": "SCHED_DEADLINE", "flags": ["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM"],
                    "runtime": 1_000_000, "deadline": 50_000_000, "period": 100_000_000,
                });
            })?;
            let text = ask_about(runtime, &bundle, "chrt")?;
            for part in ["SCHED_DEADLINE", "SCHED_RESET_ON_FORK", "1000000/50000000/100000000"] {
                ensure!(text.contains(part), "no {part}: {text}");
            }
            Ok(())
        },
    },
    Case {
        name: "invalid schedulers are errors",
        quote: "Runtimes MUST generate an error when invalid or unsupported values are encountered (config.md, Valid \
                values)",
        run: |runtime| {
            each(
                [
                    json!({ "policy": "SCHED_SOMETIMES" }),
                    json!({ "policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_NONE"] }),
                    json!({ "policy": "SCHED_OTHER", "nice": 20 }),
                    json!({ "policy": "SCHED_OTHER", "nice": -21 }),
                    json!({ "policy": "SCHED_OTHER", "priority": 1 }),
                    json!({ "policy": "SCHED_FIFO", "priority": 100 }),
                    json!({ "policy": "SCHED_BATCH", "runtime": 1_000_000 }),
                    json!({ "nice": 1 }),
                ],
                |scheduler| refused(runtime, |config| config["process"]["scheduler"] = scheduler.clone()),
            )
        },
    },
    Case {
        name: "a process has its I/O priority",
        quote: "class: possible values are `IOPRIO_CLASS_RT`, `IOPRIO_CLASS_BE`, and `IOPRIO_CLASS_IDLE`; priority: an \
                integer ranging from 0 (highest) to 7 (lowest) (config.md, Linux Process, since 1.1)",
        run: |runtime| {
            for (class, priority, want) in [
                ("IOPRIO_CLASS_RT", 2, "realtime: prio 2"),
                ("IOPRIO_CLASS_BE", 0, "best-effort: prio 0"),
                ("IOPRIO_CLASS_BE", 7, "best-effort: prio 7"),
                ("IOPRIO_CLASS_IDLE", 0, "idle"),
            ] {
                let bundle = Bundle::new(&["sleep"])?.with(|config| {
                    config["process"]["ioPriority"] = json!({ "class": class, "priority": priority });
                })?;
                ensure_eq!(ask_about(runtime, &bundle, "ionice")?.trim(), want);
            }
            Ok(())
        },
    },
    Case {
        name: "the idle class of I/O needs no priority",
        quote: "runc's ioprio.bats and crun's io-priority-idle leave it out: the kernel has no priorities in this class",
        run: |runtime| {
            let bundle = Bundle::new(&["sleep"])?.with(|config| {
                config["process"]["ioPriority"] = json!({ "class": "IOPRIO_CLASS_IDLE" });
            })?;
            ensure_eq!(ask_about(runtime, &bundle, "ionice")?.trim(), "idle");
            Ok(())
        },
    },
    Case {
        name: "invalid I/O priorities are errors",
        quote: "The value should be an integer ranging from 0 (highest) to 7 (lowest) (config.md, Linux Process, since \
                1.1)",
        run: |runtime| {
            each(
                [
                    json!({ "class": "IOPRIO_CLASS_BE", "priority": 8 }),
                    json!({ "class": "IOPRIO_CLASS_BE", "priority": -1 }),
                    json!({ "class": "IOPRIO_CLASS_BEST", "priority": 1 }),
                ],
                |priority| refused(runtime, |config| config["process"]["ioPriority"] = priority.clone()),
            )
        },
    },
    Case {
        name: "the first process runs on its CPUs",
        quote: "execCPUAffinity: this setting is not applicable to the container's init process (config.md, Linux \
                Process, since 1.2.1)",
        run: |runtime| {
            let bundle = Bundle::new(&["report"])?;
            let cpus = |report: &Report| report.status.get("Cpus_allowed_list").cloned();
            let plain = cpus(&runtime.report(&bundle)?);
            let bundle =
                bundle.with(|c| c["process"]["execCPUAffinity"] = json!({ "initial": "0", "final": "0" }))?;
            ensure_eq!(cpus(&runtime.report(&bundle)?), plain);
            Ok(())
        },
    },
    Case {
        name: "a process of exec runs on its CPUs",
        quote: "`final` is a list of CPUs the process will be run on after the transition to container's cgroup (config.md, \
                Linux Process, since 1.2.1)",
        run: |runtime| {
            let bundle = Bundle::new(&["sleep"])?;
            let mut process = bundle.config["process"].clone();
            process["args"] = json!(["/probe", "report"]);
            process["execCPUAffinity"] = json!({ "final": "0" });
            let file = bundle.path().join("process.json").display().to_string();
            std::fs::write(&file, process.to_string()).doing("write")?;
            runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
            let output = runtime.run(&["exec", "--process", &file, "c"])?.ok()?;
            runtime.run(&["delete", "--force", "c"])?.ok()?;
            let report: Report = serde_json::from_str(&output.stdout).doing("report")?;
            ensure_eq!(report.status.get("Cpus_allowed_list").map(String::as_str), Some("0"));
            Ok(())
        },
    },
    Case {
        name: "invalid users are errors",
        quote: "uid (int, REQUIRED) specifies the user ID in the container namespace (config.md, POSIX-platform User); \
                Runtimes MUST generate an error when invalid or unsupported values are encountered (config.md, Valid \
                values)",
        run: |runtime| {
            let changes: [fn(&mut Value); 4] = [
                |user| user["uid"] = json!(-1),
                |user| user["uid"] = json!(4_294_967_296u64),
                |user| user["gid"] = json!("root"),
                |user| user["additionalGids"] = json!([-1]),
            ];
            for change in changes {
                refused(runtime, |config| change(&mut config["process"]["user"]))?;
            }
            // The user namespace does not map the id.
            refused(runtime, |config| {
                conformance::change::with_user_namespace(config);
                config["process"]["user"]["uid"] = json!(100_000);
            })
        },
    },
    Case {
        name: "a process has its execution domain",
        quote: "`LINUX32` will set the `uname` system call to show a 32 bit CPU type, such as `i686` (config-linux.md, \
                Personality)",
        run: |runtime| {
            for (domain, native) in [("LINUX", true), ("LINUX32", false)] {
                let bundle = Bundle::new(&["report"])?
                    .with(|config| config["linux"]["personality"] = json!({ "domain": domain }))?;
                let machine = runtime.report(&bundle)?.machine;
                ensure!((machine == std::env::consts::ARCH) == native, "{domain}: {machine}");
            }
            Ok(())
        },
    },
    Case {
        name: "invalid execution domains are errors",
        quote: "The valid list of constants is [...] `LINUX`, `LINUX32`; flags: currently no flag values are supported \
                (config-linux.md, Personality)",
        run: |runtime| {
            let all =
                [json!({ "domain": "BSD" }), json!({}), json!({ "domain": "LINUX", "flags": ["NO_ASLR"] })];
            each(all, |personality| {
                refused(runtime, |config| config["linux"]["personality"] = personality.clone())
            })
        },
    },
    Case {
        name: "a process has its memory policy",
        quote: "memoryPolicy (object, OPTIONAL) sets the NUMA memory policy for the container (config-linux.md, Memory \
                policy, since 1.3)",
        run: |runtime| {
            let all = [
                (json!({ "mode": "MPOL_DEFAULT" }), "default"),
                (json!({ "mode": "MPOL_LOCAL" }), "local"),
                (json!({ "mode": "MPOL_BIND", "nodes": "0" }), "bind:0"),
                (json!({ "mode": "MPOL_INTERLEAVE", "nodes": "0" }), "interleave:0"),
                (json!({ "mode": "MPOL_PREFERRED", "nodes": "0" }), "prefer:0"),
                (json!({ "mode": "MPOL_PREFERRED_MANY", "nodes": "0" }), "prefer (many):0"),
                (
                    json!({ "mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"] }),
                    "bind=static:0",
                ),
            ];
            each(all, |(policy, want)| {
                let bundle = Bundle::new(&["cat", "/proc/self/numa_maps"])?
                    .with(|config| config["linux"]["memoryPolicy"] = policy.clone())?;
                let output = runtime.run_in(&bundle, &["run", "c"])?.ok()?;
                let line = output.stdout.lines().next().unwrap_or_default();
                ensure!(line.contains(&format!(" {want} ")), "{policy}: {line}");
                Ok(())
            })
        },
    },
    Case {
        name: "invalid memory policies are errors",
        quote: "Some modes require that there are no nodes, e.g. `MPOL_DEFAULT` and `MPOL_LOCAL`. Others that there is at \
                least one node, e.g. `MPOL_BIND` and `MPOL_INTERLEAVE` (config-linux.md, Memory policy, since 1.3)",
        run: |runtime| {
            each(
                [
                    json!({ "mode": "MPOL_BIND" }),
                    json!({ "mode": "MPOL_INTERLEAVE", "nodes": "" }),
                    json!({ "mode": "MPOL_DEFAULT", "nodes": "0" }),
                    json!({ "mode": "MPOL_LOCAL", "nodes": "0" }),
                    json!({ "mode": "MPOL_NEAR", "nodes": "0" }),
                    json!({ "mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_MAYBE"] }),
                    json!({ "mode": "MPOL_BIND", "nodes": "zero" }),
                    json!({ "nodes": "0" }),
                ],
                |policy| refused(runtime, |config| config["linux"]["memoryPolicy"] = policy.clone()),
            )
        },
    },
];

/// Returns the output of a program of util-linux about the container's first process.
fn ask_about(runtime: &Runtime, bundle: &Bundle, program: &str) -> Result<String> {
    runtime.run_in(bundle, &["run", "--detach", "c"])?.ok()?;
    let pid = runtime.state("c")?["pid"].to_string();
    let output = Command::new(program).args(["-p", &pid]).output().doing(program)?;
    runtime.run(&["delete", "--force", "c"])?.ok()?;
    ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
