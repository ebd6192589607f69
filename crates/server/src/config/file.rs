//! The TOML file.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::ConfigError;

/// What the file may hold. An unknown key is refused: it is a slip of the finger, and silence would hide it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileConfig {
    data_dir: Option<String>,
    listen: Option<String>,
    instance: Option<String>,
    registry_name: Option<String>,
    registry_address: Option<String>,
    image_map: Option<Several>,
    create_on_push: Option<bool>,
    registry_challenge: Option<String>,
    trusted_proxy: Option<bool>,
    oidc_issuer: Option<String>,
    oidc_client_id: Option<String>,
    oidc_client_secret_file: Option<String>,
    oidc_scopes: Option<Several>,
    oidc_groups_claim: Option<String>,
    oidc_name_claim: Option<String>,
    oidc_groups: Option<Several>,
    oidc_hours: Option<u32>,
    engine: Option<String>,
    docker_host: Option<String>,
    public_address: Option<String>,
    aws_region: Option<String>,
    endpoint_url: Option<String>,
    table: Option<String>,
    aws_vpc: Option<String>,
    aws_private_subnets: Option<Several>,
    aws_public_subnets: Option<Several>,
    aws_execution_role: Option<String>,
    aws_machine_profile: Option<String>,
    aws_public_ip: Option<bool>,
    aws_rate: Option<f64>,
    registry_backing: Option<String>,
    s3_bucket: Option<String>,
    s3_prefix: Option<String>,
    s3_redirect: Option<bool>,
    registry_stream: Option<bool>,
    ecr_prefix: Option<String>,
    ecr_host: Option<String>,
    ecr_immutable_tags: Option<bool>,
    ecr_scan_on_push: Option<bool>,
    ecr_kms_key: Option<String>,
    ecr_lifecycle_policy: Option<String>,
    ecr_keep_untagged_days: Option<u32>,
    ecr_tags: Option<Tags>,
    account_grants: Option<String>,
    account_grants_to: Option<Several>,
    account_grants_every: Option<u64>,
    account_grants_strategy: Option<String>,
    stop_delay: Option<u64>,
    registry_gc_every: Option<u64>,
    registry_mirrors: Option<Several>,
    registry_gc_grace: Option<u64>,
    stop_grace: Option<u64>,
    log: Option<String>,
    log_format: Option<String>,
    /// Never to be given: what it holds is not read, and not shown by an error.
    admin_token: Option<IgnoredAny>,
    /// The registries that stand behind the instance.
    #[serde(default)]
    pub(super) registry: Vec<RegistryTable>,
    /// The prefixes that mirror other registries.
    #[serde(default)]
    pub(super) mirror: Vec<MirrorTable>,
}

/// A table `[[mirror]]`: a prefix that mirrors another registry. Its keys are on the page about pull-through.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MirrorTable {
    pub(super) prefix: String,
    pub(super) upstream: String,
    /// Whether it keeps images whose names have one part below `library/`, as Docker Hub does.
    pub(super) docker_hub: Option<bool>,
    pub(super) username: Option<String>,
    pub(super) password_file: Option<String>,
    pub(super) password_env: Option<String>,
    /// Never to be given: what it holds is not read, and not shown by an error.
    pub(super) password: Option<IgnoredAny>,
    /// The region by whose token of ECR it signs in, where the host does not say it.
    pub(super) ecr_region: Option<String>,
    /// How long a tag is believed.
    pub(super) tag_minutes: Option<u64>,
}

/// A table `[[registry]]`: a registry that stands behind the instance. Its keys are on the page about ECR.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RegistryTable {
    pub(super) name: String,
    /// `ecr`, or `disk` for the embedded one.
    pub(super) backing: Option<String>,
    /// Whether it gets what no rule sends elsewhere.
    pub(super) default: Option<bool>,
    /// Whose repositories go there.
    owners: Option<Vec<String>>,
    /// How the names of the repositories begin that go there.
    prefixes: Option<Vec<String>>,
    pub(super) region: Option<String>,
    pub(super) account: Option<String>,
    pub(super) role_arn: Option<String>,
    pub(super) external_id: Option<String>,
    pub(super) prefix: Option<String>,
    pub(super) host: Option<String>,
    pub(super) fips: Option<bool>,
    pub(super) dual_stack: Option<bool>,
    pub(super) stream: Option<bool>,
    pub(super) immutable_tags: Option<bool>,
    pub(super) scan_on_push: Option<bool>,
    pub(super) kms_key: Option<String>,
    pub(super) lifecycle_policy: Option<String>,
    pub(super) keep_untagged_days: Option<u32>,
    pub(super) tags: Option<BTreeMap<String, String>>,
}

impl RegistryTable {
    /// The first of those settings that only a registry in ECR has.
    pub(super) fn of_ecr_alone(&self) -> Option<&'static str> {
        let given = [
            ("region", self.region.is_some()),
            ("account", self.account.is_some()),
            ("role_arn", self.role_arn.is_some()),
            ("external_id", self.external_id.is_some()),
            ("prefix", self.prefix.is_some()),
            ("host", self.host.is_some()),
            ("fips", self.fips.is_some()),
            ("dual_stack", self.dual_stack.is_some()),
            ("stream", self.stream.is_some()),
            ("immutable_tags", self.immutable_tags.is_some()),
            ("scan_on_push", self.scan_on_push.is_some()),
            ("kms_key", self.kms_key.is_some()),
            ("lifecycle_policy", self.lifecycle_policy.is_some()),
            ("keep_untagged_days", self.keep_untagged_days.is_some()),
            ("tags", self.tags.is_some()),
        ];
        given.into_iter().find(|(_, is_given)| *is_given).map(|(key, _)| key)
    }

    /// How the names of the repositories begin that go there, each with the key that says so.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let owners = self.owners.iter().flatten().map(|text| ("owners", text.as_str()));
        owners.chain(self.prefixes.iter().flatten().map(|text| ("prefixes", text.as_str())))
    }
}

/// Several values: one text with commas, or a list.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Several {
    One(String),
    Many(Vec<String>),
}

impl Several {
    fn text(&self) -> String {
        match self {
            Several::One(text) => text.clone(),
            Several::Many(all) => all.join(","),
        }
    }
}

impl Several {
    /// Each of a list in a line of its own, for what may have commas in it; one text as it is.
    fn lines(&self) -> String {
        match self {
            Several::One(text) => text.clone(),
            Several::Many(all) => all.iter().map(|one| format!("{one}\n")).collect(),
        }
    }
}

/// Tags: one text with commas, or a table.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Tags {
    One(String),
    Each(BTreeMap<String, String>),
}

impl Tags {
    fn text(&self) -> String {
        match self {
            Tags::One(text) => text.clone(),
            Tags::Each(tags) => tags.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(","),
        }
    }
}

impl FileConfig {
    /// The value of a key as text.
    pub(super) fn get(&self, key: &str) -> Option<String> {
        match key {
            "data_dir" => self.data_dir.clone(),
            "listen" => self.listen.clone(),
            "instance" => self.instance.clone(),
            "registry_name" => self.registry_name.clone(),
            "registry_address" => self.registry_address.clone(),
            "image_map" => self.image_map.as_ref().map(Several::text),
            "create_on_push" => self.create_on_push.map(|on| on.to_string()),
            "registry_challenge" => self.registry_challenge.clone(),
            "trusted_proxy" => self.trusted_proxy.map(|on| on.to_string()),
            "oidc_issuer" => self.oidc_issuer.clone(),
            "oidc_client_id" => self.oidc_client_id.clone(),
            "oidc_client_secret_file" => self.oidc_client_secret_file.clone(),
            "oidc_scopes" => self.oidc_scopes.as_ref().map(Several::text),
            "oidc_groups_claim" => self.oidc_groups_claim.clone(),
            "oidc_name_claim" => self.oidc_name_claim.clone(),
            "oidc_groups" => self.oidc_groups.as_ref().map(Several::lines),
            "oidc_hours" => self.oidc_hours.map(|hours| hours.to_string()),
            "engine" => self.engine.clone(),
            "docker_host" => self.docker_host.clone(),
            "public_address" => self.public_address.clone(),
            "aws_region" => self.aws_region.clone(),
            "endpoint_url" => self.endpoint_url.clone(),
            "table" => self.table.clone(),
            "aws_vpc" => self.aws_vpc.clone(),
            "aws_private_subnets" => self.aws_private_subnets.as_ref().map(Several::text),
            "aws_public_subnets" => self.aws_public_subnets.as_ref().map(Several::text),
            "aws_execution_role" => self.aws_execution_role.clone(),
            "aws_machine_profile" => self.aws_machine_profile.clone(),
            "aws_public_ip" => self.aws_public_ip.map(|on| on.to_string()),
            "aws_rate" => self.aws_rate.map(|times| times.to_string()),
            "registry_backing" => self.registry_backing.clone(),
            "s3_bucket" => self.s3_bucket.clone(),
            "s3_prefix" => self.s3_prefix.clone(),
            "s3_redirect" => self.s3_redirect.map(|on| on.to_string()),
            "registry_stream" => self.registry_stream.map(|on| on.to_string()),
            "ecr_prefix" => self.ecr_prefix.clone(),
            "ecr_host" => self.ecr_host.clone(),
            "ecr_immutable_tags" => self.ecr_immutable_tags.map(|on| on.to_string()),
            "ecr_scan_on_push" => self.ecr_scan_on_push.map(|on| on.to_string()),
            "ecr_kms_key" => self.ecr_kms_key.clone(),
            "ecr_lifecycle_policy" => self.ecr_lifecycle_policy.clone(),
            "ecr_keep_untagged_days" => self.ecr_keep_untagged_days.map(|days| days.to_string()),
            "ecr_tags" => self.ecr_tags.as_ref().map(Tags::text),
            "account_grants" => self.account_grants.clone(),
            "account_grants_to" => self.account_grants_to.as_ref().map(Several::text),
            "account_grants_every" => self.account_grants_every.map(|minutes| minutes.to_string()),
            "account_grants_strategy" => self.account_grants_strategy.clone(),
            "stop_delay" => self.stop_delay.map(|seconds| seconds.to_string()),
            "registry_mirrors" => self.registry_mirrors.as_ref().map(Several::text),
            "registry_gc_every" => self.registry_gc_every.map(|hours| hours.to_string()),
            "registry_gc_grace" => self.registry_gc_grace.map(|hours| hours.to_string()),
            "stop_grace" => self.stop_grace.map(|seconds| seconds.to_string()),
            "log" => self.log.clone(),
            "log_format" => self.log_format.clone(),
            _ => None,
        }
    }
}

/// Reads the file.
///
/// # Errors
/// [`ConfigError::File`] with the file's name, and the line and key that is wrong.
pub(super) fn read(path: &Path) -> Result<FileConfig, ConfigError> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|why| ConfigError::File { file: file.clone(), message: format!("can't be read: {why}") })?;
    let wrong = |message: String| ConfigError::File { file, message };
    match toml::from_str::<FileConfig>(&text) {
        Ok(read) if read.admin_token.is_some() => Err(wrong(
            "admin_token: a secret does not stand in a file; say it in the environment, as LAYER0_ADMIN_TOKEN"
                .to_owned(),
        )),
        Ok(read) => Ok(read),
        Err(why) => Err(wrong(why.to_string().trim_end().to_owned())),
    }
}
