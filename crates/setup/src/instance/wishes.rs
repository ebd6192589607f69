//! `instance.toml`: what is wished, as it is written. No secret has a place in it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wishes {
    /// The instance's name: part of all names in the account.
    pub name: String,
    /// The region.
    pub region: String,
    /// The account, so that credentials of another one change nothing there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The network.
    #[serde(default)]
    pub network: NetworkWish,
    /// How the API and the registry are reached.
    #[serde(default)]
    pub access: AccessWish,
    /// The registry.
    #[serde(default)]
    pub registry: RegistryWish,
    /// The servers.
    #[serde(default)]
    pub server: ServerWish,
}

/// The network: a new VPC, or the subnets of one that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkWish {
    /// How what runs in private subnets reaches AWS.
    pub way_out: WayOut,
    /// The addresses of a new VPC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cidr: Option<String>,
    /// In how many zones a new VPC has subnets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zones: Option<u8>,
    /// The VPC that is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc: Option<String>,
    /// Its subnets for tasks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub private_subnets: Vec<String>,
    /// Its subnets for what is reached from outside.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub public_subnets: Vec<String>,
}

/// How what runs in private subnets reaches AWS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WayOut {
    /// Through endpoints of AWS in the VPC: pulls and logs work, the internet is not reached.
    #[default]
    Endpoints,
    /// Through a NAT gateway: everything is reached.
    Nat,
    /// Tasks have public addresses and no private subnets; the cheapest.
    Public,
}

/// How the API and the registry are reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccessWish {
    /// The domain name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The ARN of the certificate for it; one is made where a zone is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// The id of the hosted zone that the name is written into.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// From which blocks of addresses it is reached; with a domain from everywhere when nothing is said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
}

/// The registry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegistryWish {
    /// Where the bytes lie.
    pub backing: Backing,
    /// The registry's name, where it is not the domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Rules of the image map, `prefix|target`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub image_map: Vec<String>,
    /// Who else may pull: accounts, `org:…`, `ou:…`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<String>,
}

/// Where the registry's bytes lie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backing {
    /// In ECR, which Fargate pulls from.
    #[default]
    Ecr,
    /// In a bucket, which nothing on ECS pulls from.
    S3,
}

/// The servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerWish {
    /// How many.
    pub copies: u8,
    /// Fargate's CPU units of each.
    pub cpu: u32,
    /// Fargate's memory of each.
    pub memory_mib: u32,
    /// For how many days the servers' own log is kept.
    pub log_days: u16,
    /// Further settings of the servers, none of them a secret.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
}

impl Default for ServerWish {
    fn default() -> Self {
        Self { copies: 2, cpu: 512, memory_mib: 1024, log_days: 90, environment: BTreeMap::new() }
    }
}

/// A file that can't be read as wishes.
#[derive(Debug, thiserror::Error)]
#[error("instance.toml can't be read: {0}")]
pub struct WishesError(#[from] toml::de::Error);

impl Wishes {
    /// Reads the file's text.
    ///
    /// # Errors
    /// It is no TOML, or has a key that is not known, or lacks one.
    pub fn read(text: &str) -> Result<Self, WishesError> {
        Ok(toml::from_str(text)?)
    }

    /// The file's text: the same wishes give the same.
    ///
    /// # Panics
    /// Never: all that it holds are texts, numbers and lists of texts.
    #[must_use]
    pub fn text(&self) -> String {
        toml::to_string(self).expect("texts, numbers and lists of texts are TOML")
    }
}
