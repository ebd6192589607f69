//! Trusts and the tokens that they give.

use layer0_domain::model::access::Token;
use layer0_domain::model::time::Timestamp;
use layer0_domain::model::trust::{AwsPrincipal, Evidence};
use layer0_domain::port::access_store::AccessStoreError;

use super::AccessPorts;
use super::sample::{admin, name, owner_made, owner_name, robot, token, trust, trusted};

/// `trust_create`, `trust_list`, `trust_delete`: one of a name in each owner, in order, as it was made.
pub async fn a_trust_is_made_once_and_read_as_it_was_made(store: &dyn AccessPorts) {
    let orphan = store.trust_create(&trust("ci", "nobody")).await;
    assert!(matches!(orphan, Err(AccessStoreError::Missing { what: "owner", .. })), "{orphan:?}");
    owner_made(store, "team").await;
    owner_made(store, "other").await;
    let mut aws = trust("aws", "team");
    let principal = AwsPrincipal::parse("arn:aws:iam::111122223333:role/ci-*").expect("a principal");
    aws.evidence = Evidence::Aws { principal };
    let all = [trust("ci", "other"), aws, trust("ci", "team")];
    for it in all.iter().rev() {
        store.trust_create(it).await.expect("the name is free");
    }
    let mut twin = trust("ci", "team");
    twin.id = trust("twin", "team").id;
    let again = store.trust_create(&twin).await;
    assert!(matches!(again, Err(AccessStoreError::Exists { what: "trust", .. })), "{again:?}");
    assert_eq!(store.trust_list().await.expect("a read succeeds"), all);
    let gone = store.trust_delete(&owner_name("team"), &name("ci")).await.expect("it is there");
    assert_eq!(gone, all[2]);
    assert_eq!(store.trust_list().await.expect("a read succeeds"), all[..2]);
    let again = store.trust_delete(&owner_name("team"), &name("ci")).await;
    assert!(matches!(again, Err(AccessStoreError::Missing { what: "trust", .. })), "{again:?}");
}

/// `trust_delete`: what it gave is nowhere any more, and one who listens is told; a trust that is made anew under the name has
/// nothing to do with it.
pub async fn a_trusts_tokens_end_with_it(store: &dyn AccessPorts) {
    owner_made(store, "team").await;
    let (ci, other) = (trust("ci", "team"), trust("other", "team"));
    let (given, kept) = (trusted("given", &ci, 1), trusted("kept", &other, 2));
    let early = store.token_create(&given).await;
    assert!(matches!(early, Err(AccessStoreError::Missing { what: "trust", .. })), "{early:?}");
    for it in [&ci, &other] {
        store.trust_create(it).await.expect("the name is free");
    }
    let made = robot("made", "team", 3);
    for it in [&given, &kept, &made] {
        store.token_create(it).await.expect("its trust is there");
    }
    let found = store.token_find(&given.hash).await.expect("a read succeeds").expect("it is there");
    assert_eq!((&found.token, found.user), (&given, None));
    let before = store.shut_out_count().await.expect("a read succeeds");
    store.trust_delete(&ci.owner, &ci.name).await.expect("it is there");
    assert_eq!(store.shut_out_count().await.expect("a read succeeds"), before + 1);
    let is_gone = async |when: &str| {
        assert_eq!(store.token_find(&given.hash).await.expect("a read succeeds"), None, "{when}");
        assert_eq!(store.token_get(&given.id).await.expect("a read succeeds"), None, "{when}");
        let mut left: Vec<Token> = store.token_list().await.expect("a read succeeds");
        left.sort_by(|a, b| a.id.cmp(&b.id));
        assert_eq!(left, [kept.clone(), made.clone()], "{when}");
        let deleted = store.token_delete(&given.id, Timestamp(0)).await;
        assert!(matches!(deleted, Err(AccessStoreError::Missing { .. })), "{when}: {deleted:?}");
    };
    is_gone("at once").await;
    let mut anew = trust("ci", "team");
    anew.id = trust("anew", "team").id;
    store.trust_create(&anew).await.expect("the name is free");
    is_gone("under a new trust of the name").await;
    let late = store.token_create(&given).await;
    assert!(matches!(late, Err(AccessStoreError::Missing { .. })), "{late:?}");
}

/// `owner_delete`: trusts and what they gave go with their owner; its next one of the name has none.
pub async fn an_owner_takes_its_trusts_along(store: &dyn AccessPorts) {
    admin(store, "root").await;
    owner_made(store, "team").await;
    owner_made(store, "other").await;
    for it in [trust("ci", "team"), trust("ci", "other")] {
        store.trust_create(&it).await.expect("the name is free");
    }
    let given = trusted("given", &trust("ci", "team"), 1);
    store.token_create(&given).await.expect("its trust is there");
    store.owner_delete(&owner_name("team")).await.expect("it has nothing else");
    assert_eq!(store.trust_list().await.expect("a read succeeds"), [trust("ci", "other")]);
    assert_eq!(store.token_find(&given.hash).await.expect("a read succeeds"), None);
    owner_made(store, "team").await;
    assert_eq!(store.trust_list().await.expect("a read succeeds"), [trust("ci", "other")]);
    assert_eq!(store.token_find(&given.hash).await.expect("a read succeeds"), None);
    store.trust_create(&trust("ci", "team")).await.expect("the name is free again");
}

/// `token_prune`: only what a trust gave, and only after its end.
pub async fn what_trusts_gave_is_forgotten_after_its_end(store: &dyn AccessPorts) {
    admin(store, "root").await;
    owner_made(store, "team").await;
    let ci = trust("ci", "team");
    store.trust_create(&ci).await.expect("the name is free");
    let ends = |token: Token, at: i64| Token { expires: Some(Timestamp(at)), ..token };
    let (old, young) = (ends(trusted("old", &ci, 1), 20), ends(trusted("young", &ci, 2), 30));
    let mine = ends(token("mine", "root", 3), 20);
    for it in [&old, &young, &mine] {
        store.token_create(it).await.expect("its subject is there");
    }
    assert_eq!(store.token_prune(Timestamp(20)).await.expect("a write succeeds"), 0);
    assert_eq!(store.token_prune(Timestamp(21)).await.expect("a write succeeds"), 1);
    assert_eq!(store.token_find(&old.hash).await.expect("a read succeeds"), None);
    let mut left = store.token_list().await.expect("a read succeeds");
    left.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(left, [mine, young]);
}
