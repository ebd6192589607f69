//! A registry of ours with the fake ECR behind it, and a client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use layer0_domain::port::clock::Clock;
use layer0_registry::ecr::{Ecr, EcrSettings, Furnish, TagRules};
use layer0_registry::{Challenge, Gate, Registry, RegistryConfig, RegistryPorts};
use layer0_store::SqliteStore;
use tokio::task::JoinHandle;

use super::fake::FakeEcr;
pub(crate) use super::on_aws::{INSTANCE, sdk};
use crate::client::Client;
use crate::common::{Basic, Minter, Open};

/// Both, running. They stop when dropped.
pub(crate) struct Stage {
    pub(crate) ecr: FakeEcr,
    pub(crate) registry: Registry,
    pub(crate) client: Client,
    server: JoinHandle<()>,
    _directory: tempfile::TempDir,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// What is different from the usual.
#[derive(Default)]
pub(crate) struct Otherwise {
    pub(crate) settings: EcrSettings,
    pub(crate) create_on_push: bool,
    pub(crate) trusted_proxy: bool,
    /// The owners' rules of immutable tags.
    pub(crate) tag_rules: Option<Arc<dyn TagRules>>,
    /// What gives new repositories their policy.
    pub(crate) furnish: Option<Arc<dyn Furnish>>,
    /// Names and passwords are asked for.
    pub(crate) is_guarded: bool,
    /// Who lets in, instead.
    pub(crate) gate: Option<Arc<dyn Gate>>,
    /// How long a client may bring nothing.
    pub(crate) body_idle: Option<Duration>,
}

impl Stage {
    /// With repositories `team/app` and `team/other`, everybody let in.
    pub(crate) async fn start() -> Self {
        let this = Self::with(Otherwise::default()).await;
        this.ecr.repository("team/app").await;
        this.ecr.repository("team/other").await;
        this
    }

    /// With no repository.
    pub(crate) async fn with(otherwise: Otherwise) -> Self {
        let ecr = FakeEcr::start().await;
        let clock = Arc::clone(&ecr.clock) as Arc<dyn Clock>;
        let settings = EcrSettings { endpoint: Some(format!("http://{}", ecr.address)), ..otherwise.settings };
        let behind = Ecr::connect(&sdk(ecr.address), settings, Arc::clone(&clock)).await.unwrap();
        let behind = match otherwise.tag_rules {
            Some(rules) => behind.ruled_by(rules),
            None => behind,
        };
        let behind = match otherwise.furnish {
            Some(furnish) => behind.furnished_by(furnish),
            None => behind,
        };
        let directory = tempfile::tempdir().unwrap();
        let mut config = RegistryConfig::new(directory.path());
        config.create_on_push = otherwise.create_on_push;
        config.trusted_proxy = otherwise.trusted_proxy;
        config.body_idle = otherwise.body_idle.unwrap_or(config.body_idle);
        let gate: Arc<dyn Gate> = match otherwise.gate {
            Some(gate) => gate,
            None if otherwise.is_guarded => {
                config.challenge = Challenge::Basic;
                Arc::new(Basic)
            }
            None => Arc::new(Open),
        };
        let ports = RegistryPorts { store: Arc::new(SqliteStore::in_memory()), clock, gate, minter: Arc::new(Minter) };
        let registry = Registry::open_in(config, ports, behind.of_instance(INSTANCE)).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = registry.router().into_make_service_with_connect_info::<SocketAddr>();
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let client = Client::at(address);
        Self { ecr, registry, client, server, _directory: directory }
    }
}
