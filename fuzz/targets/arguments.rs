// SPDX-License-Identifier: Apache-2.0
//! The command line: the parser never panics, and finds in any words what the parser found that the
//! program had before clap, errors and help included.
#![no_main]
#![allow(dead_code)]

#[path = "../../runtime-cli/src/args/mod.rs"]
mod args;
#[path = "old_arguments/mod.rs"]
mod old;

use libfuzzer_sys::fuzz_target;
use old::flags::Takes;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// Lists the values of all flags in `$known`, by the methods and types that both parsers have.
macro_rules! values {
    ($parser:ident, $values:expr, $known:expr) => {{
        use $parser::flags::{Integer, Integers, Switch, Text, Texts};
        let list = |flag: &old::flags::Flag| {
            let (values, names) = ($values, flag.names);
            let value = match flag.takes {
                Takes::Nothing => format!("{:?}", values.switch(Switch(names))),
                Takes::Text => format!("{:?}", values.get(Text(names))),
                Takes::Integer => format!("{:?}", values.integer(Integer(names))),
                Takes::Texts => format!("{:?}", values.texts(Texts(names)).collect::<Vec<_>>()),
                Takes::Integers => format!("{:?}", values.integers(Integers(names)).collect::<Vec<_>>()),
            };
            format!("{names:?} = {value}")
        };
        $known.iter().map(list).collect::<Vec<_>>()
    }};
}

/// Parses the words, and describes the result in full.
macro_rules! parsed {
    ($parser:ident, $words:expr) => {
        match $parser::parse($words) {
            Err(usage) => format!("{} {:?} {}", usage.text(), usage.advice(), usage.status()),
            Ok(invocation) => {
                let globals = values!($parser, &invocation.globals, old::table::GLOBALS);
                let request = match &invocation.request {
                    $parser::Request::Help(topic) => $parser::help(&invocation.program, *topic),
                    $parser::Request::Version => "version".to_owned(),
                    $parser::Request::Run(call) => {
                        let name = call.command.name;
                        let command = old::table::COMMANDS.iter().find(|command| command.name == name);
                        let flags = values!($parser, &call.flags, command.unwrap().flags);
                        format!("{:?} {flags:?} {:?}", call.command.verb, call.arguments)
                    }
                };
                format!("{} {globals:?} {request}", invocation.program)
            }
        }
    };
}

fuzz_target!(|bytes: &[u8]| {
    let words: Vec<_> =
        bytes.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec())).collect();
    assert_eq!(parsed!(args, words.clone()), parsed!(old, words));
});
