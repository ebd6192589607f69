//! Whether a load balancer can be what it is asked to be, whether it is so, and whether two would want the same port.

use super::verdict::Verdict;
use crate::model::load_balancer::{LoadBalancer, LoadBalancerKind, Port, Protocol, Visibility};
use crate::model::name::Name;
use crate::model::task_definition::{PortMapping, TaskDefinition};
use crate::port::engine::{Capabilities, LoadBalancerSeen};
use crate::port::pull::Launch;

/// The most rules of one load balancer. An ALB takes 100 ("Quotas for your Application Load Balancers"), but all of them have
/// to stand in one CloudFormation template of 51,200 bytes, with patterns of any length.
pub const RULES_MAX: usize = 30;

/// Why a load balancer can't be as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// What is wrong.
    pub message: String,
    /// What to do instead.
    pub hint: &'static str,
}

/// What a load balancer becomes. The same everywhere, so that what one instance takes, the other takes too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Reads requests (an ALB on AWS).
    Requests,
    /// Passes bytes on, because a listener speaks TCP or TLS (an NLB on AWS).
    Bytes,
    /// The older kind (a classic ELB on AWS).
    Classic,
}

/// Which form a load balancer has.
#[must_use]
pub fn form(wanted: &LoadBalancer) -> Form {
    let bytes = wanted.ports.iter().any(|port| matches!(port.protocol, Protocol::Tcp | Protocol::Tls));
    match wanted.kind {
        LoadBalancerKind::Classic => Form::Classic,
        LoadBalancerKind::Application if bytes => Form::Bytes,
        LoadBalancerKind::Application => Form::Requests,
    }
}

/// Whether an engine with these capabilities can make the listeners of a load balancer.
///
/// # Errors
/// The first thing that can't be, with what to do instead.
pub fn check(wanted: &LoadBalancer, can: &Capabilities) -> Result<(), Unfit> {
    let unfit = |message: String, hint| Err(Unfit { message, hint });
    if !wanted.ports.iter().any(|port| port.container_port().is_some()) {
        return unfit(
            "a load balancer needs at least one port that leads to a container".to_owned(),
            "add one, for example `--port 443:8080/https --certificate ARN`",
        );
    }
    for port in &wanted.ports {
        if matches!(port.protocol, Protocol::Https | Protocol::Tls) {
            if !can.tls {
                return unfit(
                    format!("port {port}: the {} engine's load balancer can't end TLS", can.name),
                    "use HTTP or TCP here, and end TLS in front of this machine",
                );
            }
            if port.certificate_arn.is_none() {
                return unfit(format!("port {port} has no certificate"), "name one: `--certificate ARN`");
            }
        }
        reads_requests(wanted, port)?;
        redirects(wanted, port, can)?;
        if let Some(twice) = port
            .rules()
            .iter()
            .enumerate()
            .find(|(at, rule)| port.rules()[..*at].iter().any(|before| before.same_conditions(rule)))
        {
            return unfit(
                format!("port {port}: rule {} never answers, an earlier one has the same conditions", twice.1),
                "leave one of the two out",
            );
        }
    }
    let rules: usize = wanted.ports.iter().map(|port| port.rules().len()).sum();
    if rules > RULES_MAX {
        return unfit(
            format!("the load balancer has {rules} rules, the most is {RULES_MAX}"),
            "a rule takes up to 5 paths and hosts, and `*` in them",
        );
    }
    container_ports_fit(wanted, can)
}

/// Rules and redirects are for what reads requests.
fn reads_requests(wanted: &LoadBalancer, port: &Port) -> Result<(), Unfit> {
    let asks = match (port.redirect_port(), port.rules()) {
        (Some(_), _) => "a redirect",
        (None, []) => return Ok(()),
        (None, _) => "rules",
    };
    match form(wanted) {
        Form::Requests => Ok(()),
        Form::Bytes => Err(Unfit {
            message: format!(
                "port {port} has {asks}, and a load balancer with TCP or TLS ports passes bytes on without reading requests"
            ),
            hint: "give the TCP and TLS ports a load balancer of their own",
        }),
        Form::Classic => Err(Unfit {
            message: format!("port {port} has {asks}, which a classic load balancer can't have"),
            hint: "make it with `--type application`",
        }),
    }
}

/// A redirect leads from HTTP to a port where HTTPS is spoken: one of the load balancer's own, or, where the engine can't
/// end TLS, one that somebody else ends in front of it.
fn redirects(wanted: &LoadBalancer, port: &Port, can: &Capabilities) -> Result<(), Unfit> {
    let Some(to) = port.redirect_port() else { return Ok(()) };
    if port.protocol != Protocol::Http {
        return Err(Unfit {
            message: format!("port {port}: only HTTP is redirected, not {}", port.protocol.as_str()),
            hint: "give the redirect a port of HTTP",
        });
    }
    let there = wanted.ports.iter().find(|other| other.host_port == to);
    match there {
        Some(other) if other.protocol == Protocol::Https && other.redirect_port().is_none() => Ok(()),
        None if !can.tls => Ok(()),
        Some(other) => Err(Unfit {
            message: format!("port {port} leads to HTTPS on port {to}, and that is {other}"),
            hint: "redirect to the port where HTTPS is spoken",
        }),
        None => Err(Unfit {
            message: format!("port {port} leads to HTTPS on port {to}, and the load balancer has no such port"),
            hint: "add it: `--port 443:8080/https --certificate ARN`",
        }),
    }
}

/// A service is registered once for each container port, and not every engine takes any number of them.
///
/// # Errors
/// When there are more than the engine takes.
pub fn container_ports_fit(wanted: &LoadBalancer, can: &Capabilities) -> Result<(), Unfit> {
    let ports = wanted.container_ports();
    match can.container_ports_max {
        Some(most) if ports.len() > most && form(wanted) != Form::Classic => {
            let all: Vec<String> = ports.iter().map(ToString::to_string).collect();
            Err(Unfit {
                message: format!(
                    "load balancer `{}` sends to {} container ports ({}), and a service can stand behind {most} at most",
                    wanted.name,
                    ports.len(),
                    all.join(", ")
                ),
                hint: "send several ports and rules to the same container port, or use a second load balancer and service",
            })
        }
        _ => Ok(()),
    }
}

/// Whether the copies of a definition have an address of their own, where engines tell that from a machine's: always on Fargate;
/// on machines where the document says so, and behind a load balancer that sends to addresses where it says nothing.
#[must_use]
pub fn has_own_address(definition: &TaskDefinition, launch: Launch, behind: Option<Form>) -> bool {
    match (launch, definition.network_mode.as_deref()) {
        (Launch::Fargate, _) | (Launch::Ec2, Some("awsvpc")) => true,
        (Launch::Ec2, Some(_)) => false,
        (Launch::Ec2, None) => matches!(behind, Some(Form::Requests | Form::Bytes)),
    }
}

/// Whether copies of a definition can stand behind a load balancer. An ALB and an NLB of ours send to addresses, which copies in
/// network mode `bridge`, `host` and `none` don't have; a classic one sends to machines, and ECS takes no copies with addresses
/// there (`CreateService`).
///
/// # Errors
/// When they can't.
pub fn network_fits(
    wanted: &LoadBalancer,
    definition: &TaskDefinition,
    launch: Launch,
    can: &Capabilities,
) -> Result<(), Unfit> {
    if !can.address_targets {
        return Ok(());
    }
    let (name, form) = (&wanted.name, form(wanted));
    let mode = definition.network_mode.as_deref();
    match (form, has_own_address(definition, launch, Some(form))) {
        (Form::Classic, true) => Err(Unfit {
            message: format!(
                "load balancer `{name}` is a classic one, which sends to machines, and copies {} have addresses of their own",
                if launch == Launch::Fargate { "on Fargate" } else { "in network mode `awsvpc`" }
            ),
            hint: "take a load balancer without `--type classic`, or run it with `--stateful` and without `networkMode`",
        }),
        (Form::Requests | Form::Bytes, false) => Err(Unfit {
            message: format!(
                "load balancer `{name}` sends to addresses, and copies in network mode `{}` have none of their own",
                mode.unwrap_or("bridge")
            ),
            hint: "leave `networkMode` out of the deploy, or take a load balancer of `--type classic`",
        }),
        (Form::Requests | Form::Bytes, true) if launch == Launch::Ec2 => own_address_fits(name, definition),
        (Form::Classic | Form::Requests | Form::Bytes, _) => Ok(()),
    }
}

/// What ECS refuses of copies with an address of their own on machines (`RegisterTaskDefinition`, `links` and `hostPort`).
fn own_address_fits(name: &Name, definition: &TaskDefinition) -> Result<(), Unfit> {
    let differs = |it: &PortMapping| it.host_port.is_some_and(|port| port != 0 && port != it.container_port);
    for container in &definition.containers {
        let what = match (container.links.is_empty(), container.port_mappings.iter().any(differs)) {
            (false, _) => "`links`",
            (true, true) => "a `hostPort` that differs from its `containerPort`",
            (true, false) => continue,
        };
        return Err(Unfit {
            message: format!(
                "behind load balancer `{name}` copies have addresses of their own, and container `{}` has {what}",
                container.name
            ),
            hint: "leave it out of the deploy (containers of a copy reach each other at localhost), or take a load balancer of `--type classic`",
        });
    }
    Ok(())
}

/// What a look at a load balancer's operation comes to.
#[must_use]
pub fn judge(want: &LoadBalancer, seen: Option<&LoadBalancerSeen>) -> Verdict {
    match seen {
        Some(seen) if seen.generation >= want.generation => match &seen.problem {
            Some(problem) => Verdict::Failed(problem.clone()),
            None => {
                let ports: Vec<String> = want.ports.iter().map(ToString::to_string).collect();
                Verdict::Done(format!("listening at {} on {}", seen.address, ports.join(", ")))
            }
        },
        _ => Verdict::Wait("waiting for the listeners".to_owned()),
    }
}

/// The first load balancer that already has one of the ports, where all share the host ports of one machine.
///
/// Private ones stand on the address of their own environment, so two of them meet only in the same environment; a
/// public one stands on every address.
#[must_use]
pub fn port_conflict<'a>(new: &LoadBalancer, others: &'a [LoadBalancer]) -> Option<(&'a LoadBalancer, Port)> {
    others.iter().filter(|other| other.id != new.id).find_map(|other| {
        let apart = new.visibility == Visibility::Private
            && other.visibility == Visibility::Private
            && new.environment != other.environment;
        let same = |port: &&Port| other.ports.iter().any(|taken| taken.host_port == port.host_port);
        if apart { None } else { new.ports.iter().find(same).map(|port| (other, port.clone())) }
    })
}

#[cfg(test)]
mod tests;
