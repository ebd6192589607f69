//! Entities as plain as they can be, for tests that are about something else. Change what matters with `..`.

use std::collections::BTreeSet;

use layer0_domain::model::environment::{Environment, OperatingSystem};
use layer0_domain::model::id::{EnvironmentId, LoadBalancerId};
use layer0_domain::model::load_balancer::{HealthCheck, LoadBalancer, LoadBalancerKind, Port, Protocol, Visibility};
use layer0_domain::model::name::Name;
use layer0_domain::model::time::{Generation, Timestamp};

const LEGAL: &str = "samples are written with legal words only";

/// A name.
///
/// # Panics
/// For a text that is none, as all here.
#[must_use]
pub fn name(text: &str) -> Name {
    Name::parse(text).expect(LEGAL)
}

/// An environment of nobody's, without machines and links.
#[must_use]
pub fn environment(id: &str, called: &str) -> Environment {
    Environment {
        id: EnvironmentId::parse(id).expect(LEGAL),
        name: name(called),
        owner: None,
        operating_system: OperatingSystem::Linux,
        scale: 0,
        instance_type: String::new(),
        ami_id: String::new(),
        user_data_template: String::new(),
        links: BTreeSet::new(),
        created: Timestamp(0),
        generation: Generation(1),
        deleting: false,
    }
}

/// A public load balancer for HTTP, from port 80 to port 80 of the containers, with a quick check.
#[must_use]
pub fn load_balancer(id: &str, called: &str, environment: EnvironmentId) -> LoadBalancer {
    LoadBalancer {
        id: LoadBalancerId::parse(id).expect(LEGAL),
        name: name(called),
        environment,
        kind: LoadBalancerKind::Application,
        visibility: Visibility::Public,
        ports: vec![Port::forward(80, 80, Protocol::Http)],
        health_check: HealthCheck {
            target: "TCP:80".to_owned(),
            path: "/".to_owned(),
            interval_s: 5,
            timeout_s: 2,
            healthy_threshold: 2,
            unhealthy_threshold: 2,
        },
        idle_timeout_s: 60,
        cross_zone: true,
        created: Timestamp(0),
        generation: Generation(1),
        deleting: false,
    }
}
