// SPDX-License-Identifier: Apache-2.0
//! Methods for asynchronous programs on tokio. A wait for a process or for events is in tokio's event
//! loop, without a thread. An operation that makes processes runs on a thread that the library keeps
//! (makers.rs), and any other on a thread of tokio's pool for blocking calls.

use super::checkpoint::CheckpointBuilder;
use super::container::Container;
use super::create::ContainerBuilder;
use super::delete::DeleteOptions;
use super::events::{Event, EventCheck, Events};
use super::exec::ExecBuilder;
use super::off_thread::{Owned, copy_of, off_thread, on_the_pool};
use super::process::{Output, Pending, Process};
use super::restore::RestoreBuilder;
use super::wait;
use crate::error::{Error, Result, Warning};
use crate::exit_status::ExitStatus;
use crate::parent::reap;
use crate::spec::Resources;
use crate::stdio::{Collected, Stdio};
use crate::watch::cancelled;
use runtime_sys::async_fd::Watched;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::pin;
use std::task::{self, Poll};
use tokio::io::Interest;

fn watched(fd: BorrowedFd<'_>, interest: Interest) -> Result<Watched> {
    Watched::new(copy_of(fd)?, interest).map_err(|error| Error::io(&error, "epoll_ctl"))
}

fn poll_failed(error: &io::Error) -> Error {
    Error::io(error, "epoll_wait")
}

impl Process {
    /// Waits until the process has ended, as [`wait`](Self::wait) does, in the event loop of tokio.
    /// Nothing is lost if the future is dropped.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O and time.
    pub async fn wait_async(&self) -> Result<ExitStatus> {
        if let Some(status) = self.try_wait()? {
            return Ok(status);
        }
        let mut ended = watched(self.as_fd(), Interest::READABLE)?;
        ended.ready(Interest::READABLE).await.map_err(|error| poll_failed(&error))?;
        // As in `wait`.
        for _ in 0..reap::CHECKS {
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            tokio::time::sleep(reap::PAUSE).await;
        }
        self.kept_status()
    }

    /// Does what [`wait_with_output`](Self::wait_with_output) does, in the event loop of tokio. What
    /// has been read is lost if the future is dropped.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O and time.
    pub async fn wait_with_output_async(&mut self, limit: usize) -> Result<Output> {
        drop(self.stdin.take());
        let mut streams = [Stream::new(self.stdout.take(), limit)?, Stream::new(self.stderr.take(), limit)?];
        {
            let mut ended = pin!(self.wait_async());
            poll_fn(|context| {
                for stream in &mut streams {
                    stream.poll(context)?;
                }
                ended.as_mut().poll(context)
            })
            .await?;
        }
        let [stdout, stderr] = streams.map(|stream| stream.collected);
        self.output_of(stdout, stderr)
    }
}

/// One output stream that is being collected.
struct Stream {
    collected: Collected,
    watched: Option<Watched>,
}

impl Stream {
    fn new(pipe: Option<io::PipeReader>, limit: usize) -> Result<Self> {
        let watched = pipe.as_ref().map(|pipe| watched(pipe.as_fd(), Interest::READABLE)).transpose()?;
        Ok(Stream { collected: Collected::of(pipe, limit)?, watched })
    }

    /// Reads what is there. A task that has read for long lets others run.
    fn poll(&mut self, context: &mut task::Context<'_>) -> Result<()> {
        const PIECES: usize = 32;
        let Some(watched) = &mut self.watched else { return Ok(()) };
        for _ in 0..PIECES {
            let mut failed = None;
            let polled = watched.poll_read(context, |_pipe| match self.collected.read() {
                Ok(true) => Ok(true),
                Ok(false) if self.collected.interest().is_none() => Ok(false),
                Ok(false) => Err(io::ErrorKind::WouldBlock.into()),
                Err(error) => {
                    failed = Some(error);
                    Ok(false)
                }
            });
            if let Some(error) = failed {
                return Err(error);
            }
            match polled {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false)) => {
                    self.watched = None;
                    return Ok(());
                }
                Poll::Ready(Err(error)) => return Err(poll_failed(&error)),
            }
        }
        context.waker().wake_by_ref();
        Ok(())
    }
}

impl Events {
    /// Waits for the next event, as the iterator does, in the event loop of tokio. `None` when no
    /// process is left in the container. No event is lost if the future is dropped.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O and time.
    pub async fn next_async(&mut self) -> Result<Option<Event>> {
        // Registered before the check, so that no change between the two is missed.
        let files = self.files().map(|file| file.map(|file| watched(file, Interest::PRIORITY)).transpose());
        let [events, memory] = files;
        let mut files = [events?, memory?];
        loop {
            let left = match self.check()? {
                EventCheck::Event(event) => return Ok(Some(event)),
                EventCheck::End => return Ok(None),
                EventCheck::Nothing(left) => left,
            };
            let mut sleep = pin!(tokio::time::sleep(left));
            let mut changed = files
                .each_mut()
                .map(|file| file.as_mut().map(|file| Box::pin(file.ready(Interest::PRIORITY))));
            poll_fn(|context| {
                for change in changed.iter_mut().flatten() {
                    if let Poll::Ready(result) = change.as_mut().poll(context) {
                        return Poll::Ready(result.map_err(|error| poll_failed(&error)));
                    }
                }
                sleep.as_mut().poll(context).map(Ok)
            })
            .await?;
        }
    }
}

impl Owned<Process> {
    /// Collects the output until the process has ended, or the builder's `cancel` is readable.
    async fn output(mut self, limit: usize) -> Result<Output> {
        let Some(process) = &mut self.0 else { return Err(cancelled()) };
        let event = process.cancel().map(|event| watched(event, Interest::READABLE)).transpose()?;
        let output = {
            let mut output = pin!(process.wait_with_output_async(limit));
            let mut cancel = pin!(async {
                match event {
                    Some(mut event) => event.ready(Interest::READABLE).await,
                    None => std::future::pending().await,
                }
            });
            poll_fn(|context| match output.as_mut().poll(context) {
                Poll::Ready(output) => Poll::Ready(output),
                Poll::Pending => cancel.as_mut().poll(context).map(|event| match event {
                    Ok(()) => Err(cancelled()),
                    Err(error) => Err(poll_failed(&error)),
                }),
            })
            .await?
        };
        // It has ended, and has been reaped.
        drop(self.0.take());
        Ok(output)
    }
}

impl ContainerBuilder {
    /// Does what [`create`](Self::create) does on a thread that the library keeps. If the
    /// future is dropped, the creation is cancelled and undone.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn create_async(self) -> Result<Process> {
        off_thread(self, Self::create).await?.claim()
    }

    /// Does what [`run`](Self::run) does on a thread that the library keeps. If the
    /// future is dropped, the creation is cancelled and undone.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn run_async(self) -> Result<Process> {
        off_thread(self, Self::run).await?.claim()
    }

    /// Does what [`prepare`](Self::prepare) does on a thread that the library keeps. If the
    /// future is dropped, the creation is cancelled and undone.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn prepare_async(self) -> Result<Pending> {
        off_thread(self, Self::prepare).await?.claim()
    }
}

impl Pending {
    /// Does what [`start`](Self::start) does on a thread that the library keeps. If the
    /// future is dropped, the process is killed, and the container whose first process it is is
    /// destroyed.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn start_async(self) -> Result<Process> {
        // Owned by the future, too, until it is started.
        off_thread(Owned(Some(self)), |pending| pending.claim()?.start()).await?.claim()
    }
}

impl ExecBuilder {
    /// Does what [`prepare`](Self::prepare) does on a thread that the library keeps. If the
    /// future is dropped, the process is killed.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn prepare_async(self) -> Result<Pending> {
        off_thread(self, Self::prepare).await?.claim()
    }

    /// Does what [`spawn`](Self::spawn) does on a thread that the library keeps. If the
    /// future is dropped, the process is killed.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn spawn_async(self) -> Result<Process> {
        off_thread(self, Self::spawn).await?.claim()
    }

    /// Does what [`output`](Self::output) does: starts the process on a thread that the library
    /// keeps, and collects its output in the event loop. If the future is dropped, the
    /// process is killed.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O and time.
    pub async fn output_async(self, limit: usize) -> Result<Output> {
        let quiet = self.stdin(Stdio::Null).stdout(Stdio::Piped).stderr(Stdio::Piped);
        off_thread(quiet, Self::spawn).await?.output(limit).await
    }
}

impl RestoreBuilder {
    /// Does what [`restore`](Self::restore) does on a thread that the library keeps. If the
    /// future is dropped, the restore is cancelled and undone.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn restore_async(self) -> Result<Process> {
        off_thread(self, Self::restore).await?.claim()
    }
}

impl CheckpointBuilder {
    /// Does what [`dump`](Self::dump) does on a thread of tokio's pool for blocking calls. If the future
    /// is dropped, the checkpoint goes on to its end.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn dump_async(self) -> Result<()> {
        on_the_pool(move || self.dump()).await
    }

    /// Does what [`pre_dump`](Self::pre_dump) does on a thread of tokio's pool for blocking calls. If the
    /// future is dropped, it goes on to its end.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn pre_dump_async(self) -> Result<()> {
        on_the_pool(move || self.pre_dump()).await
    }
}

impl Container {
    /// Waits until the container's first process has ended, as [`wait`](Self::wait) does, in the event
    /// loop of tokio. Nothing is lost if the future is dropped.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O.
    pub async fn wait_async(&self) -> Result<Option<ExitStatus>> {
        let Some((init, pidfd)) = self.init()? else { return Ok(None) };
        let mut ended = watched(pidfd.as_fd(), Interest::READABLE)?;
        ended.ready(Interest::READABLE).await.map_err(|error| poll_failed(&error))?;
        wait::status_of(&init, &pidfd)
    }

    /// Does what [`start`](Self::start) does on a thread of tokio's pool for blocking calls. If the
    /// future is dropped, the start goes on to its end.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn start_async(&self) -> Result<()> {
        let container = self.clone();
        on_the_pool(move || container.start()).await
    }

    /// Does what [`kill`](Self::kill) does on a thread of tokio's pool for blocking calls. If the
    /// future is dropped, the call goes on to its end.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn kill_async(&self, signal: i32) -> Result<()> {
        let container = self.clone();
        on_the_pool(move || container.kill(signal)).await
    }

    /// Does what [`pause`](Self::pause) does on a thread of tokio's pool for blocking calls. If the
    /// future is dropped, the call goes on to its end.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn pause_async(&self) -> Result<()> {
        let container = self.clone();
        on_the_pool(move || container.pause()).await
    }

    /// Does what [`resume`](Self::resume) does on a thread of tokio's pool for blocking calls. If the
    /// future is dropped, the call goes on to its end.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn resume_async(&self) -> Result<()> {
        let container = self.clone();
        on_the_pool(move || container.resume()).await
    }

    /// Does what [`update`](Self::update) does on a thread of tokio's pool for blocking calls. If the
    /// future is dropped, the update goes on to its end.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn update_async(&self, request: &Resources) -> Result<Vec<Warning>> {
        let container = self.clone();
        let request = request.clone();
        on_the_pool(move || container.update(&request)).await
    }

    /// Does what [`delete`](Self::delete) does on a thread of tokio's pool for blocking calls. If the
    /// future is dropped, the deletion goes on to its end.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn delete_async(&self, options: DeleteOptions) -> Result<Vec<Warning>> {
        let container = self.clone();
        on_the_pool(move || container.delete(options)).await
    }
}

impl Process {
    /// Does what [`delete`](Self::delete) does on a thread of tokio's pool for blocking calls. If the
    /// future is dropped, the deletion goes on to its end.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn delete_async(self) -> Result<Vec<Warning>> {
        on_the_pool(move || self.delete()).await
    }
}
