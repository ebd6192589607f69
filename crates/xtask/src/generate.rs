//! Files that are written from the server's code: `openapi/layer0.json` from its handlers, `docs/configuration.md` from its
//! flags and variables.
//!
//! The server has an example for each that prints it; they are run here rather than linked, so that this crate builds
//! without the server.

use std::fs;

use anyhow::{Context as _, Result};

use crate::project::{Project, output};

/// A generated file.
pub(crate) struct Generated {
    /// Where it lies, below the root.
    pub(crate) file: &'static str,
    /// The example of `layer0-server` that prints it.
    example: &'static str,
}

/// All generated files.
pub(crate) const ALL: &[Generated] = &[
    Generated { file: "openapi/layer0.json", example: "openapi" },
    Generated { file: "docs/configuration.md", example: "configuration" },
];

impl Generated {
    /// The file as the code describes it now.
    pub(crate) fn generate(&self, project: &Project) -> Result<String> {
        let arguments = ["run", "--quiet", "--locked", "--package", "layer0-server", "--example", self.example];
        let mut text = output(project.command(env!("CARGO")).args(arguments))?;
        if !text.ends_with('\n') {
            text.push('\n');
        }
        Ok(text)
    }
}

/// Writes them all.
pub(crate) fn write(project: &Project) -> Result<()> {
    for generated in ALL {
        let text = generated.generate(project)?;
        let path = project.root.join(generated.file);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        }
        fs::write(&path, &text).with_context(|| format!("writing {}", generated.file))?;
        println!("{}: {} bytes", generated.file, text.len());
    }
    Ok(())
}
