//! The follower of one operation.

use std::pin::pin;
use std::time::Duration;

use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::failure::{Failure, FailureClass};
use layer0_domain::model::operation::{Operation, OperationState};
use layer0_domain::model::service::Service;
use layer0_domain::model::task::{Task, TaskOutcome};
use layer0_domain::model::time::{Generation, Timestamp};
use layer0_domain::plan::verdict::Verdict;
use layer0_domain::plan::{environment, load_balancer, service, task};
use layer0_domain::port::engine::{EngineError, Observed, Removed, Scope};
use layer0_domain::port::store::{Alongside, Entity, StoreError};
use tracing::{info, warn};

use super::tell::{self, TellError, Told, chain};
use crate::app::App;

/// How long a follower waits for a nudge before it looks again all the same.
const BACKSTOP: Duration = Duration::from_secs(5);

/// How long one look at the engine may take. Engines bound their own calls; this bounds an engine that does not.
const STEP_MAX: Duration = Duration::from_secs(60);

/// How long to wait before an engine is asked again that did not answer.
const RETRY: Duration = Duration::from_secs(1);

/// How long one look may take before it is said that the engine is slow.
const SLOW: Duration = Duration::from_secs(3);

/// What is said of an engine that is slow.
const NO_ANSWER: &str = "waiting for the engine: it does not answer";

/// Follows an operation to its end, or until the app stops.
pub(crate) async fn follow(app: &App, told: &Told, operation: Operation) {
    let follower = Follower { app, told, operation: &operation };
    let mut nudges = app.nudge.listen();
    let mut said = String::new();
    let mut told_at = None;
    // Since when the engine could have done something: an hour without an engine is not an hour of a roll-out.
    let mut since = app.clock.now();
    while !app.stop.asked() {
        nudges.mark_unchanged();
        let mut look = pin!(follower.step(&mut told_at, since));
        let outcome = match tokio::time::timeout(SLOW, &mut look).await {
            Ok(outcome) => outcome,
            Err(_) => {
                // Whoever watches learns of it while the step goes on.
                if said != NO_ANSWER && follower.say(NO_ANSWER).await {
                    NO_ANSWER.clone_into(&mut said);
                }
                let outcome = tokio::time::timeout(STEP_MAX, look).await;
                outcome.unwrap_or_else(|_| Ok(Step::Retry(NO_ANSWER.to_owned(), RETRY)))
            }
        };
        let (text, pause) = match outcome {
            Ok(Step::Ended) => return,
            Ok(Step::Again) => continue,
            Ok(Step::Wait(text)) => (Some(text), BACKSTOP),
            Ok(Step::Retry(text, after)) => {
                since = app.clock.now();
                (Some(text), after)
            }
            Err(why) => {
                warn!(operation.id = %operation.id, error = %why, "an operation could not be looked at");
                (None, BACKSTOP)
            }
        };
        if let Some(text) = text
            && text != said
            && follower.say(&text).await
        {
            said = text;
        }
        tokio::select! {
            _ = nudges.changed() => {}
            () = tokio::time::sleep(pause) => {}
            () = app.stop.wait() => {}
        }
    }
}

/// What one look came to.
enum Step {
    /// The operation has ended.
    Ended,
    /// Something else changed the entity meanwhile: look again at once.
    Again,
    /// It goes on.
    Wait(String),
    /// The engine could not be asked: once more after a pause.
    Retry(String, Duration),
}

impl Step {
    /// What comes of an engine's error after which the same call may succeed.
    fn retry(why: &EngineError) -> Self {
        let pause = match why {
            EngineError::Throttled { after } => (*after).min(BACKSTOP),
            _ => RETRY,
        };
        Step::Retry(format!("waiting for the engine: {}", chain(why)), pause)
    }
}

/// What one look works with.
#[derive(Clone, Copy)]
struct Follower<'a> {
    app: &'a App,
    told: &'a Told,
    operation: &'a Operation,
}

impl Follower<'_> {
    async fn say(self, text: &str) -> bool {
        let event = [(self.app.clock.now(), text.to_owned())];
        match self.app.store.operation_progress(self.operation, &event, Alongside::Nothing).await {
            Ok(_) => true,
            Err(why) => {
                warn!(operation.id = %self.operation.id, error = %why, "an operation's event could not be written");
                false
            }
        }
    }

    /// One look. `told_at` is the generation of the entity that this follower has told the engine of: the engine keeps what
    /// it is told, so it is told again only when the entity has changed.
    async fn step(self, told_at: &mut Option<Generation>, since: Timestamp) -> Result<Step, StoreError> {
        let Self { app, told, operation } = self;
        // Another operation may have taken over since the last look; a follower of an ended one touches nothing.
        match app.store.operation_get(&operation.id).await? {
            Some(current) if !current.state.ended() => {}
            _ => return Ok(Step::Ended),
        }
        let Some(entity) = app.store.entity_get(&operation.entity).await? else {
            let gone = Failure::new(FailureClass::Superseded, format!("{} is gone", operation.entity));
            return self.end(OperationState::Failed, Some(gone), "gone", Alongside::Nothing).await;
        };
        if entity.deleting() {
            return self.delete(&entity).await;
        }
        if *told_at != Some(entity.generation()) {
            match tell::entity(app, told, &entity).await {
                Ok(()) => *told_at = Some(entity.generation()),
                Err(TellError::Store(why)) => return Err(why),
                Err(TellError::Engine(why)) => return self.engine_said(entity, why).await,
            }
        }
        match app.engine.observe(Scope::One(operation.entity.clone())).await {
            Ok(seen) => self.judge(entity, &seen, since).await,
            Err(why) => self.engine_said(entity, why).await,
        }
    }

    /// An engine that does not answer is waited for; one that refuses ends the operation.
    async fn engine_said(self, entity: Entity, why: EngineError) -> Result<Step, StoreError> {
        if why.retryable() {
            return Ok(Step::retry(&why));
        }
        self.failed(entity, failure(why)).await
    }

    async fn delete(self, entity: &Entity) -> Result<Step, StoreError> {
        let Self { app, told, operation } = self;
        if let Entity::Environment(_) = entity {
            // Its links go first, from both sides.
            match tell::entity(app, told, entity).await {
                Ok(()) => {}
                Err(TellError::Store(why)) => return Err(why),
                Err(TellError::Engine(why)) if why.retryable() => return Ok(Step::retry(&why)),
                Err(TellError::Engine(why)) => {
                    warn!(error = %why, "an environment's links could not be cut one by one")
                }
            }
        }
        // Nobody may tell the engine of it between its removal and its end in the store: that would bring it back.
        let _turn = told.turn(&operation.entity).await;
        match app.engine.remove(&operation.entity).await {
            Ok(Removed::Going { waiting_for }) => Ok(Step::Wait(format!("waiting for {waiting_for}"))),
            Ok(Removed::Hindered { waiting_for, why }) => Ok(Step::Wait(format!("waiting for {waiting_for} ({why})"))),
            Ok(Removed::Gone) => {
                let purge = Alongside::Purge(operation.entity.clone(), entity.generation());
                let step = self.end(OperationState::Succeeded, None, "gone", purge).await;
                told.forget(&operation.entity).await;
                step
            }
            Err(why) if why.retryable() => Ok(Step::retry(&why)),
            Err(why) => {
                let cause = failure(why);
                let text = cause.message.clone();
                self.end(OperationState::Failed, Some(cause), &text, Alongside::Nothing).await
            }
        }
    }

    async fn judge(self, entity: Entity, seen: &Observed, since: Timestamp) -> Result<Step, StoreError> {
        let now = self.app.clock.now();
        let (verdict, outcome): (Verdict, Option<TaskOutcome>) = match &entity {
            Entity::Environment(it) => {
                (environment::judge(seen.environments.iter().find(|seen| seen.id == it.id)), None)
            }
            Entity::LoadBalancer(it) => {
                (load_balancer::judge(it, seen.load_balancers.iter().find(|seen| seen.id == it.id)), None)
            }
            Entity::Service(it) => {
                (service::judge(it, seen.services.iter().find(|seen| seen.id == it.id), since, now), None)
            }
            Entity::Task(it) => task::judge(it, seen.tasks.iter().find(|seen| seen.id == it.id), now),
        };
        match verdict {
            Verdict::Wait(text) => Ok(Step::Wait(text)),
            Verdict::Done(mut text) => {
                if let Entity::Service(it) = &entity {
                    text = service::told(self.operation.verb, it, &text);
                }
                let alongside = match (entity, outcome) {
                    (Entity::Service(it), _) => Alongside::Update(Entity::Service(service::healthy(it, now))),
                    (Entity::Task(it), outcome @ Some(_)) => Alongside::Update(Entity::Task(Task { outcome, ..it })),
                    _ => Alongside::Nothing,
                };
                self.end(OperationState::Succeeded, None, &text, alongside).await
            }
            Verdict::Failed(cause) => match (entity, outcome) {
                (Entity::Task(it), outcome @ Some(_)) => {
                    let text = cause.message.clone();
                    let alongside = Alongside::Update(Entity::Task(Task { outcome, ..it }));
                    self.end(OperationState::Failed, Some(cause), &text, alongside).await
                }
                (entity, _) => self.failed(entity, cause).await,
            },
            Verdict::RollBack(cause) => {
                let Entity::Service(it) = entity else { return Ok(Step::Again) };
                self.rolled_back(it, cause).await
            }
        }
    }

    async fn rolled_back(self, it: Service, cause: Failure) -> Result<Step, StoreError> {
        let back = service::rolled_back(it, cause.clone(), self.app.clock.now());
        let text = format!("{}; rolled back to {}", cause.message, back.wanted().label());
        let alongside = Alongside::Update(Entity::Service(back));
        self.end(OperationState::RolledBack, Some(cause), &text, alongside).await
    }

    async fn failed(self, entity: Entity, cause: Failure) -> Result<Step, StoreError> {
        let text = cause.message.clone();
        let now = self.app.clock.now();
        let alongside = match entity {
            // What the engine refuses may be something else than the new deployment: the old one goes on.
            Entity::Service(it) if service::goes_back(&it) => return self.rolled_back(it, cause).await,
            // Whichever operation watches: a roll-out that is under way has failed, one that was healthy stays so.
            Entity::Service(it) => Alongside::Update(Entity::Service(service::failed(it, cause.clone(), now))),
            Entity::Task(it) => {
                let outcome = TaskOutcome { ended: now, copies: vec![], failure: Some(cause.clone()) };
                Alongside::Update(Entity::Task(Task { outcome: Some(outcome), ..it }))
            }
            Entity::Environment(_) | Entity::LoadBalancer(_) => Alongside::Nothing,
        };
        self.end(OperationState::Failed, Some(cause), &text, alongside).await
    }

    /// Writes an operation's end, together with what it means for the entity.
    async fn end(
        self,
        state: OperationState,
        cause: Option<Failure>,
        text: &str,
        alongside: Alongside,
    ) -> Result<Step, StoreError> {
        let Self { app, operation, .. } = self;
        let now = app.clock.now();
        let ended = Operation { state, cause, ended: Some(now), ..operation.clone() };
        let updates = matches!(alongside, Alongside::Update(_));
        match app.store.operation_progress(&ended, &[(now, text.to_owned())], alongside).await {
            Ok(true) => {}
            // Another operation took over in this very moment; what it wants counts.
            Ok(false) | Err(StoreError::Missing { .. }) => return Ok(Step::Ended),
            Err(StoreError::Conflict { .. }) => return Ok(Step::Again),
            Err(why) => return Err(why),
        }
        let (id, entity, name) = (&operation.id, operation.entity.kind(), &operation.entity_name);
        let (verb, state) = (operation.verb, state.as_str());
        info!(operation.id = %id, entity.id = operation.entity.id(), "{verb} of {entity} `{name}` {state}: {text}");
        if updates && matches!(operation.entity, EntityRef::Service(_)) {
            self.tell_again().await;
        }
        app.nudge.nudge();
        Ok(Step::Ended)
    }

    /// After an end that changed the service the engine is told the new state of it: a rollback or a halt is carried out by
    /// that. Its result needs no watching: what it goes back to was healthy and still runs.
    async fn tell_again(self) {
        let Self { app, told, operation } = self;
        let result = match app.store.entity_get(&operation.entity).await {
            Ok(Some(entity)) => tell::entity(app, told, &entity).await,
            Ok(None) => Ok(()),
            Err(why) => Err(why.into()),
        };
        if let Err(why) = result {
            warn!(entity = %operation.entity, error = %why, "the engine could not be told yet");
            told.ask_again(&operation.entity).await;
        }
    }
}

/// An engine's refusal as the cause of a failure.
fn failure(why: EngineError) -> Failure {
    match why {
        EngineError::Refused { failure } => *failure,
        other => Failure::new(FailureClass::Other, chain(&other)),
    }
}
