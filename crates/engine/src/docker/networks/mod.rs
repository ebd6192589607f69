//! Environments and links as networks.
//!
//! An environment is a bridge network of its own; Docker lets no packet pass from one bridge to another. A link of two
//! environments is one more network, which every running copy of both is connected to: so two links A–B and B–C do not
//! join A with C. A link's network is internal: it never gives a copy a default route, which stays with the
//! environment's network.

pub(super) mod subnets;

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use bollard::models::{
    EndpointSettings, Ipam, IpamConfig, Network as NetworkSeen, NetworkConnectRequest, NetworkCreateRequest,
    NetworkDisconnectRequest,
};
use layer0_domain::model::failure::{Failure, FailureClass};
use layer0_domain::model::id::EnvironmentId;
use tokio::sync::Mutex;

use self::subnets::Subnet;
use super::client::{Client, DockerError, START_LIMIT};
use super::labels;
use super::watch::networks_refresh;
use super::world::{Container, Network, NetworkUse, Run, World};

/// The part of the pool that each network gets: 254 addresses.
const NETWORK_PREFIX: u8 = 24;

/// How often another part of the pool is tried when Docker finds the chosen one taken.
const TRIES: usize = 8;

/// Why a network could not be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum NetworkError {
    /// Docker did not do it.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// Nothing is free.
    #[error("{}", .0.message)]
    Full(Box<Failure>),
}

/// Makes and removes networks, one at a time: two made at once could get the same name or the same addresses.
pub(super) struct Networks {
    client: Arc<Client>,
    world: Arc<World>,
    instance: String,
    pool: Subnet,
    one_at_a_time: Mutex<()>,
}

impl Networks {
    pub(super) fn new(client: Arc<Client>, world: Arc<World>, instance: String, pool: Subnet) -> Self {
        Self { client, world, instance, pool, one_at_a_time: Mutex::new(()) }
    }

    /// The network of an environment, made if it is not there.
    pub(super) async fn environment_ensure(&self, id: &EnvironmentId) -> Result<Network, NetworkError> {
        let labels = [
            (labels::KIND, "environment".to_owned()),
            (labels::ENTITY, id.to_string()),
            (labels::ENVIRONMENT, id.to_string()),
        ];
        self.ensure(NetworkUse::Environment(id.to_string()), &labels::network_name(id), &labels).await
    }

    /// The network of a link, made if it is not there.
    pub(super) async fn link_ensure(
        &self,
        one: &EnvironmentId,
        other: &EnvironmentId,
    ) -> Result<Network, NetworkError> {
        let (a, b) = labels::ordered(one, other);
        let labels =
            [(labels::KIND, labels::LINK.to_owned()), (labels::LINK_A, a.to_string()), (labels::LINK_B, b.to_string())];
        self.ensure(NetworkUse::Link(a.to_string(), b.to_string()), &labels::link_name(a, b), &labels).await
    }

    async fn ensure(&self, use_of: NetworkUse, name: &str, labels: &[(&str, String)]) -> Result<Network, NetworkError> {
        if let Some(network) = self.world.network(&use_of) {
            return Ok(network);
        }
        let _turn = self.one_at_a_time.lock().await;
        networks_refresh(&self.client, &self.world, &self.instance).await?;
        if let Some(network) = self.world.network(&use_of) {
            return Ok(network);
        }
        let mut used = self.used().await?;
        for _ in 0..TRIES {
            let Some(subnet) = self.pool.free(NETWORK_PREFIX, &used) else { break };
            match self.create(name, matches!(use_of, NetworkUse::Link(..)), subnet, labels).await {
                Ok(()) => {
                    networks_refresh(&self.client, &self.world, &self.instance).await?;
                    let made = self.world.network(&use_of);
                    return made.ok_or_else(|| {
                        NetworkError::Docker(DockerError::NotFound(format!("the network {name} went away at once")))
                    });
                }
                // Docker found the addresses taken by something that we do not see; the next part then.
                Err(DockerError::Refused { message, .. }) if addresses_taken(&message) => used.push(subnet),
                Err(error) => return Err(error.into()),
            }
        }
        let mut failure = Failure::new(
            FailureClass::NoCapacity,
            format!("no free addresses are left in {} for the network {name}", self.pool),
        );
        failure.hint = Some(
            "remove environments or links that are not needed, or give the server a larger pool of addresses"
                .to_owned(),
        );
        Err(NetworkError::Full(Box::new(failure)))
    }

    /// What Docker's networks and the host's routes take up already.
    async fn used(&self) -> Result<Vec<Subnet>, DockerError> {
        let options = None::<bollard::query_parameters::ListNetworksOptions>;
        let networks = self.client.call(|docker| async move { docker.list_networks(options).await }).await?;
        let mut used: Vec<Subnet> = networks.iter().flat_map(|network| subnets_of(network.ipam.as_ref())).collect();
        let table = tokio::fs::read_to_string("/proc/net/route").await.unwrap_or_default();
        used.extend(subnets::routes(&table));
        Ok(used)
    }

    async fn create(
        &self,
        name: &str,
        internal: bool,
        subnet: Subnet,
        labels: &[(&str, String)],
    ) -> Result<(), DockerError> {
        let mut all = HashMap::from([(labels::INSTANCE.to_owned(), self.instance.clone())]);
        all.extend(labels.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        let config = IpamConfig { subnet: Some(subnet.to_string()), ..IpamConfig::default() };
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".to_owned()),
            internal: Some(internal),
            ipam: Some(Ipam { config: Some(vec![config]), ..Ipam::default() }),
            labels: Some(all),
            ..NetworkCreateRequest::default()
        };
        self.client.call_within(START_LIMIT, |docker| async move { docker.create_network(request).await }).await?;
        Ok(())
    }

    /// Takes a network away; copies that are still connected to a link's are disconnected first.
    pub(super) async fn remove(&self, network: &Network) -> Result<(), DockerError> {
        let _turn = self.one_at_a_time.lock().await;
        if let NetworkUse::Link(a, b) = &network.use_of {
            for container in self.world.containers() {
                // One that was made and not started shows no networks. If it was connected to this one, it could never
                // be started without it.
                let of_them = container.environment == *a || container.environment == *b;
                let may_be_in = of_them && container.owns_network() && container.run == Run::Created;
                if may_be_in || container.networks.contains_key(&network.id) {
                    self.disconnect(network, &container).await?;
                }
            }
        }
        let id = network.id.clone();
        match self.client.call(|docker| async move { docker.remove_network(&id).await }).await {
            Ok(()) | Err(DockerError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
        networks_refresh(&self.client, &self.world, &self.instance).await
    }

    /// Connects a container, made or running; nothing happens when it is connected.
    pub(super) async fn connect(
        &self,
        network: &Network,
        container: &str,
        aliases: Vec<String>,
    ) -> Result<(), DockerError> {
        let endpoint = EndpointSettings { aliases: Some(aliases), ..EndpointSettings::default() };
        let request = NetworkConnectRequest { container: container.to_owned(), endpoint_config: Some(endpoint) };
        let id = network.id.clone();
        match self.client.call(|docker| async move { docker.connect_network(&id, request).await }).await {
            Err(DockerError::Refused { status: 403, message }) if message.contains("already exists in network") => {
                Ok(())
            }
            other => other,
        }
    }

    async fn disconnect(&self, network: &Network, container: &Container) -> Result<(), DockerError> {
        let request = NetworkDisconnectRequest { container: container.id.clone(), force: Some(true) };
        let id = network.id.clone();
        match self.client.call(|docker| async move { docker.disconnect_network(&id, request).await }).await {
            // Gone, or being taken away.
            Ok(()) | Err(DockerError::NotFound(_) | DockerError::Conflict(_)) => Ok(()),
            Err(DockerError::Refused { status: 403 | 500, message }) if message.contains("not connected") => Ok(()),
            other => other,
        }
    }
}

/// Whether Docker's refusal to make a network means that its addresses are taken. Docker has no code of its own for it.
fn addresses_taken(message: &str) -> bool {
    message.contains("Pool overlaps with other one on this address space")
        || message.contains("conflicts with network")
        || message.contains("networks have overlapping")
}

/// What the mirror keeps of a network that Docker lists; `None` for one that is none of ours.
pub(super) fn network_of(seen: NetworkSeen) -> Option<Network> {
    let labels = seen.labels.as_ref()?;
    let use_of = match labels.get(labels::KIND)?.as_str() {
        "environment" => NetworkUse::Environment(labels.get(labels::ENTITY)?.clone()),
        labels::LINK => NetworkUse::Link(labels.get(labels::LINK_A)?.clone(), labels.get(labels::LINK_B)?.clone()),
        _ => return None,
    };
    let configs = seen.ipam.as_ref().and_then(|ipam| ipam.config.as_deref()).unwrap_or_default();
    let subnet = subnets_of(seen.ipam.as_ref()).into_iter().next();
    let gateway = configs.iter().find_map(|config| config.gateway.as_deref()?.parse().ok());
    // Docker gives a bridge the first address of its network when none was asked for.
    let first = subnet.map(|subnet| Ipv4Addr::from_bits(subnet.base().to_bits() + 1));
    Some(Network { id: seen.id?, use_of, gateway: gateway.or(first), subnet })
}

fn subnets_of(ipam: Option<&Ipam>) -> Vec<Subnet> {
    let configs = ipam.and_then(|ipam| ipam.config.as_deref()).unwrap_or_default();
    configs.iter().filter_map(|config| config.subnet.as_deref()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_s_words_for_taken_addresses_are_known() {
        // Docker 20.10.24.
        assert!(addresses_taken("Pool overlaps with other one on this address space"));
        assert!(!addresses_taken("network with name l0-x already exists"));
    }
}
