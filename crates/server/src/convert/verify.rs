//! To the wire: what a verification of the registry says.

use layer0_api::types as wire;
use layer0_domain::model::placement::BackingName;
use layer0_registry::{Content, Fault, Rate, VerifyFinding, VerifyTally};

/// How far a run is.
pub(crate) fn progress(rate: Rate, tally: &VerifyTally) -> wire::VerifyProgress {
    wire::VerifyProgress {
        mib_per_s: rate.as_mib_per_s(),
        blobs_total: tally.blobs_total,
        bytes_total: tally.bytes_total,
        blobs: tally.blobs,
        bytes: tally.bytes,
        manifests: tally.manifests,
    }
}

/// A finding.
pub(crate) fn finding(it: &VerifyFinding) -> wire::VerifyFinding {
    let kind = match it.content {
        Content::Blob => "blob",
        Content::Manifest => "manifest",
    };
    let problem = match it.fault {
        Fault::Damaged => "damaged",
        Fault::Missing => "missing",
        Fault::Unreadable => "unreadable",
    };
    wire::VerifyFinding {
        kind: kind.to_owned(),
        digest: it.digest.to_string(),
        problem: problem.to_owned(),
        users: it
            .users
            .iter()
            .map(|user| wire::VerifyUser {
                repository: user.repository.to_string(),
                manifests: user.manifests.iter().map(ToString::to_string).collect(),
                tags: user.tags.clone(),
            })
            .collect(),
    }
}

/// The end of a run, in an instance with these registries.
pub(crate) fn report(tally: &VerifyTally, backings: &[BackingName], end: &Result<(), String>) -> wire::VerifyReport {
    let not_read = backings.iter().filter(|backing| !backing.is_local()).map(ToString::to_string);
    wire::VerifyReport {
        blobs: tally.blobs,
        bytes: tally.bytes,
        manifests: tally.manifests,
        findings: tally.findings,
        strays: tally.strays,
        stray_bytes: tally.stray_bytes,
        not_read: not_read.collect(),
        error: end.as_ref().err().cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_what_was_not_read() {
        let ecr = BackingName::parse("ecr").expect("a name");
        let tally = VerifyTally::default();
        assert_eq!(report(&tally, &[BackingName::local(), ecr], &Ok(())).not_read, ["ecr"]);
        assert_eq!(report(&tally, &[BackingName::local()], &Ok(())).not_read, [""; 0]);
    }
}
