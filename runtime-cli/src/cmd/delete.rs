// SPDX-License-Identifier: Apache-2.0
//! `delete`.

use super::context::Context;
use crate::args::flags::FORCE;
use crate::failure::Failure;

pub(super) fn delete(context: &Context<'_>) -> Result<u8, Failure> {
    let warnings = context.container()?.delete(context.flags.is_set(FORCE))?;
    context.warn(&warnings);
    Ok(0)
}
