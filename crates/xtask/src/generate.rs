//! Files that are written from code: `openapi/layer0.json` from the server's handlers, `docs/configuration.md` from its flags and
//! variables, `docs/setup-rights.md` from the rights that `l0 setup` gives the servers.
//!
//! Their crates have an example for each that prints it; they are run here rather than linked, so that this crate builds
//! without them. All examples of the workspace are built at once: with the features that `cargo test --workspace` has, so that nothing
//! is built for this that the tests have not built. `cargo run` of one package would have Cargo choose anew, for that package alone.

use std::path::PathBuf;
use std::{env, fs};

use anyhow::{Context as _, Result};

use crate::project::{Project, output};

/// A generated file.
pub(crate) struct Generated {
    /// Where it lies, below the root.
    pub(crate) file: &'static str,
    /// The example that prints it, of the crate whose code it is written from.
    example: &'static str,
}

/// All generated files.
pub(crate) const ALL: &[Generated] = &[
    Generated { file: "openapi/layer0.json", example: "openapi" },
    Generated { file: "docs/configuration.md", example: "configuration" },
    Generated { file: "docs/setup-rights.md", example: "rights" },
];

/// The examples that print them, as they were built just now. Cargo puts them beside this program, which it built too.
pub(crate) struct Examples {
    directory: PathBuf,
}

impl Examples {
    /// Builds them.
    pub(crate) fn build(project: &Project) -> Result<Self> {
        output(project.command(env!("CARGO")).args(["build", "--quiet", "--locked", "--workspace", "--examples"]))?;
        let this = env::current_exe().context("where this program lies")?;
        Ok(Self { directory: this.with_file_name("examples") })
    }

    /// The file as the code describes it now.
    pub(crate) fn print(&self, project: &Project, generated: &Generated) -> Result<String> {
        let mut text = output(&mut project.command(self.directory.join(generated.example)))?;
        if !text.ends_with('\n') {
            text.push('\n');
        }
        Ok(text)
    }
}

/// Writes them all.
pub(crate) fn write(project: &Project) -> Result<()> {
    let examples = Examples::build(project)?;
    for generated in ALL {
        let text = examples.print(project, generated)?;
        let path = project.root.join(generated.file);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        }
        fs::write(&path, &text).with_context(|| format!("writing {}", generated.file))?;
        println!("{}: {} bytes", generated.file, text.len());
    }
    Ok(())
}
