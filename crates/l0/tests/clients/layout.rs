//! Manifests of a given size, and OCI image layouts around them.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The most bytes that a manifest may have.
pub(crate) const MOST: usize = 4 << 20;

/// What manifests of the tests name: the empty blob of the image specification.
pub(crate) const EMPTY: &[u8] = b"{}";

/// The digest of content.
pub(crate) fn digest(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

/// A hash as a digest.
pub(crate) fn hex(hash: &[u8]) -> String {
    let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest(content), "size": content.len() })
}

/// A manifest of exactly so many bytes, that names nothing but [`EMPTY`].
pub(crate) fn manifest(size: usize) -> String {
    let of_length = |length: usize| {
        let config = descriptor("application/vnd.oci.image.config.v1+json", EMPTY);
        let notes = json!({ "note": "x".repeat(length) });
        json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [], "annotations": notes })
            .to_string()
    };
    let manifest = of_length(size - of_length(0).len());
    assert_eq!(manifest.len(), size);
    manifest
}

/// Writes an image layout with one manifest.
pub(crate) fn write(root: &Path, manifest: &str) {
    let blobs = root.join("blobs/sha256");
    fs::create_dir_all(&blobs).expect("a directory of our own");
    for content in [EMPTY, manifest.as_bytes()] {
        fs::write(blobs.join(&digest(content)["sha256:".len()..]), content).expect("a file of our own");
    }
    let index = json!({ "schemaVersion": 2, "manifests": [descriptor(MANIFEST, manifest.as_bytes())] });
    for (name, text) in [("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#), ("index.json", &index.to_string())] {
        fs::write(root.join(name), text).expect("a file of our own");
    }
}
