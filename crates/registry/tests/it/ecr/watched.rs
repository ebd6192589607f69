//! Who may do what is asked of one gate, in the same words wherever a repository lies; and what is under way ends with the
//! right to it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use layer0_domain::model::access::{Action, Rights, Scope};
use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_registry::ecr::{Blobs, EcrSettings};
use layer0_registry::{Admission, Gate, ROUTES, Registry, RegistryConfig, RegistryPorts};
use layer0_store::SqliteStore;
use layer0_testkit::clock::RunningClock;
use layer0_testkit::until::ends;
use serde_json::json;
use tokio::sync::watch;

use super::stage::{Otherwise, Stage};
use crate::client::{Client, OCI_MANIFEST, image, noise, pieces};
use crate::common::{Minter, caller};

/// What a gate was asked: a repository and actions, or `None` for whether it is somebody.
type Asked = Option<(String, Vec<Action>)>;

/// A gate that lets in whoever has these rights, remembers what it was asked, and ends what is under way when it is told to.
struct Watched {
    /// `None`: it knows nobody.
    rights: Option<Rights>,
    asked: Mutex<Vec<Asked>>,
    /// How many have asked so far to hear of the end of their right.
    under_way: watch::Sender<usize>,
    has_ended: watch::Sender<bool>,
}

impl Watched {
    fn new(scopes: Option<&str>) -> Arc<Self> {
        let rights = scopes.map(|text| Rights::scopes(vec![Scope::parse(text).unwrap()]));
        let (under_way, has_ended) = (watch::Sender::new(0), watch::Sender::new(false));
        Arc::new(Self { rights, asked: Mutex::default(), under_way, has_ended })
    }

    fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until something is under way that was not before, and ends all rights while it is.
    async fn end(&self, before: usize) {
        let mut under_way = self.under_way.subscribe();
        ends("it is under way", under_way.wait_for(|count| *count > before)).await.unwrap();
        self.has_ended.send_replace(true);
    }
}

#[async_trait]
impl Gate for Watched {
    async fn admit(
        &self,
        _: &HeaderMap,
        _: Option<SocketAddr>,
        want: Option<(&RepositoryName, &[Action])>,
    ) -> Admission {
        let asked = want.map(|(name, actions)| (name.to_string(), actions.to_vec()));
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
        let Some(rights) = &self.rights else { return Admission::Challenge };
        match want {
            Some((name, actions)) if !actions.iter().all(|action| rights.may(*action, name.into())) => {
                Admission::Forbidden(caller(rights.clone()))
            }
            _ => Admission::Allowed(caller(rights.clone())),
        }
    }

    async fn ended(&self, _: HeaderMap, _: Option<SocketAddr>, _: RepositoryName, _: Action) {
        let mut has_ended = self.has_ended.subscribe();
        self.under_way.send_modify(|count| *count += 1);
        has_ended.wait_for(|has_ended| *has_ended).await.expect("the gate is there");
    }
}

async fn stage_with(gate: &Arc<Watched>, otherwise: Otherwise) -> Stage {
    let stage = Stage::with(Otherwise { gate: Some(Arc::clone(gate) as _), ..otherwise }).await;
    stage.ecr.repository("team/app").await;
    stage
}

/// So the table of who may do what, which is shown for the one, holds for the other.
#[tokio::test]
async fn both_backings_ask_the_same_of_a_caller() {
    let gate = Watched::new(None);
    let stage = stage_with(&gate, Otherwise::default()).await;
    let directory = tempfile::tempdir().unwrap();
    let ports = RegistryPorts {
        store: Arc::new(SqliteStore::in_memory()),
        clock: Arc::new(RunningClock::default()),
        gate: Arc::clone(&gate) as _,
        minter: Arc::new(Minter),
    };
    let local = Registry::open(RegistryConfig::new(directory.path()), ports).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = Client::at(listener.local_addr().unwrap());
    let app = local.router().into_make_service_with_connect_info::<SocketAddr>();
    let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });

    let digest = Digest::sha256_of(b"x").to_string();
    for (form, methods) in ROUTES {
        let path = form.replace("<name>", "team/app").replace("<digest>", &digest);
        let path = path.replace("<reference>", "1").replace("<id>", "7");
        // And a method that it does not take.
        for method in methods.split(", ").chain(["TRACE"]) {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            for client in [&here, &stage.client] {
                client.ask(method.clone(), &path, &[], "").await.expect(401);
            }
            let asked = gate.take();
            assert_eq!(asked.len(), 2, "{method} {path}: {asked:?}");
            assert_eq!(asked[0], asked[1], "{method} {path}");
            let is_of_one = form.contains("<name>") && method != "TRACE";
            assert_eq!(asked[0].is_some(), is_of_one, "{method} {path}: {asked:?}");
        }
    }
    server.abort();
}

#[tokio::test]
async fn rights_reach_down_to_tags_and_lists_show_what_may_be_pulled() {
    let gate = Watched::new(Some("pull,push,delete:team/*:dev-*"));
    let stage = stage_with(&gate, Otherwise::default()).await;
    stage.ecr.repository("other/app").await;
    let client = &stage.client;
    for content in ["{}", "layer"] {
        client.push("team/app", content).await;
    }
    let manifest = image("{}", &["layer"]);
    client.put_manifest("team/app", "dev-1", &manifest).await.expect(201);
    let came = stage.ecr.came().len();
    let digest = Digest::sha256_of(manifest.to_string().as_bytes());
    for reference in ["v1".to_owned(), format!("{digest}?tag=v1"), format!("{digest}?tag=dev-2&tag=v1")] {
        let refused = client.put_manifest("team/app", &reference, &manifest).await;
        assert_eq!(refused.error(), (403, "DENIED".to_owned()), "{reference}");
    }
    for reference in ["v1".to_owned(), digest.to_string()] {
        let refused = client.delete(&format!("/v2/team/app/manifests/{reference}")).await;
        assert_eq!(refused.error(), (403, "DENIED".to_owned()), "{reference}");
    }
    for path in ["manifests/1", "tags/list", &format!("blobs/{digest}"), &format!("referrers/{digest}")] {
        let refused = client.get(&format!("/v2/other/app/{path}")).await;
        assert_eq!(refused.error(), (403, "DENIED".to_owned()), "{path}");
    }
    assert_eq!(stage.ecr.came().len(), came, "nothing of it went to ECR");
    assert_eq!(client.get("/v2/_catalog").await.expect(200).json()["repositories"], json!(["team/app"]));
    client.delete("/v2/team/app/manifests/dev-1").await.expect(202);
}

#[tokio::test]
async fn a_running_upload_to_ecr_ends_with_the_right_to_it() {
    let gate = Watched::new(Some("pull,push:team/*"));
    let stage = stage_with(&gate, Otherwise::default()).await;
    let content = noise(1 << 20);
    let digest = Digest::sha256_of(&content);
    // In one stream, as a chunk that is gathered here, with the request that ends it, and all in one.
    let range = [("content-range", "0-2097151")];
    for (method, query, headers) in [
        (Method::PATCH, String::new(), &[][..]),
        (Method::PATCH, String::new(), &range[..]),
        (Method::PUT, format!("?digest={digest}"), &[][..]),
        (Method::POST, format!("?digest={digest}"), &[][..]),
    ] {
        let path = match method {
            Method::POST => "/v2/team/app/blobs/uploads/".to_owned(),
            _ => stage.client.begin("team/app").await,
        };
        let before = *gate.under_way.borrow();
        let (sender, body) = pieces();
        let path = format!("{path}{query}");
        let upload = stage.client.send(method.clone(), &path, headers, body);
        let ending = async {
            sender.send(content.clone().into()).await.unwrap();
            gate.end(before).await;
        };
        let (got, ()) = ends("the upload ends", async { tokio::join!(upload, ending) }).await;
        assert_eq!(got.error(), (401, "UNAUTHORIZED".to_owned()), "{method} {headers:?}");
        // All that it lacked was the end of its body.
        drop(sender);
        gate.has_ended.send_replace(false);
        let blob = format!("/v2/team/app/blobs/{digest}");
        stage.client.head(&blob).await.expect(404);
    }
}

/// Far more than the buffers between three that do not read hold.
const LARGE: usize = 32 << 20;

#[tokio::test]
async fn a_running_download_from_ecr_ends_with_the_right_to_it() {
    let gate = Watched::new(Some("pull,push:team/*"));
    let settings = EcrSettings { blobs: Blobs::Streamed, ..EcrSettings::default() };
    let stage = stage_with(&gate, Otherwise { settings, ..Otherwise::default() }).await;
    let content = noise(LARGE);
    let digest = stage.client.push("team/app", content.clone()).await;
    let before = *gate.under_way.borrow();
    let mut answer = stage.client.begin_get(&format!("/v2/team/app/blobs/{digest}")).await;
    assert_eq!(answer.status(), 200);
    gate.end(before).await;
    let mut came = 0;
    let is_broken = loop {
        match answer.frame().await {
            Some(Ok(frame)) => came += frame.data_ref().unwrap().len(),
            Some(Err(_)) => break true,
            None => break false,
        }
    };
    assert!(is_broken && came < LARGE, "{came} bytes of {LARGE} came");
}

/// The silence of a client is no reason to keep ECR waiting.
#[tokio::test]
async fn a_client_that_goes_silent_is_given_up_before_ecr() {
    let gate = Watched::new(Some("pull,push:team/*"));
    let body_idle = Some(Duration::from_millis(100));
    let stage = stage_with(&gate, Otherwise { body_idle, ..Otherwise::default() }).await;
    let (one, two) = (stage.client.begin("team/app").await, stage.client.begin("team/app").await);
    let manifest = "/v2/team/app/manifests/1".to_owned();
    for (method, path, headers) in [
        (Method::PATCH, one, &[][..]),
        (Method::PATCH, two, &[("content-range", "0-99")][..]),
        (Method::PUT, manifest, &[("content-type", OCI_MANIFEST)][..]),
    ] {
        let (sender, body) = pieces();
        sender.send("some".into()).await.unwrap();
        let got = ends("it is given up", stage.client.send(method.clone(), &path, headers, body)).await;
        assert_eq!(got.status, 408, "{method} {path} {headers:?}: {got:?}");
    }
    let got = stage.client.get("/v2/team/app/manifests/1").await;
    assert_eq!(got.error(), (404, "MANIFEST_UNKNOWN".to_owned()));
}
