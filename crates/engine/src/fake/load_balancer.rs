//! Load balancers: listeners on the host ports that all of them share. No bytes pass through them.

use std::collections::{BTreeMap, BTreeSet};

use layer0_domain::model::failure::{Failure, FailureClass};
use layer0_domain::model::id::{EnvironmentId, LoadBalancerId};
use layer0_domain::model::load_balancer::LoadBalancer;
use layer0_domain::port::engine::LoadBalancerSeen;

use super::world::Stale;

#[derive(Debug, Default)]
pub(super) struct LoadBalancers {
    here: BTreeMap<LoadBalancerId, LoadBalancer>,
    /// Who listens on a host port: whoever came first.
    holders: BTreeMap<u16, LoadBalancerId>,
    /// Those that miss a port of theirs.
    blocked: BTreeSet<LoadBalancerId>,
}

impl LoadBalancers {
    pub(super) fn ids(&self) -> impl Iterator<Item = &LoadBalancerId> {
        self.here.keys()
    }

    pub(super) fn in_environment(&self, id: &EnvironmentId) -> impl Iterator<Item = &LoadBalancerId> {
        self.here.iter().filter(move |(_, balancer)| balancer.environment == *id).map(|(id, _)| id)
    }

    /// Whether anything changed, or that the wish is older than the one in force.
    pub(super) fn ensure(&mut self, wanted: LoadBalancer) -> (Stale, bool) {
        match self.here.get(&wanted.id) {
            Some(known) if known.generation > wanted.generation => return (Stale::Yes, false),
            Some(known) if *known == wanted => return (Stale::No, false),
            _ => {}
        }
        let id = wanted.id.clone();
        let keeps = |port: &u16| wanted.ports.iter().any(|wanted| wanted.host_port == *port);
        self.holders.retain(|port, holder| *holder != id || keeps(port));
        self.here.insert(id.clone(), wanted);
        self.blocked.insert(id);
        self.claim();
        (Stale::No, true)
    }

    /// Whether it was here.
    pub(super) fn remove(&mut self, id: &LoadBalancerId) -> bool {
        self.holders.retain(|_, holder| holder != id);
        self.blocked.remove(id);
        let was_here = self.here.remove(id).is_some();
        self.claim();
        was_here
    }

    /// Gives free ports to those that wait for them.
    fn claim(&mut self) {
        let Self { here, holders, blocked } = self;
        blocked.retain(|id| {
            let ports = here.get(id).map_or(&[][..], |balancer| &balancer.ports);
            ports.iter().fold(false, |misses, port| {
                misses | (holders.entry(port.host_port).or_insert_with(|| id.clone()) != id)
            })
        });
    }

    pub(super) fn seen(&self, id: &LoadBalancerId) -> Option<LoadBalancerSeen> {
        let balancer = self.here.get(id)?;
        let (listening, missing): (Vec<_>, Vec<_>) =
            balancer.ports.iter().map(|port| port.host_port).partition(|port| self.holders.get(port) == Some(id));
        let problem = missing.first().map(|port| {
            let holder = self.holders.get(port).and_then(|holder| self.here.get(holder));
            let by = holder.map_or_else(
                || "another process".to_owned(),
                |other| format!("the load balancer `{}` of environment `{}`", other.name, other.environment),
            );
            Failure::new(FailureClass::PortTaken, format!("host port {port} is taken by {by}"))
        });
        Some(LoadBalancerSeen {
            id: id.clone(),
            generation: balancer.generation,
            address: format!("{id}.fake.layer0.test"),
            engine_name: String::new(),
            listening,
            problem,
        })
    }
}
