//! Account grants.

use futures_util::future::join_all;
use layer0_domain::model::grant::{Grant, GrantScope, GrantState, GrantWish, Grantee, KeptGrant};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::time::{Generation, Timestamp};
use layer0_domain::port::access_store::{AccessStore, AccessStoreError};

use super::AccessPorts;
use super::sample::{AT, owner_made, owner_name};

const READS: &str = "a read succeeds";
const WRITES: &str = "a write succeeds";

fn grantee(text: &str) -> Grantee {
    Grantee::parse(text).expect("samples are written with legal words only")
}

fn repository(text: &str) -> RepositoryName {
    RepositoryName::parse(text).expect("samples are written with legal words only")
}

fn kept(who: &str, scope: GrantScope) -> KeptGrant {
    KeptGrant::new(Grant { grantee: grantee(who), scope }, AT)
}

async fn list(store: &dyn AccessStore) -> Vec<KeptGrant> {
    store.grant_list().await.expect(READS)
}

/// `grant_list`, `grant_put`: all of them, in order, as they were given but for the generation, which counts on.
pub async fn grants_are_kept_in_order_with_what_became_of_them(store: &dyn AccessPorts) {
    assert_eq!(list(store).await, []);
    owner_made(store, "team").await;
    let team = GrantScope::Owner(owner_name("team"));
    let unit = kept("ou:o-a1b2c3d4e5/ou-ab12-11111111", GrantScope::Repository(repository("team/app")));
    let instance = kept("210987654321", GrantScope::Instance);
    let of_team = kept("210987654321", team);
    let other = kept("123456789012", GrantScope::Instance);
    for one in [&unit, &of_team, &instance, &other] {
        assert_eq!(store.grant_put(one, None).await.expect(WRITES), Some(Generation(1)));
    }
    assert_eq!(list(store).await, [&other, &instance, &of_team, &unit].map(Clone::clone));

    let mut told = KeptGrant { state: GrantState::Refused("nobody knows it".to_owned()), ..unit.clone() };
    told.wish = GrantWish::TakeBack;
    told.report.looked = Some(Timestamp(20));
    told.report.note_right();
    told.report.note_wrong(&repository("team/app"), "because");
    told.generation = Generation(77);
    assert_eq!(store.grant_put(&told, Some(Generation(1))).await.expect(WRITES), Some(Generation(2)));
    let stored = list(store).await.pop().expect("the last one");
    assert_eq!(stored, KeptGrant { generation: Generation(2), ..told });
}

/// `grant_put`, `grant_delete`: compare and set on the generation.
pub async fn a_grant_is_written_only_over_the_one_that_was_read(store: &dyn AccessPorts) {
    let one = kept("123456789012", GrantScope::Instance);
    assert_eq!(store.grant_put(&one, Some(Generation(1))).await.expect(WRITES), None, "there is none");
    assert_eq!(store.grant_put(&one, None).await.expect(WRITES), Some(Generation(1)));
    assert_eq!(store.grant_put(&one, None).await.expect(WRITES), None, "there is one");
    assert_eq!(store.grant_put(&one, Some(Generation(2))).await.expect(WRITES), None, "it is another");
    let settled = KeptGrant { state: GrantState::Settled, ..one.clone() };
    assert_eq!(store.grant_put(&settled, Some(Generation(1))).await.expect(WRITES), Some(Generation(2)));

    assert!(!store.grant_delete(&one.grant, Generation(1)).await.expect(WRITES), "it is another");
    assert_eq!(list(store).await.len(), 1);
    assert!(store.grant_delete(&one.grant, Generation(2)).await.expect(WRITES));
    assert!(!store.grant_delete(&one.grant, Generation(2)).await.expect(WRITES), "it is gone");
    assert_eq!(list(store).await, []);
    assert_eq!(store.grant_put(&one, None).await.expect(WRITES), Some(Generation(1)), "and may come again");
}

/// `grant_put`, `owner_delete`: a grant for an owner's repositories needs the owner, and keeps it.
pub async fn a_grant_needs_the_owner_it_is_about(store: &dyn AccessPorts) {
    let team = owner_name("team");
    let of_team = kept("123456789012", GrantScope::Owner(team.clone()));
    let of_app = kept("123456789012", GrantScope::Repository(repository("team/app")));
    for one in [&of_team, &of_app] {
        let refused = store.grant_put(one, None).await;
        assert!(matches!(refused, Err(AccessStoreError::Missing { what: "owner", .. })), "{refused:?}");
    }
    owner_made(store, "team").await;
    for one in [&of_team, &of_app] {
        assert_eq!(store.grant_put(one, None).await.expect(WRITES), Some(Generation(1)));
    }
    let things = |answer| match answer {
        Err(AccessStoreError::OwnerInUse { things, .. }) => things,
        other => panic!("{other:?}"),
    };
    assert_eq!(things(store.owner_delete(&team).await), "2 account grants");
    assert!(store.grant_delete(&of_team.grant, Generation(1)).await.expect(WRITES));
    assert_eq!(things(store.owner_delete(&team).await), "1 account grant");
    assert!(store.grant_delete(&of_app.grant, Generation(1)).await.expect(WRITES));
    store.owner_delete(&team).await.expect("it has nothing");
}

/// `grant_put`: of many who have read the same generation one comes through.
pub async fn of_many_who_write_a_grant_one_wins(store: &dyn AccessPorts) {
    let one = kept("123456789012", GrantScope::Instance);
    let first = join_all((0..8).map(|_| store.grant_put(&one, None))).await;
    let first: Vec<_> = first.into_iter().filter_map(|answer| answer.expect(WRITES)).collect();
    assert_eq!(first, [Generation(1)]);
    let next = join_all((0..8).map(|_| store.grant_put(&one, Some(Generation(1))))).await;
    let next: Vec<_> = next.into_iter().filter_map(|answer| answer.expect(WRITES)).collect();
    assert_eq!(next, [Generation(2)]);
}
