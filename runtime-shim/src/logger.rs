// SPDX-License-Identifier: Apache-2.0
//! Programs that take the output of a process: `binary:///usr/bin/logger?key=value`.

use crate::status::{Code, Result, Status};
use runtime_sys::async_fd::Watched;
use runtime_sys::{fd, process};
use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::io::Interest;
use tokio::time::timeout;

/// The time for the program to say that it is ready.
const READY: Duration = Duration::from_secs(10);
/// The time for the program to end when all of its input has ended, and again after SIGTERM.
const END: Duration = Duration::from_secs(5);

/// A running program.
pub(crate) struct Logger {
    child: Child,
    pidfd: OwnedFd,
}

/// The ends that the process of the container gets.
pub(crate) struct Inputs {
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

impl Logger {
    /// Starts the program of `uri` for the process `id`, and waits until it is ready: it closes its
    /// descriptor 5, or, if `strict`, first writes to it. It reads standard output from descriptor 3,
    /// and standard error from 4.
    pub(crate) async fn start(uri: &str, id: &str, namespace: &str, strict: bool) -> Result<(Self, Inputs)> {
        let failed = |errno: runtime_sys::Errno| Status::io(&errno.into(), "preparing the logger");
        let (out_read, stdout) = fd::pipe().map_err(failed)?;
        let (err_read, stderr) = fd::pipe().map_err(failed)?;
        let (ready_read, ready) = fd::pipe().map_err(failed)?;
        let (program, arguments) = parse(uri)?;
        let mut command = Command::new(&program);
        command.args(arguments).env_clear();
        command.env("CONTAINER_ID", id).env("CONTAINER_NAMESPACE", namespace);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        process::pass_fds(&mut command, vec![out_read, err_read, ready]).map_err(failed)?;
        let mut child = command
            .spawn()
            .map_err(|error| Status::io(&error, format_args!("starting the logger {program}")))?;
        // It has copies of the descriptors to pass.
        drop(command);
        let pid = i32::try_from(child.id()).unwrap_or(-1);
        let pidfd = match process::pidfd_open(pid) {
            Ok(pidfd) => pidfd,
            Err(errno) => {
                runtime_sys::ignore(child.kill());
                tokio::task::spawn_blocking(move || child.wait());
                return Err(Status::io(&errno.into(), "pidfd_open"));
            }
        };
        let mut logger = Logger { child, pidfd };
        let error = match timeout(READY, is_ready(ready_read)).await {
            Ok(Ok(said)) if said || !strict => return Ok((logger, Inputs { stdout, stderr })),
            Ok(Err(error)) => Status::io(&error, "reading from the logger"),
            Ok(Ok(_)) => {
                let text = format!("the logger {program} has ended, or closed its descriptor 5");
                Status::new(Code::Unknown, text)
            }
            Err(_elapsed) => Status::new(
                Code::DeadlineExceeded,
                format!("the logger {program} is not ready after {READY:?}: it must close its descriptor 5"),
            ),
        };
        runtime_sys::ignore(logger.child.kill());
        tokio::task::spawn_local(logger.end());
        Err(error)
    }

    /// Waits until the program has ended, as it should at the end of its input. After a while, asks it
    /// to end, and then kills it.
    pub(crate) async fn end(mut self) {
        if self.ends_within(END).await {
            return;
        }
        runtime_sys::ignore(process::pidfd_send_signal(&self.pidfd, libc::SIGTERM));
        if self.ends_within(END).await {
            return;
        }
        runtime_sys::ignore(process::pidfd_send_signal(&self.pidfd, libc::SIGKILL));
        self.ends_within(END).await;
    }

    /// Returns true if the program has ended, and has been waited for.
    async fn ends_within(&mut self, patience: Duration) -> bool {
        let ended = async {
            let mut watched = Watched::new(self.pidfd.try_clone()?, Interest::READABLE)?;
            watched.ready(Interest::READABLE).await
        };
        // Without a pidfd that can be waited for, try_wait below tells as much.
        runtime_sys::ignore(timeout(patience, ended).await);
        !matches!(self.child.try_wait(), Ok(None))
    }
}

/// Returns true if the program has written a byte, false if it has closed its end.
async fn is_ready(ready: OwnedFd) -> io::Result<bool> {
    use tokio::io::AsyncReadExt;
    fd::set_nonblocking(&ready)?;
    let mut ready = tokio::net::unix::pipe::Receiver::from_owned_fd(ready)?;
    Ok(ready.read(&mut [0]).await? > 0)
}

/// Returns the program and its arguments: the names and values of the query, as in containerd.
fn parse(uri: &str) -> Result<(String, Vec<String>)> {
    let invalid =
        || Status::new(Code::InvalidArgument, format!("{uri}: expected binary:///PROGRAM?NAME=VALUE"));
    let (_, rest) = uri.split_once("://").ok_or_else(invalid)?;
    let (program, query) = rest.split_once('?').unwrap_or((rest, ""));
    let program = unescape(program, false).filter(|program| program.starts_with('/')).ok_or_else(invalid)?;
    let mut arguments = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        for part in [name, value] {
            arguments.push(unescape(part, true).ok_or_else(invalid)?);
        }
    }
    Ok((program, arguments))
}

/// Replaces `%2F` by `/`, and in a query `+` by a space. `None` if it is not valid.
pub(crate) fn unescape(text: &str, query: bool) -> Option<String> {
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? << 4 | digit()?).ok()?
            }
            b'+' if query => b' ',
            other => other,
        });
    }
    String::from_utf8(plain).ok().filter(|plain| !plain.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_and_its_arguments_are_those_of_the_uri() {
        let parsed = parse("binary:///bin/log%20it?dir=/a+b%2Fc&quiet").unwrap();
        assert_eq!(
            parsed,
            ("/bin/log it".to_owned(), ["dir", "/a b/c", "quiet", ""].map(str::to_owned).to_vec())
        );
        for bad in ["binary://", "binary:///a%2", "binary:///a%zz", "binary:///a?b=%00", "binary://relative"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
