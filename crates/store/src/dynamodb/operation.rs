//! Operations and their events.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use layer0_domain::model::entity::{EntityKind, EntityRef};
use layer0_domain::model::failure::Failure;
use layer0_domain::model::id::{EnvironmentId, OperationId};
use layer0_domain::model::operation::{Operation, OperationEvent, OperationState, Verb};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::store::{Alongside, OperationLog, OperationLogLine, StoreError};

use super::action::{ABSENT, Action};
use super::change;
use super::entity::head_key;
use super::fault::Fault;
use super::item::{Item, Key, from_json, ordered, ordered_time, parsed, to_json};
use super::table::{Query, Range, Step, Table};

/// All operations in the order in which they were asked for.
const ALL: &str = "operation";

/// The operations that still run, by entity: there is one for an entity at most.
const RUNNING: &str = "running";

/// The events of all operations by time.
const LOG: &str = "log";

fn partition(id: &OperationId) -> String {
    format!("operation#{id}")
}

fn key(id: &OperationId) -> Key {
    Key::new(partition(id), "it")
}

/// The place of the operation that runs on an entity.
pub(super) fn running_key(entity: &EntityRef) -> Key {
    Key::new(RUNNING, format!("{}#{}", entity.kind().as_str(), entity.id()))
}

fn event_key(id: &OperationId, sequence: u64) -> Key {
    Key::new(partition(id), format!("event#{}", ordered(sequence)))
}

fn log_of(environment: &str) -> String {
    format!("{LOG}#{environment}")
}

/// Tells apart what was asked for in the same millisecond: microseconds, each given once by this process. What two servers
/// were asked for in the same moment has no order.
fn stamp() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
    let now = u64::try_from(now).unwrap_or(u64::MAX - 1);
    let next = |last: u64| Some(now.max(last + 1));
    match LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next) {
        Ok(last) | Err(last) => now.max(last + 1),
    }
}

/// The actions that keep a new operation, and end the one that still runs on its entity.
pub(super) fn create(asked: &Operation, running: Option<&Item>) -> Result<Vec<Action>, Fault> {
    let order = format!("{}#{}#{}", ordered_time(asked.created), ordered(stamp()), asked.id);
    let environment = match &asked.entity {
        EntityRef::Environment(id) => Some(id),
        _ => asked.environment.as_ref(),
    };
    let item = Item::at(&key(&asked.id))
        .with_text("asked", to_json("operation", asked)?)
        .with_text("order", &order)
        .with_number("events", 0)
        .with_text_if("environment", environment.map(EnvironmentId::as_str));
    let mut actions = vec![
        Action::put(with_state(item, asked)?).only_if(ABSENT),
        Action::put(Item::at(&Key::new(ALL, &order)).with_text("id", asked.id.as_str())),
    ];
    let place = running_key(&asked.entity);
    let action = if asked.state.ended() {
        Action::delete(place)
    } else {
        let item = Item::at(&place).with_text("id", asked.id.as_str()).with_text("order", &order);
        Action::put(item)
    };
    match running {
        None => actions.push(action.only_if(ABSENT)),
        Some(item) => {
            let old = parsed("operation id", OperationId::parse(item.text("id")?))?;
            actions.push(action.only_if("#id = :id").with_text(":id", old.as_str()));
            actions.push(
                Action::update(key(&old), "SET #state = :superseded, #ended = :ended")
                    .only_if("#state = :running")
                    .with_text(":superseded", OperationState::Superseded.as_str())
                    .with_text(":running", OperationState::Running.as_str())
                    .with_number(":ended", asked.created.0),
            );
        }
    }
    Ok(actions)
}

fn with_state(item: Item, operation: &Operation) -> Result<Item, Fault> {
    let cause = operation.cause.as_ref().map(|cause| to_json("operation cause", cause)).transpose()?;
    Ok(item
        .with_text("state", operation.state.as_str())
        .with_text_if("cause", cause)
        .with_number_if("ended", operation.ended.map(|at| at.0)))
}

fn state_of(item: &Item) -> Result<OperationState, Fault> {
    use OperationState::{Failed, RolledBack, Running, Succeeded, Superseded};
    let text = item.text("state")?;
    let found = [Running, Succeeded, Failed, RolledBack, Superseded].into_iter().find(|state| state.as_str() == text);
    found.ok_or(Fault::Unreadable { what: "operation state" })
}

fn read(item: &Item) -> Result<Operation, Fault> {
    let asked: Operation = from_json("operation", item.text("asked")?)?;
    let cause = item.text_if("cause")?.map(|text| from_json::<Failure>("operation cause", text)).transpose()?;
    Ok(Operation { state: state_of(item)?, cause, ended: item.time_if("ended")?, ..asked })
}

impl Table {
    pub(super) async fn operation(&self, id: &OperationId) -> Result<Option<Operation>, Fault> {
        self.get(&key(id)).await?.as_ref().map(read).transpose()
    }

    pub(super) async fn operations_newest(&self, most: u32) -> Result<Vec<Operation>, Fault> {
        let listed = self.query(Query::of(ALL).descending().most(most)).await?;
        self.operations(&listed).await
    }

    pub(super) async fn operations_running(&self) -> Result<Vec<Operation>, Fault> {
        let mut listed = self.query(Query::of(RUNNING)).await?;
        listed.sort_by_cached_key(|item| item.text("order").unwrap_or_default().to_owned());
        let mut operations = self.operations(&listed).await?;
        // One that ended after the list was read.
        operations.retain(|operation| !operation.state.ended());
        Ok(operations)
    }

    /// The operations that items name, in their order.
    async fn operations(&self, listed: &[Item]) -> Result<Vec<Operation>, Fault> {
        let id = |item: &Item| Ok(key(&parsed("operation id", OperationId::parse(item.text("id")?))?));
        let keys = listed.iter().map(id).collect::<Result<Vec<Key>, Fault>>()?;
        let found = self.get_many(&keys).await?;
        keys.iter().filter_map(|key| found.get(key)).map(read).collect()
    }

    pub(super) async fn events(&self, id: &OperationId, after: u64) -> Result<Vec<OperationEvent>, Fault> {
        // Behind the last event of all lies nothing: `~` sorts behind every digit.
        let range = Range::Between(format!("event#{}", ordered(after.saturating_add(1))), "event#~".to_owned());
        let items = self.query(Query::of(partition(id)).within(range)).await?;
        let event = |item: &Item| {
            let sequence = item.number("sequence")?;
            Ok(OperationEvent { sequence, at: item.time("at")?, message: item.text("message")?.to_owned() })
        };
        let events = items.iter().map(event).collect::<Result<Vec<OperationEvent>, Fault>>()?;
        Ok(events.into_iter().filter(|event| event.sequence > after).collect())
    }

    pub(super) async fn operation_log(&self, log: &OperationLog) -> Result<Vec<OperationLogLine>, Fault> {
        let (start, end) = (log.start.unwrap_or(Timestamp(i64::MIN)), log.end.unwrap_or(Timestamp(i64::MAX)));
        if start > end {
            return Ok(Vec::new());
        }
        let partition = log.environment.as_ref().map_or(LOG.to_owned(), |id| log_of(id.as_str()));
        let range = Range::Between(ordered_time(start), format!("{}#~", ordered_time(end)));
        let mut items = self.query(Query::of(partition).within(range).descending().most(log.most)).await?;
        items.reverse();
        items.iter().map(log_line).collect()
    }

    pub(super) async fn progress_step(
        &self,
        operation: &Operation,
        events: &[(Timestamp, String)],
        alongside: &Alongside,
    ) -> Result<Step<bool>, StoreError> {
        let mut keys = vec![key(&operation.id)];
        keys.extend(match alongside {
            Alongside::Nothing => None,
            Alongside::Update(entity) => Some(head_key(&entity.reference())),
            Alongside::Purge(entity, _) => Some(head_key(entity)),
        });
        let seen = self.get_many(&keys).await?;
        let Some(stored) = seen.get(&keys[0]) else {
            return Err(StoreError::Missing { entity: operation.entity.clone() });
        };
        if state_of(stored)?.ended() {
            return Ok(Step::Answer(false));
        }
        let mut actions = progress(stored, operation, events)?;
        match alongside {
            Alongside::Nothing => {}
            Alongside::Update(entity) => {
                let head = change::head(seen.get(&keys[1]), &entity.reference(), entity.generation())?;
                actions.extend(self.rewrite(&head, entity).await?);
            }
            Alongside::Purge(entity, generation) => {
                let head = change::head(seen.get(&keys[1]), entity, *generation)?;
                actions.extend(self.purge(&head).await?);
            }
        }
        Ok(Step::Write(actions, true))
    }
}

/// The actions that write an operation's state and events over the one that was read.
fn progress(stored: &Item, operation: &Operation, events: &[(Timestamp, String)]) -> Result<Vec<Action>, Fault> {
    let asked: Operation = from_json("operation", stored.text("asked")?)?;
    let (order, environment) = (stored.text("order")?, stored.text_if("environment")?);
    let last: u64 = stored.number("events")?;
    let item = Item(stored.0.clone().into_iter().filter(|(name, _)| name != "cause" && name != "ended").collect());
    let next = last + events.len() as u64;
    let item = with_state(item, operation)?.with_number("events", next);
    let mut actions = vec![
        Action::put(item)
            .only_if("#state = :running AND #events = :events")
            .with_text(":running", OperationState::Running.as_str())
            .with_number(":events", last),
    ];
    if operation.state.ended() {
        let running = Action::delete(running_key(&asked.entity)).only_if("#id = :id");
        actions.push(running.with_text(":id", asked.id.as_str()));
    }
    for (sequence, (at, message)) in (last + 1..).zip(events) {
        let event = Item::at(&event_key(&asked.id, sequence)).with_number("sequence", sequence);
        let event = event.with_number("at", at.0).with_text("message", message);
        let line = event
            .clone()
            .with_text("verb", asked.verb.as_str())
            .with_text("kind", asked.entity.kind().as_str())
            .with_text("entity", asked.entity.id())
            .with_text("name", &asked.entity_name);
        let place = format!("{}#{order}#{}", ordered_time(*at), ordered(sequence));
        actions.push(Action::put(event));
        actions.extend(environment.map(|id| Action::put(line.clone().moved(&Key::new(log_of(id), &place)))));
        actions.push(Action::put(line.moved(&Key::new(LOG, place))));
    }
    Ok(actions)
}

fn log_line(item: &Item) -> Result<OperationLogLine, Fault> {
    let kind = EntityKind::parse(item.text("kind")?).ok_or(Fault::Unreadable { what: "kind" })?;
    Ok(OperationLogLine {
        at: item.time("at")?,
        verb: Verb::parse(item.text("verb")?).ok_or(Fault::Unreadable { what: "verb" })?,
        entity: parsed("entity id", EntityRef::from_parts(kind, item.text("entity")?))?,
        entity_name: item.text("name")?.to_owned(),
        message: item.text("message")?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_stamp_is_given_twice() {
        let stamps: Vec<u64> = (0..1_000).map(|_| stamp()).collect();
        assert!(stamps.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
