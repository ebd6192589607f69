//! One version of each crate: two cost build time and size, and their types do not fit each other.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::Findings;
use crate::project::{Packages, Project};

/// Crates that may be there in several versions, each with the reason. One that is no longer needed here is a finding.
const ALLOWED: &[(&str, &str)] = &[
    (
        "block-buffer",
        "sha1 of aws-config 1 and crc-fast of aws-sdk-s3 1 ask for the older one, sha2 0.11 for the newer",
    ),
    ("cpufeatures", "sha1 of aws-config 1 and crc-fast of aws-sdk-s3 1 ask for the older one, sha2 0.11 for the newer"),
    (
        "crypto-common",
        "sha1 of aws-config 1 and crc-fast of aws-sdk-s3 1 ask for the older one, sha2 0.11 for the newer",
    ),
    ("digest", "sha1 of aws-config 1 and crc-fast of aws-sdk-s3 1 ask for the older one, sha2 0.11 for the newer"),
    ("base64", "bollard 0.21 asks for 0.22, hyper-util and reqwest for 0.23"),
    ("getrandom", "ring 0.17 asks for 0.2, proptest (tests only) for 0.4"),
    ("sha1", "aws-config 1 asks for the older one, aws-smithy-checksums of aws-sdk-s3 1 for the newer"),
    ("syn", "tracing-attributes 0.1 asks for 2, the other derive macros for 3; at build time only"),
];

/// Looks at `cargo metadata`, for this platform.
pub(crate) fn check(project: &Project) -> Result<Findings> {
    Ok(judge(project.packages()?, ALLOWED))
}

fn judge(packages: &Packages, allowed: &[(&str, &str)]) -> Findings {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages.outside().chain(packages.members()) {
        versions.entry(&package.name).or_default().insert(&package.version);
    }
    let mut findings = Findings::default();
    for (name, versions) in &versions {
        let reason = allowed.iter().find(|(allowed, _)| allowed == name);
        let listed = versions.iter().copied().collect::<Vec<_>>().join(", ");
        match (versions.len(), reason) {
            (1, Some(_)) => findings.broken(format!("{name} is there once only ({listed}): take it off the list")),
            (1, None) | (_, Some(_)) => {}
            (_, None) => findings.broken(format!("{name}: {listed}")),
        }
    }
    for (name, _) in allowed {
        if !versions.contains_key(name) {
            findings.broken(format!("{name} is not used any more: take it off the list"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_exceptions_stays_honest() {
        let packages = Packages::of(&[("once", "1.0.0", "MIT")], &[]);
        assert!(judge(&packages, &[]).broken.is_empty());
        let stale = judge(&packages, &[("once", "why"), ("gone", "why")]).broken;
        assert_eq!(
            stale,
            [
                "once is there once only (1.0.0): take it off the list",
                "gone is not used any more: take it off the list"
            ]
        );
    }
}
