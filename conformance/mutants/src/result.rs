// SPDX-License-Identifier: Apache-2.0
//! Errors as texts.

pub type Result<T = ()> = std::result::Result<T, String>;

pub fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
