// SPDX-License-Identifier: Apache-2.0
//! `delete`.

use super::{Context, Failure};

pub(super) fn delete(context: &Context<'_>) -> Result<u8, Failure> {
    for warning in context.container()?.delete(context.flags.is_set("force"))? {
        context.log.warning(&warning.to_string());
    }
    Ok(0)
}
