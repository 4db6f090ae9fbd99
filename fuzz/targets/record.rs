// SPDX-License-Identifier: Apache-2.0
//! state.json: what is read as a record is what was written, and nothing else is.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| {
    runtime_core::for_fuzzing::record(json);
});
