//! Images small enough to be written down, real enough for every registry.

use futures_util::StreamExt as _;
use futures_util::stream;
use layer0_domain::model::digest::Digest;
use layer0_domain::port::BoxError;
use layer0_domain::port::image_end::{BlobStream, EndBlob, EndManifest, ImageEnd};
use serde_json::{Value, json};

/// The media type of an image manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of an index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const FOREIGN: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar";

/// A manifest with the blobs that it needs.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The manifest.
    pub manifest: EndManifest,
    /// The blobs.
    pub blobs: Vec<Vec<u8>>,
}

fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": Digest::sha256_of(content).to_string(), "size": content.len() })
}

fn blob(content: &[u8], is_foreign: bool) -> EndBlob {
    EndBlob { digest: Digest::sha256_of(content), size: content.len() as u64, is_foreign }
}

fn manifest(media_type: &str, document: &Value) -> EndManifest {
    let bytes = document.to_string().into_bytes();
    EndManifest {
        digest: Digest::sha256_of(&bytes),
        media_type: media_type.to_owned(),
        bytes,
        blobs: Vec::new(),
        children: Vec::new(),
        subject: None,
    }
}

/// An image of its own for each word. All have the layer `base` in common.
#[must_use]
pub fn image(word: &str) -> Sample {
    let config = json!({ "os": "linux", "architecture": "amd64", "config": { "Labels": { "word": word } } });
    let blobs = vec![config.to_string().into_bytes(), b"base".to_vec(), format!("layer of {word}").into_bytes()];
    let layers: Vec<Value> = blobs[1..].iter().map(|layer| descriptor(LAYER, layer)).collect();
    let document = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG, &blobs[0]), "layers": layers,
    });
    let named = blobs.iter().map(|content| blob(content, false)).collect();
    Sample { manifest: EndManifest { blobs: named, ..manifest(MANIFEST, &document) }, blobs }
}

/// An image with a layer that is nowhere.
#[must_use]
pub fn foreign(word: &str) -> Sample {
    let (config, layer) = (format!("{{\"word\":{word:?}}}").into_bytes(), format!("foreign {word}").into_bytes());
    let document = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG, &config),
        "layers": [descriptor(FOREIGN, &layer)],
    });
    let named = vec![blob(&config, false), blob(&layer, true)];
    Sample { manifest: EndManifest { blobs: named, ..manifest(MANIFEST, &document) }, blobs: vec![config] }
}

/// An index over manifests.
#[must_use]
pub fn index(children: &[&Sample]) -> Sample {
    let entry = |child: &&Sample| {
        let EndManifest { digest, media_type, bytes, .. } = &child.manifest;
        json!({ "mediaType": media_type, "digest": digest.to_string(), "size": bytes.len() })
    };
    let entries: Vec<Value> = children.iter().map(entry).collect();
    let document = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries });
    let children = children.iter().map(|child| child.manifest.digest.clone()).collect();
    Sample { manifest: EndManifest { children, ..manifest(INDEX, &document) }, blobs: Vec::new() }
}

/// What says something about a manifest: a signature, say.
#[must_use]
pub fn referrer(subject: &Sample, word: &str) -> Sample {
    let (empty, layer) = (b"{}".to_vec(), format!("{word} about it").into_bytes());
    let EndManifest { digest, media_type, bytes, .. } = &subject.manifest;
    let document = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/vnd.example.signature",
        "config": descriptor("application/vnd.oci.empty.v1+json", &empty), "layers": [descriptor(LAYER, &layer)],
        "subject": { "mediaType": media_type, "digest": digest.to_string(), "size": bytes.len() },
    });
    let named = vec![blob(&empty, false), blob(&layer, false)];
    let subject = Some(digest.clone());
    Sample {
        manifest: EndManifest { blobs: named, subject, ..manifest(MANIFEST, &document) },
        blobs: vec![empty, layer],
    }
}

/// Content in pieces of three bytes.
#[must_use]
pub fn content(bytes: &[u8]) -> BlobStream {
    let pieces: Vec<Result<Vec<u8>, BoxError>> = bytes.chunks(3).map(|piece| Ok(piece.to_vec())).collect();
    stream::iter(pieces).boxed()
}

impl Sample {
    /// The digest of the manifest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.manifest.digest.clone()
    }

    /// Writes the blobs, then the manifest, under tags or none.
    pub async fn push(&self, end: &dyn ImageEnd, tags: &[&str]) {
        for bytes in &self.blobs {
            let written = end.blob_write(&Digest::sha256_of(bytes), bytes.len() as u64, content(bytes)).await;
            written.expect("the blob is taken");
        }
        if tags.is_empty() {
            end.manifest_write(&self.manifest, None, None).await.expect("the manifest is taken");
        }
        for tag in tags {
            end.manifest_write(&self.manifest, Some(tag), None).await.expect("the manifest is taken");
        }
    }
}
