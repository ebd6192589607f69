//! Safety of the schedule: by example, and for any state.

use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp(1_000_000);

fn want(desired: u32, mode: ServiceMode) -> Want {
    Want { desired, mode }
}

fn planned(want: &Want, copies: &[Copy], vacancies: &[Vacancy]) -> Plan {
    let next = copies.iter().map(|copy| copy.number + 1).max().unwrap_or(1);
    plan(want, copies, vacancies, next, NOW)
}

fn copy(number: u32, is_wanted: bool, state: State) -> Copy {
    Copy { number, is_wanted, state, give_up_at: None }
}

fn drained(plan: &Plan) -> Vec<u32> {
    plan.steps.iter().filter_map(|step| if let Step::Drain { number } = step { Some(*number) } else { None }).collect()
}

fn started(plan: &Plan) -> Vec<u32> {
    plan.steps
        .iter()
        .filter_map(|step| if let Step::Start { number, .. } = step { Some(*number) } else { None })
        .collect()
}

#[test]
fn a_new_service_starts_all_its_copies() {
    let plan = planned(&want(3, ServiceMode::Run), &[], &[]);
    assert_eq!(started(&plan), [1, 2, 3]);
    assert_eq!(plan.wake, None);
}

#[test]
fn an_update_starts_all_new_copies_and_drains_one_old_for_each_healthy_new() {
    let wish = want(2, ServiceMode::Run);
    let old = [copy(1, false, State::Healthy), copy(2, false, State::Healthy)];
    let first = planned(&wish, &old, &[]);
    assert_eq!((started(&first), drained(&first)), (vec![3, 4], vec![]));

    let mut copies = old.to_vec();
    copies.extend([copy(3, true, State::Healthy), copy(4, true, State::Starting)]);
    let second = planned(&wish, &copies, &[]);
    assert_eq!((started(&second), drained(&second)), (vec![], vec![1]));
}

#[test]
fn copies_found_after_a_restart_are_kept_whatever_deployment_they_run() {
    let plan =
        planned(&want(1, ServiceMode::Run), &[copy(1, false, State::Adopted), copy(2, true, State::Adopted)], &[]);
    assert_eq!(plan.steps, []);
}

#[test]
fn a_superseded_deployment_s_unfinished_copies_go_at_once() {
    let copies = [copy(1, false, State::Healthy), copy(2, false, State::Starting)];
    let plan = planned(&want(1, ServiceMode::Run), &copies, &[]);
    assert_eq!(drained(&plan), [2]);
}

#[test]
fn a_copy_without_patience_left_is_given_up_and_others_are_waited_for() {
    let mut late = copy(1, true, State::Starting);
    late.give_up_at = Some(NOW);
    let mut early = copy(2, true, State::Starting);
    early.give_up_at = Some(NOW.plus_ms(500));
    let plan = planned(&want(2, ServiceMode::Run), &[late, early], &[]);
    assert_eq!(plan.steps, [Step::GiveUp { number: 1 }]);
    assert_eq!(plan.wake, Some(NOW), "its place is filled by the next plan");
}

#[test]
fn a_copy_that_was_given_up_is_replaced_when_its_vacancy_is_due() {
    let wish = want(1, ServiceMode::Run);
    let late = Copy { give_up_at: Some(NOW), ..copy(1, true, State::Starting) };
    assert!(started(&planned(&wish, &[late], &[])).is_empty(), "it leaves no vacancy before it goes");
    let leaving = [copy(1, true, State::Leaving)];
    let vacancy = Vacancy::after_failed_start(NOW, 3, 0);
    assert_eq!(planned(&wish, &leaving, &[vacancy]).wake, Some(NOW.plus_ms(2_000)));
    assert!(started(&planned(&wish, &leaving, &[vacancy])).is_empty());
    assert_eq!(started(&planned(&wish, &leaving, &[Vacancy { not_before: NOW, ..vacancy }])), [2]);
}

#[test]
fn copies_that_became_unhealthy_are_replaced_one_at_a_time() {
    // Also those that a start found so.
    for state in [State::Unhealthy, State::Adopted] {
        let sick = |number| Copy { number, is_wanted: true, state, give_up_at: Some(NOW) };
        let plan = planned(&want(3, ServiceMode::Run), &[sick(1), sick(2), sick(3)], &[]);
        let given_up = plan.steps.iter().filter(|step| matches!(step, Step::GiveUp { .. })).count();
        assert_eq!(given_up, 1, "{state:?}");
    }
}

#[test]
fn a_vacancy_is_filled_when_it_is_due() {
    let vacancy = |ms| Vacancy { not_before: NOW.plus_ms(ms), crashes: 2 };
    let wish = want(2, ServiceMode::Run);
    let plan = planned(&wish, &[copy(1, true, State::Healthy)], &[vacancy(1_000)]);
    assert_eq!((plan.steps.clone(), plan.wake), (vec![], Some(NOW.plus_ms(1_000))));
    let plan = planned(&wish, &[copy(1, true, State::Healthy)], &[vacancy(0)]);
    assert_eq!(plan.steps, [Step::Start { number: 2, crashes: 2 }]);
}

#[test]
fn waiting_times_grow_and_calm_ends_them() {
    let waits: Vec<i64> = (0..9).map(|crashes| Vacancy::after_crash(NOW, 5, crashes).not_before.0 - NOW.0).collect();
    assert_eq!(waits, [0, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
    assert_eq!(Vacancy::after_crash(NOW, CALM_MS, 7), Vacancy { not_before: NOW, crashes: 1 });
    let waits: Vec<i64> = (1..6).map(|row| Vacancy::after_failed_start(NOW, row, 0).not_before.0 - NOW.0).collect();
    assert_eq!(waits, [200, 1_000, 2_000, 4_000, 8_000]);
}

#[test]
fn what_ended_is_kept_for_its_log_until_the_next_one_ends() {
    let wish = want(1, ServiceMode::Run);
    let copies = [copy(1, true, State::Ended), copy(2, true, State::Ended), copy(3, true, State::Healthy)];
    assert_eq!(planned(&wish, &copies, &[]).steps, [Step::Discard { number: 1 }]);
}

fn any_state() -> impl Strategy<Value = State> {
    prop_oneof![
        Just(State::Starting),
        Just(State::Adopted),
        Just(State::Healthy),
        Just(State::Unhealthy),
        Just(State::Leaving),
        Just(State::Ended),
        Just(State::HalfMade),
    ]
}

prop_compose! {
    fn any_copies()(list in prop::collection::vec((any::<bool>(), any_state(), prop::option::of(-5_000_i64..5_000)), 0..12)) -> Vec<Copy> {
        list.into_iter()
            .zip(1..)
            .map(|((is_wanted, state, give_up), number)| Copy { number, is_wanted, state, give_up_at: give_up.map(|ms| NOW.plus_ms(ms)) })
            .collect()
    }
}

prop_compose! {
    fn any_vacancies()(list in prop::collection::vec((-2_000_i64..2_000, 0_u32..5), 0..6)) -> Vec<Vacancy> {
        list.into_iter().map(|(ms, crashes)| Vacancy { not_before: NOW.plus_ms(ms), crashes }).collect()
    }
}

fn number_of(step: &Step) -> u32 {
    match step {
        Step::Start { number, .. } | Step::Drain { number } | Step::GiveUp { number } | Step::Discard { number } => {
            *number
        }
    }
}

proptest! {
    #[test]
    fn no_copy_gets_two_steps_and_none_is_started_twice(copies in any_copies(), vacancies in any_vacancies(), desired in 0_u32..6, halted in any::<bool>()) {
        let mode = if halted { ServiceMode::Halted } else { ServiceMode::Run };
        let plan = planned(&want(desired, mode), &copies, &vacancies);
        let mut numbers: Vec<u32> = plan.steps.iter().map(number_of).collect();
        numbers.sort_unstable();
        let all = numbers.len();
        numbers.dedup();
        prop_assert_eq!(numbers.len(), all);
        for number in started(&plan) {
            prop_assert!(copies.iter().all(|copy| copy.number < number));
        }
    }

    #[test]
    fn never_more_than_twice_the_wanted_number_run(copies in any_copies(), vacancies in any_vacancies(), desired in 0_u32..6) {
        let plan = planned(&want(desired, ServiceMode::Run), &copies, &vacancies);
        let running = copies.iter().filter(|copy| copy.state.lives() || copy.state == State::Leaving).count();
        let starts = started(&plan).len();
        prop_assert!(starts == 0 || running + starts <= 2 * desired as usize);
    }

    #[test]
    fn what_serves_is_never_taken_below_what_is_wanted(copies in any_copies(), vacancies in any_vacancies(), desired in 0_u32..6) {
        let plan = planned(&want(desired, ServiceMode::Run), &copies, &vacancies);
        let serves = |copy: &&Copy| copy.state == State::Healthy;
        let before = copies.iter().filter(serves).count();
        let touched: Vec<u32> = plan.steps.iter().map(number_of).collect();
        let after = copies.iter().filter(serves).filter(|copy| !touched.contains(&copy.number)).count();
        prop_assert!(after >= before.min(desired as usize), "{before} served, {after} are left");
    }

    #[test]
    fn an_old_copy_that_may_serve_goes_only_for_a_healthy_new_one_or_as_surplus(copies in any_copies(), desired in 0_u32..6) {
        let plan = planned(&want(desired, ServiceMode::Run), &copies, &[]);
        let drained = drained(&plan);
        let old = |copy: &&Copy| !copy.is_wanted && matches!(copy.state, State::Healthy | State::Adopted | State::Unhealthy);
        let left = copies.iter().filter(old).filter(|copy| !drained.contains(&copy.number)).count();
        let healthy_new = copies.iter().filter(|copy| copy.is_wanted && copy.state == State::Healthy).count();
        let all_old = copies.iter().filter(old).count();
        prop_assert!(left == all_old || left + healthy_new >= desired as usize);
    }

    #[test]
    fn halted_starts_nothing_and_gives_up_nothing(copies in any_copies(), vacancies in any_vacancies(), desired in 0_u32..6) {
        let plan = planned(&want(desired, ServiceMode::Halted), &copies, &vacancies);
        let only_ends = plan.steps.iter().all(|step| matches!(step, Step::Drain { .. } | Step::Discard { .. }));
        prop_assert!(only_ends, "{:?}", plan.steps);
        let live = copies.iter().filter(|copy| copy.state.lives()).count();
        prop_assert_eq!(drained(&plan).len(), live.saturating_sub(desired as usize));
    }

    #[test]
    fn scale_to_zero_ends_every_copy(copies in any_copies(), vacancies in any_vacancies()) {
        let plan = planned(&want(0, ServiceMode::Run), &copies, &vacancies);
        for copy in copies.iter().filter(|copy| copy.state != State::Leaving) {
            prop_assert!(plan.steps.iter().any(|step| number_of(step) == copy.number), "copy {} stays", copy.number);
        }
        prop_assert!(started(&plan).is_empty());
    }

    #[test]
    fn doing_what_is_planned_ends_in_rest(desired in 0_u32..5, copies in any_copies()) {
        // Every start becomes healthy, every drain and discard succeeds: after a few rounds nothing is left to do.
        let wish = want(desired, ServiceMode::Run);
        let mut copies = copies;
        let mut next = copies.len() as u32 + 1;
        for _ in 0..12 {
            copies.retain(|copy| copy.state != State::Leaving);
            for copy in &mut copies {
                if copy.state.lives() && copy.is_wanted {
                    copy.state = State::Healthy;
                    copy.give_up_at = None;
                }
            }
            let plan = plan(&wish, &copies, &[], next, NOW);
            for step in &plan.steps {
                match step {
                    Step::Start { number, .. } => {
                        copies.push(copy(*number, true, State::Starting));
                        next = number + 1;
                    }
                    Step::Drain { number } | Step::GiveUp { number } | Step::Discard { number } => {
                        copies.retain(|copy| copy.number != *number);
                    }
                }
            }
        }
        let healthy = copies.iter().filter(|copy| copy.is_wanted && copy.state == State::Healthy).count();
        prop_assert_eq!(healthy, desired as usize);
        let ended = copies.iter().filter(|copy| copy.state == State::Ended).count();
        prop_assert!(ended <= 1);
        prop_assert_eq!(copies.len(), healthy + ended);
    }
}
