// SPDX-License-Identifier: Apache-2.0
//! Hooks: starting them, writing the state to them, reading their output, ending them (config.md,
//! "POSIX-platform Hooks").
//!
//! Hooks in the runtime's namespaces are ordinary children. Hooks in the container's namespaces
//! join them like a process of exec (`ops::container_hooks`). The parent always waits for them,
//! because it has a heap and a clock. docs/decisions/hooks.md says where and how they start, and
//! what becomes of their children.

use super::reap::{self, reap};
use crate::error::{Context, Error, ErrorKind, Result, Warning};
use crate::hook::{Hook, HookKind};
use crate::marks::{Mark, Traced};
use crate::path::executable::{self, Reason};
use crate::spec::state::StateDocument;
use crate::watch::Watch;
use runtime_sys::text::c_str;
use runtime_sys::{Errno, fd, ignore, process};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// The limit of a hook's output that is kept for an error, in bytes.
const OUTPUT_MAX: usize = 64 << 10;

/// The process of a hook: a child that has not been waited for, and that leads a process group.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
}

/// A function that starts a hook with these as its standard input, output and error.
pub(crate) type Start<'a> = dyn FnMut(&Hook, [OwnedFd; 3]) -> Result<Started> + 'a;

/// Runs the hooks of one kind in their order, in the caller's namespaces. Stops at the first
/// failure, and at an event of `watch`.
pub(crate) fn run(kind: HookKind, hooks: &[Hook], state: &StateDocument<'_>, watch: Watch<'_>) -> Result<()> {
    run_with(kind, hooks, state, watch, &mut here_in(state.bundle))
}

/// Runs hooks like [`run`], but starts them with `start`.
pub(crate) fn run_with(
    kind: HookKind,
    hooks: &[Hook],
    state: &StateDocument<'_>,
    watch: Watch<'_>,
    start: &mut Start<'_>,
) -> Result<()> {
    let state = document(hooks, state);
    hooks.iter().enumerate().try_for_each(|(i, hook)| {
        run_one(hook, &state, watch, start).traced(Mark::Hook).map_err(|error| numbered(kind, i, error))
    })
}

/// Runs all hooks of one kind, even if one fails (runtime.md, "Lifecycle", step 13). Returns the
/// failures.
pub(crate) fn run_all(
    kind: HookKind,
    hooks: &[Hook],
    state: &StateDocument<'_>,
    watch: Watch<'_>,
) -> Vec<Warning> {
    let mut here = here_in(state.bundle);
    let state = document(hooks, state);
    let failures = hooks.iter().enumerate().filter_map(|(i, hook)| {
        let error = run_one(hook, &state, watch, &mut here).traced(Mark::Hook).err()?;
        Some(Warning(numbered(kind, i, error).report()))
    });
    failures.collect()
}

fn document(hooks: &[Hook], state: &StateDocument<'_>) -> Vec<u8> {
    // Serialization fails only for maps whose keys are not strings.
    if hooks.is_empty() { Vec::new() } else { serde_json::to_vec(state).unwrap_or_default() }
}

fn numbered(kind: HookKind, i: usize, error: Error) -> Error {
    error.wrap_as(ErrorKind::Hook, format!("error running {} hook #{i}", kind.name()))
}

/// Starts hooks as children in the caller's namespaces, in the directory `bundle`, or in the
/// caller's working directory if the bundle is gone.
fn here_in(bundle: &str) -> impl FnMut(&Hook, [OwnedFd; 3]) -> Result<Started> {
    let bundle = Path::new(bundle);
    move |hook, stdio| here(hook, stdio, bundle)
}

fn here(hook: &Hook, stdio: [OwnedFd; 3], bundle: &Path) -> Result<Started> {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(&hook.path);
    if let [name, args @ ..] = hook.args.as_slice() {
        command.arg0(name).args(args);
    }
    // Without `env` in config.json a hook has the runtime's environment.
    if let Some(env) = &hook.env {
        command.env_clear();
        for entry in env {
            match entry.split_once('=') {
                Some((name, value)) => command.env(name, value),
                None => command.env(entry, ""),
            };
        }
    }
    if is_directory(bundle) {
        command.current_dir(bundle);
    }
    let [stdin, stdout, stderr] = stdio;
    command.stdin(stdin).stdout(stdout).stderr(stderr).process_group(0);
    process::start_clean(&mut command);
    let mut child = command.spawn().map_err(|error| not_started(&hook.path, &error))?;
    // The child has not been waited for, so the pid is not reused.
    let pid = child.id() as i32;
    match process::pidfd_open(pid) {
        Ok(pidfd) => Ok(Started { pid, pidfd }),
        Err(errno) => {
            // Without a pidfd the hook cannot be waited for or ended later. The first error is the
            // one to report.
            ignore(child.kill().and_then(|()| child.wait()));
            Err(Error::os(errno, "pidfd_open"))
        }
    }
}

fn is_directory(path: &Path) -> bool {
    let st = crate::path::c_path(path).and_then(|path| fd::stat_at(fd::CWD, &path, 0));
    st.is_ok_and(|st| st.st_mode & libc::S_IFMT == libc::S_IFDIR)
}

fn run_one(hook: &Hook, state: &[u8], watch: Watch<'_>, start: &mut Start<'_>) -> Result<()> {
    let pipe = || fd::pipe().context(|| "pipe2");
    let ((stdin, input), (stdout, out), (stderr, err)) = (pipe()?, pipe()?, pipe()?);
    let Started { pid, pidfd } = start(hook, [stdin, out, err])?;
    let pipes = Pipes { input: Some(input), stdout, stderr };
    let (stdout, stderr) = supervise(&pidfd, pipes, state, hook.timeout, watch).inspect_err(|_| {
        // A hook must not outlive an error. ESRCH if all its processes are gone. The hook has not
        // been waited for, so no other process group has its number. The hook may have left the
        // group.
        ignore(process::kill_group(pid, libc::SIGKILL));
        reap::end(&pidfd);
    })?;
    match reap(pid, &pidfd).context(|| "waitid")? {
        process::ExitStatus::Exited(0) => Ok(()),
        status => Err(Error::new(ErrorKind::Hook, format!("{status}, stdout: {stdout}, stderr: {stderr}"))),
    }
}

/// The runtime's ends of a hook's standard streams.
struct Pipes {
    input: Option<OwnedFd>,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

/// Writes a hook's standard input and reads its output until the hook has ended.
fn supervise(
    pidfd: &OwnedFd,
    pipes: Pipes,
    state: &[u8],
    timeout: Option<Duration>,
    watch: Watch<'_>,
) -> Result<(String, String)> {
    let fail = |errno| Error::os(errno, "communicating with the hook");
    let Pipes { mut input, stdout, stderr } = pipes;
    for pipe in [Some(&stdout), Some(&stderr), input.as_ref()].into_iter().flatten() {
        fd::set_nonblocking(pipe).map_err(fail)?;
    }
    let mut left = state;
    let mut outputs = [(true, Vec::new()), (true, Vec::new())];
    // No deadline if the clock cannot represent it.
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        let wait_ms = match deadline {
            None => -1,
            Some(deadline) => match deadline.saturating_duration_since(Instant::now()) {
                Duration::ZERO => {
                    let seconds = timeout.unwrap_or_default().as_secs_f64();
                    return Err(Error::new(
                        ErrorKind::Hook,
                        format!("hook ran past specified timeout of {seconds:.1}s"),
                    ));
                }
                left => i32::try_from(left.as_millis()).unwrap_or(i32::MAX - 1) + 1,
            },
        };
        let [(out_open, _), (err_open, _)] = &outputs;
        let [process, cancel] = watch.entries();
        let [writable, out_ready, err_ready, ended, process, cancel] = fd::poll_many(
            [
                input.as_ref().map(|input| (input.as_fd(), libc::POLLOUT)),
                out_open.then(|| (stdout.as_fd(), libc::POLLIN)),
                err_open.then(|| (stderr.as_fd(), libc::POLLIN)),
                Some((pidfd.as_fd(), libc::POLLIN)),
                process,
                cancel,
            ],
            wait_ms,
        )
        .map_err(fail)?;
        if writable != 0 {
            match input.as_ref().map_or(Ok(0), |input| fd::write(input, left)) {
                Ok(n) => left = left.get(n..).unwrap_or_default(),
                Err(Errno::EAGAIN) => {}
                // The hook has closed its standard input.
                Err(Errno::EPIPE) => left = &[],
                Err(errno) => return Err(fail(errno)),
            }
            if left.is_empty() {
                input = None;
            }
        }
        for ((pipe, ready), (open, output)) in
            [(stdout.as_fd(), out_ready), (stderr.as_fd(), err_ready)].into_iter().zip(&mut outputs)
        {
            // Output from before the hook's end is still in the pipe.
            if ready != 0 || ended != 0 {
                *open = *open && drain(pipe, output).map_err(fail)?;
            }
        }
        if ended != 0 {
            // Other processes may have inherited the pipes and keep them; the hook itself has
            // ended.
            let [(_, out), (_, err)] = outputs;
            return Ok((text(&out), text(&err)));
        }
        Watch::check([process, cancel])?;
    }
}

/// Reads the available output, but no more than a pipe holds: a hook that writes faster than this
/// function reads must not keep it from checking the deadline. Returns false at the end of file.
fn drain(pipe: BorrowedFd<'_>, output: &mut Vec<u8>) -> runtime_sys::Result<bool> {
    /// The largest pipe of a user, unless fs.pipe-max-size differs.
    const PIPE_MAX: usize = 1 << 20;
    let mut buf = [0; 4096];
    for _ in 0..PIPE_MAX / buf.len() {
        match fd::read(pipe, &mut buf) {
            Ok(0) => return Ok(false),
            Ok(n) => {
                let room = OUTPUT_MAX.saturating_sub(output.len());
                output.extend_from_slice(buf.get(..n.min(room)).unwrap_or_default());
            }
            Err(Errno::EAGAIN) => return Ok(true),
            Err(errno) => return Err(errno),
        }
    }
    Ok(true)
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

fn not_started(path: &str, error: &std::io::Error) -> Error {
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or_default());
    let reason = c_str(path).map_or(Reason::NONE, |path| Reason::find(&path, errno));
    let error = Error::io(error, format!("fork/exec {path}"));
    match executable::sentence(reason.as_bytes()) {
        Some(sentence) => error.with_hint(sentence),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Status;
    use std::collections::BTreeMap;

    fn sh(script: &str, timeout: Option<u64>) -> Hook {
        Hook {
            path: "/bin/sh".into(),
            args: ["sh", "-c", script].map(str::to_owned).into(),
            env: Some(vec!["A=b c".into()]),
            timeout: timeout.map(Duration::from_secs),
        }
    }

    fn run_with(annotation: &str, hooks: &[Hook]) -> Result<()> {
        let annotations = BTreeMap::from([("k".to_owned(), annotation.to_owned())]);
        let state = StateDocument {
            oci_version: "1.3.0",
            id: "x",
            status: Status::Creating,
            pid: 7,
            bundle: "/b",
            annotations: &annotations,
        };
        run(HookKind::CreateRuntime, hooks, &state, Watch::default())
    }

    #[test]
    fn hooks_get_the_state_and_their_environment_only() {
        let script = r#"read line; case $line in *'"status":"creating","pid":7,'*) ;; *) exit 1;; esac
            test "$A" = 'b c' && test -z "$HOME" && test "$0" = sh"#;
        run_with("v", &[sh(script, None)]).unwrap();
    }

    #[test]
    fn a_failure_names_the_hook_and_what_it_printed() {
        let error =
            run_with("v", &[sh("true", None), sh("echo out; echo err >&2; exit 3", None)]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Hook);
        assert_eq!(
            error.report(),
            "error running createRuntime hook #1: exit status 3, stdout: out\n, stderr: err\n"
        );
        let missing = Hook { path: "/nonexistent".into(), ..sh("", None) };
        assert_eq!(
            run_with("v", &[missing]).unwrap_err().report(),
            "error running createRuntime hook #0: fork/exec /nonexistent: no such file or directory"
        );
    }

    #[test]
    fn poststop_hooks_run_whatever_the_others_do() {
        let state = StateDocument {
            oci_version: "1.3.0",
            id: "x",
            status: Status::Stopped,
            pid: 0,
            bundle: "/b",
            annotations: &BTreeMap::new(),
        };
        let warnings = run_all(
            HookKind::Poststop,
            &[sh("exit 3", None), sh("true", None), sh("echo no >&2; exit 4", None)],
            &state,
            Watch::default(),
        );
        let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            [
                "error running poststop hook #0: exit status 3, stdout: , stderr: ",
                "error running poststop hook #2: exit status 4, stdout: , stderr: no\n"
            ]
        );
    }

    #[test]
    fn a_hook_that_takes_too_long_is_ended() {
        let begin = Instant::now();
        let error = run_with("v", &[sh("sleep 100 & sleep 100", Some(1))]).unwrap_err();
        assert!(begin.elapsed() < Duration::from_secs(20));
        assert!(error.report().ends_with("hook ran past specified timeout of 1.0s"), "{}", error.report());
    }

    #[test]
    fn a_timeout_beyond_the_clock_is_no_limit() {
        for seconds in [u64::MAX, i64::MAX as u64, 40 * 24 * 3600] {
            run_with("v", &[sh("true", Some(seconds))]).unwrap();
        }
    }

    #[test]
    fn neither_a_deaf_nor_a_chatty_hook_nor_an_orphan_blocks() {
        let large = "x".repeat(1 << 20);
        run_with(&large, &[sh("exit 0", None)]).unwrap();
        run_with(&large, &[sh("cat >/dev/null; head -c 1000000 /dev/zero", None)]).unwrap();
        run_with("v", &[sh("sleep 5 & exit 0", None)]).unwrap();
    }
}
