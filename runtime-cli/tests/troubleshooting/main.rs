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

#[test]
fn the_page_is_made_from_the_list() {
    page::check();
}
