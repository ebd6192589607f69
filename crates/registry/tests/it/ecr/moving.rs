//! A repository that moves between the embedded registry and ECR while it is pulled from and pushed to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use http::{Method, StatusCode};
use layer0_domain::model::digest::Digest;
use layer0_domain::model::glob::Glob;
use layer0_domain::model::home::{Home, Migration, Source, Stage as Move};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::owner::TagRule;
use layer0_domain::model::placement::{BackingName, Placement};
use layer0_domain::model::registry::Visibility;
use layer0_domain::model::retention::RetentionRule;
use layer0_domain::model::time::{Generation, Timestamp};
use layer0_domain::ops::copy::{Copier, Counters};
use layer0_domain::plan::retention::{Wanted, plan};
use layer0_domain::port::BoxError;
use layer0_domain::port::clock::Clock;
use layer0_domain::port::home_store::HomeStore;
use layer0_domain::port::image_end::ImageEnd;
use layer0_domain::port::public_store::PublicStore as _;
use layer0_domain::port::registry_store::RegistryStore;
use layer0_registry::ecr::{Backings, Ecr, EcrSettings, Quotas, TagRules};
use layer0_registry::{Collection, Haste, Homes, Registry, RegistryConfig, RegistryPorts, Whereabouts, Writers};
use layer0_store::SqliteStore;
use layer0_testkit::image_end_suite::sample::{Sample, content, image, index, referrer};
use layer0_testkit::image_end_suite::{self as suite, Stage};
use layer0_testkit::until::until_true;
use tokio::task::JoinHandle;

use super::fake::FakeEcr;
use super::stage::{INSTANCE, sdk};
use crate::client::Client;
use crate::common::{Minter, Open, name};

/// A server with the embedded registry and one in ECR, and a store that others write to.
struct Server {
    registry: Registry,
    client: Client,
    serving: JoinHandle<()>,
    _directory: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// What the owner of a repository says: nobody moves the tag `fixed`, and so much it may take at most.
#[derive(Default)]
struct Owner(Mutex<Option<u64>>);

#[async_trait]
impl TagRules for Owner {
    async fn of_owner(&self, _: &RepositoryName) -> Result<Vec<TagRule>, BoxError> {
        let glob = |text| Glob::parse(text).map_err(BoxError::from);
        Ok(vec![TagRule { repositories: glob("*")?, tags: glob("fixed")?, except: vec![] }])
    }
}

#[async_trait]
impl Quotas for Owner {
    async fn of_owner(&self, _: &RepositoryName) -> Result<Option<u64>, BoxError> {
        Ok(*self.0.lock().unwrap())
    }
}

struct Yard {
    ecr: FakeEcr,
    store: SqliteStore,
    owner: Arc<Owner>,
    server: Server,
}

fn ecr() -> BackingName {
    BackingName::parse("ecr").unwrap()
}

impl Yard {
    async fn start() -> Self {
        let (ecr, store, owner) = (FakeEcr::start().await, SqliteStore::in_memory(), Arc::new(Owner::default()));
        let server = Server::start(&ecr, &store, &owner).await;
        Self { ecr, store, owner, server }
    }

    fn end(&self, backing: &BackingName) -> Arc<dyn ImageEnd> {
        self.server.registry.end(backing, &name("team/app")).unwrap()
    }

    /// With the repository in the embedded registry, on the move to ECR.
    async fn moving() -> Self {
        let this = Self::start().await;
        this.server.registry.repository_create(name("team/app"), Visibility::Private).await.unwrap();
        this.end(&ecr()).prepare(Visibility::Private).await.unwrap();
        this.write(Move::Copying, &BackingName::local()).await;
        // What the mover waits for before it closes a repository.
        this.known("the server knows that it is on the move", |home| home.migration.stage == Move::Copying).await;
        this
    }

    /// Waits until the server has heard of what another one wrote.
    async fn known(&self, what: &str, is: impl Fn(&Home) -> bool) {
        let homes = self.server.registry.homes().unwrap();
        until_true(what, || async { homes.of(&name("team/app")).await.unwrap().is_some_and(|home| is(&home)) }).await;
    }

    /// Writes the row behind the back of the server, as another one does.
    async fn write(&self, stage: Move, backing: &BackingName) {
        let repository = name("team/app");
        let read = self.store.home_get(&repository).await.unwrap();
        let migration = Migration::new(BackingName::local(), ecr(), Source::Keep, Timestamp(0));
        let migration = Migration { stage, ..migration };
        let home = Home { repository, backing: backing.clone(), migration, generation: Generation::default() };
        self.store.home_put(&home, read.map(|it| it.generation)).await.unwrap().unwrap();
    }

    /// Copies what is there, and lets ECR answer.
    async fn switch(&self) {
        self.switch_to(Move::Moved).await;
    }

    async fn switch_to(&self, stage: Move) {
        let (from, to, counters) = (self.end(&BackingName::local()), self.end(&ecr()), Counters::default());
        let mut copier = Copier::new(from.as_ref(), to.as_ref(), &counters);
        while !copier.pass().await.unwrap().found_nothing {}
        self.write(stage, &ecr()).await;
    }

    async fn closed_until(&self, seconds: i64) {
        let until = self.ecr.clock.now().plus_ms(seconds * 1000);
        self.write(Move::Closing(until), &BackingName::local()).await;
    }
}

impl Server {
    async fn start(ecr: &FakeEcr, store: &SqliteStore, owner: &Arc<Owner>) -> Self {
        let clock = Arc::clone(&ecr.clock) as Arc<dyn Clock>;
        let settings = EcrSettings {
            endpoint: Some(format!("http://{}", ecr.address)),
            prefix: "l0".to_owned(),
            ..EcrSettings::default()
        };
        let behind = Ecr::connect(&sdk(ecr.address), settings, Arc::clone(&clock)).await.unwrap().of_instance(INSTANCE);
        let behind = behind.open_to_all_of(Arc::new(store.clone())).ruled_by(owner.clone()).bounded_by(owner.clone());
        let homes = Arc::new(Homes::new(Arc::new(store.clone()), Writers::Several));
        let here = Arc::new(store.clone()) as Arc<dyn RegistryStore>;
        let whereabouts = Whereabouts::new(Arc::clone(&here), Placement::all_to(BackingName::local()));
        let whereabouts = Arc::new(whereabouts.but_for(Arc::clone(&homes) as Arc<dyn layer0_registry::Moved>));
        let backings = Backings::new(vec![(self::ecr(), behind)], whereabouts);
        let directory = tempfile::tempdir().unwrap();
        let ports = RegistryPorts { store: here, clock, gate: Arc::new(Open), minter: Arc::new(Minter) };
        let registry = Registry::open_over(RegistryConfig::new(directory.path()), ports, backings).unwrap();
        let registry = registry.with_homes(homes);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = registry.router().into_make_service_with_connect_info::<SocketAddr>();
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { registry, client: Client::at(address), serving, _directory: directory }
    }

    async fn push_blobs(&self, sample: &Sample) {
        for blob in &sample.blobs {
            let path = format!("/v2/team/app/blobs/uploads/?digest={}", Digest::sha256_of(blob));
            let pushed = self.client.ask(Method::POST, &path, &[], blob.clone()).await;
            assert_eq!(pushed.status, StatusCode::CREATED, "{pushed:?}");
        }
    }

    async fn push_manifest(&self, sample: &Sample, tag: &str) -> crate::client::Answer {
        let headers = [("content-type", sample.manifest.media_type.as_str())];
        let path = format!("/v2/team/app/manifests/{tag}");
        self.client.ask(Method::PUT, &path, &headers, sample.manifest.bytes.clone()).await
    }

    async fn pull(&self, tag: &str) -> crate::client::Answer {
        self.client.ask(Method::GET, &format!("/v2/team/app/manifests/{tag}"), &[], "").await
    }
}

struct InEcr {
    end: Arc<dyn ImageEnd>,
    _yard: Yard,
}

#[async_trait]
impl Stage for InEcr {
    fn end(&self) -> &dyn ImageEnd {
        self.end.as_ref()
    }
}

#[tokio::test]
async fn the_suite_of_ends_holds_in_ecr() {
    suite::run_all(async || {
        let yard = Yard::start().await;
        let end = yard.end(&ecr());
        Box::new(InEcr { end, _yard: yard }) as Box<dyn Stage>
    })
    .await;
}

#[tokio::test]
async fn a_repository_comes_over_whole_and_back() {
    let yard = Yard::moving().await;
    let local = yard.end(&BackingName::local());
    let (one, two) = (image("one"), image("two"));
    let over = index(&[&one, &two]);
    for sample in [&one, &two] {
        sample.push(local.as_ref(), &[]).await;
    }
    over.push(local.as_ref(), &["v1", "latest"]).await;
    referrer(&over, "signed").push(local.as_ref(), &[]).await;
    let here = suite::entries(local.as_ref()).await;
    yard.switch().await;
    let tagged = |entries: &std::collections::BTreeSet<layer0_domain::port::image_end::Entry>| {
        entries.iter().filter(|it| it.tag.is_some()).cloned().collect::<Vec<_>>()
    };
    let there = suite::entries(yard.end(&ecr()).as_ref()).await;
    assert_eq!(tagged(&here), tagged(&there));
    yard.known("the server knows that it has moved", |home| home.backing == ecr()).await;
    let pulled = yard.server.pull("v1").await;
    assert_eq!((pulled.status, pulled.body.as_ref()), (StatusCode::OK, over.manifest.bytes.as_slice()));

    local.remove().await.unwrap();
    local.prepare(Visibility::Private).await.unwrap();
    let (from, counters) = (yard.end(&ecr()), Counters::default());
    let mut copier = Copier::new(from.as_ref(), local.as_ref(), &counters);
    while !copier.pass().await.unwrap().found_nothing {}
    assert_eq!(tagged(&suite::entries(local.as_ref()).await), tagged(&here));
}

/// Copies are written in the order of their digests. What was pushed last is still the last of all for a rule that counts.
#[tokio::test]
async fn images_that_come_from_ecr_are_as_old_as_they_were() {
    let yard = Yard::start().await;
    let (from, to) = (yard.end(&ecr()), yard.end(&BackingName::local()));
    for end in [&from, &to] {
        end.prepare(Visibility::Private).await.unwrap();
    }
    let mut images = ["one", "two", "three"].map(image);
    // The first has the last digest.
    images.sort_by_key(|it| std::cmp::Reverse(it.digest()));
    let mut pushed = Vec::new();
    for (number, sample) in images.iter().enumerate() {
        sample.push(from.as_ref(), &[&format!("v{number}"), &format!("also-{number}")]).await;
        pushed.push((sample.digest(), yard.ecr.clock.now()));
        yard.ecr.clock.advance_ms(60 * 60 * 1000);
    }
    let counters = Counters::default();
    let mut copier = Copier::new(from.as_ref(), to.as_ref(), &counters);
    while !copier.pass().await.unwrap().found_nothing {}
    pushed.sort();
    let held = yard.store.images(&name("team/app")).await.unwrap().unwrap();
    assert_eq!(held.manifests.iter().map(|it| (it.digest.clone(), it.pushed)).collect::<Vec<_>>(), pushed);
    let (repositories, tags) = (Glob::parse("*").unwrap(), Glob::parse("v*").unwrap());
    let rule = RetentionRule { repositories, tags, keep_last: Some(1), keep_hours: None, untagged_hours: None };
    let wanted = Wanted { repository: "app", rules: &[rule], immutable: &[], pinned: &BTreeMap::new() };
    let going: Vec<_> = plan(wanted, &held, yard.ecr.clock.now()).tags.into_iter().map(|(tag, _)| tag.name).collect();
    assert_eq!(going, ["v0", "v1"]);
}

/// Old images that are kept in another registry need nothing of what lies here now. Nothing goes while a move runs.
#[tokio::test]
async fn a_repository_that_was_moved_is_collected_while_its_old_images_are_kept() {
    let yard = Yard::moving().await;
    let (registry, app) = (&yard.server.registry, name("team/app"));
    let (local, kept) = (yard.end(&BackingName::local()), image("kept"));
    kept.push(local.as_ref(), &["v1"]).await;
    let stray = async |word: &str| {
        let bytes = word.as_bytes();
        local.blob_write(&Digest::sha256_of(bytes), bytes.len() as u64, content(bytes)).await.unwrap();
        yard.ecr.clock.advance_ms(25 * 60 * 60 * 1000);
    };
    let collect = async || registry.collect(Collection::Take, Haste::Now, |_, _| {}).await.unwrap().blobs;
    stray("one").await;
    assert_eq!(collect().await, 0, "it is on the move");
    assert!(registry.images(&app).await.unwrap().is_none());

    // It has come from there, and is here.
    yard.write(Move::Moved, &BackingName::local()).await;
    assert_eq!(collect().await, 1);
    assert_eq!(registry.images(&app).await.unwrap().unwrap().tags.len(), 1);
    assert_eq!(registry.old_images(&app).await.unwrap(), None);

    // It has gone there, and what is left here is judged by no rule.
    yard.write(Move::Moved, &ecr()).await;
    stray("two").await;
    assert_eq!(collect().await, 1);
    assert!(registry.images(&app).await.unwrap().is_none());
    assert_eq!(registry.old_images(&app).await.unwrap(), Some(ecr()));
    for blob in &kept.blobs {
        assert!(local.blob_size(&Digest::sha256_of(blob)).await.unwrap().is_some(), "it can go back to all of it");
    }
}

#[tokio::test]
async fn who_may_pull_comes_along_and_back() {
    let yard = Yard::moving().await;
    let visibility = async || yard.server.registry.repository_visibility(&name("team/app")).await.unwrap();
    yard.end(&ecr()).prepare(Visibility::Public).await.unwrap();
    assert_eq!(visibility().await, Visibility::Private, "it does not lie there yet");
    yard.switch().await;
    yard.known("the server knows that it has moved", |home| home.backing == ecr()).await;
    assert_eq!(visibility().await, Visibility::Public);

    // The old one is still there, as private as it was.
    let local = yard.end(&BackingName::local());
    assert!(!local.prepare(Visibility::Public).await.unwrap());
    yard.write(Move::Moved, &BackingName::local()).await;
    yard.known("the server knows that it is back", |home| home.backing.is_local()).await;
    assert_eq!(visibility().await, Visibility::Public);
    // What was copied goes without a word about a name that lies elsewhere.
    yard.end(&ecr()).remove().await.unwrap();
    assert_eq!(visibility().await, Visibility::Public);
}

/// A server that is behind looks where the repository lies now before it says that something isn't there.
#[tokio::test]
async fn a_pull_finds_what_was_pushed_after_the_switch_on_a_server_that_is_behind() {
    let yard = Yard::moving().await;
    image("one").push(yard.end(&BackingName::local()).as_ref(), &["v1"]).await;
    assert_eq!(yard.server.pull("v1").await.status, StatusCode::OK);
    yard.switch().await;
    let two = image("two");
    two.push(yard.end(&ecr()).as_ref(), &["v2"]).await;
    for tag in ["v2", "v1"] {
        assert_eq!(yard.server.pull(tag).await.status, StatusCode::OK, "{tag}");
    }
    let blob = format!("/v2/team/app/blobs/{}", Digest::sha256_of(b"layer of two"));
    let found = yard.server.client.ask(Method::HEAD, &blob, &[], "").await;
    assert_eq!(found.status, StatusCode::OK);
    assert_eq!(yard.server.pull("v3").await.error(), (404, "MANIFEST_UNKNOWN".to_owned()));
}

/// A push waits while the repository is closed, and ends where it lies then, with the blobs that came before.
#[tokio::test]
async fn a_push_waits_and_follows() {
    for stage in [Move::Moved, Move::Clearing] {
        push_while_it_moves(stage).await;
    }
}

async fn push_while_it_moves(stage: Move) {
    let yard = Yard::moving().await;
    let one = image("one");
    yard.server.push_blobs(&one).await;
    yard.closed_until(3600).await;
    yard.known("the server knows that it is closed", |home| matches!(home.migration.stage, Move::Closing(_))).await;
    let pushing = yard.server.push_manifest(&one, "v1");
    let switching = async {
        // Nothing of it is anywhere while it waits.
        assert!(suite::entries(yard.end(&BackingName::local()).as_ref()).await.is_empty());
        yard.switch_to(stage).await;
    };
    let (pushed, ()) = tokio::join!(pushing, switching);
    assert_eq!(pushed.status, StatusCode::CREATED, "{pushed:?}");
    let there = yard.end(&ecr()).manifest_read(&one.digest()).await.unwrap().unwrap();
    assert_eq!(there.bytes, one.manifest.bytes);
    assert!(suite::entries(yard.end(&BackingName::local()).as_ref()).await.is_empty());
    assert_eq!(yard.server.pull("v1").await.status, StatusCode::OK);
}

/// Whoever waits for the switch is held to what the owner says, as any push to ECR is.
#[tokio::test]
async fn a_push_that_waited_keeps_to_immutable_tags_and_the_quota() {
    for (tag, quota) in [("fixed", None), ("latest", Some(700))] {
        let yard = Yard::moving().await;
        let (one, two) = (image("one"), image("two"));
        one.push(yard.end(&BackingName::local()).as_ref(), &["fixed"]).await;
        *yard.owner.0.lock().unwrap() = quota;
        yard.server.push_blobs(&two).await;
        yard.closed_until(3600).await;
        yard.known("the server knows that it is closed", |home| matches!(home.migration.stage, Move::Closing(_))).await;
        let (pushed, ()) = tokio::join!(yard.server.push_manifest(&two, tag), yard.switch());
        assert_eq!(pushed.error(), (403, "DENIED".to_owned()), "{tag}");
        let there = suite::entries(yard.end(&ecr()).as_ref()).await;
        let tagged: Vec<_> = there.into_iter().filter_map(|it| Some((it.tag?, it.digest))).collect();
        assert_eq!(tagged, [("fixed".to_owned(), one.digest())], "{tag}");
        // What is allowed is taken.
        *yard.owner.0.lock().unwrap() = None;
        assert_eq!(yard.server.push_manifest(&two, "latest").await.status, StatusCode::CREATED);
    }
}

/// The same for a deletion.
#[tokio::test]
async fn a_deletion_waits_and_is_made_where_the_repository_lies_then() {
    let yard = Yard::moving().await;
    image("one").push(yard.end(&BackingName::local()).as_ref(), &["v1", "v2"]).await;
    yard.closed_until(3600).await;
    yard.known("the server knows that it is closed", |home| matches!(home.migration.stage, Move::Closing(_))).await;
    let deleting = yard.server.client.ask(Method::DELETE, "/v2/team/app/manifests/v1", &[], "");
    let (deleted, ()) = tokio::join!(deleting, yard.switch());
    assert_eq!(deleted.status, StatusCode::ACCEPTED, "{deleted:?}");
    let left: Vec<_> = suite::entries(yard.end(&ecr()).as_ref()).await.into_iter().filter_map(|it| it.tag).collect();
    assert_eq!(left, ["v2"]);
}

/// As long as images of a move before the last one lie somewhere, the name would lead to them once its row is gone.
#[tokio::test]
async fn a_repository_with_images_of_an_earlier_move_stays() {
    let yard = Yard::moving().await;
    yard.switch_to(Move::Cleared).await;
    let cleared = yard.store.home_get(&name("team/app")).await.unwrap().unwrap();
    let mut kept = cleared.clone();
    kept.migration.kept = vec![BackingName::parse("east").unwrap()];
    yard.store.home_put(&kept, Some(cleared.generation)).await.unwrap().unwrap();
    let registry = &yard.server.registry;
    for refused in [
        registry.repository_delete(&name("team/app"), false).await.unwrap_err(),
        registry.repository_update(&name("team/app"), Visibility::Public).await.unwrap_err(),
    ] {
        let said = refused.to_string();
        assert!(said.starts_with("east still has images of team/app") && said.contains("delete-source"), "{said}");
    }
}

/// A server that was killed while it was closed keeps nobody waiting for ever.
#[tokio::test]
async fn nobody_waits_for_a_server_that_is_gone() {
    let yard = Yard::moving().await;
    let one = image("one");
    yard.server.push_blobs(&one).await;
    yard.closed_until(-1).await;
    let closed = yard.store.home_get(&name("team/app")).await.unwrap().unwrap();
    assert_eq!(yard.server.push_manifest(&one, "v1").await.status, StatusCode::CREATED);
    // Whoever closed it may only be late, and must not switch past what was pushed.
    let late = Home { backing: ecr(), ..closed.clone() };
    assert_eq!(yard.store.home_put(&late, Some(closed.generation)).await.unwrap(), None);
    let open = yard.store.home_get(&name("team/app")).await.unwrap().unwrap();
    assert_eq!((open.migration.stage, open.backing.is_local()), (Move::Copying, true));
    assert_eq!(suite::entries(yard.end(&BackingName::local()).as_ref()).await.len(), 2);
}

/// An upload that was begun before the switch is ended where it was begun, and the manifest brings the blob along.
#[tokio::test]
async fn an_upload_goes_on_where_it_was_begun() {
    let yard = Yard::moving().await;
    let one = image("one");
    let begun = yard.server.client.ask(Method::POST, "/v2/team/app/blobs/uploads/", &[], "").await;
    assert_eq!(begun.status, StatusCode::ACCEPTED);
    let location = begun.header("location").to_owned();
    assert!(location.contains("layer0-backing=local"), "{location}");
    yard.switch().await;
    yard.known("the server knows that it has moved", |home| home.backing == ecr()).await;
    let sent = yard.server.client.ask(Method::PATCH, &location, &[], one.blobs[0].clone()).await;
    assert_eq!(sent.status, StatusCode::ACCEPTED, "{sent:?}");
    // A client may know nothing but the upload's path.
    let bare = location.split_once('?').unwrap().0;
    let digest = Digest::sha256_of(&one.blobs[0]);
    let ended = yard.server.client.ask(Method::PUT, &format!("{bare}?digest={digest}"), &[], "").await;
    assert_eq!(ended.status, StatusCode::CREATED, "{ended:?}");
    for blob in &one.blobs[1..] {
        let path = format!("/v2/team/app/blobs/uploads/?digest={}", Digest::sha256_of(blob));
        assert_eq!(yard.server.client.ask(Method::POST, &path, &[], blob.clone()).await.status, StatusCode::CREATED);
    }
    let pushed = yard.server.push_manifest(&one, "v1").await;
    assert_eq!(pushed.status, StatusCode::CREATED, "{pushed:?}");
    assert_eq!(yard.end(&ecr()).blob_size(&digest).await.unwrap(), Some(one.blobs[0].len() as u64));
}

/// While the images lie in two places, or are on their way, a repository is not deleted.
#[tokio::test]
async fn a_repository_on_the_move_stays() {
    let yard = Yard::moving().await;
    let registry = &yard.server.registry;
    let app: RepositoryName = name("team/app");
    let refused = registry.repository_delete(&app, false).await.unwrap_err().to_string();
    assert!(refused.contains("migration cancel team/app"), "{refused}");
    yard.switch().await;
    let refused = registry.repository_delete(&app, false).await.unwrap_err().to_string();
    assert!(refused.contains("migration delete-source team/app"), "{refused}");
    yard.end(&BackingName::local()).remove().await.unwrap();
    yard.write(Move::Cleared, &ecr()).await;
    registry.repository_delete(&app, false).await.unwrap();
    // The next one of that name goes where the rules say.
    assert!(yard.store.home_get(&app).await.unwrap().is_none());
    registry.repository_create(app.clone(), Visibility::Private).await.unwrap();
    assert!(registry.backing_of(&app).await.unwrap().is_local());
}

/// The name leads there again, when it is made anew or nobody has it: what was left there is for those who have a right to it.
#[tokio::test]
async fn what_a_move_has_left_behind_is_public_for_nobody() {
    let yard = Yard::start().await;
    let (registry, app): (_, RepositoryName) = (&yard.server.registry, name("team/app"));
    let visible = async || yard.store.visibility_get(&app).await.unwrap();
    registry.repository_create(app.clone(), Visibility::Public).await.unwrap();
    yard.end(&ecr()).prepare(Visibility::Public).await.unwrap();
    yard.write(Move::Failed, &BackingName::local()).await;
    assert_eq!(visible().await, Visibility::Public);
    let refused = registry.repository_delete(&app, false).await.unwrap_err().to_string();
    assert!(refused.contains("migration cancel team/app"), "{refused}");
    registry.repository_update(&app, Visibility::Private).await.unwrap();
    assert_eq!(visible().await, Visibility::Private);

    yard.end(&ecr()).prepare(Visibility::Public).await.unwrap();
    yard.write(Move::Cancelled, &BackingName::local()).await;
    assert_eq!(visible().await, Visibility::Public);
    registry.repository_delete(&app, false).await.unwrap();
    assert_eq!(visible().await, Visibility::Private);
}
