//! What our things are called on AWS, and the labels that they bear.
//!
//! Names follow from the instance and the entity alone, so that making the same thing again meets what is there instead of
//! doubling it, and so that what is found can be told to whom it belongs without a look into a store.

use layer0_domain::model::id::{DeploymentId, EnvironmentId, LoadBalancerId, ServiceId, TaskId};
use layer0_domain::plan::load_balancer::Form;

/// Which instance made it.
const INSTANCE: &str = "layer0.instance";
/// Which kind of entity it is for.
pub(super) const KIND: &str = "layer0.kind";
/// Which entity it is for.
pub(super) const ENTITY: &str = "layer0.entity";
/// The entity's name, for people who look at the console.
const NAME: &str = "layer0.name";
/// On a task's definition: how many copies were started.
pub(super) const STARTED: &str = "layer0.started";

/// The kind of an environment's things.
pub(super) const ENVIRONMENT: &str = "environment";
/// The kind of a load balancer's things.
pub(super) const LOAD_BALANCER: &str = "load_balancer";
/// The kind of a service's things.
pub(super) const SERVICE: &str = "service";
/// The kind of a task's things.
pub(super) const TASK: &str = "task";

/// The longest name of a load balancer (`CreateLoadBalancer`).
const BALANCER_NAME_MAX: usize = 32;

/// Stands between a service and its deployment in the name of a family. Ids that we make have none.
const DEPLOYMENT_MARK: char = '_';

/// Names and labels of one instance.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: String,
    instance_id: String,
}

impl Names {
    /// Names for an instance; `instance_id` tells it from another one of the same name.
    pub(super) fn new(instance: &str, instance_id: &str) -> Self {
        Self { prefix: format!("l0-{instance}-"), instance_id: instance_id.to_owned() }
    }

    /// What all names begin with.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Cluster, stack and log group of an environment.
    pub(super) fn environment(&self, id: &EnvironmentId) -> String {
        format!("{}{id}", self.prefix)
    }

    /// Stack of a load balancer.
    pub(super) fn load_balancer(&self, id: &LoadBalancerId) -> String {
        format!("{}{id}", self.prefix)
    }

    /// The load balancer itself: as its stack, the instance's name cut where that is too long. One that passes bytes on has
    /// another name than one that reads requests: a listener that makes the one out of the other makes a new load balancer
    /// beside the old one, and no two may have the same name.
    pub(super) fn balancer(&self, id: &LoadBalancerId, form: Form) -> String {
        let end = match form {
            Form::Bytes => format!("{id}-n"),
            Form::Requests | Form::Classic => id.to_string(),
        };
        let name = format!("{}{end}", self.prefix);
        if name.len() <= BALANCER_NAME_MAX {
            return name;
        }
        let room = BALANCER_NAME_MAX.saturating_sub(end.len() + 1);
        let head: String = self.prefix.chars().take(room).collect();
        format!("{}-{end}", head.trim_end_matches('-')).chars().take(BALANCER_NAME_MAX).collect()
    }

    /// A service.
    pub(super) fn service(&self, id: &ServiceId) -> String {
        format!("{}{id}", self.prefix)
    }

    /// The family of a deployment's task definition: one for each, so that the deployment is known by the name alone, and
    /// registering it again after a lost answer makes another revision of the same family.
    pub(super) fn deployment_family(&self, service: &ServiceId, deployment: &DeploymentId) -> String {
        format!("{}{service}{DEPLOYMENT_MARK}{deployment}", self.prefix)
    }

    /// What the families of a service's deployments begin with.
    pub(super) fn service_families(&self, service: &ServiceId) -> String {
        format!("{}{service}{DEPLOYMENT_MARK}", self.prefix)
    }

    /// The family of a task's definition.
    pub(super) fn task_family(&self, id: &TaskId) -> String {
        format!("{}{id}", self.prefix)
    }

    /// What the names of a service's or task's log streams begin with.
    pub(super) fn streams(id: &str) -> String {
        format!("l0/{id}/")
    }

    /// The id in a name of ours; `None` for a name that is not ours.
    pub(super) fn id<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(&self.prefix).filter(|id| !id.is_empty())
    }

    /// The service and the deployment in the name of a family.
    pub(super) fn deployment_of(&self, family: &str) -> Option<(ServiceId, DeploymentId)> {
        let (service, deployment) = self.id(family)?.split_once(DEPLOYMENT_MARK)?;
        Some((ServiceId::parse(service).ok()?, DeploymentId::parse(deployment).ok()?))
    }

    /// The task in the name of a family.
    pub(super) fn task_of(&self, family: &str) -> Option<TaskId> {
        let id = self.id(family)?;
        if id.contains(DEPLOYMENT_MARK) { None } else { TaskId::parse(id).ok() }
    }

    /// The labels of an entity's things.
    pub(super) fn tags(&self, kind: &str, id: &str, name: &str) -> Vec<(String, String)> {
        [(INSTANCE, self.instance_id.as_str()), (KIND, kind), (ENTITY, id), (NAME, name)]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .to_vec()
    }

    /// Whether labels say that it is this instance's.
    pub(super) fn is_ours(&self, tag: impl Fn(&str) -> Option<String>) -> bool {
        tag(INSTANCE).is_some_and(|instance| instance == self.instance_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::new("prod", "prod-0123456789")
    }

    #[test]
    fn a_family_names_the_service_and_the_deployment() {
        let service = ServiceId::parse("web-abcdefghjk").expect("an id");
        let deployment = DeploymentId::parse("app-0123456789").expect("an id");
        let family = names().deployment_family(&service, &deployment);
        assert_eq!(family, "l0-prod-web-abcdefghjk_app-0123456789");
        assert_eq!(names().deployment_of(&family), Some((service, deployment)));
        assert_eq!(names().task_of(&family), None);
        assert_eq!(names().task_of("l0-prod-job-1").map(String::from).as_deref(), Some("job-1"));
        assert_eq!(names().task_of("l0-other-job-1"), None);
    }

    #[test]
    fn a_balancer_has_at_most_32_characters_and_keeps_its_id() {
        let id = LoadBalancerId::parse("frontend-0123456789").expect("an id");
        for instance in ["a", "prod", "production12345"] {
            let of = |form| Names::new(instance, "x").balancer(&id, form);
            assert_ne!(of(Form::Requests), of(Form::Bytes), "one stands beside the other for a while");
            for (name, end) in [(of(Form::Requests), ""), (of(Form::Bytes), "-n"), (of(Form::Classic), "")] {
                assert!(name.len() <= 32 && name.ends_with(&format!("frontend-0123456789{end}")), "{name}");
                assert!(!name.contains("--") && name.starts_with("l0-"), "{name}");
            }
        }
    }
}
