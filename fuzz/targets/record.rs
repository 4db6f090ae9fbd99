// SPDX-License-Identifier: Apache-2.0
//! state.json: a record that can be read is the record that was written.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| {
    runtime_core::for_fuzzing::record(json);
});
