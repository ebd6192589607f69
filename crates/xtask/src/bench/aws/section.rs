//! What the figures come to: verdicts, and the section of `docs/benchmarks.md`. Pure.

use super::super::report::{sentence, wrapped};
use super::super::stats::{largest, median, percentile};
use super::{Figures, Measured, Seen};

/// How often what is quiet is looked at, in seconds (`EcsConfig::look_quiet`).
const LOOK_S: f64 = 20.0;

/// The most services one `DescribeServices` takes, and tasks one page of `ListTasks` has.
const SERVICES_A_CALL: usize = 10;
const TASKS_A_CALL: usize = 100;

impl Figures {
    /// What observing everything once may cost: ⌈services/10⌉ + ⌈tasks/100⌉ for each cluster.
    fn budget(&self) -> u64 {
        let each = self.services / self.environments;
        let one = each.div_ceil(SERVICES_A_CALL) + (each * self.copies).div_ceil(TASKS_A_CALL);
        (one * self.environments) as u64
    }

    /// What was not as it must be.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a handful")]
        let passes = (self.rest_s / LOOK_S).ceil() as u64 + 1;
        let (rest, allowed) = (total(&self.rest_calls), passes * self.budget());
        if rest > allowed {
            faults.push(format!("{rest} calls in rest, {allowed} are allowed for {passes} looks"));
        }
        for (when, calls) in [("at the start", &self.adopt_calls), ("in rest", &self.rest_calls)] {
            let throttled: u64 = calls.iter().map(|(.., throttled)| throttled).sum();
            if throttled > 0 {
                faults.push(format!("{throttled} calls were refused as too many {when}"));
            }
        }
        for (when, seen) in [("in rest", &self.crashes_in_rest), ("during roll-outs", &self.crashes_in_rollout)] {
            if seen.missed > 0 {
                faults.push(format!("{} crashes {when} were never shown", seen.missed));
            }
        }
        faults
    }

    fn per_minute(&self, count: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "some thousand calls")]
        let count = count as f64;
        count * 60.0 / self.rest_s
    }
}

fn total(calls: &[(String, u64, u64)]) -> u64 {
    calls.iter().map(|(_, count, _)| count).sum()
}

/// The section of the page.
pub(crate) fn section(measured: Option<&Measured>) -> String {
    let mut text = String::from(INTRODUCTION);
    let Some(it) = measured else {
        text.push_str("\nNot measured yet.\n");
        return text;
    };
    text.push_str(&format!(
        "\n{} UTC, {}; right before, others kept {:.0} % of the machine busy; load average at the end: {}.\n\n",
        it.at, it.source, it.busy_percent, it.load
    ));
    if it.faults.is_empty() {
        text.push_str("All is as it must be: nothing lost, nothing doubled, each call budget kept.\n\n");
    }
    for fault in &it.faults {
        text.push_str(&format!("- {}\n", wrapped(&sentence(&format!("**not as it must be**: {fault}")))));
    }
    if !it.faults.is_empty() {
        text.push('\n');
    }
    table(&mut text, &it.figures);
    calls_table(&mut text, &it.figures);
    for note in notes(it) {
        text.push_str(&format!("- {}\n", wrapped(&sentence(&note))));
    }
    text.push_str(&super::arithmetic::text(&it.figures));
    text
}

fn table(text: &mut String, it: &Figures) {
    let mut row = |what: &str, value: String| text.push_str(&format!("| {what} | {value} |\n"));
    row("measure", "value".to_owned());
    row("---", "---:".to_owned());
    let tasks = it.services * it.copies;
    row("services, tasks, environments", format!("{}, {tasks}, {}", it.services, it.environments));
    row(&format!("everything made and healthy, at {}× the limits", it.hurry), format!("{:.0} s", it.fill_s));
    row("a server that starts shows every service", format!("{:.1} s", it.adopt_s));
    row("calls of that start", total(&it.adopt_calls).to_string());
    row("calls a minute in rest", format!("{:.0}", it.per_minute(total(&it.rest_calls))));
    row("processor in rest, of one core", format!("{:.1} %", it.rest_cpu_percent));
    row("memory (RSS) of a new server without anything", format!("{:.0} MiB", it.empty_mib));
    row("memory in rest", format!("{:.0} MiB", it.rest_mib));
    row(
        "memory, the most: while all is made, afterwards",
        format!("{:.0} MiB, {:.0} MiB", it.fill_peak_mib, it.peak_mib),
    );
    row("crash of a task until the API shows it: median, p99, longest", times(&it.crashes_in_rest));
    row(&format!("{} services rolled out at once", it.rollouts), format!("{:.0} s", it.rollout_s));
    row("crash of a task of another service meanwhile", times(&it.crashes_in_rollout));
    let refused: u64 = it.rollout_calls.iter().map(|(.., throttled)| throttled).sum();
    row("calls meanwhile, refused as too many", format!("{}, {refused}", total(&it.rollout_calls)));
    text.push('\n');
}

fn times(seen: &Seen) -> String {
    let all = &seen.seconds;
    format!("{:.1}, {:.1}, {:.1} s of {}", median(all), percentile(all, 99.0), largest(all), all.len())
}

/// What was called, phase by phase.
fn calls_table(text: &mut String, it: &Figures) {
    let phases = [&it.fill_calls, &it.adopt_calls, &it.rest_calls, &it.rollout_calls];
    let mut names: Vec<&String> = phases.iter().flat_map(|calls| calls.iter().map(|(name, ..)| name)).collect();
    names.sort();
    names.dedup();
    text.push_str(&format!(
        "| calls (refused as too many) | made | start | rest, {:.0} s | roll-outs |\n|---|---:|---:|---:|---:|\n",
        it.rest_s
    ));
    for name in names {
        text.push_str(&format!("| `{name}` |"));
        for calls in phases {
            let cell = match calls.iter().find(|(it, ..)| it == name) {
                None => String::new(),
                Some((_, count, 0)) => count.to_string(),
                Some((_, count, throttled)) => format!("{count} ({throttled})"),
            };
            text.push_str(&format!(" {cell} |"));
        }
        text.push('\n');
    }
    text.push('\n');
}

fn notes(it: &Measured) -> Vec<String> {
    let figures = &it.figures;
    let mut notes = Vec::new();
    if let Some((limit, seconds)) = figures.fill_bound.as_ref().filter(|(_, seconds)| *seconds >= 1.0) {
        notes.push(format!(
            "what held up the making most is the limit on {limit}: {seconds:.0} of the {:.0} s, at {}× what AWS documents; at \
             the documented limits that alone would be {:.0} minutes",
            figures.fill_s,
            figures.hurry,
            seconds * figures.hurry / 60.0
        ));
    }
    notes.push(format!(
        "observing everything once may cost {} calls (⌈services/10⌉ + ⌈tasks/100⌉ of each cluster)",
        figures.budget()
    ));
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let store_mib = figures.store_bytes as f64 / 1_048_576.0;
    notes.push(format!("the store is {store_mib:.1} MiB on disk at the end"));
    notes.push(it.machine.join("; "));
    notes
}

const INTRODUCTION: &str = "
## An instance on AWS

`cargo xtask bench aws`: `l0` as it is handed out, as a process of its own, on the fake AWS of the testkit as
another one. The fake has the throttles that AWS documents (`crates/testkit/src/aws/throttle.rs`), answers to looks after 40 ms and
to changes after 120 ms as a rule, with one in a hundred three times as late; AWS publishes no such figures, so these are an
assumption. A task takes 30 s to start and 5 s to stop. The state is in SQLite in the data directory: DynamoDB has limits of its own,
far from these. One service of each environment is behind a load balancer. Everything goes through the API, with the pull
check; the images are in ECR.
";

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn figures() -> Figures {
        let seen = |seconds: &[f64]| Seen { seconds: seconds.to_vec(), missed: 0 };
        Figures {
            environments: 20,
            services: 1000,
            copies: 10,
            rollouts: 50,
            hurry: 20.0,
            fill_s: 100.0,
            fill_calls: vec![("ecs:RegisterTaskDefinition".to_owned(), 1000, 0)],
            fill_bound: Some(("ecs: RegisterTaskDefinition".to_owned(), 49.0)),
            fill_peak_mib: 90.0,
            empty_mib: 20.0,
            adopt_s: 12.0,
            adopt_calls: vec![("ecs:DescribeServices".to_owned(), 100, 0)],
            rest_s: 60.0,
            rest_calls: vec![("ecs:DescribeServices".to_owned(), 300, 0)],
            rest_cpu_percent: 1.0,
            rest_mib: 80.0,
            crashes_in_rest: seen(&[1.0, 2.0, 3.0]),
            rollout_s: 90.0,
            rollout_calls: vec![("ecs:UpdateService".to_owned(), 50, 3)],
            crashes_in_rollout: seen(&[2.0]),
            peak_mib: 95.0,
            store_bytes: 1_048_576,
        }
    }

    #[test]
    fn more_calls_than_allowed_throttles_and_unseen_crashes_are_faults() {
        let good = figures();
        assert_eq!(good.budget(), 200);
        assert_eq!(good.faults(), Vec::<String>::new());
        let mut bad = good;
        bad.rest_calls = vec![("ecs:DescribeServices".to_owned(), 801, 1)];
        bad.crashes_in_rest.missed = 2;
        assert_eq!(bad.faults().len(), 3, "{:?}", bad.faults());
    }

    #[test]
    fn the_section_has_each_phase_and_says_what_is_wrong() {
        let mut measured = Measured {
            figures: figures(),
            faults: vec![],
            at: "2026-01-01 00:00".to_owned(),
            source: "commit 0".to_owned(),
            busy_percent: 0.0,
            load: "1.0".to_owned(),
            machine: vec!["two cores".to_owned()],
        };
        let text = section(Some(&measured));
        assert!(text.contains("| `ecs:UpdateService` |  |  |  | 50 (3) |\n"), "{text}");
        assert!(text.contains("| calls a minute in rest | 300 |") && text.contains("All is as it must be"), "{text}");
        measured.faults = vec!["a service is gone".to_owned()];
        assert!(section(Some(&measured)).contains("- **not as it must be**: a service is gone."));
        assert!(section(None).contains("Not measured yet"));
    }
}
