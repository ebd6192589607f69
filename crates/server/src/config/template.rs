//! What new repositories in ECR get beside their policy: a lifecycle policy, and tags.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{ConfigError, Given};

/// The most characters of a lifecycle policy (`LifecyclePolicyText` in the ECR API).
const LIFECYCLE_MAX: usize = 30_720;

/// The lifecycle policy: `policy` is its text, or the name of a file with it; `days` is for how long images without a tag stay.
pub(super) fn lifecycle(policy: Option<Given>, days: Option<Given>) -> Result<Option<String>, ConfigError> {
    match (policy, days) {
        (None, None) => Ok(None),
        (Some(policy), None) => of_text(&policy).map(Some),
        (None, Some(days)) => match days.text.parse::<u32>() {
            Ok(number) if number > 0 => Ok(Some(untagged_for(number).to_string())),
            _ => Err(days.wrong("is no number of days")),
        },
        (Some(policy), Some(_)) => {
            Err(policy.wrong("says what is kept, and so does the number of days: one of them is enough"))
        }
    }
}

/// Reads a policy. ECR judges what its rules say, when the first repository is made with it.
fn of_text(given: &Given) -> Result<String, ConfigError> {
    let text = if given.text.trim_start().starts_with('{') {
        given.text.clone()
    } else {
        std::fs::read_to_string(&given.text).map_err(|why| given.wrong(format!("can't be read: {why}")))?
    };
    let wrong = |what: String| given.wrong(format!("is no lifecycle policy: {what}"));
    let document: Value = serde_json::from_str(&text).map_err(|why| wrong(format!("it is no JSON ({why})")))?;
    match document.get("rules").and_then(Value::as_array) {
        Some(rules) if !rules.is_empty() => {}
        _ => return Err(wrong("it has no `rules`".to_owned())),
    }
    // Without the spaces of whoever wrote it: they count.
    let text = document.to_string();
    match text.len() {
        0..=LIFECYCLE_MAX => Ok(text),
        length => Err(wrong(format!("it has {length} characters, and ECR takes {LIFECYCLE_MAX}"))),
    }
}

/// The policy that lets images go which have had no tag for so many days since they were pushed (ECR user guide, "Lifecycle
/// policy properties").
fn untagged_for(days: u32) -> Value {
    json!({ "rules": [{
        "rulePriority": 1,
        "description": format!("images without a tag go after {days} days"),
        "selection": {
            "tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": days,
        },
        "action": { "type": "expire" },
    }] })
}

/// Tags of one text: `team=web,cost=7`.
pub(super) fn tags_of_text(given: &Given) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut tags = BTreeMap::new();
    for one in given.text.split(',').map(str::trim).filter(|one| !one.is_empty()) {
        let (key, value) =
            one.split_once('=').ok_or_else(|| given.wrong("is no list of tags, such as `team=web,cost=7`"))?;
        tags.insert(key.trim().to_owned(), value.trim().to_owned());
    }
    checked(tags, given)
}

/// Tags that AWS takes ("Tag naming limits and requirements"), and that are not Layer0's own.
pub(super) fn checked(tags: BTreeMap<String, String>, given: &Given) -> Result<BTreeMap<String, String>, ConfigError> {
    for (key, value) in &tags {
        let reserved = ["aws:", "layer0."].iter().find(|prefix| key.to_ascii_lowercase().starts_with(**prefix));
        if let Some(prefix) = reserved {
            return Err(
                given.wrong(format!("has the tag `{key}`: tags that begin with `{prefix}` are not yours to give"))
            );
        }
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(
                given.wrong("has a tag that AWS does not take: a key of 1 to 128 characters, a value of at most 256")
            );
        }
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::super::Source;
    use super::*;

    fn given(text: &str) -> Given {
        Given { text: text.to_owned(), source: Source::Flag, origin: "--flag".to_owned() }
    }

    #[test]
    fn a_lifecycle_policy_is_text_or_a_file_or_days() {
        let untagged = lifecycle(None, Some(given("14"))).expect("days").expect("a policy");
        let document: Value = serde_json::from_str(&untagged).expect("it is JSON");
        assert_eq!(document["rules"][0]["selection"]["countNumber"], json!(14));
        assert_eq!(document["rules"][0]["selection"]["tagStatus"], json!("untagged"));
        assert_eq!(lifecycle(Some(given(&untagged)), None).expect("text"), Some(untagged.clone()));
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("policy.json");
        std::fs::write(&file, format!("  {untagged}\n")).expect("written");
        let file = file.to_str().expect("UTF-8");
        assert_eq!(lifecycle(Some(given(file)), None).expect("a file"), Some(untagged.clone()));
        assert_eq!(lifecycle(None, None).expect("nothing"), None);

        let error = |policy: Option<&str>, days: Option<&str>| {
            lifecycle(policy.map(given), days.map(given)).expect_err("refused").to_string()
        };
        assert!(error(Some(&untagged), Some("14")).contains("one of them is enough"));
        assert!(error(None, Some("0")).contains("no number of days"));
        assert!(error(None, Some("two weeks")).contains("no number of days"));
        assert!(error(Some("{"), None).contains("no JSON"));
        assert!(error(Some("{\"rules\": []}"), None).contains("no `rules`"));
        assert!(error(Some("/nowhere/policy.json"), None).contains("can't be read"));
        let long = json!({ "rules": ["x".repeat(LIFECYCLE_MAX)] }).to_string();
        assert!(error(Some(&long), None).contains("30720"));
    }

    #[test]
    fn tags_are_pairs_and_some_are_not_to_be_given() {
        let tags = tags_of_text(&given("team=web, cost = 7,empty=")).expect("tags");
        let expected =
            [("cost", "7"), ("empty", ""), ("team", "web")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(tags, BTreeMap::from(expected));
        assert!(tags_of_text(&given("")).expect("none").is_empty());
        for wrong in ["team", "=x", "aws:x=y", "layer0.instance=x", &format!("{}=x", "k".repeat(129))] {
            assert!(tags_of_text(&given(wrong)).is_err(), "{wrong}");
        }
    }
}
