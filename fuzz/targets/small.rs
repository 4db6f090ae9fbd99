// SPDX-License-Identifier: Apache-2.0
//! The small parsers: the channel's messages, files of procfs and cgroupfs,
//! passwd(5), paths, device rules.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    runtime_core::for_fuzzing::small_parsers(bytes);
});
