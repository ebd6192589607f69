//! The CloudFormation stack that an instance is: the same wishes give the same bytes.
//!
//! ```text
//! network   the VPC with its subnets and ways out, or the one that is there
//! rights    what the servers may do in the account, each statement with its reason
//! server    table, secret, log group, load balancer, and the servers themselves
//! ```

mod network;
pub mod rights;
mod server;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use crate::instance::Instance;

/// Output: where the API answers.
pub const ENDPOINT: &str = "Endpoint";
/// Output: the ARN of the secret that holds the first admin token.
pub const ADMIN_TOKEN: &str = "AdminToken";

/// What a stack is made of beside the wishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts<'a> {
    /// The servers' image, pinned by its digest.
    pub image: &'a str,
    /// The account.
    pub account: &'a str,
}

/// A template in the making.
struct Template<'a> {
    instance: &'a Instance,
    parts: &'a Parts<'a>,
    resources: Map<String, Value>,
    outputs: Map<String, Value>,
}

/// The stack's name, and the beginning of all names in it.
#[must_use]
pub fn stack_name(instance: &Instance) -> String {
    format!("l0-{}", instance.name)
}

/// The stack's template.
#[must_use]
pub fn stack(instance: &Instance, parts: &Parts<'_>) -> String {
    let mut template = Template { instance, parts, resources: Map::new(), outputs: Map::new() };
    let network = network::network(&mut template);
    server::server(&mut template, &network);
    let body = json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": format!("Layer0 instance {}", instance.name),
        "Resources": template.resources,
        "Outputs": template.outputs,
    });
    body.to_string()
}

impl Template<'_> {
    /// A name in the account.
    fn name(&self, of: &str) -> String {
        format!("{}-{of}", stack_name(self.instance))
    }

    /// Tags, with a name to be shown by.
    fn tags(&self, name: &str) -> Value {
        json!([{ "Key": "Name", "Value": self.name(name) }, { "Key": "layer0.setup", "Value": self.instance.name }])
    }

    fn resource(&mut self, name: impl Into<String>, kind: &str, properties: Value) {
        self.resources.insert(name.into(), json!({ "Type": kind, "Properties": properties }));
    }

    /// One that outlives the stack: what it holds is not made again.
    fn kept(&mut self, name: &str, kind: &str, properties: Value) {
        self.resource(name, kind, properties);
        self.resources[name]["DeletionPolicy"] = json!("Retain");
        self.resources[name]["UpdateReplacePolicy"] = json!("Retain");
    }

    /// Says what must be there before, where no reference says it.
    fn after(&mut self, name: &str, before: &[&str]) {
        self.resources[name]["DependsOn"] = json!(before);
    }

    fn output(&mut self, name: &str, value: Value) {
        self.outputs.insert(name.to_owned(), json!({ "Value": value }));
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

/// `{"Fn::Sub": text}`.
fn substituted(text: impl Into<String>) -> Value {
    json!({ "Fn::Sub": text.into() })
}
