//! Every step of every workflow meets every fault, and afterwards
//! - what a client was told is stored can be pulled, bit for bit, and what it was told is deleted is gone;
//! - what it was not told is there as a whole or not at all: no tag leads to a manifest that is missing, no manifest to a
//!   blob that is, no blob to other bytes than its digest says;
//! - doing the same again comes to the same end as if nothing had gone wrong;
//! - after a sweep there is nothing on the disk that nobody needs.
//!
//! The registry is the real one, over HTTP, on a disk and a store that count the steps (`disk`, `store`). A fault is drawn
//! from a first run without one. What is modelled, and what is taken from SQLite's word: `docs/decisions/0007-crashes.md`.

mod chance;
mod disk;
mod faults;
mod ledger;
mod store;
mod workflows;

use std::collections::BTreeSet;
use std::sync::Arc;

use layer0_domain::model::digest::Digest;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::clock::Clock;
use layer0_domain::port::registry_store::{Page, RegistryStore};
use layer0_registry::RegistryConfig;
use layer0_registry::disk::Disk;
use layer0_testkit::clock::{FixedClock, RunningClock};

use self::disk::{FaultyDisk, in_memory};
use self::faults::{Fault, Faults, Kept, Kind, Step};
use self::ledger::{Content, Found, Key, Ledger, Run, there};
use self::workflows::Workflow;
use crate::around::StoreAround;
use crate::client::Client;
use crate::common::{Doors, Ground, TestRegistry};

/// What can be seen of a registry at its end.
#[derive(Debug, PartialEq, Eq)]
struct Remains {
    tags: BTreeSet<(String, String, Digest)>,
    manifests: BTreeSet<(String, Digest)>,
    blobs: BTreeSet<(String, Digest)>,
    damaged: Vec<Digest>,
    files: Vec<String>,
    staged: Vec<String>,
}

fn adjust(config: &mut RegistryConfig) {
    config.create_on_push = true;
    // What no manifest names is old at once. Nothing here looks after it but the workflow that collects.
    config.blob_grace = std::time::Duration::ZERO;
}

/// A registry on what is left, where nothing goes wrong any more.
async fn restarted(ground: &Ground) -> TestRegistry {
    let ground = Ground {
        store: Arc::clone(&ground.store),
        clock: Arc::clone(&ground.clock),
        directory: Arc::clone(&ground.directory),
        elsewhere: None,
        unpacked: ground.unpacked,
        mirrors: Vec::new(),
    };
    let store = Arc::clone(&ground.store) as Arc<dyn RegistryStore>;
    // Not the machine's disk: that one takes its time to sync.
    let disk = FaultyDisk::new(Faults::default(), ground.directory.path());
    TestRegistry::on(Doors::Open, adjust, ground, store, Arc::new(disk)).await.expect("it starts on what is left")
}

/// A fault, and where it happens.
#[derive(Clone)]
enum Plan {
    /// Nowhere.
    Nothing,
    /// At this step.
    At(Step, Fault),
    /// When all is done and acknowledged.
    End(Fault),
}

impl Plan {
    fn fault(&self) -> Option<Fault> {
        match self {
            Self::Nothing => None,
            Self::At(_, fault) | Self::End(fault) => Some(*fault),
        }
    }

    fn step(&self) -> Option<(Step, Fault)> {
        match self {
            Self::At(step, fault) => Some((step.clone(), *fault)),
            Self::Nothing | Self::End(_) => None,
        }
    }
}

/// One life of a workflow: the stage, the act with this fault, a restart, the act again, a sweep. Answers the steps of the
/// act, and what remains.
async fn life(workflow: &Workflow, layout: Layout, plan: Plan, context: &str) -> (Vec<Step>, Remains) {
    // In eight days from now all bytes are old, and uploads that are begun then are not.
    let now = Timestamp(RunningClock::default().now().0 + 8 * 24 * 60 * 60 * 1000);
    let ground = Ground::in_directory(in_memory(), Arc::new(FixedClock::at(now)));
    let ground = Ground { unpacked: layout == Layout::Files, ..ground };
    let mut ground = ground.with_repositories(&["team/app", "team/other"]).await;
    let faults = Faults::default();
    let disk = FaultyDisk::new(faults.clone(), ground.directory.path());
    let mut ledger = Ledger::default();
    act(workflow, &ground, &disk, &faults, plan.step(), &mut ledger, context).await;
    assert!(plan.step().is_none() || faults.hit() || workflow.beside, "{context}: the step did not come");
    // Whatever of the old process still runs has no effect from here on.
    faults.kill();
    if let Some(Fault::PowerLoss(kept)) = plan.fault() {
        ground.directory = Arc::new(disk.after_power_loss(kept));
    }

    let registry = restarted(&ground).await;
    check(&registry, &ledger, context).await;
    let again = (workflow.act)(&mut Run::new(&registry, &mut ledger, true)).await;
    assert!(again.is_some(), "{context}: it can't be done again");
    check(&registry, &ledger, &format!("{context}, done again")).await;
    drop(registry);

    let registry = restarted(&ground).await;
    registry.registry.sweep().await.unwrap();
    check(&registry, &ledger, &format!("{context}, swept")).await;
    (faults.steps(), remains(&registry).await)
}

/// The stage, and the act on a disk and a store with this fault.
async fn act(
    workflow: &Workflow,
    ground: &Ground,
    disk: &FaultyDisk,
    faults: &Faults,
    plan: Option<(Step, Fault)>,
    ledger: &mut Ledger,
    context: &str,
) {
    if workflow.stage.is_none() {
        faults.arm(plan.clone());
    }
    let inner = Arc::clone(&ground.store) as Arc<dyn RegistryStore>;
    let store = StoreAround { inner, around: faults.clone() };
    let on = Ground {
        store: Arc::clone(&ground.store),
        clock: Arc::clone(&ground.clock),
        directory: Arc::clone(&ground.directory),
        elsewhere: None,
        unpacked: ground.unpacked,
        mirrors: Vec::new(),
    };
    let disk_seen: Arc<dyn Disk> = Arc::new(disk.clone());
    let registry = match TestRegistry::on(Doors::Open, adjust, on, Arc::new(store), disk_seen).await {
        Ok(registry) => registry,
        Err(error) => {
            assert!(faults.hit(), "{context}: it does not start: {error}");
            return;
        }
    };
    let mut run = Run::new(&registry, ledger, false);
    if let Some(stage) = workflow.stage {
        assert!(stage(&mut run).await.is_some(), "{context}: the stage can't be set");
        disk.settle();
        faults.arm(plan);
    }
    let done = (workflow.act)(&mut run).await;
    assert!(done.is_some() || faults.hit(), "{context}: it can't be done");
}

async fn found(client: &Client, key: &Key, context: &str) -> Found {
    let answer = client.get(&key.path()).await;
    match answer.status.as_u16() {
        404 => None,
        200 if matches!(key, Key::Repository(_)) => there(b""),
        200 => Some(Content(answer.body)),
        status => panic!("{context}: {key:?} is answered with {status}"),
    }
}

/// What was promised is kept, and nothing is there by half.
async fn check(registry: &TestRegistry, ledger: &Ledger, context: &str) {
    let client = Client::of(registry);
    let allowed = ledger.allowed();
    for (key, allowed) in &allowed {
        let found = found(&client, key, context).await;
        assert!(allowed.contains(&&found), "{context}: {key:?} is {found:?}, not {allowed:?}");
    }
    let all = remains(registry).await;
    for (repository, digest) in &all.blobs {
        let key = Key::Blob(repository.clone(), digest.clone());
        match found(&client, &key, context).await {
            Some(Content(bytes)) => assert_eq!(digest.algorithm().digest_of(&bytes), *digest, "{context}: {key:?}"),
            // A link without its content, which the workflow knows of.
            None => {
                assert!(allowed.get(&key).is_some_and(|found| found.contains(&&None)), "{context}: {key:?} is empty")
            }
        }
    }
    let tags = all.tags.iter().map(|(repository, tag, digest)| (repository, tag.clone(), digest));
    let manifests = all.manifests.iter().map(|(repository, digest)| (repository, digest.to_string(), digest));
    for (repository, reference, digest) in manifests.chain(tags) {
        let key = Key::Manifest(repository.clone(), reference);
        let content = found(&client, &key, context).await;
        let Content(bytes) = content.unwrap_or_else(|| panic!("{context}: {key:?} is not there"));
        assert_eq!(Digest::sha256_of(&bytes), *digest, "{context}: {key:?}");
        for part in parts(repository, &bytes) {
            assert!(found(&client, &part, context).await.is_some(), "{context}: {key:?} lacks {part:?}");
        }
    }
}

/// What a manifest needs.
fn parts(repository: &str, bytes: &[u8]) -> Vec<Key> {
    let manifest: serde_json::Value = serde_json::from_slice(bytes).unwrap();
    let list = |field: &str| manifest[field].as_array().cloned().unwrap_or_default();
    let digest = |entry: &serde_json::Value| Digest::parse(entry["digest"].as_str().unwrap()).unwrap();
    let config = manifest.get("config").cloned();
    let blobs = list("layers").into_iter().chain(config).map(|entry| Key::Blob(repository.to_owned(), digest(&entry)));
    let children = list("manifests").into_iter();
    blobs.chain(children.map(|entry| Key::Manifest(repository.to_owned(), digest(&entry).to_string()))).collect()
}

async fn remains(registry: &TestRegistry) -> Remains {
    let store: &dyn RegistryStore = registry.store.as_ref();
    let (mut tags, mut manifests, mut blobs) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for repository in store.repository_list(None, Page::default()).await.unwrap() {
        let name = repository.name.to_string();
        for digest in store.manifest_list(&repository.name, None, 1000).await.unwrap() {
            let user = store.manifest_users(&repository.name, &digest).await.unwrap().unwrap();
            // Those of its own come with those of what needs it; each is asked for by what it leads to.
            for tag in user.tags {
                let reference = layer0_domain::model::registry::ManifestRef::Tag(tag.clone());
                let manifest = store.manifest_get(&repository.name, &reference).await.unwrap().unwrap();
                tags.insert((name.clone(), tag, manifest.digest));
            }
            manifests.insert((name.clone(), digest));
        }
    }
    let held = store.blob_list(None, 1000).await.unwrap();
    for blob in &held {
        for user in store.blob_users(&blob.digest).await.unwrap() {
            blobs.insert((user.repository.to_string(), blob.digest.clone()));
        }
    }
    let damaged = held.into_iter().filter(|blob| blob.damaged).map(|blob| blob.digest).collect();
    Remains { tags, manifests, blobs, damaged, files: registry.blob_files(), staged: registry.staged() }
}

/// Where small blobs lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Packs,
    Files,
}

/// All faults at all steps.
async fn matrix(workflow: Workflow, layout: Layout) {
    let (steps, clean) = life(&workflow, layout, Plan::Nothing, "nothing goes wrong").await;
    assert_eq!(clean.staged, [""; 0]);
    let held: BTreeSet<&str> = clean.blobs.iter().map(|(_, digest)| digest.hex()).collect();
    assert_eq!(clean.files, held.into_iter().collect::<Vec<_>>(), "each blob that is held has a file, and no other");
    assert!(steps.iter().any(|step| step.kind == Kind::Change), "nothing is changed");

    let power = |seed| [Kept::Synced, Kept::Mixture(seed), Kept::Mixture(seed + 1)].map(Fault::PowerLoss);
    let mut plans = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let faults = [Fault::Kill, Fault::Io, Fault::Full].into_iter().chain(power(at as u64 * 7));
        for fault in faults.filter(|fault| fault.fits(step.kind)) {
            let context = format!("{fault:?} at step {at} of {} ({})", steps.len(), step.label);
            plans.push((Plan::At(step.clone(), fault), context));
        }
    }
    for fault in power(4711) {
        plans.push((Plan::End(fault), format!("{fault:?} at the end")));
    }
    for (plan, context) in plans {
        let (_, left) = life(&workflow, layout, plan, &context).await;
        assert_eq!(left, clean, "{context}: it comes to another end");
    }
}

macro_rules! workflows {
    ($($name:ident: $workflow:ident),+ $(,)?) => {$(
        #[tokio::test]
        async fn $name() {
            matrix(workflows::$workflow, Layout::Packs).await;
            matrix(workflows::$workflow, Layout::Files).await;
        }
    )+};
}

/// Blobs without checksums are older than packs.
#[tokio::test]
async fn a_blob_that_gets_its_checksums() {
    matrix(workflows::FIRST_PROOF, Layout::Files).await;
}

/// Of which one has no checksums.
#[tokio::test]
async fn a_verification() {
    matrix(workflows::VERIFY, Layout::Files).await;
}

workflows! {
    the_very_first_push: FIRST_PUSH,
    a_blob_in_one_request: MONOLITHIC,
    a_blob_in_two_requests: POST_THEN_PUT,
    a_blob_in_chunks: CHUNKED,
    a_blob_in_streams: STREAMED,
    an_upload_that_is_gone_on_with: RESUMED,
    a_whole_image: WHOLE_IMAGE,
    a_mount: MOUNT,
    a_blob_that_is_known: KNOWN_BLOB,
    a_manifest: MANIFEST_PUT,
    a_tag_that_moves: TAG_MOVE,
    a_tag_that_is_deleted: TAG_DELETE,
    a_manifest_that_is_deleted: MANIFEST_DELETE,
    a_blob_that_is_deleted: BLOB_DELETE,
    a_blob_that_is_deleted_and_pushed_elsewhere: DELETE_THEN_PUSH,
    a_repository_that_is_deleted: REPOSITORY_DELETE,
    an_upload_that_is_cancelled: UPLOAD_CANCEL,
    a_sweep: SWEEP,
    a_collection: COLLECT,
    images_that_go_by_a_rule: RETIRE,
    a_blob_that_is_healed: HEAL,
    a_repository_that_is_made_by_a_push: CREATE_ON_PUSH,
}
