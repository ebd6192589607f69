//! Load balancers: a stable address in front of a service.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::id::{EnvironmentId, LoadBalancerId};
use super::listener_rule::Rule;
use super::name::Name;
use super::time::{Generation, Timestamp};

/// A load balancer as a user wants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadBalancer {
    /// The id, chosen by us.
    pub id: LoadBalancerId,
    /// The name, unique in its environment.
    pub name: Name,
    /// Where it stands.
    pub environment: EnvironmentId,
    /// Which kind of load balancer was asked for.
    pub kind: LoadBalancerKind,
    /// Who may reach it.
    pub visibility: Visibility,
    /// Its listeners, ordered by host port, one for each host port.
    pub ports: Vec<Port>,
    /// How copies behind it are judged.
    pub health_check: HealthCheck,
    /// Seconds after which a connection without traffic is closed.
    pub idle_timeout_s: u32,
    /// Whether copies in all zones get traffic from each zone. Means nothing on one machine, kept as given.
    pub cross_zone: bool,
    /// When it was made.
    pub created: Timestamp,
    /// Counts its changes.
    pub generation: Generation,
    /// Whether it is on its way out.
    pub deleting: bool,
}

/// The kinds of load balancers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadBalancerKind {
    /// HTTP and HTTPS (an ALB on AWS); TCP listeners are served too.
    Application,
    /// The older kind (a classic ELB on AWS).
    Classic,
}

impl LoadBalancerKind {
    /// The wire's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            LoadBalancerKind::Application => "application",
            LoadBalancerKind::Classic => "classic",
        }
    }

    /// Reads the wire's spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [LoadBalancerKind::Application, LoadBalancerKind::Classic].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Who may reach a load balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Everyone who reaches the machine.
    Public,
    /// Its own environment, the environments linked to it, and the machine itself.
    Private,
}

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP/1.1, WebSocket and HTTP/2 without TLS.
    Http,
    /// HTTP over TLS.
    Https,
    /// Bytes.
    Tcp,
    /// Bytes over TLS (the classic ELB's `SSL`).
    Tls,
}

impl Protocol {
    /// Upper case, as tables show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Http => "HTTP",
            Protocol::Https => "HTTPS",
            Protocol::Tcp => "TCP",
            Protocol::Tls => "TLS",
        }
    }

    /// Reads a protocol in any case; `ssl` is the classic ELB's word for `tls`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "http" => Some(Protocol::Http),
            "https" => Some(Protocol::Https),
            "tcp" => Some(Protocol::Tcp),
            "tls" | "ssl" => Some(Protocol::Tls),
            _ => None,
        }
    }
}

/// One listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Where clients connect.
    pub host_port: u16,
    /// What is spoken.
    pub protocol: Protocol,
    /// The certificate of a TLS listener.
    pub certificate_arn: Option<String>,
    /// What becomes of what arrives.
    #[serde(flatten)]
    pub action: Action,
}

/// What a listener does with what arrives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Action {
    /// Sends it to the copies.
    Forward {
        /// Where the container listens that gets what no rule matches.
        container_port: u16,
        /// Rules in their order: the first that matches a request decides. Requests of HTTP have something to match only.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        rules: Vec<Rule>,
    },
    /// Tells HTTP clients to come again by HTTPS.
    Redirect {
        /// The port to which they are sent, on the host that they asked for.
        redirect_port: u16,
    },
}

impl Port {
    /// A listener without certificate and rules.
    #[must_use]
    pub fn forward(host_port: u16, container_port: u16, protocol: Protocol) -> Self {
        let action = Action::Forward { container_port, rules: Vec::new() };
        Self { host_port, protocol, certificate_arn: None, action }
    }

    /// A listener of HTTP that sends clients to a port of HTTPS.
    #[must_use]
    pub fn redirect(host_port: u16, redirect_port: u16) -> Self {
        Self { host_port, protocol: Protocol::Http, certificate_arn: None, action: Action::Redirect { redirect_port } }
    }

    /// The container port that gets what no rule matches; `None` where nothing is sent to a container.
    #[must_use]
    pub fn container_port(&self) -> Option<u16> {
        match &self.action {
            Action::Forward { container_port, .. } => Some(*container_port),
            Action::Redirect { .. } => None,
        }
    }

    /// Its rules, in their order.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        match &self.action {
            Action::Forward { rules, .. } => rules,
            Action::Redirect { .. } => &[],
        }
    }

    /// The port of HTTPS to which clients are sent.
    #[must_use]
    pub fn redirect_port(&self) -> Option<u16> {
        match &self.action {
            Action::Forward { .. } => None,
            Action::Redirect { redirect_port } => Some(*redirect_port),
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.action {
            Action::Forward { container_port, .. } => {
                write!(f, "{}:{container_port}/{}", self.host_port, self.protocol.as_str())
            }
            Action::Redirect { redirect_port } => write!(f, "{}:{redirect_port}/REDIRECT", self.host_port),
        }
    }
}

/// How a copy's health is found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// `TCP:80`, `HTTP:80/health`, as a classic ELB takes it; empty when only a path is given.
    pub target: String,
    /// The path of an HTTP check; empty for none.
    pub path: String,
    /// Seconds from one check to the next.
    pub interval_s: u32,
    /// Seconds one check may take.
    pub timeout_s: u32,
    /// Successes in a row that make an unhealthy copy healthy. A new copy needs one.
    pub healthy_threshold: u32,
    /// Failures in a row that make a copy unhealthy.
    pub unhealthy_threshold: u32,
}

/// What a health check does, worked out of target, path and listeners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// `GET path` must answer 200 to 399 (the classic check and the ALB default matcher of 200 both accept 200).
    Http {
        /// Container port to ask.
        port: u16,
        /// Path with its query.
        path: String,
    },
    /// A connection must come about.
    Tcp {
        /// Container port to connect to.
        port: u16,
    },
}

impl LoadBalancer {
    /// Every container port that it sends to, each once: those of the listeners in their order, then those of rules.
    #[must_use]
    pub fn container_ports(&self) -> Vec<u16> {
        let own = self.ports.iter().filter_map(Port::container_port);
        let of_rules = self.ports.iter().flat_map(Port::rules).map(Rule::container_port);
        let mut ports = Vec::new();
        for port in own.chain(of_rules) {
            if !ports.contains(&port) {
                ports.push(port);
            }
        }
        ports
    }

    /// The probe that its health check means; one for the copy as a whole, whatever rules send to its other ports.
    ///
    /// An application load balancer with an HTTP listener uses the path on the container port of the first one that sends to
    /// containers; a classic one, and one with TCP listeners only, uses the target. A target port that is no container port
    /// behind a listener is still asked: that is what the user wrote. `TCP:80`, the default that clients always send, means
    /// "the first listener's container port" when nothing leads to container port 80.
    #[must_use]
    pub fn probe(&self) -> Option<Probe> {
        let behind = |is_meant: fn(&Port) -> bool| {
            self.ports.iter().filter(|port| is_meant(port)).find_map(Port::container_port)
        };
        let first = behind(|_| true)?;
        let http = behind(|port| matches!(port.protocol, Protocol::Http | Protocol::Https));
        if let (LoadBalancerKind::Application, Some(http)) = (self.kind, http)
            && !self.health_check.path.is_empty()
        {
            return Some(Probe::Http { port: http, path: self.health_check.path.clone() });
        }
        let target = HealthTarget::parse(&self.health_check.target);
        Some(match target {
            Ok(HealthTarget { scheme: Protocol::Http | Protocol::Https, port, path }) => Probe::Http { port, path },
            Ok(HealthTarget { port, .. }) if port != 80 || self.container_ports().contains(&80) => Probe::Tcp { port },
            _ => Probe::Tcp { port: first },
        })
    }
}

/// A classic health check target: `SCHEME:PORT[/PATH]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthTarget {
    /// What is spoken.
    pub scheme: Protocol,
    /// The container port.
    pub port: u16,
    /// The path; empty for TCP and TLS.
    pub path: String,
}

/// Why text is no health check target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HealthTargetError {
    /// Not `SCHEME:PORT`.
    #[error("a health check target is written SCHEME:PORT or SCHEME:PORT/PATH, for example TCP:80 or HTTP:8080/health")]
    Form,
    /// The first part is no protocol.
    #[error("`{0}` is not a health check protocol (TCP, SSL, HTTP, HTTPS)")]
    Scheme(String),
    /// HTTP and HTTPS need a path.
    #[error("HTTP & HTTPS targets must specify a port followed by a path.\nFor example, HTTPS:443/health")]
    Path,
}

impl HealthTarget {
    /// Reads a target.
    ///
    /// # Errors
    /// [`HealthTargetError`] says what is missing.
    pub fn parse(text: &str) -> Result<Self, HealthTargetError> {
        let (scheme, rest) = text.split_once(':').ok_or(HealthTargetError::Form)?;
        let scheme = Protocol::parse(scheme).ok_or_else(|| HealthTargetError::Scheme(scheme.to_owned()))?;
        let is_http = matches!(scheme, Protocol::Http | Protocol::Https);
        let (port, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let port = match port.parse::<u16>() {
            Ok(port) if port > 0 => port,
            _ if is_http => return Err(HealthTargetError::Path),
            _ => return Err(HealthTargetError::Form),
        };
        if is_http == path.is_empty() {
            return Err(if is_http { HealthTargetError::Path } else { HealthTargetError::Form });
        }
        Ok(Self { scheme, port, path: path.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::listener_rule::PathPattern;

    #[test]
    fn listeners_are_kept_as_they_always_were_and_what_is_new_is_beside() {
        let old = r#"{"host_port":80,"container_port":8080,"protocol":"http","certificate_arn":null}"#;
        let port: Port = serde_json::from_str(old).expect("a listener of before");
        assert_eq!(port, Port::forward(80, 8080, Protocol::Http));
        let kept = serde_json::to_value(&port).expect("JSON");
        assert_eq!(kept, serde_json::from_str::<serde_json::Value>(old).expect("JSON"), "old programs read it");
        let rule = Rule::new(vec![PathPattern::parse("/api/*").expect("a path")], vec![], 8081).expect("a rule");
        let action = Action::Forward { container_port: 8080, rules: vec![rule] };
        for port in [Port { action, ..port }, Port::redirect(80, 443)] {
            let kept = serde_json::to_string(&port).expect("JSON");
            assert_eq!(serde_json::from_str::<Port>(&kept).expect("a listener"), port, "{kept}");
        }
    }

    #[test]
    fn targets_are_read_as_a_classic_elb_does() {
        let http = HealthTarget::parse("http:8080/health?x=1").expect("a legal target");
        assert_eq!((http.port, http.path.as_str()), (8080, "/health?x=1"));
        assert_eq!(HealthTarget::parse("TCP:80").expect("a legal target").port, 80);
        assert_eq!(HealthTarget::parse("HTTPS:443"), Err(HealthTargetError::Path));
        assert_eq!(HealthTarget::parse("HTTP:/x"), Err(HealthTargetError::Path));
        assert_eq!(HealthTarget::parse("80"), Err(HealthTargetError::Form));
        assert_eq!(HealthTarget::parse("TCP:99999"), Err(HealthTargetError::Form));
        assert_eq!(HealthTarget::parse("FTP:21"), Err(HealthTargetError::Scheme("FTP".into())));
    }
}
