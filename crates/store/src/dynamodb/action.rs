//! What a transaction does to one item.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem, Update};

use super::item::{Item, Key};

/// That an item is not there.
pub(super) const ABSENT: &str = "attribute_not_exists(#p)";

/// That an item is there.
pub(super) const PRESENT: &str = "attribute_exists(#p)";

/// One action on one item. In its expressions an attribute is written `#name` and a value `:name`; what they stand for is
/// worked out here (names) or given ([`with`](Self::with)).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Action {
    kind: Kind,
    condition: Option<&'static str>,
    values: Vec<(&'static str, AttributeValue)>,
    names: Vec<(&'static str, String)>,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Put(Item),
    Delete(Key),
    Update(Key, &'static str),
    Check(Key),
}

impl Action {
    fn new(kind: Kind) -> Self {
        Self { kind, condition: None, values: Vec::new(), names: Vec::new() }
    }

    /// Writes an item over whatever is there.
    pub(super) fn put(item: Item) -> Self {
        Self::new(Kind::Put(item))
    }

    /// Takes an item away; one that isn't there is no failure.
    pub(super) fn delete(key: Key) -> Self {
        Self::new(Kind::Delete(key))
    }

    /// Changes an item.
    pub(super) fn update(key: Key, expression: &'static str) -> Self {
        Self::new(Kind::Update(key, expression))
    }

    /// Changes nothing; demands `condition`.
    pub(super) fn check(key: Key, condition: &'static str) -> Self {
        Self::new(Kind::Check(key)).only_if(condition)
    }

    /// The condition without which the whole transaction comes to nothing.
    pub(super) fn only_if(mut self, condition: &'static str) -> Self {
        self.condition = Some(condition);
        self
    }

    /// What `:name` stands for.
    pub(super) fn with(mut self, name: &'static str, value: AttributeValue) -> Self {
        self.values.push((name, value));
        self
    }

    pub(super) fn with_text(self, name: &'static str, text: impl Into<String>) -> Self {
        self.with(name, AttributeValue::S(text.into()))
    }

    pub(super) fn with_number(self, name: &'static str, number: impl ToString) -> Self {
        self.with(name, AttributeValue::N(number.to_string()))
    }

    pub(super) fn with_flag(self, name: &'static str, flag: bool) -> Self {
        self.with(name, AttributeValue::Bool(flag))
    }

    /// What `#name` stands for, where it is not `name`.
    pub(super) fn named(mut self, name: &'static str, attribute: impl Into<String>) -> Self {
        self.names.push((name, attribute.into()));
        self
    }

    fn names(&self) -> HashMap<String, String> {
        let update = match &self.kind {
            Kind::Update(_, expression) => expression,
            Kind::Put(_) | Kind::Delete(_) | Kind::Check(_) => "",
        };
        let mut names = names_in(update);
        names.extend(names_in(self.condition.unwrap_or_default()));
        for (name, attribute) in &self.names {
            names.insert((*name).to_owned(), attribute.clone());
        }
        names
    }

    /// As the SDK takes it.
    pub(super) fn into_item(self, table: &str) -> Result<TransactWriteItem, BuildError> {
        let names = Some(self.names()).filter(|names| !names.is_empty());
        let values: HashMap<String, AttributeValue> =
            self.values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let values = Some(values).filter(|values| !values.is_empty());
        let condition = self.condition.map(str::to_owned);
        let item = TransactWriteItem::builder();
        Ok(match self.kind {
            Kind::Put(it) => item.put(
                Put::builder()
                    .table_name(table)
                    .set_item(Some(it.0))
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .build()?,
            ),
            Kind::Delete(key) => item.delete(
                Delete::builder()
                    .table_name(table)
                    .set_key(Some(key.attributes()))
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .build()?,
            ),
            Kind::Update(key, expression) => item.update(
                Update::builder()
                    .table_name(table)
                    .set_key(Some(key.attributes()))
                    .update_expression(expression)
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .build()?,
            ),
            Kind::Check(key) => item.condition_check(
                ConditionCheck::builder()
                    .table_name(table)
                    .set_key(Some(key.attributes()))
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .build()?,
            ),
        }
        .build())
    }
}

/// The attributes that an expression names: `#name` is `name`. Every name goes through this, because more than 500 words
/// are reserved (`name`, `state`, `owner`), and DynamoDB refuses a name that is given and not used.
pub(super) fn names_in(expression: &str) -> HashMap<String, String> {
    let mut names = HashMap::new();
    for part in expression.split('#').skip(1) {
        let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(part.len());
        names.insert(format!("#{}", &part[..end]), part[..end].to_owned());
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_expressions() {
        let found = names_in("SET #state = :state, #ended=:ended REMOVE #cause");
        let expected = ["cause", "ended", "state"].map(|name| (format!("#{name}"), name.to_owned()));
        assert_eq!(found, HashMap::from(expected));
        assert!(names_in("").is_empty());
    }
}
