//! What goes, and what has to come: pure.

use std::collections::BTreeSet;

use super::name::BlobName;

/// Which snapshots go so that the newest `keep` stay. Names sort by time.
pub(crate) fn too_old(snapshots: &BTreeSet<String>, keep: usize) -> Vec<String> {
    let going = snapshots.len().saturating_sub(keep);
    snapshots.iter().take(going).cloned().collect()
}

/// Which blobs go: those that no snapshot names.
pub(crate) fn unneeded(there: Vec<BlobName>, named: &BTreeSet<BlobName>) -> Vec<BlobName> {
    there.into_iter().filter(|blob| !named.contains(blob)).collect()
}

/// The name of a snapshot of this moment (RFC 3339, UTC): without what file systems and shells don't like.
pub(crate) fn snapshot_name(begun: &str) -> Option<String> {
    let name: String = begun.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    let legal =
        !name.is_empty() && !name.starts_with('.') && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
    legal.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stay() {
        let all: BTreeSet<String> = ["1", "3", "2"].map(str::to_owned).into();
        assert_eq!(too_old(&all, 2), ["1"]);
        assert_eq!(too_old(&all, 0), ["1", "2", "3"]);
        assert!(too_old(&all, 9).is_empty());
    }

    #[test]
    fn a_name_is_one_path_component() {
        assert_eq!(snapshot_name("2026-11-23T10:00:00.000Z").as_deref(), Some("20261123T100000.000Z"));
        for bad in ["", "..", "../x", "a/b", ".new"] {
            assert_eq!(snapshot_name(bad), None, "{bad}");
        }
    }
}
