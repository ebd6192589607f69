//! What a manifest says: of what an image is made, or which variants an index has. Only what the pull check needs; the rules
//! of the format are the registry's business.

use layer0_domain::model::digest::Digest;
use layer0_domain::model::registry::Platform;
use serde::Deserialize;

/// What a manifest is of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// An image.
    Image {
        /// Its configuration.
        config: Option<Digest>,
        /// Configuration and layers, each once, without those that no registry keeps.
        parts: Vec<Digest>,
    },
    /// Several variants of one; attestations are left out.
    Index(Vec<Variant>),
}

/// An entry of an index.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Variant {
    /// Its manifest.
    pub(super) digest: Digest,
    /// What it is for; `None` when the index does not say.
    pub(super) platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Document {
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    manifests: Option<Vec<Descriptor>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    platform: Option<PlatformFields>,
}

#[derive(Deserialize)]
struct PlatformFields {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
}

impl PlatformFields {
    fn platform(self) -> Option<Platform> {
        let variant = self.variant.filter(|variant| !variant.is_empty());
        let platform = Platform { os: self.os, architecture: self.architecture, variant };
        (!platform.os.is_empty() && !platform.architecture.is_empty()).then_some(platform)
    }

    /// How builders mark what is no image but says something of one (BuildKit, "Image attestation storage").
    fn is_attestation(&self) -> bool {
        self.os == "unknown" && self.architecture == "unknown"
    }
}

/// Reads a manifest; `None` for what is none.
pub(super) fn read(text: &str) -> Option<Content> {
    let document: Document = serde_json::from_str(text).ok()?;
    if let Some(manifests) = document.manifests {
        let images =
            manifests.into_iter().filter(|it| !it.platform.as_ref().is_some_and(PlatformFields::is_attestation));
        let variant = |it: Descriptor| {
            let digest = Digest::parse(&it.digest).ok()?;
            Some(Variant { digest, platform: it.platform.and_then(PlatformFields::platform) })
        };
        return images.map(variant).collect::<Option<Vec<_>>>().map(Content::Index);
    }
    let config = document.config.map(|config| Digest::parse(&config.digest)).transpose().ok()?;
    let mut parts: Vec<Digest> = config.iter().cloned().collect();
    for layer in document.layers.iter().filter(|layer| !is_foreign(&layer.media_type)) {
        let digest = Digest::parse(&layer.digest).ok()?;
        if !parts.contains(&digest) {
            parts.push(digest);
        }
    }
    Some(Content::Image { config, parts })
}

/// Layers that are fetched from elsewhere (OCI image specification, "Non-Distributable Layers"; Docker's are foreign).
fn is_foreign(media_type: &str) -> bool {
    media_type.contains(".nondistributable.") || media_type.contains(".foreign.")
}

/// The platform that an image's configuration names.
pub(super) fn platform_of(config: &[u8]) -> Option<Platform> {
    serde_json::from_slice::<PlatformFields>(config).ok()?.platform()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn digest(of: &str) -> Digest {
        Digest::sha256_of(of.as_bytes())
    }

    #[test]
    fn an_image_is_its_configuration_and_what_is_kept_of_its_layers() {
        let layer = |of: &str, kind: &str| json!({ "mediaType": kind, "digest": digest(of).to_string() });
        let text = json!({
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest("config").to_string() },
            "layers": [
                layer("one", "application/vnd.oci.image.layer.v1.tar+gzip"),
                layer("one", "application/vnd.oci.image.layer.v1.tar+gzip"),
                layer("windows", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
                layer("old", "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"),
            ],
        });
        let parts = vec![digest("config"), digest("one")];
        assert_eq!(read(&text.to_string()), Some(Content::Image { config: Some(digest("config")), parts }));
    }

    #[test]
    fn an_index_has_variants_and_no_attestations() {
        let entry = |of: &str, platform| json!({ "digest": digest(of).to_string(), "platform": platform });
        let text = json!({ "manifests": [
            entry("arm", json!({ "os": "linux", "architecture": "arm64", "variant": "v8" })),
            entry("proof", json!({ "os": "unknown", "architecture": "unknown" })),
            { "digest": digest("bare").to_string() },
        ]});
        let arm = Platform { os: "linux".to_owned(), architecture: "arm64".to_owned(), variant: Some("v8".to_owned()) };
        let variants = vec![
            Variant { digest: digest("arm"), platform: Some(arm) },
            Variant { digest: digest("bare"), platform: None },
        ];
        assert_eq!(read(&text.to_string()), Some(Content::Index(variants)));
    }

    #[test]
    fn what_is_no_manifest_is_not_read() {
        for text in ["", "[]", r#"{"manifests": [{"digest": "latest"}]}"#, r#"{"config": {"digest": "x"}}"#] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_configuration_names_a_platform_or_none() {
        let arm = Platform { os: "linux".to_owned(), architecture: "arm64".to_owned(), variant: None };
        assert_eq!(platform_of(br#"{"os": "linux", "architecture": "arm64", "variant": ""}"#), Some(arm));
        assert_eq!(platform_of(br#"{"name": "chart"}"#), None);
        assert_eq!(platform_of(b"\xff"), None);
    }
}
