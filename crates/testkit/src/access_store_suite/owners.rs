//! Owners, members, what owners may hold, and which of their tags stay.

use layer0_domain::model::operation::{Operation, Verb};
use layer0_domain::model::owner::{Owner, Role, TagRule};
use layer0_domain::model::registry::Manifest;
use layer0_domain::model::retention::{RetentionRule, Retiring};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::access_store::{AccessStoreError, OwnerChange};
use layer0_domain::port::registry_store::{Along, Page, RegistryStore, RegistryStoreError, Room};
use layer0_domain::port::store::{Alongside, Entity, NewDeploy, StoreError};

use super::sample::{self, glob, member, owner, owner_made, owner_name, robot, user_made};
use super::{AccessPorts, Ports};
use crate::registry_store_suite::sample::{blob, digest, link, manifest, manifest_with, repository};
use crate::store_suite::sample as entities;

/// `owner_create`, `owner_get`, `owner_list`, `owner_update`: made once, listed by name, changed.
pub async fn an_owner_is_made_once_and_changed(store: &dyn AccessPorts) {
    let team = Owner { quota_bytes: Some(1000), ..owner("team") };
    assert_eq!(store.owner_get(&team.name).await.expect("a read succeeds"), None);
    store.owner_create(&team).await.expect("the name is free");
    let again = store.owner_create(&owner("team")).await;
    assert!(matches!(again, Err(AccessStoreError::Exists { .. })), "{again:?}");
    owner_made(store, "other").await;
    let listed = store.owner_list().await.expect("a read succeeds");
    let names: Vec<&str> = listed.iter().map(|it| it.owner.name.as_str()).collect();
    assert_eq!(names, ["other", "team"]);
    assert_eq!((&listed[1].owner, listed[1].repositories, listed[1].used_bytes), (&team, 0, 0));
    let change = OwnerChange { quota_bytes: Some(None) };
    let changed = store.owner_update(&team.name, &change).await.expect("it is there");
    assert_eq!(changed.owner.quota_bytes, None);
    assert_eq!(store.owner_get(&team.name).await.expect("a read succeeds"), Some(changed));
    let none = store.owner_update(&owner_name("none"), &change).await;
    assert!(matches!(none, Err(AccessStoreError::Missing { .. })), "{none:?}");
}

/// A repository makes its owner.
pub async fn an_owner_comes_with_its_first_repository(store: &dyn Ports) {
    owner_made(store, "team").await;
    repository(store, "team/app").await;
    repository(store, "other/app").await;
    let listed = store.owner_list().await.expect("a read succeeds");
    let shown: Vec<_> = listed.iter().map(|it| (it.owner.name.as_str(), it.repositories, it.used_bytes)).collect();
    assert_eq!(shown, [("other", 1, 0), ("team", 1, 0)]);
}

/// Makes an environment `prod` of the owner `team`; answers it with its operation, which still runs.
async fn environment_of_team(store: &dyn AccessPorts) -> (Entity, Operation) {
    let mut environment = entities::environment("prod");
    environment.owner = Some(owner_name("team"));
    let entity = Entity::Environment(environment);
    let operation = entities::operation("o1", Verb::Create, &entity);
    store.entity_create(&entity, &operation).await.expect("the owner is there");
    (entity, operation)
}

fn assert_has<T: std::fmt::Debug>(answer: Result<T, AccessStoreError>, expected: &str) {
    match answer {
        Err(AccessStoreError::OwnerInUse { things, .. }) => assert_eq!(things, expected),
        other => panic!("it has {expected}, but the answer was {other:?}"),
    }
}

/// `owner_delete`: refused while something belongs to it; members and robots go with it.
pub async fn an_owner_goes_only_when_it_has_nothing(store: &dyn AccessPorts) {
    let team = owner_name("team");
    owner_made(store, "team").await;
    user_made(store, "bob").await;
    store.member_put(&member("team", "bob", Role::Writer)).await.expect("both are there");
    store.token_create(&robot("ci", "team", 1)).await.expect("its owner is there");
    let (entity, operation) = environment_of_team(store).await;
    assert_has(store.owner_delete(&team).await, "1 environment");
    let mut made = Vec::new();
    for _ in 0..2 {
        let new = NewDeploy { owner: Some(team.clone()), ..entities::new_deploy("web") };
        made.push(store.deploy_create(new).await.expect("the owner is there"));
    }
    assert_has(store.owner_delete(&team).await, "1 environment, 2 deploys");
    let purge = Alongside::Purge(entity.reference(), entity.generation());
    assert!(store.operation_progress(&operation, &[], purge).await.expect("it runs"));
    for deploy in made {
        assert!(store.owner_delete(&team).await.is_err(), "a deploy is left");
        store.deploy_delete(&deploy.id).await.expect("it is there");
    }
    store.owner_delete(&team).await.expect("it has nothing");
    assert_eq!(store.owner_get(&team).await.expect("a read succeeds"), None);
    assert_eq!(store.member_list(&team).await.expect("a read succeeds"), []);
    assert_eq!(store.token_list().await.expect("a read succeeds"), []);
    assert_eq!(store.token_find(&[1; 32]).await.expect("a read succeeds"), None);
    assert_eq!(store.user_get(&sample::name("bob")).await.expect("a read succeeds").expect("he stays").members, []);
    let again = store.owner_delete(&team).await;
    assert!(matches!(again, Err(AccessStoreError::Missing { .. })), "{again:?}");
    owner_made(store, "team").await;
    assert_eq!(store.member_list(&team).await.expect("a read succeeds"), [], "a new one begins with nothing");
}

/// Waits for so long as so many reads take: those who meet do so in another of their steps each time.
async fn later(store: &dyn AccessPorts, reads: u32) {
    for _ in 0..reads {
        store.setting_get("none").await.expect("a read succeeds");
    }
}

/// `owner_delete` against `entity_create` and `deploy_create`: either the owner goes, or something is made for it.
pub async fn nothing_comes_to_an_owner_that_goes(store: &dyn AccessPorts) {
    for round in 0..15 {
        let name = format!("team{round}");
        let owner = owner_made(store, &name).await.name;
        let mut environment = entities::environment(&name);
        environment.owner = Some(owner.clone());
        let entity = Entity::Environment(environment);
        let operation = entities::operation(&format!("o{round}"), Verb::Create, &entity);
        let new = NewDeploy { owner: Some(owner.clone()), ..entities::new_deploy(&name) };
        let (gone, made, deployed) = futures_util::join!(
            store.owner_delete(&owner),
            async {
                later(store, round % 5).await;
                store.entity_create(&entity, &operation).await
            },
            async {
                later(store, round % 3).await;
                store.deploy_create(new).await
            }
        );
        assert_ne!(gone.is_ok(), made.is_ok() || deployed.is_ok(), "{gone:?} {made:?} {deployed:?}");
        let left = store.owner_get(&owner).await.expect("a read succeeds");
        assert_eq!(left.is_some(), gone.is_err());
    }
}

/// `owner_delete`: refused while it has a repository.
pub async fn an_owner_with_a_repository_stays(store: &dyn Ports) {
    owner_made(store, "team").await;
    let app = repository(store, "team/app").await;
    environment_of_team(store).await;
    assert_has(store.owner_delete(&owner_name("team")).await, "1 repository, 1 environment");
    store.repository_delete(&app, false).await.expect("it is there");
    assert_has(store.owner_delete(&owner_name("team")).await, "1 environment");
}

/// `member_*`: one place for a user in an owner, changed and taken away.
pub async fn a_member_is_changed_and_taken_away(store: &dyn AccessPorts) {
    owner_made(store, "team").await;
    user_made(store, "bob").await;
    user_made(store, "alice").await;
    let mut bob = member("team", "bob", Role::Reader);
    store.member_put(&bob).await.expect("both are there");
    bob.role = Role::Maintainer;
    bob.tags = Some(glob("dev-*"));
    store.member_put(&bob).await.expect("it is changed");
    store.member_put(&member("team", "alice", Role::Writer)).await.expect("both are there");
    let team = owner_name("team");
    let listed = store.member_list(&team).await.expect("a read succeeds");
    assert_eq!(listed, [member("team", "alice", Role::Writer), bob.clone()]);
    for stranger in [member("team", "none", Role::Reader), member("none", "bob", Role::Reader)] {
        let answer = store.member_put(&stranger).await;
        assert!(matches!(answer, Err(AccessStoreError::Missing { .. })), "{answer:?}");
    }
    store.member_delete(&team, &bob.user).await.expect("it is there");
    let again = store.member_delete(&team, &bob.user).await;
    assert!(matches!(again, Err(AccessStoreError::Missing { .. })), "{again:?}");
    assert_eq!(store.member_list(&team).await.expect("a read succeeds").len(), 1);
    assert_eq!(store.member_list(&owner_name("none")).await.expect("a read succeeds"), []);
}

/// `entity_create`, `deploy_create`: refused for an owner that isn't there; lists say whose something is.
pub async fn what_is_new_needs_an_owner_that_is_there(store: &dyn AccessPorts) {
    let mut environment = entities::environment("prod");
    environment.owner = Some(owner_name("team"));
    let entity = Entity::Environment(environment);
    let operation = entities::operation("o1", Verb::Create, &entity);
    let answer = store.entity_create(&entity, &operation).await;
    assert!(matches!(answer, Err(StoreError::OwnerMissing { .. })), "{answer:?}");
    let mut deploy = entities::new_deploy("web");
    deploy.owner = Some(owner_name("team"));
    let answer = store.deploy_create(deploy.clone()).await;
    assert!(matches!(answer, Err(StoreError::OwnerMissing { .. })), "{answer:?}");

    owner_made(store, "team").await;
    store.entity_create(&entity, &operation).await.expect("the owner is there");
    let made = store.deploy_create(deploy).await.expect("the owner is there");
    assert_eq!((made.owner, made.version), (Some(owner_name("team")), 1));
    for kind in [entity.reference().kind(), layer0_domain::model::entity::EntityKind::Deploy] {
        let listed = store.summary_list(kind).await.expect("a read succeeds");
        assert_eq!(listed[0].owner, Some(owner_name("team")), "{kind}");
    }
}

/// `deploy_create`, `deploy_owner`: all versions of a name have one owner; with the last of them the name is free.
pub async fn a_deploys_name_has_one_owner(store: &dyn AccessPorts) {
    owner_made(store, "team").await;
    let mut ours = entities::new_deploy("web");
    ours.owner = Some(owner_name("team"));
    let name = ours.name.clone();
    assert_eq!(store.deploy_owner(&name).await.expect("a read succeeds"), None);
    let first = store.deploy_create(ours.clone()).await.expect("the name is free");
    let theirs = store.deploy_create(entities::new_deploy("web")).await;
    assert!(matches!(theirs, Err(StoreError::NameTaken { .. })), "{theirs:?}");
    assert_eq!(store.deploy_owner(&name).await.expect("a read succeeds"), Some(Some(owner_name("team"))));
    store.deploy_delete(&first.id).await.expect("it is there");
    assert_eq!(store.deploy_owner(&name).await.expect("a read succeeds"), None);
    let second = store.deploy_create(entities::new_deploy("web")).await.expect("the name is free again");
    assert_eq!((second.version, second.owner), (2, None), "no number comes twice");
}

async fn used(store: &dyn Ports, owner: &str) -> u64 {
    store.owner_get(&owner_name(owner)).await.expect("a read succeeds").expect("it is there").used_bytes
}

/// `used_bytes`: each blob once however many repositories have it, every manifest; all ways out are counted.
pub async fn an_owner_counts_each_blob_once(store: &dyn Ports) {
    let one = repository(store, "team/one").await;
    let two = repository(store, "team/two").await;
    let other = repository(store, "other/app").await;
    for repository in [&one, &one, &two, &other] {
        link(store, repository, "layer").await;
    }
    assert_eq!((used(store, "team").await, used(store, "other").await), (5, 5));
    let image = manifest_with("manifest", &["layer"]);
    for _ in 0..2 {
        store.manifest_put(&one, &image, &["v1".to_owned()], &Along::NOTHING).await.expect("its layer is there");
    }
    store.manifest_put(&two, &image, &[], &Along::NOTHING).await.expect("its layer is there");
    assert_eq!(used(store, "team").await, 5 + 2 * 8, "a manifest lies in each repository");
    store.manifest_delete(&two, &image.digest).await.expect("a write succeeds");
    assert_eq!(used(store, "team").await, 5 + 8);
    store.blob_unlink(&two, &digest("layer")).await.expect("a write succeeds");
    assert_eq!(used(store, "team").await, 5 + 8, "the other repository has it still");
    link(store, &two, "more").await;
    store.repository_delete(&one, false).await.expect("it is there");
    assert_eq!(used(store, "team").await, 4, "all of the deleted repository went");
    store.blob_unlink(&two, &digest("more")).await.expect("a write succeeds");
    assert_eq!((used(store, "team").await, used(store, "other").await), (0, 5));
}

/// `blob_link`, `manifest_put`: refused, and nothing written, when the quota does not allow it.
pub async fn a_quota_is_kept_by_the_write(store: &dyn Ports) {
    store.owner_create(&Owner { quota_bytes: Some(10), ..owner("team") }).await.expect("the name is free");
    let app = repository(store, "team/app").await;
    let twin = repository(store, "team/twin").await;
    assert_eq!(store.room(&app).await.expect("a read succeeds"), Some(Room { quota: 10, used: 0 }));
    link(store, &app, "layer").await;
    link(store, &twin, "layer").await;
    assert_eq!(store.room(&app).await.expect("a read succeeds"), Some(Room { quota: 10, used: 5 }), "it counts once");
    match store.blob_link(&app, &blob("sixsix"), Timestamp(1), &Along::NOTHING).await {
        Err(RegistryStoreError::QuotaExceeded { quota: 10, used: 5, bytes: 6, .. }) => {}
        other => panic!("it does not fit, but the answer was {other:?}"),
    }
    assert_eq!(store.blob_size(&app, &digest("sixsix")).await.expect("a read succeeds"), None);
    let large = manifest("a manifest");
    let answer = store.manifest_put(&app, &large, &["v1".to_owned()], &Along::NOTHING).await;
    assert!(matches!(answer, Err(RegistryStoreError::QuotaExceeded { .. })), "{answer:?}");
    assert_eq!(RegistryStore::tag_list(store, &app, Page::default()).await.expect("a read succeeds"), Some(vec![]));
    assert_eq!(used(store, "team").await, 5);
    store.owner_update(&owner_name("team"), &OwnerChange { quota_bytes: Some(Some(15)) }).await.expect("there");
    store.manifest_put(&app, &large, &["v1".to_owned()], &Along::NOTHING).await.expect("it fits now");
    assert_eq!(store.room(&app).await.expect("a read succeeds").map(Room::left), Some(0));
    store.manifest_put(&app, &large, &["v2".to_owned()], &Along::NOTHING).await.expect("what is there needs no room");
}

async fn put(store: &dyn RegistryStore, word: &str, tag: &str) -> Result<Manifest, RegistryStoreError> {
    let app = crate::registry_store_suite::sample::name("team/app");
    let manifest = manifest(word);
    store.manifest_put(&app, &manifest, &[tag.to_owned()], &Along::NOTHING).await.map(|()| manifest)
}

/// `manifest_put`, `tag_delete`, `manifest_delete`, `repository_delete`: what a rule holds stays, the rest does not.
pub async fn an_immutable_tag_is_neither_moved_nor_deleted(store: &dyn Ports) {
    let app = repository(store, "team/app").await;
    let rule = TagRule { repositories: glob("app"), tags: glob("v*"), except: vec![glob("*-rc*")] };
    store.tag_rule_put(&owner_name("team"), &rule).await.expect("its owner is there");
    let fixed = put(store, "one", "v1").await.expect("the tag is new");
    put(store, "one", "v1").await.expect("it points there already");
    let refused = |answer: Result<(), RegistryStoreError>| match answer {
        Err(RegistryStoreError::TagImmutable { tag, .. }) => assert_eq!(tag, "v1"),
        other => panic!("a rule holds it, but the answer was {other:?}"),
    };
    refused(put(store, "two", "v1").await.map(drop));
    refused(RegistryStore::tag_delete(store, &app, "v1").await.map(drop));
    refused(store.manifest_delete(&app, &fixed.digest).await.map(drop));
    refused(store.repository_delete(&app, false).await.map(drop));
    assert!(!RegistryStore::tag_delete(store, &app, "v9").await.expect("what isn't there is not held"));
    for free in ["v1-rc1", "latest"] {
        put(store, "two", free).await.expect("no rule holds it");
        put(store, "three", free).await.expect("no rule holds it");
        assert!(RegistryStore::tag_delete(store, &app, free).await.expect("no rule holds it"));
    }
    store.tag_rule_delete(&owner_name("team"), &rule.repositories, &rule.tags).await.expect("it is there");
    put(store, "two", "v1").await.expect("no rule holds it any more");
    store.tag_rule_put(&owner_name("team"), &rule).await.expect("its owner is there");
    refused(store.repository_delete(&app, false).await.map(drop));
    store.repository_vacate(&app).await.expect("its tags go on elsewhere");
    let again = store.repository_vacate(&app).await;
    assert!(matches!(again, Err(RegistryStoreError::RepositoryMissing(_))), "{again:?}");
}

/// `tag_rule_put`, `tag_rule_delete`: one rule for the same repositories and tags.
pub async fn rules_are_replaced_and_taken_away(store: &dyn AccessPorts) {
    owner_made(store, "team").await;
    let team = owner_name("team");
    let rule = |tags: &str, except: &[&str]| TagRule {
        repositories: glob("*"),
        tags: glob(tags),
        except: except.iter().map(|text| glob(text)).collect(),
    };
    for added in [rule("v*", &[]), rule("*", &["latest"]), rule("v*", &["v0*"])] {
        store.tag_rule_put(&team, &added).await.expect("its owner is there");
    }
    let rules = async || store.owner_get(&team).await.expect("a read").expect("it is there").owner.tag_rules;
    assert_eq!(rules().await, [rule("*", &["latest"]), rule("v*", &["v0*"])]);
    store.tag_rule_delete(&team, &glob("*"), &glob("*")).await.expect("it is there");
    assert_eq!(rules().await, [rule("v*", &["v0*"])]);
    for (owner, tags) in [("team", "*"), ("none", "v*")] {
        let answer = store.tag_rule_delete(&owner_name(owner), &glob("*"), &glob(tags)).await;
        assert!(matches!(answer, Err(AccessStoreError::Missing { .. })), "{answer:?}");
    }
}

/// `retention_rule_put`, `retention_rule_delete`: as with immutable tags, and apart from those. What is immutable does not go.
pub async fn retention_rules_are_kept_and_stand_below_immutable_tags(store: &dyn Ports) {
    let app = repository(store, "team/app").await;
    let team = owner_name("team");
    let rule = |tags: &str, keep_last| RetentionRule {
        repositories: glob("*"),
        tags: glob(tags),
        keep_last: Some(keep_last),
        keep_hours: None,
        untagged_hours: Some(48),
    };
    for added in [rule("v*", 1), rule("*", 2), rule("v*", 3)] {
        store.retention_rule_put(&team, &added).await.expect("its owner is there");
    }
    let owner = async || store.owner_get(&team).await.expect("a read").expect("it is there").owner;
    assert_eq!((owner().await.retention, owner().await.tag_rules), (vec![rule("*", 2), rule("v*", 3)], vec![]));
    store.retention_rule_delete(&team, &glob("*"), &glob("*")).await.expect("it is there");
    assert_eq!(owner().await.retention, [rule("v*", 3)]);
    for (owner, tags) in [("team", "*"), ("none", "v*")] {
        let answer = store.retention_rule_delete(&owner_name(owner), &glob("*"), &glob(tags)).await;
        assert!(matches!(answer, Err(AccessStoreError::Missing { .. })), "{answer:?}");
    }
    let unknown = store.retention_rule_put(&owner_name("none"), &rule("v*", 3)).await;
    assert!(matches!(unknown, Err(AccessStoreError::Missing { .. })), "{unknown:?}");

    put(store, "one", "v1").await.expect("the tag is new");
    put(store, "two", "x1").await.expect("the tag is new");
    let fixed = TagRule { repositories: glob("app"), tags: glob("v*"), except: vec![] };
    store.tag_rule_put(&team, &fixed).await.expect("its owner is there");
    assert_eq!(owner().await.retention, [rule("v*", 3)], "one kind of rule leaves the other alone");
    let images = store.images(&app).await.expect("a read").expect("it is there");
    let asked = Retiring { tags: images.tags, manifests: vec![] };
    let went = store.images_retire(&app, &asked, Timestamp(0), &[]).await.expect("a write");
    assert_eq!(went.tags.iter().map(|tag| tag.name.as_str()).collect::<Vec<_>>(), ["x1"]);
}
