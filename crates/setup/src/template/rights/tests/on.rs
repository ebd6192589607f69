//! What each call is asked of (service authorization reference, "Actions, resources, and condition keys").

use super::super::actions::{
    BALANCERS_CHANGED, BALANCERS_MADE, CLUSTERS, DEFINITIONS, GROUPS_CHANGED, LAYERS, LISTS, LOGS, LOOKS, MACHINES,
    MAPPED, OBJECTS, PART_LOOKS, PARTS_NAMED, REGISTRY, REPOSITORIES, ROLE_LOOKS, STACKS, STATE, UPLOADS,
};

/// Some calls, and what they are asked of; `NAME` stands for the instance's name.
#[derive(Clone, Copy, Default)]
pub(super) struct Row {
    pub(super) calls: &'static [&'static str],
    /// Resources of the instance; `*` for calls that know none.
    pub(super) on: &'static [&'static str],
    /// What is known of the request besides.
    pub(super) with: &'static [(&'static str, &'static str)],
    /// Resources of nobody else that it must not be allowed on either.
    pub(super) not_on: &'static [&'static str],
    /// Whether the servers make these calls themselves too.
    pub(super) is_direct_too: bool,
}

impl Row {
    /// Whether something in it says whose it is.
    pub(super) fn is_named(&self) -> bool {
        self.on.iter().chain(self.with.iter().map(|(_, value)| value)).any(|text| text.contains("NAME"))
    }
}

const BY_STACK: (&str, &str) = ("aws:CalledVia", "cloudformation.amazonaws.com");
const IS_TAGGED: (&str, &str) = ("aws:ResourceTag/layer0.instance", "NAME-0123456789");
const WITH_TAG: (&str, &str) = ("aws:RequestTag/layer0.instance", "NAME-0123456789");

const SERVICE: &str = "arn:aws:ecs:eu-central-1:123456789012:service/l0-NAME-dev-1/l0-NAME-web-1";
const OWN_SERVICE: &str = "arn:aws:ecs:eu-central-1:123456789012:service/l0-prod/l0-prod";
const ROLLOUT: &str = "arn:aws:ecs:eu-central-1:123456789012:service-deployment/l0-NAME-dev-1/l0-NAME-web-1/abc";
const REVISION: &str = "arn:aws:ecs:eu-central-1:123456789012:service-revision/l0-NAME-dev-1/l0-NAME-web-1/1";
const TASK: &str = "arn:aws:ecs:eu-central-1:123456789012:task/l0-NAME-dev-1/abc";
const OWN_TASK: &str = "arn:aws:ecs:eu-central-1:123456789012:task/l0-prod/abc";
const MACHINE: &str = "arn:aws:ecs:eu-central-1:123456789012:container-instance/l0-NAME-dev-1/abc";
const DEFINITION: &str = "arn:aws:ecs:eu-central-1:123456789012:task-definition/l0-NAME-web-1_app-1:1";
const OWN_DEFINITION: &str = "arn:aws:ecs:eu-central-1:123456789012:task-definition/l0-prod:1";
const CLUSTER: &str = "arn:aws:ecs:eu-central-1:123456789012:cluster/l0-NAME-dev-1";
const OWN_CLUSTER: &str = "arn:aws:ecs:eu-central-1:123456789012:cluster/l0-prod";
const GROUP: &str = "arn:aws:ec2:eu-central-1:123456789012:security-group/sg-0a1b2c3d";
const REPOSITORY: &str = "arn:aws:ecr:eu-central-1:123456789012:repository/l0-NAME/team/app";
const OWN_REPOSITORY: &str = "arn:aws:ecr:eu-central-1:123456789012:repository/l0-prod-server";
const LOG: &str = "arn:aws:logs:eu-central-1:123456789012:log-group:l0-NAME-dev-1:log-stream:l0/web-1/x";
const OWN_LOG: &str = "arn:aws:logs:eu-central-1:123456789012:log-group:l0-prod:log-stream:server/x";
const SERVER: &str = "arn:aws:iam::123456789012:role/l0-prod-server";
const SERVER_EXECUTION: &str = "arn:aws:iam::123456789012:role/l0-prod-server-execution";
const ADMIN: &str = "arn:aws:iam::123456789012:role/admin";

/// On resources whose name says whose they are.
fn named(calls: &'static [&'static str], on: &'static [&'static str], not_on: &'static [&'static str]) -> Row {
    Row { calls, on, not_on, ..Row::default() }
}

/// On no resource.
fn open(calls: &'static [&'static str]) -> Row {
    Row { calls, on: &["*"], ..Row::default() }
}

/// Through stacks.
fn by_stack(calls: &'static [&'static str], on: &'static [&'static str], not_on: &'static [&'static str]) -> Row {
    Row { calls, on, not_on, with: &[BY_STACK], ..Row::default() }
}

pub(super) fn rows() -> Vec<Row> {
    let mut all = direct();
    all.extend(through_stacks());
    all
}

fn direct() -> Vec<Row> {
    vec![
        named(STATE, &["arn:aws:dynamodb:eu-central-1:123456789012:table/l0-NAME"], &[]),
        named(
            STACKS,
            &["arn:aws:cloudformation:eu-central-1:123456789012:stack/l0-NAME-dev-1/0a1b"],
            &["arn:aws:cloudformation:eu-central-1:123456789012:changeSet/l0-prod/0a1b"],
        ),
        named(
            &[
                "ecs:CreateService",
                "ecs:DeleteService",
                "ecs:DescribeServiceDeployments",
                "ecs:DescribeServiceRevisions",
                "ecs:DescribeServices",
                "ecs:ListServiceDeployments",
                "ecs:StopServiceDeployment",
                "ecs:UpdateService",
            ],
            &[SERVICE],
            &[OWN_SERVICE],
        ),
        named(&["ecs:DescribeServiceDeployments", "ecs:StopServiceDeployment"], &[ROLLOUT], &[]),
        named(&["ecs:DescribeServiceRevisions"], &[REVISION], &[]),
        named(&["ecs:DescribeTasks", "ecs:StopTask"], &[TASK], &[OWN_TASK]),
        named(&["ecs:DescribeContainerInstances"], &[MACHINE], &[]),
        named(
            &["ecs:DeleteTaskDefinitions", "ecs:RegisterTaskDefinition", "ecs:RunTask"],
            &[DEFINITION],
            &[OWN_DEFINITION],
        ),
        named(&["ecs:TagResource"], &[SERVICE, TASK, DEFINITION], &[OWN_SERVICE, OWN_TASK, OWN_DEFINITION]),
        Row { calls: LISTS, on: &["*"], with: &[("ecs:cluster", CLUSTER)], ..Row::default() },
        open(DEFINITIONS),
        named(LOGS, &[LOG], &[OWN_LOG]),
        named(REPOSITORIES, &[REPOSITORY], &[OWN_REPOSITORY]),
        named(LAYERS, &[REPOSITORY], &[OWN_REPOSITORY]),
        open(REGISTRY),
        named(
            MAPPED,
            &["arn:aws:ecr:us-west-2:210987654321:repository/team/app"],
            &[
                "arn:aws:ecr:us-west-2:210987654321:repository/teams/app",
                "arn:aws:ecr:us-west-2:123456789012:repository/team/app",
            ],
        ),
        named(OBJECTS, &["arn:aws:s3:::l0-NAME-123456789012/blobs/x"], &["arn:aws:s3:::l0-prod-210987654321/blobs/x"]),
        named(UPLOADS, &["arn:aws:s3:::l0-NAME-123456789012"], &[]),
        open(LOOKS),
        named(
            &["organizations:ListParents"],
            &["arn:aws:organizations::555555555555:account/o-a1b2c3d4e5/123456789012"],
            &["arn:aws:organizations::555555555555:account/o-a1b2c3d4e5/210987654321"],
        ),
        named(ROLE_LOOKS, &["arn:aws:iam::123456789012:role/l0-NAME-task-web"], &[ADMIN]),
        named(
            &["iam:GetPolicy", "iam:GetPolicyVersion"],
            &[
                "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy",
                "arn:aws:iam::123456789012:policy/team",
            ],
            &["arn:aws:iam::210987654321:policy/team"],
        ),
        Row {
            calls: &["iam:PassRole"],
            on: &[
                "arn:aws:iam::123456789012:role/l0-NAME-execution",
                "arn:aws:iam::123456789012:role/l0-NAME-task-web",
            ],
            with: &[("iam:PassedToService", "ecs-tasks.amazonaws.com")],
            not_on: &[SERVER, SERVER_EXECUTION, ADMIN],
            ..Row::default()
        },
        Row {
            calls: &["iam:PassRole"],
            on: &["arn:aws:iam::123456789012:role/l0-NAME-machine"],
            with: &[("iam:PassedToService", "ec2.amazonaws.com")],
            not_on: &[SERVER, SERVER_EXECUTION, ADMIN],
            ..Row::default()
        },
        Row {
            calls: &["iam:CreateServiceLinkedRole"],
            on: &[
                "arn:aws:iam::123456789012:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling",
            ],
            with: &[("iam:AWSServiceName", "autoscaling.amazonaws.com")],
            not_on: &[ADMIN],
            ..Row::default()
        },
    ]
}

fn through_stacks() -> Vec<Row> {
    const PROVIDER: &str = "arn:aws:ecs:eu-central-1:123456789012:capacity-provider/l0-NAME-dev-1-CapacityProvider-x";
    vec![
        Row { is_direct_too: true, ..by_stack(&["ecs:TagResource"], &[SERVICE], &[OWN_CLUSTER]) },
        by_stack(CLUSTERS, &[CLUSTER, PROVIDER], &[OWN_CLUSTER, OWN_LOG]),
        by_stack(
            CLUSTERS,
            &[
                "arn:aws:logs:eu-central-1:123456789012:log-group:l0-NAME-dev-1:*",
                "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:0a1b:autoScalingGroupName/l0-NAME-dev-1-Machines-x",
            ],
            &["arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:0a1b:autoScalingGroupName/web"],
        ),
        by_stack(
            &["ec2:CreateSecurityGroup"],
            &[GROUP, "arn:aws:ec2:eu-central-1:123456789012:vpc/vpc-0a1b2c3d"],
            &["arn:aws:ec2:eu-central-1:123456789012:vpc/vpc-other"],
        ),
        Row {
            calls: &["ec2:CreateTags"],
            on: &[GROUP, "arn:aws:ec2:eu-central-1:123456789012:launch-template/lt-0a1b2c3d"],
            with: &[BY_STACK, ("ec2:CreateAction", "CreateSecurityGroup")],
            ..Row::default()
        },
        Row { calls: GROUPS_CHANGED, on: &[GROUP], with: &[BY_STACK, IS_TAGGED], ..Row::default() },
        by_stack(MACHINES, &["*"], &[]),
        Row {
            calls: BALANCERS_MADE,
            on: &["arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/l0-web/0a1b"],
            with: &[BY_STACK, WITH_TAG],
            ..Row::default()
        },
        Row {
            calls: BALANCERS_CHANGED,
            on: &[
                "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/l0-web",
                "arn:aws:elasticloadbalancing:eu-central-1:123456789012:listener/app/l0-web/0a1b/2c3d",
            ],
            with: &[BY_STACK, IS_TAGGED],
            ..Row::default()
        },
        by_stack(
            PARTS_NAMED,
            &[
                "arn:aws:ssm:eu-central-1::parameter/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id",
            ],
            &["arn:aws:ssm:eu-central-1:123456789012:parameter/l0-prod/instance.toml"],
        ),
        Row { is_direct_too: true, ..by_stack(PART_LOOKS, &["*"], &[]) },
    ]
}
