//! Load balancers: what the domain wants, as the [proxy](super::proxy) takes it.
//!
//! A public one listens on the configured address, for everybody. A private one listens on the host's address in its
//! environment's network, for that network, those it is reachable from, and the host: packets from other environments'
//! networks reach that address too (it is the host's own), so the proxy checks where a connection comes from.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::failure::{Failure, FailureClass};
use layer0_domain::model::id::{EnvironmentId, LoadBalancerId, ServiceId};
use layer0_domain::model::listener_rule;
use layer0_domain::model::load_balancer::{Action, LoadBalancer, Port, Probe, Protocol, Visibility};
use layer0_domain::port::engine::{EngineError, LoadBalancerSeen};

use super::client::chain;
use super::proxy::{
    Access, HealthCheck, HealthCheckKind, Holder, Listener, LoadBalancerConfig, Proxy, ProxyError, Rule, Serves,
    Subnet, Target, TargetHealth,
};
use super::services::judge::Traffic;
use super::world::{NetworkUse, World};

/// An address of TEST-NET-3 (RFC 5737): asking the kernel how it would be reached tells the host's primary address, and
/// no packet is sent.
const SOMEWHERE: (Ipv4Addr, u16) = (Ipv4Addr::new(203, 0, 113, 1), 9);

/// Where Linux lists all addresses of the host, with the routes that lead to them.
const ADDRESSES: &str = "/proc/net/fib_trie";

/// The load balancers that were asked for.
pub(super) struct Balancers {
    proxy: Proxy,
    world: Arc<World>,
    bind_public: IpAddr,
    public_address: Option<String>,
    known: Mutex<BTreeMap<LoadBalancerId, Known>>,
    targets: Mutex<BTreeMap<ServiceId, Targets>>,
    /// Held while the proxy is being told.
    turn: tokio::sync::Mutex<()>,
}

struct Known {
    wanted: LoadBalancer,
    reachable_from: Vec<EnvironmentId>,
    address: String,
    problem: Option<Failure>,
}

/// Where a service's copies answer, and behind which load balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Targets {
    balancer: LoadBalancerId,
    targets: Vec<Target>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Balancers {
    pub(super) fn new(proxy: Proxy, world: Arc<World>, bind_public: IpAddr, public_address: Option<String>) -> Self {
        Self {
            proxy,
            world,
            bind_public,
            public_address,
            known: Mutex::default(),
            targets: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// News of targets' health.
    pub(super) fn news(&self) -> tokio::sync::watch::Receiver<u64> {
        self.proxy.changes()
    }

    /// Makes a load balancer as wanted.
    pub(super) async fn ensure(
        &self,
        wanted: LoadBalancer,
        reachable_from: Vec<EnvironmentId>,
    ) -> Result<(), EngineError> {
        let _turn = self.turn.lock().await;
        let id = wanted.id.clone();
        let outdated = lock(&self.known).get(&id).is_some_and(|known| known.wanted.generation > wanted.generation);
        if outdated {
            return Err(EngineError::Outdated { entity: EntityRef::LoadBalancer(id) });
        }
        let address = self.address(&wanted)?;
        let result = self.tell(&wanted, &reachable_from).await;
        if result.is_err() {
            self.probe_without_ports(&wanted, &reachable_from).await;
        }
        let problem = result.as_ref().err().map(|failure| (**failure).clone());
        lock(&self.known).insert(id.clone(), Known { wanted, reachable_from, address, problem });
        self.targets_push(&id);
        result.map_err(|failure| EngineError::Refused { failure })
    }

    /// Tells the proxy again about private load balancers: which networks there are has changed.
    pub(super) async fn networks_changed(&self) {
        let _turn = self.turn.lock().await;
        let private: Vec<(LoadBalancer, Vec<EnvironmentId>)> = lock(&self.known)
            .values()
            .filter(|known| known.wanted.visibility == Visibility::Private)
            .map(|known| (known.wanted.clone(), known.reachable_from.clone()))
            .collect();
        for (wanted, reachable_from) in private {
            let problem = self.tell(&wanted, &reachable_from).await.err().map(|failure| *failure);
            if let Some(known) = lock(&self.known).get_mut(&wanted.id) {
                known.problem = problem;
            }
        }
    }

    async fn tell(&self, wanted: &LoadBalancer, reachable_from: &[EnvironmentId]) -> Result<(), Box<Failure>> {
        let config = self.config(wanted, reachable_from)?;
        self.proxy.ensure(config).await.map_err(|error| Box::new(self.refusal(&error)))
    }

    /// Has the copies of a load balancer probed that has none of its ports: without a word about them they would count as never healthy,
    /// and be taken away one and all for a port that somebody else has.
    async fn probe_without_ports(&self, wanted: &LoadBalancer, reachable_from: &[EnvironmentId]) {
        if self.proxy.status(wanted.id.as_str()).is_some() {
            return;
        }
        let Ok(config) = self.config(wanted, reachable_from) else { return };
        if let Err(error) = self.proxy.ensure(LoadBalancerConfig { listeners: Vec::new(), ..config }).await {
            tracing::debug!("the copies behind {} are not probed: {}", wanted.id, chain(&error));
        }
    }

    /// Users know load balancers by their names.
    fn refusal(&self, error: &ProxyError) -> Failure {
        let ProxyError::PortHeld { address, holder: Holder::LoadBalancer { id } } = error else {
            return refusal(error);
        };
        let holder = lock(&self.known)
            .values()
            .find(|known| known.wanted.id.as_str() == id)
            .map(|known| format!("load balancer `{}` of environment {}", known.wanted.name, known.wanted.environment));
        let holder = holder.unwrap_or_else(|| format!("load balancer {id}"));
        Failure::new(FailureClass::PortTaken, format!("port {} is held by {holder}", address.port()))
    }

    fn config(
        &self,
        wanted: &LoadBalancer,
        reachable_from: &[EnvironmentId],
    ) -> Result<LoadBalancerConfig, Box<Failure>> {
        let bind = match wanted.visibility {
            Visibility::Public => self.bind_public,
            Visibility::Private => IpAddr::V4(self.gateway(&wanted.environment).ok_or_else(|| no_network(wanted))?),
        };
        let access = match wanted.visibility {
            Visibility::Public => Access::Anyone,
            Visibility::Private => {
                let environments = std::iter::once(&wanted.environment).chain(reachable_from);
                let subnets = environments.filter_map(|id| self.subnet(id));
                // The host reaches its own address in a bridge under another of its addresses: Docker's rules for
                // masquerading take what comes from there and leaves by the loopback for traffic to the outside.
                let host = own_addresses(&std::fs::read_to_string(ADDRESSES).unwrap_or_default());
                Access::Sources(subnets.chain(host.into_iter().map(|address| Subnet { address, prefix: 32 })).collect())
            }
        };
        let mut listeners = Vec::new();
        for port in &wanted.ports {
            let bind = vec![SocketAddr::new(bind, port.host_port)];
            listeners.push(Listener { bind, serves: serves(port)? });
        }
        let (kind, port) = match wanted.probe() {
            Some(Probe::Http { port, path }) => (HealthCheckKind::Http { path }, Some(port)),
            Some(Probe::Tcp { port }) => (HealthCheckKind::Tcp, Some(port)),
            None => (HealthCheckKind::Tcp, None),
        };
        let seconds = |count: u32| Duration::from_secs(u64::from(count.max(1)));
        let check = &wanted.health_check;
        Ok(LoadBalancerConfig {
            id: wanted.id.to_string(),
            listeners,
            health_check: HealthCheck {
                kind,
                port,
                interval: seconds(check.interval_s),
                timeout: seconds(check.timeout_s),
                healthy_threshold: check.healthy_threshold.max(1),
                unhealthy_threshold: check.unhealthy_threshold.max(1),
            },
            idle_timeout: seconds(wanted.idle_timeout_s),
            access,
        })
    }

    fn address(&self, wanted: &LoadBalancer) -> Result<String, EngineError> {
        let gateway = self.gateway(&wanted.environment);
        let missing = || EngineError::Missing { entity: EntityRef::Environment(wanted.environment.clone()) };
        match wanted.visibility {
            Visibility::Private => gateway.map(|address| address.to_string()).ok_or_else(missing),
            Visibility::Public => {
                if let Some(address) = &self.public_address {
                    return Ok(address.clone());
                }
                if !self.bind_public.is_unspecified() {
                    return Ok(self.bind_public.to_string());
                }
                primary_address().or(gateway).map(|address| address.to_string()).ok_or_else(missing)
            }
        }
    }

    fn gateway(&self, environment: &EnvironmentId) -> Option<Ipv4Addr> {
        self.world.network(&NetworkUse::Environment(environment.to_string()))?.gateway
    }

    fn subnet(&self, environment: &EnvironmentId) -> Option<Subnet> {
        let subnet = self.world.network(&NetworkUse::Environment(environment.to_string()))?.subnet?;
        Some(Subnet { address: subnet.base(), prefix: subnet.prefix() })
    }

    /// Takes a load balancer away.
    pub(super) async fn remove(&self, id: &LoadBalancerId) {
        let _turn = self.turn.lock().await;
        self.proxy.remove(id.as_str()).await;
        lock(&self.known).remove(id);
    }

    /// Closes all ports for good; returns when nothing runs through them any more.
    pub(super) async fn stop(&self) {
        self.proxy.shutdown().await;
    }

    /// All of them as they are.
    pub(super) fn seen(&self) -> Vec<LoadBalancerSeen> {
        lock(&self.known).values().map(|known| self.seen_of(known)).collect()
    }

    /// One of them as it is.
    pub(super) fn seen_one(&self, id: &LoadBalancerId) -> Option<LoadBalancerSeen> {
        lock(&self.known).get(id).map(|known| self.seen_of(known))
    }

    fn seen_of(&self, known: &Known) -> LoadBalancerSeen {
        let mut listening: Vec<u16> =
            self.proxy.listening(known.wanted.id.as_str()).iter().map(|listening| listening.local.port()).collect();
        listening.sort_unstable();
        listening.dedup();
        LoadBalancerSeen {
            id: known.wanted.id.clone(),
            generation: known.wanted.generation,
            address: known.address.clone(),
            engine_name: String::new(),
            listening,
            problem: known.problem.clone(),
        }
    }

    /// How long a new copy's health checks may fail.
    pub(super) fn patience_ms(&self, id: &LoadBalancerId) -> Option<i64> {
        let known = lock(&self.known);
        let check = &known.get(id)?.wanted.health_check;
        Some(1_000 * i64::from(check.unhealthy_threshold) * i64::from(check.interval_s))
    }

    /// What is known of the targets behind a load balancer, by target.
    pub(super) fn verdicts(&self, id: &LoadBalancerId) -> HashMap<String, Traffic> {
        let status = self.proxy.status(id.as_str()).unwrap_or_default();
        let verdicts = status.into_iter().map(|status| {
            let traffic = match status.health {
                TargetHealth::Initial => Traffic::Unknown(status.last_failure),
                TargetHealth::Healthy => Traffic::Healthy,
                TargetHealth::Unhealthy { reason } => Traffic::Unhealthy(reason),
            };
            (status.id, traffic)
        });
        verdicts.collect()
    }

    /// Says where a service's copies answer. Cheap when nothing changed.
    pub(super) fn targets_set(&self, service: &ServiceId, balancer: Option<&LoadBalancerId>, targets: Vec<Target>) {
        let now = balancer.map(|balancer| Targets { balancer: balancer.clone(), targets });
        let mut all = lock(&self.targets);
        if all.get(service) == now.as_ref() {
            return;
        }
        let before = match now.clone() {
            Some(now) => all.insert(service.clone(), now),
            None => all.remove(service),
        };
        drop(all);
        if let Some(before) = before.filter(|before| Some(&before.balancer) != now.as_ref().map(|now| &now.balancer)) {
            self.targets_push(&before.balancer);
        }
        if let Some(now) = now {
            self.targets_push(&now.balancer);
        }
    }

    /// Forgets a service's copies.
    pub(super) fn targets_drop(&self, service: &ServiceId) {
        self.targets_set(service, None, Vec::new());
    }

    fn targets_push(&self, id: &LoadBalancerId) {
        let all = lock(&self.targets);
        let targets: Vec<Target> =
            all.values().filter(|of| of.balancer == *id).flat_map(|of| of.targets.iter().cloned()).collect();
        // One that is not there (yet) gets its targets when it is made.
        if let Err(error @ ProxyError::Stopped) = self.proxy.targets_set(id.as_str(), &targets) {
            tracing::debug!("targets are not taken any more: {}", chain(&error));
        }
    }

    /// Waits until a draining target has finished its requests.
    pub(super) async fn drained(&self, id: &LoadBalancerId, target: &str, limit: Duration) {
        self.proxy.drained(id.as_str(), target, limit).await;
    }
}

fn serves(port: &Port) -> Result<Serves, Box<Failure>> {
    let refused = |why: &str| Err(Box::new(Failure::new(FailureClass::Other, format!("listener {port}: {why}"))));
    match (port.protocol, &port.action) {
        (Protocol::Http, Action::Redirect { redirect_port }) => Ok(Serves::Redirect { https_port: *redirect_port }),
        (Protocol::Http, Action::Forward { container_port, rules }) => {
            Ok(Serves::Http { target_port: *container_port, rules: rules.iter().map(rule).collect() })
        }
        (Protocol::Tcp, Action::Forward { container_port, .. }) => Ok(Serves::Tcp { target_port: *container_port }),
        (Protocol::Tcp, Action::Redirect { .. }) => refused("bytes can't be redirected"),
        (Protocol::Https | Protocol::Tls, _) => refused("this engine can't end TLS"),
    }
}

fn rule(it: &listener_rule::Rule) -> Rule {
    Rule {
        paths: it.paths().iter().map(|path| path.as_str().to_owned()).collect(),
        hosts: it.hosts().iter().map(|host| host.as_str().to_owned()).collect(),
        target_port: it.container_port(),
    }
}

fn no_network(wanted: &LoadBalancer) -> Box<Failure> {
    let message = format!("environment {} has no network yet", wanted.environment);
    Box::new(Failure::new(FailureClass::Other, message))
}

fn refusal(error: &ProxyError) -> Failure {
    match error {
        ProxyError::PortHeld { .. } | ProxyError::Twice { .. } => {
            Failure::new(FailureClass::PortTaken, error.to_string())
        }
        ProxyError::Bind { address, source } => {
            let mut failure = Failure::new(FailureClass::Other, format!("{error}: {source}"));
            if source.kind() == std::io::ErrorKind::PermissionDenied {
                let port = address.port();
                failure.hint =
                    Some(format!("port {port} needs a privilege that the server does not have; choose one above 1023"));
            }
            failure
        }
        ProxyError::Unknown { .. } | ProxyError::Stopped | ProxyError::Start(_) => {
            Failure::new(FailureClass::Other, chain(error))
        }
    }
}

/// The host's own addresses, out of the text of `/proc/net/fib_trie`: each is a line of its own, followed by the line
/// `/32 host LOCAL`.
fn own_addresses(trie: &str) -> Vec<Ipv4Addr> {
    let mut own = Vec::new();
    let mut last = None;
    for line in trie.lines() {
        if line.contains("/32 host LOCAL") {
            own.extend(last.filter(|address: &Ipv4Addr| !own.contains(address)));
        }
        last = line.trim_start_matches([' ', '|', '-', '+']).parse().ok();
    }
    own
}

/// The address by which the host is reached from outside.
fn primary_address() -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(SOMEWHERE).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(address) if !address.is_unspecified() => Some(address),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use layer0_domain::port::engine::Engine as _;
    use layer0_testkit::until::until_true;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// Sends a request through a load balancer of this proxy; gives the client's end and the target's, which has it.
    async fn request_underway(proxy: &Proxy) -> (TcpStream, TcpStream) {
        let backend = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let target_port = backend.local_addr().expect("bound").port();
        let config = LoadBalancerConfig {
            id: "lb".to_owned(),
            listeners: vec![Listener {
                bind: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))],
                serves: Serves::http(target_port),
            }],
            health_check: HealthCheck {
                kind: HealthCheckKind::Tcp,
                port: None,
                interval: Duration::from_secs(60),
                timeout: Duration::from_secs(5),
                healthy_threshold: 1,
                unhealthy_threshold: 2,
            },
            idle_timeout: Duration::from_secs(60),
            access: Access::Anyone,
        };
        let mut changes = proxy.changes();
        proxy.ensure(config).await.expect("a load balancer");
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let target = Target { id: "copy".to_owned(), ip, draining: false, ports: Vec::new() };
        proxy.targets_set("lb", &[target]).expect("it is there");
        while proxy.status("lb").expect("it is there")[0].health != TargetHealth::Healthy {
            changes.changed().await.expect("the proxy runs");
        }
        let mut client = TcpStream::connect(proxy.listening("lb")[0].local).await.expect("it listens");
        client.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").await.expect("sent");
        loop {
            // Probes say nothing.
            let (mut stream, _) = backend.accept().await.expect("a connection");
            let mut head = [0; 1024];
            if stream.read(&mut head).await.is_ok_and(|count| count > 0) {
                return (client, stream);
            }
        }
    }

    #[tokio::test]
    async fn a_request_that_runs_when_the_engine_stops_gets_its_answer() {
        let engine = crate::docker::without_docker();
        let (mut client, mut target) = request_underway(&engine.shared.balancers.proxy).await;
        let answer = async {
            until_true("the port is closed, since the stop has begun", || async {
                engine.shared.balancers.proxy.ids().is_empty()
            })
            .await;
            target.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone").await.expect("taken");
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.expect("an answer");
            answer
        };
        let ((), answer) = tokio::join!(engine.stop(Duration::from_secs(60)), answer);
        assert!(answer.ends_with("done"), "{answer}");
        assert!(*engine.shared.stop.borrow(), "copies are judged without the verdicts of load balancers");
    }

    #[tokio::test]
    async fn a_stop_of_the_engine_waits_for_no_longer_than_it_may() {
        let engine = crate::docker::without_docker();
        let _underway = request_underway(&engine.shared.balancers.proxy).await;
        let stop = engine.stop(Duration::from_millis(50));
        tokio::time::timeout(Duration::from_secs(10), stop).await.expect("it waits for a request that does not end");
    }

    #[test]
    fn the_host_s_own_addresses_are_read() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     +-- 127.0.0.0/8 2 0 2\n\
                    \x20          |-- 127.0.0.1\n              /32 host LOCAL\n           |-- 127.255.255.255\n\
                    \x20             /32 link BROADCAST\n        |-- 192.0.2.2\n           /32 host LOCAL\n";
        assert_eq!(own_addresses(trie), [Ipv4Addr::LOCALHOST, Ipv4Addr::new(192, 0, 2, 2)]);
    }
}
