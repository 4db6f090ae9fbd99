// SPDX-License-Identifier: Apache-2.0
//! Lists the public items of a library, one a line: `public-api-listing RUSTDOC.json`.

use public_api::Builder;
use std::error::Error;
use std::io::Write;

fn main() -> Result<(), Box<dyn Error>> {
    let json = std::env::args_os().nth(1).ok_or("public-api-listing RUSTDOC.json")?;
    let listing = Builder::from_rustdoc_json(json).omit_blanket_impls(true).omit_auto_trait_impls(true);
    // A single write, so that a reader that ends is an error and not a panic.
    let text: String = listing.build()?.items().map(|item| format!("{item}\n")).collect();
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
