//! Tests that need a Docker engine lie in `tests/e2e` of their crate, those that need an emulator of AWS in `tests/aws`, each
//! in a test target that `cargo test` leaves out unless a feature is on. Without that entry they would run, and fail, in a
//! plain `cargo test`.

use std::path::Path;

use anyhow::Result;

use super::Findings;
use crate::project::Project;

/// The test targets, each with the feature that it needs.
const TARGETS: &[(&str, &str)] = &[("e2e", "e2e"), ("aws", "aws-e2e")];

/// Looks at the manifest of every crate that has such tests.
pub(crate) fn check(project: &Project) -> Result<Findings> {
    let mut findings = Findings::default();
    for file in project.files()? {
        for (target, feature) in TARGETS {
            let Some(folder) = file.strip_suffix(&format!("/tests/{target}/main.rs")) else {
                continue;
            };
            let manifest = Path::new(folder).join("Cargo.toml").display().to_string();
            let text = project.text(&manifest)?.unwrap_or_default();
            for missing in missing_entries(&text, target, feature) {
                findings.broken(format!("{manifest}: {missing}"));
            }
        }
    }
    Ok(findings)
}

/// What a manifest lacks for the tests beside it.
fn missing_entries(manifest: &str, target: &str, feature: &str) -> Vec<String> {
    let (mut section, mut has_feature, mut has_target) = ("", false, false);
    let (mut named, mut required) = (false, false);
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
            (named, required) = (false, false);
        }
        let squeezed: String = line.split_whitespace().collect();
        match section {
            "[features]" => has_feature |= squeezed.starts_with(&format!("{feature}=[")),
            "[[test]]" => {
                named |= squeezed == format!("name=\"{target}\"");
                required |= squeezed == format!("required-features=[\"{feature}\"]");
                has_target |= named && required;
            }
            _ => {}
        }
    }
    let mut missing = Vec::new();
    if !has_feature {
        missing.push(format!("no `{feature} = []` under [features]"));
    }
    if !has_target {
        missing.push(format!("no [[test]] with name = \"{target}\" and required-features = [\"{feature}\"]"));
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_entries_are_asked_for() {
        let whole = "[features]\ne2e = []\n\n[[test]]\nname = \"e2e\"\nrequired-features = [\"e2e\"]\n";
        assert!(missing_entries(whole, "e2e", "e2e").is_empty());
        assert_eq!(missing_entries(whole, "aws", "aws-e2e").len(), 2);
        assert_eq!(missing_entries("[package]\nname = \"e2e\"\n", "e2e", "e2e").len(), 2);
        let apart =
            "[features]\ne2e = []\n[[test]]\nname = \"e2e\"\n[[test]]\nname = \"it\"\nrequired-features = [\"e2e\"]\n";
        assert_eq!(missing_entries(apart, "e2e", "e2e").len(), 1);
    }
}
