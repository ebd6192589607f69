//! What the servers of an instance may do in its account: each statement with its reason, which goes into the documentation.
//!
//! Nothing is allowed on things of others where AWS lets names or tags say whose they are. Actions that only read and know no
//! resources need `*`.

use serde_json::{Value, json};

use super::stack_name;
use crate::instance::Instance;

/// Some actions on some resources, and what for.
#[derive(Debug, Clone, PartialEq)]
pub struct Right {
    /// Its `Sid`.
    pub name: &'static str,
    /// What it is for, in a sentence.
    pub why: &'static str,
    /// `service:Action`, each written out.
    pub actions: &'static [&'static str],
    /// ARNs, with the partition, region and account as pseudo parameters of CloudFormation.
    pub resources: Vec<String>,
    /// Under which conditions.
    pub condition: Option<Value>,
}

impl Right {
    /// The statement of a policy.
    pub(super) fn statement(&self) -> Value {
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

/// An ARN of IAM, which knows no regions.
fn role(name: &str) -> String {
    format!("arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role/{name}")
}

fn everything() -> Vec<String> {
    vec!["*".to_owned()]
}

/// All that the servers may do.
#[must_use]
pub fn rights(instance: &Instance) -> Vec<Right> {
    let mine = format!("{}-*", stack_name(instance));
    let table = here("dynamodb", &format!("table/{}", stack_name(instance)));
    let repositories = here("ecr", &format!("repository/{}/*", stack_name(instance)));
    let called_by_stack = json!({ "ForAnyValue:StringEquals": { "aws:CalledVia": "cloudformation.amazonaws.com" } });
    let right = |name, why, actions, resources| Right { name, why, actions, resources, condition: None };
    let mut all = vec![
        right("State", "The state of the instance: one table.", STATE, vec![table]),
        right(
            "Stacks",
            "An environment and a load balancer are a stack each, by which they come, change and go as a whole.",
            STACKS,
            vec![here("cloudformation", &format!("stack/{mine}/*"))],
        ),
        right(
            "Services",
            "Services and tasks in the clusters of the instance's environments.",
            SERVICES,
            ["service", "task", "container-instance", "service-deployment", "service-revision"]
                .map(|kind| here("ecs", &format!("{kind}/{mine}/*")))
                .into_iter()
                .chain([here("ecs", &format!("cluster/{mine}")), here("ecs", &format!("task-definition/{mine}:*"))])
                .collect(),
        ),
        right(
            "Definitions",
            "Task definitions know no names when they are registered, listed or taken back.",
            DEFINITIONS,
            everything(),
        ),
        right(
            "Logs",
            "The logs of what runs; CloudWatch keeps them in a group for each environment.",
            LOGS,
            vec![here("logs", &format!("log-group:{mine}")), here("logs", &format!("log-group:{mine}:*"))],
        ),
        right(
            "Registry",
            "The repositories behind the instance's registry, their images and their policies.",
            REPOSITORIES,
            vec![repositories],
        ),
        right("RegistryOfAll", "A token for ECR, and what ECR says of the whole registry.", REGISTRY, everything()),
        right(
            "Looks",
            "What the pull check and the looks at load balancers read; none of these knows a resource.",
            LOOKS,
            everything(),
        ),
        right(
            "OwnRoles",
            "The pull check reads the roles that tasks run with.",
            ROLE_LOOKS,
            vec![role("*"), "arn:${AWS::Partition}:iam::*:policy/*".to_owned()],
        ),
    ];
    all.push(Right {
        name: "PassRoles",
        why: "Tasks get the instance's execution role, and task roles under the instance's name; machines theirs.",
        actions: &["iam:PassRole"],
        resources: vec![role(&format!("{mine}"))],
        condition: Some(json!({ "StringEquals": {
            "iam:PassedToService": ["ecs-tasks.amazonaws.com", "ec2.amazonaws.com"],
        } })),
    });
    all.push(Right {
        name: "PartsOfStacks",
        why: "What environments and load balancers are made of, through their stacks alone.",
        actions: PARTS,
        resources: everything(),
        condition: Some(called_by_stack.clone()),
    });
    all.push(Right {
        name: "RolesOfMachines",
        why: "The role of an environment's machines, through its stack alone.",
        actions: MACHINE_ROLES,
        resources: vec![
            role(&mine),
            format!("arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:instance-profile/{mine}"),
        ],
        condition: Some(called_by_stack),
    });
    all
}

const STATE: &[&str] = &[
    "dynamodb:BatchGetItem",
    "dynamodb:BatchWriteItem",
    "dynamodb:ConditionCheckItem",
    "dynamodb:DeleteItem",
    "dynamodb:DescribeTable",
    "dynamodb:DescribeTimeToLive",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:UpdateItem",
];

const STACKS: &[&str] = &[
    "cloudformation:CreateStack",
    "cloudformation:DeleteStack",
    "cloudformation:DescribeStackEvents",
    "cloudformation:DescribeStackResources",
    "cloudformation:DescribeStacks",
    "cloudformation:UpdateStack",
];

const SERVICES: &[&str] = &[
    "ecs:CreateService",
    "ecs:DeleteService",
    "ecs:DescribeContainerInstances",
    "ecs:DescribeServiceDeployments",
    "ecs:DescribeServiceRevisions",
    "ecs:DescribeServices",
    "ecs:DescribeTasks",
    "ecs:ListServiceDeployments",
    "ecs:ListServices",
    "ecs:ListTasks",
    "ecs:RunTask",
    "ecs:StopServiceDeployment",
    "ecs:StopTask",
    "ecs:TagResource",
    "ecs:UpdateService",
];

const DEFINITIONS: &[&str] = &[
    "ecs:DeleteTaskDefinitions",
    "ecs:DeregisterTaskDefinition",
    "ecs:DescribeTaskDefinition",
    "ecs:ListTaskDefinitionFamilies",
    "ecs:ListTaskDefinitions",
    "ecs:RegisterTaskDefinition",
];

const LOGS: &[&str] = &["logs:DeleteLogStream", "logs:DescribeLogStreams", "logs:FilterLogEvents", "logs:GetLogEvents"];

const REPOSITORIES: &[&str] = &[
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchDeleteImage",
    "ecr:BatchGetImage",
    "ecr:CompleteLayerUpload",
    "ecr:CreateRepository",
    "ecr:DeleteRepository",
    "ecr:DeleteRepositoryPolicy",
    "ecr:DescribeImages",
    "ecr:GetDownloadUrlForLayer",
    "ecr:GetRepositoryPolicy",
    "ecr:InitiateLayerUpload",
    "ecr:ListImages",
    "ecr:ListTagsForResource",
    "ecr:PutImage",
    "ecr:SetRepositoryPolicy",
    "ecr:TagResource",
    "ecr:UploadLayerPart",
];

const REGISTRY: &[&str] =
    &["ecr:DescribeRepositories", "ecr:GetAccountSetting", "ecr:GetAuthorizationToken", "ecr:GetRegistryPolicy"];

const LOOKS: &[&str] = &[
    "cloudtrail:LookupEvents",
    "ec2:DescribeRouteTables",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcEndpoints",
    "elasticloadbalancing:DescribeInstanceHealth",
    "elasticloadbalancing:DescribeTargetHealth",
    "organizations:DescribeOrganization",
    "organizations:ListParents",
    "sts:GetCallerIdentity",
];

const ROLE_LOOKS: &[&str] = &[
    "iam:GetPolicy",
    "iam:GetPolicyVersion",
    "iam:GetRole",
    "iam:GetRolePolicy",
    "iam:ListAttachedRolePolicies",
    "iam:ListRolePolicies",
    "iam:SimulatePrincipalPolicy",
];

/// What CloudFormation calls for an environment and a load balancer (`crates/engine/src/ecs/template`).
const PARTS: &[&str] = &[
    "autoscaling:CreateAutoScalingGroup",
    "autoscaling:CreateOrUpdateTags",
    "autoscaling:DeleteAutoScalingGroup",
    "autoscaling:DescribeAutoScalingGroups",
    "autoscaling:DescribeScalingActivities",
    "autoscaling:UpdateAutoScalingGroup",
    "ec2:AuthorizeSecurityGroupEgress",
    "ec2:AuthorizeSecurityGroupIngress",
    "ec2:CreateLaunchTemplate",
    "ec2:CreateLaunchTemplateVersion",
    "ec2:CreateSecurityGroup",
    "ec2:CreateTags",
    "ec2:DeleteLaunchTemplate",
    "ec2:DeleteSecurityGroup",
    "ec2:DescribeLaunchTemplateVersions",
    "ec2:DescribeLaunchTemplates",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "ec2:RevokeSecurityGroupEgress",
    "ec2:RevokeSecurityGroupIngress",
    "ec2:RunInstances",
    "ecs:CreateCapacityProvider",
    "ecs:CreateCluster",
    "ecs:DeleteCapacityProvider",
    "ecs:DeleteCluster",
    "ecs:DescribeCapacityProviders",
    "ecs:DescribeClusters",
    "ecs:PutClusterCapacityProviders",
    "ecs:TagResource",
    "ecs:UpdateCapacityProvider",
    "ecs:UpdateCluster",
    "elasticloadbalancing:AddTags",
    "elasticloadbalancing:ConfigureHealthCheck",
    "elasticloadbalancing:CreateListener",
    "elasticloadbalancing:CreateLoadBalancer",
    "elasticloadbalancing:CreateLoadBalancerListeners",
    "elasticloadbalancing:CreateRule",
    "elasticloadbalancing:CreateTargetGroup",
    "elasticloadbalancing:DeleteListener",
    "elasticloadbalancing:DeleteLoadBalancer",
    "elasticloadbalancing:DeleteLoadBalancerListeners",
    "elasticloadbalancing:DeleteRule",
    "elasticloadbalancing:DeleteTargetGroup",
    "elasticloadbalancing:DescribeListeners",
    "elasticloadbalancing:DescribeLoadBalancers",
    "elasticloadbalancing:DescribeRules",
    "elasticloadbalancing:DescribeTags",
    "elasticloadbalancing:DescribeTargetGroupAttributes",
    "elasticloadbalancing:DescribeTargetGroups",
    "elasticloadbalancing:ModifyListener",
    "elasticloadbalancing:ModifyLoadBalancerAttributes",
    "elasticloadbalancing:ModifyRule",
    "elasticloadbalancing:ModifyTargetGroup",
    "elasticloadbalancing:ModifyTargetGroupAttributes",
    "elasticloadbalancing:SetSecurityGroups",
    "elasticloadbalancing:SetSubnets",
    "logs:CreateLogGroup",
    "logs:DeleteLogGroup",
    "logs:DescribeLogGroups",
    "logs:PutRetentionPolicy",
    "logs:TagResource",
    "ssm:GetParameters",
];

/// What CloudFormation calls for the role of machines.
const MACHINE_ROLES: &[&str] = &[
    "iam:AddRoleToInstanceProfile",
    "iam:AttachRolePolicy",
    "iam:CreateInstanceProfile",
    "iam:CreateRole",
    "iam:DeleteInstanceProfile",
    "iam:DeleteRole",
    "iam:DetachRolePolicy",
    "iam:GetInstanceProfile",
    "iam:GetRole",
    "iam:RemoveRoleFromInstanceProfile",
];
