//! Source files stay short enough to be read in one go.

use anyhow::Result;

use super::Findings;
use crate::project::Project;

/// Lines from which a source file should be split by noun.
const LONG: usize = 600;

/// Warns of every long `.rs` file.
pub(crate) fn check(project: &Project) -> Result<Findings> {
    let mut findings = Findings::default();
    for file in project.files()? {
        if file.ends_with(".rs") {
            let lines = project.text(file)?.unwrap_or_default().lines().count();
            if lines > LONG {
                findings.warn(format!("{file}: {lines} lines, {LONG} is the most; split it by noun"));
            }
        }
    }
    Ok(findings)
}
