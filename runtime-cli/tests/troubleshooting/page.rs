// SPDX-License-Identifier: Apache-2.0
//! docs/troubleshooting.md, as it is and as the list makes it.

use crate::edit::Edit;
use crate::list::{MISTAKES, Mistake};
use std::fmt::Write as _;

const PAGE: &str = include_str!("../../../docs/troubleshooting.md");
const BEGIN: &str = "<!-- The list: written by `make troubleshooting`. -->\n";

/// Fails if the page is not what the list makes. With UPDATE=1, writes it.
pub(crate) fn check() {
    let (intro, _) = PAGE.split_once(BEGIN).unwrap();
    let page = format!("{intro}{BEGIN}{}", sections());
    if std::env::var_os("UPDATE").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/troubleshooting.md");
        std::fs::write(path, &page).unwrap();
    } else if page != PAGE {
        let differing = page.lines().zip(PAGE.lines()).find(|(want, is)| want != is);
        panic!("docs/troubleshooting.md is not what the list makes (make troubleshooting): {differing:?}");
    }
}

fn sections() -> String {
    let mut page = String::new();
    let mut area = "";
    for mistake in MISTAKES {
        if mistake.area != area {
            area = mistake.area;
            write!(page, "\n## {area}\n").unwrap();
        }
        section(&mut page, mistake);
    }
    page
}

fn section(page: &mut String, mistake: &Mistake) {
    let Mistake { title, edits, shell, command, message, older, cause, remedy, reports, .. } = mistake;
    write!(page, "\n### {title}\n\n").unwrap();
    let prompt = if mistake.user { "$" } else { "#" };
    block(page, edits, shell, &format!("{prompt} {command}\n{message}"));
    if !older.is_empty() {
        write!(page, "\nWith an older kernel (Linux 6.12):\n\n```\n{older}\n```\n").unwrap();
    }
    write!(page, "\n{cause} {remedy}\n\n").unwrap();
    let after = if mistake.after.is_empty() { command } else { mistake.after };
    block(page, mistake.remedy_edits, mistake.remedy_shell, &format!("{prompt} {after}"));
    if !reports.is_empty() {
        write!(page, "\nReports: {reports}.\n").unwrap();
    }
}

/// Writes changes of config.json, commands of root, and the last command with its output.
fn block(page: &mut String, edits: &[Edit], shell: &str, last: &str) {
    page.push_str("```console\n");
    for (path, value) in edits {
        let value = if value.is_empty() { "(removed)" } else { value };
        writeln!(page, "config.json: {path}: {value}").unwrap();
    }
    shell.lines().for_each(|line| writeln!(page, "# {line}").unwrap());
    write!(page, "{last}\n```\n").unwrap();
}
