//! What a snapshot says of itself.

use serde::{Deserialize, Serialize};

/// How the directory is laid out. A newer one is refused.
pub(crate) const LAYOUT: u32 = 1;

/// The text of `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// [`LAYOUT`] of whoever wrote it.
    pub(crate) layout: u32,
    /// The instance's name, and its id, which no other has.
    pub(crate) instance: String,
    pub(crate) instance_id: String,
    /// The version of the server, which has written the state.
    pub(crate) version: String,
    /// The moment that it is of.
    pub(crate) begun: String,
    /// The length of the state.
    pub(crate) state_bytes: u64,
    /// The text of `layer0.toml` in the data directory.
    pub(crate) settings: Option<String>,
    /// Registries in ECR, whose images are not in it.
    pub(crate) not_copied: Vec<String>,
    /// Whether the instance's images lay in a bucket. Older ones don't say.
    #[serde(default)]
    pub(crate) in_bucket: bool,
    /// The blobs that the state names and that are there.
    pub(crate) blobs: Vec<Blob>,
    /// The blobs that the state names and that could not be had.
    pub(crate) lost: Vec<Lost>,
    /// Those of `blobs` that the instance counted as damaged, and whose copies of before are whole. The state says that they are damaged.
    #[serde(default)]
    pub(crate) damaged_there: Vec<String>,
    /// How many of `blobs` were copied by this backup, and their bytes; the others were there.
    pub(crate) copied: u64,
    pub(crate) copied_bytes: u64,
}

/// A blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Blob {
    pub(crate) digest: String,
    pub(crate) size: u64,
}

/// A blob that is not in the backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lost {
    pub(crate) digest: String,
    pub(crate) size: u64,
    pub(crate) why: Why,
}

/// Why it could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Why {
    /// It is not what its digest says.
    Damaged,
    /// It has no bytes.
    Missing,
    /// Its bytes can't be read.
    Unreadable,
}

impl Why {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Why::Damaged => "damaged",
            Why::Missing => "missing",
            Why::Unreadable => "unreadable",
        }
    }
}

impl Manifest {
    /// All bytes of its blobs.
    pub(crate) fn blob_bytes(&self) -> u64 {
        self.blobs.iter().fold(0, |sum, blob| sum.saturating_add(blob.size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_one_is_read() {
        let text = r#"{"layout": 1, "instance": "demo", "instance_id": "demo-1", "version": "0.1.0",
            "begun": "2026-01-01T00:00:00.000Z", "state_bytes": 9, "settings": null, "not_copied": [], "blobs": [],
            "lost": [], "copied": 0, "copied_bytes": 0}"#;
        let manifest: Manifest = serde_json::from_str(text).expect("it is read");
        assert!(!manifest.in_bucket && manifest.damaged_there.is_empty());
    }
}
