//! The contracts of the ports over a way with faults, and what is left when a server dies in the middle.

use layer0_domain::model::owner::Role;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::access_store::{AccessStore, AccessStoreError};
use layer0_domain::port::store::{Store, StoreError};
use layer0_testkit::access_store_suite::sample::{
    admin, member, name, owner_made, owner_name, robot, token, user_made,
};
use layer0_testkit::store_suite::sample;
use layer0_testkit::{access_store_suite, registry_store_suite, store_suite};

use crate::proxy::{Fault, Plan, Proxy};
use crate::support::{TestTable, client, endpoint};

/// Attempts of the SDK in these tests: many callers at once may meet each third call with one and the same call again and
/// again.
const ATTEMPTS: u32 = 20;

async fn contracts(fault: Fault) {
    let mut faults = 0;
    for behaviour in store_suite::ALL {
        let (table, proxy) = (TestTable::new().await, Proxy::start(Plan::EachThird(fault)).await);
        (behaviour.show)(&table.store_at(client(&proxy.endpoint(), ATTEMPTS))).await;
        faults += proxy.faults();
        table.delete().await;
    }
    for behaviour in access_store_suite::ALL {
        let (table, proxy) = (TestTable::new().await, Proxy::start(Plan::EachThird(fault)).await);
        (behaviour.show)(&table.store_at(client(&proxy.endpoint(), ATTEMPTS))).await;
        faults += proxy.faults();
        table.delete().await;
    }
    for behaviour in registry_store_suite::ALL {
        let (table, proxy) = (TestTable::new().await, Proxy::start(Plan::EachThird(fault)).await);
        (behaviour.show)(&table.store_at(client(&proxy.endpoint(), ATTEMPTS))).await;
        faults += proxy.faults();
        table.delete().await;
    }
    assert!(faults > 150, "{fault:?} came {faults} times only: the tests show nothing");
}

/// What DynamoDB did and nobody heard of is done once, and is no name taken and no conflict.
#[tokio::test]
async fn answers_that_are_lost_change_nothing() {
    contracts(Fault::AnswerLost).await;
}

#[tokio::test]
async fn calls_that_are_lost_change_nothing() {
    contracts(Fault::CallLost).await;
}

#[tokio::test]
async fn throttling_changes_nothing() {
    contracts(Fault::Throttled).await;
}

#[tokio::test]
async fn internal_errors_change_nothing() {
    contracts(Fault::Broken).await;
}

#[tokio::test]
async fn conflicts_of_transactions_change_nothing() {
    contracts(Fault::Conflict).await;
}

/// After the SDK's own tries the store says that it failed and that later may be better, whatever the fault; and that a
/// write failed does not mean that it did not happen.
#[tokio::test]
async fn faults_that_stay_are_failures_that_may_be_tried_again() {
    for fault in [Fault::AnswerLost, Fault::CallLost, Fault::Throttled, Fault::Broken] {
        let (table, proxy) = (TestTable::new().await, Proxy::start(Plan::Each(fault)).await);
        let store = table.store_at(client(&proxy.endpoint(), 2));
        let answer = store.setting_get_or_put("key", b"value").await;
        let why = answer.expect_err("nothing comes through");
        assert!(matches!(why, StoreError::Failed { .. }) && why.retryable(), "{fault:?}: {why:?}");
        let read = store.operation_list_running().await;
        assert!(matches!(read, Err(StoreError::Failed { .. })), "{fault:?}: {read:?}");
        table.delete().await;
    }
}

/// A table that isn't there, and an address where nobody listens: named, without what was to be written.
#[tokio::test]
async fn errors_hold_nothing_of_what_was_to_be_written() {
    let table = TestTable::new().await;
    let (here, nowhere) = (table.store(), table.store_at(client("http://127.0.0.1:1", 1)));
    table.delete().await;
    for store in [here, nowhere] {
        let why = store.deploy_create(sample::new_deploy("web")).await.expect_err("there is no table");
        let text = format!("{why:?} {why}");
        assert!(text.contains("the store failed"), "{text}");
        assert!(!text.contains("a=b:c"), "the document's values are secrets: {text}");
        let kept = token("it", "bob", 7);
        let why = store.token_create(&kept).await.expect_err("there is no table");
        assert!(!format!("{why:?} {why}").contains("0707"), "{why:?}");
    }
}

/// A server that dies anywhere in the delete of a user with much: the user is there with everything, or gone with
/// everything; the next one of that name begins with nothing.
#[tokio::test]
async fn a_user_is_deleted_whole_wherever_the_server_dies() {
    for writes in 0.. {
        let table = TestTable::new().await;
        let store = table.store();
        admin(&store, "root").await;
        user_made(&store, "bob").await;
        for number in 0..25_u8 {
            let owner = format!("team{number}");
            owner_made(&store, &owner).await;
            store.member_put(&member(&owner, "bob", Role::Reader)).await.expect("both are there");
            store.token_create(&token(&format!("t{number}"), "bob", number)).await.expect("its user is there");
        }
        let proxy = Proxy::start(Plan::WritesBehind(writes)).await;
        let dying = table.store_at(client(&proxy.endpoint(), 1));
        let outcome = dying.user_delete(&name("bob"), Timestamp(1)).await;
        let there = store.user_get(&name("bob")).await.expect("a read succeeds");
        let expected = if there.is_some() { 25 } else { 0 };
        assert_eq!(there.is_some(), writes == 0, "the first write is the delete");
        assert_eq!(there.map_or(0, |it| it.members.len()), expected);
        assert_eq!(store.token_list().await.expect("a read succeeds").len(), expected);
        let found = store.token_find(&[3; 32]).await.expect("a read succeeds");
        assert_eq!(found.is_some(), expected > 0);
        let members = store.member_list(&owner_name("team3")).await.expect("a read succeeds");
        assert_eq!(members.is_empty(), expected == 0);
        if expected == 0 {
            let again = store.user_delete(&name("bob"), Timestamp(1)).await;
            assert!(matches!(again, Err(AccessStoreError::Missing { .. })), "{again:?}");
            if writes.is_multiple_of(2) {
                // Otherwise the next one of that name does it.
                store.table_ensure().await.expect("the next start finishes it");
            }
            user_made(&store, "bob").await;
            assert_eq!(store.user_get(&name("bob")).await.expect("a read").expect("a new one").members, []);
            assert_eq!(store.token_list().await.expect("a read succeeds"), []);
        }
        table.delete().await;
        if outcome.is_ok() {
            assert!(writes > 2, "the delete takes several writes");
            return;
        }
    }
}

/// The same of an owner with members and robots.
#[tokio::test]
async fn an_owner_is_deleted_whole_wherever_the_server_dies() {
    for writes in 0.. {
        let table = TestTable::new().await;
        let store = table.store();
        owner_made(&store, "team").await;
        for number in 0..35_u8 {
            let user = format!("u{number}");
            user_made(&store, &user).await;
            store.member_put(&member("team", &user, Role::Reader)).await.expect("both are there");
            store.token_create(&robot(&format!("r{number}"), "team", number)).await.expect("its owner is there");
        }
        let proxy = Proxy::start(Plan::WritesBehind(writes)).await;
        let dying = table.store_at(client(&proxy.endpoint(), 1));
        let outcome = dying.owner_delete(&owner_name("team")).await;
        let there = store.owner_get(&owner_name("team")).await.expect("a read succeeds").is_some();
        assert_eq!(there, writes == 0, "the first write is the delete");
        let (tokens, places) = if there { (35, 1) } else { (0, 0) };
        assert_eq!(store.token_list().await.expect("a read succeeds").len(), tokens);
        for number in [0, 34_u8] {
            assert_eq!(store.token_find(&[number; 32]).await.expect("a read succeeds").is_some(), there);
            let user = store.user_get(&name(&format!("u{number}"))).await.expect("a read succeeds");
            assert_eq!(user.expect("users stay").members.len(), places);
        }
        if !there {
            owner_made(&store, "team").await;
            assert_eq!(store.member_list(&owner_name("team")).await.expect("a read succeeds"), []);
            assert_eq!(store.token_list().await.expect("a read succeeds"), []);
        }
        table.delete().await;
        if outcome.is_ok() {
            assert!(writes > 2, "the delete takes several writes");
            return;
        }
    }
}

/// The endpoint is the one that the environment names: a test that asks nobody would show nothing.
#[tokio::test]
async fn the_emulator_is_on_this_machine() {
    assert!(endpoint().starts_with("http://127.0.0.1:"), "{}", endpoint());
}
