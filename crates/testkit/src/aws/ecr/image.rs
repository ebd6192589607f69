//! Images as data: manifests, configurations and layers are made of a few words, and are consistent with each other.

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The media types of OCI, and of Docker where they differ.
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(super) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// An image of a fake registry.
#[derive(Debug, Clone)]
pub struct FakeImage {
    /// Its platforms, `linux/amd64`, `linux/arm64/v8`. One makes a manifest, several an index of manifests.
    pub platforms: Vec<String>,
    /// How many of each platform's two layers are missing from the registry.
    pub missing_layers: usize,
    /// The account whose registry it lies in; `None`: the fake's own.
    pub registry: Option<String>,
}

impl Default for FakeImage {
    /// For `linux/amd64`, whole, in the fake's own registry.
    fn default() -> Self {
        Self { platforms: vec!["linux/amd64".to_owned()], missing_layers: 0, registry: None }
    }
}

/// A manifest or an index, as it lies in a repository.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) digest: String,
    pub(crate) media_type: &'static str,
    pub(crate) text: String,
    /// The platforms that it is for.
    pub(crate) platforms: Vec<String>,
    /// The digests of its layers.
    pub(crate) layers: Vec<String>,
    /// What its layers add up to.
    pub(crate) size: u64,
    pub(crate) pushed_ms: i64,
}

/// All that an image is made of.
pub(super) struct Made {
    /// What its tag names.
    pub(super) digest: String,
    pub(super) manifests: Vec<Stored>,
    /// Digest, size, and whether it is there.
    pub(super) layers: Vec<(String, (u64, bool))>,
    pub(super) blobs: Vec<(String, Bytes)>,
}

/// The digest of a content.
pub(super) fn digest_of(content: &[u8]) -> String {
    let hash = Sha256::digest(content);
    hash.iter().fold(String::from("sha256:"), |text, byte| format!("{text}{byte:02x}"))
}

/// Makes an image.
pub(super) fn make(image: &FakeImage, name: &str, tag: &str) -> Made {
    let mut made = Made { digest: String::new(), manifests: Vec::new(), layers: Vec::new(), blobs: Vec::new() };
    let mut children = Vec::new();
    for platform in &image.platforms {
        let stored = of_platform(image, &format!("{name}:{tag}"), platform, &mut made);
        children.push(json!({
            "mediaType": stored.media_type,
            "digest": stored.digest,
            "size": stored.text.len(),
            "platform": platform_value(platform),
        }));
        made.digest.clone_from(&stored.digest);
        made.manifests.push(stored);
    }
    if children.len() != 1 {
        let text = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": children}).to_string();
        made.digest = digest_of(text.as_bytes());
        made.manifests.push(Stored {
            digest: made.digest.clone(),
            media_type: INDEX,
            text,
            platforms: image.platforms.clone(),
            layers: made.layers.iter().map(|(digest, _)| digest.clone()).collect(),
            size: 0,
            pushed_ms: 0,
        });
    }
    made
}

/// `linux/arm64/v8`, in the members of the OCI specification.
fn platform_value(platform: &str) -> Value {
    let mut parts = platform.split('/');
    let mut value = json!({"os": parts.next().unwrap_or("linux"), "architecture": parts.next().unwrap_or("amd64")});
    if let Some(variant) = parts.next() {
        value["variant"] = json!(variant);
    }
    value
}

fn of_platform(image: &FakeImage, name: &str, platform: &str, made: &mut Made) -> Stored {
    let layers: Vec<(String, u64)> = (0..2_u64)
        .map(|number| {
            let content = format!("layer {number} of {name} for {platform}");
            (digest_of(content.as_bytes()), 1_000_000 + number)
        })
        .collect();
    let mut config = platform_value(platform);
    config["rootfs"] =
        json!({"type": "layers", "diff_ids": layers.iter().map(|(digest, _)| digest).collect::<Vec<_>>()});
    config["config"] = json!({"Cmd": [name]});
    let config = config.to_string();
    let config_digest = digest_of(config.as_bytes());
    for (number, (digest, size)) in layers.iter().enumerate() {
        made.layers.push((digest.clone(), (*size, number >= image.missing_layers)));
    }
    made.layers.push((config_digest.clone(), (config.len() as u64, true)));
    let config_size = config.len();
    made.blobs.push((config_digest.clone(), config.into()));
    let layer = |(digest, size): &(String, u64)| json!({"mediaType": LAYER, "digest": digest, "size": size});
    let text = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": config_digest, "size": config_size},
        "layers": layers.iter().map(layer).collect::<Vec<_>>(),
    })
    .to_string();
    let size = layers.iter().map(|(_, size)| size).sum();
    Stored {
        digest: digest_of(text.as_bytes()),
        media_type: MANIFEST,
        text,
        platforms: vec![platform.to_owned()],
        layers: layers.into_iter().map(|(digest, _)| digest).collect(),
        size,
        pushed_ms: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_platforms_make_an_index_of_what_is_there() {
        let platforms = vec!["linux/amd64".to_owned(), "linux/arm64/v8".to_owned()];
        let made = make(&FakeImage { platforms, missing_layers: 1, registry: None }, "team/app", "1");
        let index = made.manifests.iter().find(|stored| stored.digest == made.digest).expect("the tag's manifest");
        assert_eq!(index.media_type, INDEX);
        let parsed: Value = serde_json::from_str(&index.text).expect("it is JSON");
        let children = parsed["manifests"].as_array().expect("a list");
        assert_eq!(children[1]["platform"], json!({"os": "linux", "architecture": "arm64", "variant": "v8"}));
        for child in children {
            assert!(made.manifests.iter().any(|stored| child["digest"] == json!(stored.digest)));
        }
        assert_eq!(made.layers.iter().filter(|(_, (_, there))| !there).count(), 2, "one of each platform");
    }
}
