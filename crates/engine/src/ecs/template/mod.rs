//! The CloudFormation templates of what lives and dies together: an environment, a load balancer.
//!
//! CloudFormation makes, changes, rolls back and deletes the parts in the right order; we say what is wanted. The same wish
//! gives the same template, byte for byte. A parameter holds its fingerprint, so that what a stack was last made of is known
//! from its description alone.

mod environment;
mod load_balancer;
#[cfg(test)]
mod tests;

use layer0_domain::model::digest::Digest;
use serde_json::{Map, Value, json};

pub(super) use self::environment::{EnvironmentParts, environment, instance_type};
pub(super) use self::load_balancer::{LoadBalancerParts, load_balancer, target_output};
use super::aws::StackWanted;

/// The parameter that holds the fingerprint.
pub(super) const FINGERPRINT: &str = "Fingerprint";

/// Output of an environment's stack: the group that lets its members in.
pub(super) const SECURITY_GROUP: &str = "SecurityGroup";
/// Output of an environment's stack: the group of its members.
pub(super) const MEMBERS: &str = "Members";
/// Output of an environment's stack: the capacity provider of its machines, where it has some.
pub(super) const CAPACITY_PROVIDER: &str = "CapacityProvider";
/// Part of an environment's stack: the role of its machines, where it has some.
pub(super) const MACHINE_ROLE: &str = "MachineRole";
/// Output of a load balancer's stack: its address.
pub(super) const ADDRESS: &str = "Address";
/// Output: the load balancer's ARN; the name of a classic one, which has no other.
pub(super) const BALANCER: &str = "Balancer";

/// A template in the making.
struct Template {
    description: String,
    resources: Map<String, Value>,
    outputs: Map<String, Value>,
}

impl Template {
    fn new(description: String) -> Self {
        Self { description, resources: Map::new(), outputs: Map::new() }
    }

    fn resource(&mut self, name: impl Into<String>, kind: &str, properties: Value) {
        self.resources.insert(name.into(), json!({ "Type": kind, "Properties": properties }));
    }

    /// Has a part made after another one that it does not name, and taken away before it.
    fn after(&mut self, name: &str, other: &str) {
        if let Some(part) = self.resources.get_mut(name) {
            part["DependsOn"] = json!(other);
        }
    }

    fn output(&mut self, name: impl Into<String>, value: Value) {
        self.outputs.insert(name.into(), json!({ "Value": value }));
    }

    /// The stack of that name.
    fn stack(self, name: String, tags: Vec<(String, String)>) -> StackWanted {
        let body = json!({
            "AWSTemplateFormatVersion": "2010-09-09",
            "Description": self.description,
            "Parameters": { FINGERPRINT: { "Type": "String", "Description": "What this stack was last made of." } },
            "Resources": self.resources,
            "Outputs": self.outputs,
        });
        let template = body.to_string();
        let fingerprint = Digest::sha256_of(template.as_bytes()).hex().chars().take(16).collect();
        StackWanted { name, template, parameters: vec![(FINGERPRINT.to_owned(), fingerprint)], tags }
    }
}

/// `{"Ref": name}`.
fn reference(name: &str) -> Value {
    json!({ "Ref": name })
}

/// `{"Fn::GetAtt": [name, attribute]}`.
fn attribute(name: &str, attribute: &str) -> Value {
    json!({ "Fn::GetAtt": [name, attribute] })
}
