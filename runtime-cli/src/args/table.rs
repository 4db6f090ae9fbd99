// SPDX-License-Identifier: Apache-2.0
//! The command line as commands of clap: the source of the parser, the help, the man pages and the
//! completions. Only the command that was called is built.

use super::flags::*;
use clap::builder::{OsStringValueParser, ValueRange};
use clap::{Arg, Command, ValueHint};

/// The identity of a command, for `match`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Check,
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

/// A command that can be built.
#[derive(Debug)]
pub(crate) struct Entry {
    #[allow(dead_code, reason = "the man pages do without")]
    pub(crate) verb: Verb,
    pub(crate) name: &'static str,
    describe: fn(Command) -> Command,
}

impl Entry {
    /// Builds the command.
    pub(crate) fn command(&self) -> Command {
        (self.describe)(empty(self.name)).arg(help_flag())
    }
}

/// The arguments of a command that are no flags.
pub(crate) const ARGUMENTS: &str = "arguments";

/// Returns a command without flags. The flags for help and for the version are not clap's, which
/// ends the parsing as soon as it meets one.
fn empty(name: &'static str) -> Command {
    Command::new(name).disable_help_flag(true).disable_version_flag(true).args_override_self(true)
}

/// Describes the arguments. `usage` is their part of the usage line.
fn arguments(usage: &'static str, count: impl Into<ValueRange>) -> Arg {
    let count = count.into();
    Arg::new(ARGUMENTS)
        .value_name(usage)
        .num_args(count)
        .required(count.min_values() > 0)
        .value_parser(OsStringValueParser::new())
}

/// Describes arguments behind which no flag of this program follows: they, and what follows, are
/// for another program.
fn others(usage: &'static str, count: impl Into<ValueRange>) -> Arg {
    arguments(usage, count).trailing_var_arg(true)
}

const ID: &str = "<container-id>";

const CONTAINER: &str = "\
<container-id> is the name of the container: letters, digits and _ + - . only.";

/// The name of the program in its help.
pub(super) const PROGRAM: &str = "runtime-cli";

/// Builds the program without its commands. All that follows the first argument belongs to the
/// command.
pub(crate) fn program() -> Command {
    empty(PROGRAM).args([
        DEBUG.help("enable debug logging"),
        LOG.help("append log lines to this file (default: standard error)").value_hint(ValueHint::FilePath),
        LOG_FORMAT.help("the format of log lines: 'text' (default) or 'json'"),
        ROOT.help("directory for the state of containers, best on a tmpfs (default: \"/run/runc\", or $XDG_RUNTIME_DIR/runc for users)").value_hint(ValueHint::DirPath),
        SYSTEMD_CGROUP.help("let systemd make the cgroups; cgroupsPath then has the form \"slice:prefix:name\", such as \"system.slice:runc:434234\""),
        CGROUP_MANAGER.help("cgroup manager: 'cgroupfs' (default), 'systemd', or 'disabled' for no cgroup (as in crun)"),
        ROOTLESS.help("ignore missing permissions for cgroups: 'true', 'false' or 'auto' (default)"),
        TRACE.help("write a timeline of the steps of the operation to this file, in the trace event format of Chrome (not in runc)").value_hint(ValueHint::FilePath),
        help_flag(),
        version_flag(),
    ]).arg(others("command", 0..))
}

/// Returns the flags of `create`, which `run` has too.
fn create_flags() -> [Arg; 9] {
    [
        BUNDLE.help("the bundle directory (default: the working directory)").value_hint(ValueHint::DirPath),
        CONSOLE_SOCKET
            .help("AF_UNIX socket to which the master of the container's pseudoterminal is sent")
            .value_hint(ValueHint::FilePath),
        PIDFD_SOCKET
            .help("AF_UNIX socket to which a pidfd of the container's init is sent")
            .value_hint(ValueHint::FilePath),
        PID_FILE.help("file to write the pid of the container's init to").value_hint(ValueHint::FilePath),
        NO_PIVOT.help("do not use pivot_root, for a rootfs on a ramdisk; less safe"),
        NO_NEW_KEYRING.help("do not make a session keyring for the container: it gets the caller's"),
        PRESERVE_FDS.help("pass this many more descriptors to the container, from 3 + $LISTEN_FDS on"),
        DRY_RUN.help("print the steps that would be taken, and make nothing (not in runc)"),
        DRY_RUN_FORMAT.help("with --dry-run, one of: text or json (default: \"text\")"),
    ]
}

const BUNDLES: &str = "\
A bundle is a directory with a configuration file named \"config.json\" and the
root file system that it names. `spec` writes a first configuration.";

const UPDATES: &str = "\
Limits that are not given do not change. The file has the format of \"linux.resources\" in a
configuration; each property can be omitted:

    {
      \"memory\": { \"limit\": 0, \"reservation\": 0, \"swap\": 0, \"checkBeforeUpdate\": true },
      \"cpu\": { \"shares\": 0, \"quota\": 0, \"burst\": 0, \"period\": 0, \"cpus\": \"\", \"mems\": \"\", \"idle\": 0 },
      \"pids\": { \"limit\": 0 },
      \"blockIO\": { \"weight\": 0 },
      \"unified\": { \"memory.high\": \"max\" }
    }";

pub(crate) const COMMANDS: &[Entry] = &[
    Entry { verb: Verb::Check, name: "check", describe: check },
    Entry { verb: Verb::Checkpoint, name: "checkpoint", describe: checkpoint },
    Entry { verb: Verb::Create, name: "create", describe: create },
    Entry { verb: Verb::Delete, name: "delete", describe: delete },
    Entry { verb: Verb::Events, name: "events", describe: events },
    Entry { verb: Verb::Exec, name: "exec", describe: exec },
    Entry { verb: Verb::Features, name: "features", describe: features },
    Entry { verb: Verb::Kill, name: "kill", describe: kill },
    Entry { verb: Verb::List, name: "list", describe: list },
    Entry { verb: Verb::Pause, name: "pause", describe: pause },
    Entry { verb: Verb::Ps, name: "ps", describe: ps },
    Entry { verb: Verb::Restore, name: "restore", describe: restore },
    Entry { verb: Verb::Resume, name: "resume", describe: resume },
    Entry { verb: Verb::Run, name: "run", describe: run },
    Entry { verb: Verb::Spec, name: "spec", describe: spec },
    Entry { verb: Verb::Start, name: "start", describe: start },
    Entry { verb: Verb::State, name: "state", describe: state },
    Entry { verb: Verb::Update, name: "update", describe: update },
];

fn check(command: Command) -> Command {
    command
        .about("show what this host can do for containers (not in runc)")
        .long_about(
            "\
Tries the kernel's features, cgroups, user namespaces and programs that containers need, as the
calling user. For each it prints whether it works, what its lack means, and how to mend it. With
--bundle it prints what in that bundle's configuration would fail here, without running it.
Nothing is made on the host. The exit status is 0 if all is well, 2 if something is limited (with
--bundle: a warning), and 4 if no container (with --bundle: this container) can be made.",
        )
        .args([
            BUNDLE.help("check this bundle for this host").value_hint(ValueHint::DirPath),
            FORMAT.help("one of: table or json (default: \"table\")"),
        ])
}

/// Returns the flags that `checkpoint` and `restore` have in common.
fn image_flags() -> [Arg; 9] {
    [
        IMAGE_PATH.help("directory of the images (default: \"checkpoint\")").value_hint(ValueHint::DirPath),
        WORK_PATH
            .help("directory for the log and other files of CRIU (default: that of the images)")
            .value_hint(ValueHint::DirPath),
        TCP_ESTABLISHED.help("include open TCP connections"),
        EXT_UNIX_SK.help("allow unix sockets that are connected to processes outside of the container"),
        SHELL_JOB.help("allow processes in a session or on a terminal of the caller"),
        FILE_LOCKS.help("include file locks"),
        MANAGE_CGROUPS_MODE
            .help("what CRIU does with cgroups: 'soft' (default), 'full', 'strict' or 'ignore'"),
        EMPTY_NS.help("a namespace whose content is left out: 'network', which always is"),
        AUTO_DEDUP.help("remove pages from earlier images that later ones have"),
    ]
}

fn checkpoint(command: Command) -> Command {
    command
        .about("checkpoint a running container")
        .long_about(
            "\
Writes the processes of the container into files, with CRIU (criu.org), a program of the
host. Then deletes the container, unless it is to go on. `restore` makes it again.",
        )
        .args(image_flags())
        .args([
            PARENT_PATH
                .help("directory of the images of a pre-dump, relative to that of the images")
                .value_hint(ValueHint::DirPath),
            LEAVE_RUNNING.help("let the container go on"),
            TCP_SKIP_IN_FLIGHT.help("leave out TCP connections that are not established yet"),
            LINK_REMAP.help("give deleted files that are open a name for the time being"),
            LAZY_PAGES.help("serve the memory at the address of --page-server until it is restored"),
            STATUS_FD.help("descriptor that gets a \\0 when the server of --lazy-pages is ready"),
            PAGE_SERVER.help("ADDRESS:PORT of CRIU's page server, which gets the memory"),
            PRE_DUMP.help("write the present memory only, for --parent-path, and let the container go on"),
        ])
        .arg(arguments(ID, 1..=1))
}

fn create(command: Command) -> Command {
    command.about("create a container").long_about(BUNDLES).args(create_flags()).arg(arguments(ID, 1..=1))
}

fn delete(command: Command) -> Command {
    command
        .about("delete a container and all its resources")
        .long_about(CONTAINER)
        .args([FORCE.help("kill the container with SIGKILL if it is still running")])
        .arg(arguments(ID, 1..=1))
}

fn events(command: Command) -> Command {
    command
        .about("display the resource usage and out-of-memory events of a container")
        .long_about(
            "\
Prints a line with a JSON object for each event: the resource usage of the
container at each interval, and each OOM kill of one of its processes. Ends when no process is left.",
        )
        .args([
            INTERVAL.help("interval between two displays, such as 100ms or 1m30s (default: 5s)"),
            STATS.help("display the current resource usage, then exit"),
        ])
        .arg(arguments(ID, 1..=1))
}

fn exec(command: Command) -> Command {
    command
        .about("execute a new process in a container")
        .long_about(
            "\
The process is that of the bundle's configuration with another command, or the
one that a file in the format of its \"process\" describes.",
        )
        .args([
            CONSOLE_SOCKET
                .help("AF_UNIX socket to which the master of the process's pseudoterminal is sent")
                .value_hint(ValueHint::FilePath),
            PIDFD_SOCKET
                .help("AF_UNIX socket to which a pidfd of the process is sent")
                .value_hint(ValueHint::FilePath),
            CWD.help("working directory in the container"),
            ENV.help("add an environment variable, NAME=value"),
            TTY.help("allocate a pseudoterminal"),
            USER.help("run as UID or UID:GID"),
            ADDITIONAL_GIDS.help("add a supplementary group"),
            PROCESS.help("file that describes the process").value_hint(ValueHint::FilePath),
            DETACH.help("do not wait for the end of the process"),
            PID_FILE.help("file to write the pid of the process to").value_hint(ValueHint::FilePath),
            PROCESS_LABEL.help("SELinux label of the process"),
            APPARMOR.help("AppArmor profile of the process"),
            NO_NEW_PRIVS.help("do not let the process gain privileges"),
            CAP.help("add a capability"),
            PRESERVE_FDS.help("pass this many more descriptors to the process, from 3 + $LISTEN_FDS on"),
            CGROUP.help("run the process in this (existing) cgroup below the container's"),
            IGNORE_PAUSED.help("allow exec in a paused container"),
            // runc accepts this flag for exec too, without any effect.
            NO_SUBREAPER.hidden(),
        ])
        .arg(others("<container-id> <command> [command options]  || -p process.json <container-id>", 1..))
}

fn features(command: Command) -> Command {
    command.about("print the supported features of configurations, as JSON").long_about(
        "\
The format is that of the specification's features.md. The host may lack some of
the features; only \"supportedFlags\" are those of the running kernel.",
    )
}

fn kill(command: Command) -> Command {
    command
        .about("send a signal (default: SIGTERM) to the container's init process")
        .long_about("[signal] is a name, with or without SIG, or a number.")
        .args([ALL.hidden()])
        .arg(others("<container-id> [signal]", 1..=2))
}

fn list(command: Command) -> Command {
    command
        .about("list the containers of a state directory")
        .long_about("The state directory is that of the global option --root.")
        .args([FORMAT.help("one of: table or json (default: \"table\")"), QUIET.help("only print the names")])
}

fn pause(command: Command) -> Command {
    command.about("suspend all processes of a container").long_about(CONTAINER).arg(arguments(ID, 1..=1))
}

fn ps(command: Command) -> Command {
    command
        .about("show the processes of a container")
        .long_about("The table is what ps(1) prints with the given options (default: -ef).")
        .args([FORMAT.help("one of: table or json (default: \"table\")")])
        .arg(others("<container-id> [ps options]", 1..))
}

fn restore(command: Command) -> Command {
    command
        .about("restore a container from a checkpoint")
        .long_about(
            "\
Makes a container of a bundle whose processes are those of a checkpoint. The images decide
what the processes may do: they have to be as trusted as the configuration.",
        )
        .args(image_flags())
        .args([
            BUNDLE
                .help("the bundle directory (default: the working directory)")
                .value_hint(ValueHint::DirPath),
            CONSOLE_SOCKET
                .help("AF_UNIX socket to which the master of the container's pseudoterminal is sent")
                .value_hint(ValueHint::FilePath),
            DETACH.help("do not wait for the end of the container"),
            PID_FILE.help("file to write the pid of the container's init to").value_hint(ValueHint::FilePath),
            NO_SUBREAPER.help("do not reap orphaned processes of the container"),
            NO_PIVOT.help("accepted for callers of runc: CRIU makes the root, always by pivot_root"),
            LAZY_PAGES.help("get the memory from the daemon `criu lazy-pages`"),
            LSM_PROFILE.help("profile of a security module in place of that of the images, TYPE:NAME"),
            LSM_MOUNT_CONTEXT.help("SELinux context of mounts in place of that of the images"),
        ])
        .arg(arguments(ID, 1..=1))
}

fn resume(command: Command) -> Command {
    command
        .about("resume all processes of a paused container")
        .long_about(CONTAINER)
        .arg(arguments(ID, 1..=1))
}

fn run(command: Command) -> Command {
    command
        .about("create and start a container")
        .long_about(BUNDLES)
        .args(create_flags())
        .args([
            DETACH.help("do not wait for the end of the container"),
            KEEP.help("do not delete the container when it ends"),
            NO_SUBREAPER.help("do not reap orphaned processes of the container"),
        ])
        .arg(arguments(ID, 1..=1))
}

fn spec(command: Command) -> Command {
    command
        .about("write a new configuration file")
        .long_about(
            "\
Writes \"config.json\" into the bundle: a container that runs sh on a terminal,
with namespaces of its own, in the directory \"rootfs\". To try it:

    mkdir -p bundle/rootfs && cd bundle
    ... put a root file system into rootfs ...
    {program} spec
    {program} run demo",
        )
        .args([
            BUNDLE
                .help("the bundle directory (default: the working directory)")
                .value_hint(ValueHint::DirPath),
            SPEC_ROOTLESS.help("write a configuration that an unprivileged user can run"),
        ])
}

fn start(command: Command) -> Command {
    command
        .about("execute the program of a created container")
        .long_about(
            "\
With $NOTIFY_SOCKET set, as it was for create, waits until the container says that
it is ready (sd_notify(3)), and tells the service manager so.",
        )
        .arg(arguments(ID, 1..=1))
}

fn state(command: Command) -> Command {
    command.about("print the state of a container").long_about(CONTAINER).arg(arguments(ID, 1..=1))
}

fn update(command: Command) -> Command {
    command.about("update container resource constraints").long_about(UPDATES).args([
        RESOURCES.help("file with the resources to update, or '-' for standard input; the limits of other options are then ignored").value_hint(ValueHint::FilePath),
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
    ]).arg(arguments(ID, 1..=1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_flags_have_help() {
        assert!(COMMANDS.is_sorted_by_key(|entry| entry.name));
        for mut command in COMMANDS.iter().map(Entry::command).chain([program()]) {
            // clap checks that names are unique, and more.
            command.build();
            let flags: Vec<_> = command.get_opts().collect();
            assert!(flags.iter().all(|flag| flag.is_hide_set() || flag.get_help().is_some()));
            assert!(flags.iter().all(|flag| flag.get_long() == Some(flag.get_id().as_str())));
        }
    }
}
