//! The audit log.

use layer0_domain::model::audit::{AuditEntry, AuditFilter, AuditRecord};
use layer0_domain::model::id::{EnvironmentId, TokenId};
use layer0_domain::model::retention::Retiring;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::access_store::AccessStore;
use layer0_domain::port::registry_store::{Along, RegistryStore};

use super::sample::{token, user_made};
use super::{AccessPorts, Ports};
use crate::registry_store_suite::sample::{blob, manifest, manifest_with, name, put, repository};

fn record(at: i64, who: &str) -> AuditRecord {
    AuditRecord {
        at: Timestamp(at),
        who: who.to_owned(),
        token: TokenId::parse("t1").ok().filter(|_| at % 2 == 0),
        from: "127.0.0.1".to_owned(),
        action: "manifest_push".to_owned(),
        target: format!("team/app:{at}"),
        status: 201,
        environment: EnvironmentId::parse("e").ok().filter(|_| at % 3 == 0),
    }
}

async fn shown(store: &dyn AccessPorts, filter: AuditFilter) -> Vec<i64> {
    let found = store.audit_list(&filter).await.expect("a read succeeds");
    assert!(found.windows(2).all(|pair| pair[0].sequence < pair[1].sequence), "the oldest first");
    found.into_iter().map(|AuditEntry { record, .. }| record.at.0).collect()
}

/// `audit_list`: the newest without `after`, the next ones with it; by time, by who and by environment.
pub async fn the_audit_log_is_read_in_both_directions(store: &dyn AccessPorts) {
    for at in 1..=6 {
        store.audit_append(&record(at, if at <= 4 { "alice" } else { "bob" })).await.expect("a write succeeds");
    }
    let all = AuditFilter { most: 100, ..AuditFilter::default() };
    let found = store.audit_list(&all).await.expect("a read succeeds");
    assert_eq!(found.iter().map(|it| it.record.clone()).collect::<Vec<_>>(), {
        (1..=6).map(|at| record(at, if at <= 4 { "alice" } else { "bob" })).collect::<Vec<_>>()
    });
    assert_eq!(shown(store, AuditFilter { most: 2, ..all.clone() }).await, [5, 6], "the newest");
    let second = found[1].sequence;
    assert_eq!(shown(store, AuditFilter { after: Some(second), most: 2, ..all.clone() }).await, [3, 4], "the next");
    assert_eq!(shown(store, AuditFilter { who: Some("bob".to_owned()), ..all.clone() }).await, [5, 6]);
    let some = AuditFilter { start: Some(Timestamp(2)), end: Some(Timestamp(3)), ..all.clone() };
    assert_eq!(shown(store, some).await, [2, 3]);
    assert!(shown(store, AuditFilter { after: Some(found[5].sequence), ..all.clone() }).await.is_empty());

    let within = AuditFilter { environment: EnvironmentId::parse("e").ok(), ..all };
    assert_eq!(shown(store, within.clone()).await, [3, 6], "of one environment");
    assert_eq!(shown(store, AuditFilter { most: 1, ..within.clone() }).await, [6]);
    assert_eq!(shown(store, AuditFilter { after: Some(found[2].sequence), ..within.clone() }).await, [6]);
    assert_eq!(shown(store, AuditFilter { who: Some("alice".to_owned()), ..within.clone() }).await, [3]);
    assert_eq!(shown(store, AuditFilter { end: Some(Timestamp(5)), ..within.clone() }).await, [3]);
    let alices = AuditFilter { who: Some("alice".to_owned()), ..within.clone() };
    assert_eq!(shown(store, AuditFilter { start: Some(Timestamp(3)), ..alices.clone() }).await, [3]);
    assert!(shown(store, AuditFilter { start: Some(Timestamp(4)), ..alices }).await.is_empty(), "all of it holds");
    let other = AuditFilter { environment: EnvironmentId::parse("f").ok(), ..within };
    assert!(shown(store, other).await.is_empty());
}

/// `blob_link`, `manifest_put`: a record is in the log when the push was made, and is not when that was refused. A store that says
/// that it can't promises nothing.
pub async fn a_record_goes_along_with_a_push_or_not_at_all(store: &dyn Ports) {
    if !store.records() {
        return;
    }
    let (app, blob) = (name("team/app"), blob("blob"));
    let with =
        |at: i64, create: Option<i64>| Along { create: create.map(Timestamp), record: Some(record(at, "alice")) };
    let logged = || async {
        let found =
            store.audit_list(&AuditFilter { most: 10, ..AuditFilter::default() }).await.expect("a read succeeds");
        Vec::from_iter(found.into_iter().map(|entry| entry.record))
    };
    store.blob_link(&app, &blob, Timestamp(1), &with(1, None)).await.expect_err("the repository isn't there");
    store.manifest_put(&app, &manifest("m"), &[], &with(2, None)).await.expect_err("the repository isn't there");
    let lacking = manifest_with("lacking", &["blob"]);
    store.manifest_put(&app, &lacking, &[], &with(3, Some(3))).await.expect_err("its blob isn't there");
    assert!(store.repository_get(&app).await.expect("a read succeeds").is_none(), "refused as a whole");
    assert_eq!(logged().await, []);
    store.blob_link(&app, &blob, Timestamp(4), &with(4, Some(4))).await.expect("the repository is made");
    store.manifest_put(&app, &lacking, &[], &with(5, None)).await.expect("its blob is there");
    assert_eq!(logged().await, [record(4, "alice"), record(5, "alice")]);
}

/// `images_retire`: the records of what goes are in the log, in order and in the same unit; those of what stays are not. A store that
/// says that it can't promises nothing.
pub async fn records_go_along_with_images_that_go(store: &dyn Ports) {
    if !store.records() {
        return;
    }
    let app = repository(store, "team/app").await;
    for word in ["one", "two", "three"] {
        put(store, &app, &manifest(word), &[word]).await;
    }
    let images = store.images(&app).await.expect("a read succeeds").expect("it is there");
    let asked = Retiring {
        tags: images.tags.iter().filter(|tag| tag.name != "two").cloned().collect(),
        manifests: images.manifests.iter().map(|it| (it.digest.clone(), it.pushed)).collect(),
    };
    let records: Vec<_> = (1..=5).map(|at| record(at, "alice")).collect();
    let before = RegistryStore::version(store);
    let went = store.images_retire(&app, &asked, Timestamp(0), &records).await.expect("a write succeeds");
    assert_eq!((went.tags.len(), went.manifests.len()), (2, 2), "what `two` points to stays");
    if let (Some(before), Some(after)) = (before, RegistryStore::version(store)) {
        assert_eq!(after, before + 1, "one unit of work");
    }
    let stays =
        asked.manifests.iter().position(|(digest, _)| *digest == manifest("two").digest).expect("it was asked for");
    let expected: Vec<_> =
        records.iter().enumerate().filter(|(at, _)| *at != 2 + stays).map(|(_, it)| it.clone()).collect();
    let filter = AuditFilter { most: 10, ..AuditFilter::default() };
    let found = store.audit_list(&filter).await.expect("a read succeeds");
    assert_eq!(found.into_iter().map(|entry| entry.record).collect::<Vec<_>>(), expected);
    // Nothing goes again, and nothing is written of it.
    assert!(store.images_retire(&app, &went, Timestamp(0), &records[..4]).await.expect("a write succeeds").is_empty());
    assert_eq!(store.audit_list(&filter).await.expect("a read succeeds").len(), expected.len());
}

/// `version` of users and of images: another number after every write that was answered; of images whatever it was about.
pub async fn each_version_changes_with_what_it_is_about(store: &dyn Ports) {
    let versions = || AccessStore::version(store).zip(RegistryStore::version(store));
    let Some(first) = versions() else { return };
    let create = Along { create: Some(Timestamp(1)), record: Some(record(1, "alice")) };
    store.blob_link(&name("team/app"), &blob("blob"), Timestamp(1), &create).await.expect("the repository is made");
    let pushed = versions().expect("it is known once it was");
    assert_ne!(first.1, pushed.1, "a push");
    user_made(store, "bob").await;
    let made = versions().expect("it is known once it was");
    assert!(pushed.0 != made.0 && pushed.1 != made.1, "a user: {pushed:?}, {made:?}");
    store.token_create(&token("ci", "bob", 1)).await.expect("its user is there");
    let named = versions().expect("it is known once it was");
    assert!(made.0 != named.0 && made.1 != named.1, "a token: {made:?}, {named:?}");
}

/// `audit_prune`: what is older goes, and no sequence comes twice.
pub async fn the_audit_log_forgets_what_is_old(store: &dyn AccessPorts) {
    for at in 1..=3 {
        store.audit_append(&record(at, "alice")).await.expect("a write succeeds");
    }
    let all = AuditFilter { most: 100, ..AuditFilter::default() };
    let last = store.audit_list(&all).await.expect("a read succeeds")[2].sequence;
    assert_eq!(store.audit_prune(Timestamp(3)).await.expect("a write succeeds"), 2);
    assert_eq!(shown(store, all.clone()).await, [3]);
    let within = AuditFilter { environment: EnvironmentId::parse("e").ok(), ..all.clone() };
    assert_eq!(shown(store, within.clone()).await, [3]);
    assert_eq!(store.audit_prune(Timestamp(4)).await.expect("a write succeeds"), 1);
    assert!(shown(store, within).await.is_empty(), "it is forgotten everywhere");
    store.audit_append(&record(9, "alice")).await.expect("a write succeeds");
    let found = store.audit_list(&all).await.expect("a read succeeds");
    assert!(found[0].sequence > last, "whoever follows must not miss it");
}

/// `audit_append`: of many at once each is kept once; whoever reads on behind the last one seen misses none.
pub async fn many_records_at_once_are_kept_in_one_order(store: &dyn AccessPorts) {
    let append = |at: i64| async move { store.audit_append(&record(at, "alice")).await.expect("a write succeeds") };
    let mut seen: Vec<AuditEntry> = Vec::new();
    let mut follow = async || {
        let after = seen.last().map_or(0, |entry| entry.sequence);
        let filter = AuditFilter { after: Some(after), most: 7, ..AuditFilter::default() };
        let next = store.audit_list(&filter).await.expect("a read succeeds");
        seen.extend(next);
        seen.len()
    };
    // The reader goes on between the writes, so it meets the log in the middle of things.
    let writing = futures_util::future::join_all((1..=120).map(append));
    let reading = async { while follow().await < 120 {} };
    crate::until::ends("the reader to see all records", async { futures_util::join!(writing, reading) }).await;
    let mut times: Vec<i64> = seen.iter().map(|entry| entry.record.at.0).collect();
    times.sort_unstable();
    assert_eq!(times, (1..=120).collect::<Vec<_>>());
}
