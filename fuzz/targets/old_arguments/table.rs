// SPDX-License-Identifier: Apache-2.0
//! The command line as a table: the source of the parser, the help, the man pages and the
//! completions.

use super::flags::*;

/// The place of a command's flags among its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Anywhere.
    Mixed,
    /// Before the first argument. All words after the first argument are arguments too.
    FlagsFirst,
}

/// The identity of a command, for `match`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Checkpoint,
    Create,
    Delete,
    Events,
    Exec,
    Features,
    Kill,
    List,
    Pause,
    Ps,
    Restore,
    Resume,
    Run,
    Spec,
    Start,
    State,
    Update,
}

#[derive(Debug)]
pub(crate) struct Command {
    #[allow(dead_code, reason = "the man pages do without")]
    pub(crate) verb: Verb,
    pub(crate) name: &'static str,
    pub(crate) summary: &'static str,
    /// The part of the usage line behind the name.
    pub(crate) usage: &'static str,
    pub(crate) description: &'static str,
    pub(crate) flags: &'static [Flag],
    pub(crate) order: Order,
    /// The least and the greatest number of arguments.
    pub(crate) arguments: (usize, usize),
}

const CONTAINER: &str = "\
<container-id> is the name of the container: letters, digits and _ + - . only.";

pub(crate) const GLOBALS: &[Flag] = &[
    DEBUG.help("enable debug logging"),
    LOG.help("append log lines to this file (default: standard error)"),
    LOG_FORMAT.help("the format of log lines: 'text' (default) or 'json'"),
    ROOT.help("directory for the state of containers, best on a tmpfs (default: \"/run/runc\", or $XDG_RUNTIME_DIR/runc for users)"),
    SYSTEMD_CGROUP.help("let systemd make the cgroups; cgroupsPath then has the form \"slice:prefix:name\", such as \"system.slice:runc:434234\""),
    CGROUP_MANAGER.help("cgroup manager: 'cgroupfs' (default), 'systemd', or 'disabled' for no cgroup (as in crun)"),
    ROOTLESS.help("ignore missing permissions for cgroups: 'true', 'false' or 'auto' (default)"),
    TRACE.help("write a timeline of the steps of the operation to this file, in the trace event format of Chrome (not in runc)"),
];

/// The flags of `create`, followed by others.
macro_rules! create_flags {
    ($($more:expr),* $(,)?) => {
        &[
            BUNDLE.help("the bundle directory (default: the working directory)"),
            CONSOLE_SOCKET.help("AF_UNIX socket to which the master of the container's pseudoterminal is sent"),
            PIDFD_SOCKET.help("AF_UNIX socket to which a pidfd of the container's init is sent"),
            PID_FILE.help("file to write the pid of the container's init to"),
            NO_PIVOT.help("do not use pivot_root, for a rootfs on a ramdisk; less safe"),
            NO_NEW_KEYRING.help("do not make a session keyring for the container: it gets the caller's"),
            PRESERVE_FDS.help("pass this many more descriptors to the container, from 3 + $LISTEN_FDS on"),
            $($more,)*
        ]
    };
}

const BUNDLES: &str = "\
A bundle is a directory with a configuration file named \"config.json\" and the
root file system that it names. `spec` writes a first configuration.";

const UPDATES: &str = "\
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
        verb: Verb::Checkpoint,
        name: "checkpoint",
        summary: "checkpoint a running container",
        usage: "<container-id>",
        description: "\
Writes the processes of the container into files, with CRIU (criu.org), a program of the
host. Then deletes the container, unless it is to go on. `restore` makes it again.",
        flags: &[
            IMAGE_PATH.help("directory of the images (default: \"checkpoint\")"),
            WORK_PATH .help("directory for the log and other files of CRIU (default: that of the images)"),
            TCP_ESTABLISHED.help("include open TCP connections"),
            EXT_UNIX_SK.help("allow unix sockets that are connected to processes outside of the container"),
            SHELL_JOB.help("allow processes in a session or on a terminal of the caller"),
            FILE_LOCKS.help("include file locks"),
            MANAGE_CGROUPS_MODE.help("what CRIU does with cgroups: 'soft' (default), 'full', 'strict' or 'ignore'"),
            EMPTY_NS.help("a namespace whose content is left out: 'network', which always is"),
            AUTO_DEDUP.help("remove pages from earlier images that later ones have"),
            PARENT_PATH .help("directory of the images of a pre-dump, relative to that of the images"),
            LEAVE_RUNNING.help("let the container go on"),
            TCP_SKIP_IN_FLIGHT.help("leave out TCP connections that are not established yet"),
            LINK_REMAP.help("give deleted files that are open a name for the time being"),
            LAZY_PAGES.help("serve the memory at the address of --page-server until it is restored"),
            STATUS_FD.help("descriptor that gets a \\0 when the server of --lazy-pages is ready"),
            PAGE_SERVER.help("ADDRESS:PORT of CRIU's page server, which gets the memory"),
            PRE_DUMP.help("write the present memory only, for --parent-path, and let the container go on"),
        ],
        order: Order::Mixed,
        arguments: (1, 1),
    },
    Command {
        verb: Verb::Create,
        name: "create",
        summary: "create a container",
        usage: "<container-id>",
        description: BUNDLES,
        flags: create_flags![],
        order: Order::Mixed,
        arguments: (1, 1),
    },
    Command {
        verb: Verb::Delete,
        name: "delete",
        summary: "delete a container and all its resources",
        usage: "<container-id>",
        description: CONTAINER,
        flags: &[FORCE.help("kill the container with SIGKILL if it is still running",
        )],
        order: Order::Mixed,
        arguments: (1, 1),
    },
    Command {
        verb: Verb::Events,
        name: "events",
        summary: "display the resource usage and out-of-memory events of a container",
        usage: "<container-id>",
        description: "\
Prints an object of JSON in a line for each event: what the container uses, at
intervals, and each time that one of its processes was killed for memory. It ends when no process is left.",
        flags: &[
            INTERVAL.help("interval between two displays, such as 100ms or 1m30s (default: 5s)"),
            STATS.help("display the current resource usage, then exit"),
        ],
        order: Order::Mixed,
        arguments: (1, 1),
    },
    Command {
        verb: Verb::Exec,
        name: "exec",
        summary: "execute a new process in a container",
        usage: "<container-id> <command> [command options]  || -p process.json <container-id>",
        description: "\
The process is that of the bundle's configuration with another command, or the
one that a file in the format of its \"process\" describes.",
        flags: &[
            CONSOLE_SOCKET.help("AF_UNIX socket to which the master of the process's pseudoterminal is sent"),
            PIDFD_SOCKET.help("AF_UNIX socket to which a pidfd of the process is sent"),
            CWD.help("working directory in the container"),
            ENV.help("add an environment variable, NAME=value"),
            TTY.help("allocate a pseudoterminal"),
            USER.help("run as UID or UID:GID"),
            ADDITIONAL_GIDS.help("add a supplementary group"),
            PROCESS.help("file that describes the process"),
            DETACH.help("do not wait for the end of the process"),
            PID_FILE.help("file to write the pid of the process to"),
            PROCESS_LABEL.help("SELinux label of the process"),
            APPARMOR.help("AppArmor profile of the process"),
            NO_NEW_PRIVS.help("do not let the process gain privileges"),
            CAP.help("add a capability"),
            PRESERVE_FDS.help("pass this many more descriptors to the process, from 3 + $LISTEN_FDS on"),
            CGROUP.help("run the process in this (existing) cgroup below the container's"),
            IGNORE_PAUSED.help("allow exec in a paused container"),
            // runc accepts this flag for exec too, without any effect.
            NO_SUBREAPER.hidden(),
        ],
        order: Order::FlagsFirst,
        arguments: (1, usize::MAX),
    },
    Command {
        verb: Verb::Features,
        name: "features",
        summary: "print the supported features of configurations, as JSON",
        usage: "",
        description: "\
The format is that of the specification's features.md. The host may lack some of
the features; only \"supportedFlags\" are those of the running kernel.",
        flags: &[],
        order: Order::Mixed,
        arguments: (0, 0),
    },
    Command {
        verb: Verb::Kill,
        name: "kill",
        summary: "send a signal (default: SIGTERM) to the container's init process",
        usage: "<container-id> [signal]",
        description: "[signal] is a name, with or without SIG, or a number.",
        flags: &[ALL.hidden()],
        order: Order::FlagsFirst,
        arguments: (1, 2),
    },
    Command {
        verb: Verb::List,
        name: "list",
        summary: "list the containers of a state directory",
        usage: "",
        description: "The state directory is that of the global option --root.",
        flags: &[
            FORMAT.help("one of: table or json (default: \"table\")"),
            QUIET.help("only print the names"),
        ],
        order: Order::Mixed,
        arguments: (0, 0),
    },
    Command {
        verb: Verb::Pause,
        name: "pause",
        summary: "suspend all processes of a container",
        usage: "<container-id>",
        description: CONTAINER,
        flags: &[],
        order: Order::Mixed,
        arguments: (1, 1),
    },
    Command {
        verb: Verb::Ps,
        name: "ps",
        summary: "show the processes of a container",
        usage: "<container-id> [ps options]",
        description: "The table is what ps(1) prints with the given options (default: -ef).",
        flags: &[FORMAT.help("one of: table or json (default: \"table\")")],
        order: Order::FlagsFirst,
        arguments: (1, usize::MAX),
    },
    Command {
        verb: Verb::Restore,
        name: "restore",
        summary: "restore a container from a checkpoint",
        usage: "<container-id>",
        description: "\
Makes a container of a bundle whose processes are those of a checkpoint. The images decide
what the processes may do: they have to be as trusted as the configuration.",
        flags: &[
            IMAGE_PATH.help("directory of the images (default: \"checkpoint\")"),
            WORK_PATH .help("directory for the log and other files of CRIU (default: that of the images)"),
            TCP_ESTABLISHED.help("include open TCP connections"),
            EXT_UNIX_SK.help("allow unix sockets that are connected to processes outside of the container"),
            SHELL_JOB.help("allow processes in a session or on a terminal of the caller"),
            FILE_LOCKS.help("include file locks"),
            MANAGE_CGROUPS_MODE.help("what CRIU does with cgroups: 'soft' (default), 'full', 'strict' or 'ignore'"),
            EMPTY_NS.help("a namespace whose content is left out: 'network', which always is"),
            AUTO_DEDUP.help("remove pages from earlier images that later ones have"),
            BUNDLE .help("the bundle directory (default: the working directory)"),
            CONSOLE_SOCKET .help("AF_UNIX socket to which the master of the container's pseudoterminal is sent"),
            DETACH.help("do not wait for the end of the container"),
            PID_FILE.help("file to write the pid of the container's init to"),
            NO_SUBREAPER.help("do not reap orphaned processes of the container"),
            NO_PIVOT.help("accepted for callers of runc: CRIU makes the root, always by pivot_root"),
            LAZY_PAGES.help("get the memory from the daemon `criu lazy-pages`"),
            LSM_PROFILE.help("profile of a security module in place of that of the images, TYPE:NAME"),
            LSM_MOUNT_CONTEXT.help("SELinux context of mounts in place of that of the images"),
        ],
        order: Order::Mixed,
        arguments: (1, 1),
    },
    Command {
        verb: Verb::Resume,
        name: "resume",
        summary: "resume all processes of a paused container",
        usage: "<container-id>",
        description: CONTAINER,
        flags: &[],
        order: Order::Mixed,
        arguments: (1, 1),
    },
    Command {
        verb: Verb::Run,
        name: "run",
        summary: "create and start a container",
        usage: "<container-id>",
        description: BUNDLES,
        flags: create_flags![
            DETACH.help("do not wait for the end of the container"),
            KEEP.help("do not delete the container when it ends"),
            NO_SUBREAPER.help("do not reap orphaned processes of the container"),
        ],
        order: Order::Mixed,
        arguments: (1, 1),
    },
    Command {
        verb: Verb::Spec,
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
            BUNDLE.help("the bundle directory (default: the working directory)"),
            SPEC_ROOTLESS.help("write a configuration that an unprivileged user can run"),
        ],
        order: Order::Mixed,
        arguments: (0, 0),
    },
    Command {
        verb: Verb::Start,
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
        verb: Verb::State,
        name: "state",
        summary: "print the state of a container",
        usage: "<container-id>",
        description: CONTAINER,
        flags: &[],
        order: Order::Mixed,
        arguments: (1, 1),
    },
    Command {
        verb: Verb::Update,
        name: "update",
        summary: "update container resource constraints",
        usage: "<container-id>",
        description: UPDATES,
        flags: &[
            RESOURCES.help("file with the resources to update, or '-' for standard input; the limits of other options are then ignored"),
            BLKIO_WEIGHT.help("relative share of block devices, 10 to 1000"),
            CPU_PERIOD.help("period of the CPU limit, in microseconds"),
            CPU_QUOTA.help("CPU time in each period, in microseconds; -1: no limit"),
            CPU_BURST.help("CPU time that may be saved up, in microseconds"),
            CPU_SHARE.help("relative share of CPU time, 2 to 262144"),
            CPU_RT_PERIOD.help("period of the realtime limit (cgroup v1 only)"),
            CPU_RT_RUNTIME.help("realtime CPU time in each period (cgroup v1 only)"),
            CPUSET_CPUS.help("CPUs to use, such as 0-3,7"),
            CPUSET_MEMS.help("memory nodes to use"),
            KERNEL_MEMORY.hidden(),
            KERNEL_MEMORY_TCP.hidden(),
            MEMORY.help("memory limit, in bytes or with a unit such as 100M; -1: no limit"),
            CPU_IDLE.help("1: run only on idle CPUs; 0: default"),
            MEMORY_RESERVATION.help("memory that is not reclaimed from the container"),
            MEMORY_SWAP.help("limit on memory and swap together; -1: no limit on swap"),
            PIDS_LIMIT.help("maximum number of processes; -1: no limit"),
            L3_CACHE_SCHEMA.help("not supported: Intel RDT/CAT L3 cache schema"),
            MEM_BW_SCHEMA.help("not supported: Intel RDT/MBA memory bandwidth schema"),
        ],
        order: Order::Mixed,
        arguments: (1, 1),
    },
];
