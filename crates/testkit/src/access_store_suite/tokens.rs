//! Tokens.

use futures_util::future::join_all;
use layer0_domain::model::access::Token;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::owner::Role;
use layer0_domain::model::registry::{Repository, Visibility};
use layer0_domain::model::time::Timestamp;
use layer0_domain::model::user::UserChange;
use layer0_domain::port::access_store::{AccessStoreError, TokenAccess, UserAccess};

use super::sample::{admin, member, name, owner_made, owner_name, robot, token, user_made};
use super::{AccessPorts, Ports};

/// `token_*`: found by hash and id with all that decides what it opens, listed oldest first, gone at once when deleted.
pub async fn tokens_are_found_by_hash_and_id_until_deleted(store: &dyn AccessPorts) {
    let root = admin(store, "root").await;
    owner_made(store, "team").await;
    store.member_put(&member("team", "root", Role::Reader)).await.expect("both are there");
    let mut young = token("young", "root", 1);
    young.created = Timestamp(20);
    young.expires = Some(Timestamp(30));
    let mut old = robot("old", "team", 2);
    old.last_used = Some(Timestamp(15));
    for token in [&young, &old] {
        store.token_create(token).await.expect("its subject is there");
    }
    let user = UserAccess { user: root, members: vec![member("team", "root", Role::Reader)] };
    let found = store.token_find(&young.hash).await.expect("a read succeeds");
    assert_eq!(found, Some(TokenAccess { token: young.clone(), user: Some(user) }));
    assert_eq!(store.token_find(&[3; 32]).await.expect("a read succeeds"), None);
    let found = store.token_get(&old.id).await.expect("a read succeeds");
    assert_eq!(found, Some(TokenAccess { token: old.clone(), user: None }));
    assert_eq!(store.token_get(&token("none", "root", 4).id).await.expect("a read succeeds"), None);
    assert_eq!(store.token_list().await.expect("a read succeeds"), [old.clone(), young.clone()]);

    store.token_touch(&young.id, Timestamp(25)).await.expect("a write succeeds");
    store.token_touch(&young.id, Timestamp(24)).await.expect("an older use is passed over");
    young.last_used = Some(Timestamp(25));
    let found = store.token_find(&young.hash).await.expect("a read succeeds").expect("it is there");
    assert_eq!(found.token, young);

    let mut twin = token("twin", "root", 1);
    assert!(store.token_create(&twin).await.is_err(), "one secret opens for one token");
    twin.hash = [9; 32];
    twin.id = young.id.clone();
    assert!(store.token_create(&twin).await.is_err(), "an id is given once");

    let gone = store.token_delete(&young.id, Timestamp(31)).await.expect("it opened nothing any more");
    assert_eq!(gone, young);
    assert_eq!(store.token_find(&young.hash).await.expect("a read succeeds"), None);
    let again = store.token_delete(&young.id, Timestamp(31)).await;
    assert!(matches!(again, Err(AccessStoreError::Missing { .. })), "{again:?}");
    store.token_touch(&young.id, Timestamp(31)).await.expect("a token that is gone is passed over");
    assert_eq!(store.token_list().await.expect("a read succeeds"), [old]);
}

/// `token_create`: a token of nobody is refused.
pub async fn a_token_needs_its_subject(store: &dyn AccessPorts) {
    for orphan in [token("users", "nobody", 1), robot("robots", "nobody", 2)] {
        let answer = store.token_create(&orphan).await;
        assert!(matches!(answer, Err(AccessStoreError::Missing { .. })), "{answer:?}");
    }
    assert_eq!(store.token_list().await.expect("a read succeeds"), []);
}

/// `token_create_once`: of many who do it at once one keeps its token, and no token comes back that was taken away.
pub async fn a_token_is_made_once_for_a_setting(store: &dyn AccessPorts) {
    const NOTED: &str = "first";
    let orphan = store.token_create_once(&token("orphan", "nobody", 9), NOTED).await;
    assert!(matches!(orphan, Err(AccessStoreError::Missing { .. })), "{orphan:?}");
    assert_eq!(
        store.setting_get(NOTED).await.expect("a read succeeds"),
        None,
        "nothing was made, and nothing is noted"
    );
    user_made(store, "root").await;
    // Servers with the same secret, and some with another.
    let tokens: Vec<Token> = (0..8)
        .map(|number| Token { hash: [1 + number % 2; 32], ..token(&format!("first{number}"), "root", number) })
        .collect();
    let made = join_all(tokens.iter().map(|token| store.token_create_once(token, NOTED))).await;
    let made: Vec<bool> = made.into_iter().map(|made| made.expect("a write succeeds")).collect();
    assert_eq!(made.iter().filter(|made| **made).count(), 1, "{made:?}");
    let kept = store.token_list().await.expect("a read succeeds");
    let place = made.iter().position(|made| *made).expect("one of them");
    assert_eq!(kept, [tokens[place].clone()]);
    assert!(store.setting_get(NOTED).await.expect("a read succeeds").is_some());

    store.token_create(&token("other", "root", 20)).await.expect("its user is there");
    store.token_delete(&kept[0].id, Timestamp(1)).await.expect("it is there");
    assert!(!store.token_create_once(&kept[0], NOTED).await.expect("a read succeeds"));
    assert_eq!(store.token_find(&kept[0].hash).await.expect("a read succeeds"), None);
}

/// `token_rotate`: another secret, beginning and end; everything else stays.
pub async fn a_rotated_token_opens_with_its_new_secret_only(store: &dyn AccessPorts) {
    user_made(store, "bob").await;
    let mut old = token("it", "bob", 1);
    old.last_used = Some(Timestamp(15));
    store.token_create(&old).await.expect("its user is there");
    let new = store.token_rotate(&old.id, &[2; 32], Timestamp(40), Some(Timestamp(50))).await.expect("it is there");
    let mut expected = old.clone();
    (expected.hash, expected.created, expected.expires) = ([2; 32], Timestamp(40), Some(Timestamp(50)));
    expected.last_used = None;
    assert_eq!(new, expected);
    assert_eq!(store.token_find(&old.hash).await.expect("a read succeeds"), None);
    let found = store.token_find(&[2; 32]).await.expect("a read succeeds").expect("the new secret opens");
    assert_eq!(found.token, new);
    let none = store.token_rotate(&token("none", "bob", 9).id, &[3; 32], Timestamp(0), None).await;
    assert!(matches!(none, Err(AccessStoreError::Missing { .. })), "{none:?}");
}

/// `shut_out_count`: grows with each write that may have shut somebody out, and with no other; one that was refused counts
/// for nothing.
pub async fn whoever_may_be_shut_out_is_counted(store: &dyn AccessPorts) {
    let count = async || store.shut_out_count().await.expect("a read succeeds");
    let mut before = count().await;
    let mut grew = async |what: &str, by: u64| {
        let now = count().await;
        assert_eq!(now, before + by, "{what}");
        before = now;
    };
    admin(store, "root").await;
    store.token_create(&token("way-in", "root", 9)).await.expect("its user is there");
    user_made(store, "bob").await;
    owner_made(store, "team").await;
    store.token_create(&token("bobs", "bob", 1)).await.expect("its user is there");
    store.token_touch(&token("bobs", "bob", 1).id, Timestamp(5)).await.expect("a write succeeds");
    grew("what lets somebody in", 0).await;
    store.member_put(&member("team", "bob", Role::Maintainer)).await.expect("both are there");
    store.member_put(&member("team", "bob", Role::Reader)).await.expect("both are there");
    grew("a place that is less than it was", 2).await;
    store.member_delete(&owner_name("team"), &name("bob")).await.expect("it is there");
    assert!(store.member_delete(&owner_name("team"), &name("bob")).await.is_err());
    grew("a place that is taken away", 1).await;
    store.token_rotate(&token("bobs", "bob", 1).id, &[2; 32], Timestamp(1), None).await.expect("it is there");
    grew("another secret", 1).await;
    store.token_delete(&token("bobs", "bob", 1).id, Timestamp(1)).await.expect("it is there");
    assert!(store.token_delete(&token("bobs", "bob", 1).id, Timestamp(1)).await.is_err());
    grew("a token that is taken away", 1).await;
    let demoted = UserChange { admin: Some(false), ..UserChange::default() };
    store.user_update(&name("bob"), &demoted, Timestamp(1)).await.expect("he is there");
    assert!(store.user_delete(&name("root"), Timestamp(1)).await.is_err(), "the last way in");
    grew("a user who is changed", 1).await;
    store.user_delete(&name("bob"), Timestamp(1)).await.expect("he is there");
    store.owner_delete(&owner_name("team")).await.expect("it has nothing");
    grew("a user and an owner who go", 2).await;
}

/// `shut_out_count` grows with each public repository that becomes private, wherever it lies, and with no other change of who may see
/// one: whoever pulls it without a name may not go on.
pub async fn what_becomes_private_is_counted(store: &dyn Ports) {
    let count = async || store.shut_out_count().await.expect("a read succeeds");
    let before = count().await;
    let repository = |visibility| Repository {
        name: RepositoryName::parse("team/app").expect("a legal name"),
        created: Timestamp(0),
        visibility,
    };
    let name = repository(Visibility::Private).name;
    store.repository_create(&repository(Visibility::Private)).await.expect("a new store takes it");
    for (visibility, counted) in [
        (Visibility::Private, 0),
        (Visibility::Public, 0),
        (Visibility::Public, 0),
        (Visibility::Private, 1),
        (Visibility::Private, 1),
    ] {
        store.repository_update(&name, visibility).await.expect("it is there");
        assert_eq!(count().await, before + counted, "kept here, {visibility:?}");
    }
    for (visibility, counted) in [
        (Visibility::Private, 1),
        (Visibility::Public, 1),
        (Visibility::Public, 1),
        (Visibility::Private, 2),
        (Visibility::Private, 2),
    ] {
        store.visibility_put(&name, visibility).await.expect("a write succeeds");
        assert_eq!(count().await, before + counted, "kept elsewhere, {visibility:?}");
    }
}
