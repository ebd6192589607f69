//! Tests that need a Docker engine lie in `tests/e2e` of their crate, those that need programs built with Go in `tests/clients`, those
//! that need an emulator of AWS in `tests/aws`, each in a test target that a plain `cargo test` leaves out. Without that entry they
//! would run, and fail, there.

use std::path::Path;

use anyhow::Result;

use super::Findings;
use crate::project::Project;

/// What keeps a test target out of a plain `cargo test`.
#[derive(Clone, Copy)]
enum KeptOut {
    /// It runs when it is named, and is built with the features that everything is built with.
    UntilNamed,
    /// It needs crates that only this feature brings.
    WithoutFeature(&'static str),
}

/// The test targets.
const TARGETS: &[(&str, KeptOut)] =
    &[("e2e", KeptOut::UntilNamed), ("clients", KeptOut::UntilNamed), ("aws", KeptOut::WithoutFeature("aws-e2e"))];

/// Looks at the manifest of every crate that has such tests.
pub(crate) fn check(project: &Project) -> Result<Findings> {
    let mut findings = Findings::default();
    for file in project.files()? {
        for (target, kept_out) in TARGETS {
            let Some(folder) = file.strip_suffix(&format!("/tests/{target}/main.rs")) else {
                continue;
            };
            let manifest = Path::new(folder).join("Cargo.toml").display().to_string();
            let text = project.text(&manifest)?.unwrap_or_default();
            for missing in missing_entries(&text, target, *kept_out) {
                findings.broken(format!("{manifest}: {missing}"));
            }
        }
    }
    Ok(findings)
}

/// What a manifest lacks for the tests beside it.
fn missing_entries(manifest: &str, target: &str, kept_out: KeptOut) -> Vec<String> {
    let wanted = match kept_out {
        KeptOut::UntilNamed => "test = false".to_owned(),
        KeptOut::WithoutFeature(feature) => format!("required-features = [\"{feature}\"]"),
    };
    let squeezed = |line: &str| line.split_whitespace().collect::<String>();
    let (mut section, mut has_feature, mut has_target) = ("", false, false);
    let (mut named, mut left_out) = (false, false);
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
            (named, left_out) = (false, false);
        }
        match (section, kept_out) {
            ("[features]", KeptOut::WithoutFeature(feature)) => {
                has_feature |= squeezed(line).starts_with(&format!("{feature}=["));
            }
            ("[[test]]", _) => {
                named |= squeezed(line) == format!("name=\"{target}\"");
                left_out |= squeezed(line) == squeezed(&wanted);
                has_target |= named && left_out;
            }
            _ => {}
        }
    }
    let mut missing = Vec::new();
    if let (KeptOut::WithoutFeature(feature), false) = (kept_out, has_feature) {
        missing.push(format!("no `{feature} = []` under [features]"));
    }
    if !has_target {
        missing.push(format!("no [[test]] with name = \"{target}\" and {wanted}"));
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    const AWS: KeptOut = KeptOut::WithoutFeature("aws-e2e");

    #[test]
    fn the_entry_is_asked_for() {
        let named = "[[test]]\nname = \"e2e\"\npath = \"tests/e2e/main.rs\"\ntest = false\n";
        assert!(missing_entries(named, "e2e", KeptOut::UntilNamed).is_empty());
        assert_eq!(missing_entries(named, "clients", KeptOut::UntilNamed).len(), 1);
        let apart = "[[test]]\nname = \"e2e\"\n[[test]]\nname = \"it\"\ntest = false\n";
        assert_eq!(missing_entries(apart, "e2e", KeptOut::UntilNamed).len(), 1);
    }

    #[test]
    fn the_feature_is_asked_for_too() {
        let whole = "[features]\naws-e2e = [\"aws\"]\n\n[[test]]\nname = \"aws\"\nrequired-features = [\"aws-e2e\"]\n";
        assert!(missing_entries(whole, "aws", AWS).is_empty());
        assert_eq!(missing_entries("[package]\nname = \"aws\"\n", "aws", AWS).len(), 2);
        let apart = "[features]\naws-e2e = []\n[[test]]\nname = \"aws\"\n[[test]]\nname = \"it\"\nrequired-features = [\"aws-e2e\"]\n";
        assert_eq!(missing_entries(apart, "aws", AWS).len(), 1);
    }
}
