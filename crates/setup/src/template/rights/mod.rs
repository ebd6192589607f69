//! What the servers of an instance may do in its account: each statement with its reason, which goes into the documentation.
//!
//! Nothing is allowed on things of others where AWS lets names or tags say whose they are: names begin with `l0-<name>-`, the tag
//! `layer0.instance` with `<name>-`, and no instance's name has a `-`. What is called `l0-<name>` alone is the servers' own
//! (cluster, service, log, stack), and they can't touch it but for the table. Where a statement has `*`, its reason is beside it.

mod actions;
#[cfg(test)]
mod tests;

use layer0_domain::model::image_map::{EcrHost, MapRule};
use serde_json::{Value, json};

use self::actions::{
    BALANCERS_CHANGED, BALANCERS_MADE, CLUSTERS, DEFINITIONS, GROUPS_CHANGED, LAYERS, LISTS, LOGS, LOOKS, MACHINES,
    MAPPED, OBJECTS, PART_LOOKS, PARTS_NAMED, REGISTRY, REPOSITORIES, ROLE_LOOKS, SERVICES, STACKS, STATE, UPLOADS,
};
use super::stack_name;
use crate::instance::{Backing, Instance, Network};

/// Some actions on some resources, and what for.
#[derive(Debug, Clone, PartialEq)]
pub struct Right {
    /// Its `Sid`.
    pub name: &'static str,
    /// What it is for, in a sentence.
    pub why: &'static str,
    /// `service:Action`, each written out; a family of reads may end with `*`.
    pub actions: &'static [&'static str],
    /// ARNs, with the partition, region and account as pseudo parameters of CloudFormation.
    pub resources: Vec<String>,
    /// Under which conditions.
    pub condition: Option<Value>,
    /// Why it is on `*`, where it is.
    pub open: Option<&'static str>,
}

impl Right {
    fn new(name: &'static str, why: &'static str, actions: &'static [&'static str], resources: Vec<String>) -> Self {
        Self { name, why, actions, resources, condition: None, open: None }
    }

    /// On everything, for this reason.
    fn open(name: &'static str, why: &'static str, actions: &'static [&'static str], reason: &'static str) -> Self {
        Self { open: Some(reason), ..Self::new(name, why, actions, vec!["*".to_owned()]) }
    }

    fn when(self, condition: Value) -> Self {
        Self { condition: Some(condition), ..self }
    }

    /// The statement of a policy.
    #[must_use]
    pub fn statement(&self) -> Value {
        let resources: Vec<Value> = self
            .resources
            .iter()
            .map(|resource| if resource.contains("${") { json!({ "Fn::Sub": resource }) } else { json!(resource) })
            .collect();
        let mut statement =
            json!({ "Sid": self.name, "Effect": "Allow", "Action": self.actions, "Resource": resources });
        if let Some(condition) = &self.condition {
            statement["Condition"] = condition.clone();
        }
        statement
    }
}

/// An ARN in the instance's account and region.
fn here(service: &str, resource: &str) -> String {
    format!("arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{resource}")
}

/// A role. IAM knows no regions.
fn role(name: &str) -> String {
    format!("arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role/{name}")
}

/// What the names of task roles begin with that a deploy may name.
#[must_use]
pub fn task_roles(instance: &Instance) -> String {
    format!("{}-task-", stack_name(instance))
}

/// All that the servers may do.
#[must_use]
pub fn rights(instance: &Instance) -> Vec<Right> {
    let mut all = state_and_services(instance);
    all.extend(registry(instance));
    all.extend(looks(instance));
    all.extend(passing(instance));
    all.extend(parts(instance));
    all
}

fn state_and_services(instance: &Instance) -> Vec<Right> {
    let mine = format!("{}-*", stack_name(instance));
    let kinds = ["service", "task", "container-instance", "service-deployment", "service-revision"];
    let mut services: Vec<String> = kinds.map(|kind| here("ecs", &format!("{kind}/{mine}/*"))).into();
    services.push(here("ecs", &format!("task-definition/{mine}")));
    vec![
        Right::new(
            "State",
            "The state of the instance: one table.",
            STATE,
            vec![here("dynamodb", &format!("table/{}", stack_name(instance)))],
        ),
        Right::new(
            "Stacks",
            "An environment and a load balancer are a stack each, by which they come, change and go as a whole.",
            STACKS,
            vec![here("cloudformation", &format!("stack/{mine}/*"))],
        ),
        Right::new(
            "Services",
            "Services and tasks in the clusters of the instance's environments.",
            SERVICES,
            services,
        ),
        Right::open(
            "Lists",
            "What services and tasks a cluster has.",
            LISTS,
            "lists know no resource; the condition names the clusters",
        )
        .when(json!({ "ArnLike": { "ecs:cluster": { "Fn::Sub": here("ecs", &format!("cluster/{mine}")) } } })),
        Right::open(
            "Definitions",
            "Task definitions are looked at, and taken back when nothing runs of them.",
            DEFINITIONS,
            "ECS judges these calls without a resource",
        ),
        Right::new(
            "Logs",
            "The logs of what runs; CloudWatch keeps them in a group for each environment.",
            LOGS,
            vec![here("logs", &format!("log-group:{mine}"))],
        ),
    ]
}

fn registry(instance: &Instance) -> Vec<Right> {
    let mut all = match instance.backing {
        Backing::Ecr => {
            let repositories = here("ecr", &format!("repository/{}/*", stack_name(instance)));
            vec![
                Right::new(
                    "Repositories",
                    "The repositories behind the instance's registry, with their settings and policies.",
                    REPOSITORIES,
                    vec![repositories.clone()],
                ),
                Right::new(
                    "Images",
                    "What is pushed to the instance's registry and pulled from it goes through the servers.",
                    LAYERS,
                    vec![repositories],
                ),
                Right::open(
                    "Registry",
                    "A token for ECR, and which repositories there are.",
                    REGISTRY,
                    "a token is of no repository, and a list is of all",
                ),
            ]
        }
        Backing::S3 => {
            let bucket = format!("arn:${{AWS::Partition}}:s3:::{}-${{AWS::AccountId}}", stack_name(instance));
            vec![
                Right::new("Objects", "The bytes of the instance's registry.", OBJECTS, vec![format!("{bucket}/*")]),
                Right::new(
                    "Bucket",
                    "Which of them there are, and which uploads nobody finished.",
                    UPLOADS,
                    vec![bucket],
                ),
            ]
        }
    };
    let mapped: Vec<String> = instance.image_map.iter().filter_map(mapped).collect();
    if !mapped.is_empty() {
        all.push(Right::new(
            "MappedImages",
            "The pull check looks at images that the image map names, before anything is started of them.",
            MAPPED,
            mapped,
        ));
    }
    all
}

/// The repositories in ECR that a rule of the image map leads to.
fn mapped(rule: &MapRule) -> Option<String> {
    let (host, path) = rule.target().split_once('/').unwrap_or((rule.target(), ""));
    let host = EcrHost::parse(host)?;
    let path = path.trim_matches('/');
    Some(host.repository_arn(&if path.is_empty() { "*".to_owned() } else { format!("{path}/*") }))
}

fn looks(instance: &Instance) -> Vec<Right> {
    let mine = format!("{}-*", stack_name(instance));
    vec![
        Right::open(
            "Looks",
            "What the pull check, the history of changes and the looks at load balancers read; stacks are looked for by their names.",
            LOOKS,
            "none of these reads knows a resource; stacks are listed all at once",
        ),
        Right::new(
            "Account",
            "Where the account stands in its organization, which policies of repositories may ask for.",
            &["organizations:ListParents"],
            vec!["arn:${AWS::Partition}:organizations::*:account/o-*/${AWS::AccountId}".to_owned()],
        ),
        Right::new(
            "OwnRoles",
            "The pull check reads the roles that tasks run with, and whether the servers may hand them on.",
            ROLE_LOOKS,
            vec![role(&mine)],
        ),
        Right::new(
            "Policies",
            "The managed policies of those roles.",
            &["iam:GetPolicy", "iam:GetPolicyVersion"],
            vec![
                "arn:${AWS::Partition}:iam::aws:policy/*".to_owned(),
                "arn:${AWS::Partition}:iam::${AWS::AccountId}:policy/*".to_owned(),
            ],
        ),
    ]
}

/// The servers' own two roles are not among them: what they start never has the rights of a server.
fn passing(instance: &Instance) -> Vec<Right> {
    let name = stack_name(instance);
    let to = |service: &str| json!({ "StringEquals": { "iam:PassedToService": service } });
    vec![
        Right::new(
            "PassToTasks",
            "Tasks get the instance's execution role, and roles that are called `l0-<name>-task-…`.",
            &["iam:PassRole"],
            vec![role(&format!("{name}-execution")), role(&format!("{}*", task_roles(instance)))],
        )
        .when(to("ecs-tasks.amazonaws.com")),
        Right::new(
            "PassToMachines",
            "The machines of environments get the instance's one role for machines.",
            &["iam:PassRole"],
            vec![role(&format!("{name}-machine"))],
        )
        .when(to("ec2.amazonaws.com")),
        Right::new(
            "FirstMachine",
            "The first Auto Scaling group of an account needs the role that AWS has for all of them.",
            &["iam:CreateServiceLinkedRole"],
            vec![role("aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling")],
        )
        .when(json!({ "StringEquals": { "iam:AWSServiceName": "autoscaling.amazonaws.com" } })),
    ]
}

/// What CloudFormation does for the stacks of environments and load balancers, in the servers' name and in no other way.
fn parts(instance: &Instance) -> Vec<Right> {
    let mine = format!("{}-*", stack_name(instance));
    let tag = format!("{}-*", instance.name);
    let by_stack = || json!({ "ForAnyValue:StringEquals": { "aws:CalledVia": "cloudformation.amazonaws.com" } });
    let and = |more: Value| {
        let mut condition = by_stack();
        if let (Some(condition), Value::Object(more)) = (condition.as_object_mut(), more) {
            condition.extend(more);
        }
        condition
    };
    let tagged = and(json!({ "StringLike": { "aws:ResourceTag/layer0.instance": tag } }));
    let vpc = match &instance.network {
        Network::New { .. } => "${Vpc}",
        Network::Given { vpc, .. } => vpc,
    };
    let groups = here("ec2", "security-group/*");
    let scaling = "autoScalingGroup:*:autoScalingGroupName";
    vec![
        Right::new(
            "Clusters",
            "The cluster, the log and the capacity of an environment, through its stack alone.",
            CLUSTERS,
            vec![
                here("ecs", &format!("cluster/{mine}")),
                here("ecs", &format!("capacity-provider/{mine}")),
                here("logs", &format!("log-group:{mine}")),
                here("autoscaling", &format!("{scaling}/{mine}")),
            ],
        )
        .when(by_stack()),
        Right::new(
            "Groups",
            "Security groups are made in the instance's VPC alone, through stacks.",
            &["ec2:CreateSecurityGroup"],
            vec![groups.clone(), here("ec2", &format!("vpc/{vpc}"))],
        )
        .when(by_stack()),
        Right::new(
            "TagsOfNew",
            "What is new gets its tags as it is made.",
            &["ec2:CreateTags"],
            vec![here("ec2", "*/*")],
        )
        .when(and(json!({ "StringEquals": {
            "ec2:CreateAction": ["CreateSecurityGroup", "CreateLaunchTemplate", "RunInstances"],
        } }))),
        Right::new(
            "GroupsChanged",
            "Security groups of the instance, which its tag tells, are changed and go.",
            GROUPS_CHANGED,
            vec![groups],
        )
        .when(tagged.clone()),
        Right::open(
            "Machines",
            "Launch templates and the machines that are made of them.",
            MACHINES,
            "launch templates have ids that nobody knows before, and CloudFormation puts no tags on them; a machine is made of many parts",
        )
        .when(by_stack()),
        Right::new(
            "BalancersMade",
            "Load balancers, target groups, listeners and rules are made with the instance's tag.",
            BALANCERS_MADE,
            vec![here("elasticloadbalancing", "*")],
        )
        .when(and(json!({ "StringLike": { "aws:RequestTag/layer0.instance": tag } }))),
        Right::new(
            "BalancersChanged",
            "Those of the instance, which its tag tells, are changed and go.",
            BALANCERS_CHANGED,
            vec![here("elasticloadbalancing", "*")],
        )
        .when(tagged),
        Right::new(
            "MachineImage",
            "Which image AWS recommends for machines of ECS.",
            PARTS_NAMED,
            vec!["arn:${AWS::Partition}:ssm:${AWS::Region}::parameter/aws/service/ecs/*".to_owned()],
        )
        .when(by_stack()),
        Right::open(
            "PartLooks",
            "What CloudFormation reads while it works at a stack.",
            PART_LOOKS,
            "none of these reads knows a resource",
        )
        .when(by_stack()),
    ]
}
