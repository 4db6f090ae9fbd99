// SPDX-License-Identifier: Apache-2.0
//! Errors that name a field of config.json, and conversions that return such errors.

use crate::error::{Error, ErrorKind, Result};
use std::ffi::CString;
use std::fmt::Display;

/// Returns the error for an invalid value at the JSON path `path`.
pub(crate) fn invalid(path: impl Display, why: impl Display) -> Error {
    let path = path.to_string();
    Error::new(ErrorKind::InvalidConfig, format!("{path}: {why}")).at(&path)
}

/// Returns the error for a value at the JSON path `path` that this library or host does not
/// support.
pub(crate) fn unsupported(path: impl Display, why: impl Display) -> Error {
    let path = path.to_string();
    Error::new(ErrorKind::Unsupported, format!("{path}: {why}")).at(&path)
}

/// Converts a string to a C string. A NUL byte, which would truncate the string in the
/// kernel, is an error.
pub(crate) fn c_string(path: impl Display, value: &str) -> Result<CString> {
    CString::new(value).map_err(|_nul| invalid(path, format_args!("{value:?} has a NUL byte")))
}

/// Checks a user or group id. -1 is an error, because for the kernel it means "leave
/// unchanged".
pub(crate) fn id(path: impl Display, id: u32) -> Result<u32> {
    if id == u32::MAX { Err(invalid(path, "4294967295 is not an id")) } else { Ok(id) }
}

/// Returns the value of `name` in `table`. The error lists the known names.
pub(crate) fn lookup<T: Copy>(path: impl Display, what: &str, name: &str, table: &[(&str, T)]) -> Result<T> {
    match table.iter().find(|(known, _)| *known == name) {
        Some((_, value)) => Ok(*value),
        None => {
            let known: Vec<_> = table.iter().map(|(known, _)| *known).collect();
            Err(invalid(path, format_args!("{what} {name:?} (known: {})", known.join(", "))))
        }
    }
}

/// Parses a list of numbers and ranges (`0-3,7`; cpuset(7)) into a mask: the number n is
/// bit n%64 of word n/64. The mask of an empty list is empty.
pub(crate) fn number_list(path: impl Display, what: &str, list: &str) -> Result<Vec<u64>> {
    /// The largest number: far above that of any machine, with a mask of 8 KiB.
    const MAX: u32 = 65_535;
    let bad = || invalid(&path, format_args!("{what} {list:?} (expected a list such as 0-3,7, up to {MAX})"));
    let mut ranges = Vec::new();
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: u32 = first.trim().parse().map_err(|_not_a_number| bad())?;
        let last: u32 = last.trim().parse().map_err(|_not_a_number| bad())?;
        if first > last || last > MAX {
            return Err(bad());
        }
        ranges.push((first, last));
    }
    // Since the ranges are sorted, each number is visited once, however often it is listed.
    ranges.sort_unstable();
    let highest = ranges.iter().map(|(_, last)| *last).max();
    let mut mask = vec![0u64; highest.map_or(0, |highest| highest as usize / 64 + 1)];
    let mut next = 0;
    for (first, last) in ranges {
        for n in first.max(next)..=last {
            if let Some(word) = mask.get_mut(n as usize / 64) {
                *word |= 1 << (n % 64);
            }
        }
        next = next.max(last + 1);
    }
    Ok(mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_lists_become_bits() {
        let list = |text| number_list("x", "invalid list", text);
        assert_eq!(list("").unwrap(), Vec::<u64>::new());
        assert_eq!(list("0-3,7").unwrap(), [0x8f]);
        assert_eq!(list(" 64 , 1").unwrap(), [2, 1]);
        assert_eq!(list("2-5,0-3,4,9,2-2").unwrap(), [0x23f]);
        let often = ["0-65535"; 100_000].join(",");
        assert_eq!(list(&often).unwrap(), [u64::MAX; 1024]);
        for bad in ["a", "3-1", "-1", "1-", "65536", "0-99999999999", "1;2"] {
            let error = list(bad).unwrap_err().report();
            assert!(error.starts_with("x: invalid list"), "{error}");
        }
    }

    #[test]
    fn a_nul_is_shown_in_the_text() {
        assert_eq!(c_string("p", "/a\0b").unwrap_err().report(), r#"p: "/a\0b" has a NUL byte"#);
    }

    #[test]
    fn lookup_lists_what_is_known() {
        let error = lookup("p", "unknown thing", "z", &[("a", 1), ("b", 2)]).unwrap_err();
        assert_eq!(error.field(), Some("p"));
        assert_eq!(error.report(), "p: unknown thing \"z\" (known: a, b)");
    }
}
