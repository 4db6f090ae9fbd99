// SPDX-License-Identifier: Apache-2.0
//! `start`.

use super::context::CommandContext;
use crate::failure::Failure;
use crate::notify::{self, Proxy};
use runtime_core::spec::Status;

pub(super) fn start(context: &CommandContext<'_>) -> Result<u8, Failure> {
    // startContainer hooks join the container, which must not get at the program file.
    runtime_core::protect_program()?;
    let container = context.container()?;
    // In another state, the container may belong to a `run`, which listens already.
    let proxy = match notify::address() {
        Some(_) if container.state()?.status == Status::Created => Proxy::listen(&container, context.log),
        _ => None,
    };
    container.start()?;
    if let Some(proxy) = proxy {
        proxy.wait(&container, container.state()?.pid, context.log)?;
    }
    Ok(0)
}
