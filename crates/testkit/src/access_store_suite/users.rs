//! Users, and the way in that must stay.

use futures_util::future::join_all;
use layer0_domain::model::owner::Role;
use layer0_domain::model::time::Timestamp;
use layer0_domain::model::user::{User, UserChange};
use layer0_domain::port::access_store::{AccessStoreError, UserAccess};

use super::AccessPorts;
use super::sample::{self, admin, member, name, owner_made, password, robot, token, user, user_made};

/// Demands that a change was refused because it would take the last way in.
pub(super) fn assert_last<T: std::fmt::Debug>(answer: Result<T, AccessStoreError>) {
    assert!(matches!(answer, Err(AccessStoreError::LastWayIn { .. })), "{answer:?}");
}

/// `user_create`, `user_get`, `user_list`: made once, read back as it was made, with its places by owner.
pub async fn a_user_is_made_once_and_read_with_its_places(store: &dyn AccessPorts) {
    let bob = User { password: Some(password("x")), ..user("bob") };
    assert_eq!(store.user_get(&bob.name).await.expect("a read succeeds"), None);
    store.user_create(&bob).await.expect("the name is free");
    let alice = admin(store, "alice").await;
    let again = store.user_create(&User { admin: true, ..bob.clone() }).await;
    assert!(matches!(again, Err(AccessStoreError::Exists { .. })), "{again:?}");
    for owner in ["zoo", "app"] {
        owner_made(store, owner).await;
        store.member_put(&member(owner, "bob", Role::Writer)).await.expect("both are there");
    }
    let found = store.user_get(&bob.name).await.expect("a read succeeds").expect("it was made");
    let members = vec![member("app", "bob", Role::Writer), member("zoo", "bob", Role::Writer)];
    assert_eq!(found, UserAccess { user: bob.clone(), members });
    assert_eq!(store.user_list().await.expect("a read succeeds"), [alice, bob]);
}

/// `user_update`: what is not named stays.
pub async fn a_user_is_changed_only_where_it_is_said(store: &dyn AccessPorts) {
    admin(store, "root").await;
    store.token_create(&token("way-in", "root", 1)).await.expect("its user is there");
    user_made(store, "bob").await;
    let change = async |change: UserChange| store.user_update(&name("bob"), &change, Timestamp(1)).await;
    let with =
        change(UserChange { password: Some(Some(password("x"))), ..UserChange::default() }).await.expect("it is there");
    assert_eq!(with, User { password: Some(password("x")), ..user("bob") });
    let both = change(UserChange { admin: Some(true), ..UserChange::default() }).await.expect("it is there");
    assert_eq!(both, User { admin: true, ..with });
    let without =
        change(UserChange { password: Some(None), ..UserChange::default() }).await.expect("another admin has a token");
    assert_eq!(without, User { admin: true, ..user("bob") });
    assert_eq!(store.user_get(&name("bob")).await.expect("a read succeeds").expect("there").user, without);
    let none = store.user_update(&name("none"), &UserChange::default(), Timestamp(1)).await;
    assert!(matches!(none, Err(AccessStoreError::Missing { .. })), "{none:?}");
}

/// `user_delete`: tokens and places go with it, and nobody else's.
pub async fn a_deleted_user_takes_tokens_and_places_along(store: &dyn AccessPorts) {
    admin(store, "root").await;
    user_made(store, "bob").await;
    owner_made(store, "team").await;
    for kept in [token("way-in", "root", 1), token("bobs", "bob", 2), robot("ci", "team", 3)] {
        store.token_create(&kept).await.expect("its subject is there");
    }
    for user in ["root", "bob"] {
        store.member_put(&member("team", user, Role::Maintainer)).await.expect("both are there");
    }
    store.user_delete(&name("bob"), Timestamp(1)).await.expect("it is there");
    assert_eq!(store.user_get(&name("bob")).await.expect("a read succeeds"), None);
    assert_eq!(store.token_find(&[2; 32]).await.expect("a read succeeds"), None);
    assert_eq!(store.token_list().await.expect("a read succeeds").len(), 2);
    let members = store.member_list(&sample::owner_name("team")).await.expect("a read succeeds");
    assert_eq!(members, [member("team", "root", Role::Maintainer)]);
    let again = store.user_delete(&name("bob"), Timestamp(1)).await;
    assert!(matches!(again, Err(AccessStoreError::Missing { .. })), "{again:?}");
}

/// `user_delete`: however much it has, all of it goes, and whoever gets the name begins with nothing.
pub async fn a_user_with_much_goes_with_all_of_it(store: &dyn AccessPorts) {
    admin(store, "root").await;
    user_made(store, "bob").await;
    for number in 0..40_u8 {
        let owner = format!("team{number}");
        owner_made(store, &owner).await;
        store.member_put(&member(&owner, "bob", Role::Reader)).await.expect("both are there");
        store.token_create(&token(&format!("t{number}"), "bob", number)).await.expect("its user is there");
    }
    store.user_delete(&name("bob"), Timestamp(1)).await.expect("it is there");
    user_made(store, "bob").await;
    assert_eq!(store.user_get(&name("bob")).await.expect("a read succeeds").expect("a new one").members, []);
    assert_eq!(store.token_list().await.expect("a read succeeds"), []);
    for number in 0..40_u8 {
        assert_eq!(store.token_find(&[number; 32]).await.expect("a read succeeds"), None);
        let members = store.member_list(&sample::owner_name(&format!("team{number}"))).await;
        assert_eq!(members.expect("a read succeeds"), []);
    }
}

/// `user_update`, `user_delete`, `token_delete`: an admin with a password, or with a live token without scopes, stays.
pub async fn the_last_way_in_for_an_admin_stays(store: &dyn AccessPorts) {
    let root = admin(store, "root").await;
    let mut ends = token("ends", "root", 1);
    ends.expires = Some(Timestamp(30));
    store.token_create(&ends).await.expect("its user is there");
    // None of these is a way in for an admin.
    user_made(store, "bob").await;
    let mut bounded = token("bounded", "root", 2);
    bounded.scopes = robot("x", "team", 9).scopes;
    for other in [&token("bobs", "bob", 3), &bounded] {
        store.token_create(other).await.expect("its user is there");
    }
    assert_last(store.token_delete(&ends.id, Timestamp(29)).await);
    assert_last(store.user_delete(&root.name, Timestamp(29)).await);
    let demoted = UserChange { admin: Some(false), ..UserChange::default() };
    assert_last(store.user_update(&root.name, &demoted, Timestamp(29)).await);
    let kept = store.token_get(&ends.id).await.expect("a read succeeds").expect("it is as it was");
    assert_eq!(kept.token, ends);
    assert_eq!(kept.user.expect("a user's").user, root);

    // A password is another way in; then the token may go, and the password may not.
    let secret = UserChange { password: Some(Some(password("x"))), ..UserChange::default() };
    store.user_update(&root.name, &secret, Timestamp(29)).await.expect("nothing is lost");
    store.token_delete(&ends.id, Timestamp(29)).await.expect("the password stays");
    let none = UserChange { password: Some(None), ..UserChange::default() };
    assert_last(store.user_update(&root.name, &none, Timestamp(29)).await);

    // Where there is no way in, nothing is lost with what opens nothing.
    store.token_delete(&token("bobs", "bob", 3).id, Timestamp(29)).await.expect("nobody's way in");
}

/// The same of two at the same time: one stays.
pub async fn of_the_last_two_ways_in_one_stays(store: &dyn AccessPorts) {
    admin(store, "root").await;
    let tokens = [token("one", "root", 1), token("other", "root", 2)];
    for token in &tokens {
        store.token_create(token).await.expect("its user is there");
    }
    for _ in 0..4 {
        let answers = join_all(tokens.iter().map(|token| store.token_delete(&token.id, Timestamp(1)))).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
        assert_eq!(store.token_list().await.expect("a read succeeds").len(), 1);
        let gone = answers.into_iter().find_map(Result::ok).expect("one went");
        store.token_create(&gone).await.expect("its user is there");
    }
    // Of different kinds: a user who is no admin any more, and another one's token.
    let other = admin(store, "other").await;
    store.token_create(&token("third", "other", 3)).await.expect("its user is there");
    store.token_delete(&tokens[0].id, Timestamp(1)).await.expect("two are left");
    let demoted = UserChange { admin: Some(false), ..UserChange::default() };
    let (deleted, changed) = futures_util::join!(
        store.token_delete(&tokens[1].id, Timestamp(1)),
        store.user_update(&other.name, &demoted, Timestamp(1))
    );
    assert_ne!(deleted.is_ok(), changed.is_ok(), "{deleted:?} {changed:?}");
}
