// SPDX-License-Identifier: Apache-2.0
//! The parent's side of [`Question`]s: the processes that ask them.

use super::cloned::Guard;
use crate::child::probe::{ANSWER, Asker, Question, parse};
use nix::unistd::geteuid;
use runtime_sys::process::{ExitStatus, exit_of_reaped, try_wait};
use runtime_sys::{Errno, Result, clone, fd, signal};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// The time in which all questions of one process are answered.
const PATIENCE: Duration = Duration::from_secs(10);

/// The answer to a question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No(Errno),
    /// The process was killed by the call: a seccomp filter of the host does this.
    Killed,
    /// There is no process, or it has not come to the question in time.
    #[default]
    Unasked,
}

/// Asks the questions in a new process with these namespaces. A process that is killed is replaced by
/// another, which leaves the deadly question out.
///
/// Errors: that of the clone.
pub(crate) fn ask(namespaces: i32, questions: &[Question<'_>]) -> Result<Vec<Answer>> {
    let mut answers = vec![Answer::Unasked; questions.len()];
    let mut skipped = 0;
    for _ in 0..=questions.len() {
        let (last, is_killed) = ask_once(namespaces, questions, skipped, &mut answers)?;
        let is_next = |n: &usize| last.is_none_or(|last| *n > last) && skipped & 1 << n == 0;
        let Some(next) = (0..questions.len()).find(is_next).filter(|_| is_killed) else { break };
        skipped |= 1 << next;
        if let Some(answer) = answers.get_mut(next) {
            *answer = Answer::Killed;
        }
    }
    Ok(answers)
}

/// Returns the index of the last question with an answer, and whether the process was killed.
fn ask_once(
    namespaces: i32,
    questions: &[Question<'_>],
    skipped: u64,
    answers: &mut [Answer],
) -> Result<(Option<usize>, bool)> {
    let (ours, theirs) = fd::pipe()?;
    let guard = start(namespaces, questions, skipped, &theirs)?;
    drop(theirs);
    let end = Instant::now() + PATIENCE;
    let mut last = None;
    let mut buf = [0; ANSWER];
    loop {
        let left = end.saturating_duration_since(Instant::now()).as_millis() as i32;
        if fd::poll(&ours, libc::POLLIN, left)? == 0 {
            return Ok((last, false));
        }
        // The process writes each answer at once, so none is torn.
        if fd::read(&ours, &mut buf)? != ANSWER {
            break;
        }
        let (index, errno) = parse(buf);
        if let Some(answer) = answers.get_mut(index) {
            *answer = if errno == 0 { Answer::Yes } else { Answer::No(Errno::from_raw(errno)) };
            last = Some(index);
        }
    }
    fd::poll(guard.pidfd(), libc::POLLIN, PATIENCE.as_millis() as i32)?;
    let status = try_wait(guard.pidfd(), 0)?;
    Ok((last, matches!(status, Some(ExitStatus::Signaled(_)))))
}

fn start(namespaces: i32, questions: &[Question<'_>], skipped: u64, answers: &OwnedFd) -> Result<Guard> {
    let maps_ids = questions.iter().any(|question| matches!(question, Question::MapIds { .. }));
    let hides_first = geteuid().is_root() || !maps_ids;
    let in_user_namespace = namespaces & libc::CLONE_NEWUSER != 0;
    let asker = Asker { hides_first, in_user_namespace, questions, skipped, answers };
    let blocked = signal::Blocked::all();
    let cloned = clone::clone3(namespaces, false, None, asker);
    drop(blocked);
    cloned.map(|(_, pidfd)| Guard::new(pidfd))
}

/// Returns whether a pidfd has the exit status of a process that its parent has reaped.
pub(crate) fn keeps_exit_status() -> Result<bool> {
    let (_ours, theirs) = fd::pipe()?;
    let guard = start(0, &[], 0, &theirs)?;
    if fd::poll(guard.pidfd(), libc::POLLIN, PATIENCE.as_millis() as i32)? == 0 {
        return Err(Errno::ETIMEDOUT);
    }
    let Some(pidfd) = guard.disarm() else { return Ok(false) };
    try_wait(&pidfd, 0)?;
    Ok(exit_of_reaped(pidfd)?.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_is_that_of_its_question() {
        let questions =
            [Question::Openat2, Question::Fsconfig, Question::PidfdOpen, Question::PidfdSendSignal];
        let answers = ask(0, &questions).unwrap();
        assert_eq!(answers, [Answer::Yes, Answer::No(Errno::EBADF), Answer::Yes, Answer::Yes]);
    }
}
