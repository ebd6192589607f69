//! [`TestApp`]: a whole instance for tests, used through its front door.
//!
//! The router on a real socket, SQLite and registry in a directory of their own, the reconciler, and the fake engine; nothing
//! else is different from `l0 server --engine fake`. Only with the cargo feature `testing`.
//!
//! Each server has a runtime of its own, so that [`TestApp::restart`] can end it as `kill -9` would: its tasks stop wherever
//! they wait, nothing is said goodbye to. What the store was given before is written; the containers run on.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use layer0_api::client::{Client, ClientOptions};
use layer0_domain::model::access::{Caller, Rights, Secret, Subject, Who};
use layer0_domain::model::grant::{GrantStrategy, Grantee};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::name::Name;
use layer0_domain::model::operation::Operation;
use layer0_domain::model::placement::RepositoryPrefix;
use layer0_domain::ops::token::{Expiry, NewToken, token_create};
use layer0_domain::port::clock::Clock;
use layer0_domain::port::engine::Engine;
use layer0_domain::port::store::Store;
use layer0_engine::fake::{FakeEngine, FakePolicies, Pace};
use layer0_registry::{MirrorLogin, MirrorSettings, PullCredentialMinter, Registry, UpstreamUrl};
use layer0_store::SqliteStore;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::app::App;
use crate::auth::SignedPulls;
use crate::clock::SystemClock;
use crate::config::{ChallengeKind, Config, EngineKind, GrantsConfig, GrantsKept, LogFormat, MirrorAs, MirrorConfig};
use crate::data_dir::DataDir;
use crate::grants::{PolicyPlace, PolicyRates};
use crate::no_engine::NoEngine;
use crate::reconcile::LeaseTimes;
use crate::run::until_stopped;
use crate::stop::StopTimes;
use crate::{routes, wiring};

mod provider;

pub use provider::TestProvider;

/// The name of the registry in task definitions.
pub const REGISTRY_NAME: &str = "registry.layer0.test";

/// What is different from the usual.
pub struct TestOptions {
    /// The time and the randomness of server and engine.
    pub clock: Arc<dyn Clock>,
    /// How long things take in the engine.
    pub pace: Pace,
    /// Whether a push makes the repository.
    pub create_on_push: bool,
    /// Whether `X-Forwarded-Proto` is believed.
    pub trusted_proxy: bool,
    /// Map rules of the configuration: `prefix|target`, separated by commas.
    pub image_map: String,
    /// How long leases are, when other servers are to share the store ([`TestApp::beside`]); they are renewed five times in
    /// that time. `None` for a server that has its store for itself.
    pub shared: Option<Duration>,
    /// What stands in for AWS's Security Token Service.
    pub sts: Option<String>,
    /// At which provider people sign in.
    pub provider: Option<TestProvider>,
    /// The policies that account grants are written into; `None` for an instance that has no ECR.
    pub policies: Option<FakePolicies>,
    /// How account grants are kept, and how often all policies are looked at.
    pub grants: TestGrants,
    /// In which documents account grants stand; `None` for as it was.
    pub strategy: Option<GrantStrategy>,
    /// Whom the configuration lets in, separated by commas; `None` where it says nothing of that.
    pub grants_to: Option<&'static str>,
    /// How long requests that run may go on after a stop was asked for.
    pub stop_grace: Duration,
    /// A prefix of repositories, and the address of the registry that it mirrors.
    pub mirror: Option<(&'static str, String)>,
    /// Whether images are remembered in a store of their own, in memory, as beside a table on AWS.
    pub images_apart: bool,
}

/// How account grants are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestGrants {
    /// What comes undone is mended, at the next look.
    Mended {
        /// From one look to the next.
        every: Duration,
    },
    /// What comes undone is reported, at the next look.
    Reported {
        /// From one look to the next.
        every: Duration,
    },
}

impl TestGrants {
    fn config(self) -> GrantsConfig {
        match self {
            TestGrants::Mended { every } => GrantsConfig { kept: GrantsKept::On, every, ..GrantsConfig::default() },
            TestGrants::Reported { every } => {
                GrantsConfig { kept: GrantsKept::ReportOnly, every, ..GrantsConfig::default() }
            }
        }
    }
}

impl Default for TestOptions {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            pace: Pace::at_once(),
            create_on_push: false,
            trusted_proxy: false,
            image_map: String::new(),
            shared: None,
            sts: None,
            provider: None,
            policies: None,
            grants: TestGrants::Mended { every: Duration::from_secs(3600) },
            strategy: None,
            grants_to: None,
            stop_grace: StopTimes::default().grace,
            mirror: None,
            images_apart: false,
        }
    }
}

fn mirror((prefix, upstream): &(&'static str, String)) -> MirrorConfig {
    let prefix = RepositoryPrefix::parse(prefix).expect("the test names a prefix");
    let upstream = UpstreamUrl::parse(upstream).expect("the test names a registry");
    MirrorConfig { settings: MirrorSettings::new(prefix, upstream), login: MirrorAs::Login(MirrorLogin::Anonymous) }
}

fn grantees(text: &str) -> BTreeSet<Grantee> {
    let all = text.split(',').filter(|text| !text.is_empty()).map(Grantee::parse);
    all.collect::<Result<_, _>>().expect("the test names somebody who can be let in")
}

/// What is expected of the operations when a [`TestApp`] is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leftovers {
    Refused,
    Allowed,
}

/// A running instance. Dropping it ends it, and panics when operations still run, unless
/// [`leftovers_allowed`](Self::leftovers_allowed) was called.
pub struct TestApp {
    config: Config,
    listener: StdListener,
    clock: Arc<dyn Clock>,
    fake: FakeEngine,
    policies: Option<FakePolicies>,
    auth: Secret,
    server: Option<Server>,
    leftovers: Leftovers,
    /// The file of the store, when others share it, and how long leases are.
    shared: Option<(PathBuf, Duration)>,
    images_apart: bool,
    /// The last to go: everything else works in them.
    directories: Vec<Arc<TempDir>>,
}

/// One life of the server.
struct Server {
    runtime: Runtime,
    app: App,
    store: SqliteStore,
    serving: JoinHandle<std::io::Result<()>>,
    // Held for as long as the server lives.
    _data_dir: DataDir,
}

impl TestApp {
    /// An instance on the system's clock, with an engine in which all is done at once.
    ///
    /// # Panics
    /// As everything here: when the machine has no socket, no thread or no directory to give.
    pub async fn start() -> Self {
        Self::with(TestOptions::default()).await
    }

    /// An instance to order.
    pub async fn with(options: TestOptions) -> Self {
        let directory = Arc::new(tempfile::tempdir().expect("a directory can be made"));
        let listener = StdListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let rules = if options.image_map.is_empty() {
            vec![]
        } else {
            let map = layer0_domain::model::image_map::ImageMap::parse_list(&options.image_map);
            map.expect("the test's image map is one").rules().to_vec()
        };
        let config = Config {
            data_dir: directory.path().join("data"),
            listen: address,
            instance: "test".to_owned(),
            registry_name: REGISTRY_NAME.to_owned(),
            registry_address: None,
            image_map: rules,
            create_on_push: options.create_on_push,
            gc: crate::config::GcConfig::default(),
            trusted_proxy: options.trusted_proxy,
            new_admin_token: false,
            admin_token: None,
            admin_token_for: None,
            provider: options.provider.as_ref().map(TestProvider::config),
            challenge: ChallengeKind::Bearer,
            engine: EngineKind::Fake,
            docker_host: None,
            public_address: None,
            aws: crate::config::AwsConfig { sts: options.sts, ..Default::default() },
            registries: crate::config::RegistriesConfig::default(),
            mirrors: options.mirror.iter().map(mirror).collect(),
            grants: GrantsConfig {
                strategy: options.strategy,
                to: options.grants_to.map(grantees),
                ..options.grants.config()
            },
            stop: StopTimes { grace: options.stop_grace, ..StopTimes::default() },
            log: "off".to_owned(),
            log_format: LogFormat::Text,
        };
        let fake = FakeEngine::with_pace(options.clock.clone(), options.pace);
        let database = config.data_dir.join(SqliteStore::FILE_NAME);
        let mut this = Self {
            config,
            listener,
            clock: options.clock,
            fake,
            policies: options.policies,
            auth: Secret::new(""),
            server: None,
            leftovers: Leftovers::Refused,
            shared: options.shared.map(|length| (database, length)),
            images_apart: options.images_apart,
            directories: vec![directory],
        };
        this.launch().await;
        let first = wiring::first_token(&this.server().app).await.expect("a new store takes a token");
        this.auth = first.expect("a new instance has no token yet");
        wiring::first_token_shown(&this.server().app).await.expect("a new store takes a setting");
        this
    }

    /// Another server on the same store and the same engine, as in an instance that has several. Its registry is its own.
    ///
    /// # Panics
    /// When this one has its store for itself ([`TestOptions::shared`]).
    pub async fn beside(&self) -> Self {
        assert!(self.shared.is_some(), "the store of this server is its own");
        let directory = Arc::new(tempfile::tempdir().expect("a directory can be made"));
        let listener = StdListener::bind("127.0.0.1:0").expect("a port is free");
        let mut config = self.config.clone();
        config.data_dir = directory.path().join("data");
        config.listen = listener.local_addr().expect("a bound socket has an address");
        let mut directories = self.directories.clone();
        directories.push(directory);
        let mut this = Self {
            config,
            listener,
            clock: self.clock.clone(),
            fake: self.fake.beside(),
            policies: self.policies.clone(),
            auth: self.auth.clone(),
            server: None,
            leftovers: Leftovers::Refused,
            shared: self.shared.clone(),
            images_apart: self.images_apart,
            directories,
        };
        this.launch().await;
        this
    }

    async fn launch(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("server")
            .enable_all()
            .build()
            .expect("a thread can be started");
        let data_dir = DataDir::open(&self.config.data_dir).expect("the directory is free");
        let (store, times) = match &self.shared {
            None => (wiring::store(&data_dir).expect("the store opens"), LeaseTimes::default()),
            Some((database, length)) => {
                let store = SqliteStore::open(database).expect("the store opens").with_others();
                (store, LeaseTimes { length: *length, renewal: *length / 5 })
            }
        };
        let address = self.address();
        // The fake has its own limit, where a test wants one.
        let rates = PolicyRates::default().times(1000.0);
        let names = wiring::demo_names;
        let place = self.policies.clone().map(|policies| PolicyPlace::new(Arc::new(policies), names(), rates));
        let (fake, opened) = (self.fake.clone(), wiring::Stores::of(store.clone()).with_policies(place));
        let opened = if self.images_apart { opened.with_images_apart(SqliteStore::in_memory()) } else { opened };
        let opened = opened.with_mirrors(self.config.mirrors.iter().map(|mirror| mirror.settings.clone()).collect());
        let kind = self.config.engine;
        let engine = move |_: String, _: &Registry| {
            Ok(match kind {
                EngineKind::None => Arc::new(NoEngine) as Arc<dyn Engine>,
                _ => Arc::new(fake.clone()),
            })
        };
        let app = wiring::app_with(&self.config, &data_dir, address, self.clock.clone(), opened, &engine, times).await;
        let app = app.expect("an instance can be put together");
        // The same socket for all lives of the server: who calls in between waits, as with a restart that is quick.
        let listener = self.listener.try_clone().expect("a file descriptor is free");
        listener.set_nonblocking(true).expect("a socket can be switched");
        let serving = {
            let _inside = runtime.enter();
            let listener = TcpListener::from_std(listener).expect("a listening socket");
            runtime.spawn(until_stopped(app.clone(), listener))
        };
        self.server = Some(Server { runtime, app, store, serving, _data_dir: data_dir });
    }

    fn server(&self) -> &Server {
        self.server.as_ref().expect("the server runs between its start and its end")
    }

    /// Ends the server as a crash would, and starts another one on the same directory. The engine's containers run on; the
    /// new server's engine was told of nothing.
    pub async fn restart(&mut self) {
        self.crash().await;
        self.fake = self.fake.restart_view();
        self.launch().await;
    }

    /// As [`restart`](Self::restart), but the new server listens on another port. Clients have to be made anew.
    pub async fn restart_elsewhere(&mut self) {
        self.crash().await;
        // The old socket is still bound here, so this is another port.
        self.listener = StdListener::bind("127.0.0.1:0").expect("a port is free");
        self.config.listen = self.listener.local_addr().expect("a bound socket has an address");
        self.fake = self.fake.restart_view();
        self.launch().await;
    }

    /// Ends the server as a crash would: what it held it still holds, until that runs out.
    pub async fn kill(&mut self) {
        self.crash().await;
    }

    async fn crash(&mut self) {
        if let Some(Server { runtime, app, store, serving, _data_dir }) = self.server.take() {
            drop((app, serving));
            runtime.shutdown_background();
            // Its threads finish what they were given: a write that a client was told of is never taken back.
            store.close().await;
        }
    }

    /// Says that the server is about to stop, as `SIGTERM` does where a load balancer has to notice it first.
    pub fn leave(&self) {
        self.server().app.stop.leave();
    }

    /// Asks the server to stop, as `SIGTERM` does, and waits until it has.
    ///
    /// # Panics
    /// When it failed instead.
    pub async fn stop(&mut self) {
        if let Some(Server { runtime, app, store, serving, _data_dir }) = self.server.take() {
            app.stop.ask();
            drop(app);
            serving.await.expect("the server does not panic").expect("the server stops without an error");
            runtime.shutdown_background();
            store.close().await;
        }
    }

    /// Starts the server again after [`stop`](Self::stop).
    pub async fn start_again(&mut self) {
        self.fake = self.fake.restart_view();
        self.launch().await;
    }

    /// From the next start on the server runs the registry only: without the engine, whose containers run on.
    pub fn without_engine(&mut self) {
        self.config.engine = EngineKind::None;
    }

    /// From the next start on the server has its engine.
    pub fn with_engine(&mut self) {
        self.config.engine = EngineKind::Fake;
    }

    /// From the next start on the configuration lets these in; `None` when it says nothing of that any more.
    pub fn grants_to(&mut self, to: Option<&str>) {
        self.config.grants.to = to.map(grantees);
    }

    /// From the next start on the server is started with this strategy of account grants.
    pub fn strategy(&mut self, strategy: GrantStrategy) {
        self.config.grants.strategy = Some(strategy);
    }

    /// A client that is signed in as the admin.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client_as(Some(self.auth.expose()))
    }

    /// A client with another credential (base64 of `user:secret`), or with none.
    #[must_use]
    pub fn client_as(&self, token: Option<&str>) -> Client {
        let options = ClientOptions {
            endpoint: self.endpoint(),
            token: token.map(str::to_owned),
            timeout: Duration::from_secs(60),
            // No TLS is spoken; loading the machine's certificates for each client would take longer than many a test.
            skip_ssl_verify: true,
        };
        Client::new(options).expect("an address and port are an endpoint")
    }

    /// The admin's token: base64 of `user:secret`.
    #[must_use]
    pub fn auth(&self) -> &str {
        self.auth.expose()
    }

    /// Makes a token that ends after so many days; answers base64 of `user:secret`, and the secret.
    pub async fn token(&self, days: u32) -> (String, String) {
        let name = |text: &str| Name::parse(text).expect("a legal name");
        let user = name(crate::auth::ADMIN);
        let caller = Caller { who: Who::User(user.clone()), token: None, rights: Rights::everything() };
        let (subject, expiry) = (Subject::User(user), Expiry::Days(days));
        let new = NewToken { subject, name: name("token"), scopes: None, expiry };
        let made = token_create(&self.server().app.ctx(&caller), new).await;
        let (token, secret) = made.expect("the store takes a token");
        (routes::basic(&token.sign_in_name(), &secret), secret.expose().to_owned())
    }

    /// The user and password that the engine gets to pull from one repository.
    pub async fn pull_credential(&self, repository: &str) -> (String, String) {
        let app = &self.server().app;
        let minter = SignedPulls { clock: app.clock.clone(), keys: app.keys.clone() };
        let repository = RepositoryName::parse(repository).expect("a legal repository name");
        let made = minter.mint(&repository).await.expect("signing needs nobody");
        (made.username, made.password.expose().to_owned())
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.config.listen
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address())
    }

    /// `localhost:PORT`: where the engine pulls from.
    #[must_use]
    pub fn registry_address(&self) -> String {
        self.server().app.identity.registry.current.clone()
    }

    /// The engine of the server that runs now.
    #[must_use]
    pub fn fake(&self) -> &FakeEngine {
        &self.fake
    }

    /// The store of the server that runs now.
    #[must_use]
    pub fn store(&self) -> &SqliteStore {
        &self.server().store
    }

    /// The name under which the server that runs now holds leases.
    #[must_use]
    pub fn holder(&self) -> &str {
        &self.server().app.leases.holder
    }

    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.config.data_dir
    }

    /// Operations may still run when this is dropped.
    pub fn leftovers_allowed(&mut self) {
        self.leftovers = Leftovers::Allowed;
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        let Some(Server { runtime, app, store, serving, _data_dir }) = self.server.take() else { return };
        drop((app, serving));
        runtime.shutdown_background();
        if std::thread::panicking() || self.leftovers == Leftovers::Allowed {
            return;
        }
        let running = running(store);
        let names: Vec<String> =
            running.iter().map(|it| format!("{} of {} `{}`", it.verb, it.entity.kind(), it.entity_name)).collect();
        assert!(names.is_empty(), "operations still run at the end of the test: {}", names.join(", "));
    }
}

/// The operations that still run. On a thread of its own, because a runtime can't wait for another inside itself.
fn running(store: SqliteStore) -> Vec<Operation> {
    let read = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
        runtime.block_on(store.operation_list_running()).expect("the store can be read")
    };
    std::thread::spawn(read).join().expect("reading does not panic")
}
