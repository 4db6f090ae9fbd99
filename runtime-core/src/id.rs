// SPDX-License-Identifier: Apache-2.0
//! Container ids.

use crate::error::{Error, ErrorKind, Result};
use runtime_sys::text::c_str;
use std::ffi::CString;
use std::fmt;

/// The id of a container, unique below one state directory.
///
/// runc's rules: 1 to 255 ASCII letters, digits, `_`, `+`, `-` and `.` (the id names a
/// directory), and neither `.` nor `..`. A value of this type is safe to use as one component
/// of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerId(String);

impl ContainerId {
    /// Validates an id. Errors: [`ErrorKind::InvalidId`].
    pub fn new(id: &str) -> Result<Self> {
        if id.is_empty() {
            return Err(Error::new(ErrorKind::InvalidId, "container id cannot be empty"));
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_+-.".contains(&b);
        if !id.bytes().all(allowed) || id == "." || id == ".." || id.len() > 255 {
            return Err(Error::new(ErrorKind::InvalidId, "invalid container ID format").with_hint(format!(
                "{id:?} must be 1 to 255 of letters, digits and _ + - . and not be . or .."
            )));
        }
        Ok(ContainerId(id.to_owned()))
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the id as one component of a path.
    pub(crate) fn file_name(&self) -> runtime_sys::Result<CString> {
        c_str(self.0.as_str())
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for ContainerId {
    type Err = Error;

    fn from_str(id: &str) -> Result<Self> {
        ContainerId::new(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_runc_accepts() {
        for id in ["a", "A-1_b.c+d", "...", "-x", &"x".repeat(255)] {
            assert_eq!(ContainerId::new(id).unwrap().as_str(), id);
        }
    }

    #[test]
    fn refuses_what_could_leave_the_state_directory() {
        for id in [".", "..", "a/b", "/", "a b", "ä", "a\0", "a\n", &"x".repeat(256)] {
            assert_eq!(
                ContainerId::new(id).unwrap_err().to_string(),
                "invalid container ID format",
                "{id:?}"
            );
        }
        assert_eq!(ContainerId::new("").unwrap_err().to_string(), "container id cannot be empty");
    }
}
