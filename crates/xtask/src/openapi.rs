//! `openapi/layer0.json`, the API's document, written from the server's handlers.
//!
//! The server has an example that prints the document; it is run here rather than linked, so that this crate builds
//! without the server.

use std::fs;

use anyhow::{Context as _, Result};

use crate::project::{Project, output};

/// Where the document lies, below the root.
pub(crate) const FILE: &str = "openapi/layer0.json";
/// The source of the example that prints it.
const GENERATOR: &str = "crates/server/examples/openapi.rs";

/// Whether there is a server that can print its document.
pub(crate) fn has_generator(project: &Project) -> bool {
    project.root.join(GENERATOR).is_file()
}

/// The document as the server's handlers describe it now.
pub(crate) fn generate(project: &Project) -> Result<String> {
    let mut text = output(project.command(env!("CARGO")).args([
        "run",
        "--quiet",
        "--locked",
        "--package",
        "layer0-server",
        "--example",
        "openapi",
    ]))?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// Writes the document.
pub(crate) fn write(project: &Project) -> Result<()> {
    let text = generate(project)?;
    let path = project.root.join(FILE);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    }
    fs::write(&path, &text).with_context(|| format!("writing {FILE}"))?;
    println!("{FILE}: {} bytes", text.len());
    Ok(())
}
