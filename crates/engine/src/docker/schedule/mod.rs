//! What ECS does for us elsewhere: which copies of a service are to be started and ended, given what is wanted and what
//! is there. Pure: no clock, no Docker.
//!
//! ```text
//!              started by us                  healthy            check fails
//!   (start) ──▶ Starting ─────────────────────▶ Healthy ◀──────▶ Unhealthy
//!                  │ patience is over              │                 │ patience is over
//!                  ▼                               ▼ surplus or old  ▼
//!               given up (a failed start)       Leaving ─────────▶ gone
//!
//!   Adopted: found running after a restart of ours, health not known yet; ends in Healthy, or is given up
//!   Ended:   ended by itself; the newest is kept, so that its log can be read
//! ```
//!
//! Rolling update: all new copies are started beside the old ones; each new one that is healthy lets one old one go. A
//! copy that ended leaves a vacancy behind, which says when its place may be filled again.

#[cfg(test)]
mod tests;

use layer0_domain::model::time::Timestamp;
use layer0_domain::port::engine::ServiceMode;

/// Milliseconds until a copy that was healthy and ended by itself is replaced, by how many did before it in its place
/// within [`CALM_MS`]: at once, then 1 s, 2 s, 4 s … 60 s.
const CRASH_BACK_OFF_MS: (i64, i64) = (1_000, 60_000);

/// Milliseconds until a failed start is tried again, by how many failed in a row: 0.2 s, 1 s, 2 s, 4 s … 60 s.
const START_BACK_OFF_MS: i64 = 200;

/// A copy that lived healthily for so long clears the count of crashes in its place.
pub(super) const CALM_MS: u64 = 60_000;

/// What is wanted of a service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Want {
    pub(super) desired: u32,
    pub(super) mode: ServiceMode,
}

/// One copy that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Copy {
    pub(super) number: u32,
    /// Whether it runs the deployment that is wanted.
    pub(super) is_wanted: bool,
    pub(super) state: State,
    /// When it is given up if nothing changes.
    pub(super) give_up_at: Option<Timestamp>,
}

/// How a copy is, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Being made, or running and never healthy so far.
    Starting,
    /// Found running; whether it is healthy is not known yet.
    Adopted,
    /// Serves.
    Healthy,
    /// Was healthy, is not now.
    Unhealthy,
    /// On its way out; somebody works on it.
    Leaving,
    /// Ended by itself.
    Ended,
    /// Half made, and nobody works on it.
    HalfMade,
}

impl State {
    fn lives(self) -> bool {
        matches!(self, State::Starting | State::Adopted | State::Healthy | State::Unhealthy)
    }

    /// How much it is worth keeping.
    fn worth(self) -> u8 {
        match self {
            State::Healthy => 3,
            State::Adopted => 2,
            State::Unhealthy => 1,
            State::Starting | State::Leaving | State::Ended | State::HalfMade => 0,
        }
    }
}

/// A place that a copy left by ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Vacancy {
    /// When it may be filled.
    pub(super) not_before: Timestamp,
    /// How many ended in it one after the other without [`CALM_MS`] of health.
    pub(super) crashes: u32,
}

impl Vacancy {
    /// The place of a copy that was healthy and ended at `now` after `healthy_ms` of health; `crashes` ended there
    /// before it.
    pub(super) fn after_crash(now: Timestamp, healthy_ms: u64, crashes: u32) -> Self {
        let crashes = if healthy_ms >= CALM_MS { 0 } else { crashes };
        let wait = if crashes == 0 { 0 } else { doubled(CRASH_BACK_OFF_MS.0, crashes - 1) };
        Self { not_before: now.plus_ms(wait), crashes: crashes.saturating_add(1) }
    }

    /// The place of a copy that could not be started; `in_a_row` failed with it, itself included.
    pub(super) fn after_failed_start(now: Timestamp, in_a_row: u32, crashes: u32) -> Self {
        let wait = if in_a_row <= 1 { START_BACK_OFF_MS } else { doubled(CRASH_BACK_OFF_MS.0, in_a_row - 2) };
        Self { not_before: now.plus_ms(wait), crashes }
    }
}

fn doubled(first: i64, times: u32) -> i64 {
    first.checked_shl(times.min(16)).unwrap_or(i64::MAX).min(CRASH_BACK_OFF_MS.1)
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Make and start a new copy.
    Start {
        /// Its number: larger than any that is there.
        number: u32,
        /// Passed on from the vacancy that it fills.
        crashes: u32,
    },
    /// Let it finish its requests, stop it, take it away.
    Drain { number: u32 },
    /// It did not become healthy, or not healthy again, in time: count it as failed and take it away.
    GiveUp { number: u32 },
    /// Take away what is left of it.
    Discard { number: u32 },
}

/// What to do now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    /// When to plan again though nothing happens before.
    pub(super) wake: Option<Timestamp>,
}

impl Plan {
    fn wake_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |before| before.min(at)));
    }
}

/// Decides. `next` is the number of the next new copy, larger than any that ever was.
///
/// - At most twice the wanted number runs, those on their way out included (unless more run already).
/// - No copy of an older deployment that served is drained before a healthy new one takes its place.
/// - Halted: nothing is started; what runs beyond the wanted number goes.
pub(super) fn plan(want: &Want, copies: &[Copy], vacancies: &[Vacancy], next: u32, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    bury(want, copies, &mut plan);
    let live: Vec<&Copy> = copies.iter().filter(|copy| copy.state.lives()).collect();
    match want.mode {
        ServiceMode::Halted => {
            let desired = count(want.desired);
            // What serves goes last; between two of one worth the newer deployment's goes first.
            drain_surplus(&mut plan, live, desired);
        }
        ServiceMode::Run => run(want, copies, &live, vacancies, next, now, &mut plan),
    }
    plan
}

fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// What is left of copies that ended: the newest stays for its log, the others go.
fn bury(want: &Want, copies: &[Copy], plan: &mut Plan) {
    let kept = copies.iter().filter(|copy| copy.state == State::Ended).map(|copy| copy.number).max();
    let kept = kept.filter(|_| want.desired > 0);
    for copy in copies {
        let gone = copy.state == State::HalfMade || (copy.state == State::Ended && Some(copy.number) != kept);
        if gone {
            plan.steps.push(Step::Discard { number: copy.number });
        }
    }
}

fn drain_surplus(plan: &mut Plan, mut live: Vec<&Copy>, keep: usize) {
    live.sort_by_key(|copy| (copy.state.worth(), std::cmp::Reverse(copy.number)));
    let surplus = live.len().saturating_sub(keep);
    plan.steps.extend(live.iter().take(surplus).map(|copy| Step::Drain { number: copy.number }));
}

fn run(
    want: &Want,
    copies: &[Copy],
    live: &[&Copy],
    vacancies: &[Vacancy],
    next: u32,
    now: Timestamp,
    plan: &mut Plan,
) {
    let desired = count(want.desired);
    let (new, old): (Vec<&Copy>, Vec<&Copy>) = live.iter().copied().partition(|copy| copy.is_wanted);

    // 1. New copies whose patience is over. They keep their places in this plan: only when they are told to go do they
    //    leave vacancies, which say when others may take the places. The next plan, which is due at once, knows them.
    let taken = new.len();
    let given_up = give_up(&new, copies, now, plan);
    if !given_up.is_empty() {
        plan.wake_at(now);
    }
    let new: Vec<&Copy> = new.into_iter().filter(|copy| !given_up.contains(&copy.number)).collect();

    // 2. Too many new ones.
    let healthy_new = new.iter().filter(|copy| copy.state == State::Healthy).count();
    drain_surplus(plan, new, desired);

    // 3. Old ones: of no use if they never served; the others go as new ones take their place.
    let (useless, served): (Vec<&Copy>, Vec<&Copy>) = old.into_iter().partition(|copy| copy.state == State::Starting);
    plan.steps.extend(useless.iter().map(|copy| Step::Drain { number: copy.number }));
    let keep = desired.saturating_sub(healthy_new);
    drain_oldest(plan, served, keep);

    // 4. Too few new ones.
    let missing = desired.saturating_sub(taken);
    let running = copies.iter().filter(|copy| copy.state.lives() || copy.state == State::Leaving).count();
    let room = desired.saturating_mul(2).saturating_sub(running);
    start(plan, missing, room, vacancies, next, now);
}

/// Steps for copies whose patience is over; which numbers these are.
fn give_up(new: &[&Copy], copies: &[Copy], now: Timestamp, plan: &mut Plan) -> Vec<u32> {
    let mut given_up = Vec::new();
    // A copy that served is replaced only while no other is being replaced: a cause that they share (a database that is
    // away) must not take all of them down at once.
    let mut replacing = copies.iter().any(|copy| matches!(copy.state, State::Starting | State::Leaving));
    for copy in new {
        let Some(at) = copy.give_up_at else { continue };
        if at > now {
            plan.wake_at(at);
            continue;
        }
        let may = match copy.state {
            State::Starting => true,
            // One that was found at a start may have served until then.
            State::Adopted | State::Unhealthy => !replacing,
            State::Healthy | State::Leaving | State::Ended | State::HalfMade => false,
        };
        if may {
            replacing = true;
            given_up.push(copy.number);
            plan.steps.push(Step::GiveUp { number: copy.number });
        }
    }
    given_up
}

/// Drains old copies down to `keep`: those that are worth least, then the oldest.
fn drain_oldest(plan: &mut Plan, mut served: Vec<&Copy>, keep: usize) {
    served.sort_by_key(|copy| (copy.state.worth(), copy.number));
    let surplus = served.len().saturating_sub(keep);
    plan.steps.extend(served.iter().take(surplus).map(|copy| Step::Drain { number: copy.number }));
}

fn start(plan: &mut Plan, missing: usize, room: usize, vacancies: &[Vacancy], next: u32, now: Timestamp) {
    let mut vacancies = vacancies.to_vec();
    vacancies.sort_by_key(|vacancy| vacancy.not_before);
    vacancies.truncate(missing);
    let (due, later): (Vec<Vacancy>, Vec<Vacancy>) = vacancies.iter().partition(|vacancy| vacancy.not_before <= now);
    if let Some(first) = later.first() {
        plan.wake_at(first.not_before);
    }
    let starts = (missing - later.len()).min(room);
    let fresh = std::iter::repeat(0);
    let crashes = due.iter().map(|vacancy| vacancy.crashes).chain(fresh);
    plan.steps.extend(crashes.take(starts).zip(next..).map(|(crashes, number)| Step::Start { number, crashes }));
}

/// Which vacancies are left after `filled` copies were started to fill the earliest.
pub(super) fn vacancies_left(vacancies: &mut Vec<Vacancy>, filled: usize) {
    vacancies.sort_by_key(|vacancy| vacancy.not_before);
    let filled = filled.min(vacancies.len());
    vacancies.drain(..filled);
}
