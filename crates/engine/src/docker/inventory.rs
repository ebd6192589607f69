//! Everything that Docker has of this instance, whoever it was made for: what a sweep decides on.
//!
//! Docker is asked anew, since the mirror knows only what it could read: a container whose labels are not all there, and every
//! volume, is in no mirror.

use std::collections::HashMap;

use bollard::query_parameters::{ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder};
use layer0_domain::model::entity::{EntityKind, EntityRef};
use layer0_domain::port::thing::Thing;

use super::Shared;
use super::client::DockerError;
use super::labels;

type Labels = HashMap<String, String>;

/// Containers that run and that ended, networks, volumes, and the load balancers of this process.
pub(super) async fn inventory(shared: &Shared) -> Result<Vec<Thing>, DockerError> {
    let mut things = containers(shared).await?;
    things.extend(networks(shared).await?);
    things.extend(volumes(shared).await?);
    things.extend(shared.balancers.seen().into_iter().map(|seen| {
        let ports: Vec<String> = seen.listening.iter().map(ToString::to_string).collect();
        let state =
            if ports.is_empty() { "not listening".to_owned() } else { format!("listening on {}", ports.join(", ")) };
        Thing::of("load balancer", seen.id.as_str(), state, EntityRef::LoadBalancer(seen.id.clone()))
    }));
    Ok(things)
}

async fn containers(shared: &Shared) -> Result<Vec<Thing>, DockerError> {
    let filter = labels::filter(&[(labels::INSTANCE, &shared.instance)]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filter).build();
    let list = shared.client.call(|docker| async move { docker.list_containers(Some(options)).await }).await?;
    let containers = list.into_iter().map(|seen| {
        let name = seen.names.unwrap_or_default().into_iter().next().or(seen.id).unwrap_or_default();
        Thing {
            what: "container",
            name: name.trim_start_matches('/').to_owned(),
            state: seen.state.map(|state| state.to_string()).unwrap_or_default(),
            made_for: owner(seen.labels.as_ref()).into_iter().collect(),
            hindrance: None,
        }
    });
    Ok(containers.collect())
}

async fn networks(shared: &Shared) -> Result<Vec<Thing>, DockerError> {
    let filter = labels::filter(&[(labels::INSTANCE, &shared.instance)]);
    let options = ListNetworksOptionsBuilder::new().filters(&filter).build();
    let list = shared.client.call(|docker| async move { docker.list_networks(Some(options)).await }).await?;
    let networks = list.into_iter().map(|seen| Thing {
        what: "network",
        name: seen.name.or(seen.id).unwrap_or_default(),
        state: String::new(),
        made_for: both_ends(seen.labels.as_ref()),
        hindrance: None,
    });
    Ok(networks.collect())
}

/// The copies' own volumes. One that is shared is data that outlives the tasks that use it: its user takes it away.
async fn volumes(shared: &Shared) -> Result<Vec<Thing>, DockerError> {
    let filter = labels::filter(&[(labels::INSTANCE, &shared.instance)]);
    let options = ListVolumesOptionsBuilder::new().filters(&filter).build();
    let list = shared.client.call(|docker| async move { docker.list_volumes(Some(options)).await }).await?;
    let volumes = list.volumes.unwrap_or_default().into_iter();
    let own = volumes.filter(|seen| seen.labels.get(labels::KIND).is_none_or(|kind| kind != labels::SHARED_VOLUME));
    Ok(own
        .map(|seen| Thing {
            what: "volume",
            name: seen.name,
            state: String::new(),
            made_for: owner(Some(&seen.labels)).into_iter().collect(),
            hindrance: None,
        })
        .collect())
}

/// The service, task or environment that labels name.
fn owner(labels: Option<&Labels>) -> Option<EntityRef> {
    let labels = labels?;
    let kind = EntityKind::parse(labels.get(labels::KIND)?)?;
    EntityRef::from_parts(kind, labels.get(labels::ENTITY)?).ok()
}

/// The environment of a network, or both that a link's network joins; none when one of them can't be read.
fn both_ends(labels: Option<&Labels>) -> Vec<EntityRef> {
    let end = |key: &str| EntityRef::from_parts(EntityKind::Environment, labels?.get(key)?).ok();
    match labels.and_then(|labels| labels.get(labels::KIND)).map(String::as_str) {
        Some(labels::LINK) => match (end(labels::LINK_A), end(labels::LINK_B)) {
            (Some(a), Some(b)) => vec![a, b],
            _ => Vec::new(),
        },
        _ => owner(labels).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn labels_say_whom_a_thing_is_for() {
        let of = |pairs: &[(&str, &str)]| -> Vec<String> {
            both_ends(Some(&labels(pairs))).iter().map(ToString::to_string).collect()
        };
        assert_eq!(of(&[(labels::KIND, "service"), (labels::ENTITY, "web-1")]), ["service `web-1`"]);
        assert_eq!(of(&[(labels::KIND, "environment"), (labels::ENTITY, "dev-1")]), ["environment `dev-1`"]);
        let link = [(labels::KIND, labels::LINK), (labels::LINK_A, "a"), (labels::LINK_B, "b")];
        assert_eq!(of(&link), ["environment `a`", "environment `b`"]);
        assert_eq!(of(&link[..2]), [""; 0], "a link with one end belongs to nobody that we know");
        assert_eq!(of(&[(labels::KIND, "thing"), (labels::ENTITY, "web-1")]), [""; 0]);
        assert_eq!(of(&[(labels::KIND, "service"), (labels::ENTITY, "No Id")]), [""; 0]);
    }
}
