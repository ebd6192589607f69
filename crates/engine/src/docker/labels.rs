//! Names and labels of what we make. Everything bears the instance's label; only what bears it is ever touched.
//!
//! Names follow from entity, copy and container, so that making the same thing again conflicts with what is there
//! instead of doubling it.

use std::collections::HashMap;

use layer0_domain::model::id::{CopyId, EnvironmentId};

/// Which instance made it.
pub(super) const INSTANCE: &str = "layer0.instance";
/// What it is for: see [`OwnerKind`]; networks also `environment` and `link`.
pub(super) const KIND: &str = "layer0.kind";
/// The entity that it belongs to.
pub(super) const ENTITY: &str = "layer0.entity";
/// The entity's name, under which its copies are found.
pub(super) const NAME: &str = "layer0.name";
/// The environment that it is in.
pub(super) const ENVIRONMENT: &str = "layer0.environment";
/// The deployment that a service's copy runs.
pub(super) const DEPLOYMENT: &str = "layer0.deployment";
/// The copy.
pub(super) const COPY: &str = "layer0.copy";
/// The container's name in the task definition; missing on the pause container.
pub(super) const CONTAINER: &str = "layer0.container";
/// `app` or `pause`.
pub(super) const ROLE: &str = "layer0.role";
/// `true` when the copy ends with this container.
pub(super) const ESSENTIAL: &str = "layer0.essential";
/// How many containers of the task definition the copy has.
pub(super) const SIZE: &str = "layer0.size";
/// How many of these are essential.
pub(super) const ESSENTIALS: &str = "layer0.essentials";
/// The kind of a network that joins two environments.
pub(super) const LINK: &str = "link";
/// The kind of a volume that outlives the copies that use it.
pub(super) const SHARED_VOLUME: &str = "shared-volume";
/// The two environments of a link's network.
pub(super) const LINK_A: &str = "layer0.link.a";
/// See [`LINK_A`].
pub(super) const LINK_B: &str = "layer0.link.b";

/// The kinds of entities that have containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum OwnerKind {
    /// A service.
    Service,
    /// A task.
    Task,
}

impl OwnerKind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            OwnerKind::Service => "service",
            OwnerKind::Task => "task",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [OwnerKind::Service, OwnerKind::Task].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// The id of copy `number` of an entity. `None` only for an entity whose own id is nearly as long as an id may be.
pub(super) fn copy_id(entity: &str, number: u32) -> Option<CopyId> {
    CopyId::parse(&format!("{entity}-{number}")).ok()
}

/// The number in a copy's id.
pub(super) fn copy_number(entity: &str, copy: &str) -> Option<u32> {
    copy.strip_prefix(entity)?.strip_prefix('-')?.parse().ok()
}

/// The name of a container.
pub(super) fn container_name(entity: &str, number: u32, container: &str) -> String {
    format!("l0-{entity}-{number}-{container}")
}

/// The name of a copy's pause container. `.` is in no container's name, so it clashes with none.
pub(super) fn pause_name(entity: &str, number: u32) -> String {
    format!("l0-{entity}-{number}.pause")
}

/// The name of a copy's own volume.
pub(super) fn volume_name(entity: &str, number: u32, volume: &str) -> String {
    format!("l0-{entity}-{number}-{volume}")
}

/// The name of an environment's network.
pub(super) fn network_name(environment: &EnvironmentId) -> String {
    format!("l0-{environment}")
}

/// The name of the network that joins two environments, whichever is named first.
pub(super) fn link_name(one: &EnvironmentId, other: &EnvironmentId) -> String {
    let (a, b) = ordered(one, other);
    format!("l0-link-{a}-{b}")
}

/// The two in their one order.
pub(super) fn ordered<'a>(one: &'a EnvironmentId, other: &'a EnvironmentId) -> (&'a EnvironmentId, &'a EnvironmentId) {
    if one <= other { (one, other) } else { (other, one) }
}

/// Docker's filter for all that bears these labels.
pub(super) fn filter(labels: &[(&str, &str)]) -> HashMap<String, Vec<String>> {
    let wanted = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    HashMap::from([("label".to_owned(), wanted)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_s_number_comes_back_out_of_its_id() {
        let id = copy_id("web-0123456789", 12).expect("a short id");
        assert_eq!(copy_number("web-0123456789", id.as_str()), Some(12));
        assert_eq!(copy_number("web", id.as_str()), None);
    }

    #[test]
    fn a_link_has_one_name() {
        let (a, b) = (EnvironmentId::parse("a").expect("an id"), EnvironmentId::parse("b").expect("an id"));
        assert_eq!(link_name(&a, &b), "l0-link-a-b");
        assert_eq!(link_name(&b, &a), "l0-link-a-b");
    }
}
