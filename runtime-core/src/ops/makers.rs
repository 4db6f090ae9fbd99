// SPDX-License-Identifier: Apache-2.0
//! The threads in which the operations for programs on tokio make processes.
//!
//! The kernel sends a process its parent-death signal (PR_SET_PDEATHSIG in prctl(2)) when the thread
//! that has made it ends, and tokio ends a thread of its pool after some seconds without work. So
//! these threads never end. There are as many as there were operations at the same time.

use crate::error::{Error, Result};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};

/// An operation. It calls its argument when the thread is free for the next one.
type Job = Box<dyn FnOnce(&dyn Fn()) + Send>;

/// The threads without an operation.
static FREE: Mutex<Vec<mpsc::Sender<Job>>> = Mutex::new(Vec::new());

/// Runs `make` in one of the threads and waits for it, and panics as `make` does. Fails if a new thread
/// is needed and cannot be made.
pub(super) fn in_maker<T: Send + 'static>(make: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let (sender, receiver) = mpsc::channel();
    hand_over(Box::new(move |is_free| {
        let made = catch_unwind(AssertUnwindSafe(make));
        is_free();
        // The receiver waits.
        runtime_sys::ignore(sender.send(made));
    }))?;
    match receiver.recv() {
        Ok(Ok(result)) => result,
        Ok(Err(payload)) => resume_unwind(payload),
        // The job sends in any case.
        Err(mpsc::RecvError) => Err(Error::os(runtime_sys::Errno::ECHILD, "a thread that makes processes")),
    }
}

/// Gives a job to a free thread, or to a new one.
fn hand_over(job: Job) -> Result<()> {
    let thread = free_threads().pop();
    let job = match thread {
        Some(thread) => match thread.send(job) {
            Ok(()) => return Ok(()),
            Err(mpsc::SendError(job)) => job,
        },
        None => job,
    };
    let (sender, jobs) = mpsc::channel();
    let own = sender.clone();
    let work = move || jobs.iter().for_each(|job: Job| job(&|| free_threads().push(own.clone())));
    let made = std::thread::Builder::new().name("container".to_owned()).spawn(work);
    made.map_err(|error| Error::io(&error, "making a thread"))?;
    // The thread has the receiver, and never ends.
    runtime_sys::ignore(sender.send(job));
    Ok(())
}

fn free_threads() -> MutexGuard<'static, Vec<mpsc::Sender<Job>>> {
    FREE.lock().unwrap_or_else(PoisonError::into_inner)
}
