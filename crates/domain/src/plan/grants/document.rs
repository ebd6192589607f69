//! A policy document that others may write to as well.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// The version of the policy language that we write.
const VERSION: &str = "2012-10-17";

/// A document as it is there: our statements, and all else, which is kept as it was written.
#[derive(Debug, Default)]
pub(super) struct Present<'a> {
    version: Option<String>,
    /// `Id`, and whatever a later version of the language adds.
    other_keys: BTreeMap<String, &'a RawValue>,
    others: Vec<&'a RawValue>,
    ours: Vec<Value>,
}

/// All that is read of a statement of others.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "Sid")]
    sid: Option<String>,
}

impl<'a> Present<'a> {
    /// Reads a document; statements whose `Sid` begins with `ours` are ours.
    pub(super) fn parse(text: &'a str, ours: &str) -> Result<Self, String> {
        let mut keys: BTreeMap<String, &'a RawValue> =
            serde_json::from_str(text).map_err(|why| format!("it is no JSON object: {why}"))?;
        let version = match keys.remove("Version") {
            // What the predecessor wrote as an empty text says as little as none.
            Some(raw) => Some(serde_json::from_str(raw.get()).map_err(|_| "its Version is no text".to_owned())?)
                .filter(|version: &String| !version.is_empty()),
            None => None,
        };
        let statements = keys.remove("Statement").ok_or("it has no Statement")?;
        let statements: Vec<&RawValue> = if statements.get().starts_with('[') {
            serde_json::from_str(statements.get()).map_err(|why| format!("its Statement is no list: {why}"))?
        } else {
            vec![statements]
        };
        let mut present = Self { version, other_keys: keys, ..Self::default() };
        for (number, statement) in (1..).zip(statements) {
            let head: Head =
                serde_json::from_str(statement.get()).map_err(|why| format!("its statement {number}: {why}"))?;
            if head.sid.is_some_and(|sid| sid.starts_with(ours)) {
                let value = serde_json::from_str(statement.get());
                present.ours.push(value.map_err(|why| format!("its statement {number}: {why}"))?);
            } else {
                present.others.push(statement);
            }
        }
        Ok(present)
    }

    /// Whether nobody else has a word in it.
    pub(super) fn is_ours_alone(&self) -> bool {
        self.others.is_empty()
    }

    /// Whether our part says what it should already. ECR may answer a document in another form than it was given: a list of one
    /// as a text, an account as its number, all in another order.
    pub(super) fn says(&self, wanted: &[Value]) -> bool {
        let wanted: BTreeSet<String> = wanted.iter().map(meaning).collect();
        let ours: BTreeSet<String> = self.ours.iter().map(meaning).collect();
        ours.len() == self.ours.len()
            && ours == wanted
            && (wanted.is_empty() || self.version_to_write() == self.version())
    }

    /// The document with these in place of our statements.
    pub(super) fn with(&self, wanted: &[Value]) -> String {
        let text = |value: &str| Value::String(value.to_owned()).to_string();
        let version = self.version_to_write().map(|version| ("Version".to_owned(), text(version)));
        let statements = self.others.iter().map(|raw| raw.get().to_owned()).chain(wanted.iter().map(Value::to_string));
        let statements = ("Statement".to_owned(), format!("[{}]", statements.collect::<Vec<_>>().join(",")));
        let others = self.other_keys.iter().map(|(key, raw)| (key.clone(), raw.get().to_owned()));
        let fields = version.into_iter().chain(others).chain([statements]);
        let fields: Vec<String> = fields.map(|(key, value)| format!("{}:{value}", text(&key))).collect();
        format!("{{{}}}", fields.join(","))
    }

    /// Whether a statement of ours says all that this one does, whatever else it says and is called.
    pub(super) fn contains(&self, wanted: &Value) -> bool {
        let wanted = normal(wanted, None);
        self.ours.iter().any(|ours| covers(&normal(ours, None), &wanted))
    }

    /// Whether a text stands anywhere in our statements.
    pub(super) fn ours_hold_text(&self, text: &str) -> bool {
        self.ours.iter().any(|ours| ours.to_string().contains(text))
    }

    fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The newer version reads `${…}` as a variable, the older one as plain text: where others wrote such a thing under the older
    /// one, it stays, since ours mean the same in both (IAM user guide, "IAM JSON policy elements: Version").
    fn version_to_write(&self) -> Option<&str> {
        let is_old = self.version() != Some(VERSION);
        if is_old && self.others.iter().any(|raw| raw.get().contains("${")) { self.version() } else { Some(VERSION) }
    }
}

/// Whether what is said holds all that is wanted: a list holds each of its elements and each of its parts.
fn covers(said: &Value, wanted: &Value) -> bool {
    match (said, wanted) {
        (Value::Object(said), Value::Object(wanted)) => {
            let keys = |fields: &serde_json::Map<String, Value>| {
                fields.keys().filter(|key| *key != "Sid").cloned().collect::<BTreeSet<String>>()
            };
            let holds = |(key, wanted): (&String, &Value)| said.get(key).is_some_and(|said| covers(said, wanted));
            keys(said) == keys(wanted) && wanted.iter().filter(|(key, _)| *key != "Sid").all(holds)
        }
        (Value::Array(said), Value::Array(wanted)) => wanted.iter().all(|one| said.contains(one)),
        (Value::Array(said), one) => said.contains(one),
        (said, wanted) => said == wanted,
    }
}

/// A text that is the same for two statements that mean the same.
fn meaning(statement: &Value) -> String {
    normal(statement, None).to_string()
}

fn normal(value: &Value, key: Option<&str>) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.clone(), normal(value, Some(key))))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(all) => {
            let mut all: Vec<Value> = all.iter().map(|value| normal(value, key)).collect();
            all.sort_by_cached_key(Value::to_string);
            all.dedup();
            match &all[..] {
                [one] => one.clone(),
                _ => Value::Array(all),
            }
        }
        Value::String(text) if key == Some("AWS") => Value::String(account_of_root(text).unwrap_or(text).to_owned()),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// The number of the account that `arn:…:iam::<account>:root` names.
fn account_of_root(arn: &str) -> Option<&str> {
    let rest = arn.strip_prefix("arn:")?.split_once(":iam::")?.1;
    rest.strip_suffix(":root")
}
