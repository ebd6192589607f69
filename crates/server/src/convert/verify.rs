//! To the wire: what a verification of the registry says.

use layer0_api::types as wire;
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

/// The end of a run.
pub(crate) fn report(tally: &VerifyTally, end: &Result<(), String>) -> wire::VerifyReport {
    wire::VerifyReport {
        blobs: tally.blobs,
        bytes: tally.bytes,
        manifests: tally.manifests,
        findings: tally.findings,
        strays: tally.strays,
        stray_bytes: tally.stray_bytes,
        error: end.as_ref().err().cloned(),
    }
}
