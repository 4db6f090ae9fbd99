// SPDX-License-Identifier: Apache-2.0
//! `delete`.

use super::{Context, Failure};

pub(super) fn delete(context: &Context<'_>) -> Result<u8, Failure> {
    context.container()?.delete(context.flags.is_set("force"))?;
    Ok(0)
}
