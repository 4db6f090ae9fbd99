// SPDX-License-Identifier: Apache-2.0
//! The exchange of the program file in the child (see `parent::self_exe`).

use crate::boundary::channel::ChildEnd;
use crate::boundary::step::{Call, During, StepResult};
use crate::error::{Context, Result};
use runtime_sys::Errno;
use runtime_sys::exe::{self, Image};

/// A prepared exchange of the program file, which hides the program's arguments too.
#[derive(Debug)]
pub(crate) struct Seal {
    image: Image,
    /// By the stage, for the init that it clones.
    applied: bool,
}

/// What a child needs to exchange the program file, and to hide its arguments.
pub(crate) fn prepare() -> Result<Seal> {
    let image = Image::of_self(c"/proc/self/exe").context(|| "finding where the program is in memory")?;
    Ok(Seal { image, applied: false })
}

/// In the child: runs from the copy from now on.
pub(crate) fn apply(seal: &mut Seal, channel: &ChildEnd) -> StepResult {
    if std::mem::replace(&mut seal.applied, true) {
        return Ok(());
    }
    if let Some(file) = channel.receive_program().during(Call::Read)? {
        return exe::run_from(file, &seal.image).during(Call::Mmap);
    }
    match exe::hide_arguments(&seal.image) {
        // A kernel without CONFIG_CHECKPOINT_RESTORE: all else works there.
        Ok(()) | Err(Errno::EINVAL) => Ok(()),
        other => other.during(Call::Mmap),
    }
}

/// In the child: takes the program's arguments and environment out of its memory.
pub(crate) fn wipe(seal: &Seal) {
    exe::wipe_arguments(&seal.image);
}
