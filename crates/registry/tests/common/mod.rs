//! A registry on a port of its own, with a store in memory, and gates of several kinds.

#![allow(dead_code, reason = "each test target uses its own part of it")]

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::extract::{Query, State};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::FutureExt;
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use layer0_domain::model::access::{Action, Caller, Rights, Scope, Secret, Who};
use layer0_domain::model::digest::{Algorithm, Digest};
use layer0_domain::model::id::TokenId;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::name::Name;
use layer0_domain::model::registry::{Repository, Visibility};
use layer0_domain::port::BoxError;
use layer0_domain::port::blob_bytes::{BlobBytes, Source};
use layer0_domain::port::clock::Clock;
use layer0_domain::port::image_source::PullCredential;
use layer0_domain::port::registry_store::RegistryStore;
use layer0_registry::disk::{Disk, OsDisk};
use layer0_registry::{
    Admission, Challenge, FileBytes, Gate, MirrorSettings, PullCredentialMinter, Registry, RegistryConfig,
    RegistryPorts,
};
use layer0_store::SqliteStore;
use layer0_testkit::clock::RunningClock;
use layer0_testkit::s3::FakeS3;
use layer0_testkit::until::until_true;
use tokio::task::JoinHandle;

pub(crate) const USER: &str = "ci";
pub(crate) const PASSWORD: &str = "correct-horse";

pub(crate) fn name(text: &str) -> RepositoryName {
    RepositoryName::parse(text).expect("a legal repository name")
}

pub(crate) fn caller(rights: Rights) -> Caller {
    let who = Who::User(Name::parse(USER).expect("a legal name"));
    Caller { who, token: TokenId::parse("t1").ok(), rights }
}

/// A right to some owners only.
fn some_owners() -> Rights {
    let all = |owner: &str| Scope::parse(&format!("pull,push,delete:{owner}/*")).expect("a scope");
    Rights::scopes(["team", "other", "a", "b"].map(all).to_vec())
}

/// Lets everybody in.
pub(crate) struct Open;

#[async_trait]
impl Gate for Open {
    async fn admit(&self, _: &HeaderMap, _: Option<SocketAddr>, _: Option<(&RepositoryName, &[Action])>) -> Admission {
        Admission::Allowed(caller(Rights::everything()))
    }

    async fn ended(&self, _: HeaderMap, _: Option<SocketAddr>, _: RepositoryName, _: Action) {
        std::future::pending().await
    }
}

/// Can't look anybody up.
pub(crate) struct Away;

#[async_trait]
impl Gate for Away {
    async fn admit(&self, _: &HeaderMap, _: Option<SocketAddr>, _: Option<(&RepositoryName, &[Action])>) -> Admission {
        Admission::Unavailable
    }

    async fn ended(&self, _: HeaderMap, _: Option<SocketAddr>, _: RepositoryName, _: Action) {
        std::future::pending().await
    }
}

/// Name and password on every request; and owners that the user may not touch (`secret/...`).
pub(crate) struct Basic;

fn is_basic(headers: &HeaderMap) -> bool {
    let want = format!("Basic {}", BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}")));
    headers.get(AUTHORIZATION).is_some_and(|value| value.as_bytes() == want.as_bytes())
}

#[async_trait]
impl Gate for Basic {
    async fn admit(
        &self,
        headers: &HeaderMap,
        _: Option<SocketAddr>,
        want: Option<(&RepositoryName, &[Action])>,
    ) -> Admission {
        match want {
            _ if !is_basic(headers) => Admission::Challenge,
            Some((name, _)) if name.owner() == "secret" => Admission::Forbidden(caller(some_owners())),
            _ => Admission::Allowed(caller(some_owners())),
        }
    }

    async fn ended(&self, _: HeaderMap, _: Option<SocketAddr>, _: RepositoryName, _: Action) {
        std::future::pending().await
    }
}

/// The Bearer flow with a token endpoint, as the server has it, but with tokens that are only numbers.
#[derive(Default)]
pub(crate) struct Bearer {
    /// Token to its scopes.
    issued: Mutex<HashMap<String, Vec<String>>>,
}

impl Bearer {
    /// The route `/auth/token`.
    fn router(self: &Arc<Self>) -> Router {
        Router::new().route("/auth/token", get(token)).with_state(Arc::clone(self))
    }
}

async fn token(
    State(gate): State<Arc<Bearer>>,
    headers: HeaderMap,
    Query(query): Query<Vec<(String, String)>>,
) -> axum::response::Response {
    if !is_basic(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let scopes = query
        .iter()
        .filter(|(key, _)| key == "scope")
        .flat_map(|(_, value)| value.split(' '))
        .map(str::to_owned)
        .collect();
    let mut issued = gate.issued.lock().expect("no test panics here");
    let token = format!("token-{}", issued.len());
    issued.insert(token.clone(), scopes);
    Json(serde_json::json!({ "token": token, "access_token": token, "expires_in": 300 })).into_response()
}

#[async_trait]
impl Gate for Bearer {
    async fn admit(
        &self,
        headers: &HeaderMap,
        _: Option<SocketAddr>,
        want: Option<(&RepositoryName, &[Action])>,
    ) -> Admission {
        let token = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.strip_prefix("Bearer "));
        let issued = self.issued.lock().expect("no test panics here");
        let Some(scopes) = token.and_then(|token| issued.get(token)) else { return Admission::Challenge };
        // skopeo asks for `*` when it deletes.
        let scope = |text: &String| {
            let (name, actions) = text.strip_prefix("repository:")?.rsplit_once(':')?;
            Scope::parse(&format!("{}:{name}", actions.replace('*', "pull,push,delete"))).ok()
        };
        let rights = Rights::scopes(scopes.iter().filter_map(scope).collect());
        let Some((name, actions)) = want else { return Admission::Allowed(caller(rights)) };
        if actions.iter().all(|action| rights.may(*action, name.into())) {
            Admission::Allowed(caller(rights))
        } else {
            Admission::Challenge
        }
    }

    async fn ended(&self, _: HeaderMap, _: Option<SocketAddr>, _: RepositoryName, _: Action) {
        std::future::pending().await
    }
}

/// Mints a credential that says for which repository it is.
pub(crate) struct Minter;

#[async_trait]
impl PullCredentialMinter for Minter {
    async fn mint(&self, repository: &RepositoryName) -> Result<PullCredential, BoxError> {
        Ok(PullCredential { username: "pull".to_owned(), password: Secret::new(repository.to_string()) })
    }
}

/// Which gate a test registry has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Doors {
    Open,
    Away,
    Basic,
    Bearer,
}

/// Bytes of a record in a pack before those of its blob.
const HEADER: u64 = 64;

/// Bytes that lie in a bucket, and not in the directory.
#[derive(Clone)]
pub(crate) struct Elsewhere {
    pub(crate) bytes: Arc<dyn BlobBytes>,
    pub(crate) s3: Arc<FakeS3>,
}

/// A running registry. Stops when dropped; its directory goes with it.
pub(crate) struct TestRegistry {
    pub(crate) registry: Registry,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) address: SocketAddr,
    pub(crate) directory: Arc<tempfile::TempDir>,
    pub(crate) elsewhere: Option<Elsewhere>,
    pub(crate) unpacked: bool,
    mirrors: Vec<MirrorSettings>,
    server: JoinHandle<()>,
}

impl Drop for TestRegistry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// What a test wants to be different.
pub(crate) type Adjust = fn(&mut RegistryConfig);
/// What a test puts around the store.
pub(crate) type Wrap = fn(Arc<dyn RegistryStore>) -> Arc<dyn RegistryStore>;

/// What a registry is started on.
pub(crate) struct Ground {
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) directory: Arc<tempfile::TempDir>,
    /// Where bytes lie; `None` for the directory.
    pub(crate) elsewhere: Option<Elsewhere>,
    /// Whether each blob that comes has a file of its own, as small as it may be.
    pub(crate) unpacked: bool,
    /// Which prefixes mirror other registries.
    pub(crate) mirrors: Vec<MirrorSettings>,
}

impl Ground {
    /// Nothing yet.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self::in_directory(tempfile::tempdir().expect("a temporary directory"), clock)
    }

    /// Nothing yet, in this directory.
    pub(crate) fn in_directory(directory: tempfile::TempDir, clock: Arc<dyn Clock>) -> Self {
        let (store, directory) = (Arc::new(SqliteStore::in_memory()), Arc::new(directory));
        Self { store, clock, directory, elsewhere: None, unpacked: false, mirrors: Vec::new() }
    }

    /// With these repositories.
    pub(crate) async fn with_repositories(self, names: &[&str]) -> Self {
        for repository in names {
            let made =
                Repository { name: name(repository), created: self.clock.now(), visibility: Visibility::Private };
            self.store.repository_create(&made).await.expect("a new store takes a repository");
        }
        self
    }
}

impl TestRegistry {
    /// With repositories `team/app` and `team/other`, everybody let in.
    pub(crate) async fn start() -> Self {
        Self::with(Doors::Open, |_| {}).await
    }

    pub(crate) async fn with(doors: Doors, adjust: Adjust) -> Self {
        Self::around(doors, adjust, |store| store).await
    }

    /// With each blob in a file of its own.
    pub(crate) async fn unpacked() -> Self {
        let ground =
            Ground::new(Arc::new(RunningClock::default())).with_repositories(&["team/app", "team/other"]).await;
        Self::launch(Doors::Open, |_| {}, Ground { unpacked: true, ..ground }, |store| store).await
    }

    /// With something between the registry and its store.
    pub(crate) async fn around(doors: Doors, adjust: Adjust, wrap: Wrap) -> Self {
        let mut ground =
            Ground::new(Arc::new(RunningClock::default())).with_repositories(&["team/app", "team/other"]).await;
        ground.elsewhere = crate::elsewhere().await;
        Self::launch(doors, adjust, ground, wrap).await
    }

    /// Ends this registry the hard way and starts another one on what it left behind.
    pub(crate) async fn restart(self) -> Self {
        self.restart_around(|_| {}, |store| store).await
    }

    /// The same with another configuration, and something between the registry and its store.
    pub(crate) async fn restart_around(self, adjust: Adjust, wrap: Wrap) -> Self {
        let ground = self.ground();
        drop(self);
        Self::launch(Doors::Open, adjust, ground, wrap).await
    }

    /// What this registry stands on, for another one beside it or after it.
    pub(crate) fn ground(&self) -> Ground {
        Ground {
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            directory: Arc::clone(&self.directory),
            elsewhere: self.elsewhere.clone(),
            unpacked: self.unpacked,
            mirrors: self.mirrors.clone(),
        }
    }

    pub(crate) async fn launch(doors: Doors, adjust: Adjust, ground: Ground, wrap: Wrap) -> Self {
        let store = wrap(Arc::clone(&ground.store) as Arc<dyn RegistryStore>);
        Self::on(doors, adjust, ground, store, Arc::new(OsDisk)).await.expect("a writable directory")
    }

    /// Starts a registry on this store and this disk.
    pub(crate) async fn on(
        doors: Doors,
        adjust: Adjust,
        Ground { store, clock, directory, elsewhere, unpacked, mirrors }: Ground,
        seen: Arc<dyn RegistryStore>,
        disk: Arc<dyn Disk>,
    ) -> io::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let mut config = RegistryConfig::new(directory.path());
        config.registry_hosts = vec![address.to_string()];
        let bearer = Arc::new(Bearer::default());
        let gate: Arc<dyn Gate> = match doors {
            Doors::Open => Arc::new(Open),
            Doors::Away => Arc::new(Away),
            Doors::Basic => {
                config.challenge = Challenge::Basic;
                Arc::new(Basic)
            }
            Doors::Bearer => Arc::clone(&bearer) as Arc<dyn Gate>,
        };
        adjust(&mut config);
        let ports = RegistryPorts { store: seen, clock: Arc::clone(&clock), gate, minter: Arc::new(Minter) };
        let registry = match &elsewhere {
            Some(elsewhere) => Registry::open_with(config, ports, Arc::clone(&elsewhere.bytes)),
            None if unpacked => {
                let bytes = FileBytes::open_unpacked(directory.path(), disk)?;
                Registry::open_with(config, ports, Arc::new(bytes))
            }
            None => Registry::open_on(config, ports, disk)?,
        };
        let registry = registry.with_mirrors(mirrors.clone()).expect("mirrors that fit together");
        let app = registry.router().merge(bearer.router()).into_make_service_with_connect_info::<SocketAddr>();
        let server =
            tokio::spawn(async move { axum::serve(listener, app).await.expect("the server runs until it is dropped") });
        Ok(Self { registry, store, clock, address, directory, elsewhere, unpacked, mirrors, server })
    }

    /// Where the registry keeps its files.
    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("registry")
    }

    /// The names of the staged files.
    pub(crate) fn staged(&self) -> Vec<String> {
        if let Some(Elsewhere { s3, .. }) = &self.elsewhere {
            let upload = |key: String| key.split('/').rev().nth(1).map(str::to_owned);
            return s3.uploads().into_iter().filter_map(upload).collect();
        }
        names(&self.root().join("uploads"))
    }

    /// The file in which a blob lies, and where in it.
    pub(crate) fn blob_lies(&self, digest: &Digest) -> (PathBuf, u64) {
        let store: &dyn RegistryStore = self.store.as_ref();
        let noted = store.blob_place(digest).now_or_never().expect("it is read at once").expect("a read succeeds");
        let Some(place) = noted else {
            return (self.blob_file_of(digest), 0);
        };
        let mut parts = place.as_str().split(':').skip(1);
        let pack = self.root().join("packs").join(parts.next().expect("a pack"));
        let offset = u64::from_str_radix(parts.next().expect("an offset"), 16).expect("a number");
        (pack, offset + HEADER)
    }

    /// A blob's own file, whether it has one or not.
    pub(crate) fn blob_file_of(&self, digest: &Digest) -> PathBuf {
        self.root().join("blobs").join(digest.algorithm().as_str()).join(&digest.hex()[..2]).join(digest.hex())
    }

    /// A blob's own file.
    pub(crate) fn blob_file(&self, digest: &Digest) -> PathBuf {
        let (file, begin) = self.blob_lies(digest);
        assert_eq!(begin, 0, "it lies in a pack");
        file
    }

    /// Waits until a blob is noted in a repository, which is after its bytes have come to lie where they stay.
    pub(crate) async fn until_kept(&self, repository: &str, digest: &Digest) {
        let (store, repository): (&dyn RegistryStore, _) = (self.store.as_ref(), name(repository));
        let is_noted = || async { store.blob_get(&repository, digest).await.expect("a read succeeds").is_some() };
        until_true("the blob is kept", is_noted).await;
    }

    /// The names of all blob files; of records in packs and of objects, the digests by SHA-256.
    pub(crate) fn blob_files(&self) -> Vec<String> {
        if let Some(Elsewhere { s3, .. }) = &self.elsewhere {
            let mut found: Vec<String> =
                s3.keys().iter().map(|key| Digest::sha256_of(&s3.object(key)).hex().to_owned()).collect();
            found.sort();
            return found;
        }
        let mut found = Vec::new();
        for algorithm in ["sha256", "sha512"] {
            let root = self.root().join("blobs").join(algorithm);
            for fan in names(&root) {
                found.extend(names(&root.join(fan)));
            }
        }
        let bytes = FileBytes::open(self.directory.path(), Arc::new(OsDisk)).expect("it is there");
        let mut next = None;
        loop {
            let page = bytes.list(next.as_deref()).expect("a list");
            for place in page.places.iter().filter(|place| place.as_str().starts_with("pack:")) {
                let content = bytes.open(place, Source::Any).expect("a pack").expect("it is there");
                let (mut all, length) = (Vec::new(), content.length().expect("it is known"));
                while (all.len() as u64) < length {
                    let at = all.len() as u64;
                    assert!(content.read(&mut all, 1 << 20, at, length).expect("it is read") > 0, "it is cut off");
                }
                let store: &dyn RegistryStore = self.store.as_ref();
                let longer = Algorithm::Sha512.digest_of(&all);
                let noted = store.blob_place(&longer).now_or_never().expect("it is read at once");
                let is_longer = noted.expect("a read succeeds").as_ref() == Some(place);
                found.push(if is_longer { longer } else { Digest::sha256_of(&all) }.hex().to_owned());
            }
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        found.sort();
        found
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name in UTF-8")).collect()
}
