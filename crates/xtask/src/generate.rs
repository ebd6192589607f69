//! Files that are written from code: `openapi/layer0.json` from the server's handlers, `docs/configuration.md` from its flags and
//! variables, `docs/setup-rights.md` from the rights that `l0 setup` gives the servers.
//!
//! Their crates have an example for each that prints it; they are run here rather than linked, so that this crate builds
//! without them.

use std::fs;

use anyhow::{Context as _, Result};

use crate::project::{Project, output};

/// A generated file.
pub(crate) struct Generated {
    /// Where it lies, below the root.
    pub(crate) file: &'static str,
    /// The crate whose code it is written from.
    package: &'static str,
    /// The example of that crate that prints it.
    example: &'static str,
}

/// All generated files.
pub(crate) const ALL: &[Generated] = &[
    Generated { file: "openapi/layer0.json", package: "layer0-server", example: "openapi" },
    Generated { file: "docs/configuration.md", package: "layer0-server", example: "configuration" },
    Generated { file: "docs/setup-rights.md", package: "layer0-setup", example: "rights" },
];

impl Generated {
    /// The file as the code describes it now.
    pub(crate) fn generate(&self, project: &Project) -> Result<String> {
        let arguments = ["run", "--quiet", "--locked", "--package", self.package, "--example", self.example];
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
