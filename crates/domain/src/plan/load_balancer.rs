//! Whether a load balancer is as it was asked for, and whether two would want the same port.

use super::verdict::Verdict;
use crate::model::load_balancer::{LoadBalancer, Port, Visibility};
use crate::port::engine::LoadBalancerSeen;

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
