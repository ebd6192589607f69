//! Whole requests against a registry in this process: its router, a store, and a directory of its own.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, Bytes};
use futures_util::stream;
use http::header::{CONTENT_LENGTH, HOST, LOCATION};
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Limited};
use layer0_domain::model::access::{Action, Caller, Rights, Scope, Secret, Who};
use layer0_domain::model::digest::{Algorithm, Digest};
use layer0_domain::model::id::TokenId;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::name::Name;
use layer0_domain::model::registry::Visibility;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::BoxError;
use layer0_domain::port::clock::Clock;
use layer0_domain::port::image_source::PullCredential;
use layer0_domain::port::registry_store::{Page, RegistryStore};
use serde_json::json;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

use super::answer::Answer;
use super::script::{self, Delivery, Line};
use crate::config::RegistryConfig;
use crate::gate::{Admission, Gate, PullCredentialMinter};
use crate::manifest::document::OCI_MANIFEST;
use crate::path::Target;
use crate::registry::{Registry, RegistryPorts};
use crate::uploads::{Claim, Push, Share, UploadId};

/// The repositories that are there. Everybody may do everything in the first two, nobody anything in the last.
const REPOSITORIES: [&str; 3] = ["team/app", "team/other", "secret/app"];
/// No more of a script is read, in bytes.
const SCRIPT_MAX: usize = 8 << 10;
/// What is in `secret/app` and nowhere else. No script can bring it along: it is longer than a script, and a fuzzer learns
/// short contents from what they are compared with. No word stands for any byte of it.
const HIDDEN: &[u8] = &[0x8e; SCRIPT_MAX + 1];
const CONFIG: &str = "{}";
const LAYER: &str = "layer";
/// No answer to a script of a few KiB may be longer.
const ANSWER_MAX: usize = 8 << 20;

/// A registry with something in it.
pub struct World {
    runtime: Runtime,
    registry: Registry,
    router: Router,
    store: Arc<dyn RegistryStore>,
    root: PathBuf,
    image: String,
}

impl World {
    /// Opens a registry on an empty store and an empty directory.
    ///
    /// # Panics
    /// When the machine has no thread or no file to give.
    #[must_use]
    pub fn new(store: Arc<dyn RegistryStore>, directory: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a thread is free");
        let mut config = RegistryConfig::new(directory);
        // Uploads that a script leaves behind are swept after it.
        config.upload_expiry = Duration::ZERO;
        let clock: Arc<dyn Clock> = Arc::new(Ticks::default());
        let (gate, minter) = (Arc::new(Owners), Arc::new(Nobody));
        let ports = RegistryPorts { store: Arc::clone(&store), clock, gate, minter };
        let registry = Registry::open(config, ports).expect("the directory can be written to");
        let descriptor = |media_type: &str, content: &str| json!({ "mediaType": media_type, "digest": digest(content), "size": content.len() });
        let image = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", CONFIG),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", LAYER)],
        })
        .to_string();
        let root = directory.join("registry");
        let world = Self { runtime, router: registry.router(), registry, store, root, image };
        world.runtime.block_on(world.fill());
        world
    }

    /// Makes the requests of a script, one after the other, and judges each answer; in the end all is as it was.
    ///
    /// # Panics
    /// Where the registry breaks a promise.
    pub fn run(&self, script: &[u8]) {
        let script = &script[..script.len().min(SCRIPT_MAX)];
        self.runtime.block_on(async {
            let mut known = Known::default();
            let mut changed = false;
            for line in script::requests(script) {
                if let Some((method, answer)) = self.ask(&line, &mut known).await {
                    changed |= ![Method::GET, Method::HEAD].contains(&method) && answer.status.is_success();
                }
            }
            self.nothing_leaked().await;
            if changed {
                self.empty().await;
                self.fill().await;
            }
        });
    }

    async fn ask(&self, line: &Line<'_>, known: &mut Known) -> Option<(Method, Answer)> {
        let content: [(&str, String); 4] = [
            ("$CONFIG", digest(CONFIG)),
            ("$LAYER", digest(LAYER)),
            ("$IMAGE", digest(&self.image)),
            ("$HIDDEN", digest(HIDDEN)),
        ];
        let mut words = content.to_vec();
        words.push(("$LAST", known.last.clone()));
        let body = script::fill(line.body, &words);
        words.push(("$BODY", digest(&body)));
        words.push(("$ID", known.upload.clone()));
        let path = script::uri(&script::fill(line.path, &words))?;
        let mut request = Request::builder().method(line.method.clone()).uri(path.clone());
        let headers = request.headers_mut()?;
        for (name, value) in &line.headers {
            if let Some(value) = script::value(&script::fill(value, &words)) {
                headers.append(name, value);
            }
        }
        // The server in front of the router has seen to these two.
        headers.entry(HOST).or_insert(http::HeaderValue::from_static("localhost"));
        headers.remove(CONTENT_LENGTH);
        if line.delivery != Delivery::Pieces {
            headers.insert(CONTENT_LENGTH, body.len().into());
        }
        let request = request.body(deliver(body, line.delivery)).ok()?;
        let Ok(response) = self.router.clone().oneshot(request).await;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_MAX).collect().await.expect("an answer is sent whole and is no flood");
        let answer = Answer { status: parts.status, headers: parts.headers, body: body.to_bytes() };
        answer.judge(&line.method, &path.to_string());
        self.keeps_owners_apart(&path, &answer);
        known.learn(&answer);
        Some((line.method.clone(), answer))
    }

    /// What the gate refuses is refused, whatever the rest of the request says.
    fn keeps_owners_apart(&self, path: &http::Uri, answer: &Answer) {
        let name = match Target::parse(path.path()) {
            Some(
                Target::Blob { name, .. }
                | Target::Uploads { name }
                | Target::Upload { name, .. }
                | Target::Manifest { name, .. }
                | Target::Tags { name }
                | Target::Referrers { name, .. },
            ) => name,
            None | Some(Target::Base | Target::Catalog) => return,
        };
        if RepositoryName::parse(&name).is_ok_and(|name| name.owner() == "secret") {
            assert!(matches!(answer.status.as_u16(), 400 | 403 | 405), "{path}: {answer:?}");
        }
        assert!(!answer.body.windows(HIDDEN.len()).any(|window| window == HIDDEN), "{path}: {answer:?}");
    }

    /// The repository that nobody may touch is as it was, and what it holds is nowhere else.
    async fn nothing_leaked(&self) {
        let secret = name(REPOSITORIES[2]);
        let holders = self.store.blob_holders(&Digest::sha256_of(HIDDEN)).await.expect("the store answers");
        let holders: Vec<&RepositoryName> = holders.iter().map(|(name, _)| name).collect();
        assert_eq!(holders, [&secret]);
        let tags = self.store.tag_list(&secret, Page::default()).await.expect("the store answers");
        assert_eq!(tags, Some(vec![]));
    }

    /// Takes all away. What is then left was kept by mistake.
    async fn empty(&self) {
        for repository in REPOSITORIES {
            self.registry.repository_delete(&name(repository), false).await.expect("no script deletes a repository");
        }
        self.registry.sweep().await.expect("the directory can be read");
        let mut left = [files(&self.root.join("blobs")), files(&self.root.join("uploads"))].concat();
        let (bytes, mut next) = (&self.registry.parts().bytes, None::<String>);
        loop {
            let page = bytes.list(next.as_deref()).expect("the directory can be read");
            left.extend(page.places.iter().map(|place| place.as_str().into()));
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        assert!(left.is_empty(), "left behind: {left:?}");
        let repositories = self.store.repository_list(None, Page::default()).await.expect("the store answers");
        assert_eq!(repositories, []);
    }

    async fn fill(&self) {
        for repository in REPOSITORIES {
            self.registry.repository_create(name(repository), Visibility::Private).await.expect("the store is empty");
        }
        let parts = self.registry.parts();
        for (repository, content) in [
            (REPOSITORIES[0], CONFIG.as_bytes()),
            (REPOSITORIES[0], LAYER.as_bytes()),
            (REPOSITORIES[2], CONFIG.as_bytes()),
            (REPOSITORIES[2], HIDDEN),
        ] {
            let (repository, now) = (name(repository), parts.clock.now());
            let id = UploadId::new(parts.clock.random(), &repository);
            let begun = parts.uploads.begin_private(id, Algorithm::Sha256, Share::nobodys(), now).await;
            let upload = begun.expect("an upload begins");
            let mut held = upload.hold().expect("nobody else writes");
            held.append(content).expect("the directory can be written to");
            let digest = Algorithm::Sha256.digest_of(content);
            let taken = upload.finish(held, Claim::Said(digest), Push::alone(repository, now), &parts.blobs).await;
            taken.expect("a blob is taken in");
        }
        let request = Request::put("/v2/team/app/manifests/1").header(HOST, "localhost");
        let request = request.body(Body::from(self.image.clone())).expect("a request");
        let Ok(answer) = self.router.clone().oneshot(request).await;
        assert_eq!(answer.status().as_u16(), 201);
    }
}

/// What a script's later requests can name.
#[derive(Default)]
struct Known {
    /// The name of the upload begun last.
    upload: String,
    /// The digest in the last answer that had one.
    last: String,
}

impl Known {
    fn learn(&mut self, answer: &Answer) {
        if let Some(Target::Upload { id, .. }) = answer.text(&LOCATION).and_then(Target::parse) {
            self.upload = id;
        }
        if let Some(digest) = answer.digest() {
            self.last = digest.to_string();
        }
    }
}

fn deliver(body: Vec<u8>, delivery: Delivery) -> Body {
    let half = body.len() / 2;
    match delivery {
        Delivery::Whole => Body::from(body),
        Delivery::Pieces => {
            let pieces: Vec<Bytes> = body.chunks(half.max(1)).map(Bytes::copy_from_slice).collect();
            Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, Infallible>)))
        }
        Delivery::Broken => {
            let first = Bytes::copy_from_slice(&body[..half]);
            Body::from_stream(stream::iter([Ok(first), Err(io::Error::from(io::ErrorKind::ConnectionReset))]))
        }
    }
}

fn digest(content: impl AsRef<[u8]>) -> String {
    Digest::sha256_of(content.as_ref()).to_string()
}

fn name(text: &str) -> RepositoryName {
    RepositoryName::parse(text).expect("a legal name")
}

/// All files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("the directory is there") {
        let path = entry.expect("a directory can be listed").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Lets everybody into everything but what is `secret`, and asks those who come for `stranger` who they are.
struct Owners;

#[async_trait]
impl Gate for Owners {
    async fn admit(
        &self,
        _: &HeaderMap,
        _: Option<SocketAddr>,
        want: Option<(&RepositoryName, &[Action])>,
    ) -> Admission {
        match want.map(|(repository, _)| repository.owner()) {
            Some("secret") => Admission::Forbidden(fuzzer()),
            Some("stranger") => Admission::Challenge,
            _ => Admission::Allowed(fuzzer()),
        }
    }

    async fn ended(&self, _: HeaderMap, _: Option<SocketAddr>, _: RepositoryName, _: Action) {
        std::future::pending().await
    }
}

/// Somebody with a right to what is the team's.
fn fuzzer() -> Caller {
    let scope = Scope::parse("pull,push,delete:team/*").expect("a scope");
    let who = Who::User(Name::parse("fuzzer").expect("a legal name"));
    Caller { who, token: TokenId::parse("t1").ok(), rights: Rights::scopes(vec![scope]) }
}

/// Nobody pulls by credential here.
struct Nobody;

#[async_trait]
impl PullCredentialMinter for Nobody {
    async fn mint(&self, _: &RepositoryName) -> Result<PullCredential, BoxError> {
        Ok(PullCredential { username: "nobody".to_owned(), password: Secret::new("") })
    }
}

/// A time that stands still, and names of uploads that are all different for as long as any of them lives.
#[derive(Default)]
struct Ticks {
    next: AtomicU8,
}

impl Clock for Ticks {
    fn now(&self) -> Timestamp {
        Timestamp(1_704_067_200_000)
    }

    fn random(&self) -> [u8; 32] {
        [self.next.fetch_add(1, Ordering::Relaxed); 32]
    }
}
