//! The servers' image, made of this very program: one layer with the executable, the certificates that it trusts and a place for
//! its data. Nothing else is in it, and no Docker makes it.

mod elf;
mod tar;
mod version;

use layer0_domain::model::digest::Digest;
use serde_json::json;

use self::tar::Entry;
pub use self::version::{MARK, version_of};

/// Who the server runs as: nobody with rights of its own.
const USER: u32 = 10001;

/// What machines of Fargate there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// Intel's and AMD's.
    Amd64,
    /// ARM's.
    Arm64,
}

impl Architecture {
    /// As images name it.
    #[must_use]
    pub fn in_images(self) -> &'static str {
        match self {
            Architecture::Amd64 => "amd64",
            Architecture::Arm64 => "arm64",
        }
    }

    /// Reads what [`Architecture::in_images`] wrote.
    #[must_use]
    pub fn of_images(text: &str) -> Option<Self> {
        [Architecture::Amd64, Architecture::Arm64].into_iter().find(|one| one.in_images() == text)
    }

    /// As task definitions name it (`RuntimePlatform`).
    #[must_use]
    pub fn in_definitions(self) -> &'static str {
        match self {
            Architecture::Amd64 => "X86_64",
            Architecture::Arm64 => "ARM64",
        }
    }
}

/// An image, ready to be pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// What it runs on.
    pub architecture: Architecture,
    /// Its one layer, an archive that is not compressed: the executable hardly would be, and no pull waits for that.
    pub layer: Vec<u8>,
    /// Its configuration, JSON.
    pub config: Vec<u8>,
    /// Its manifest, JSON, as it must be pushed byte for byte.
    pub manifest: Vec<u8>,
}

/// The type of the manifest (OCI image specification, "Media Types").
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// Why there is no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// The program is none for Linux on a machine that Fargate has.
    #[error("this program is no executable for Linux on amd64 or arm64: Fargate can't run it")]
    Foreign,
    /// It needs libraries, and the image has none.
    #[error(
        "this program needs the libraries of the machine that it was built for; the servers' image is made of one that stands alone"
    )]
    NeedsLibraries,
}

/// The image of an executable, with the certificates of authorities that it trusts, in PEM. The same bytes give the same image.
///
/// # Errors
/// [`ImageError`].
pub fn image(executable: &[u8], certificates: &[u8]) -> Result<Image, ImageError> {
    let seen = elf::read(executable).ok_or(ImageError::Foreign)?;
    if !seen.is_static {
        return Err(ImageError::NeedsLibraries);
    }
    Ok(of(seen.architecture, executable, certificates))
}

fn of(architecture: Architecture, executable: &[u8], certificates: &[u8]) -> Image {
    let directory = |path, mode, owner| Entry { path, mode, owner, content: None };
    let layer = tar::archive(&[
        directory("data/", 0o700, USER),
        directory("etc/", 0o755, 0),
        directory("etc/ssl/", 0o755, 0),
        directory("etc/ssl/certs/", 0o755, 0),
        Entry { path: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, owner: 0, content: Some(certificates) },
        directory("tmp/", 0o1777, 0),
        Entry { path: "l0", mode: 0o755, owner: 0, content: Some(executable) },
    ]);
    let layer_digest = Digest::sha256_of(&layer);
    let config = json!({
        "architecture": architecture.in_images(),
        "os": "linux",
        "config": {
            "User": format!("{USER}:{USER}"),
            "Env": ["LAYER0_DATA_DIR=/data"],
            "Entrypoint": ["/l0"],
            "Cmd": ["server"],
            "WorkingDir": "/data",
        },
        "rootfs": { "type": "layers", "diff_ids": [layer_digest.to_string()] },
    });
    let config = config.to_string().into_bytes();
    let described = |kind: &str, bytes: &[u8]| json!({ "mediaType": kind, "digest": Digest::sha256_of(bytes).to_string(), "size": bytes.len() });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described(CONFIG, &config),
        "layers": [described(LAYER, &layer)],
    });
    Image { architecture, manifest: manifest.to_string().into_bytes(), layer, config }
}

impl Image {
    /// What it is pinned by.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::sha256_of(&self.manifest)
    }

    /// Its blobs, in the order in which they are pushed.
    #[must_use]
    pub fn blobs(&self) -> [&[u8]; 2] {
        [&self.layer, &self.config]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_manifest_names_what_is_in_the_image_and_the_same_bytes_give_the_same_image() {
        let image = of(Architecture::Arm64, b"executable", b"certificates");
        assert_eq!(image, of(Architecture::Arm64, b"executable", b"certificates"));
        assert_ne!(image.digest(), of(Architecture::Arm64, b"executable", b"others").digest());
        let manifest: Value = serde_json::from_slice(&image.manifest).expect("JSON");
        for (described, blob) in [(&manifest["layers"][0], &image.layer), (&manifest["config"], &image.config)] {
            assert_eq!(described["digest"], Digest::sha256_of(blob).to_string());
            assert_eq!(described["size"], blob.len());
        }
        let config: Value = serde_json::from_slice(&image.config).expect("JSON");
        assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"], "it is not compressed");
        assert_eq!(config["architecture"], "arm64");
    }

    #[test]
    fn what_can_t_run_by_itself_makes_no_image() {
        assert_eq!(image(b"#!/bin/sh\n", b""), Err(ImageError::Foreign));
        let own = std::fs::read(std::env::current_exe().expect("a path")).expect("it can be read");
        let made = image(&own, b"");
        assert_eq!(made.is_ok(), cfg!(target_feature = "crt-static"), "{:?}", made.err());
    }
}
