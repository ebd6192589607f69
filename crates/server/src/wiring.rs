//! Where the parts are put together. The only place that knows an engine or a store by its name.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use layer0_domain::model::backing::Places;
use layer0_domain::ops::RegistryAddresses;
use layer0_domain::plan::grants::Signature;
use layer0_domain::port::access_store::AccessStore;
use layer0_domain::port::blob_bytes::BlobBytes;
use layer0_domain::port::clock::Clock;
use layer0_domain::port::engine::Engine;
use layer0_domain::port::home_store::HomeStore;
use layer0_domain::port::public_store::PublicStore;
use layer0_domain::port::registry_store::RegistryStore;
use layer0_domain::port::store::{Store, StoreError};
use layer0_engine::docker::proxy::Forwarded;
use layer0_engine::docker::{DockerConfig, DockerEngine};
use layer0_engine::fake::{FakeEngine, Pace};
use layer0_registry::disk::OsDisk;
use layer0_registry::{
    Challenge, FileBytes, Homes, MirrorSettings, Registry, RegistryConfig, RegistryPorts, Whereabouts, Writers,
};
use layer0_store::SqliteStore;

use crate::app::{App, Identity, Network, Parts, Serves};
use crate::auth::{Announcing, Changes, Keys, Passwords, RegistryGate, Remembered, SignIn, SignedPulls, Throttle};
use crate::backups::{Backups, ImagesLie};
use crate::bounded::Bounded;
use crate::clock::SystemClock;
use crate::config::{ChallengeKind, Config, EngineKind, GrantsKept};
use crate::data_dir::DataDir;
use crate::descriptors;
use crate::exchange::Exchange;
use crate::grants::{Grants, Keeper, Mending, PolicyPlace};
use crate::migrations::{MigrationTimes, Migrations};
use crate::no_engine::NoEngine;
use crate::outgrown::{Look, Outgrown};
use crate::reconcile::{LeaseTimes, Leases, Nudge};
use crate::routes;
use crate::stop::Stop;
use crate::store_health::StoreHealth;
use crate::sweeping::Sweeping;
use crate::verification::Verification;

#[cfg(feature = "aws")]
mod aws;
#[cfg(not(feature = "aws"))]
#[path = "wiring/no_aws.rs"]
mod aws;
mod first_token;
mod mirrors;
mod registries;

use aws::Aws;
pub(crate) use first_token::{another_token, first_token, first_token_given, first_token_shown};
#[cfg(feature = "testing")]
pub(crate) use registries::demo_names;
use registries::{Backings, Behind, fixed_rules, places_of, policies, registry_open};

/// Why an instance can't be put together.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(crate) struct WiringError {
    what: &'static str,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

fn cant<E: Into<Box<dyn std::error::Error + Send + Sync>>>(what: &'static str) -> impl FnOnce(E) -> WiringError {
    move |source| WiringError { what, source: source.into() }
}

/// The setting that holds the signing key.
const SIGNING_KEY: &str = "signing_key";

/// The setting that holds the instance's id, with which the engine labels everything.
const INSTANCE_ID: &str = "instance_id";

/// The setting, in the store that holds the links of images in a bucket, by which that store is told from all others. Whoever has it
/// owns the bucket, so no copy of the store has it: also not one that an executable without S3 makes.
pub(crate) const IMAGE_INDEX: &str = "image_index";

/// Makes the engine of an instance: from the instance's id, by which it labels everything, and the registry that it pulls
/// from.
pub(crate) type EngineMaker<'a> = dyn Fn(String, &Registry) -> Result<Arc<dyn Engine>, WiringError> + Send + Sync + 'a;

/// Puts an instance together, on the store of its data directory. `address` is where it listens, with the port that it really got.
pub(crate) async fn app(
    config: &Config,
    data_dir: &DataDir,
    address: std::net::SocketAddr,
    clock: Arc<dyn Clock>,
    store: SqliteStore,
) -> Result<App, WiringError> {
    let directory = registry_directory(config, data_dir);
    let aws = Aws::connect(config).await?;
    let mut stores = aws.stores(config, store).await?;
    let bytes = aws.bytes(config, stores.entities.as_ref()).await?;
    // Where a repository lies that was moved is asked here, before the rules.
    let whereabouts = Whereabouts::new(stores.images.clone(), config.registries.placement.clone());
    stores.whereabouts = Arc::new(whereabouts.but_for(stores.homes.clone()));
    stores.policies = policies(config, &aws, stores.entities.as_ref(), &stores.whereabouts).await?;
    stores.backings = aws.backings(config, &stores, &clock).await?;
    stores.bytes = match (bytes, directory) {
        (None, Some(directory)) => {
            let opened = directory.join().unwrap_or_else(|_| Err(std::io::Error::other("its thread broke down")));
            let opened: Arc<dyn BlobBytes> = Arc::new(opened.map_err(cant("the registry's directory can't be used"))?);
            Some(opened)
        }
        (bytes, _) => bytes,
    };
    stores.mirrors = aws.mirrors(config, address).await?;
    let engine = |instance_id: String, registry: &Registry| engine(config, &aws, instance_id, registry, &clock);
    app_with(config, data_dir, address, clock.clone(), stores, &engine, LeaseTimes::default()).await
}

/// Begins to open the directory of the registry where there is one: that waits for the disk while the store is opened. A new one
/// is made after the store, so that nothing is made in a directory whose store turns out not to be ours.
fn registry_directory(config: &Config, data_dir: &DataDir) -> Option<JoinHandle<std::io::Result<FileBytes>>> {
    let path = data_dir.path().to_owned();
    let is_there = config.registries.s3.is_none() && FileBytes::is_in(&path);
    is_there.then(|| std::thread::spawn(move || FileBytes::open(&path, Arc::new(OsDisk))))
}

/// Opens the store of a data directory.
pub(crate) fn store(data_dir: &DataDir) -> Result<SqliteStore, WiringError> {
    SqliteStore::open(&data_dir.path().join(SqliteStore::FILE_NAME)).map_err(cant("the store can't be opened"))
}

/// Where everything is kept.
pub(crate) struct Stores {
    entities: Arc<dyn Store>,
    access: Arc<dyn AccessStore>,
    images: Arc<dyn RegistryStore>,
    /// What is public of what lies elsewhere.
    public: Arc<dyn PublicStore>,
    /// Which repositories were moved.
    homes: Arc<Homes>,
    /// Which repository lies where.
    whereabouts: Arc<Whereabouts>,
    /// Where images may lie but in the data directory.
    backings: Option<Backings>,
    /// Where the bytes of images lie; `None` for the data directory.
    bytes: Option<Arc<dyn BlobBytes>>,
    /// The file that everything but bytes is in; `None` when there is no such file.
    file: Option<SqliteStore>,
    /// The prefixes that mirror other registries.
    mirrors: Vec<MirrorSettings>,
    policies: Option<PolicyPlace>,
    /// Who says whether the state is still for this version, and how often to ask.
    look: Option<(Arc<dyn Look>, Duration)>,
}

impl Stores {
    /// All in one file.
    pub(crate) fn of(store: SqliteStore) -> Self {
        let all = Arc::new(store.clone());
        let stores = Self::split(all.clone(), all.clone(), all.clone(), all.clone(), all);
        Self { file: Some(store), ..stores }
    }

    /// Each kind in a place of its own; nothing in ECR yet.
    fn split(
        entities: Arc<dyn Store>,
        access: Arc<dyn AccessStore>,
        public: Arc<dyn PublicStore>,
        images: Arc<dyn RegistryStore>,
        homes: Arc<dyn HomeStore>,
    ) -> Self {
        let writers = if entities.version().is_some() { Writers::Alone } else { Writers::Several };
        let homes = Arc::new(Homes::new(homes, writers));
        let whereabouts = Arc::new(Whereabouts::all_here(images.clone()).but_for(homes.clone()));
        Self {
            entities,
            access,
            images,
            public,
            homes,
            whereabouts,
            backings: None,
            bytes: None,
            file: None,
            mirrors: Vec::new(),
            policies: None,
            look: None,
        }
    }

    /// With the place of the policies that account grants are written into.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn with_policies(self, policies: Option<PolicyPlace>) -> Self {
        Self { policies, ..self }
    }

    /// With the prefixes that mirror other registries.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn with_mirrors(self, mirrors: Vec<MirrorSettings>) -> Self {
        Self { mirrors, ..self }
    }

    /// With what is remembered of images in a store of its own.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn with_images_apart(self, images: SqliteStore) -> Self {
        let images: Arc<dyn RegistryStore> = Arc::new(images);
        let whereabouts = Arc::new(Whereabouts::all_here(images.clone()).but_for(self.homes.clone()));
        Self { images, whereabouts, file: None, ..self }
    }
}

/// As [`app`], on a store that is open and with an engine of the caller's making.
pub(crate) async fn app_with(
    config: &Config,
    data_dir: &DataDir,
    address: std::net::SocketAddr,
    clock: Arc<dyn Clock>,
    stores: Stores,
    engine: &EngineMaker<'_>,
    times: LeaseTimes,
) -> Result<App, WiringError> {
    let Stores { entities, access, images, public, homes, whereabouts, backings, bytes, file, mirrors, policies, look } =
        stores;
    let changes = Changes::new();
    let access: Arc<dyn AccessStore> = Arc::new(Announcing::new(access, changes.clone()));

    let key = entities.setting_get_or_put(SIGNING_KEY, &clock.random()).await;
    let keys = Keys::new(&key.map_err(cant("the store can't be read"))?);
    let new_id = layer0_domain::model::id::id_text(&config.instance, u64::from_le_bytes(first8(&clock.random())));
    let instance_id = entities.setting_get_or_put(INSTANCE_ID, new_id.as_bytes()).await;
    let instance_id = instance_id.map_err(cant("the store can't be read"))?;
    let instance_id = String::from_utf8(instance_id).map_err(cant("the store's instance id can't be read"))?;

    let current = config.registry_address.clone().unwrap_or_else(|| engine_address(address));
    let addresses = registry_addresses(entities.as_ref(), current, places_of(backings.as_ref())?).await;
    let addresses = addresses.map_err(cant("the store can't be read"))?;
    let fixed_rules = fixed_rules(config, &addresses)?;

    let sign_in = Arc::new(SignIn {
        access: access.clone(),
        clock: clock.clone(),
        keys: keys.clone(),
        passwords: Passwords::new(&clock.random(), &clock.random()),
        remembered: Remembered::new(&clock.random()),
        throttle: Throttle::default(),
        changes,
        trusted_proxy: config.trusted_proxy,
    });
    let has_log_with_images = file.is_some();
    let gate = RegistryGate {
        sign_in: sign_in.clone(),
        repositories: images.clone(),
        public,
        whereabouts,
        has_log_with_images,
    };
    let minter = SignedPulls { clock: clock.clone(), keys: keys.clone() };
    let mut registry_config = RegistryConfig::new(data_dir.path());
    registry_config.create_on_push = config.create_on_push;
    registry_config.blob_grace = config.gc.grace;
    // Where several servers share uploads, only the one that is written to knows when.
    if config.registries.s3.is_none() {
        registry_config.upload_expiry = registry_config.upload_expiry.min(config.gc.grace);
    }
    registry_config.trusted_proxy = config.trusted_proxy;
    registry_config.challenge = match config.challenge {
        ChallengeKind::Bearer => Challenge::Bearer,
        ChallengeKind::Basic => Challenge::Basic,
    };
    registry_config.redirect = config.registries.s3.as_ref().is_some_and(|s3| s3.redirect);
    registry_config.registry_hosts = std::iter::once(&addresses.current).chain(&addresses.former).cloned().collect();
    let ports = RegistryPorts { store: images, clock: clock.clone(), gate: Arc::new(gate), minter: Arc::new(minter) };
    let nudge = Nudge::new();
    let grants = Grants {
        strategy: config.grants.strategy.or_else(|| policies.as_ref()?.only),
        keeper: policies.map(|place| {
            let signature = Signature::new(&instance_id, &place.names.host().region);
            let stores = (entities.clone(), access.clone());
            Arc::new(Keeper::new(place, signature, stores, clock.clone(), nudge.clone()))
        }),
        to: config.grants.to.clone(),
        every: config.grants.every,
        mending: match config.grants.kept {
            GrantsKept::ReportOnly => Mending::ReportOnly,
            GrantsKept::Off | GrantsKept::On => Mending::Mend,
        },
        asked: Nudge::new(),
    };
    let behind = Behind { backings, bytes };
    let registry = registry_open(registry_config, ports, behind, &instance_id, &access, grants.keeper.as_ref())?;
    let registry = registry.with_homes(homes.clone());
    let registry = registry.with_mirrors(mirrors).map_err(cant("the mirrors of the registry can't be had"))?;

    let lie = if config.registries.s3.is_some() { ImagesLie::InBucket } else { ImagesLie::OnDisk };
    let backups = Backups::new(file, data_dir.path(), instance_id.clone(), lie);
    let engine: Arc<dyn Engine> = Arc::new(Bounded::new(engine(instance_id, &registry)?));
    Ok(App::new(Parts {
        serves: if config.engine == EngineKind::None { Serves::RegistryOnly } else { Serves::Everything },
        store: entities,
        engine,
        registry,
        access,
        has_log_with_images,
        sign_in,
        exchange: Exchange::new(clock.clone(), config.aws.sts.clone()),
        provider: config.provider.clone(),
        clock,
        keys,
        nudge,
        leases: Leases::of(holder(&config.instance), times),
        rendered: routes::Rendered::default(),
        gc_every: config.gc.every,
        backups,
        verification: Verification::default(),
        port_turn: tokio::sync::Mutex::default(),
        told: Arc::default(),
        sweeping: Sweeping::default(),
        grants,
        migrations: Migrations { homes, times: MigrationTimes::default(), asked: Nudge::new() },
        store_health: StoreHealth::default(),
        outgrown: Outgrown::new(look),
        stop: Stop::new(config.stop),
        identity: Identity {
            instance: config.instance.clone(),
            registry_name: config.registry_name.clone(),
            registry: addresses,
            network: (config.engine == EngineKind::Ecs).then(|| Network {
                vpc: config.aws.vpc.clone(),
                public_subnets: config.aws.public_subnets.clone(),
                private_subnets: config.aws.private_subnets.clone(),
            }),
        },
        fixed_rules,
    }))
}

/// The name of this life of this server. From the system's randomness, whatever the clock is: two servers with one name
/// would each take what the other holds.
fn holder(instance: &str) -> String {
    layer0_domain::model::id::id_text(instance, u64::from_le_bytes(first8(&SystemClock.random())))
}

/// Notes where the registry is now, and answers where it was before. Each address that the instance ever had is a setting of
/// its own, numbered from 1, so that nothing is ever overwritten.
async fn registry_addresses(
    store: &dyn Store,
    current: String,
    places: Places,
) -> Result<RegistryAddresses, StoreError> {
    let mut former = Vec::new();
    for number in 1_u32.. {
        let known = store.setting_get_or_put(&format!("registry_address.{number}"), current.as_bytes()).await?;
        if known == current.as_bytes() {
            break;
        }
        former.extend(String::from_utf8(known));
    }
    Ok(RegistryAddresses { current, former, places })
}

/// The engine that the configuration asks for.
fn engine(
    config: &Config,
    aws: &Aws,
    instance_id: String,
    registry: &Registry,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Engine>, WiringError> {
    Ok(match config.engine {
        EngineKind::Docker => {
            let mut docker = DockerConfig::new(instance_id);
            if let Some(host) = &config.docker_host {
                docker.host.clone_from(host);
            }
            docker.public_address.clone_from(&config.public_address);
            docker.proxy_connections = descriptors::balanced();
            docker.forwarded = if config.trusted_proxy { Forwarded::Kept } else { Forwarded::Written };
            let started = DockerEngine::start(docker, Arc::new(registry.clone()), clock.clone());
            Arc::new(started.map_err(cant("the load balancers can't be started"))?)
        }
        EngineKind::Ecs => aws.engine(config, instance_id)?,
        EngineKind::Fake => Arc::new(FakeEngine::with_pace(clock.clone(), Pace::lifelike())),
        EngineKind::None => Arc::new(NoEngine),
    })
}

fn first8(bytes: &[u8; 32]) -> [u8; 8] {
    [bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]]
}

/// Where the engine, on the same machine, reaches the registry. Docker speaks plain HTTP with registries on loopback only,
/// which is where the server is reached whenever it listens on loopback or on every address.
fn engine_address(address: std::net::SocketAddr) -> String {
    if address.ip().is_loopback() || address.ip().is_unspecified() {
        format!("localhost:{}", address.port())
    } else {
        address.to_string()
    }
}

#[cfg(test)]
mod tests;
