//! Instance-wide values: settings, and the rules of the image map.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use layer0_domain::model::image_map::MapRule;
use layer0_domain::port::store::StoreError;

use super::action::{ABSENT, Action};
use super::fault::Fault;
use super::item::{Item, Key, from_json, parsed, to_json, word};
use super::table::{Step, Table};

/// That a setting is as it was read.
const UNCHANGED: &str = "#value = :value";

fn key(name: &str) -> Key {
    // The prefix, because a sort key can't be empty and a setting's name can.
    Key::new("setting", format!("name#{}", word(name)))
}

/// Puts a setting that isn't there.
pub(super) fn first(name: &str, value: &[u8]) -> Action {
    Action::put(Item::at(&key(name)).with_text("name", name).with_bytes("value", value)).only_if(ABSENT)
}

fn map_key() -> Key {
    Key::new("image_map", "rules")
}

/// The rules as text, sorted; a rule given twice counts once.
fn texts(rules: &[MapRule]) -> Vec<String> {
    let mut texts: Vec<String> = rules.iter().map(MapRule::to_string).collect();
    texts.sort_unstable();
    texts.dedup();
    texts
}

/// The rules and the number of their last change.
fn rules_of(item: Option<&Item>) -> Result<(Vec<MapRule>, u64), Fault> {
    let Some(item) = item else { return Ok((Vec::new(), 0)) };
    let texts: Vec<String> = from_json("map rules", item.text("rules")?)?;
    let rules = texts.iter().map(|text| parsed("map rule", MapRule::parse(text)));
    Ok((rules.collect::<Result<_, Fault>>()?, item.number("changes")?))
}

impl Table {
    pub(super) async fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        let item = self.get(&key(name)).await?;
        item.map(|item| item.bytes("value").map(<[u8]>::to_vec)).transpose()
    }

    pub(super) async fn setting_step(&self, name: &str, value: &[u8]) -> Result<Step<Vec<u8>>, StoreError> {
        if let Some(stored) = self.setting(name).await? {
            return Ok(Step::Answer(stored));
        }
        Ok(Step::Write(vec![first(name, value)], value.to_vec()))
    }

    pub(super) async fn setting_replace_step(
        &self,
        name: &str,
        read: Option<&[u8]>,
        write: &[u8],
    ) -> Result<Step<bool>, StoreError> {
        if self.setting(name).await?.as_deref() != read {
            return Ok(Step::Answer(false));
        }
        let put = Action::put(Item::at(&key(name)).with_text("name", name).with_bytes("value", write));
        let put = match read {
            Some(read) => put.only_if(UNCHANGED).with(":value", AttributeValue::B(Blob::new(read))),
            None => put.only_if(ABSENT),
        };
        Ok(Step::Write(vec![put], true))
    }

    pub(super) async fn map_rules(&self) -> Result<Vec<MapRule>, Fault> {
        let (mut rules, _) = rules_of(self.get(&map_key()).await?.as_ref())?;
        rules.sort_by(|a, b| (a.prefix(), a.target()).cmp(&(b.prefix(), b.target())));
        Ok(rules)
    }

    pub(super) async fn map_step(&self, read: &[MapRule], write: &[MapRule]) -> Result<Step<bool>, StoreError> {
        let item = self.get(&map_key()).await?;
        let (stored, changes) = rules_of(item.as_ref())?;
        if texts(&stored) != texts(read) {
            return Ok(Step::Answer(false));
        }
        let new = Item::at(&map_key()).with_text("rules", to_json("map rules", &texts(write))?);
        let action = Action::put(new.with_number("changes", changes + 1));
        let action = match item {
            Some(_) => action.only_if("#changes = :changes").with_number(":changes", changes),
            None => action.only_if(ABSENT),
        };
        Ok(Step::Write(vec![action], true))
    }
}
