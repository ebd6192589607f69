//! Keys and items: values on their way into attributes and out of them. What can't be read is named by its attribute;
//! its text stays out of messages, for bodies hold secrets.

use std::collections::HashMap;
use std::str::FromStr;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use layer0_domain::model::time::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::fault::Fault;

/// The attribute with the partition key.
pub(super) const PARTITION: &str = "p";

/// The attribute with the sort key.
pub(super) const SORT: &str = "s";

/// The attribute by which DynamoDB deletes an item: seconds since 1970.
pub(super) const EXPIRES: &str = "expires_at";

/// Bytes of a user's text that stand in a key as they are. A sort key has 1,024 bytes at most.
const WORD_MAX: usize = 300;

/// The place of one item.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// The partition.
    pub(super) partition: String,
    /// The place in its order.
    pub(super) sort: String,
}

impl Key {
    pub(super) fn new(partition: impl Into<String>, sort: impl Into<String>) -> Self {
        Self { partition: partition.into(), sort: sort.into() }
    }

    pub(super) fn attributes(&self) -> HashMap<String, AttributeValue> {
        HashMap::from([
            (PARTITION.to_owned(), AttributeValue::S(self.partition.clone())),
            (SORT.to_owned(), AttributeValue::S(self.sort.clone())),
        ])
    }
}

/// A user's text as a part of a key: without the `#` that divides the parts, and never too long. Different texts give
/// different words.
pub(super) fn word(text: &str) -> String {
    let escaped = text.replace('%', "%25").replace('#', "%23");
    if escaped.len() <= WORD_MAX {
        return escaped;
    }
    let mut hashed = String::from("%=");
    hex_into(&mut hashed, &Sha256::digest(text.as_bytes()));
    hashed
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    hex_into(&mut text, bytes);
    text
}

fn hex_into(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        text.push(char::from_digit(u32::from(byte >> 4), 16).expect("four bits are a digit"));
        text.push(char::from_digit(u32::from(byte & 15), 16).expect("four bits are a digit"));
    }
}

/// A number as text that sorts as the number does.
pub(super) fn ordered(number: u64) -> String {
    format!("{number:020}")
}

/// A moment as text that sorts as time does, before 1970 too.
pub(super) fn ordered_time(at: Timestamp) -> String {
    ordered(at.0.cast_unsigned() ^ (1 << 63))
}

/// A value as the JSON that is stored.
pub(super) fn to_json(what: &'static str, value: &impl Serialize) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|_| Fault::Unstorable { what })
}

/// A value out of stored JSON. Fields that this version does not know are passed over.
pub(super) fn from_json<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|_| Fault::Unreadable { what })
}

/// A value out of stored text.
pub(super) fn parsed<T, E>(what: &'static str, value: Result<T, E>) -> Result<T, Fault> {
    value.map_err(|_| Fault::Unreadable { what })
}

/// One item.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item(pub(super) HashMap<String, AttributeValue>);

impl Item {
    /// An item with nothing but its key.
    pub(super) fn at(key: &Key) -> Self {
        Self(key.attributes())
    }

    pub(super) fn with(mut self, name: &str, value: AttributeValue) -> Self {
        self.0.insert(name.to_owned(), value);
        self
    }

    pub(super) fn with_text(self, name: &str, text: impl Into<String>) -> Self {
        self.with(name, AttributeValue::S(text.into()))
    }

    pub(super) fn with_text_if(self, name: &str, text: Option<impl Into<String>>) -> Self {
        match text {
            Some(text) => self.with_text(name, text),
            None => self,
        }
    }

    pub(super) fn with_number(self, name: &str, number: impl ToString) -> Self {
        self.with(name, AttributeValue::N(number.to_string()))
    }

    pub(super) fn with_number_if(self, name: &str, number: Option<impl ToString>) -> Self {
        match number {
            Some(number) => self.with_number(name, number),
            None => self,
        }
    }

    pub(super) fn with_flag(self, name: &str, flag: bool) -> Self {
        self.with(name, AttributeValue::Bool(flag))
    }

    pub(super) fn with_bytes(self, name: &str, bytes: &[u8]) -> Self {
        self.with(name, AttributeValue::B(Blob::new(bytes)))
    }

    /// A set; absent when it has no element, because DynamoDB keeps no empty set.
    pub(super) fn with_set(self, name: &str, texts: Vec<String>) -> Self {
        if texts.is_empty() { self } else { self.with(name, AttributeValue::Ss(texts)) }
    }

    /// The same item at another place.
    pub(super) fn moved(mut self, key: &Key) -> Self {
        self.0.extend(key.attributes());
        self
    }

    pub(super) fn key(&self) -> Result<Key, Fault> {
        Ok(Key::new(self.text(PARTITION)?, self.text(SORT)?))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn text(&self, name: &'static str) -> Result<&str, Fault> {
        self.text_if(name)?.ok_or(Fault::Unreadable { what: name })
    }

    pub(super) fn text_if(&self, name: &'static str) -> Result<Option<&str>, Fault> {
        match self.0.get(name) {
            None => Ok(None),
            Some(AttributeValue::S(text)) => Ok(Some(text)),
            Some(_) => Err(Fault::Unreadable { what: name }),
        }
    }

    pub(super) fn number<N: FromStr>(&self, name: &'static str) -> Result<N, Fault> {
        self.number_if(name)?.ok_or(Fault::Unreadable { what: name })
    }

    pub(super) fn number_if<N: FromStr>(&self, name: &'static str) -> Result<Option<N>, Fault> {
        match self.0.get(name) {
            None => Ok(None),
            Some(AttributeValue::N(digits)) => Ok(Some(parsed(name, digits.parse())?)),
            Some(_) => Err(Fault::Unreadable { what: name }),
        }
    }

    pub(super) fn time(&self, name: &'static str) -> Result<Timestamp, Fault> {
        Ok(Timestamp(self.number(name)?))
    }

    pub(super) fn time_if(&self, name: &'static str) -> Result<Option<Timestamp>, Fault> {
        Ok(self.number_if(name)?.map(Timestamp))
    }

    pub(super) fn flag(&self, name: &'static str) -> Result<bool, Fault> {
        match self.0.get(name) {
            Some(AttributeValue::Bool(flag)) => Ok(*flag),
            _ => Err(Fault::Unreadable { what: name }),
        }
    }

    pub(super) fn bytes(&self, name: &'static str) -> Result<&[u8], Fault> {
        match self.0.get(name) {
            Some(AttributeValue::B(bytes)) => Ok(bytes.as_ref()),
            _ => Err(Fault::Unreadable { what: name }),
        }
    }

    pub(super) fn set(&self, name: &'static str) -> Result<Vec<&str>, Fault> {
        match self.0.get(name) {
            None => Ok(Vec::new()),
            Some(AttributeValue::Ss(texts)) => Ok(texts.iter().map(String::as_str).collect()),
            Some(_) => Err(Fault::Unreadable { what: name }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_different_texts_apart() {
        let long = "x".repeat(WORD_MAX + 1);
        let texts = ["", "a", "a#b", "a%23b", "a%b", "%=", &long, &"y".repeat(5_000)];
        let words: std::collections::HashSet<String> = texts.iter().map(|text| word(text)).collect();
        assert_eq!(words.len(), texts.len());
        assert!(words.iter().all(|word| word.len() <= WORD_MAX && !word.contains('#')));
        assert_eq!(word("a#b"), "a%23b");
    }

    #[test]
    fn times_sort_as_text() {
        let times = [i64::MIN, -1, 0, 1, 1_700_000_000_000, i64::MAX].map(|at| ordered_time(Timestamp(at)));
        assert!(times.is_sorted(), "{times:?}");
        assert!(times.iter().all(|text| text.len() == 20));
    }
}
