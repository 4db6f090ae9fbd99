// SPDX-License-Identifier: Apache-2.0
//! Text for the kernel. Parent only (heap).

use super::result::Result;
use nix::errno::Errno;
use std::ffi::{CStr, CString};

/// Returns the text as a C string. EINVAL: the text has a NUL byte, behind which the kernel would
/// not read on. Text from a file may have one.
pub fn c_str(text: impl Into<Vec<u8>>) -> Result<CString> {
    CString::new(text).map_err(|_nul| Errno::EINVAL)
}

/// Joins C strings to one.
pub fn concat(parts: &[&CStr]) -> CString {
    let bytes = parts.iter().flat_map(|part| part.to_bytes()).copied().collect();
    // SAFETY: the bytes of a C string have no NUL byte.
    unsafe { CString::from_vec_unchecked(bytes) }
}
