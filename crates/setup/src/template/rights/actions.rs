//! The actions of each right. A test finds the calls in the code that need them, and that no action is without one.

pub(super) const STATE: &[&str] = &[
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

pub(super) const STACKS: &[&str] = &[
    "cloudformation:CreateStack",
    "cloudformation:DeleteStack",
    "cloudformation:DescribeStackEvents",
    "cloudformation:DescribeStackResources",
    "cloudformation:UpdateStack",
];

pub(super) const SERVICES: &[&str] = &[
    "ecs:CreateService",
    "ecs:DeleteService",
    "ecs:DeleteTaskDefinitions",
    "ecs:DescribeContainerInstances",
    "ecs:DescribeServiceDeployments",
    "ecs:DescribeServiceRevisions",
    "ecs:DescribeServices",
    "ecs:DescribeTasks",
    "ecs:ListServiceDeployments",
    "ecs:RegisterTaskDefinition",
    "ecs:RunTask",
    "ecs:StopServiceDeployment",
    "ecs:StopTask",
    "ecs:TagResource",
    "ecs:UpdateService",
];

pub(super) const LISTS: &[&str] = &["ecs:ListServices", "ecs:ListTasks"];

pub(super) const DEFINITIONS: &[&str] = &[
    "ecs:DeregisterTaskDefinition",
    "ecs:DescribeTaskDefinition",
    "ecs:ListTaskDefinitionFamilies",
    "ecs:ListTaskDefinitions",
];

pub(super) const LOGS: &[&str] =
    &["logs:DeleteLogStream", "logs:DescribeLogStreams", "logs:FilterLogEvents", "logs:GetLogEvents"];

pub(super) const REPOSITORIES: &[&str] = &[
    "ecr:BatchDeleteImage",
    "ecr:CreateRepository",
    "ecr:DeleteRepository",
    "ecr:DeleteRepositoryPolicy",
    "ecr:DescribeImages",
    "ecr:GetLifecyclePolicy",
    "ecr:GetRepositoryPolicy",
    "ecr:ListImages",
    "ecr:ListTagsForResource",
    "ecr:PutLifecyclePolicy",
    "ecr:SetRepositoryPolicy",
    "ecr:TagResource",
];

/// What ECR asks of whoever speaks the protocol of registries with it ("IAM permissions for pushing", "… for pulling").
pub(super) const LAYERS: &[&str] = &[
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:CompleteLayerUpload",
    "ecr:GetDownloadUrlForLayer",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
];

pub(super) const REGISTRY: &[&str] = &["ecr:DescribeRepositories", "ecr:GetAuthorizationToken"];

pub(super) const MAPPED: &[&str] = &[
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:DescribeImages",
    "ecr:GetDownloadUrlForLayer",
    "ecr:GetRepositoryPolicy",
];

pub(super) const OBJECTS: &[&str] =
    &["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"];

pub(super) const UPLOADS: &[&str] = &["s3:ListBucket", "s3:ListBucketMultipartUploads"];

pub(super) const LOOKS: &[&str] = &[
    "cloudformation:DescribeStacks",
    "cloudtrail:LookupEvents",
    "ec2:DescribeRouteTables",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcEndpoints",
    "ecr:DescribePullThroughCacheRules",
    "ecr:GetAccountSetting",
    "ecr:GetRegistryPolicy",
    "elasticloadbalancing:DescribeInstanceHealth",
    "elasticloadbalancing:DescribeTargetHealth",
    "organizations:DescribeOrganization",
];

pub(super) const ROLE_LOOKS: &[&str] = &[
    "iam:GetRole",
    "iam:GetRolePolicy",
    "iam:ListAttachedRolePolicies",
    "iam:ListRolePolicies",
    "iam:SimulatePrincipalPolicy",
];

pub(super) const CLUSTERS: &[&str] = &[
    "autoscaling:CreateAutoScalingGroup",
    "autoscaling:CreateOrUpdateTags",
    "autoscaling:DeleteAutoScalingGroup",
    "autoscaling:DeleteTags",
    "autoscaling:UpdateAutoScalingGroup",
    "ecs:CreateCapacityProvider",
    "ecs:CreateCluster",
    "ecs:DeleteCapacityProvider",
    "ecs:DeleteCluster",
    "ecs:DescribeCapacityProviders",
    "ecs:DescribeClusters",
    "ecs:ListTagsForResource",
    "ecs:PutClusterCapacityProviders",
    "ecs:TagResource",
    "ecs:UntagResource",
    "ecs:UpdateCapacityProvider",
    "ecs:UpdateCluster",
    "logs:CreateLogGroup",
    "logs:DeleteLogGroup",
    "logs:ListTagsForResource",
    "logs:PutRetentionPolicy",
    "logs:TagResource",
    "logs:UntagResource",
];

pub(super) const GROUPS_CHANGED: &[&str] = &[
    "ec2:AuthorizeSecurityGroupEgress",
    "ec2:AuthorizeSecurityGroupIngress",
    "ec2:CreateTags",
    "ec2:DeleteSecurityGroup",
    "ec2:DeleteTags",
    "ec2:RevokeSecurityGroupEgress",
    "ec2:RevokeSecurityGroupIngress",
];

pub(super) const MACHINES: &[&str] =
    &["ec2:CreateLaunchTemplate", "ec2:CreateLaunchTemplateVersion", "ec2:DeleteLaunchTemplate", "ec2:RunInstances"];

pub(super) const BALANCERS_MADE: &[&str] = &[
    "elasticloadbalancing:AddTags",
    "elasticloadbalancing:CreateListener",
    "elasticloadbalancing:CreateLoadBalancer",
    "elasticloadbalancing:CreateRule",
    "elasticloadbalancing:CreateTargetGroup",
];

pub(super) const BALANCERS_CHANGED: &[&str] = &[
    "elasticloadbalancing:AddTags",
    "elasticloadbalancing:ApplySecurityGroupsToLoadBalancer",
    "elasticloadbalancing:AttachLoadBalancerToSubnets",
    "elasticloadbalancing:ConfigureHealthCheck",
    "elasticloadbalancing:CreateListener",
    "elasticloadbalancing:CreateLoadBalancerListeners",
    "elasticloadbalancing:CreateRule",
    "elasticloadbalancing:DeleteListener",
    "elasticloadbalancing:DeleteLoadBalancer",
    "elasticloadbalancing:DeleteLoadBalancerListeners",
    "elasticloadbalancing:DeleteRule",
    "elasticloadbalancing:DeleteTargetGroup",
    "elasticloadbalancing:DetachLoadBalancerFromSubnets",
    "elasticloadbalancing:ModifyListener",
    "elasticloadbalancing:ModifyLoadBalancerAttributes",
    "elasticloadbalancing:ModifyRule",
    "elasticloadbalancing:ModifyTargetGroup",
    "elasticloadbalancing:ModifyTargetGroupAttributes",
    "elasticloadbalancing:RemoveTags",
    "elasticloadbalancing:SetLoadBalancerListenerSSLCertificate",
    "elasticloadbalancing:SetSecurityGroups",
    "elasticloadbalancing:SetSubnets",
];

pub(super) const PARTS_NAMED: &[&str] = &["ssm:GetParameters"];

pub(super) const PART_LOOKS: &[&str] =
    &["autoscaling:Describe*", "ec2:Describe*", "elasticloadbalancing:Describe*", "logs:DescribeLogGroups"];
