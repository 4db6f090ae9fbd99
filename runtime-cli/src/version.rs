// SPDX-License-Identifier: Apache-2.0
//! The version of the program.

/// Returns the output of `--version`, which go-runc, dockerd and others parse.
pub(crate) fn version(program: &str) -> String {
    format!(
        "{program} version {}\ncommit: {}\nspec: {}\n",
        env!("CARGO_PKG_VERSION"),
        env!("RUNTIME_COMMIT"),
        runtime_core::spec::OCI_VERSION
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_begins_with_the_program() {
        let text = version("runc");
        assert!(text.starts_with("runc version 0."));
        assert!(text.contains("\ncommit: ") && text.ends_with("\nspec: 1.3.0\n"));
    }
}
