//! A registry of ours with the test kit's ECR behind it.

use std::net::SocketAddr;
use std::sync::Arc;

use aws_sdk_ecr::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use aws_types::SdkConfig;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use layer0_domain::model::registry::Visibility;
use layer0_domain::port::clock::Clock;
use layer0_registry::ecr::{Ecr, EcrSettings};
use layer0_registry::{Registry, RegistryConfig, RegistryPorts};
use layer0_store::SqliteStore;
use layer0_testkit::aws::{FakeAws, FakeAwsConfig};
use layer0_testkit::clock::{FixedClock, RunningClock};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::common::{Minter, Open, name};

/// The mark of this instance.
pub(crate) const INSTANCE: &str = "prod-0123456789";

pub(crate) fn sdk(address: SocketAddr) -> SdkConfig {
    // The fake checks no signature, but the SDK does not send a request without one.
    let keys = Credentials::new("test", "test", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .endpoint_url(format!("http://{address}"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build()
}

/// Both, running, with repositories `team/app` and `team/other`, everybody let in. They stop when dropped.
pub(crate) struct OnAws {
    pub(crate) aws: Arc<FakeAws>,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) public: Arc<SqliteStore>,
    pub(crate) registry: Registry,
    pub(crate) client: Client,
    pub(crate) address: SocketAddr,
    server: JoinHandle<()>,
    _directory: tempfile::TempDir,
}

/// A client of ECR itself.
pub(crate) struct Direct {
    pub(crate) client: Client,
    pub(crate) authorization: String,
}

impl Drop for OnAws {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl OnAws {
    pub(crate) async fn start() -> Self {
        // The fake's time is the machine's, and so is the end of its tokens.
        let clock = Arc::new(FixedClock::at(RunningClock::default().now()));
        Self::with(clock.clone(), clock, |ecr| ecr).await
    }

    /// With another clock for the registry, and another ECR.
    pub(crate) async fn with(clock: Arc<FixedClock>, shown: Arc<dyn Clock>, change: impl FnOnce(Ecr) -> Ecr) -> Self {
        let aws = Arc::new(FakeAws::start(FakeAwsConfig::default()).await);
        let this = Self::on(aws, clock, shown, change).await;
        for repository in ["team/app", "team/other"] {
            this.registry.repository_create(name(repository), Visibility::Private).await.unwrap();
        }
        this
    }

    async fn on(
        aws: Arc<FakeAws>,
        clock: Arc<FixedClock>,
        shown: Arc<dyn Clock>,
        change: impl FnOnce(Ecr) -> Ecr,
    ) -> Self {
        let settings = EcrSettings { endpoint: Some(aws.endpoint().to_owned()), ..EcrSettings::default() };
        let sdk = sdk(address_of(&aws));
        let ecr = Ecr::connect(&sdk, settings, Arc::clone(&shown)).await.unwrap();
        let public = Arc::new(SqliteStore::in_memory());
        let ecr = change(ecr.of_instance(INSTANCE).open_to_all_of(Arc::clone(&public) as _));
        let directory = tempfile::tempdir().unwrap();
        let ports = RegistryPorts {
            store: Arc::new(SqliteStore::in_memory()),
            clock: shown,
            gate: Arc::new(Open),
            minter: Arc::new(Minter),
        };
        let registry = Registry::open_in(RegistryConfig::new(directory.path()), ports, ecr).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = registry.router().into_make_service_with_connect_info::<SocketAddr>();
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { aws, clock, public, registry, client: Client::at(address), address, server, _directory: directory }
    }

    /// Another server of the instance; the first ends.
    pub(crate) async fn another_server(self) -> Self {
        let (aws, clock) = (Arc::clone(&self.aws), Arc::clone(&self.clock));
        drop(self);
        Self::on(aws, clock.clone(), clock, |ecr| ecr).await
    }

    pub(crate) fn advance_ms(&self, ms: i64) {
        self.clock.advance_ms(ms);
    }

    /// As somebody who has a token of ECR's.
    pub(crate) fn direct(&self) -> Direct {
        let authorization = format!("Basic {}", BASE64_STANDARD.encode("AWS:fake-password-0"));
        Direct { client: Client::at(address_of(&self.aws)), authorization }
    }

    /// Sends this as the beginning of a chunk of `length` bytes, and breaks off.
    pub(crate) async fn cut_off(&self, path: &str, content: &[u8], length: usize) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let head = format!("PATCH {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {length}\r\n\r\n", self.address);
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(content).await.unwrap();
        stream.shutdown().await.unwrap();
    }
}

pub(crate) fn address_of(aws: &FakeAws) -> SocketAddr {
    aws.endpoint().trim_start_matches("http://").parse().unwrap()
}
