//! The tables of the entities. Their columns and cells are the contract's.

use layer0_api::types::{
    Deploy, DeploySummary, Deployment, Environment, EnvironmentSummary, GcRepository, HeldImage, Image, LoadBalancer,
    LoadBalancerSummary, MapRule, Operation, Port, Repository, RetiredImage, Service, ServiceSummary, SweepStray,
    SweepThing, Task, TaskSummary, VerifyFinding,
};

use super::table::Table;
use crate::grammar;
use crate::size::rounded;

/// A name, or the id where there is none.
fn or_id<'a>(name: &'a str, id: &'a str) -> &'a str {
    if name.is_empty() { id } else { name }
}

/// Deploys with all they have. Further compatibilities stand under the first one.
pub(crate) fn deploy_table(items: &[Deploy]) -> String {
    let mut table = Table::new(&["DEPLOY ID", "DEPLOY NAME", "VERSION", "COMPATIBILITIES", "OWNER"]);
    for item in items {
        let mut compatibilities = item.compatibilities.iter();
        table.row([
            item.deploy_id.as_str(),
            &item.deploy_name,
            &item.version,
            compatibilities.next().map_or("", String::as_str),
            item.owner_name.as_deref().unwrap_or_default(),
        ]);
        for more in compatibilities {
            table.below(3, more);
        }
    }
    table.text()
}

/// Deploys of a list.
pub(crate) fn deploy_list_table(items: &[DeploySummary]) -> String {
    let mut table = Table::new(&["DEPLOY ID", "DEPLOY NAME", "VERSION", "COMPATIBILITIES"]);
    for item in items {
        let mut compatibilities = item.compatibilities.iter();
        let first = compatibilities.next().map_or("", String::as_str);
        table.row([item.deploy_id.as_str(), &item.deploy_name, &item.version, first]);
        for more in compatibilities {
            table.below(3, more);
        }
    }
    table.text()
}

/// Environments with all they have.
pub(crate) fn environment_table(items: &[Environment]) -> String {
    let mut table = Table::new(&["ENVIRONMENT ID", "ENVIRONMENT NAME", "OS", "LINKS", "OWNER"]);
    for item in items {
        let mut links = item.links.iter();
        let first = links.next().map_or("", String::as_str);
        table.row([
            item.environment_id.as_str(),
            &item.environment_name,
            &item.operating_system,
            first,
            item.owner_name.as_deref().unwrap_or_default(),
        ]);
        for link in links {
            table.below(3, link);
        }
    }
    table.text()
}

/// Environments of a list.
pub(crate) fn environment_list_table(items: &[EnvironmentSummary]) -> String {
    let mut table = Table::new(&["ENVIRONMENT ID", "ENVIRONMENT NAME", "OS"]);
    for item in items {
        table.row([&item.environment_id, &item.environment_name, &item.operating_system]);
    }
    table.text()
}

/// A port, and its rules in the order in which they are asked.
fn port_cells(port: &Port) -> impl Iterator<Item = String> + '_ {
    let rules = port.rules.iter().map(|rule| grammar::rule_text(port.host_port, rule));
    std::iter::once(grammar::port_text(port)).chain(rules)
}

/// Load balancers with all they have. Further ports stand under the first one, the rules of a port under it.
pub(crate) fn load_balancer_table(items: &[LoadBalancer]) -> String {
    let mut table = Table::new(&[
        "LOADBALANCER ID",
        "LOADBALANCER NAME",
        "TYPE",
        "ENVIRONMENT",
        "SERVICE",
        "PORTS",
        "PUBLIC",
        "URL",
    ]);
    for item in items {
        let mut ports = item.ports.iter().flat_map(port_cells);
        table.row([
            item.load_balancer_id.as_str(),
            &item.load_balancer_name,
            &item.load_balancer_type,
            or_id(&item.environment_name, &item.environment_id),
            or_id(&item.service_name, &item.service_id),
            &ports.next().unwrap_or_default(),
            if item.is_public { "true" } else { "false" },
            &item.url,
        ]);
        for port in ports {
            table.below(5, &port);
        }
    }
    table.text()
}

/// Load balancers of a list.
pub(crate) fn load_balancer_list_table(items: &[LoadBalancerSummary]) -> String {
    let mut table = Table::new(&["LOADBALANCER ID", "LOADBALANCER NAME", "TYPE", "ENVIRONMENT"]);
    for item in items {
        table.row([
            item.load_balancer_id.as_str(),
            &item.load_balancer_name,
            &item.load_balancer_type,
            or_id(&item.environment_name, &item.environment_id),
        ]);
    }
    table.text()
}

/// A load balancer's health check. PATH is a column that the predecessor forgot.
pub(crate) fn health_check_table(item: &LoadBalancer) -> String {
    let mut table = Table::new(&[
        "LOADBALANCER ID",
        "LOADBALANCER NAME",
        "ENVIRONMENT",
        "TARGET",
        "INTERVAL",
        "TIMEOUT",
        "HEALTHY THRESHOLD",
        "UNHEALTHY THRESHOLD",
        "PATH",
    ]);
    let check = &item.health_check;
    table.row([
        item.load_balancer_id.as_str(),
        &item.load_balancer_name,
        or_id(&item.environment_name, &item.environment_id),
        &check.target,
        &check.interval.to_string(),
        &check.timeout.to_string(),
        &check.healthy_threshold.to_string(),
        &check.unhealthy_threshold.to_string(),
        &check.path,
    ]);
    table.text()
}

/// A load balancer's idle timeout.
pub(crate) fn idle_timeout_table(item: &LoadBalancer) -> String {
    let mut table = Table::new(&["LOADBALANCER ID", "LOADBALANCER NAME", "ENVIRONMENT", "IDLE TIMEOUT"]);
    table.row([
        item.load_balancer_id.as_str(),
        &item.load_balancer_name,
        or_id(&item.environment_name, &item.environment_id),
        &item.idle_timeout.to_string(),
    ]);
    table.text()
}

/// Whether a load balancer sends traffic across zones.
pub(crate) fn cross_zone_table(item: &LoadBalancer) -> String {
    let mut table = Table::new(&["LOADBALANCER ID", "LOADBALANCER NAME", "ENVIRONMENT", "CROSS-ZONE"]);
    table.row([
        item.load_balancer_id.as_str(),
        &item.load_balancer_name,
        or_id(&item.environment_name, &item.environment_id),
        if item.cross_zone { "true" } else { "false" },
    ]);
    table.text()
}

/// `name:version`; without a name the id, its first `.` as `:`.
pub(crate) fn deploy_cell(id: &str, name: &str, version: &str) -> String {
    if name.is_empty() || version.is_empty() { id.replacen('.', ":", 1) } else { format!("{name}:{version}") }
}

fn deployment_cell(deployment: &Deployment) -> String {
    let mut cell = deploy_cell(&deployment.deploy_id, &deployment.deploy_name, &deployment.deploy_version);
    if deployment.running_count != deployment.desired_count {
        cell.push('*');
    }
    cell
}

/// Services with all they have. A deployment that is over has no place among those that run; its cause stands below.
pub(crate) fn service_table(items: &[Service]) -> String {
    let mut table =
        Table::new(&["SERVICE ID", "SERVICE NAME", "ENVIRONMENT", "LOADBALANCER", "DEPLOYMENTS", "SCALE", "STATEFUL"]);
    for item in items {
        let mut deployments =
            item.deployments.iter().filter(|deployment| deployment.status != "INACTIVE").map(deployment_cell);
        let mut scale = format!("{}/{}", item.running_count, item.desired_count);
        if item.pending_count > 0 {
            scale.push_str(&format!(" ({})", item.pending_count));
        }
        table.row([
            item.service_id.as_str(),
            &item.service_name,
            or_id(&item.environment_name, &item.environment_id),
            or_id(&item.load_balancer_name, &item.load_balancer_id),
            &deployments.next().unwrap_or_default(),
            &scale,
            if item.stateful { "true" } else { "false" },
        ]);
        for deployment in deployments {
            table.below(4, &deployment);
        }
    }
    table.text()
}

/// Services of a list.
pub(crate) fn service_list_table(items: &[ServiceSummary]) -> String {
    let mut table = Table::new(&["SERVICE ID", "SERVICE NAME", "ENVIRONMENT"]);
    for item in items {
        table.row([item.service_id.as_str(), &item.service_name, or_id(&item.environment_name, &item.environment_id)]);
    }
    table.text()
}

/// Tasks with all they have.
pub(crate) fn task_table(items: &[Task]) -> String {
    let mut table = Table::new(&["TASK ID", "TASK NAME", "ENVIRONMENT", "DEPLOY", "STATUS", "STATEFUL"]);
    for item in items {
        table.row([
            item.task_id.as_str(),
            &item.task_name,
            or_id(&item.environment_name, &item.environment_id),
            &deploy_cell(&item.deploy_id, &item.deploy_name, &item.deploy_version),
            &item.status,
            if item.stateful { "true" } else { "false" },
        ]);
    }
    table.text()
}

/// Tasks of a list.
pub(crate) fn task_list_table(items: &[TaskSummary]) -> String {
    let mut table = Table::new(&["TASK ID", "TASK NAME", "ENVIRONMENT"]);
    for item in items {
        table.row([item.task_id.as_str(), &item.task_name, or_id(&item.environment_name, &item.environment_id)]);
    }
    table.text()
}

/// Operations.
pub(crate) fn operation_table(items: &[Operation]) -> String {
    let mut table = Table::new(&["OPERATION ID", "TYPE", "ENTITY", "NAME", "STATE", "CREATED", "ENDED"]);
    for item in items {
        table.row([
            item.operation_id.as_str(),
            &item.verb,
            &item.entity_type,
            or_id(&item.entity_name, &item.entity_id),
            &item.state.replace('_', " "),
            &moment(&item.created),
            &moment(&item.ended),
        ]);
    }
    table.text()
}

/// Repositories with all they have.
pub(crate) fn repository_table(items: &[Repository]) -> String {
    let mut table = Table::new(&["REPOSITORY", "URI", "BACKING URI", "CREATED", "VISIBILITY"]);
    for item in items {
        table.row([
            &format!("{}/{}", item.owner, item.name),
            &item.uri,
            &item.backing_uri,
            &moment(&item.created_at),
            &item.visibility,
        ]);
    }
    let mut out = table.text();
    for item in items.iter().filter(|item| !item.migration.is_empty()) {
        out.push_str(&format!("\n{}/{} is on the move: {}\n", item.owner, item.name, item.migration));
    }
    out
}

/// One column of names.
pub(crate) fn name_table(header: &str, items: &[String]) -> String {
    let mut table = Table::new(&[header]);
    for item in items {
        table.row([item]);
    }
    table.text()
}

/// Images with all they have.
pub(crate) fn image_table(items: &[Image]) -> String {
    let mut table = Table::new(&["TAG", "DIGEST", "SIZE", "PLATFORMS", "PUSHED"]);
    for item in items {
        // `size` is the predecessor's, in whole megabytes. A server that knows no bytes has nothing better.
        let size = if item.size_bytes > 0 { rounded(item.size_bytes) } else { item.size.clone() };
        table.row([&item.tag, &item.digest, &size, &item.platforms.join(", "), &moment(&item.pushed_at)]);
    }
    table.text()
}

/// Map rules.
pub(crate) fn map_table(items: &[MapRule]) -> String {
    let mut table = Table::new(&["PREFIX", "TARGET", "SOURCE"]);
    for item in items {
        table.row([&item.prefix, &item.target, &item.source]);
    }
    table.text()
}

/// How many tags of a finding stand in a table. The JSON has all.
const TAGS_SHOWN: usize = 8;

/// Findings of a verification, each with a line for each repository.
pub(crate) fn finding_table(items: &[VerifyFinding]) -> String {
    let mut table = Table::new(&["KIND", "DIGEST", "PROBLEM", "REPOSITORY", "TAGS"]);
    for item in items {
        let mut first = [item.kind.as_str(), &item.digest, &item.problem];
        for user in &item.users {
            let mut tags = user.tags.iter().take(TAGS_SHOWN).cloned().collect::<Vec<_>>().join(", ");
            if user.tags.len() > TAGS_SHOWN {
                tags.push_str(", …");
            }
            table.row(first.into_iter().chain([user.repository.as_str(), &tags]));
            first = [""; 3];
        }
    }
    table.text()
}

/// Strays, each with a line for each thing of it, and what belongs to nobody that is known.
pub(crate) fn stray_table(strays: &[SweepStray], unclear: &[SweepThing]) -> String {
    let mut table = Table::new(&["STRAY", "WHAT", "NAME", "STATE", "OUTCOME"]);
    for stray in strays {
        let entity = format!("{} {}", stray.entity_type.replace('_', " "), stray.entity_id);
        let mut first = [
            entity.as_str(),
            match stray.outcome.as_str() {
                "found" => "would be taken away",
                other => other,
            },
        ];
        for thing in &stray.things {
            table.row([first[0], &thing.what, &thing.name, &thing.state, first[1]]);
            first = [""; 2];
        }
    }
    for thing in unclear {
        table.row(["(unclear)", thing.what.as_str(), &thing.name, &thing.state, "left alone"]);
    }
    table.text()
}

pub(crate) fn gc_table(repositories: &[GcRepository]) -> String {
    let mut table = Table::new(&["REPOSITORY", "BLOBS", "SIZE", "COMES BACK"]);
    for it in repositories {
        table.row([it.repository.as_str(), &it.blobs.to_string(), &rounded(it.bytes), &rounded(it.freed_bytes)]);
    }
    table.text()
}

/// What goes by retention rules. A manifest without a tag has none to show.
pub(crate) fn retired_table(items: &[RetiredImage]) -> String {
    let mut table = Table::new(&["REPOSITORY", "TAG", "DIGEST", "PUSHED", "RULE"]);
    for it in items {
        let tag = it.tag.as_deref().unwrap_or("-");
        table.row([it.repository.as_str(), tag, short(&it.digest), &moment(&it.pushed_at), &it.rule]);
    }
    table.text()
}

/// Tags that stay though no rule keeps them.
pub(crate) fn held_table(items: &[HeldImage]) -> String {
    let mut table = Table::new(&["REPOSITORY", "KEPT TAG", "DIGEST", "BECAUSE"]);
    for it in items {
        table.row([it.repository.as_str(), &it.tag, short(&it.digest), &it.because]);
    }
    table.text()
}

/// As much of a digest as tells it apart.
fn short(digest: &str) -> &str {
    digest.get(..19).unwrap_or(digest)
}

/// A moment as people read it, in UTC as the server keeps it; what is no RFC 3339 stays as it is.
pub(crate) fn moment(text: &str) -> String {
    match text.parse::<jiff::Timestamp>() {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
