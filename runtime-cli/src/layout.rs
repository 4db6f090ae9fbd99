// SPDX-License-Identifier: Apache-2.0
//! Tables and texts for people: colours and line breaks on a terminal, plain lines elsewhere.

use std::io::IsTerminal;

pub(crate) const GREEN: u8 = 32;
pub(crate) const YELLOW: u8 = 33;
pub(crate) const RED: u8 = 31;
pub(crate) const GREY: u8 = 90;

/// The way in which a text is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    colours: bool,
    /// The number of characters in a line; `None` if lines are never broken.
    width: Option<usize>,
}

impl Style {
    /// Returns colours and the width of the terminal, or plain lines if standard output is none.
    /// NO_COLOR (no-color.org) and TERM=dumb turn colours off.
    pub(crate) fn of_stdout() -> Self {
        let stdout = std::io::stdout();
        let is_terminal = stdout.is_terminal();
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let size = runtime_sys::tty::size(&stdout).ok().filter(|_| is_terminal);
        let columns = size.map(|(_, columns)| usize::from(columns)).filter(|columns| *columns > 0);
        Style { colours: is_terminal && !is_set("NO_COLOR") && !is_dumb, width: columns.map(|n| n.max(60)) }
    }

    /// Returns the word, padded to `width`, in the colour of the fitness.
    pub(crate) fn word(self, word: &str, width: usize, colour: u8) -> String {
        match self.colours {
            true => format!("\x1b[{colour}m{word:width$}\x1b[0m"),
            false => format!("{word:width$}"),
        }
    }

    /// Appends the text, whose first line begins at the column `first`, and the others at `indent`.
    pub(crate) fn wrap(self, out: &mut String, text: &str, first: usize, indent: usize) {
        let mut column = first;
        for (n, word) in text.split([' ', '\n']).enumerate() {
            let length = word.chars().count();
            if n > 0 && self.width.is_some_and(|width| column + 1 + length > width) {
                out.push('\n');
                out.push_str(&" ".repeat(indent));
                column = indent;
            } else if n > 0 {
                out.push(' ');
                column += 1;
            }
            // The text of files and of the kernel must not control the terminal, nor deceive its reader.
            out.extend(word.chars().map(|c| if c.is_control() || is_format(c) { '?' } else { c }));
            column += length;
        }
        out.push('\n');
    }
}

/// Returns true for characters that are not shown, and may change the order of others.
fn is_format(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_broken_between_words_at_the_width() {
        let style = Style { colours: false, width: Some(20) };
        let mut out = "12345678 ".to_owned();
        style.wrap(&mut out, "one two three four-and-five-and-six x\x1b[31m", 9, 9);
        assert_eq!(
            out,
            "12345678 one two\n         three\n         four-and-five-and-six\n         x?[31m\n"
        );
        let mut out = String::new();
        Style { width: None, ..style }.wrap(&mut out, "one two three four five six seven eight", 9, 9);
        assert_eq!(out.lines().count(), 1);
        let mut out = String::new();
        style.wrap(&mut out, "\"a  b\" \u{202e}x", 0, 0);
        assert_eq!(out, "\"a  b\" ?x\n");
    }

    #[test]
    fn a_word_has_its_colour_on_a_terminal_alone() {
        let plain = Style { colours: false, width: None };
        assert_eq!(plain.word("works", 9, GREEN), "works    ");
        assert_eq!(Style { colours: true, ..plain }.word("works", 7, GREEN), "\x1b[32mworks  \x1b[0m");
    }
}
