//! That a batch is decided as by all of the repository, and costs what the batch costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use layer0_domain::model::owner::TagRule;
use layer0_domain::model::registry::{ChildManifest, Manifest, Repository, Visibility};
use layer0_testkit::registry_store_suite::sample::{self, AT};

use super::*;
use crate::sqlite::{prepare, schema};

const APP: &str = "team/app";

fn name() -> RepositoryName {
    RepositoryName::parse(APP).expect("a name")
}

fn digest(number: u64) -> Digest {
    sample::digest(&number.to_string())
}

fn image(number: u64) -> Manifest {
    sample::manifest(&number.to_string())
}

fn index(number: u64, parts: &[u64]) -> Manifest {
    let part = |part: &u64| ChildManifest { digest: digest(*part), platform: None };
    Manifest { children: parts.iter().map(part).collect(), ..image(number) }
}

fn put(db: &Connection, manifest: &Manifest, tags: &[String]) {
    manifest::put_tx(db, &name(), manifest, tags).expect("all that it names is there");
}

/// A database with an empty repository.
fn database() -> Connection {
    let mut db = Connection::open_in_memory().expect("memory");
    prepare(&db).expect("the settings are known");
    schema::migrate(&mut db).expect("the schema is sound");
    let made = Repository { name: name(), created: AT, visibility: Visibility::Private };
    repository::create_tx(&db, &made).expect("the name is free");
    db
}

/// What SQLite does for a batch out of a repository that has so many images besides, in steps of its machine: each row that is read
/// takes some.
fn steps(besides: u64) -> u64 {
    let db = database();
    let mut asked = Retiring::default();
    for number in 0..20 {
        let (one, whole, tag) = (2 * number, 2 * number + 1, format!("old-{number}"));
        put(&db, &image(one), &[]);
        put(&db, &index(whole, &[one]), std::slice::from_ref(&tag));
        put(&db, &Manifest { subject: Some(digest(whole)), ..image(1000 + number) }, &[]);
        asked.tags.push(ImageTag { name: tag, digest: digest(whole), pushed: AT });
        asked.manifests.extend([whole, one, 1000 + number].map(|number| (digest(number), AT)));
    }
    for number in (0..besides).map(|it| 10_000 + 2 * it) {
        put(&db, &image(number), &[format!("new-{number}")]);
        put(&db, &index(number + 1, &[number]), &[]);
    }
    let counted = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&counted);
    let each = move || {
        count.fetch_add(1, Ordering::Relaxed);
        false
    };
    db.progress_handler(1, Some(each)).expect("the connection is ours");
    let went = retire_tx(&db, &name(), &asked, AT).expect("a write");
    db.progress_handler(0, None::<fn() -> bool>).expect("the connection is ours");
    assert_eq!(went, asked, "all of it goes");
    counted.load(Ordering::Relaxed)
}

#[test]
fn a_batch_costs_the_same_however_much_else_the_repository_has() {
    let (few, many) = (steps(10), steps(2000));
    assert!(few > 1000, "they are counted: {few}");
    assert!(many <= few + few / 20, "{few} steps beside 10 images, {many} beside 2000");
}

/// Numbers that look drawn by lot, and are the same in each run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// A repository with tags, indexes, and manifests about others, of which some are gone.
fn drawn(draw: &mut Draw) -> Connection {
    let db = database();
    for number in 0..12 {
        let parts: Vec<u64> = (0..draw.below(3)).map(|_| draw.below(number.max(1))).filter(|it| *it < number).collect();
        let subject = (draw.below(3) == 0).then(|| digest(draw.below(14)));
        let pushed = AT.plus_ms(draw.below(2).cast_signed());
        let tags: Vec<String> = (0..draw.below(3)).map(|_| format!("t{}", draw.below(12))).collect();
        put(&db, &Manifest { subject, pushed, ..index(number, &parts) }, &tags);
    }
    let repository = repository::number(&db, &name()).expect("a read").expect("it is there");
    for _ in 0..draw.below(4) {
        manifest::take(&db, &name(), repository, &digest(draw.below(12))).expect("a write");
    }
    db
}

#[test]
fn a_batch_is_decided_as_by_all_of_the_repository() {
    let (mut draw, mut went, mut stayed) = (Draw(4711), 0, 0);
    for run in 0..300 {
        let db = drawn(&mut draw);
        let repository = repository::number(&db, &name()).expect("a read").expect("it is there");
        let all = images(&db, repository).expect("a read");
        // Most of what is there; some of it as it was before, and something that is not there.
        let mut asked = Retiring::default();
        for tag in all.tags.iter().filter(|_| draw.below(4) > 0).collect::<Vec<_>>() {
            let late = if draw.below(8) == 0 { 5 } else { 0 };
            asked.tags.push(ImageTag { pushed: tag.pushed.plus_ms(late), ..tag.clone() });
        }
        for it in all.manifests.iter().filter(|_| draw.below(5) > 0).collect::<Vec<_>>() {
            let late = if draw.below(12) == 0 { 5 } else { 0 };
            asked.manifests.push((it.digest.clone(), it.pushed.plus_ms(late)));
        }
        asked.manifests.push((digest(99), AT));
        let glob = |text| layer0_domain::model::glob::Glob::parse(text).expect("a pattern");
        let rules = [TagRule { repositories: glob("*"), tags: glob("t1*"), except: vec![] }];
        let rules = &rules[..usize::from(draw.below(2) == 0)];
        let by_all = confirm(name().name(), rules, &all, &asked);
        let near = around(&db, repository, &asked).expect("a read");
        assert_eq!(confirm(name().name(), rules, &near, &asked), by_all, "run {run}: {asked:?} of {all:?}");
        went += by_all.manifests.len();
        stayed += asked.manifests.len() - by_all.manifests.len();
    }
    assert!(went > 300 && stayed > 300, "{went} went and {stayed} stayed");
}
