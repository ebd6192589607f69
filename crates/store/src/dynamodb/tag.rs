//! The tags that users add: one item for all tags of one type on one entity, so that a purge takes them away with one
//! action, however many they are.

use aws_sdk_dynamodb::types::AttributeValue;
use layer0_domain::model::tag::Tag;
use layer0_domain::port::store::StoreError;

use super::action::Action;
use super::fault::Fault;
use super::item::{Item, Key, word};
use super::table::{Query, Step, Table};

const ALL: &str = "tag";

/// What the attribute of each tag begins with, so that no user's key meets an attribute of ours.
const ATTRIBUTE: &str = "tag:";

/// The place of an entity's tags of a type.
pub(super) fn key(entity_id: &str, entity_type: &str) -> Key {
    Key::new(ALL, format!("{}#{}", word(entity_id), word(entity_type)))
}

fn attribute(key: &str) -> String {
    format!("{ATTRIBUTE}{key}")
}

/// The action that adds or replaces a tag.
pub(super) fn put(tag: &Tag) -> Action {
    Action::update(key(&tag.entity_id, &tag.entity_type), "SET #id = :id, #type = :type, #tag = :value")
        .named("#tag", attribute(&tag.key))
        .with_text(":id", &tag.entity_id)
        .with_text(":type", &tag.entity_type)
        .with_text(":value", &tag.value)
}

impl Table {
    pub(super) async fn tags(&self) -> Result<Vec<Tag>, Fault> {
        let mut tags = Vec::new();
        for item in self.query(Query::of(ALL)).await? {
            let (entity_id, entity_type) = (item.text("id")?.to_owned(), item.text("type")?.to_owned());
            for (name, value) in &item.0 {
                if let (Some(key), AttributeValue::S(value)) = (name.strip_prefix(ATTRIBUTE), value) {
                    let (entity_id, entity_type) = (entity_id.clone(), entity_type.clone());
                    tags.push(Tag { entity_id, entity_type, key: key.to_owned(), value: value.clone() });
                }
            }
        }
        tags.sort();
        Ok(tags)
    }

    pub(super) async fn tag_delete_step(&self, tag: &Tag) -> Result<Step<bool>, StoreError> {
        let (key, attribute) = (key(&tag.entity_id, &tag.entity_type), attribute(&tag.key));
        let item = self.get(&key).await?;
        let value = item.as_ref().and_then(|item: &Item| item.0.get(&attribute));
        if value != Some(&AttributeValue::S(tag.value.clone())) {
            return Ok(Step::Answer(false));
        }
        let action = Action::update(key, "REMOVE #tag").only_if("#tag = :value").named("#tag", attribute);
        Ok(Step::Write(vec![action.with_text(":value", &tag.value)], true))
    }
}
