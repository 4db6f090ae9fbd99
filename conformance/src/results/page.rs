// SPDX-License-Identifier: Apache-2.0
//! The generated parts of pages.

use crate::result::Result;

/// Replaces the text between two marks of a document, which stand on lines of their own.
pub fn between(document: &str, begin: &str, end: &str, text: &str) -> Result<String> {
    let (before, rest) = document.split_once(begin).ok_or(format!("there is no {begin}"))?;
    let (_, after) = rest.split_once(end).ok_or(format!("there is no {end}"))?;
    Ok(format!("{before}{begin}\n\n{text}\n{end}{after}"))
}
