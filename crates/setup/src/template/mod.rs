//! The CloudFormation stack that an instance is: the same wishes give the same bytes.
//!
//! ```text
//! network   the VPC with its subnets and ways out, or the one that is there
//! kept      table, secret, log group, bucket, and the wishes themselves
//! rights    what the servers may do in the account, each statement with its reason
//! roles     who has them, and what tasks and machines run with
//! door      the load balancer: who reaches the API, and by which name
//! server    the servers themselves
//! outputs   what others are told of the stack
//! ```

mod door;
mod kept;
mod network;
pub mod outputs;
pub mod rights;
mod roles;
mod server;
#[cfg(test)]
pub(crate) mod tests;

pub use roles::ROLES;

use serde_json::{Map, Value, json};

use crate::image::Architecture;
use crate::instance::{Backing, Instance};

/// The tag that everything of an instance bears which its stack made; its value is the instance's name.
pub const TAG: &str = "layer0.setup";
/// The tag of the task definition that says which version of Layer0 its servers are, and the key in the template's metadata.
pub const VERSION_TAG: &str = "layer0.version";

/// What a stack is made of beside the wishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts<'a> {
    /// The servers' image, pinned by its digest.
    pub image: &'a str,
    /// What the image runs on.
    pub architecture: Architecture,
    /// The account.
    pub account: &'a str,
    /// The version of Layer0 that the image holds.
    pub version: &'a str,
    /// The wishes as they are written, which the stack keeps.
    pub wishes: &'a str,
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

/// The repository of the servers' image. It is made before the stack, which could not start its servers without an image.
#[must_use]
pub fn server_repository(instance: &Instance) -> String {
    format!("{}-server", stack_name(instance))
}

/// The secret that holds the first admin token.
#[must_use]
pub fn admin_token_name(instance: &Instance) -> String {
    format!("{}/admin-token", stack_name(instance))
}

/// The parameter that holds the wishes.
#[must_use]
pub fn wishes_name(instance: &Instance) -> String {
    format!("/{}/instance.toml", stack_name(instance))
}

/// The bucket that holds the registry's bytes, where they lie in S3. Names of buckets are everybody's, so the account is in it.
#[must_use]
pub fn bucket_name(instance: &Instance, account: &str) -> Option<String> {
    (instance.backing == Backing::S3).then(|| format!("{}-{account}", stack_name(instance)))
}

/// The stack's template.
#[must_use]
pub fn stack(instance: &Instance, parts: &Parts<'_>) -> String {
    let mut template = Template { instance, parts, resources: Map::new(), outputs: Map::new() };
    kept::kept(&mut template);
    let network = network::network(&mut template);
    roles::roles(&mut template);
    let door = door::door(&mut template, &network);
    server::server(&mut template, &network, &door);
    outputs::outputs(&mut template, &network);
    let body = json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": format!("Layer0 instance {}", instance.name),
        "Metadata": { VERSION_TAG: parts.version },
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
        json!([{ "Key": "Name", "Value": self.name(name) }, { "Key": TAG, "Value": self.instance.name }])
    }

    /// Tags of what is the servers' own, which are called as the stack is.
    fn own_tags(&self) -> Value {
        json!([{ "Key": "Name", "Value": stack_name(self.instance) }, { "Key": TAG, "Value": self.instance.name }])
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

/// Values with commas between them, some of which CloudFormation fills in.
fn joined(values: &[Value]) -> Value {
    json!({ "Fn::Join": [",", values] })
}
