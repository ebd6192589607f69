//! What a stack can be made of: one file for each service. To make, to change and to delete a thing are functions that do it
//! at once or say why not, in the words that CloudFormation gives as a status reason.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::wire::Input;
use super::super::world::World;
use super::stack::Stack;

mod balancing;
mod classic;
mod clusters;
mod conditions;
mod instances;
mod security;
mod simple;

pub(crate) use clusters::instances_set;

/// The types that the fake knows.
pub(super) const KINDS: [&str; 17] = [
    "AWS::ECS::Cluster",
    "AWS::ECS::ClusterCapacityProviderAssociations",
    "AWS::ECS::CapacityProvider",
    "AWS::EC2::SecurityGroup",
    "AWS::EC2::SecurityGroupIngress",
    "AWS::EC2::SecurityGroupEgress",
    "AWS::EC2::LaunchTemplate",
    "AWS::AutoScaling::AutoScalingGroup",
    "AWS::ElasticLoadBalancingV2::LoadBalancer",
    "AWS::ElasticLoadBalancingV2::TargetGroup",
    "AWS::ElasticLoadBalancingV2::Listener",
    "AWS::ElasticLoadBalancingV2::ListenerRule",
    "AWS::ElasticLoadBalancing::LoadBalancer",
    "AWS::Logs::LogGroup",
    "AWS::IAM::Role",
    "AWS::IAM::InstanceProfile",
    "AWS::CloudFormation::WaitConditionHandle",
];

/// Where in a stack a thing is made.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) stack: String,
    pub(super) logical: String,
    /// The tags that the stack gives to it.
    tags: BTreeMap<String, String>,
}

impl Place {
    pub(super) fn new(stack: &Stack, logical: &str) -> Self {
        let mut tags = stack.tags.clone();
        for (key, value) in [
            ("aws:cloudformation:stack-name", stack.name.as_str()),
            ("aws:cloudformation:stack-id", &stack.arn),
            ("aws:cloudformation:logical-id", logical),
        ] {
            tags.insert(key.to_owned(), value.to_owned());
        }
        Self { stack: stack.name.clone(), logical: logical.to_owned(), tags }
    }

    /// The tags of a thing: its own, those of the stack, and CloudFormation's.
    fn tags(&self, properties: &Value) -> BTreeMap<String, String> {
        let mut tags = self.tags.clone();
        tags.extend(
            properties.list("Tags").iter().filter_map(|tag| {
                Some((tag.text("Key")?.to_owned(), tag.text("Value").unwrap_or_default().to_owned()))
            }),
        );
        tags
    }

    /// A name that CloudFormation makes up.
    fn name(&self, world: &mut World, limit: usize) -> String {
        let random = world.hex(12).to_ascii_uppercase();
        let stem = format!("{}-{}", self.stack, self.logical);
        let stem: String = stem.chars().take(limit.saturating_sub(random.len() + 1)).collect();
        format!("{stem}-{random}")
    }

    /// The name that a property gives, or one that is made up.
    fn named(&self, world: &mut World, properties: &Value, key: &str, limit: usize) -> String {
        match properties.text(key) {
            Some(name) => name.to_owned(),
            None => self.name(world, limit),
        }
    }
}

/// What a change of properties comes to.
pub(super) enum Change {
    /// The thing was changed; its attributes, if they are others now.
    InPlace(Option<Value>),
    /// Another has to take its place.
    Replace,
}

/// What was made: its physical id and its attributes.
type Made = Result<(String, Value), String>;

/// Makes a thing.
pub(super) fn create(world: &mut World, place: &Place, kind: &str, properties: &Value) -> Made {
    match kind {
        "AWS::ECS::Cluster" => clusters::create(world, place, properties),
        "AWS::ECS::ClusterCapacityProviderAssociations" => clusters::associate(world, properties),
        "AWS::ECS::CapacityProvider" => instances::provider_create(world, place, properties),
        "AWS::EC2::SecurityGroup" => security::create(world, place, properties),
        "AWS::EC2::SecurityGroupIngress" => security::rule_create(world, properties, false),
        "AWS::EC2::SecurityGroupEgress" => security::rule_create(world, properties, true),
        "AWS::EC2::LaunchTemplate" => instances::template_create(world, place, properties),
        "AWS::AutoScaling::AutoScalingGroup" => instances::group_create(world, place, properties),
        "AWS::ElasticLoadBalancingV2::LoadBalancer" => balancing::balancer_create(world, place, properties),
        "AWS::ElasticLoadBalancingV2::TargetGroup" => balancing::group_create(world, place, properties),
        "AWS::ElasticLoadBalancingV2::Listener" => balancing::listener_create(world, properties),
        "AWS::ElasticLoadBalancingV2::ListenerRule" => balancing::rule_create(world, properties),
        "AWS::ElasticLoadBalancing::LoadBalancer" => classic::create(world, place, properties),
        "AWS::Logs::LogGroup" => simple::log_group_create(world, place, properties),
        "AWS::IAM::Role" => simple::role_create(world, place, properties),
        "AWS::IAM::InstanceProfile" => simple::profile_create(world, place, properties),
        "AWS::CloudFormation::WaitConditionHandle" => Ok((place.name(world, 255), json!({}))),
        other => Err(format!("the fake does not know the type {other}")),
    }
}

/// Changes a thing.
pub(super) fn update(
    world: &mut World,
    place: &Place,
    kind: &str,
    physical: &str,
    before: &Value,
    after: &Value,
) -> Result<Change, String> {
    let differs = |keys: &[&str]| keys.iter().any(|key| before.get(*key) != after.get(*key));
    match kind {
        "AWS::ECS::Cluster" if differs(&["ClusterName"]) => Ok(Change::Replace),
        "AWS::ECS::Cluster" => clusters::update(world, place, physical, after),
        "AWS::ECS::ClusterCapacityProviderAssociations" if differs(&["Cluster"]) => Ok(Change::Replace),
        "AWS::ECS::ClusterCapacityProviderAssociations" => {
            clusters::associate(world, after).map(|_| Change::InPlace(None))
        }
        "AWS::ECS::CapacityProvider" if differs(&["Name"]) => Ok(Change::Replace),
        "AWS::ECS::CapacityProvider" => instances::provider_update(world, physical, after),
        "AWS::EC2::SecurityGroup" if differs(&["GroupName", "GroupDescription", "VpcId"]) => Ok(Change::Replace),
        "AWS::EC2::SecurityGroup" => security::update(world, place, physical, before, after),
        "AWS::EC2::LaunchTemplate" if differs(&["LaunchTemplateName"]) => Ok(Change::Replace),
        "AWS::EC2::LaunchTemplate" => Ok(instances::template_update(world, physical)),
        "AWS::AutoScaling::AutoScalingGroup" if differs(&["AutoScalingGroupName"]) => Ok(Change::Replace),
        "AWS::AutoScaling::AutoScalingGroup" => instances::group_update(world, physical, after),
        "AWS::ElasticLoadBalancingV2::LoadBalancer" if differs(&["Name", "Scheme", "Type"]) => Ok(Change::Replace),
        "AWS::ElasticLoadBalancingV2::LoadBalancer" => balancing::balancer_update(world, place, physical, after),
        "AWS::ElasticLoadBalancingV2::TargetGroup" if differs(&["Name", "Port", "Protocol", "TargetType", "VpcId"]) => {
            Ok(Change::Replace)
        }
        "AWS::ElasticLoadBalancingV2::TargetGroup" => balancing::group_update(world, place, physical, after),
        "AWS::ElasticLoadBalancingV2::Listener" if differs(&["LoadBalancerArn"]) => Ok(Change::Replace),
        "AWS::ElasticLoadBalancingV2::Listener" => balancing::listener_update(world, physical, after),
        "AWS::ElasticLoadBalancingV2::ListenerRule" if differs(&["ListenerArn"]) => Ok(Change::Replace),
        "AWS::ElasticLoadBalancingV2::ListenerRule" => balancing::rule_update(world, physical, after),
        "AWS::ElasticLoadBalancing::LoadBalancer" if differs(&["LoadBalancerName", "Scheme"]) => Ok(Change::Replace),
        "AWS::ElasticLoadBalancing::LoadBalancer" => classic::update(world, physical, after),
        "AWS::Logs::LogGroup" if differs(&["LogGroupName"]) => Ok(Change::Replace),
        "AWS::Logs::LogGroup" => Ok(simple::log_group_update(world, physical, after)),
        "AWS::IAM::Role" if differs(&["RoleName"]) => Ok(Change::Replace),
        "AWS::IAM::Role" => Ok(simple::role_update(world, physical, after)),
        // Rules of security groups, instance profiles: another takes their place.
        _ => Ok(Change::Replace),
    }
}

/// Deletes a thing. One that is not there is deleted already.
pub(super) fn delete(world: &mut World, kind: &str, physical: &str, properties: &Value) -> Result<(), String> {
    match kind {
        "AWS::ECS::Cluster" => clusters::delete(world, physical),
        "AWS::ECS::ClusterCapacityProviderAssociations" => {
            clusters::dissociate(world, physical);
            Ok(())
        }
        "AWS::ECS::CapacityProvider" => instances::provider_delete(world, physical),
        "AWS::EC2::SecurityGroup" => security::delete(world, physical),
        "AWS::EC2::SecurityGroupIngress" => security::rule_delete(world, properties, false),
        "AWS::EC2::SecurityGroupEgress" => security::rule_delete(world, properties, true),
        "AWS::EC2::LaunchTemplate" => {
            world.ec2.launch_templates.remove(physical);
            Ok(())
        }
        "AWS::AutoScaling::AutoScalingGroup" => {
            world.ec2.scaling_groups.remove(physical);
            clusters::instances_count(world);
            Ok(())
        }
        "AWS::ElasticLoadBalancingV2::LoadBalancer" => {
            balancing::balancer_delete(world, physical);
            Ok(())
        }
        "AWS::ElasticLoadBalancingV2::TargetGroup" => balancing::group_delete(world, physical),
        "AWS::ElasticLoadBalancingV2::Listener" => {
            balancing::listener_delete(world, physical);
            Ok(())
        }
        "AWS::ElasticLoadBalancingV2::ListenerRule" => {
            balancing::rule_delete(world, physical);
            Ok(())
        }
        "AWS::ElasticLoadBalancing::LoadBalancer" => {
            world.classic.remove(physical);
            Ok(())
        }
        "AWS::Logs::LogGroup" => {
            world.logs.groups.remove(physical);
            Ok(())
        }
        "AWS::IAM::Role" => simple::role_delete(world, physical),
        "AWS::IAM::InstanceProfile" => {
            world.iam.profiles.remove(physical);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// A property that must be there.
fn required<'a>(properties: &'a Value, key: &str) -> Result<&'a str, String> {
    properties.text(key).ok_or_else(|| format!("Properties validation failed: required key [{key}] not found"))
}

/// `ContainerInsights` to `containerInsights`, all the way down: CloudFormation's spelling to ECS's.
fn camel(value: &Value) -> Value {
    match value {
        Value::Array(list) => list.iter().map(camel).collect(),
        Value::Object(members) => {
            let lower = |key: &String| {
                let mut letters = key.chars();
                letters
                    .next()
                    .map_or_else(String::new, |first| format!("{}{}", first.to_ascii_lowercase(), letters.as_str()))
            };
            Value::Object(members.iter().map(|(key, value)| (lower(key), camel(value))).collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}
