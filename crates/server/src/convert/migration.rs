//! Moves of repositories, to the wire.

use layer0_api::types as wire;
use layer0_domain::model::home::Home;

use crate::text_time::rfc3339;

/// A move.
pub(crate) fn migration(home: &Home) -> wire::Migration {
    let it = &home.migration;
    wire::Migration {
        repository: home.repository.to_string(),
        backing: home.backing.to_string(),
        from: it.from.to_string(),
        to: it.to.to_string(),
        state: it.stage.as_str().to_owned(),
        ended: !it.stage.is_running(),
        progress: it.progress(),
        asked: rfc3339(it.asked),
        manifests: it.tally.manifests,
        verified: it.tally.verified,
        manifests_copied: it.tally.manifests_copied,
        blobs_copied: it.tally.blobs_copied,
        bytes_copied: it.tally.bytes_copied,
        problems: it
            .problems
            .iter()
            .map(|problem| wire::MigrationProblem {
                digest: problem.digest.to_string(),
                tags: problem.tags.clone(),
                why: problem.why.clone(),
            })
            .collect(),
        problems_more: it.problems_more,
    }
}
