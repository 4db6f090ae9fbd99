// SPDX-License-Identifier: Apache-2.0
//! linux.resources: limits, judged by their effect. The cases need the controllers of a unified
//! host.

use crate::support::Case;
use conformance::{Bundle, Doing, Output, Result, Runtime, ensure, ensure_eq, host};
use serde_json::{Value, json};
use std::process::Command;

/// Returns the controllers that the cases need and the host does not have.
pub(crate) fn missing_controllers() -> Vec<&'static str> {
    let have = host::controllers();
    let needed = ["cpu", "cpuset", "io", "memory", "pids", "hugetlb"];
    needed.into_iter().filter(|name| !have.iter().any(|one| one == name)).collect()
}

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "memory is limited",
        quote: "limit - sets limit of memory usage (config-linux.md, Memory)",
        run: |runtime| {
            let limits = json!({ "memory": { "limit": 16 << 20, "swap": 16 << 20 } });
            ensure_eq!(run(runtime, &["allocate", "4"], &limits)?.ok()?.stdout, "4\n");
            let killed = run(runtime, &["allocate", "64"], &limits)?;
            ensure!(killed.status.code() == Some(128 + 9), "must be killed: {killed}");
            Ok(())
        },
    },
    Case {
        name: "a small memory limit is enough for a small program",
        quote: "limit - sets limit of memory usage (config-linux.md, Memory): of what the container uses, not of \
                what making it takes",
        run: |runtime| {
            let limits = json!({ "memory": { "limit": 1 << 20 } });
            ensure_eq!(run(runtime, &["print", "x"], &limits)?.ok()?.stdout, "x\n");
            Ok(())
        },
    },
    Case {
        name: "a memory limit below the memory of the program is an error",
        quote: "MUST generate an error if any property cannot be applied as specified (runtime.md, Create)",
        run: |runtime| {
            let limits = json!({ "memory": { "limit": 4096, "swap": 4096 } });
            let output = run(runtime, &["print", "x"], &limits)?.failed()?;
            ensure!(output.stdout.is_empty(), "{output}");
            Ok(())
        },
    },
    Case {
        name: "a memory limit below the usage is refused if it is checked before",
        quote: "If enabled (true), runtime MAY check if a new memory limit is lower than the current usage, and MUST \
                reject the new limit (config-linux.md, Memory)",
        run: |runtime| {
            let bundle = Bundle::new(&["sleep"])?;
            runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
            let file = bundle.path().join("resources.json");
            let request = json!({ "memory": { "limit": 4096, "checkBeforeUpdate": true } });
            std::fs::write(&file, request.to_string()).doing("write")?;
            let path = file.display().to_string();
            runtime.run(&["update", "--resources", &path, "c"])?.failed()?;
            ensure_eq!(runtime.status("c")?, "running");
            runtime.run(&["delete", "--force", "c"])?.ok().map(drop)
        },
    },
    Case {
        name: "CPU time is limited",
        quote: "quota - specifies the total amount of time in microseconds for which all tasks in a cgroup can run \
                during one period (config-linux.md, CPU)",
        run: |runtime| {
            // The CPU time in milliseconds, and the number of periods in which the cgroup was
            // throttled. The time without a quota depends on the machine.
            let burned = |limits: &Value| -> Result<(u64, u64)> {
                let output = run(runtime, &["burn", "2000"], limits)?.ok()?;
                let (used, waits) = output.stdout.trim().split_once(' ').unwrap_or_default();
                Ok((used.parse().doing("CPU time")?, waits.parse().doing("nr_throttled")?))
            };
            let (used, waits) = burned(&json!({ "cpu": { "quota": 10_000, "period": 100_000 } }))?;
            // A tenth of 2000 ms is 200 ms, but the host's ticks are coarse.
            ensure!(used < 500 && waits > 0, "{used} ms of CPU time in 2000 ms, with a quota of a tenth");
            let (used, waits) = burned(&json!({}))?;
            ensure!(waits == 0, "{used} ms without a quota, in {waits} pieces");
            Ok(())
        },
    },
    Case {
        name: "CPUs are limited",
        quote: "cpus - list of CPUs the container will run on (config-linux.md, CPU)",
        run: |runtime| {
            let status =
                run(runtime, &["cat", "/proc/self/status"], &json!({ "cpu": { "cpus": "0", "mems": "0" } }))?;
            let status = status.ok()?.stdout;
            ensure!(status.contains("\nCpus_allowed_list:\t0\n"), "{status}");
            ensure!(status.contains("\nMems_allowed_list:\t0\n"), "{status}");
            Ok(())
        },
    },
    Case {
        name: "CPUs that do not exist are errors",
        quote: "MUST generate an error if any property cannot be applied as specified (runtime.md, Create)",
        run: |runtime| {
            run(runtime, &["exit", "0"], &json!({ "cpu": { "cpus": "4000" } }))?.failed()?;
            run(runtime, &["exit", "0"], &json!({ "cpu": { "mems": "900" } }))?.failed().map(drop)
        },
    },
    Case {
        name: "the number of tasks is limited",
        quote: "limit - specifies the maximum number of tasks in the cgroup, with -1 indicating no limit \
                (config-linux.md, PIDs)",
        run: |runtime| {
            let started = |limit: i64| -> Result<String> {
                let output = run(runtime, &["spawn", "20"], &json!({ "pids": { "limit": limit } }))?.ok()?;
                Ok(output.stdout.trim().to_owned())
            };
            ensure_eq!(started(8)?, "7");
            ensure_eq!(started(-1)?, "20");
            Ok(())
        },
    },
    Case {
        name: "a limit of zero tasks allows only the first",
        quote: "0 is a valid limit value for the pids cgroup controller from the kernel's perspective and SHOULD be \
                treated as such by runtimes (config-linux.md, PIDs)",
        run: |runtime| {
            let output = run(runtime, &["spawn", "20"], &json!({ "pids": { "limit": 0 } }))?.ok()?;
            ensure_eq!(output.stdout, "0\n");
            Ok(())
        },
    },
    Case {
        name: "the throughput of a block device is limited",
        quote: "throttleReadBpsDevice - bandwidth rate limit in bytes per second for the device \
                (config-linux.md, Block IO)",
        run: throughput,
    },
    Case {
        name: "huge pages are limited",
        quote: "limit - limit in bytes of hugepagesize HugeTLB reservations (if supported) or usage \
                (config-linux.md, Huge page limits)",
        run: huge_pages,
    },
    Case {
        name: "unified sets files of the cgroup",
        quote: "Each key in the map refers to a file in the cgroup unified hierarchy. The OCI runtime MUST ensure that \
                the needed cgroup controllers are enabled for the cgroup (config-linux.md, Unified)",
        run: |runtime| {
            let unified = json!({ "unified": { "pids.max": "7", "memory.high": "33554432", "cpu.weight": "42" },
                                  "pids": { "limit": 3 } });
            for (file, want) in [("pids.max", "7\n"), ("memory.high", "33554432\n"), ("cpu.weight", "42\n")] {
                let path = format!("/sys/fs/cgroup/{file}");
                let output = run(runtime, &["cat", &path], &unified)?.ok()?;
                ensure!(output.stdout == want, "{file}: {output}");
            }
            Ok(())
        },
    },
    Case {
        name: "unified with a missing controller is an error",
        quote: "The runtime MUST generate an error when the configuration refers to a cgroup controller that is not \
                present or that cannot be enabled (config-linux.md, Unified)",
        run: |runtime| {
            run(runtime, &["exit", "0"], &json!({ "unified": { "nosuch.max": "7" } }))?.failed().map(drop)
        },
    },
    Case {
        name: "unified with a value that the kernel refuses is an error",
        quote: "MUST generate an error if any property cannot be applied as specified (runtime.md, Create)",
        run: |runtime| {
            run(runtime, &["exit", "0"], &json!({ "unified": { "memory.max": "much" } }))?.failed().map(drop)
        },
    },
];

/// Runs a container with limits in the foreground.
fn run(runtime: &Runtime, args: &[&str], limits: &Value) -> Result<Output> {
    let bundle = Bundle::new(args)?.with(|config| limit(config, limits))?;
    runtime.run_in(&bundle, &["run", "limited"])
}

fn limit(config: &mut Value, limits: &Value) {
    for (key, value) in limits.as_object().into_iter().flatten() {
        config["linux"]["resources"][key] = value.clone();
    }
}

/// A loop device on a file.
struct Loop(String);

impl Loop {
    fn new(file: &str) -> Result<Self> {
        let output = Command::new("losetup").args(["--find", "--show", file]).output().doing("losetup")?;
        let device = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        ensure!(output.status.success(), "losetup: {}", String::from_utf8_lossy(&output.stderr));
        Ok(Loop(device))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _detached = Command::new("losetup").args(["--detach", &self.0]).status();
    }
}

fn throughput(runtime: &Runtime) -> Result {
    let bundle = Bundle::new(&["read-direct", "/dev/disk", "3145728"])?;
    let file = bundle.path().join("disk");
    std::fs::write(&file, vec![7; 4 << 20]).doing("write")?;
    let device = Loop::new(&file.display().to_string())?;
    let rdev = std::os::unix::fs::MetadataExt::rdev(&std::fs::metadata(&device.0).doing("stat")?);
    let (major, minor) = (nix::sys::stat::major(rdev), nix::sys::stat::minor(rdev));
    let bundle = bundle.with(|config| {
        config["linux"]["devices"] =
            json!([{ "path": "/dev/disk", "type": "b", "major": major, "minor": minor }]);
        config["linux"]["resources"]["devices"] = json!([
            { "allow": false, "access": "rwm" },
            { "allow": true, "type": "b", "major": major, "minor": minor, "access": "r" },
        ]);
    })?;
    let milliseconds = |output: Output| output.ok()?.stdout.trim().parse::<u64>().doing("time");
    let free = milliseconds(runtime.run_in(&bundle, &["run", "free"])?)?;
    let bundle = bundle.with(|config| {
        limit(config, &json!({ "blockIO": { "throttleReadBpsDevice": [{ "major": major, "minor": minor, "rate": 1 << 20 }] } }));
    })?;
    let limited = milliseconds(runtime.run_in(&bundle, &["run", "limited"])?)?;
    ensure!(limited > 2000, "3 MiB in {limited} ms, with a limit of 1 MiB in a second");
    ensure!(limited > free + 1000, "{free} ms without a limit, {limited} ms with one");
    Ok(())
}

fn huge_pages(runtime: &Runtime) -> Result {
    let pool = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
    let before = std::fs::read_to_string(pool).doing("nr_hugepages")?;
    std::fs::write(pool, "8").doing("nr_hugepages")?;
    let taken = || -> Result<String> {
        let bundle = Bundle::new(&["huge-pages", "/dev/hugepages", "6"])?.with(|config| {
            conformance::change::push(
                config,
                json!({ "destination": "/dev/hugepages", "type": "hugetlbfs", "source": "hugetlbfs" }),
            );
            limit(config, &json!({ "hugepageLimits": [{ "pageSize": "2MB", "limit": 4 << 20 }] }));
        })?;
        Ok(runtime.run_in(&bundle, &["run", "limited"])?.ok()?.stdout)
    };
    let taken = taken();
    std::fs::write(pool, before).doing("nr_hugepages")?;
    ensure_eq!(taken?, "2\n");
    Ok(())
}
