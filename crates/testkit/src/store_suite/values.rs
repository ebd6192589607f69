//! Tags, map rules and settings.

use layer0_domain::model::image_map::MapRule;
use layer0_domain::model::tag::Tag;
use layer0_domain::port::store::Store;

fn tag(id: &str, kind: &str, key: &str, value: &str) -> Tag {
    let [entity_id, entity_type, key, value] = [id, kind, key, value].map(str::to_owned);
    Tag { entity_id, entity_type, key, value }
}

async fn tags(store: &dyn Store) -> Vec<Tag> {
    let mut tags = store.tag_list().await.expect("a read succeeds");
    tags.sort();
    tags
}

/// `tag_put`, `tag_delete`: a tag with the same entity, type and key is replaced; others are told apart by each of them.
pub async fn tags_are_kept_by_entity_type_and_key(store: &dyn Store) {
    let first = tag("id", "service", "key", "value");
    for other in
        [&first, &tag("id2", "service", "key", "v"), &tag("id", "mine", "key", "v"), &tag("id", "service", "k", "v")]
    {
        store.tag_put(other).await.expect("a write succeeds");
    }
    assert_eq!(tags(store).await.len(), 4);
    let replaced = tag("id", "service", "key", "another value");
    store.tag_put(&replaced).await.expect("a write succeeds");
    let kept = tags(store).await;
    assert_eq!(kept.len(), 4);
    assert!(kept.contains(&replaced) && !kept.contains(&first));

    assert!(store.tag_delete(&replaced).await.expect("a write succeeds"));
    assert!(!store.tag_delete(&replaced).await.expect("a write succeeds"));
    let kept = tags(store).await;
    assert_eq!(kept.len(), 3);
    assert!(!kept.contains(&replaced));
}

/// `map_list`, `map_replace`: ordered by prefix; replaced only over the rules that were read.
pub async fn the_map_is_replaced_only_by_who_has_read_it(store: &dyn Store) {
    let rule = |text: &str| MapRule::parse(text).expect("a legal rule");
    let shorter = rule("registry.example.com|localhost:9090");
    // `-` and `/` sort before the bar between prefix and target, so an order by the whole rule would be another.
    let longer = rule("registry.example.com/team|localhost:9090/special");
    let other = rule("docker.example.com|localhost:9090/hub");
    assert_eq!(store.map_list().await.expect("a read succeeds"), []);
    let rules = [longer.clone(), shorter.clone(), other.clone()];
    assert!(store.map_replace(&[], &rules).await.expect("a write succeeds"));
    let stored = store.map_list().await.expect("a read succeeds");
    assert_eq!(stored, [other.clone(), shorter.clone(), longer]);

    assert!(!store.map_replace(&[], &[]).await.expect("a write succeeds"));
    assert!(!store.map_replace(&stored[1..], &[]).await.expect("a write succeeds"));
    assert_eq!(store.map_list().await.expect("a read succeeds"), stored);
    assert!(store.map_replace(&stored, &stored[..1]).await.expect("a write succeeds"));
    assert_eq!(store.map_list().await.expect("a read succeeds"), stored[..1]);
    assert!(!store.map_replace(&stored, &[shorter]).await.expect("a write succeeds"), "they were others");
    assert!(store.map_replace(&[other], &[]).await.expect("a write succeeds"));
    assert_eq!(store.map_list().await.expect("a read succeeds"), []);
}

/// `setting_get_or_put`, `setting_get`: the first value stays.
pub async fn a_setting_keeps_its_first_value(store: &dyn Store) {
    assert_eq!(store.setting_get("key").await.expect("a read succeeds"), None);
    let first = store.setting_get_or_put("key", &[0, 255, 1]).await.expect("a write succeeds");
    assert_eq!(first, [0, 255, 1]);
    let second = store.setting_get_or_put("key", b"other").await.expect("a write succeeds");
    assert_eq!(second, first);
    assert_eq!(store.setting_get("key").await.expect("a read succeeds"), Some(first));
    assert_eq!(store.setting_get("KEY").await.expect("a read succeeds"), None);
    assert_eq!(store.setting_get_or_put("empty", &[]).await.expect("a write succeeds"), [0; 0]);
    assert_eq!(store.setting_get("empty").await.expect("a read succeeds"), Some(Vec::new()));
}

/// `setting_replace`: over what was read, and over nothing else.
pub async fn a_setting_is_replaced_only_as_it_was_read(store: &dyn Store) {
    let replace = async |read: Option<&[u8]>, write: &[u8]| {
        store.setting_replace("strategy", read, write).await.expect("a write succeeds")
    };
    assert!(!replace(Some(b"none"), b"1").await, "there is none");
    assert!(replace(None, b"1").await);
    assert!(!replace(None, b"2").await, "there is one");
    assert!(!replace(Some(b"2"), b"2").await, "it is another");
    assert!(replace(Some(b"1"), &[]).await);
    assert!(replace(Some(&[]), &[0, 255]).await);
    assert_eq!(store.setting_get("strategy").await.expect("a read succeeds"), Some(vec![0, 255]));
    let kept = store.setting_get_or_put("strategy", b"3").await.expect("a write succeeds");
    assert_eq!(kept, [0, 255]);
}
