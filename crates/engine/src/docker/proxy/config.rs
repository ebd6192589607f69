//! What callers tell the proxy and what it tells them: plain data, no behaviour that touches the network.
//!
//! The types are the proxy's own on purpose: it is a library inside the engine and knows nothing of the domain; the engine converts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// One load balancer as it should be. Equal configurations are the same load balancer: applying one twice changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadBalancerConfig {
    /// Who it is, chosen by the caller, unique within one proxy. Named in error texts and in the body of a 503.
    pub id: String,
    /// Where it listens. May be empty: targets are still probed.
    pub listeners: Vec<Listener>,
    /// How its targets are judged.
    pub health_check: HealthCheck,
    /// How long a connection may carry nothing before it is ended, and how long a target may take to say anything (then: 504).
    pub idle_timeout: Duration,
    /// Who may connect. A change holds for connections accepted after it.
    pub access: Access,
}

/// One or several addresses where the same is done with what arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Addresses to listen on. One address belongs to one listener only. Port 0 lets the kernel choose (see `Proxy::listening`).
    pub bind: Vec<SocketAddr>,
    /// What is done there.
    pub serves: Serves,
}

/// What a listener speaks with its clients and where it sends them. Targets are spoken to in HTTP/1.1, or in raw bytes. A
/// target may have a [`PortOverride`] for the port that is named here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serves {
    /// HTTP/1.0, HTTP/1.1 and HTTP/2 with prior knowledge, upgrades (WebSocket) included.
    Http {
        /// The port of every target that gets what no rule matches.
        target_port: u16,
        /// Rules in their order: the first that matches a request decides.
        rules: Vec<Rule>,
    },
    /// HTTP, of which every request is answered with the same address by HTTPS.
    Redirect {
        /// The port where HTTPS is spoken.
        https_port: u16,
    },
    /// Bytes, both ways.
    Tcp {
        /// The port of every target.
        target_port: u16,
    },
}

impl Serves {
    /// HTTP without rules.
    #[must_use]
    pub fn http(target_port: u16) -> Self {
        Self::Http { target_port, rules: Vec::new() }
    }

    /// The port of a target that gets what no rule matches; `None` where nothing is sent to targets.
    #[must_use]
    pub fn target_port(&self) -> Option<u16> {
        match self {
            Self::Http { target_port, .. } | Self::Tcp { target_port } => Some(*target_port),
            Self::Redirect { .. } => None,
        }
    }
}

/// Which requests go to a port of their own: those whose path fits one of the paths, where there are any, and whose host fits
/// one of the hosts, where there are any. In both, `*` stands for any characters and `?` for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Patterns for the path, without the query, as the client sent it.
    pub paths: Vec<String>,
    /// Patterns in lower case for the host, without its port.
    pub hosts: Vec<String>,
    /// The port of every target.
    pub target_port: u16,
}

/// When a target counts as healthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked.
    pub kind: HealthCheckKind,
    /// The port that is asked; without it, the target port of the first listener that sends to targets ("traffic port").
    pub port: Option<u16>,
    /// Pause between two probes of a target whose state is settled.
    pub interval: Duration,
    /// How long one probe may take.
    pub timeout: Duration,
    /// Successes in a row that make an unhealthy target healthy. A target that was never healthy needs one.
    pub healthy_threshold: u32,
    /// Failures in a row that make a healthy target unhealthy.
    pub unhealthy_threshold: u32,
}

/// What a probe does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthCheckKind {
    /// `GET path`, passed by a status from 200 to 399: as target groups are made to match on AWS, so that what is healthy here is so
    /// there.
    Http {
        /// Path and query, beginning with `/`.
        path: String,
    },
    /// A connection can be opened.
    Tcp,
}

/// Who may connect to a load balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Anyone,
    /// Peers within these networks, and the host itself (`127.0.0.1`, `::1`, or a peer whose address is the very
    /// address it connected to). Others are closed without an answer, as a security group would drop them.
    Sources(Vec<Subnet>),
}

/// An IPv4 network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    /// Any address in it.
    pub address: Ipv4Addr,
    /// Length of the network part in bits; more than 32 counts as 32.
    pub prefix: u8,
}

impl Subnet {
    /// Whether `address` lies in the network.
    #[must_use]
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        let host_bits = 32_u32.saturating_sub(u32::from(self.prefix));
        let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
        u32::from(address) & mask == u32::from(self.address) & mask
    }
}

impl Access {
    /// Whether a connection from `peer`, accepted on `local`, may stay.
    #[must_use]
    pub fn admits(&self, peer: IpAddr, local: IpAddr) -> bool {
        let Self::Sources(subnets) = self else { return true };
        let (peer, local) = (peer.to_canonical(), local.to_canonical());
        let loopback = peer == IpAddr::V4(Ipv4Addr::LOCALHOST) || peer == IpAddr::V6(Ipv6Addr::LOCALHOST);
        loopback || peer == local || in_any(subnets, peer)
    }
}

fn in_any(subnets: &[Subnet], peer: IpAddr) -> bool {
    match peer {
        IpAddr::V4(peer) => subnets.iter().any(|subnet| subnet.contains(peer)),
        IpAddr::V6(_) => false,
    }
}

/// One running copy behind a load balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Who it is, unique within its load balancer. A copy started anew is a new id, even at the same address.
    pub id: String,
    /// Where it answers.
    pub ip: IpAddr,
    /// Whether it leaves: it gets no new request or connection, running ones finish.
    pub draining: bool,
    /// Ports that differ from the listener's for this copy (two copies on one address need that).
    pub ports: Vec<PortOverride>,
}

/// "Where a listener says `target_port`, this copy answers on `port`." Holds for probes too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortOverride {
    /// As the listener or the health check names it.
    pub target_port: u16,
    /// Where this copy really answers.
    pub port: u16,
}

/// What is known of a target's health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetHealth {
    /// No verdict yet; gets no requests.
    Initial,
    /// Gets requests, unless it drains.
    Healthy,
    /// Gets no requests.
    Unhealthy {
        /// The last probe's failure, in words.
        reason: String,
    },
}

/// A target as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetStatus {
    /// As given in [`Target::id`].
    pub id: String,
    /// The verdict.
    pub health: TargetHealth,
    /// As given in [`Target::draining`].
    pub draining: bool,
    /// Requests and connections that it is answering.
    pub in_flight: usize,
    /// Why the newest probe failed, if it did: tells while still [`TargetHealth::Initial`] what is being waited for.
    pub last_failure: Option<String>,
}

/// Where a configured address really listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listening {
    /// As configured.
    pub bind: SocketAddr,
    /// As bound: differs from `bind` where that said port 0.
    pub local: SocketAddr,
}

/// What a wait for a draining target came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// It answers nothing any more, or is no target (any more).
    Empty,
    /// Time is up, and this many requests or connections are still running.
    TimedOut {
        /// How many.
        in_flight: usize,
    },
}

/// How a proxy runs.
#[derive(Debug, Clone)]
pub struct ProxySettings {
    /// Threads that carry traffic (one more accepts and probes). 0 counts as 1.
    pub workers: usize,
    /// How long running requests may go on after their listener or the proxy was told to stop.
    pub grace: Duration,
    /// How many connections all load balancers together serve at a time; 0 counts as 1. Who comes then waits. Each costs up to three
    /// files: the client's, its target's, and one that waits for a next request. Requests side by side on one connection
    /// (HTTP/2) count as connections from the second on, for each has a target's.
    pub connections: usize,
    /// Whether what a request says of scheme and port that the client used is believed.
    pub forwarded: Forwarded,
}

/// Whose word counts for `X-Forwarded-Proto` and `X-Forwarded-Port`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Forwarded {
    /// Ours: HTTP, and the port that was connected to.
    #[default]
    Written,
    /// That of the proxy in front, which ended TLS; ours where it says nothing.
    Kept,
}

impl Default for ProxySettings {
    fn default() -> Self {
        Self { workers: 2, grace: Duration::from_secs(30), connections: 4096, forwarded: Forwarded::Written }
    }
}
