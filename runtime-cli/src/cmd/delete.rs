// SPDX-License-Identifier: Apache-2.0
//! `delete`.

use super::{Context, Failure};
use crate::args::flags::FORCE;

pub(super) fn delete(context: &Context<'_>) -> Result<u8, Failure> {
    let warnings = context.container()?.delete(context.flags.is_set(FORCE))?;
    context.warn(&warnings);
    Ok(0)
}
