// SPDX-License-Identifier: Apache-2.0
//! The process of a plan: its strings, and the search for its program.

use super::extras::{Extras, set_env};
use super::seccomp;
use crate::boundary::plan::{HOME_MAX, Keyring, Plan, Process, Program, Stream, TerminalPlan};
use crate::child::devices::SHARED;
use crate::config::Config;
use crate::config::namespaces::NamespaceKind;
use crate::config::process::{Process as ProcessConfig, variable};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::parent::attributes::Attributes;
use nix::sys::stat::fstat;
use runtime_sys::exec::StringArray;
use runtime_sys::fd;
use runtime_sys::text::c_str;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The permissions of a new session keyring: the kernel's default, and the right to search it, for
/// its owner. In a user namespace everyone has that right, because the owner is another user there.
const KEYRING: u32 = 0x3f13_0000;
const KEYRING_OWNER_SEARCH: u32 = 0x8_0000;
const KEYRING_OTHER_SEARCH: u32 = 0x8;

/// The type of the file system of pipes (statfs(2)).
const PIPEFS_MAGIC: i64 = 0x5049_5045;

/// The search path if the environment has no PATH (confstr(3), _CS_PATH).
const DEFAULT_PATH: &CStr = c"/bin:/usr/bin";

/// Makes the plan of the container's first process.
pub(super) fn init_process(config: &Config, id: &str, enters_pid: bool, extras: Extras) -> Result<Process> {
    let in_user_namespace = config.namespaces.is_own(NamespaceKind::User);
    let search = if in_user_namespace { KEYRING_OTHER_SEARCH } else { KEYRING_OWNER_SEARCH };
    let keyring = (!extras.no_new_keyring)
        .then(|| self::keyring(id, in_user_namespace, Some(KEYRING | search)))
        .transpose()?;
    let kind = ProcessKind { in_user_namespace, enters_pid, make_cwd: true };
    process(&config.process, keyring, kind, extras)
}

/// Makes the plan of an exec process.
pub(super) fn exec_process(
    config: &ProcessConfig,
    id: &str,
    in_user_namespace: bool,
    enters_pid: bool,
    extras: Extras,
) -> Result<Process> {
    let keyring = (!extras.no_new_keyring).then(|| self::keyring(id, in_user_namespace, None)).transpose()?;
    process(config, keyring, ProcessKind { in_user_namespace, enters_pid, make_cwd: false }, extras)
}

/// Returns the session keyring. Since 5.3, the kernel looks for keyring names only in the
/// process's own user namespace. So only a keyring in the host's user namespace can belong to
/// a user outside of the container.
fn keyring(id: &str, in_user_namespace: bool, permissions: Option<u32>) -> Result<Keyring> {
    Ok(Keyring {
        name: super::extras::c_string(&format!("_ses.{id}"))?,
        permissions,
        may_be_anothers: !in_user_namespace,
    })
}

/// Returns what the standard streams of a process are. `None`: the caller's.
pub(crate) fn streams(stdio: &[Option<OwnedFd>; 3]) -> Result<[Stream; 3]> {
    let mut streams = [Stream::Other; 3];
    for ((stream, given), n) in streams.iter_mut().zip(stdio).zip(0..) {
        let file = given.as_ref().map_or(fd::stdio(n), AsFd::as_fd);
        let st = fstat(file).context(|| format!("stat of standard stream {n}"))?;
        *stream = match SHARED.iter().position(|device| device.is(&st)) {
            Some(index) => Stream::Device(index),
            None if st.st_mode & libc::S_IFMT == libc::S_IFIFO => {
                fifo(file, st.st_ino).context(|| format!("standard stream {n}"))?
            }
            None => Stream::Other,
        };
    }
    Ok(streams)
}

/// Distinguishes a fifo with a name from a pipe, which is on the kernel's file system of pipes.
fn fifo(file: BorrowedFd<'_>, inode: u64) -> runtime_sys::Result<Stream> {
    match fd::filesystem(file)? {
        PIPEFS_MAGIC => Ok(Stream::Pipe(inode)),
        _ => Ok(Stream::Fifo { mount: fd::mount_id(file)?, inode }),
    }
}

/// The properties of a process that are not in its configuration.
struct ProcessKind {
    in_user_namespace: bool,
    enters_pid: bool,
    make_cwd: bool,
}

/// Returns the error of a detached process with a terminal that nobody gets.
pub(crate) fn needs_console_socket() -> Error {
    let text = "cannot allocate tty if runc will detach without setting console socket";
    Error::new(ErrorKind::InvalidConfig, text)
        .at("process.terminal")
        .with_hint("process.terminal is true: set it to false, or give a socket with --console-socket")
}

/// Returns the error of a process without a terminal to send.
pub(crate) fn needs_no_console_socket() -> Error {
    let text = "cannot use console socket if runc will not detach or allocate tty";
    Error::new(ErrorKind::InvalidConfig, text)
        .at("process.terminal")
        .with_hint("process.terminal is false: set it to true, or leave out --console-socket")
}

fn process(
    config: &ProcessConfig,
    keyring: Option<Keyring>,
    kind: ProcessKind,
    extras: Extras,
) -> Result<Process> {
    let ProcessKind { in_user_namespace, enters_pid, make_cwd } = kind;
    if config.terminal.is_some() && extras.stdio.iter().any(Option::is_some) {
        return Err(Error::new(
            ErrorKind::InvalidConfig,
            "process.terminal: a process with a terminal cannot have other standard streams",
        ));
    }
    let terminal = match (config.terminal, extras.console) {
        (Some(terminal), Some(socket)) => Some(TerminalPlan { socket, size: terminal.size }),
        (None, None) => None,
        (Some(_), None) => {
            return Err(needs_console_socket());
        }
        (None, Some(_)) => {
            return Err(needs_no_console_socket());
        }
    };
    let mut env = set_env(config.env.clone(), &extras.env)?;
    let find = |name: &[u8]| env.iter().find_map(|entry| variable(entry, name));
    let program = program(config.args.first().map_or(c"", CString::as_c_str), find(b"PATH"))?;
    let home = find(b"HOME").is_none().then_some(env.len());
    if home.is_some() {
        // The child writes the value over the spaces.
        let mut home = b"HOME=/".to_vec();
        home.resize(b"HOME=".len() + HOME_MAX, b' ');
        env.push(c_str(home).context(|| "HOME")?);
    }
    let streams = if terminal.is_some() { [Stream::Other; 3] } else { streams(&extras.stdio)? };
    Ok(Process {
        keyring,
        terminal,
        stdio: extras.stdio,
        streams,
        personality: config.personality,
        memory_policy: config.memory_policy.clone(),
        rlimits: if in_user_namespace { Box::default() } else { config.rlimits.clone().into() },
        umask: config.umask,
        cwd: config.cwd.clone(),
        make_cwd,
        program,
        args: StringArray::new(config.args.clone()),
        env: StringArray::new(env),
        home,
        no_new_privileges: config.no_new_privileges,
        filter: extras.filter.map(|filter| seccomp::filter(&filter, config, enters_pid)).transpose()?,
        capabilities: config.capabilities,
        uid: config.uid,
        gid: config.gid,
        groups: config.groups.clone().into(),
        keeps: extras.keeps,
        enters_pid,
        inherited_oom_score: config.oom_score_adj.filter(|_| enters_pid),
        preserve_fds: extras.preserve_fds.into(),
        fifo: extras.fifo,
    })
}

fn program(name: &CStr, search_path: Option<&CStr>) -> Result<Program> {
    if name.to_bytes().contains(&b'/') {
        return Ok(Program::Path(name.to_owned()));
    }
    let directories = search_path
        .unwrap_or(DEFAULT_PATH)
        .to_bytes()
        .split(|b| *b == b':')
        // An empty entry is the working directory (execvp(3)).
        .map(|directory| if directory.is_empty() { b"." } else { directory })
        .map(|directory| c_str([directory, b"/"].concat()))
        .collect::<runtime_sys::Result<_>>()
        .context(|| "PATH")?;
    Ok(Program::Search { name: name.to_owned(), directories })
}

/// Returns the attributes that the parent sets on the process, which `plan` does not set yet.
pub(crate) fn attributes<'a>(process: &'a ProcessConfig, cpus: &'a [u64], plan: &Plan) -> Attributes<'a> {
    Attributes {
        oom_score_adj: process.oom_score_adj.filter(|_| plan.process.inherited_oom_score.is_none()),
        scheduler: process.scheduler.as_ref(),
        io_priority: process.io_priority,
        rlimits: &process.rlimits,
        cpus,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CRIU treats it as a file.
    #[test]
    fn a_fifo_with_a_name_is_not_a_pipe() {
        let dir = tempfile::tempdir().unwrap();
        let path = crate::path::c_path(&dir.path().join("fifo")).unwrap();
        nix::unistd::mkfifo(path.as_c_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let fifo = fd::open(fd::CWD, &path, libc::O_RDWR, 0).unwrap();
        let (pipe, _write) = fd::pipe().unwrap();
        let null = fd::open(fd::CWD, c"/dev/null", libc::O_RDWR, 0).unwrap();
        let streams = streams(&[Some(fifo), Some(pipe), Some(null)]).unwrap();
        assert!(matches!(streams, [Stream::Fifo { .. }, Stream::Pipe(_), Stream::Device(0)]), "{streams:?}");
    }

    #[test]
    fn a_program_without_a_slash_is_searched_in_the_path() {
        let directories = |path: Option<&CStr>| match program(c"sh", path).unwrap() {
            Program::Search { directories, .. } => {
                directories.iter().map(|d| d.to_str().unwrap().to_owned()).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(directories(Some(c"/a:/b/")), ["/a/", "/b//"]);
        assert_eq!(directories(Some(c":/a")), ["./", "/a/"]);
        assert_eq!(directories(None), ["/bin/", "/usr/bin/"]);
        assert!(matches!(program(c"./sh", Some(c"/a")), Ok(Program::Path(_))));
    }
}
