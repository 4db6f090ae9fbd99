// SPDX-License-Identifier: Apache-2.0
//! The exchange of the program file in the child (see `parent::self_exe`).

use crate::boundary::channel::ChildEnd;
use crate::boundary::step::{Call, During, StepResult};
use crate::error::{Context, Result};
use runtime_sys::Errno;
use runtime_sys::exe::{self, Image};

/// A prepared exchange of the program file, which also hides the program's arguments.
#[derive(Debug)]
pub(crate) struct Seal {
    image: Image,
    /// True if the exchange is done. The stage does it for the init that it clones, too.
    applied: bool,
}

/// Prepares the exchange of the program file for a child.
pub(crate) fn prepare() -> Result<Seal> {
    let image = Image::of_self(c"/proc/self/exe").context(|| "finding the program in memory")?;
    Ok(Seal { image, applied: false })
}

/// Makes the calling child run from the copy from now on.
pub(crate) fn apply(seal: &mut Seal, channel: &ChildEnd) -> StepResult {
    if std::mem::replace(&mut seal.applied, true) {
        return Ok(());
    }
    if let Some(file) = channel.receive_program().during(Call::Read)? {
        return exe::run_from(file, &seal.image).during(Call::Mmap);
    }
    match exe::hide_arguments(&seal.image) {
        // EINVAL: a kernel without CONFIG_CHECKPOINT_RESTORE. Everything else works there.
        Ok(()) | Err(Errno::EINVAL) => Ok(()),
        other => other.during(Call::Mmap),
    }
}

/// Clears the program's arguments and environment in the memory of the calling child.
pub(crate) fn wipe(seal: &Seal) {
    exe::wipe_arguments(&seal.image);
}
