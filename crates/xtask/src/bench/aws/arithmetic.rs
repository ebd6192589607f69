//! What the figures mean for a hundred times as many services. Pure: each line says which limit it counts against.
//!
//! Limits of ECS: "Request throttling for the Amazon ECS API", "Amazon ECS service quotas"; of CloudFormation, VPC and Elastic
//! Load Balancing: their quota pages. All are the defaults of one account in one region; most can be raised.

use super::super::report::wrapped;
use super::Figures;

/// What it is worked out for.
const SERVICES: f64 = 100_000.0;

/// Services and tasks that one call shows.
const SERVICES_A_CALL: f64 = 10.0;
const TASKS_A_CALL: f64 = 100.0;

/// `DescribeServices` and `ListTasks` with `DescribeTasks` that AWS takes a second, and that we make: half (`Rates`).
const READS_A_SECOND: f64 = 20.0;
const OURS_A_SECOND: f64 = 10.0;

/// `RegisterTaskDefinition` a second: AWS's limit, and ours.
const DEFINITIONS_A_SECOND: f64 = 1.0;
const OUR_DEFINITIONS_A_SECOND: f64 = 0.75;

/// Services that a cluster may have.
const SERVICES_A_CLUSTER: f64 = 5_000.0;

/// How often it is looked for ended tasks, and how often for all services, at best.
const STOPS_S: f64 = 5.0;
const QUIET_S: f64 = 20.0;

/// Network interfaces of a region, addresses of a VPC, stacks of an account.
const INTERFACES: f64 = 5_000.0;
const ADDRESSES: f64 = 65_536.0;
const STACKS: f64 = 2_000.0;

/// The part of the page.
#[expect(clippy::cast_precision_loss, reason = "some thousand of anything")]
pub(super) fn text(it: &Figures) -> String {
    let copies = it.copies as f64;
    let tasks = SERVICES * copies;
    let clusters = SERVICES / SERVICES_A_CLUSTER;
    let pass = SERVICES / SERVICES_A_CALL;
    // The look at all services may use half of our calls.
    let pass_s = (2.0 * pass / OURS_A_SECOND).max(QUIET_S);
    let pages = 2.0 * tasks / TASKS_A_CALL;
    let start_s = pass / OURS_A_SECOND + pages / OURS_A_SECOND;
    let per_service_kib = ((it.rest_mib - it.empty_mib) * 1024.0 / it.services as f64).max(0.0);
    let memory_gib = (it.empty_mib + per_service_kib * SERVICES / 1024.0) / 1024.0;
    let cpu = it.rest_cpu_percent;
    // Once a day each.
    let ended_an_hour = tasks / 24.0;
    let stop_calls = (ended_an_hour / TASKS_A_CALL).max(clusters);
    let stops_s = (2.0 * stop_calls / OURS_A_SECOND).max(STOPS_S);
    // So many that each is looked at, and that a start is over, within a minute.
    let by_services = 60.0 * OURS_A_SECOND / 2.0 * SERVICES_A_CALL;
    let by_tasks = 60.0 * OURS_A_SECOND * TASKS_A_CALL / 2.0 / copies;
    let an_account = by_services.min(by_tasks);
    let lines = [
        format!(
            "**All services looked at once**: {pass:.0} calls of `DescribeServices`, ten services each. AWS takes {READS_A_SECOND:.0} a \
             second from an account and region, which is {:.0} s; we leave half of that to others and half of the rest to what is under \
             way: every {:.0} minutes. This bounds how late something is seen that shows nowhere else, such as a count that was \
             changed by hand.",
            pass / READS_A_SECOND,
            pass_s / 60.0
        ),
        format!(
            "**A crash** is seen earlier, in the list of ended tasks: one call for each of the {clusters:.0} clusters (AWS lets \
             {SERVICES_A_CLUSTER:.0} services into one), every {STOPS_S:.0} s, as long as fewer than a hundred tasks of a cluster ended in \
             the last hour. ECS keeps them for an hour: when each of {tasks:.0} tasks is replaced once a day, the list has \
             {stop_calls:.0} pages and is read every {stops_s:.0} s."
        ),
        format!(
            "**A server that starts** has to read all of it: {pass:.0} calls for the services and {pages:.0} for the tasks, a hundred a \
             call, listed and described; at {OURS_A_SECOND:.0} a second of each {:.0} minutes until the last service shows its copies, \
             at AWS's own limits half of that. Until then the API shows what is wanted, and what is not read yet as without copies. \
             Of what Layer0 itself does this grows worst.",
            start_s / 60.0
        ),
        format!(
            "**Making them**: a task definition for each, of which AWS registers {DEFINITIONS_A_SECOND:.0} a second: {:.0} hours, {:.0} at the \
             pace we keep. A roll-out of everything takes as long. This limit binds before any other.",
            SERVICES / DEFINITIONS_A_SECOND / 3600.0,
            SERVICES / OUR_DEFINITIONS_A_SECOND / 3600.0
        ),
        format!(
            "**Memory**: {per_service_kib:.0} KiB for a service with {copies:.0} tasks, as measured above, are {memory_gib:.1} GiB for one \
             server. **Processor**: {cpu:.1} % of a core in rest; it follows the calls, which the limits hold where they are.",
        ),
        format!(
            "**What an account has room for**: {tasks:.0} network interfaces, of {INTERFACES:.0} that a region has by default; as many \
             addresses, of {ADDRESSES:.0} that a VPC has at most; stacks for environments and load balancers, of {STACKS:.0}. \
             These bind long before the calls do: nobody runs {SERVICES:.0} services in one account."
        ),
        format!(
            "**So**: with AWS's default limits one instance serves about {an_account:.0} services of {copies:.0} tasks in its account and \
             region, if each is to be looked at within a minute and a start to be over in one; {SERVICES:.0} are {:.0} accounts, each with an \
             instance of its own, or limits raised as many times with `--aws-rate`. Several servers on one table share the work of what \
             is under way, but each that was told of a service looks at it by itself: more servers are for safety, not for speed.",
            (SERVICES / an_account).ceil()
        ),
        "**What would change that**: events in place of looks (EventBridge tells of every change of a task and a deployment), which \
         cost no calls at all; and reading tasks at a start only of those services whose counts are not as they should be. \
         Neither is there."
            .to_owned(),
    ];
    let mut text = String::from("\n### 100,000 services: the arithmetic\n\n");
    for line in lines {
        text.push_str(&format!("- {}\n", wrapped(&line)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::section::tests::figures;
    use super::*;

    #[test]
    fn the_numbers_follow_from_the_limits() {
        let text = text(&figures()).replace("\n  ", " ");
        for part in [
            "10000 calls of `DescribeServices`",
            "which is 500 s",
            "every 33 minutes",
            "one call for each of the 20 clusters",
            "50 minutes until the last service",
            "28 hours, 37 at the pace",
            "61 KiB for a service",
            "about 3000 services of 10 tasks",
            "are 34 accounts",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
