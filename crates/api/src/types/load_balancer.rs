//! Load balancers on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /loadbalancer`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreateLoadBalancerRequest {
    /// The name.
    #[serde(default)]
    pub load_balancer_name: String,
    /// `application` or `classic`; empty means `application`.
    #[serde(default)]
    pub load_balancer_type: String,
    /// Where it stands.
    #[serde(default)]
    pub environment_id: String,
    /// Whether it can be reached from everywhere.
    #[serde(default)]
    pub is_public: bool,
    /// Its listeners; none means 80:80/HTTP.
    #[serde(default)]
    pub ports: Vec<Port>,
    /// How copies are judged; absent means TCP:80, /, 30, 5, 2, 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// Seconds without traffic; 0 means 60.
    #[serde(default)]
    pub idle_timeout: i64,
    /// Whether copies in all zones get traffic from each zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cross_zone: Option<bool>,
}

/// A listener.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Port {
    /// The certificate of a TLS listener.
    #[serde(default)]
    pub certificate_arn: String,
    /// Where the container listens.
    #[serde(default)]
    pub container_port: i64,
    /// Where clients connect.
    #[serde(default)]
    pub host_port: i64,
    /// `HTTP`, `HTTPS`, `TCP`, `TLS`, in any case.
    #[serde(default)]
    pub protocol: String,
    /// Given for a port of HTTP that sends every client to HTTPS: the port where that is spoken. Such a port has no
    /// `container_port` (0) and no rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_port: Option<i64>,
    /// Which requests of HTTP and HTTPS go to another container port, in this order: the first rule that matches decides,
    /// and what none matches goes to `container_port`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<PortRule>,
}

/// A rule of a listener. A request matches when its path fits one of `paths`, where there are any, and its host one of `hosts`,
/// where there are any; at least one of both is given, and at most five together. In patterns `*` stands for any characters
/// and `?` for exactly one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PortRule {
    /// Patterns for the path, without the query; case matters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Patterns for the host, without its port.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Where the container listens.
    #[serde(default)]
    pub container_port: i64,
}

/// A rule with the listener that it belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RuleChange {
    /// The listener's port.
    #[serde(default)]
    pub host_port: i64,
    /// The rule.
    #[serde(default)]
    pub rule: PortRule,
    /// For a rule to add: its place among the listener's rules, the first is 1; absent means the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<i64>,
}

/// How copies are judged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthCheck {
    /// `TCP:80`, `HTTP:80/health`.
    #[serde(default)]
    pub target: String,
    /// The path of an HTTP check.
    #[serde(default)]
    pub path: String,
    /// Seconds from check to check.
    #[serde(default)]
    pub interval: i64,
    /// Seconds a check may take.
    #[serde(default)]
    pub timeout: i64,
    /// Successes that make a copy healthy again.
    #[serde(default)]
    pub healthy_threshold: i64,
    /// Failures that make a copy unhealthy.
    #[serde(default)]
    pub unhealthy_threshold: i64,
}

impl HealthCheck {
    /// What a load balancer gets when nothing else is said.
    #[must_use]
    pub fn standard() -> Self {
        Self {
            target: "TCP:80".to_owned(),
            path: "/".to_owned(),
            interval: 30,
            timeout: 5,
            healthy_threshold: 2,
            unhealthy_threshold: 2,
        }
    }
}

/// A load balancer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LoadBalancer {
    /// Where it stands.
    pub environment_id: String,
    /// That environment's name.
    pub environment_name: String,
    /// How copies are judged.
    pub health_check: HealthCheck,
    /// Seconds without traffic.
    pub idle_timeout: i64,
    /// Whether it can be reached from everywhere.
    pub is_public: bool,
    /// Its ARN on AWS, the name of a classic one; empty on one machine.
    pub load_balancer_arn: String,
    /// The id.
    pub load_balancer_id: String,
    /// The name.
    pub load_balancer_name: String,
    /// What was asked for, `application` or `classic`. An `application` one whose ports speak TCP or TLS is a network load balancer
    /// on AWS, as its ARN says.
    pub load_balancer_type: String,
    /// Its listeners.
    pub ports: Vec<Port>,
    /// The service behind it; empty when there is none.
    pub service_id: String,
    /// That service's name.
    pub service_name: String,
    /// Where clients go: with scheme and port for the first HTTP listener, else `host:port`.
    pub url: String,
    /// Whether copies in all zones get traffic from each zone.
    #[serde(default)]
    pub cross_zone: bool,
    /// What is wrong with it now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<super::common::Failure>,
}

/// A load balancer in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LoadBalancerSummary {
    /// The id.
    pub load_balancer_id: String,
    /// The name.
    pub load_balancer_name: String,
    /// What was asked for, `application` or `classic`. An `application` one whose ports speak TCP or TLS is a network load balancer
    /// on AWS, as its ARN says.
    pub load_balancer_type: String,
    /// Where it stands.
    pub environment_id: String,
    /// That environment's name.
    pub environment_name: String,
}

/// `PATCH /loadbalancer/{id}`. What is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UpdateLoadBalancerRequest {
    /// All listeners, in place of those that are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<Port>>,
    /// Listeners to add, by host port. Unlike `ports` this loses nobody else's change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add_ports: Vec<Port>,
    /// Host ports of listeners to take away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove_ports: Vec<i64>,
    /// Rules to add, after ports were taken away and added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add_rules: Vec<RuleChange>,
    /// Rules to take away, each given as it is; they go before others are added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove_rules: Vec<RuleChange>,
    /// How copies are judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// Seconds without traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<i64>,
    /// Whether copies in all zones get traffic from each zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cross_zone: Option<bool>,
}
