// SPDX-License-Identifier: Apache-2.0
//! The requirements: each that binds a runtime has a case or a test.

use conformance::{Result, requirements};
use std::path::Path;

/// The name of this check among the cases.
pub(crate) const NAME: &str = "requirements::complete";

/// Compares requirements.tsv with the cases, with the tests, and with the numbers of the page.
pub(crate) fn complete(mut cases: Vec<String>) -> Result {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"));
    // The virtual machine has no sources.
    let sources = workspace.join("Cargo.toml").exists().then_some(workspace);
    if let Some(sources) = sources {
        requirements::check_groups(sources, &cases)?;
    }
    cases.push(NAME.into());
    let all = requirements::parse(requirements::TEXT)?;
    requirements::check(&all, &cases, sources)?;
    let Some(sources) = sources else {
        eprintln!("requirements: without the sources, names of tests are not compared");
        return Ok(());
    };
    requirements::check_decisions(&cases, sources)?;
    let unseen = requirements::unseen(&all);
    if !unseen.is_empty() {
        eprintln!("requirements: {} have tests that were not seen to fail: {unseen:?}", unseen.len());
    }
    requirements::check_page(sources, &all)
}
