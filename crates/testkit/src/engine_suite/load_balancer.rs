//! Load balancers.

use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::environment::Environment;
use layer0_domain::model::failure::{Failure, FailureClass};
use layer0_domain::model::listener_rule::{HostPattern, PathPattern, Rule};
use layer0_domain::model::load_balancer::{Action, LoadBalancer, Port};
use layer0_domain::model::time::Generation;
use layer0_domain::port::engine::EngineError;

use super::{Subject, free_port, listener, wish_balancer};
use crate::until::until;

impl Subject {
    /// Makes a load balancer on a port that is free, and waits until it listens. A port may be lost to somebody else
    /// between being found free and being used; then another is taken.
    async fn load_balancer_listening(&mut self, environment: &Environment) -> LoadBalancer {
        let mut balancer = self.load_balancer_wanted(environment, &[free_port()]);
        for _ in 0..5 {
            self.ensure(wish_balancer(&balancer)).await;
            if self.listens(&balancer).await.is_ok() {
                return balancer;
            }
            balancer.generation = balancer.generation.next();
            balancer.ports = vec![listener(free_port())];
        }
        panic!("five times in a row a free port was taken by somebody else");
    }

    /// Waits until all ports of a load balancer listen; what is wrong with it when it says so.
    async fn listens(&self, wanted: &LoadBalancer) -> Result<(), Failure> {
        until(format!("{:?} to listen", wanted.ports), || async {
            let Some(seen) = self.load_balancer_seen(&wanted.id).await else { return Err("nothing".to_owned()) };
            let mut listening = seen.listening.clone();
            listening.sort_unstable();
            let ports: Vec<_> = wanted.ports.iter().map(|port| port.host_port).collect();
            match (&seen.problem, seen.generation == wanted.generation) {
                (Some(problem), true) => Ok(Err(problem.clone())),
                (None, true) if listening == ports => Ok(Ok(())),
                _ => Err(format!("{seen:?}")),
            }
        })
        .await
    }
}

/// It listens on its host port and has an address.
pub async fn listens(mut subject: Subject) {
    let environment = subject.environment().await;
    let balancer = subject.load_balancer_listening(&environment).await;
    let seen = subject.load_balancer_seen(&balancer.id).await.expect("it listens");
    assert!(!seen.address.is_empty() && !seen.address.contains(['/', ':']), "`{}` is no bare address", seen.address);
    subject.ensure(wish_balancer(&balancer)).await;
    let again = subject.load_balancer_seen(&balancer.id).await;
    assert_eq!(again.as_ref(), Some(&seen), "a second wish changes nothing");
    subject.remove(&EntityRef::LoadBalancer(balancer.id.clone())).await;
    assert_eq!(subject.load_balancer_seen(&balancer.id).await, None);
    subject.leave().await;
}

/// A port that comes or goes leaves the others as they are.
pub async fn port_change_keeps_the_others(mut subject: Subject) {
    let environment = subject.environment().await;
    let mut balancer = subject.load_balancer_listening(&environment).await;
    let first = balancer.ports.clone();
    for _ in 0..5 {
        balancer.ports = [first.clone(), vec![listener(free_port())]].concat();
        balancer.ports.sort_by_key(|port| port.host_port);
        balancer.generation = balancer.generation.next();
        subject.ensure(wish_balancer(&balancer)).await;
        let result = subject.listens(&balancer).await;
        let seen = subject.load_balancer_seen(&balancer.id).await.expect("it was ensured");
        assert!(seen.listening.contains(&first[0].host_port), "the first port has to go on: {seen:?}");
        if result.is_ok() {
            balancer.ports = first;
            balancer.generation = balancer.generation.next();
            subject.ensure(wish_balancer(&balancer)).await;
            assert_eq!(subject.listens(&balancer).await, Ok(()));
            return subject.leave().await;
        }
    }
    panic!("five times in a row a free port was taken by somebody else");
}

/// A listener takes rules, becomes a redirect and sends to containers again, and listens all the while.
pub async fn rules_and_redirects_come_and_go(mut subject: Subject) {
    let environment = subject.environment().await;
    let mut balancer = subject.load_balancer_listening(&environment).await;
    let plain = balancer.ports[0].clone();
    let path = PathPattern::parse("/api/*").expect("a path");
    let host = HostPattern::parse("*.example.com").expect("a host");
    let rules =
        vec![Rule::new(vec![path], vec![], 81).expect("a rule"), Rule::new(vec![], vec![host], 82).expect("a rule")];
    let action = |rules| Action::Forward { container_port: 80, rules };
    let reversed = rules.iter().rev().cloned().collect();
    let to = if plain.host_port == 443 { 8443 } else { 443 };
    for action in [action(rules), action(reversed), Action::Redirect { redirect_port: to }, plain.action.clone()] {
        balancer.ports = vec![Port { action, ..plain.clone() }];
        balancer.generation = balancer.generation.next();
        subject.ensure(wish_balancer(&balancer)).await;
        let seen = subject.load_balancer_seen(&balancer.id).await.expect("it was ensured");
        assert_eq!(seen.listening, [plain.host_port], "it has to go on while it changes");
        assert_eq!(subject.listens(&balancer).await, Ok(()), "{:?}", balancer.ports);
    }
    subject.leave().await;
}

/// A host port that another load balancer holds is refused or reported by class, naming the other; it is got when the
/// other gives it up.
pub async fn port_conflict_is_named(mut subject: Subject) {
    if !subject.engine().capabilities().shared_host_ports {
        return subject.leave().await;
    }
    let environment = subject.environment().await;
    let holder = subject.load_balancer_listening(&environment).await;
    let port = holder.ports[0].host_port;
    let late = subject.load_balancer_wanted(&environment, &[port]);
    subject.made.push(EntityRef::LoadBalancer(late.id.clone()));
    let failure = match subject.engine().ensure(wish_balancer(&late)).await {
        Ok(()) => subject.listens(&late).await.expect_err("the port has a holder"),
        Err(EngineError::Refused { failure }) => *failure,
        Err(other) => panic!("a port conflict is a refusal: {other}"),
    };
    assert_eq!(failure.class, FailureClass::PortTaken);
    assert!(failure.message.contains(&port.to_string()), "no port in `{}`", failure.message);
    assert!(failure.message.contains(holder.name.as_str()), "no holder in `{}`", failure.message);
    assert_eq!(subject.listens(&holder).await, Ok(()), "the holder is not disturbed");

    subject.remove(&EntityRef::LoadBalancer(holder.id.clone())).await;
    until("the free port to be got", || async {
        subject.engine().ensure(wish_balancer(&late)).await.map_err(|error| error.to_string())?;
        match subject.load_balancer_seen(&late.id).await {
            Some(seen) if seen.listening == [port] && seen.problem.is_none() => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    subject.leave().await;
}

/// An older generation than the one in force is refused.
pub async fn older_is_refused(mut subject: Subject) {
    let environment = subject.environment().await;
    let mut balancer = subject.load_balancer_listening(&environment).await;
    balancer.generation = Generation(balancer.generation.0 + 5);
    subject.ensure(wish_balancer(&balancer)).await;
    balancer.generation = Generation(balancer.generation.0 - 1);
    subject.ensure_outdated(wish_balancer(&balancer)).await;
    subject.leave().await;
}
