//! How a Docker engine is set up. Values come from the server's configuration; nothing here reads the environment.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::networks::subnets::Subnet;
use super::proxy::Forwarded;

/// The socket that Docker listens on when nobody says otherwise.
pub const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";

/// Where networks of environments get their addresses from, unless configured.
///
/// Docker's own pools (172.17.0.0/16 to 172.31.0.0/16 and 192.168.0.0/16) hold about 30 networks; an instance has one
/// for each environment and one for each link. `10.212.0.0/14` holds 1,024 networks of 254 addresses. It lies away from
/// the beginnings of `10/8` (routers, cloud VPCs, Kubernetes' 10.96/12 and 10.244/16), and any part that a Docker network
/// or a route of the host uses already is skipped.
pub const DEFAULT_SUBNET_POOL: Subnet = Subnet::new(Ipv4Addr::new(10, 212, 0, 0), 14);

/// How one [`DockerEngine`](super::DockerEngine) runs.
#[derive(Debug, Clone)]
pub struct DockerConfig {
    /// Where Docker listens: `unix:///path`, `/path` or `tcp://host:port`.
    pub host: String,
    /// The instance; all that is made is labelled `layer0.instance=<instance_id>` and nothing else is ever touched.
    pub instance_id: String,
    /// The address that public load balancers listen on.
    pub lb_bind_public: IpAddr,
    /// The address of public load balancers that users are shown; `None`: the host's primary IPv4 address, which works
    /// on the host and in containers.
    pub public_address: Option<String>,
    /// How long a copy that leaves may take to finish its requests before it is told to stop.
    pub drain_timeout: Duration,
    /// Where networks get their addresses from.
    pub subnet_pool: Subnet,
    /// Threads that carry load balancers' traffic.
    pub proxy_workers: usize,
    /// How many connections load balancers serve at a time, all together; who comes then waits. Each costs up to three files of
    /// those that the process may have.
    pub proxy_connections: usize,
    /// Whether load balancers believe what a request says of the scheme and the port that the client used: only where a
    /// proxy in front ends TLS, and nobody gets past it.
    pub forwarded: Forwarded,
}

impl DockerConfig {
    /// The defaults for an instance.
    #[must_use]
    pub fn new(instance_id: impl Into<String>) -> Self {
        Self {
            host: DEFAULT_HOST.to_owned(),
            instance_id: instance_id.into(),
            lb_bind_public: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            public_address: None,
            drain_timeout: Duration::from_secs(30),
            subnet_pool: DEFAULT_SUBNET_POOL,
            proxy_workers: 2,
            proxy_connections: 4096,
            forwarded: Forwarded::Written,
        }
    }
}
