//! People whom a provider signs in.

use layer0_domain::model::owner::{Member, Role};
use layer0_domain::model::person::Person;
use layer0_domain::model::time::Timestamp;
use layer0_domain::model::user::{User, UserChange};
use layer0_domain::port::access_store::{AccessStoreError, FoundPerson, UserAccess};

use super::AccessPorts;
use super::sample::{admin, member, name, owner_made, person, person_user, token, user, user_made};
use super::users::assert_last;

/// `user_create`, `person_find`: a user is found by whom the provider knows, and by nobody else.
pub async fn a_person_is_found_by_what_the_provider_says(store: &dyn AccessPorts) {
    let alice = person_user("alice", "u1");
    assert_eq!(store.person_find(&person("u1")).await.expect("a read succeeds"), None);
    store.user_create(&alice).await.expect("the name is free");
    user_made(store, "bob").await;
    owner_made(store, "team").await;
    let place = Member { by_group: true, ..member("team", "alice", Role::Writer) };
    store.member_put(&place).await.expect("both are there");
    let access = UserAccess { user: alice.clone(), members: vec![place.clone()] };
    let found = FoundPerson { name: name("alice"), access: Some(access.clone()) };
    assert_eq!(store.person_find(&person("u1")).await.expect("a read succeeds"), Some(found));
    assert_eq!(store.person_find(&person("U1")).await.expect("a read succeeds"), None);
    assert_eq!(store.user_get(&name("alice")).await.expect("a read succeeds"), Some(access));
    assert_eq!(store.user_list().await.expect("a read succeeds"), [alice, user("bob")]);
    // One given by hand takes its place, and is told from it.
    store.member_put(&member("team", "alice", Role::Reader)).await.expect("both are there");
    let members = store.member_list(&place.owner).await.expect("a read succeeds");
    assert_eq!(members, [member("team", "alice", Role::Reader)]);
}

/// `user_create`: neither a name nor a person is taken over.
pub async fn a_person_has_one_user_and_a_name_one_person(store: &dyn AccessPorts) {
    user_made(store, "bob").await;
    store.user_create(&person_user("alice", "u1")).await.expect("the name is free");
    for taken in [person_user("bob", "u2"), person_user("alice", "u2"), person_user("other", "u1")] {
        let again = store.user_create(&taken).await;
        assert!(matches!(again, Err(AccessStoreError::Exists { .. })), "{again:?}");
    }
    assert_eq!(store.user_get(&name("bob")).await.expect("a read succeeds").expect("there").user, user("bob"));
    assert_eq!(store.user_get(&name("other")).await.expect("a read succeeds"), None, "nothing of it was written");
    assert_eq!(store.person_find(&person("u2")).await.expect("a read succeeds"), None);
}

/// `user_delete`, `person_find`: who was deleted is remembered, until an admin makes another user of them.
pub async fn a_person_whose_user_was_deleted_is_remembered(store: &dyn AccessPorts) {
    admin(store, "root").await;
    store.token_create(&token("way-in", "root", 1)).await.expect("its user is there");
    store.user_create(&person_user("alice", "u1")).await.expect("the name is free");
    store.user_delete(&name("alice"), Timestamp(1)).await.expect("it is there");
    let gone = Some(FoundPerson { name: name("alice"), access: None });
    assert_eq!(store.person_find(&person("u1")).await.expect("a read succeeds"), gone);
    // Somebody else of the name is somebody else.
    user_made(store, "alice").await;
    assert_eq!(store.person_find(&person("u1")).await.expect("a read succeeds"), gone);
    let again = person_user("alice2", "u1");
    store.user_create(&again).await.expect("the user of before is gone");
    let found = store.person_find(&person("u1")).await.expect("a read succeeds").expect("it is linked");
    assert_eq!((found.name, found.access.map(|it| it.user)), (name("alice2"), Some(again)));
}

/// `user_update`: by whom somebody is an admin is kept, and goes only where it is said.
pub async fn an_admin_by_a_group_is_told_from_one_by_hand(store: &dyn AccessPorts) {
    admin(store, "root").await;
    store.token_create(&token("way-in", "root", 1)).await.expect("its user is there");
    store.user_create(&person_user("alice", "u1")).await.expect("the name is free");
    let change = async |change: UserChange| store.user_update(&name("alice"), &change, Timestamp(1)).await;
    let by_group = UserChange { admin: Some(true), admin_by_group: Some(true), ..UserChange::default() };
    let made = change(by_group).await.expect("it is there");
    let wanted = Person { admin_by_group: true, ..Person::new(person("u1")) };
    assert_eq!(made, User { admin: true, person: Some(wanted), ..user("alice") });
    assert_eq!(store.user_get(&name("alice")).await.expect("a read succeeds").expect("there").user, made);
    assert_eq!(change(UserChange::default()).await.expect("it is there"), made);
    let by_hand = UserChange { admin_by_group: Some(false), ..UserChange::default() };
    let changed = change(by_hand).await.expect("it is there");
    assert_eq!(changed, User { admin: true, ..person_user("alice", "u1") });
    // Of no meaning for a user whom no provider knows.
    user_made(store, "bob").await;
    let by_group = UserChange { admin_by_group: Some(true), ..UserChange::default() };
    assert_eq!(store.user_update(&name("bob"), &by_group, Timestamp(1)).await.expect("it is there"), user("bob"));
}

/// `user_delete`, `user_update`: an admin by a group is no way in that could be the last, and goes whatever is left.
pub async fn an_admin_by_a_group_is_no_way_in(store: &dyn AccessPorts) {
    admin(store, "root").await;
    store.token_create(&token("way-in", "root", 1)).await.expect("its user is there");
    store.user_create(&person_user("alice", "u1")).await.expect("the name is free");
    store.token_create(&token("alices", "alice", 2)).await.expect("its user is there");
    let by_group = |is_one| UserChange { admin: Some(is_one), admin_by_group: Some(is_one), ..UserChange::default() };
    store.user_update(&name("alice"), &by_group(true), Timestamp(1)).await.expect("it is there");
    assert_last(store.user_delete(&name("root"), Timestamp(1)).await);
    store.user_update(&name("alice"), &by_group(false), Timestamp(1)).await.expect("root is there");
    // By hand she is one.
    let by_hand = UserChange { admin: Some(true), admin_by_group: Some(false), ..UserChange::default() };
    store.user_update(&name("alice"), &by_hand, Timestamp(1)).await.expect("it is there");
    store.user_delete(&name("root"), Timestamp(1)).await.expect("alice is there");
    assert_last(store.user_update(&name("alice"), &by_group(false), Timestamp(1)).await);
    assert_last(store.user_update(&name("alice"), &by_group(true), Timestamp(1)).await);
}

/// `token_prune`: what sign-ins at a provider gave is forgotten after its end, and nobody else's tokens.
pub async fn tokens_of_people_are_forgotten_after_their_end(store: &dyn AccessPorts) {
    store.user_create(&person_user("alice", "u1")).await.expect("the name is free");
    user_made(store, "bob").await;
    for (word, of, byte, ends) in [
        ("ended", "alice", 1, Some(5)),
        ("lives", "alice", 2, Some(15)),
        ("endless", "alice", 3, None),
        ("bobs", "bob", 4, Some(5)),
    ] {
        let mut kept = token(word, of, byte);
        kept.expires = ends.map(Timestamp);
        store.token_create(&kept).await.expect("its user is there");
    }
    assert_eq!(store.token_prune(Timestamp(10)).await.expect("it is done"), 1);
    let mut left: Vec<String> =
        store.token_list().await.expect("a read succeeds").iter().map(|it| it.name.to_string()).collect();
    left.sort();
    assert_eq!(left, ["bobs", "endless", "lives"]);
}
