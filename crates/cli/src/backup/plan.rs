//! What goes, and what has to come: pure.

use std::collections::BTreeSet;

use super::name::BlobName;

/// Which snapshots go so that `keep` stay: the one that was just taken, which is the newest whatever its name says, and the newest of the
/// others. Names sort by the server's time, which may have been ahead when an older one was taken.
pub(crate) fn too_old(snapshots: &BTreeSet<String>, keep: usize, taken: &str) -> Vec<String> {
    let going = snapshots.len().saturating_sub(keep);
    snapshots.iter().filter(|name| *name != taken).take(going).cloned().collect()
}

/// Those that say they are later than the one that was just taken.
pub(crate) fn ahead(snapshots: &BTreeSet<String>, taken: &str) -> Vec<String> {
    snapshots.iter().filter(|name| name.as_str() > taken).cloned().collect()
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
        assert_eq!(too_old(&all, 2, "3"), ["1"]);
        assert_eq!(too_old(&all, 1, "3"), ["1", "2"]);
        assert!(too_old(&all, 9, "3").is_empty() && ahead(&all, "3").is_empty());
    }

    #[test]
    fn the_one_that_was_just_taken_stays_whatever_the_clock_said_before() {
        let all: BTreeSet<String> = ["1", "3", "2"].map(str::to_owned).into();
        assert_eq!(too_old(&all, 1, "1"), ["2", "3"]);
        assert_eq!(too_old(&all, 2, "2"), ["1"]);
        assert_eq!(ahead(&all, "1"), ["2", "3"]);
    }

    #[test]
    fn a_name_is_one_path_component() {
        assert_eq!(snapshot_name("2026-11-23T10:00:00.000Z").as_deref(), Some("20261123T100000.000Z"));
        for bad in ["", "..", "../x", "a/b", ".new"] {
            assert_eq!(snapshot_name(bad), None, "{bad}");
        }
    }
}
