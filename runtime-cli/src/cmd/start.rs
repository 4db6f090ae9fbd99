// SPDX-License-Identifier: Apache-2.0
//! `start`.

use super::{Context, Failure};

pub(super) fn start(context: &Context<'_>) -> Result<u8, Failure> {
    context.container()?.start()?;
    Ok(0)
}
