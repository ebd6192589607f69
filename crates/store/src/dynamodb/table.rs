//! The one table: consistent reads, and units of work that are tried until their conditions hold.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::error::TransactionCanceledException;
use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, KeysAndAttributes, WriteRequest};

use super::action::{Action, names_in};
use super::fault::{Fault, is_throttle};
use super::item::{Item, Key, hex};

/// The most actions in one transaction (TransactWriteItems).
pub(super) const ACTIONS_MAX: usize = 100;

/// The most keys in one read (BatchGetItem).
const KEYS_MAX: usize = 100;

/// The most deletes in one call (BatchWriteItem).
const DELETES_MAX: usize = 25;

/// How often a unit of work is tried while others change what it decides on. With the pauses below this is some ten
/// seconds; in one round at least one of those who meet gets through.
const TRIES: u32 = 40;

/// The pause before the second try; it doubles up to [`PAUSE_MAX`]. About the time that one transaction takes.
const PAUSE: Duration = Duration::from_millis(10);

/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_millis(320);

/// The table, by name, and the way to it. Cheap to clone.
#[derive(Clone)]
pub(super) struct Table {
    pub(super) client: Client,
    pub(super) name: Arc<str>,
    /// The most items in one answer to a query; `None` for as many as fit in 1 MB.
    pub(super) page: Option<u32>,
}

/// Which part of a partition a query reads.
#[derive(Debug, Clone)]
pub(super) enum Range {
    All,
    /// Sort keys that begin so.
    Begin(String),
    /// Sort keys from the first to the second, both included.
    Between(String, String),
    /// Sort keys before this one.
    Before(String),
}

/// In which direction a query reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Ascending,
    Descending,
}

/// A query of one partition.
#[derive(Debug, Clone)]
pub(super) struct Query {
    partition: String,
    range: Range,
    order: Order,
    most: Option<u32>,
    filter: Option<&'static str>,
    values: Vec<(&'static str, AttributeValue)>,
}

impl Query {
    pub(super) fn of(partition: impl Into<String>) -> Self {
        let partition = partition.into();
        Self { partition, range: Range::All, order: Order::Ascending, most: None, filter: None, values: Vec::new() }
    }

    pub(super) fn within(mut self, range: Range) -> Self {
        self.range = range;
        self
    }

    pub(super) fn descending(mut self) -> Self {
        self.order = Order::Descending;
        self
    }

    /// No more than so many items.
    pub(super) fn most(mut self, most: u32) -> Self {
        self.most = Some(most);
        self
    }

    /// Only the items that pass; those that do not are read and paid for all the same.
    pub(super) fn filter(mut self, expression: &'static str) -> Self {
        self.filter = Some(expression);
        self
    }

    pub(super) fn with(mut self, name: &'static str, value: AttributeValue) -> Self {
        self.values.push((name, value));
        self
    }
}

/// What one try of a unit of work came to.
pub(super) enum Step<T> {
    /// Nothing is to be written.
    Answer(T),
    /// The answer once these actions have been taken, all together.
    Write(Vec<Action>, T),
}

/// What became of a transaction.
enum Written {
    Done,
    /// A condition did not hold, or another transaction was at one of the items. Nothing was written.
    Refused,
    /// DynamoDB was asked too much. Nothing was written.
    Throttled(String),
}

impl Table {
    /// One item as it is now.
    pub(super) async fn get(&self, key: &Key) -> Result<Option<Item>, Fault> {
        let call = self.client.get_item().table_name(&*self.name).set_key(Some(key.attributes())).consistent_read(true);
        let answer = call.send().await.map_err(|error| Fault::of("GetItem", &error))?;
        Ok(answer.item.map(Item))
    }

    /// Those of the items that are there, each as it is now, but not all of one moment.
    pub(super) async fn get_many(&self, keys: &[Key]) -> Result<HashMap<Key, Item>, Fault> {
        let mut found = HashMap::with_capacity(keys.len());
        for keys in keys.chunks(KEYS_MAX) {
            let mut wanted: Vec<_> = keys.iter().map(Key::attributes).collect();
            let mut tried = 0;
            while !wanted.is_empty() {
                if tried > 0 {
                    self.pause(tried).await?;
                }
                tried += 1;
                wanted = self.get_some(wanted, &mut found).await?;
                if tried == TRIES && !wanted.is_empty() {
                    return Err(Fault::Throttled { call: "BatchGetItem", code: "UnprocessedKeys".to_owned() });
                }
            }
        }
        Ok(found)
    }

    /// One call; answers the keys that were left over.
    async fn get_some(
        &self,
        wanted: Vec<HashMap<String, AttributeValue>>,
        found: &mut HashMap<Key, Item>,
    ) -> Result<Vec<HashMap<String, AttributeValue>>, Fault> {
        let keys = KeysAndAttributes::builder().set_keys(Some(wanted)).consistent_read(true).build();
        let keys = keys.map_err(|_| Fault::Unstorable { what: "request" })?;
        let call = self.client.batch_get_item().request_items(&*self.name, keys);
        let answer = call.send().await.map_err(|error| Fault::of("BatchGetItem", &error))?;
        for item in answer.responses.unwrap_or_default().into_values().flatten() {
            let item = Item(item);
            found.insert(item.key()?, item);
        }
        let rest = answer.unprocessed_keys.unwrap_or_default().into_values();
        Ok(rest.flat_map(|keys| keys.keys).collect())
    }

    /// The items of a query, each as it is now, but not all of one moment; page after page, to the end or to as many as
    /// are wanted.
    pub(super) async fn query(&self, query: Query) -> Result<Vec<Item>, Fault> {
        let mut items = Vec::new();
        let mut from = None;
        loop {
            let left = query.most.map(|most| (most as usize).saturating_sub(items.len()));
            if left == Some(0) {
                return Ok(items);
            }
            let (page, next) = self.query_page(&query, left, from).await?;
            // A filter lets whole pages be read, with more in them than is left.
            items.extend(page.into_iter().take(left.unwrap_or(usize::MAX)));
            from = next;
            if from.is_none() {
                return Ok(items);
            }
        }
    }

    async fn query_page(
        &self,
        query: &Query,
        left: Option<usize>,
        from: Option<HashMap<String, AttributeValue>>,
    ) -> Result<(Vec<Item>, Option<HashMap<String, AttributeValue>>), Fault> {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let (condition, bounds) = match &query.range {
            Range::All => ("#p = :p", vec![]),
            Range::Begin(begin) => ("#p = :p AND begins_with(#s, :a)", vec![(":a", text(begin))]),
            Range::Between(a, b) => ("#p = :p AND #s BETWEEN :a AND :b", vec![(":a", text(a)), (":b", text(b))]),
            Range::Before(a) => ("#p = :p AND #s < :a", vec![(":a", text(a))]),
        };
        let mut names = names_in(condition);
        names.extend(names_in(query.filter.unwrap_or_default()));
        let mut call = self
            .client
            .query()
            .table_name(&*self.name)
            .consistent_read(true)
            .key_condition_expression(condition)
            .set_filter_expression(query.filter.map(str::to_owned))
            .set_expression_attribute_names(Some(names))
            .expression_attribute_values(":p", text(&query.partition))
            .scan_index_forward(query.order == Order::Ascending)
            .set_exclusive_start_key(from);
        for (name, value) in bounds.into_iter().chain(query.values.iter().cloned()) {
            call = call.expression_attribute_values(name, value);
        }
        // The limit counts what is read, not what passes the filter.
        let wanted = if query.filter.is_some() { None } else { left };
        let limit = [wanted.and_then(|left| u32::try_from(left).ok()), self.page].into_iter().flatten().min();
        let call = call.set_limit(limit.map(|limit| i32::try_from(limit).unwrap_or(i32::MAX)));
        let answer = call.send().await.map_err(|error| Fault::of("Query", &error))?;
        let items = answer.items.unwrap_or_default().into_iter().map(Item).collect();
        Ok((items, answer.last_evaluated_key.filter(|key| !key.is_empty())))
    }

    /// Tries a unit of work until its conditions hold: `attempt` reads, decides, and says what to write; what it decided on
    /// stands as conditions in its actions. When one does not hold, somebody else was quicker: then `attempt` decides anew
    /// on what is there now. So every refusal of a port comes from a read, none from a condition.
    pub(super) async fn unit<T, E, F>(&self, attempt: impl Fn() -> F) -> Result<T, E>
    where
        F: Future<Output = Result<Step<T>, E>>,
        E: From<Fault>,
    {
        let mut throttled = None;
        for tried in 1..=TRIES {
            match attempt().await? {
                Step::Answer(answer) => return Ok(answer),
                Step::Write(actions, answer) => match self.write(actions).await? {
                    Written::Done => return Ok(answer),
                    Written::Refused => throttled = None,
                    Written::Throttled(code) => throttled = Some(code),
                },
            }
            self.pause(tried).await?;
        }
        Err(match throttled {
            Some(code) => Fault::Throttled { call: "TransactWriteItems", code },
            None => Fault::Contended,
        }
        .into())
    }

    /// All actions or none. The token makes the SDK's retries harmless: when the first answer is lost, DynamoDB tells the
    /// second that it succeeded, and does nothing twice.
    async fn write(&self, actions: Vec<Action>) -> Result<Written, Fault> {
        if actions.is_empty() {
            return Ok(Written::Done);
        }
        if actions.len() > ACTIONS_MAX {
            return Err(Fault::TooMuch { count: actions.len(), most: ACTIONS_MAX });
        }
        let items = actions.into_iter().map(|action| action.into_item(&self.name)).collect::<Result<Vec<_>, _>>();
        let items = items.map_err(|_| Fault::Unstorable { what: "request" })?;
        let call = self.client.transact_write_items().set_transact_items(Some(items));
        let call = call.client_request_token(hex(&random::<16>()?));
        match call.send().await {
            Ok(_) => Ok(Written::Done),
            Err(SdkError::ServiceError(answer)) => match answer.err() {
                TransactWriteItemsError::TransactionCanceledException(why) => cancelled(why),
                _ => Err(Fault::of("TransactWriteItems", &SdkError::ServiceError(answer))),
            },
            Err(error) => Err(Fault::of("TransactWriteItems", &error)),
        }
    }

    /// Takes items away, in any order; those that aren't there are passed over. Not one unit: a failure leaves the rest.
    pub(super) async fn delete_many(&self, keys: &[Key]) -> Result<(), Fault> {
        for keys in keys.chunks(DELETES_MAX) {
            let mut wanted = Vec::with_capacity(keys.len());
            for key in keys {
                let delete = DeleteRequest::builder().set_key(Some(key.attributes())).build();
                let delete = delete.map_err(|_| Fault::Unstorable { what: "request" })?;
                wanted.push(WriteRequest::builder().delete_request(delete).build());
            }
            let mut tried = 0;
            while !wanted.is_empty() {
                if tried == TRIES {
                    return Err(Fault::Throttled { call: "BatchWriteItem", code: "UnprocessedItems".to_owned() });
                }
                if tried > 0 {
                    self.pause(tried).await?;
                }
                tried += 1;
                let call = self.client.batch_write_item().request_items(&*self.name, wanted);
                let answer = call.send().await.map_err(|error| Fault::of("BatchWriteItem", &error))?;
                wanted = answer.unprocessed_items.unwrap_or_default().into_values().flatten().collect();
            }
        }
        Ok(())
    }

    /// Waits before the next try: longer each time, and for each caller another time, so that those who met part.
    async fn pause(&self, tried: u32) -> Result<(), Fault> {
        let most = PAUSE.saturating_mul(1 << tried.min(5)).min(PAUSE_MAX);
        let [part] = random::<1>()?;
        tokio::time::sleep(most.mul_f32((f32::from(part) + 1.0) / 256.0)).await;
        Ok(())
    }
}

/// Where a count of changes begins that conditions compare. Not with the same number each time: a write that was decided on before an item went,
/// and that comes when it was made anew, must not take it for what it had read.
pub(super) fn first_count() -> Result<u64, Fault> {
    let [a, b, c, d, e, f] = random()?;
    Ok(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
}

/// Bytes nobody can guess and nobody else has.
pub(super) fn random<const N: usize>() -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Fault::Randomness)?;
    Ok(bytes)
}

/// Why a transaction was cancelled: one reason for each action, `None` in words for those that were fine.
fn cancelled(why: &TransactionCanceledException) -> Result<Written, Fault> {
    let codes = || why.cancellation_reasons().iter().filter_map(|reason| reason.code()).filter(|code| *code != "None");
    if codes().any(|code| code == "ConditionalCheckFailed" || code == "TransactionConflict") {
        return Ok(Written::Refused);
    }
    if let Some(code) = codes().find(|code| is_throttle(code)) {
        return Ok(Written::Throttled(code.to_owned()));
    }
    let bad = why.cancellation_reasons().iter().find(|reason| reason.code().is_some_and(|code| code != "None"));
    Err(Fault::Refused {
        call: "TransactWriteItems",
        code: bad.and_then(|reason| reason.code()).unwrap_or("TransactionCanceledException").to_owned(),
        message: bad.and_then(|reason| reason.message()).unwrap_or_default().to_owned(),
    })
}
