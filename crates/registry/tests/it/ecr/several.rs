//! Several registries behind one front: which repository is where, and that each request goes there.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use layer0_domain::model::image::{ImageRef, RepositoryName};
use layer0_domain::model::placement::{BackingName, Placement, PlacementRule, RepositoryPrefix};
use layer0_domain::model::registry::Visibility;
use layer0_domain::port::BoxError;
use layer0_domain::port::clock::Clock;
use layer0_domain::port::image_source::{ImageSource, SourceAnswer};
use layer0_domain::port::registry_store::{Page, RegistryStoreError};
use layer0_registry::ecr::{Backings, Ecr, EcrSettings};
use layer0_registry::{Moved, Registry, RegistryConfig, RegistryPorts, Whereabouts};
use layer0_store::SqliteStore;
use layer0_testkit::clock::FixedClock;
use serde_json::json;
use tokio::task::JoinHandle;

use super::fake::{FakeEcr, HOST_NAME};
use super::stage::sdk;
use crate::client::Client;
use crate::common::{Minter, Open, name};

/// What the second registry is called for those who pull.
const OTHER_NAME: &str = "210987654321.dkr.ecr.eu-central-1.amazonaws.com";

/// What was moved where.
#[derive(Default)]
struct Moves(Mutex<Vec<(RepositoryName, BackingName)>>);

#[async_trait]
impl Moved for Moves {
    async fn moved_to(&self, repository: &RepositoryName) -> Result<Option<BackingName>, BoxError> {
        let moves = self.0.lock().unwrap();
        Ok(moves.iter().rev().find(|(known, _)| known == repository).map(|(_, backing)| backing.clone()))
    }
}

/// `main` with the prefix `l0`, `eu` without one for `data`, and what lies here for `dev`.
struct Several {
    main: FakeEcr,
    eu: FakeEcr,
    registry: Registry,
    client: Client,
    moves: Arc<Moves>,
    server: JoinHandle<()>,
    _directory: tempfile::TempDir,
}

impl Drop for Several {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn backing(text: &str) -> BackingName {
    BackingName::parse(text).unwrap()
}

impl Several {
    async fn start() -> Self {
        let (main, eu) = (FakeEcr::start().await, FakeEcr::start().await);
        let clock: Arc<dyn Clock> = Arc::new(FixedClock::default());
        let connect = async |ecr: &FakeEcr, prefix: &str, host: Option<&str>| {
            let settings = EcrSettings {
                prefix: prefix.to_owned(),
                host: host.map(str::to_owned),
                endpoint: Some(format!("http://{}", ecr.address)),
                ..EcrSettings::default()
            };
            Ecr::connect(&sdk(ecr.address), settings, clock.clone()).await.unwrap().of_instance("prod-0123456789")
        };
        let ecr = vec![
            (backing("main"), connect(&main, "l0", None).await),
            (backing("eu"), connect(&eu, "", Some(OTHER_NAME)).await),
        ];
        let rule = |prefix: &str, to: &str| PlacementRule {
            prefix: RepositoryPrefix::parse(prefix).unwrap(),
            backing: backing(to),
        };
        let placement = Placement::new(vec![rule("data", "eu"), rule("dev", "local")], backing("main")).unwrap();
        let store = Arc::new(SqliteStore::in_memory());
        let moves = Arc::new(Moves::default());
        let whereabouts = Whereabouts::new(store.clone(), placement).but_for(moves.clone());
        let directory = tempfile::tempdir().unwrap();
        let mut config = RegistryConfig::new(directory.path());
        config.create_on_push = true;
        config.registry_hosts = vec!["localhost:9090".to_owned()];
        let ports = RegistryPorts { store, clock, gate: Arc::new(Open), minter: Arc::new(Minter) };
        let registry = Registry::open_over(config, ports, Backings::new(ecr, Arc::new(whereabouts))).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::at(listener.local_addr().unwrap());
        let app = registry.router().into_make_service_with_connect_info::<SocketAddr>();
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { main, eu, registry, client, moves, server, _directory: directory }
    }

    async fn list(&self, owner: Option<&str>, page: Page) -> Vec<String> {
        let found = self.registry.repository_list(owner, page).await.unwrap();
        found.into_iter().map(|it| it.name.to_string()).collect()
    }

    async fn uri(&self, text: &str) -> Option<String> {
        self.registry.repository_place(&name(text)).await.unwrap().map(|place| place.uri_of(&name(text)))
    }
}

fn puts(ecr: &FakeEcr) -> Vec<String> {
    let of = |came: super::fake::Came| (came.path.contains("/manifests/") && came.method == "PUT").then_some(came.path);
    ecr.came().into_iter().filter_map(of).collect()
}

#[tokio::test]
async fn a_push_goes_where_the_rules_say_and_a_pull_finds_it_there() {
    let several = Several::start().await;
    for repository in ["team/app", "data/set", "dev/app"] {
        let (manifest, _) = several.client.push_image(repository, "1", "layer").await;
        let pulled = several.client.get(&format!("/v2/{repository}/manifests/1")).await.expect(200);
        assert_eq!(pulled.json(), manifest);
    }
    assert_eq!(puts(&several.main), ["/v2/l0/team/app/manifests/1"]);
    assert_eq!(puts(&several.eu), ["/v2/data/set/manifests/1"]);
    assert_eq!(several.uri("team/app").await, Some(format!("{HOST_NAME}/l0/team/app")));
    assert_eq!(several.uri("data/set").await, Some(format!("{OTHER_NAME}/data/set")));
    assert_eq!(several.uri("dev/app").await, None);
}

#[tokio::test]
async fn lists_gather_from_all_of_them_each_repository_from_where_it_lies() {
    let several = Several::start().await;
    for made in ["team/b", "data/a", "dev/c", "team/a", "dev/a"] {
        several.registry.repository_create(name(made), Visibility::Private).await.unwrap();
    }
    // Names that lead elsewhere: nobody could reach these.
    several.main.repository("l0/data/stray").await;
    several.eu.repository("team/stray").await;
    let all = ["data/a", "dev/a", "dev/c", "team/a", "team/b"];
    assert_eq!(several.list(None, Page::default()).await, all);
    assert_eq!(several.list(Some("team"), Page::default()).await, ["team/a", "team/b"]);
    let mut seen = Vec::new();
    while seen.len() < all.len() {
        let page = several.list(None, Page { after: seen.last().cloned(), most: Some(2) }).await;
        assert!(!page.is_empty() && page.len() <= 2, "{page:?}");
        seen.extend(page);
    }
    assert_eq!(seen, all);
    let catalog = several.client.get("/v2/_catalog").await.expect(200).json();
    assert_eq!(catalog, json!({ "repositories": all }));
}

#[tokio::test]
async fn what_was_here_before_the_rules_stays_until_it_is_moved() {
    let several = Several::start().await;
    several.moves.0.lock().unwrap().push((name("team/old"), BackingName::local()));
    several.client.push_image("team/old", "1", "layer").await;
    several.moves.0.lock().unwrap().clear();
    // No rule sends it here, and here it is.
    assert_eq!(several.uri("team/old").await, None);
    several.client.get("/v2/team/old/manifests/1").await.expect(200);
    assert!(puts(&several.main).is_empty());
    let again = several.registry.repository_create(name("team/old"), Visibility::Private).await.unwrap_err();
    assert!(matches!(again, RegistryStoreError::RepositoryExists(_)), "{again}");

    several.moves.0.lock().unwrap().push((name("team/old"), backing("eu")));
    assert_eq!(several.uri("team/old").await, Some(format!("{OTHER_NAME}/team/old")));
    several.client.get("/v2/team/old/manifests/1").await.expect(404);
    several.client.push_image("team/old", "2", "layer").await;
    assert_eq!(puts(&several.eu), ["/v2/team/old/manifests/2"]);
    assert_eq!(several.list(Some("team"), Page::default()).await, ["team/old"]);
    // A registry that the configuration has no more is said, not guessed around.
    several.moves.0.lock().unwrap().push((name("team/old"), backing("gone")));
    let lost = several.registry.repository_get(&name("team/old")).await.unwrap_err();
    assert!(std::error::Error::source(&lost).is_some_and(|why| why.to_string().contains("`gone`")), "{lost:?}");
    several.client.get("/v2/team/old/manifests/2").await.expect(500);
}

#[tokio::test]
async fn nothing_is_mounted_from_another_registry() {
    let several = Several::start().await;
    several.main.mounting();
    several.registry.repository_create(name("team/other"), Visibility::Private).await.unwrap();
    let digest = several.client.push("team/app", "a layer").await;
    several.client.push("data/set", "a layer").await;
    let mount = async |to: &str, from: &str| {
        several.client.post(&format!("/v2/{to}/blobs/uploads/?mount={digest}&from={from}")).await.status
    };
    assert_eq!(mount("team/other", "team/app").await, 201);
    assert_eq!(mount("team/other", "data/set").await, 202);
    assert_eq!(mount("dev/app", "team/app").await, 202);
    assert!(several.eu.came().iter().all(|came| !came.path.contains("mount=")));
    assert!(several.main.came().iter().all(|came| !came.path.contains("from=data")));
}

#[tokio::test]
async fn an_image_is_described_from_the_registry_whose_address_it_has() {
    let several = Several::start().await;
    let describe = async |text: String| several.registry.describe(&ImageRef::parse(&text).unwrap()).await.unwrap();
    for (repository, uri) in [
        ("team/app", format!("{HOST_NAME}/l0/team/app")),
        ("data/set", format!("{OTHER_NAME}/data/set")),
        ("dev/app", "localhost:9090/dev/app".to_owned()),
    ] {
        let (_, digest) = several.client.push_image(repository, "1", "layer").await;
        let found = describe(format!("{uri}:1")).await;
        assert!(matches!(&found, SourceAnswer::Found(found) if found.digest == digest), "{uri}: {found:?}");
        // By the address of the front it is the same image, wherever it lies.
        assert_eq!(describe(format!("localhost:9090/{repository}:1")).await, found);
    }
    assert_eq!(describe(format!("{HOST_NAME}/team/app:1")).await, SourceAnswer::NotOurs);
}
