// SPDX-License-Identifier: Apache-2.0
//! The mistakes of docs/troubleshooting.md: the program prints the message of the page, and after the
//! remedy the container runs. The page is made from the same list.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod edit;
mod list;
mod page;
mod scene;

use conformance::host;

#[test]
fn each_mistake_has_the_message_of_the_page_and_its_remedy_helps() {
    let _alone = host::alone();
    let mut wrong = Vec::new();
    let mut judged = 0;
    for mistake in list::MISTAKES {
        if let Some(why) = scene::cannot_be_judged(mistake) {
            println!("not judged: {}: {why}", mistake.title);
            continue;
        }
        judged += 1;
        wrong.extend(scene::judge(mistake).err().map(|error| format!("# {}\n{error}", mistake.title)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(judged > 20, "only {judged} mistakes were judged");
}

/// Texts of errors that engines match anywhere in a message, for example to choose the exit status 126 or
/// 127, or to take a container for deleted.
const MATCHED: [&str; 9] = [
    "permission denied",
    "operation not permitted",
    "is a directory",
    "not a directory",
    "executable file not found",
    "no such file or directory",
    "no such process",
    "does not exist",
    "not running",
];

#[test]
fn no_hint_has_a_text_that_engines_match() {
    for mistake in list::MISTAKES {
        for hint in mistake.message.lines().filter_map(|line| line.split_once("; hint: ")) {
            let found = MATCHED.iter().find(|text| hint.1.contains(*text));
            assert_eq!(found, None, "{}: {}", mistake.title, hint.1);
        }
    }
}

#[test]
fn the_page_is_made_from_the_list() {
    page::check();
}
