//! Where an instance keeps its images when that is ECR, and what its repositories there are like.

use super::{ConfigError, EngineKind, Given};

/// Images in ECR.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EcrConfig {
    /// What stands before the names of all repositories; empty for nothing.
    pub(crate) prefix: String,
    /// The registry's name for those who pull; `None` for what ECR says.
    pub(crate) host: Option<String>,
    /// Whether blobs go through the server.
    pub(crate) stream: bool,
    /// Whether tags of new repositories may not be moved.
    pub(crate) immutable_tags: bool,
    /// Whether ECR looks at each image that is pushed to a new repository.
    pub(crate) scan_on_push: bool,
    /// The KMS key of new repositories; `None` for ECR's own.
    pub(crate) kms_key: Option<String>,
}

impl EcrConfig {
    /// `None` for an instance that keeps its images in its data directory.
    pub(super) fn load(
        engine: EngineKind,
        find: &dyn Fn(&str, &[&str]) -> Option<Given>,
    ) -> Result<Option<Self>, ConfigError> {
        match find("registry_backing", &["LAYER0_REGISTRY_BACKING"]) {
            None => return Ok(None),
            Some(given) => match given.text.as_str() {
                "disk" => return Ok(None),
                "ecr" if !cfg!(feature = "aws") => {
                    return Err(given.wrong("is not built into this executable: build it with `--features aws`"));
                }
                // A Docker engine would have to be given the server's own credential, which opens the whole registry.
                "ecr" if engine == EngineKind::Docker => {
                    return Err(given.wrong("goes with the engine `ecs`: `docker` could not pull from there"));
                }
                "ecr" => {}
                _ => return Err(given.wrong("must be `disk` or `ecr`")),
            },
        }
        let on = |key: &str, variable: &str| match find(key, &[variable]) {
            Some(given) => given.boolean(),
            None => Ok(false),
        };
        Ok(Some(Self {
            prefix: find("ecr_prefix", &["LAYER0_ECR_PREFIX"]).map(|given| given.text).unwrap_or_default(),
            host: match find("ecr_host", &["LAYER0_ECR_HOST"]) {
                Some(given) => Some(super::registry_host(&given)?),
                None => None,
            },
            stream: on("registry_stream", "LAYER0_REGISTRY_STREAM")?,
            immutable_tags: on("ecr_immutable_tags", "LAYER0_ECR_IMMUTABLE_TAGS")?,
            scan_on_push: on("ecr_scan_on_push", "LAYER0_ECR_SCAN_ON_PUSH")?,
            kms_key: find("ecr_kms_key", &["LAYER0_ECR_KMS_KEY"]).map(|given| given.text),
        }))
    }
}
