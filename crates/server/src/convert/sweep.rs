//! To the wire: what a sweep finds, and what comes of it.

use layer0_api::types as wire;
use layer0_domain::plan::sweep::{Stray, Strays};
use layer0_domain::port::thing::Thing;

use crate::reconcile::sweep::Fate;
use crate::sweeping::State;

fn thing(it: &Thing) -> wire::SweepThing {
    wire::SweepThing {
        what: it.what.to_owned(),
        name: it.name.clone(),
        state: it.state.clone(),
        hindrance: it.hindrance.clone(),
    }
}

fn things(all: &[Thing]) -> Vec<wire::SweepThing> {
    all.iter().map(thing).collect()
}

/// A stray, with what came of it where something was done.
pub(crate) fn stray(it: &Stray, fate: Option<&Fate>) -> wire::SweepStray {
    let (outcome, cause) = match fate {
        None => ("found", None),
        Some(Fate::Gone) => ("gone", None),
        Some(Fate::Left(cause)) => ("left", Some(cause.clone())),
    };
    wire::SweepStray {
        entity_type: it.entity.kind().as_str().to_owned(),
        entity_id: it.entity.id().to_owned(),
        things: things(&it.things),
        outcome: outcome.to_owned(),
        cause,
    }
}

/// What a sweep would take away.
pub(crate) fn plan(it: &Strays) -> wire::SweepPlan {
    wire::SweepPlan { strays: it.of_nobody.iter().map(|it| stray(it, None)).collect(), unclear: things(&it.unclear) }
}

/// How far a run is.
pub(crate) fn progress(state: &State) -> wire::SweepProgress {
    wire::SweepProgress {
        strays: state.found.map(|count| count as u64),
        ended: state.ended.len() as u64,
        waiting_for: state.waiting_for.clone(),
    }
}

/// The end of a run.
pub(crate) fn report(state: &State, end: &Result<(), String>) -> wire::SweepReport {
    let gone = state.ended.iter().filter(|it| it.1 == Fate::Gone).count();
    wire::SweepReport {
        gone: gone as u64,
        left: (state.ended.len() - gone) as u64,
        unclear: things(&state.unclear),
        error: end.as_ref().err().cloned(),
    }
}
