// SPDX-License-Identifier: Apache-2.0
//! The shim itself: a program with one thread, and those of operations that block.

use crate::args::Args;
use crate::events::Publisher;
use crate::service::Tasks;
use crate::status::{Result, Status};
use crate::{log, ttrpc};
use runtime_sys::fd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::timeout;

/// The time for containerd to take the last events.
const LAST_EVENTS: Duration = Duration::from_secs(5);
/// The time for which a thread without work is kept.
const IDLE: Duration = Duration::from_secs(1);

/// Serves on the socket that is standard input, until containerd ends it.
pub(crate) fn serve(args: &Args) -> Result<()> {
    // While there is one thread.
    runtime_core::protect_program()?;
    let failed = |errno: runtime_sys::Errno| Status::io(&errno.into(), "the socket");
    // Numbers that a logger gets (see `pass_fds`). This keeps them in use.
    let _reserved: Vec<OwnedFd> = (3..=5)
        .map(|_| fd::duplicate_above(fd::stdio(1), 3))
        .collect::<std::result::Result<_, _>>()
        .map_err(failed)?;
    log::open(args.debug);
    let listener = UnixListener::from(fd::duplicate(fd::stdio(0)).map_err(failed)?);
    let path = listener.local_addr().ok().and_then(|address| address.as_pathname().map(ToOwned::to_owned));
    let path = path.ok_or_else(|| {
        let hint = "standard input is not a socket: containerd starts this program, with `start`";
        Status::new(crate::status::Code::FailedPrecondition, hint)
    })?;
    let socket = |error: std::io::Error| Status::io(&error, "the socket");
    listener.set_nonblocking(true).map_err(socket)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_keep_alive(IDLE)
        .build()
        .map_err(|error| Status::io(&error, "epoll"))?;
    let events_address =
        std::env::var("TTRPC_ADDRESS").unwrap_or_else(|_unset| format!("{}.ttrpc", args.address));
    let local = LocalSet::new();
    let served = local.block_on(&runtime, async {
        let listener = tokio::net::UnixListener::from_std(listener).map_err(socket)?;
        let events = Rc::new(Publisher::new(&args.namespace));
        let tasks = Rc::new(Tasks::new(&args.namespace, &path, Rc::clone(&events)));
        let sender = Rc::clone(&events);
        spawn_local(async move { sender.run(&events_address).await });
        let server = spawn_local(ttrpc::serve(listener, Rc::clone(&tasks)));
        tasks.until_shutdown().await;
        server.abort();
        if timeout(LAST_EVENTS, events.all_sent()).await.is_err() {
            log::warn(format_args!("containerd has not taken the last events within {LAST_EVENTS:?}"));
        }
        Ok(())
    });
    drop(local);
    // A thread that waits for a disk or a hook does not keep the shim.
    runtime.shutdown_background();
    served
}
