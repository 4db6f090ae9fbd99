// SPDX-License-Identifier: Apache-2.0
//! `delete`.

use super::context::CommandContext;
use crate::args::flags::FORCE;
use crate::failure::Failure;
use runtime_core::DeleteOptions;

pub(super) fn delete(context: &CommandContext<'_>) -> Result<u8, Failure> {
    let options = DeleteOptions::new().force(context.flags.is_set(FORCE));
    let warnings = context.container()?.delete(options)?;
    context.warn(&warnings);
    Ok(0)
}
