//! Tokens.

use layer0_domain::model::owner::Role;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::access_store::{AccessStoreError, TokenAccess, UserAccess};

use super::AccessPorts;
use super::sample::{admin, member, owner_made, robot, token, user_made};

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
