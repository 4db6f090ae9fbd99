// SPDX-License-Identifier: Apache-2.0
//! The command line: the parser never panics, and every accepted flag can be read back.
#![no_main]
#![allow(dead_code)]

#[path = "../../runtime-cli/src/args/mod.rs"]
mod args;

use args::flags::{Integer, Integers, Switch, Takes, Text, Texts};
use libfuzzer_sys::fuzz_target;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

fuzz_target!(|bytes: &[u8]| {
    let words = bytes.split(|b| *b == 0).map(|word| OsString::from_vec(word.to_vec()));
    match args::parse(words) {
        Ok(invocation) => {
            let topic = match &invocation.request {
                args::Request::Run(call) => {
                    for flag in call.command.flags {
                        let found = match flag.takes {
                            Takes::Nothing => call.flags.switch(Switch(flag.names)).is_some(),
                            Takes::Text => call.flags.get(Text(flag.names)).is_some(),
                            Takes::Integer => call.flags.integer(Integer(flag.names)).is_some(),
                            Takes::Texts => call.flags.texts(Texts(flag.names)).next().is_some(),
                            Takes::Integers => call.flags.integers(Integers(flag.names)).next().is_some(),
                        };
                        assert_eq!(found, call.flags.was_given(flag));
                    }
                    Some(call.command)
                }
                args::Request::Help(topic) => *topic,
                args::Request::Version => None,
            };
            assert!(args::help(&invocation.program, topic).starts_with("NAME:"));
        }
        Err(usage) => assert!(!usage.text().is_empty()),
    }
});
