//! Manifests as JSON: image manifests, indexes and artefact manifests (image-spec: manifest.md, image-index.md,
//! descriptor.md; Docker's schema 2 has the same shape).

use std::collections::BTreeMap;

use layer0_domain::model::digest::Digest;
use layer0_domain::model::registry::Platform;
use serde::Deserialize;

use crate::error::RegistryError;

/// The largest manifest, 4 MiB: what the specification wants taken at least, and the most that docker and containerd
/// read.
pub(crate) const MANIFEST_MAX: usize = 4 << 20;

/// The deepest nesting. Real manifests have five levels. What we read ourselves ends here anyway; fields that we only keep
/// may not go deeper either: clients in Go refuse the whole document when they do (at 10,000 levels).
const DEEPEST: usize = 128;

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// From a release candidate of the image specification 1.1; clients of that time still push it.
const OCI_ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";
/// Signed and unsigned manifests of the first schema begin like this.
const DOCKER_SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+";

/// All kinds of manifests that are understood here, as an upstream is asked for them.
pub(crate) const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.oci.artifact.manifest.v1+json";

/// Layers that need not be pushed: image-spec, layer.md, "Non-Distributable Layers", and Docker's older name for them.
const FOREIGN: [&str; 5] = [
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
];

/// What a manifest is by its media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Image,
    Index,
    Artifact,
}

impl Kind {
    /// `None` for a media type that is none of a manifest.
    pub(crate) fn of(media_type: &str) -> Option<Self> {
        match media_type {
            OCI_MANIFEST | DOCKER_MANIFEST => Some(Self::Image),
            OCI_INDEX | DOCKER_LIST => Some(Self::Index),
            OCI_ARTIFACT => Some(Self::Artifact),
            _ => None,
        }
    }
}

/// A descriptor, checked.
#[derive(Debug, Clone)]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) platform: Option<Platform>,
}

impl Descriptor {
    /// Whether the content need not be here.
    pub(crate) fn is_foreign(&self) -> bool {
        FOREIGN.contains(&self.media_type.as_str())
    }
}

/// A manifest, checked.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) media_type: String,
    /// Config, layers and blobs, in the order of the manifest, a digest only once.
    pub(crate) blobs: Vec<Descriptor>,
    /// An index's entries, a digest only once.
    pub(crate) children: Vec<Descriptor>,
    pub(crate) subject: Option<Digest>,
    pub(crate) artifact_type: Option<String>,
    pub(crate) annotations: BTreeMap<String, String>,
    /// The config's digest, in an image manifest.
    pub(crate) config: Option<Digest>,
}

/// The fields that matter to a registry; all others may be there and are kept, since the bytes are kept.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    schema_version: Option<u64>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<WireDescriptor>,
    layers: Option<Vec<WireDescriptor>>,
    blobs: Option<Vec<WireDescriptor>>,
    manifests: Option<Vec<WireDescriptor>>,
    subject: Option<WireDescriptor>,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireDescriptor {
    media_type: String,
    digest: String,
    size: u64,
    platform: Option<WirePlatform>,
}

#[derive(Deserialize)]
struct WirePlatform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

impl Document {
    /// Reads a manifest that came with `content_type` (already without parameters; `None` when there was none).
    pub(crate) fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Self, RegistryError> {
        if is_deeper_than(bytes, DEEPEST) {
            return Err(invalid(format!("the manifest is nested deeper than {DEEPEST} levels")));
        }
        let wire: Wire =
            serde_json::from_slice(bytes).map_err(|error| invalid(format!("the manifest can't be read: {error}")))?;
        let media_type = match (content_type, &wire.media_type) {
            (Some(given), Some(inside)) if given != inside => {
                return Err(invalid(format!(
                    "the Content-Type is {given:?}, the manifest's mediaType {inside:?}: they must be the same"
                )));
            }
            (Some(given), _) => given.to_owned(),
            (None, Some(inside)) => inside.clone(),
            (None, None) if wire.manifests.is_some() => OCI_INDEX.to_owned(),
            (None, None) => OCI_MANIFEST.to_owned(),
        };
        let Some(kind) = Kind::of(&media_type) else {
            return Err(invalid(if media_type.starts_with(DOCKER_SCHEMA_1) {
                "manifests of schema 1 are not taken; push with a client of 2017 or later".to_owned()
            } else {
                format!("{media_type:?} is no media type of a manifest or index")
            }));
        };
        // The artefact manifest had no such field.
        if kind != Kind::Artifact && wire.schema_version != Some(2) {
            return Err(invalid("schemaVersion must be 2".to_owned()));
        }
        // One digest may not be an image to one client and an index to another (CVE-2021-41190): a document that could be
        // read as either is refused, as the distribution project and containerd refuse it.
        let foreign = match kind {
            Kind::Image | Kind::Artifact if wire.manifests.is_some() => Some("manifests"),
            Kind::Index if wire.layers.is_some() => Some("layers"),
            Kind::Index if wire.config.is_some() => Some("config"),
            Kind::Image | Kind::Artifact | Kind::Index => None,
        };
        if let Some(field) = foreign {
            return Err(invalid(format!("{field:?} has no place in a manifest of the type {media_type}")));
        }
        let config = match (kind, wire.config) {
            (Kind::Image, None) => return Err(invalid("an image manifest needs a config".to_owned())),
            (Kind::Image, Some(config)) => Some(descriptor("config", config)?),
            (Kind::Index | Kind::Artifact, _) => None,
        };
        let artifact_type = wire
            .artifact_type
            .filter(|text| !text.is_empty())
            .or_else(|| config.as_ref().map(|config| config.media_type.clone()));
        let config_digest = config.as_ref().map(|config| config.digest.clone());
        let mut blobs = Vec::new();
        blobs.extend(config);
        match kind {
            Kind::Image => each("layers", wire.layers, &mut blobs)?,
            Kind::Artifact => each("blobs", wire.blobs, &mut blobs)?,
            Kind::Index => {}
        }
        let mut children = Vec::new();
        if kind == Kind::Index {
            each("manifests", wire.manifests, &mut children)?;
        }
        Ok(Self {
            media_type,
            blobs: once(blobs)?,
            children: once(children)?,
            subject: wire
                .subject
                .map(|subject| descriptor("subject", subject))
                .transpose()?
                .map(|subject| subject.digest),
            artifact_type,
            annotations: wire.annotations.unwrap_or_default(),
            config: config_digest,
        })
    }
}

/// Whether brackets outside strings nest deeper than `limit`. What is no JSON may be judged wrongly: it is refused anyway.
fn is_deeper_than(bytes: &[u8], limit: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    bytes.iter().any(|byte| {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > limit
    })
}

fn invalid(text: String) -> RegistryError {
    RegistryError::ManifestInvalid(text)
}

fn each(field: &str, list: Option<Vec<WireDescriptor>>, into: &mut Vec<Descriptor>) -> Result<(), RegistryError> {
    for (at, wire) in list.unwrap_or_default().into_iter().enumerate() {
        into.push(descriptor(&format!("{field}[{at}]"), wire)?);
    }
    Ok(())
}

fn descriptor(place: &str, wire: WireDescriptor) -> Result<Descriptor, RegistryError> {
    let digest = Digest::parse(&wire.digest).map_err(|error| invalid(format!("{place}: {error}")))?;
    if !is_media_type(&wire.media_type) {
        return Err(invalid(format!("{place}: {:?} is no media type", wire.media_type)));
    }
    // Go clients hold sizes as int64.
    if i64::try_from(wire.size).is_err() {
        return Err(invalid(format!("{place}: a size of {} bytes is too large", wire.size)));
    }
    let platform = wire.platform.map(|platform| Platform {
        os: platform.os,
        architecture: platform.architecture,
        variant: platform.variant.filter(|text| !text.is_empty()),
    });
    Ok(Descriptor { media_type: wire.media_type, digest, size: wire.size, platform })
}

/// `type/subtype` by RFC 6838, section 4.2.
fn is_media_type(text: &str) -> bool {
    let name = |part: &str| {
        part.len() <= 127
            && part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    text.split_once('/').is_some_and(|(kind, rest)| name(kind) && name(rest))
}

/// Keeps the first descriptor of each digest. The same digest with two sizes can't be true.
fn once(list: Vec<Descriptor>) -> Result<Vec<Descriptor>, RegistryError> {
    let mut sizes = BTreeMap::new();
    let mut kept = Vec::with_capacity(list.len());
    for descriptor in list {
        match sizes.insert(descriptor.digest.clone(), descriptor.size) {
            None => kept.push(descriptor),
            Some(size) if size == descriptor.size => {}
            Some(size) => {
                return Err(invalid(format!(
                    "{} is named with {size} and with {} bytes",
                    descriptor.digest, descriptor.size
                )));
            }
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing call fails the test")]
    use serde_json::json;

    use super::*;

    fn hex(digit: char) -> String {
        format!("sha256:{}", digit.to_string().repeat(64))
    }

    fn image() -> serde_json::Value {
        json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": hex('a'), "size": 2 },
            "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": hex('b'), "size": 3 }],
        })
    }

    fn parse(value: &serde_json::Value) -> Result<Document, RegistryError> {
        Document::parse(value.to_string().as_bytes(), Some(OCI_MANIFEST))
    }

    #[test]
    fn an_image() {
        let document = parse(&image()).unwrap();
        assert_eq!(document.blobs.iter().map(|blob| blob.size).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(document.artifact_type.as_deref(), Some("application/vnd.oci.image.config.v1+json"));
        assert_eq!(document.config.unwrap().to_string(), hex('a'));
    }

    #[test]
    fn missing_null_and_empty_layers_are_the_same() {
        for layers in [json!([]), json!(null)] {
            let mut value = image();
            value["layers"] = layers;
            assert_eq!(parse(&value).unwrap().blobs.len(), 1);
        }
        let mut value = image();
        value.as_object_mut().unwrap().remove("layers");
        assert_eq!(parse(&value).unwrap().blobs.len(), 1);
    }

    #[test]
    fn a_layer_named_twice_counts_once() {
        let mut value = image();
        value["layers"] = json!([value["layers"][0], value["layers"][0]]);
        assert_eq!(parse(&value).unwrap().blobs.len(), 2);
        value["layers"][1]["size"] = json!(4);
        assert!(matches!(parse(&value), Err(RegistryError::ManifestInvalid(_))));
    }

    #[test]
    fn what_is_refused() {
        let change = |pointer: &str, to: serde_json::Value| {
            let mut value = image();
            *value.pointer_mut(pointer).unwrap() = to;
            value
        };
        for value in [
            change("/schemaVersion", json!(1)),
            change("/mediaType", json!(OCI_INDEX)),
            change("/config", json!(null)),
            change("/config/size", json!(-1)),
            change("/config/size", json!(1.5)),
            change("/config/size", json!(u64::MAX)),
            change("/config/digest", json!("sha256:abc")),
            change("/config/digest", json!("md5:0123")),
            change("/config/mediaType", json!("")),
            change("/config/mediaType", json!("no media type")),
            change("/layers", json!({})),
            json!([]),
            json!(null),
        ] {
            assert!(matches!(parse(&value), Err(RegistryError::ManifestInvalid(_))), "{value}");
        }
        for bytes in [&b""[..], b"{", b"\xff", &[b'['; 100_000]] {
            assert!(matches!(Document::parse(bytes, Some(OCI_MANIFEST)), Err(RegistryError::ManifestInvalid(_))));
        }
        assert!(matches!(Document::parse(b"{}", Some("text/plain")), Err(RegistryError::ManifestInvalid(_))));
    }

    #[test]
    fn nesting_has_an_end_and_brackets_in_strings_are_text() {
        let nested = |levels: usize| {
            let mut value = image();
            value["x"] = json!("LISTS");
            let lists = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
            Document::parse(value.to_string().replace("\"LISTS\"", &lists).as_bytes(), Some(OCI_MANIFEST))
        };
        assert!(nested(DEEPEST - 1).is_ok());
        assert!(matches!(nested(DEEPEST), Err(RegistryError::ManifestInvalid(_))));
        let mut value = image();
        value["annotations"] = json!({ "a\"\\": "[".repeat(1000), "b": "{\"".repeat(1000) });
        assert!(parse(&value).is_ok());
    }

    #[test]
    fn what_could_be_an_image_or_an_index_is_refused() {
        let mut both = image();
        both["manifests"] = json!([]);
        assert!(matches!(parse(&both), Err(RegistryError::ManifestInvalid(_))));
        let index = |field: &str, value: serde_json::Value| {
            let mut index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [] });
            index[field] = value;
            Document::parse(index.to_string().as_bytes(), Some(OCI_INDEX))
        };
        for (field, value) in [("layers", json!([])), ("config", image()["config"].clone())] {
            assert!(matches!(index(field, value), Err(RegistryError::ManifestInvalid(_))), "{field}");
            // Some clients write what they have nothing for.
            assert!(index(field, json!(null)).is_ok(), "{field}");
        }
    }

    #[test]
    fn an_index_without_a_content_type() {
        let value = json!({ "schemaVersion": 2, "manifests": [] });
        assert_eq!(Document::parse(value.to_string().as_bytes(), None).unwrap().media_type, OCI_INDEX);
    }
}
