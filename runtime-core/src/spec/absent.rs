// SPDX-License-Identifier: Apache-2.0
//! The forms of a value that is not there.

use serde::Deserialize;

/// Go writes an empty slice or map as `null`; here that is an empty one. So is any other
/// value that need not be there.
pub(super) fn null_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

pub(super) fn is_false(value: &bool) -> bool {
    !value
}

pub(super) fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
