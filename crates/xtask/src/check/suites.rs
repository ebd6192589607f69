//! Tests that need a Docker engine lie in `tests/e2e` of their crate, in a test target that `cargo test` leaves out
//! unless the feature `e2e` is on. Without that entry they would run, and fail, in a plain `cargo test`.

use std::path::Path;

use anyhow::Result;

use super::Findings;
use crate::project::Project;

/// Looks at the manifest of every crate that has such tests.
pub(crate) fn check(project: &Project) -> Result<Findings> {
    let mut findings = Findings::default();
    for file in project.files()? {
        let Some(folder) = file.strip_suffix("/tests/e2e/main.rs") else {
            continue;
        };
        let manifest = Path::new(folder).join("Cargo.toml").display().to_string();
        let text = project.text(&manifest)?.unwrap_or_default();
        for missing in missing_entries(&text) {
            findings.broken(format!("{manifest}: {missing}"));
        }
    }
    Ok(findings)
}

/// What a manifest lacks for the end-to-end tests beside it.
fn missing_entries(manifest: &str) -> Vec<&'static str> {
    let (mut section, mut has_feature, mut has_target) = ("", false, false);
    let (mut named, mut required) = (false, false);
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
            (named, required) = (false, false);
        }
        let squeezed: String = line.split_whitespace().collect();
        match section {
            "[features]" => has_feature |= squeezed.starts_with("e2e=["),
            "[[test]]" => {
                named |= squeezed == "name=\"e2e\"";
                required |= squeezed == "required-features=[\"e2e\"]";
                has_target |= named && required;
            }
            _ => {}
        }
    }
    let mut missing = Vec::new();
    if !has_feature {
        missing.push("no `e2e = []` under [features]");
    }
    if !has_target {
        missing.push("no [[test]] with name = \"e2e\" and required-features = [\"e2e\"]");
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_entries_are_asked_for() {
        let whole = "[features]\ne2e = []\n\n[[test]]\nname = \"e2e\"\nrequired-features = [\"e2e\"]\n";
        assert!(missing_entries(whole).is_empty());
        assert_eq!(missing_entries("[package]\nname = \"e2e\"\n").len(), 2);
        let apart =
            "[features]\ne2e = []\n[[test]]\nname = \"e2e\"\n[[test]]\nname = \"it\"\nrequired-features = [\"e2e\"]\n";
        assert_eq!(missing_entries(apart).len(), 1);
    }
}
