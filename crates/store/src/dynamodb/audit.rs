//! The audit log.
//!
//! Whoever follows the log asks for what lies behind the last sequence he has seen, so a record must never turn up before
//! one that was there already. Sequences therefore come from one item, in the transaction that writes the records, and
//! records that come together share a transaction: with one at a time from each server, they seldom meet.
//!
//! A sequence is at least a thousand times the moment of its record in milliseconds. So times bound what is read.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::types::AttributeValue;
use layer0_domain::model::audit::{AuditEntry, AuditFilter, AuditRecord, KEPT_MS};
use layer0_domain::model::id::{EnvironmentId, TokenId};
use layer0_domain::model::time::Timestamp;
use tokio::sync::oneshot;

use super::action::{ABSENT, Action};
use super::fault::Fault;
use super::item::{EXPIRES, Item, Key, ordered, parsed, word};
use super::table::{Query, Range, Step, Table};

const LOG: &str = "audit";

/// Records in one transaction: three items each at most, and the item of the sequence.
const BATCH_MAX: usize = 30;

/// Items that one round of a prune reads and deletes.
const ROUND: u32 = 1_000;

/// Sequences in a millisecond.
const EACH_MS: u64 = 1_000;

/// By how much the sequence of a record may be ahead of its moment: the clocks of two servers, and the time from the answer
/// of a request to its record.
const AHEAD_MS: i64 = 60 * 60 * 1_000;

fn last_key() -> Key {
    Key::new("access", "audit")
}

fn key(sequence: u64) -> Key {
    Key::new(LOG, ordered(sequence))
}

/// The partition of one who did something.
fn of(who: &str) -> String {
    format!("{LOG}#{}", word(who))
}

/// The partition of what was done in one environment.
fn within(environment: &str) -> String {
    format!("{LOG}#in#{}", word(environment))
}

/// All places of a record.
fn places(who: &str, environment: Option<&str>, sequence: &str) -> Vec<Key> {
    let mut places = vec![Key::new(of(who), sequence)];
    places.extend(environment.map(|id| Key::new(within(id), sequence)));
    places.push(Key::new(LOG, sequence));
    places
}

/// The least sequence that a record of this moment may have.
fn least(at: Timestamp) -> u64 {
    u64::try_from(at.0).unwrap_or(0).saturating_mul(EACH_MS)
}

/// The records that wait for their transaction. Only one is under way at a time.
#[derive(Default)]
pub(super) struct Waiting(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    records: Vec<(AuditRecord, oneshot::Sender<Result<(), Fault>>)>,
    /// Whether somebody writes.
    writing: bool,
}

impl Waiting {
    /// Nothing under the lock can leave the queue half changed.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next records, or the end of writing.
    fn take(&self) -> Vec<(AuditRecord, oneshot::Sender<Result<(), Fault>>)> {
        let mut queue = self.lock();
        let most = queue.records.len().min(BATCH_MAX);
        queue.writing = most > 0;
        queue.records.drain(..most).collect()
    }
}

impl Table {
    /// Appends a record, together with those that wait. Written also when the caller stops waiting.
    pub(super) async fn audit_append(&self, waiting: &Arc<Waiting>, record: &AuditRecord) -> Result<(), Fault> {
        let (caller, answer) = oneshot::channel();
        let first = {
            let mut queue = waiting.lock();
            queue.records.push((record.clone(), caller));
            !std::mem::replace(&mut queue.writing, true)
        };
        if first {
            let (table, waiting) = (self.clone(), waiting.clone());
            tokio::spawn(async move { table.audit_write(&waiting).await });
        }
        // Without an answer the runtime has ended, and the writer with it.
        let cut_off = Fault::Unanswered { call: "TransactWriteItems", why: "the server stops".to_owned() };
        answer.await.unwrap_or(Err(cut_off))
    }

    /// Writes what waits until nothing does.
    async fn audit_write(&self, waiting: &Waiting) {
        loop {
            let (records, callers): (Vec<_>, Vec<_>) = waiting.take().into_iter().unzip();
            if records.is_empty() {
                return;
            }
            let outcome = self.unit(|| self.audit_step(&records)).await;
            for caller in callers {
                // One that has stopped waiting is no failure.
                let _ = caller.send(outcome.clone());
            }
        }
    }

    async fn audit_step(&self, records: &[AuditRecord]) -> Result<Step<()>, Fault> {
        let last: Option<u64> = self.get(&last_key()).await?.map(|item| item.number("last")).transpose()?;
        let expires = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
            + KEPT_MS.cast_unsigned() / 1_000;
        let mut sequence = last.unwrap_or(0);
        let mut actions = Vec::with_capacity(1 + 3 * records.len());
        for record in records {
            sequence = least(record.at).max(sequence + 1);
            let item = item_of(record, sequence).with_number(EXPIRES, expires);
            let environment = record.environment.as_ref().map(EnvironmentId::as_str);
            let places = places(&record.who, environment, &ordered(sequence));
            actions.extend(places.iter().map(|place| Action::put(item.clone().moved(place))));
        }
        let counted = Action::put(Item::at(&last_key()).with_number("last", sequence));
        actions.push(match last {
            Some(last) => counted.only_if("#last = :last").with_number(":last", last),
            None => counted.only_if(ABSENT),
        });
        Ok(Step::Write(actions, ()))
    }

    pub(super) async fn audit_entries(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, Fault> {
        let from = filter.after.map_or(0, |after| after.saturating_add(1)).max(filter.start.map_or(0, least));
        let to = filter.end.map_or(u64::MAX, |end| least(end.plus_ms(AHEAD_MS)).saturating_add(EACH_MS));
        if from > to {
            return Ok(Vec::new());
        }
        let partition = match (&filter.environment, &filter.who) {
            (Some(environment), _) => within(environment.as_str()),
            (None, Some(who)) => of(who),
            (None, None) => LOG.to_owned(),
        };
        let mut query = Query::of(partition).within(Range::Between(ordered(from), ordered(to))).most(filter.most);
        let in_time = filter.start.is_some() || filter.end.is_some();
        let whose = filter.who.as_ref().filter(|_| filter.environment.is_some());
        query = match (in_time, whose.is_some()) {
            (true, true) => query.filter("#at BETWEEN :start AND :end AND #who = :who"),
            (true, false) => query.filter("#at BETWEEN :start AND :end"),
            (false, true) => query.filter("#who = :who"),
            (false, false) => query,
        };
        if in_time {
            let number = |at: i64| AttributeValue::N(at.to_string());
            query = query
                .with(":start", number(filter.start.map_or(i64::MIN, |at| at.0)))
                .with(":end", number(filter.end.map_or(i64::MAX, |at| at.0)));
        }
        if let Some(who) = whose {
            query = query.with(":who", AttributeValue::S(who.clone()));
        }
        if filter.after.is_none() {
            query = query.descending();
        }
        let mut entries = self.query(query).await?.iter().map(read).collect::<Result<Vec<_>, Fault>>()?;
        if filter.after.is_none() {
            entries.reverse();
        }
        Ok(entries)
    }

    /// Not one unit of work, but round after round: a failure leaves what is newer, and the next prune takes it.
    pub(super) async fn audit_prune(&self, before: Timestamp) -> Result<u64, Fault> {
        let end = ordered(least(before.plus_ms(AHEAD_MS)));
        let mut pruned = 0;
        loop {
            let old = Query::of(LOG)
                .within(Range::Before(end.clone()))
                .most(ROUND)
                .filter("#at < :before")
                .with(":before", AttributeValue::N(before.0.to_string()));
            let items = self.query(old).await?;
            if items.is_empty() {
                return Ok(pruned);
            }
            let mut keys = Vec::with_capacity(3 * items.len());
            for item in &items {
                let Key { sort, .. } = item.key()?;
                // The log's own item goes last: what is left after a failure is found there again.
                keys.extend(places(item.text("who")?, item.text_if("environment")?, &sort));
            }
            self.delete_many(&keys).await?;
            pruned += items.len() as u64;
        }
    }
}

fn item_of(record: &AuditRecord, sequence: u64) -> Item {
    Item::at(&key(sequence))
        .with_number("at", record.at.0)
        .with_text("who", &record.who)
        .with_text_if("token", record.token.as_ref().map(TokenId::as_str))
        .with_text("from", &record.from)
        .with_text("action", &record.action)
        .with_text("target", &record.target)
        .with_text_if("environment", record.environment.as_ref().map(EnvironmentId::as_str))
        .with_number("status", record.status)
}

fn read(item: &Item) -> Result<AuditEntry, Fault> {
    Ok(AuditEntry {
        sequence: parsed("audit sequence", item.text("s")?.parse())?,
        record: AuditRecord {
            at: item.time("at")?,
            who: item.text("who")?.to_owned(),
            token: item.text_if("token")?.map(|id| parsed("audit token", TokenId::parse(id))).transpose()?,
            from: item.text("from")?.to_owned(),
            action: item.text("action")?.to_owned(),
            target: item.text("target")?.to_owned(),
            status: item.number("status")?,
            environment: item
                .text_if("environment")?
                .map(|id| parsed("audit environment", EnvironmentId::parse(id)))
                .transpose()?,
        },
    })
}
