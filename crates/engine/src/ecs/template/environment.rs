//! An environment: cluster, security groups, log group; with machines of its own also launch template, auto scaling group and
//! capacity provider.
//!
//! All that stands in an environment is in two security groups: `Members`, which has no rule and says who belongs to the
//! environment, and `SecurityGroup`, which lets members in, and members of the environments that are linked to this one. So
//! all rules are in one resource, which CloudFormation changes as a whole; a group that lets itself in would need a resource
//! of its own for each rule.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use layer0_domain::model::environment::Environment;
use layer0_domain::model::id::EnvironmentId;
use serde_json::{Value, json};

use super::{CAPACITY_PROVIDER, MACHINE_ROLE, MEMBERS, SECURITY_GROUP, Template, attribute, reference};
use crate::ecs::aws::StackWanted;
use crate::ecs::config::EcsConfig;
use crate::ecs::names::{self, Names};

/// Machines for environments that name no type: the smallest that runs a few containers.
const INSTANCE_TYPE: &str = "t3.small";

/// The image of the machines when none is named: what AWS recommends for ECS now ("Retrieving Amazon ECS-optimized Linux
/// AMI metadata").
const AMI: &str = "{{resolve:ssm:/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id}}";

/// Marks in a start script that stand for the cluster's name, as users of the predecessor write them.
const CLUSTER_MARKS: [&str; 2] = ["{{ .ECSEnvironmentID }}", "{{.ECSEnvironmentID}}"];

/// What an environment's stack is made of.
pub(in crate::ecs) struct EnvironmentParts<'a> {
    /// The account.
    pub(in crate::ecs) config: &'a EcsConfig,
    /// Names and labels.
    pub(in crate::ecs) names: &'a Names,
    /// The environment.
    pub(in crate::ecs) environment: &'a Environment,
    /// The members groups of the environments that may reach it.
    pub(in crate::ecs) reachable_from: &'a [(EnvironmentId, String)],
}

/// The stack of an environment.
pub(in crate::ecs) fn environment(parts: &EnvironmentParts<'_>) -> StackWanted {
    let EnvironmentParts { config, names, environment, reachable_from } = *parts;
    let name = names.environment(&environment.id);
    let mut template = Template::new(format!("Layer0 environment {}", environment.name));
    let has_machines = environment.scale > 0;
    let mut cluster = json!({
        "ClusterName": name,
        "ClusterSettings": [{ "Name": "containerInsights", "Value": "disabled" }],
    });
    // With machines an association names all providers; naming them twice would let each undo the other.
    if !has_machines {
        cluster["CapacityProviders"] = json!(FARGATE);
    }
    template.resource("Cluster", "AWS::ECS::Cluster", cluster);
    template.resource(
        "LogGroup",
        "AWS::Logs::LogGroup",
        json!({ "LogGroupName": name, "RetentionInDays": config.log_days }),
    );
    template.resource(
        MEMBERS,
        "AWS::EC2::SecurityGroup",
        json!({
            "GroupName": format!("{name}-members"),
            "GroupDescription": format!("Members of Layer0 environment {}", environment.name),
            "VpcId": config.vpc,
        }),
    );
    let mut rules = vec![ingress(attribute(MEMBERS, "GroupId"))];
    rules.extend(reachable_from.iter().map(|(_, members)| ingress(json!(members))));
    template.resource(
        SECURITY_GROUP,
        "AWS::EC2::SecurityGroup",
        json!({
            "GroupName": format!("{name}-env"),
            "GroupDescription": format!("Layer0 environment {}", environment.name),
            "VpcId": config.vpc,
            "SecurityGroupIngress": rules,
        }),
    );
    template.output(MEMBERS, attribute(MEMBERS, "GroupId"));
    template.output(SECURITY_GROUP, attribute(SECURITY_GROUP, "GroupId"));
    if has_machines {
        machines(&mut template, parts, &name);
    }
    template.stack(name, names.tags(names::ENVIRONMENT, environment.id.as_str(), environment.name.as_str()))
}

/// The capacity providers that every cluster may use.
const FARGATE: [&str; 2] = ["FARGATE", "FARGATE_SPOT"];

/// All traffic from the members of an environment.
fn ingress(members: Value) -> Value {
    json!({ "IpProtocol": "-1", "SourceSecurityGroupId": members })
}

/// The type of an environment's machines.
pub(in crate::ecs) fn instance_type(environment: &Environment) -> &str {
    if environment.instance_type.is_empty() { INSTANCE_TYPE } else { &environment.instance_type }
}

fn machines(template: &mut Template, parts: &EnvironmentParts<'_>, name: &str) {
    let EnvironmentParts { config, environment, .. } = *parts;
    let profile = match &config.machine_profile {
        Some(name) => json!({ "Name": name }),
        None => machine_profile(template),
    };
    let kind = instance_type(environment);
    let ami = if environment.ami_id.is_empty() { AMI } else { &environment.ami_id };
    template.resource(
        "LaunchTemplate",
        "AWS::EC2::LaunchTemplate",
        json!({
            "LaunchTemplateData": {
                "ImageId": ami,
                "InstanceType": kind,
                "IamInstanceProfile": profile,
                "SecurityGroupIds": [attribute(MEMBERS, "GroupId"), attribute(SECURITY_GROUP, "GroupId")],
                "MetadataOptions": { "HttpTokens": "required" },
                "UserData": user_data(environment, name),
            },
        }),
    );
    template.resource(
        "Machines",
        "AWS::AutoScaling::AutoScalingGroup",
        json!({
            "MinSize": environment.scale.to_string(),
            // Room for a rolling update, which for a while runs twice as many copies.
            "MaxSize": environment.scale.saturating_mul(2).to_string(),
            "VPCZoneIdentifier": config.private_subnets,
            "LaunchTemplate": {
                "LaunchTemplateId": reference("LaunchTemplate"),
                "Version": attribute("LaunchTemplate", "LatestVersionNumber"),
            },
        }),
    );
    // Their start script has the cluster's name as text, which CloudFormation does not see. A cluster with machines in it can't be
    // deleted (`ClusterContainsContainerInstancesException`).
    template.after("Machines", "Cluster");
    template.resource(
        CAPACITY_PROVIDER,
        "AWS::ECS::CapacityProvider",
        json!({
            "AutoScalingGroupProvider": {
                "AutoScalingGroupArn": reference("Machines"),
                "ManagedScaling": { "Status": "ENABLED", "TargetCapacity": 100 },
                "ManagedDraining": "ENABLED",
                "ManagedTerminationProtection": "DISABLED",
            },
        }),
    );
    let providers: Vec<Value> = FARGATE.iter().map(|it| json!(it)).chain([reference(CAPACITY_PROVIDER)]).collect();
    template.resource(
        "Providers",
        "AWS::ECS::ClusterCapacityProviderAssociations",
        json!({
            "Cluster": reference("Cluster"),
            "CapacityProviders": providers,
            "DefaultCapacityProviderStrategy": [],
        }),
    );
    template.output(CAPACITY_PROVIDER, reference(CAPACITY_PROVIDER));
}

/// A profile with a role of the environment's own.
fn machine_profile(template: &mut Template) -> Value {
    let assume = json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Principal": { "Service": "ec2.amazonaws.com" }, "Action": "sts:AssumeRole" }],
    });
    // The machines pull from ECR and talk to ECS with this role; no Docker credential is ever put on them.
    template.resource(
        MACHINE_ROLE,
        "AWS::IAM::Role",
        json!({
            "AssumeRolePolicyDocument": assume,
            "ManagedPolicyArns": [
                { "Fn::Sub": "arn:${AWS::Partition}:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role" },
            ],
        }),
    );
    template.resource("MachineProfile", "AWS::IAM::InstanceProfile", json!({ "Roles": [reference(MACHINE_ROLE)] }));
    json!({ "Arn": attribute("MachineProfile", "Arn") })
}

/// The machines' start script, base64. A script of the user's own is used as it is, but for the marks that stand for the
/// cluster's name; one that is no base64 was refused when the environment was made, and is passed on as it is.
fn user_data(environment: &Environment, cluster: &str) -> String {
    let given = &environment.user_data_template;
    if given.is_empty() {
        return BASE64_STANDARD.encode(format!("#!/bin/bash\necho ECS_CLUSTER={cluster} >> /etc/ecs/ecs.config\n"));
    }
    let Some(script) = BASE64_STANDARD.decode(given).ok().and_then(|bytes| String::from_utf8(bytes).ok()) else {
        return given.clone();
    };
    BASE64_STANDARD.encode(CLUSTER_MARKS.iter().fold(script, |script, mark| script.replace(mark, cluster)))
}
