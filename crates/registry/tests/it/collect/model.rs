//! Random interleavings of a collection with clients, against a model.
//!
//! A collection stops before and after each of its calls of the store that matter. There clients do what a draw says: push blobs, mount
//! them, look at them, put images and indexes, delete manifests, blobs and repositories; the clock goes on; or the process is killed, and
//! another one goes on with what is left. The model knows what each client was told. After every act
//! - all that a manifest names can be pulled, bit for bit, and so can every blob that a client was told of within its time;
//! - a manifest whose blobs were promised is taken.
//!
//! Before each collection images go by rules, and clients do the same between the decision and the act: what they put then stays.
//!
//! In the end, when all times are over, one collection and one sweep leave the files that manifests need, and no other.
//!
//! `LAYER0_COLLECT_SEED` and `LAYER0_COLLECT_RUNS` choose other draws.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use http::Method;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::glob::Glob;
use layer0_domain::model::retention::{RetentionRule, Retiring};
use layer0_domain::model::time::Timestamp;
use layer0_domain::plan::retention::{Wanted, plan};
use layer0_domain::port::clock::Clock;
use layer0_registry::{Collection, Haste};
use layer0_testkit::clock::{FixedClock, RunningClock};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::HOUR;
use crate::client::{Client, OCI_MANIFEST, image, index};
use crate::common::{Ground, TestRegistry, name};
use crate::staged::{Stage, Step, When, registry_on};

const REPOSITORIES: [&str; 3] = ["team/app", "team/other", "team/third"];
const BLOBS: usize = 7;
const RUNS: u64 = 60;
/// Stops of collections in one run.
const STOPS: usize = 24;

/// SplitMix64.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ (word >> 31)) % limit as u64) as usize
    }
}

/// Stops a collection at each of its calls until it is let go.
struct Gated {
    stops: mpsc::UnboundedSender<oneshot::Sender<()>>,
    on: Arc<AtomicBool>,
}

#[async_trait]
impl Stage for Gated {
    fn disk(&self, _: Step<'_>) -> io::Result<()> {
        Ok(())
    }

    async fn store(&self, step: Step<'_>) -> io::Result<()> {
        let Step::Store("blob_unneeded" | "blob_collect", _) = step else { return Ok(()) };
        if matches!(step, Step::Store("blob_unneeded", When::Before)) || !self.on.load(Ordering::SeqCst) {
            return Ok(());
        }
        let (go, gone) = oneshot::channel();
        let killed = || io::Error::other("the process was killed");
        self.stops.send(go).map_err(|_| killed())?;
        gone.await.map_err(|_| killed())
    }
}

/// What clients know of a repository.
#[derive(Default)]
struct Known {
    /// Blobs that are kept until then, whoever needs them.
    promised: BTreeMap<usize, Timestamp>,
    /// Manifests by digest: their bytes, their blobs, their children.
    manifests: BTreeMap<Digest, (Value, BTreeSet<usize>, BTreeSet<Digest>)>,
}

impl Known {
    fn needed(&self) -> BTreeSet<usize> {
        self.manifests.values().flat_map(|(_, blobs, _)| blobs.iter().copied()).collect()
    }

    /// Blobs that must be there.
    fn certain(&self, now: Timestamp) -> BTreeSet<usize> {
        let promised = self.promised.iter().filter(|(_, until)| now < **until).map(|(blob, _)| *blob);
        promised.chain(self.needed()).collect()
    }
}

fn content(blob: usize) -> String {
    format!("content of blob {blob}")
}

fn digest(blob: usize) -> Digest {
    Digest::sha256_of(content(blob).as_bytes())
}

fn digest_of(manifest: &Value) -> Digest {
    Digest::sha256_of(manifest.to_string().as_bytes())
}

struct World {
    registry: TestRegistry,
    clock: Arc<FixedClock>,
    known: [Known; 3],
    draw: Draw,
    stops: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    on: Arc<AtomicBool>,
    acts: u64,
    /// Manifests that were put since the last decision about images, by repository.
    fresh: BTreeSet<(usize, Digest)>,
    retired: usize,
}

async fn gated(ground: Ground) -> (TestRegistry, mpsc::UnboundedReceiver<oneshot::Sender<()>>, Arc<AtomicBool>) {
    let (sender, stops) = mpsc::unbounded_channel();
    let on = Arc::new(AtomicBool::new(true));
    (registry_on(ground, Arc::new(Gated { stops: sender, on: Arc::clone(&on) })).await, stops, on)
}

impl World {
    async fn new(seed: u64) -> Self {
        let now = Timestamp(RunningClock::default().now().0);
        let clock = Arc::new(FixedClock::at(now));
        let ground = Ground::new(clock.clone()).with_repositories(&REPOSITORIES).await;
        let (registry, stops, on) = gated(ground).await;
        Self {
            registry,
            clock,
            known: Default::default(),
            draw: Draw(seed),
            stops,
            on,
            acts: 0,
            fresh: BTreeSet::new(),
            retired: 0,
        }
    }

    /// A kill, and a process that goes on with what is left.
    async fn restart(&mut self) {
        let ground = self.registry.ground();
        let (registry, stops, on) = gated(ground).await;
        self.registry = registry;
        self.stops = stops;
        self.on = on;
    }

    /// Images go by rules, with acts between what is decided and what is done.
    async fn retention(&mut self) {
        let glob = |text| Glob::parse(text).unwrap();
        let rule = RetentionRule {
            repositories: glob("*"),
            tags: glob("*"),
            keep_last: Some(1),
            keep_hours: Some(2),
            untagged_hours: Some(2),
        };
        for (at, repository) in REPOSITORIES.iter().enumerate() {
            let name = name(repository);
            let images = self.registry.registry.images(&name).await.unwrap().unwrap();
            let (rules, pinned) = ([rule.clone()], BTreeMap::new());
            let wanted = Wanted { repository: name.name(), rules: &rules, immutable: &[], pinned: &pinned };
            let decided = plan(wanted, &images, self.clock.now());
            let asked = Retiring {
                tags: decided.tags.into_iter().map(|(tag, _)| tag).collect(),
                manifests: decided.manifests.into_iter().map(|(digest, pushed, _)| (digest, pushed)).collect(),
            };
            self.fresh.clear();
            self.clock.advance_ms(1);
            for _ in 0..self.draw.below(4) {
                self.act().await;
            }
            let went = self.registry.registry.images_retire(&name, &asked, &[]).await.unwrap();
            for (digest, _) in &went.manifests {
                assert!(
                    !self.fresh.contains(&(at, digest.clone())),
                    "{digest} was put after it was decided to let it go"
                );
                self.known[at].manifests.remove(digest);
            }
            self.retired += went.manifests.len();
            let known = &self.known[at].manifests;
            let parts = known.values().flat_map(|(_, _, children)| children);
            assert!(parts.into_iter().all(|part| known.contains_key(part)), "an index lost a part");
            let left = self.registry.registry.images(&name).await.unwrap().unwrap();
            assert_eq!(left.manifests.len(), known.len());
            self.check().await;
        }
    }

    /// One collection, with acts wherever it stops.
    async fn collection(&mut self, left: &mut usize) {
        let registry = self.registry.registry.clone();
        let mut run =
            tokio::spawn(async move { registry.collect(Collection::Take, Haste::Now, |_, _| {}).await.map(drop) });
        loop {
            let go = tokio::select! {
                Some(go) = self.stops.recv() => go,
                end = &mut run => {
                    end.unwrap().unwrap();
                    return;
                }
            };
            *left = left.saturating_sub(1);
            for _ in 0..self.draw.below(4) {
                self.act().await;
            }
            if self.draw.below(12) == 0 {
                // What waits at the stop never goes on.
                run.abort();
                drop(go);
                self.restart().await;
                self.check().await;
                return;
            }
            // The collection goes on with the model as it is; what it does is seen at the next check.
            let _ = go.send(());
        }
    }

    async fn act(&mut self) {
        self.acts += 1;
        let client = Client::of(&self.registry);
        let (at, blob) = (self.draw.below(3), self.draw.below(BLOBS));
        let (repository, now) = (REPOSITORIES[at], self.clock.now());
        let (whole, half) = (now.plus_ms(24 * HOUR), now.plus_ms(12 * HOUR));
        match self.draw.below(18) {
            0 | 1 => {
                client.push(repository, content(blob)).await;
                self.known[at].promised.insert(blob, whole);
            }
            2 => {
                let from = REPOSITORIES[self.draw.below(3)];
                let path = format!("/v2/{repository}/blobs/uploads/?mount={}&from={from}", digest(blob));
                if client.post(&path).await.status == 201 {
                    self.known[at].promised.insert(blob, whole);
                }
            }
            3..=5 => {
                if client.head(&format!("/v2/{repository}/blobs/{}", digest(blob))).await.status == 200 {
                    let until = self.known[at].promised.entry(blob).or_insert(half);
                    *until = half.max(*until);
                }
            }
            6..=9 => self.put_image(&client, at).await,
            10 => self.put_index(&client, at).await,
            11..=14 => self.delete_manifest(&client, at).await,
            15 => self.clock.advance_ms((1 + self.draw.below(13)) as i64 * HOUR),
            16 => {
                // A client may take away what no manifest needs.
                if !self.known[at].needed().contains(&blob) {
                    client.delete(&format!("/v2/{repository}/blobs/{}", digest(blob))).await;
                    self.known[at].promised.remove(&blob);
                }
            }
            _ => {
                if self.draw.below(4) == 0 {
                    self.registry.registry.repository_delete(&name(repository), false).await.unwrap();
                    self.known[at] = Known::default();
                    let private = layer0_domain::model::registry::Visibility::Private;
                    self.registry.registry.repository_create(name(repository), private).await.unwrap();
                }
            }
        }
        self.check().await;
    }

    async fn put_image(&mut self, client: &Client, at: usize) {
        // Mostly of what was there once, whether its time is over or not.
        let once: Vec<usize> = self.known[at].promised.keys().copied().collect();
        let pick = |draw: &mut Draw| match (once.is_empty(), draw.below(8)) {
            (false, 1..) => once[draw.below(once.len())],
            _ => draw.below(BLOBS),
        };
        let config = pick(&mut self.draw);
        let layers: BTreeSet<usize> = (0..self.draw.below(3)).map(|_| pick(&mut self.draw)).collect();
        let texts: Vec<String> = layers.iter().map(|blob| content(*blob)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let manifest = image(&content(config), &texts);
        let blobs: BTreeSet<usize> = layers.into_iter().chain([config]).collect();
        let must = blobs.is_subset(&self.known[at].certain(self.clock.now()));
        let tag = format!("t{}", self.draw.below(4));
        let status = client.put_manifest(REPOSITORIES[at], &tag, &manifest).await.status;
        assert!(status == 201 || (status == 400 && !must), "{status}: the blobs of an image were promised");
        if status == 201 {
            self.fresh.insert((at, digest_of(&manifest)));
            self.known[at].manifests.insert(digest_of(&manifest), (manifest, blobs, BTreeSet::new()));
        }
    }

    async fn put_index(&mut self, client: &Client, at: usize) {
        let images: Vec<&Value> =
            self.known[at].manifests.values().filter(|(_, _, parts)| parts.is_empty()).map(|it| &it.0).collect();
        let Some(child) = images.get(self.draw.below(images.len().max(1))) else { return };
        let text = child.to_string();
        let whole = index(vec![
            json!({ "mediaType": OCI_MANIFEST, "digest": digest_of(child).to_string(), "size": text.len() }),
        ]);
        let children = BTreeSet::from([digest_of(child)]);
        self.fresh.insert((at, digest_of(&whole)));
        client.put_manifest(REPOSITORIES[at], "all", &whole).await.expect(201);
        self.known[at].manifests.insert(digest_of(&whole), (whole, BTreeSet::new(), children));
    }

    async fn delete_manifest(&mut self, client: &Client, at: usize) {
        let all: Vec<Digest> = self.known[at].manifests.keys().cloned().collect();
        let Some(which) = all.get(self.draw.below(all.len().max(1))) else { return };
        // What an index names goes after the index.
        if self.known[at].manifests.values().any(|(_, _, children)| children.contains(which)) {
            return;
        }
        client.ask(Method::DELETE, &format!("/v2/{}/manifests/{which}", REPOSITORIES[at]), &[], "").await.expect(202);
        self.known[at].manifests.remove(which);
    }

    async fn check(&self) {
        let client = Client::of(&self.registry);
        for (repository, known) in REPOSITORIES.iter().zip(&self.known) {
            for blob in known.certain(self.clock.now()) {
                let got = client.get(&format!("/v2/{repository}/blobs/{}", digest(blob))).await;
                let which = if known.needed().contains(&blob) { "needed" } else { "promised" };
                assert_eq!(
                    (got.status.as_u16(), &got.body[..]),
                    (200, content(blob).as_bytes()),
                    "{which} in {repository}"
                );
            }
            for (digest, (manifest, ..)) in &known.manifests {
                let got = client.get(&format!("/v2/{repository}/manifests/{digest}")).await.expect(200);
                assert_eq!(got.body, manifest.to_string());
            }
        }
    }

    /// All times are over.
    async fn end(&mut self) {
        self.restart().await;
        self.on.store(false, Ordering::SeqCst);
        // Files bear the machine's time, and are old a day after it.
        self.clock.set(RunningClock::default().now().plus_ms(1000 * HOUR).max(self.clock.now().plus_ms(48 * HOUR)));
        self.registry.registry.collect(Collection::Take, Haste::Now, |_, _| {}).await.unwrap();
        self.registry.registry.sweep().await.unwrap();
        self.check().await;
        let needed: BTreeSet<String> =
            self.known.iter().flat_map(|known| known.needed()).map(|blob| digest(blob).hex().to_owned()).collect();
        assert_eq!(
            self.registry.blob_files(),
            needed.into_iter().collect::<Vec<_>>(),
            "all space came back, and no more"
        );
    }
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "the seed that failed, and how many interleavings there were")]
async fn nothing_that_is_needed_or_promised_ever_goes() {
    let number = |name: &str, or: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(or);
    let (seed, runs) = (number("LAYER0_COLLECT_SEED", 4711), number("LAYER0_COLLECT_RUNS", RUNS));
    let (mut stops, mut acts, mut retired) = (0, 0, 0);
    for run in 0..runs {
        println!("seed {}", seed + run);
        let mut world = World::new(seed + run).await;
        for _ in 0..12 {
            world.act().await;
        }
        let mut left = STOPS;
        while left > 0 {
            let before = left;
            world.clock.advance_ms((4 + world.draw.below(20)) as i64 * HOUR);
            world.retention().await;
            world.collection(&mut left).await;
            stops += before - left;
            // A run that found nothing to stop at.
            world.act().await;
            left = left.saturating_sub(1);
        }
        world.end().await;
        acts += world.acts;
        retired += world.retired;
    }
    println!(
        "{runs} runs, {stops} interleavings of a collection with {acts} acts of clients; {retired} images went by rules"
    );
    assert!(retired as u64 * 2 >= runs, "{retired} images went by rules in {runs} runs");
    assert!(stops as u64 >= runs * 10, "{stops} interleavings in {runs} runs");
}
