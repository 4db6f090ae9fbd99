// SPDX-License-Identifier: Apache-2.0
//! Hooks of the calling program: functions, where config.json has programs.

use crate::error::{Error, ErrorKind, Result};
use crate::spec::StateDocument;
use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// The result of a hook of the calling program.
pub type HookResult = std::result::Result<(), Box<dyn std::error::Error + Send + Sync>>;

type CallerHook = Box<dyn FnOnce(&StateDocument<'_>) -> HookResult + Send>;

/// The hooks of the calling program that run after the createRuntime hooks of config.json.
#[derive(Default)]
pub(super) struct CallerHooks {
    hooks: Vec<CallerHook>,
    /// The payload of a hook's panic, which is resumed when everything has been undone.
    panic: Option<Box<dyn Any + Send>>,
}

impl CallerHooks {
    pub(super) fn add(&mut self, hook: impl FnOnce(&StateDocument<'_>) -> HookResult + Send + 'static) {
        self.hooks.push(Box::new(hook));
    }

    pub(super) fn count(&self) -> usize {
        self.hooks.len()
    }

    pub(super) fn are_none(&self) -> bool {
        self.hooks.is_empty()
    }

    /// Calls the hooks in their order, up to the first that fails or panics.
    pub(super) fn call(&mut self, state: &StateDocument<'_>) -> Result<()> {
        for (i, hook) in std::mem::take(&mut self.hooks).into_iter().enumerate() {
            let failed = |why: String| {
                let text = format!("error running createRuntime hook #{i} of the calling program: {why}");
                Error::new(ErrorKind::Hook, text)
            };
            // The text of the error is the hook's code, too.
            match catch_unwind(AssertUnwindSafe(|| hook(state).map_err(|error| error.to_string()))) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(failed(error)),
                Err(payload) => {
                    self.panic = Some(payload);
                    return Err(failed("it has panicked".to_owned()));
                }
            }
        }
        Ok(())
    }

    /// Returns the error of a creation that has been undone. If a hook has panicked, resumes its
    /// panic instead.
    pub(super) fn undone(self, error: Error) -> Error {
        match self.panic {
            Some(payload) => resume_unwind(payload),
            None => error,
        }
    }
}

impl fmt::Debug for CallerHooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} hooks of the calling program", self.hooks.len())
    }
}
