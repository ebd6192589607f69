//! A registry in ECR that stands behind an instance, and what its repositories are like.

use std::collections::BTreeMap;

use super::file::RegistryTable;
use super::{ConfigError, Given, template};

/// A registry in ECR.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EcrConfig {
    /// The region; `None` for the server's own.
    pub(crate) region: Option<String>,
    /// The account, 12 digits, where that is said: another one is refused at the start.
    pub(crate) account: Option<String>,
    /// The role in whose name ECR is asked; `None` for the server's own.
    pub(crate) role: Option<RoleConfig>,
    /// What stands before the names of all repositories; empty for nothing.
    pub(crate) prefix: String,
    /// Whether ECR is asked at its hosts with validated cryptography.
    pub(crate) fips: bool,
    /// Whether ECR is asked at its hosts with IPv6.
    pub(crate) dual_stack: bool,
    /// The registry's name for those who pull; `None` for the host.
    pub(crate) host: Option<String>,
    /// Whether blobs go through the server.
    pub(crate) stream: bool,
    /// Whether tags of new repositories may not be moved.
    pub(crate) immutable_tags: bool,
    /// Whether ECR looks at each image that is pushed to a new repository.
    pub(crate) scan_on_push: bool,
    /// The KMS key of new repositories; `None` for ECR's own.
    pub(crate) kms_key: Option<String>,
    /// The lifecycle policy of new repositories, as JSON.
    pub(crate) lifecycle: Option<String>,
    /// Tags of new repositories.
    pub(crate) tags: BTreeMap<String, String>,
}

/// A role of another account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoleConfig {
    /// Its ARN.
    pub(crate) arn: String,
    /// What the account's owner wants to be told (`sts:ExternalId`).
    pub(crate) external_id: Option<String>,
}

type Find<'a> = &'a dyn Fn(&str, &[&str]) -> Option<Given>;

impl EcrConfig {
    /// The one of the flags, and of the keys that are called like them.
    pub(super) fn of_flags(find: Find<'_>) -> Result<Self, ConfigError> {
        let on = |key: &str, variable: &str| match find(key, &[variable]) {
            Some(given) => given.boolean(),
            None => Ok(false),
        };
        Ok(Self {
            prefix: find("ecr_prefix", &["LAYER0_ECR_PREFIX"]).map(|given| given.text).unwrap_or_default(),
            host: match find("ecr_host", &["LAYER0_ECR_HOST"]) {
                Some(given) => Some(super::registry_host(&given)?),
                None => None,
            },
            stream: on("registry_stream", "LAYER0_REGISTRY_STREAM")?,
            immutable_tags: on("ecr_immutable_tags", "LAYER0_ECR_IMMUTABLE_TAGS")?,
            scan_on_push: on("ecr_scan_on_push", "LAYER0_ECR_SCAN_ON_PUSH")?,
            kms_key: find("ecr_kms_key", &["LAYER0_ECR_KMS_KEY"]).map(|given| given.text),
            lifecycle: template::lifecycle(
                find("ecr_lifecycle_policy", &["LAYER0_ECR_LIFECYCLE_POLICY"]),
                find("ecr_keep_untagged_days", &["LAYER0_ECR_KEEP_UNTAGGED_DAYS"]),
            )?,
            tags: match find("ecr_tags", &["LAYER0_ECR_TAGS"]) {
                Some(given) => template::tags_of_text(&given)?,
                None => BTreeMap::new(),
            },
            ..Self::default()
        })
    }

    /// The one of a table of the file.
    pub(super) fn of_table(
        table: &RegistryTable,
        find: Find<'_>,
        given: &dyn Fn(&str, &str) -> Given,
    ) -> Result<Self, ConfigError> {
        let account = |text: &String| {
            let legal = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
            legal.then(|| text.clone()).ok_or_else(|| given("account", text).wrong("is no account: 12 digits"))
        };
        let role = match (&table.role_arn, &table.external_id) {
            (Some(arn), _) if !is_role(arn) => {
                return Err(given("role_arn", arn).wrong("is no role, such as `arn:aws:iam::123456789012:role/images`"));
            }
            (Some(arn), id) => Some(RoleConfig { arn: arn.clone(), external_id: id.clone() }),
            (None, Some(id)) => return Err(given("external_id", id).wrong("is told to a role: name it (`role_arn`)")),
            (None, None) => None,
        };
        Ok(Self {
            region: table.region.clone(),
            account: table.account.as_ref().map(account).transpose()?,
            role,
            prefix: table.prefix.clone().unwrap_or_default(),
            fips: table.fips.unwrap_or_default(),
            dual_stack: table.dual_stack.unwrap_or_default(),
            host: match &table.host {
                Some(host) => Some(super::registry_host(&given("host", host))?),
                None => None,
            },
            stream: match (table.stream, find("registry_stream", &["LAYER0_REGISTRY_STREAM"])) {
                (Some(stream), _) => stream,
                (None, Some(given)) => given.boolean()?,
                (None, None) => false,
            },
            immutable_tags: table.immutable_tags.unwrap_or_default(),
            scan_on_push: table.scan_on_push.unwrap_or_default(),
            kms_key: table.kms_key.clone(),
            lifecycle: template::lifecycle(
                table.lifecycle_policy.as_ref().map(|text| given("lifecycle_policy", text)),
                table.keep_untagged_days.map(|days| given("keep_untagged_days", &days.to_string())),
            )?,
            tags: template::checked(table.tags.clone().unwrap_or_default(), &given("tags", &table.name))?,
        })
    }
}

/// `arn:PARTITION:iam::ACCOUNT:role/NAME`.
fn is_role(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    matches!(parts[..], ["arn", _, "iam", "", account, role] if account.len() == 12 && role.starts_with("role/"))
}
