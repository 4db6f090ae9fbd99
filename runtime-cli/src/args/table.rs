// SPDX-License-Identifier: Apache-2.0
//! The command line as a table: parsing, help, man pages and completions are all
//! made from it.

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Nothing, or `=true`, `=false`.
    Nothing,
    Text,
    Integer,
    /// It may be given several times.
    Texts,
    Integers,
}

#[derive(Debug)]
pub(crate) struct Flag {
    /// The long name first.
    pub(crate) names: &'static [&'static str],
    pub(crate) takes: Takes,
    pub(crate) help: &'static str,
    /// Accepted, but not in the help.
    pub(crate) hidden: bool,
}

/// Where the flags of a command may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Anywhere.
    Mixed,
    /// Before the first argument; everything behind it is passed on as it is.
    FlagsFirst,
}

#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) name: &'static str,
    pub(crate) summary: &'static str,
    /// What stands behind the name in the usage line.
    pub(crate) usage: &'static str,
    pub(crate) description: &'static str,
    pub(crate) flags: &'static [Flag],
    pub(crate) order: Order,
    /// How many arguments it takes, at least and at most.
    pub(crate) arguments: (usize, usize),
}

const fn flag(names: &'static [&'static str], takes: Takes, help: &'static str) -> Flag {
    Flag { names, takes, help, hidden: false }
}

const fn hidden(names: &'static [&'static str], takes: Takes) -> Flag {
    Flag { names, takes, help: "", hidden: true }
}

const CONTAINER: &str = "\
<container-id> is the name of the container: letters, digits and _ + - . only.";

pub(crate) const GLOBALS: &[Flag] = &[
    flag(&["debug"], Takes::Nothing, "enable debug logging"),
    flag(&["log"], Takes::Text, "append log lines to this file (default: standard error)"),
    flag(&["log-format"], Takes::Text, "the format of log lines: 'text' (default) or 'json'"),
    flag(
        &["root"],
        Takes::Text,
        "directory for the state of containers, best on a tmpfs (default: \"/run/runc\", or $XDG_RUNTIME_DIR/runc for users)",
    ),
    flag(
        &["systemd-cgroup"],
        Takes::Nothing,
        "let systemd make the cgroups; cgroupsPath then has the form \"slice:prefix:name\", such as \"system.slice:runc:434234\"",
    ),
    flag(
        &["cgroup-manager"],
        Takes::Text,
        "who makes the cgroups: 'cgroupfs' (default), 'systemd' or, for a container without one, 'disabled' (of crun)",
    ),
    flag(
        &["rootless"],
        Takes::Text,
        "ignore missing permissions for cgroups: 'true', 'false' or 'auto' (default)",
    ),
    flag(
        &["trace"],
        Takes::Text,
        "write a timeline of the steps of the operation to this file, in the trace event format of Chrome (not in runc)",
    ),
];

/// The flags that create and run have in common.
macro_rules! create_flags {
    ($($more:expr),* $(,)?) => {
        &[
            flag(&["bundle", "b"], Takes::Text, "the bundle directory (default: the working directory)"),
            flag(
                &["console-socket"],
                Takes::Text,
                "AF_UNIX socket to which the master of the container's pseudoterminal is sent",
            ),
            flag(&["pidfd-socket"], Takes::Text, "AF_UNIX socket to which a pidfd of the container's init is sent"),
            flag(&["pid-file"], Takes::Text, "file to write the pid of the container's init to"),
            flag(
                &["no-pivot"],
                Takes::Nothing,
                "do not use pivot_root, for a rootfs on a ramdisk; less safe",
            ),
            flag(
                &["no-new-keyring"],
                Takes::Nothing,
                "do not make a session keyring for the container: it gets the caller's",
            ),
            flag(
                &["preserve-fds"],
                Takes::Integer,
                "pass this many more descriptors to the container, from 3 + $LISTEN_FDS on",
            ),
            $($more,)*
        ]
    };
}

const BUNDLE: &str = "\
A bundle is a directory with a configuration file named \"config.json\" and the
root file system that it names. `spec` writes a first configuration.";

const RESOURCES: &str = "\
What is not given stays as it is. The file has the format of \"linux.resources\" in a
configuration; each of its parts can be omitted:

    {
      \"memory\": { \"limit\": 0, \"reservation\": 0, \"swap\": 0, \"checkBeforeUpdate\": true },
      \"cpu\": { \"shares\": 0, \"quota\": 0, \"burst\": 0, \"period\": 0, \"cpus\": \"\", \"mems\": \"\", \"idle\": 0 },
      \"pids\": { \"limit\": 0 },
      \"blockIO\": { \"weight\": 0 },
      \"unified\": { \"memory.high\": \"max\" }
    }";

pub(crate) const COMMANDS: &[Command] = &[
    Command {
        name: "create",
        summary: "create a container",
        usage: "<container-id>",
        description: BUNDLE,
        flags: create_flags![],
        order: Order::Mixed,
        arguments: (1, 1),
    },
    Command {
        name: "delete",
        summary: "delete all that is left of a container",
        usage: "<container-id>",
        description: CONTAINER,
        flags: &[flag(
            &["force", "f"],
            Takes::Nothing,
            "kill the container with SIGKILL if it is still running",
        )],
        order: Order::Mixed,
        arguments: (1, 1),
    },
    Command {
        name: "events",
        summary: "display what a container uses, and that it ran out of memory",
        usage: "<container-id>",
        description: "\
Prints an object of JSON in a line for each event: what the container uses, at
intervals, and each time that one of its processes was killed for memory. It ends when no process is left.",
        flags: &[
            flag(
                &["interval"],
                Takes::Text,
                "time between two displays, such as 100ms or 1m30s (default: 5s)",
            ),
            flag(&["stats"], Takes::Nothing, "display what the container uses now, then exit"),
        ],
        order: Order::Mixed,
        arguments: (1, 1),
    },
    Command {
        name: "exec",
        summary: "execute a new process in a container",
        usage: "<container-id> <command> [command options]  || -p process.json <container-id>",
        description: "\
The process is that of the bundle's configuration with another command, or the
one that a file in the format of its \"process\" describes.",
        flags: &[
            flag(
                &["console-socket"],
                Takes::Text,
                "AF_UNIX socket to which the master of the process's pseudoterminal is sent",
            ),
            flag(&["pidfd-socket"], Takes::Text, "AF_UNIX socket to which a pidfd of the process is sent"),
            flag(&["cwd"], Takes::Text, "working directory in the container"),
            flag(&["env", "e"], Takes::Texts, "add an environment variable, NAME=value"),
            flag(&["tty", "t"], Takes::Nothing, "allocate a pseudoterminal"),
            flag(&["user", "u"], Takes::Text, "run as UID or UID:GID"),
            flag(&["additional-gids", "g"], Takes::Integers, "add a supplementary group"),
            flag(&["process", "p"], Takes::Text, "file that describes the process"),
            flag(&["detach", "d"], Takes::Nothing, "do not wait for the process's end"),
            flag(&["pid-file"], Takes::Text, "file to write the pid of the process to"),
            flag(&["process-label"], Takes::Text, "SELinux label of the process"),
            flag(&["apparmor"], Takes::Text, "AppArmor profile of the process"),
            flag(&["no-new-privs"], Takes::Nothing, "do not let the process gain privileges"),
            flag(&["cap", "c"], Takes::Texts, "add a capability"),
            flag(
                &["preserve-fds"],
                Takes::Integer,
                "pass this many more descriptors to the process, from 3 + $LISTEN_FDS on",
            ),
            flag(
                &["cgroup"],
                Takes::Texts,
                "run the process in this (existing) cgroup below the container's",
            ),
            flag(&["ignore-paused"], Takes::Nothing, "allow exec in a paused container"),
            hidden(&["no-subreaper"], Takes::Nothing),
        ],
        order: Order::FlagsFirst,
        arguments: (1, usize::MAX),
    },
    Command {
        name: "features",
        summary: "print what configurations may ask for, as JSON",
        usage: "",
        description: "\
The format is that of the specification's features.md. Whether the host can do all of
it is another question; only \"supportedFlags\" are those of the running kernel.",
        flags: &[],
        order: Order::Mixed,
        arguments: (0, 0),
    },
    Command {
        name: "kill",
        summary: "send a signal (default: SIGTERM) to the container's init process",
        usage: "<container-id> [signal]",
        description: "[signal] is a name, with or without SIG, or a number.",
        flags: &[hidden(&["all", "a"], Takes::Nothing)],
        order: Order::FlagsFirst,
        arguments: (1, 2),
    },
    Command {
        name: "list",
        summary: "list the containers of a state directory",
        usage: "",
        description: "The state directory is that of the global option --root.",
        flags: &[
            flag(&["format", "f"], Takes::Text, "one of: table or json (default: \"table\")"),
            flag(&["quiet", "q"], Takes::Nothing, "only print the names"),
        ],
        order: Order::Mixed,
        arguments: (0, 0),
    },
    Command {
        name: "pause",
        summary: "suspend all processes of a container",
        usage: "<container-id>",
        description: CONTAINER,
        flags: &[],
        order: Order::Mixed,
        arguments: (1, 1),
    },
    Command {
        name: "ps",
        summary: "show the processes of a container",
        usage: "<container-id> [ps options]",
        description: "The table is what ps(1) prints with the given options (default: -ef).",
        flags: &[flag(&["format", "f"], Takes::Text, "one of: table or json (default: \"table\")")],
        order: Order::FlagsFirst,
        arguments: (1, usize::MAX),
    },
    Command {
        name: "resume",
        summary: "resume all processes of a paused container",
        usage: "<container-id>",
        description: CONTAINER,
        flags: &[],
        order: Order::Mixed,
        arguments: (1, 1),
    },
    Command {
        name: "run",
        summary: "create and start a container",
        usage: "<container-id>",
        description: BUNDLE,
        flags: create_flags![
            flag(&["detach", "d"], Takes::Nothing, "do not wait for the container's end"),
            flag(&["keep"], Takes::Nothing, "do not delete the container at its end"),
            flag(&["no-subreaper"], Takes::Nothing, "do not reap orphaned processes of the container"),
        ],
        order: Order::Mixed,
        arguments: (1, 1),
    },
    Command {
        name: "spec",
        summary: "write a new configuration file",
        usage: "",
        description: "\
Writes \"config.json\" into the bundle: a container that runs sh on a terminal,
with namespaces of its own, in the directory \"rootfs\". To try it:

    mkdir -p bundle/rootfs && cd bundle
    ... put a root file system into rootfs ...
    {program} spec
    {program} run demo",
        flags: &[
            flag(&["bundle", "b"], Takes::Text, "the bundle directory (default: the working directory)"),
            flag(&["rootless"], Takes::Nothing, "write a configuration that an unprivileged user can run"),
        ],
        order: Order::Mixed,
        arguments: (0, 0),
    },
    Command {
        name: "start",
        summary: "execute the program of a created container",
        usage: "<container-id>",
        description: "\
With $NOTIFY_SOCKET set, as it was for create, waits until the container says that
it is ready (sd_notify(3)), and tells the service manager so.",
        flags: &[],
        order: Order::Mixed,
        arguments: (1, 1),
    },
    Command {
        name: "state",
        summary: "print the state of a container",
        usage: "<container-id>",
        description: CONTAINER,
        flags: &[],
        order: Order::Mixed,
        arguments: (1, 1),
    },
    Command {
        name: "update",
        summary: "update container resource constraints",
        usage: "<container-id>",
        description: RESOURCES,
        flags: &[
            flag(
                &["resources", "r"],
                Takes::Text,
                "file with the resources to update, or '-' for standard input; all other options are then ignored",
            ),
            flag(&["blkio-weight"], Takes::Integer, "relative share of block devices, 10 to 1000"),
            flag(&["cpu-period"], Takes::Text, "period of the CPU limit, in microseconds"),
            flag(&["cpu-quota"], Takes::Text, "CPU time in each period, in microseconds; -1: no limit"),
            flag(&["cpu-burst"], Takes::Text, "CPU time that may be saved up, in microseconds"),
            flag(&["cpu-share"], Takes::Text, "relative share of CPU time, 2 to 262144"),
            flag(&["cpu-rt-period"], Takes::Text, "period of the realtime limit (cgroup v1 only)"),
            flag(&["cpu-rt-runtime"], Takes::Text, "realtime CPU time in each period (cgroup v1 only)"),
            flag(&["cpuset-cpus"], Takes::Text, "CPUs to use, such as 0-3,7"),
            flag(&["cpuset-mems"], Takes::Text, "memory nodes to use"),
            hidden(&["kernel-memory"], Takes::Text),
            hidden(&["kernel-memory-tcp"], Takes::Text),
            flag(
                &["memory"],
                Takes::Text,
                "memory limit, in bytes or with a unit such as 100M; -1: no limit",
            ),
            flag(&["cpu-idle"], Takes::Text, "1: run only when nothing else wants to; 0: as usual"),
            flag(&["memory-reservation"], Takes::Text, "memory that is not reclaimed from the container"),
            flag(&["memory-swap"], Takes::Text, "limit on memory and swap together; -1: no limit on swap"),
            flag(&["pids-limit"], Takes::Integer, "maximum number of processes; -1: no limit"),
            flag(&["l3-cache-schema"], Takes::Text, "Intel RDT/CAT L3 cache schema"),
            flag(&["mem-bw-schema"], Takes::Text, "Intel RDT/MBA memory bandwidth schema"),
        ],
        order: Order::Mixed,
        arguments: (1, 1),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_sorted() {
        assert!(COMMANDS.is_sorted_by_key(|command| command.name));
        for command in COMMANDS {
            let mut names: Vec<_> = command.flags.iter().flat_map(|flag| flag.names).collect();
            let count = names.len();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), count, "{}", command.name);
            assert!(command.flags.iter().all(|flag| flag.hidden || !flag.help.is_empty()));
        }
    }
}
