//! What every handler and the reconciler work with.

use std::sync::Arc;

use layer0_domain::model::access::Caller;
use layer0_domain::model::image_map::MapRule;
use layer0_domain::ops::{Ctx, RegistryAddresses};
use layer0_domain::port::access_store::AccessStore;
use layer0_domain::port::clock::Clock;
use layer0_domain::port::engine::Engine;
use layer0_domain::port::image_source::ImageSource;
use layer0_domain::port::store::Store;
use layer0_registry::Registry;

use crate::auth::{Keys, SignIn};
use crate::backups::Backups;
use crate::config::ProviderConfig;
use crate::exchange::Exchange;
use crate::grants::Grants;
use crate::migrations::Migrations;
use crate::outgrown::Outgrown;
use crate::reconcile::tell::Told;
use crate::reconcile::{Leases, Nudge};
use crate::routes::Rendered;
use crate::stop::Stop;
use crate::store_health::StoreHealth;
use crate::sweeping::Sweeping;
use crate::verification::Verification;

/// The parts of a running instance. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App {
    parts: Arc<Parts>,
}

/// What a server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Serves {
    /// All of it.
    Everything,
    /// The registry with its users, owners, tokens and repositories; nothing that needs an engine.
    RegistryOnly,
}

/// The parts themselves.
pub(crate) struct Parts {
    /// What this server does.
    pub(crate) serves: Serves,
    /// What the instance remembers.
    pub(crate) store: Arc<dyn Store>,
    /// What runs containers.
    pub(crate) engine: Arc<dyn Engine>,
    /// The embedded registry.
    pub(crate) registry: Registry,
    /// Time and randomness.
    pub(crate) clock: Arc<dyn Clock>,
    /// Users, owners, tokens, the audit log.
    pub(crate) access: Arc<dyn AccessStore>,
    /// Whether the audit log is where the registry remembers its images, and what goes can be written down in the same unit of work.
    pub(crate) has_log_with_images: bool,
    /// Who somebody is.
    pub(crate) sign_in: Arc<SignIn>,
    /// Who somebody from elsewhere is.
    pub(crate) exchange: Exchange,
    /// At which provider people sign in; `None` for at none.
    pub(crate) provider: Option<ProviderConfig>,
    /// The keys that signed credentials are made with.
    pub(crate) keys: Keys,
    /// Wakes the reconciler.
    pub(crate) nudge: Nudge,
    /// Who this server is among others on the same store.
    pub(crate) leases: Leases,
    /// Lists as they were last rendered.
    pub(crate) rendered: Rendered,
    /// How long after a collection in the registry the next begins; `None` for never.
    pub(crate) gc_every: Option<std::time::Duration>,
    /// Backups that are being made.
    pub(crate) backups: Backups,
    /// The verification of the registry.
    pub(crate) verification: Verification,
    /// Held over a load balancer's comparison of host ports and its write, so that two can't both find a port free. Between
    /// servers a lease does the same.
    pub(crate) port_turn: tokio::sync::Mutex<()>,
    /// What the engine was told, and whose turn it is to tell.
    pub(crate) told: Arc<Told>,
    /// The sweep of strays that an admin asked for.
    pub(crate) sweeping: Sweeping,
    /// Account grants, and what writes them down.
    pub(crate) grants: Grants,
    /// Moves of repositories between backings.
    pub(crate) migrations: Migrations,
    /// Whether the store answers, for `/health`.
    pub(crate) store_health: StoreHealth,
    /// Whether the state is still for this version.
    pub(crate) outgrown: Outgrown,
    /// The wish to stop.
    pub(crate) stop: Stop,
    /// What the instance is called and where it is.
    pub(crate) identity: Identity,
    /// Map rules that stand from the start.
    pub(crate) fixed_rules: Vec<MapRule>,
}

/// What the instance is called and where it is.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// The instance's name.
    pub(crate) instance: String,
    /// The name under which images are written in task definitions.
    pub(crate) registry_name: String,
    /// Where the registry really listens, as the engine reaches it, and where it did before.
    pub(crate) registry: RegistryAddresses,
    /// The network on AWS; `None` on one machine.
    pub(crate) network: Option<Network>,
}

/// Where an instance on AWS puts what it makes.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    /// The VPC.
    pub(crate) vpc: String,
    /// The subnets for public load balancers.
    pub(crate) public_subnets: Vec<String>,
    /// The subnets for everything else.
    pub(crate) private_subnets: Vec<String>,
}

impl App {
    /// Puts the parts together.
    pub(crate) fn new(parts: Parts) -> Self {
        Self { parts: Arc::new(parts) }
    }

    /// What the functions of `domain::ops` work with, asked by `caller`.
    pub(crate) fn ctx<'a>(&'a self, caller: &'a Caller) -> Ctx<'a> {
        Ctx {
            store: self.store.as_ref(),
            access: self.access.as_ref(),
            caller,
            engine: self.engine.as_ref(),
            images: self.images(),
            clock: self.clock.as_ref(),
            fixed_rules: &self.fixed_rules,
            registry: &self.identity.registry,
        }
    }

    /// The registries of ours.
    pub(crate) fn images(&self) -> &dyn ImageSource {
        &self.registry
    }
}

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}
