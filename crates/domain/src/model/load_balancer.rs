//! Load balancers: a stable address in front of a service.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::id::{EnvironmentId, LoadBalancerId};
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
    /// Where the container listens.
    pub container_port: u16,
    /// What is spoken.
    pub protocol: Protocol,
    /// The certificate of a TLS listener.
    pub certificate_arn: Option<String>,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.host_port, self.container_port, self.protocol.as_str())
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
    /// The probe that its health check means.
    ///
    /// An application load balancer with an HTTP listener uses the path on the first listener's container port; a
    /// classic one, and one with TCP listeners only, uses the target. A target port that is no container port behind a
    /// listener is still asked: that is what the user wrote. `TCP:80`, the default that clients always send, means "the
    /// first listener's container port" when no listener leads to container port 80.
    #[must_use]
    pub fn probe(&self) -> Option<Probe> {
        let first = self.ports.first()?;
        let http = self.ports.iter().find(|port| matches!(port.protocol, Protocol::Http | Protocol::Https));
        if let (LoadBalancerKind::Application, Some(http)) = (self.kind, http)
            && !self.health_check.path.is_empty()
        {
            return Some(Probe::Http { port: http.container_port, path: self.health_check.path.clone() });
        }
        let target = HealthTarget::parse(&self.health_check.target);
        Some(match target {
            Ok(HealthTarget { scheme: Protocol::Http | Protocol::Https, port, path }) => Probe::Http { port, path },
            Ok(HealthTarget { port, .. })
                if port != 80 || self.ports.iter().any(|listener| listener.container_port == 80) =>
            {
                Probe::Tcp { port }
            }
            _ => Probe::Tcp { port: first.container_port },
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
