//! The registries behind the instance: the embedded one, and those in ECR.

use std::sync::Arc;

#[cfg(feature = "aws")]
use async_trait::async_trait;
use layer0_domain::model::backing::{BackingPlace, Places};
#[cfg(feature = "aws")]
use layer0_domain::model::grant::{GrantPlace, GrantStrategy};
#[cfg(feature = "aws")]
use layer0_domain::model::id::id_text;
#[cfg(feature = "aws")]
use layer0_domain::model::image::RepositoryName;
#[cfg(feature = "aws")]
use layer0_domain::model::image_map::EcrHostForm;
use layer0_domain::model::image_map::{EcrHost, ImageMap, MapRule};
#[cfg(feature = "aws")]
use layer0_domain::model::owner::TagRule;
use layer0_domain::model::placement::BackingName;
use layer0_domain::ops::RegistryAddresses;
use layer0_domain::plan::grants::RegistryNames;
#[cfg(feature = "aws")]
use layer0_domain::port::BoxError;
use layer0_domain::port::access_store::AccessStore;
use layer0_domain::port::blob_bytes::BlobBytes;
use layer0_domain::port::clock::Clock;
use layer0_domain::port::store::Store;
#[cfg(feature = "aws")]
use layer0_engine::ecs::{Connection, Role};
use layer0_engine::fake::FakePolicies;
#[cfg(feature = "aws")]
use layer0_registry::ecr::{Blobs, EachPolicies, Ecr, EcrClient, EcrPolicies, EcrSettings, Quotas, TagRules, Template};
#[cfg(feature = "aws")]
use layer0_registry::s3::{Claim, S3Bytes};
use layer0_registry::{Registry, RegistryConfig, RegistryPorts, Whereabouts};

use super::{Aws, Stores, WiringError, cant};
#[cfg(feature = "aws")]
use super::{IMAGE_INDEX, first8};
#[cfg(feature = "aws")]
use crate::clock::SystemClock;
#[cfg(feature = "aws")]
use crate::config::EcrConfig;
use crate::config::{Config, EngineKind, GrantsKept};
use crate::grants::{Keeper, PolicyPlace, PolicyRates};
#[cfg(feature = "aws")]
use crate::grants::{MadeWithPolicy, with_registry_policy};

/// Where images can lie but in the data directory.
#[cfg(feature = "aws")]
pub(super) type Backings = layer0_registry::ecr::Backings;

/// Nowhere, in this executable.
#[cfg(not(feature = "aws"))]
pub(super) type Backings = std::convert::Infallible;

/// The places of repositories that do not lie with the instance.
pub(super) fn places_of(backings: Option<&Backings>) -> Result<Places, WiringError> {
    #[cfg(feature = "aws")]
    return backings
        .map_or_else(|| Ok(Places::default()), |all| all.places().map_err(cant("the registries can't be told apart")));
    #[cfg(not(feature = "aws"))]
    Ok(backings.map_or_else(Places::default, |never| match *never {}))
}

/// The owners' rules of immutable tags and their quotas, where users and owners are kept.
#[cfg(feature = "aws")]
struct OwnersRules(Arc<dyn AccessStore>);

#[cfg(feature = "aws")]
#[async_trait]
impl TagRules for OwnersRules {
    async fn of_owner(&self, repository: &RepositoryName) -> Result<Vec<TagRule>, BoxError> {
        let found = self.0.owner_get(&repository.owner_name()).await?;
        Ok(found.map(|it| it.owner.tag_rules).unwrap_or_default())
    }
}

#[cfg(feature = "aws")]
#[async_trait]
impl Quotas for OwnersRules {
    async fn of_owner(&self, repository: &RepositoryName) -> Result<Option<u64>, BoxError> {
        let found = self.0.owner_get(&repository.owner_name()).await?;
        Ok(found.and_then(|it| it.owner.quota_bytes))
    }
}

/// What the registry has behind it.
pub(super) struct Behind {
    pub(super) backings: Option<Backings>,
    /// Where its bytes lie; `None` for the data directory.
    pub(super) bytes: Option<Arc<dyn BlobBytes>>,
}

/// Opens the registry, on the data directory or a bucket and with what it has behind it.
pub(super) fn registry_open(
    config: RegistryConfig,
    ports: RegistryPorts,
    behind: Behind,
    instance_id: &str,
    access: &Arc<dyn AccessStore>,
    keeper: Option<&Arc<Keeper>>,
) -> Result<Registry, WiringError> {
    let registry = match behind.bytes {
        Some(bytes) => Registry::open_with(config, ports, bytes),
        None => Registry::open(config, ports).map_err(cant("the registry's directory can't be used"))?,
    };
    #[cfg(feature = "aws")]
    if let Some(backings) = behind.backings {
        let owners = Arc::new(OwnersRules(access.clone()));
        let backings = backings.each(|ecr| {
            let ecr = ecr.of_instance(instance_id).ruled_by(owners.clone()).bounded_by(owners.clone());
            match keeper {
                Some(keeper) => ecr.furnished_by(Arc::new(MadeWithPolicy(keeper.clone()))),
                None => ecr,
            }
        });
        return Ok(registry.with_backings(backings));
    }
    #[cfg(not(feature = "aws"))]
    let _ = (behind.backings, instance_id, access, keeper);
    Ok(registry)
}

#[cfg(feature = "aws")]
impl Aws {
    /// The way to a registry in ECR.
    async fn to_registry(&self, config: &Config, ecr: &EcrConfig) -> Result<Connection, WiringError> {
        let role = ecr.role.as_ref().map(|it| Role { arn: it.arn.clone(), external_id: it.external_id.clone() });
        let session = format!("layer0-{}", config.instance);
        let mut there = self.connection()?.elsewhere(ecr.region.as_deref(), role.as_ref(), &session).await;
        // What the environment says stays where nothing else is said.
        if ecr.fips || ecr.dual_stack {
            there.sdk = there.sdk.to_builder().use_fips(ecr.fips).use_dual_stack(ecr.dual_stack).build();
        }
        Ok(there)
    }

    /// The bucket that images lie in; `None` for the data directory. It is taken for the store that has the links.
    pub(super) async fn bytes(
        &self,
        config: &Config,
        links: &dyn Store,
    ) -> Result<Option<Arc<dyn BlobBytes>>, WiringError> {
        let Some(s3) = &config.registries.s3 else { return Ok(None) };
        let connection = self.connection()?;
        let client = layer0_registry::s3::client(&connection.sdk, connection.has_s3_stand_in());
        let bytes = S3Bytes::new(client, &s3.bucket, &s3.prefix, tokio::runtime::Handle::current());
        // Several servers share a table; a data directory is one server's.
        let bytes = if config.aws.table.is_some() { bytes } else { bytes.alone() };
        let name = id_text("images", u64::from_le_bytes(first8(&SystemClock.random())));
        let name = links.setting_get_or_put(IMAGE_INDEX, name.as_bytes()).await;
        let name = String::from_utf8(name.map_err(cant("the store can't be read"))?);
        let name = name.map_err(cant("the store can't be read"))?;
        let asked = bytes.clone();
        let claimed = tokio::task::spawn_blocking(move || asked.check().and_then(|()| asked.claim(&name))).await;
        let claimed = claimed.map_err(cant("the server is stopping"))?;
        match claimed.map_err(cant("the bucket can't be used"))? {
            Claim::Ours => Ok(Some(Arc::new(bytes))),
            Claim::Others => Err(cant("the bucket can't be used")(
                "another instance keeps its images there: take another bucket, or another prefix (--s3-prefix)",
            )),
        }
    }

    /// The registries in ECR; `None` where there are none.
    pub(super) async fn backings(
        &self,
        config: &Config,
        stores: &Stores,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<Backings>, WiringError> {
        let mut all = Vec::new();
        for (name, ecr) in &config.registries.ecr {
            let connection = self.to_registry(config, ecr).await?;
            let settings = EcrSettings {
                account: ecr.account.clone(),
                prefix: ecr.prefix.clone(),
                form: match (ecr.dual_stack, ecr.fips) {
                    (false, false) => EcrHostForm::Plain,
                    (false, true) => EcrHostForm::Fips,
                    (true, false) => EcrHostForm::DualStack,
                    (true, true) => EcrHostForm::DualStackFips,
                },
                host: ecr.host.clone(),
                endpoint: connection.registry_stand_in(),
                blobs: if ecr.stream { Blobs::Streamed } else { Blobs::Redirected },
                template: Template {
                    tags_immutable: ecr.immutable_tags,
                    scan_on_push: ecr.scan_on_push,
                    kms_key: ecr.kms_key.clone(),
                    lifecycle: ecr.lifecycle.clone(),
                    tags: ecr.tags.clone(),
                },
            };
            let connected = Ecr::connect(&connection.sdk, settings, clock.clone()).await;
            let connected = connected.map_err(|source| NotThere { name: name.clone(), source: source.into() });
            let connected = connected.map_err(cant("a registry in ECR can't be used"))?;
            all.push((name.clone(), connected.open_to_all_of(stores.public.clone())));
        }
        Ok((!all.is_empty()).then(|| Backings::new(all, stores.whereabouts.clone())))
    }

    /// The policies of the registries in ECR; of the account's own where the instance has none.
    async fn policies(
        &self,
        config: &Config,
        store: &dyn Store,
        whereabouts: &Arc<Whereabouts>,
    ) -> Result<PolicyPlace, WiringError> {
        let unkept = "the policies in ECR can't be kept";
        let names = async |there: &Connection, prefix: &str| -> Result<RegistryNames, BoxError> {
            let host = EcrHost { account: there.account().await?, region: there.region.clone() };
            Ok(RegistryNames::new(host, prefix)?)
        };
        let rates = PolicyRates::default().times(config.aws.rate.unwrap_or(1.0));
        let (mut all, mut named) = (Vec::new(), Vec::new());
        for (name, ecr) in &config.registries.ecr {
            let there = self.to_registry(config, ecr).await?;
            let policies = EcrPolicies::new(EcrClient::new(&there.sdk), &ecr.prefix);
            all.push((name.clone(), policies.map_err(cant(unkept))?));
            let of_this = names(&there, &ecr.prefix).await;
            let of_this = of_this.map_err(|source| cant(unkept)(NotThere { name: name.clone(), source }))?;
            named.push((name.clone(), of_this));
        }
        if named.is_empty() {
            let connection = self.connection()?;
            let own = EcrPolicies::new(EcrClient::new(&connection.sdk), "").map_err(cant(unkept))?;
            return Ok(PolicyPlace::new(Arc::new(own), names(connection, "").await.map_err(cant(unkept))?, rates));
        }
        let in_registry = config.grants.strategy.is_some_and(|strategy| strategy.place() == GrantPlace::Registry);
        if all.len() > 1 && in_registry {
            return Err(cant("account grants can't be kept in a registry's policy")(
                "it speaks for one registry, and this instance has several: take `repositories`",
            ));
        }
        let at = with_registry_policy(store, &named).await.map_err(cant(unkept))?;
        let (registry, names) = named.swap_remove(at);
        let only = (all.len() > 1).then_some(GrantStrategy::Repositories);
        let policies = EachPolicies::new(all, whereabouts.clone()).registry_policy_of(registry);
        // What stands in a registry's policy says nothing of the other registries: that is changed, whether it was asked for or not.
        Ok(PolicyPlace { only, ..PolicyPlace::new(Arc::new(policies), names, rates) })
    }
}

/// Which registry can't be used.
#[cfg(feature = "aws")]
#[derive(Debug, thiserror::Error)]
#[error("registry `{name}`")]
struct NotThere {
    name: BackingName,
    #[source]
    source: BoxError,
}

#[cfg(not(feature = "aws"))]
impl Aws {
    pub(super) async fn bytes(
        &self,
        config: &Config,
        _links: &dyn Store,
    ) -> Result<Option<Arc<dyn BlobBytes>>, WiringError> {
        match &config.registries.s3 {
            None => Ok(None),
            Some(_) => Err(cant("S3 is not built into this executable")("build it with `--features aws`")),
        }
    }

    pub(super) async fn backings(
        &self,
        config: &Config,
        _stores: &Stores,
        _clock: &Arc<dyn Clock>,
    ) -> Result<Option<Backings>, WiringError> {
        match config.registries.ecr.is_empty() {
            true => Ok(None),
            false => Err(cant("ECR is not built into this executable")("build it with `--features aws`")),
        }
    }

    async fn policies(
        &self,
        _config: &Config,
        _store: &dyn Store,
        _whereabouts: &Arc<Whereabouts>,
    ) -> Result<PolicyPlace, WiringError> {
        Err(cant("ECR is not built into this executable")("build it with `--features aws`"))
    }
}

/// The registry that the fake's policies are of.
pub(crate) fn demo_names() -> RegistryNames {
    let host = EcrHost { account: "123456789012".to_owned(), region: "us-east-1".to_owned() };
    RegistryNames::new(host, "").expect("no prefix is one")
}

/// The policies that account grants are written into; `None` where the configuration asks for no grants.
pub(super) async fn policies(
    config: &Config,
    aws: &Aws,
    store: &dyn Store,
    whereabouts: &Arc<Whereabouts>,
) -> Result<Option<PolicyPlace>, WiringError> {
    match (config.grants.kept, config.engine) {
        (GrantsKept::Off, _) => Ok(None),
        (GrantsKept::On | GrantsKept::ReportOnly, EngineKind::Fake) if config.registries.ecr.is_empty() => {
            let rates = PolicyRates::default().times(config.aws.rate.unwrap_or(1.0));
            Ok(Some(PolicyPlace::new(Arc::new(FakePolicies::demo()), demo_names(), rates)))
        }
        (
            GrantsKept::On | GrantsKept::ReportOnly,
            EngineKind::Docker | EngineKind::Ecs | EngineKind::Fake | EngineKind::None,
        ) => aws.policies(config, store, whereabouts).await.map(Some),
    }
}

/// The rules from the registry's names to where its images lie, and those of the configuration.
pub(super) fn fixed_rules(config: &Config, addresses: &RegistryAddresses) -> Result<Vec<MapRule>, WiringError> {
    let placement = &config.registries.placement;
    let target_of = |backing: &BackingName| {
        addresses.places.get(backing).map_or_else(|| addresses.current.clone(), BackingPlace::target)
    };
    let all_elsewhere = std::iter::once(placement.default_backing())
        .chain(placement.rules().iter().map(|rule| &rule.backing))
        .all(|backing| addresses.places.get(backing).is_some());
    // Where images lie elsewhere, the address that they are pushed to is a friendly name as well. Where some lie here, it is the
    // address of those, and the others are found by who knows what lies where.
    let pushed_to = Some(&addresses.current).filter(|it| all_elsewhere && **it != config.registry_name);
    let asked = config.image_map.iter().map(|rule| rule.in_backing(&addresses.places)).collect::<Result<Vec<_>, _>>();
    let asked = asked.map_err(cant("the image map does not hold together"))?;
    let is_said = |prefix: &str| asked.iter().any(|rule| rule.prefix() == prefix);
    let mut rules = Vec::new();
    for name in std::iter::once(&config.registry_name).chain(pushed_to) {
        // Whoever says where the name leads has said it: on AWS to ECR, since nothing there can reach this registry.
        if is_said(name) {
            continue;
        }
        // What of a name leads to itself is exempt from what the rest leads to.
        let specific = placement
            .rules()
            .iter()
            .map(|rule| (format!("{name}/{}", rule.prefix), format!("{}/{}", target_of(&rule.backing), rule.prefix)));
        let rest = Some((name.clone(), target_of(placement.default_backing())));
        let all = specific.chain(rest.filter(|(prefix, target)| prefix != target));
        for (prefix, target) in all.filter(|(prefix, _)| !is_said(prefix)) {
            let own = MapRule::parse(&format!("{prefix}|{target}"));
            rules.push(own.map_err(cant("the registry's name can't be mapped to its address"))?);
        }
    }
    rules.extend(asked);
    ImageMap::new(rules.clone()).map_err(cant("the image map does not hold together"))?;
    Ok(rules)
}

#[cfg(test)]
mod tests;
