//! What others are told of a stack: the commands, and people who work at Layer0 itself. No secret is among it.

use serde_json::json;

use super::network::Seen;
use super::{Template, attribute, joined, reference, stack_name};

/// Where the API answers.
pub const ENDPOINT: &str = "Endpoint";
/// The ARN of the secret that holds the first admin token.
pub const ADMIN_TOKEN: &str = "AdminToken";
/// The instance's name.
pub const INSTANCE: &str = "Instance";
/// The account.
pub const ACCOUNT: &str = "Account";
/// The region.
pub const REGION: &str = "Region";
/// The VPC.
pub const VPC: &str = "Vpc";
/// Subnets for tasks, separated by commas.
pub const PRIVATE_SUBNETS: &str = "PrivateSubnets";
/// Subnets for what is reached from outside, separated by commas.
pub const PUBLIC_SUBNETS: &str = "PublicSubnets";
/// The ARN of the servers' role.
pub const SERVER_ROLE: &str = "ServerRole";
/// The ARN of the execution role of tasks.
pub const EXECUTION_ROLE: &str = "ExecutionRole";
/// The name of the instance profile of machines.
pub const MACHINE_PROFILE: &str = "MachineProfile";
/// The table that holds the state.
pub const TABLE: &str = "Table";
/// The servers' log group.
pub const LOG_GROUP: &str = "LogGroup";
/// The servers' cluster.
pub const CLUSTER: &str = "Cluster";
/// The servers' service in it.
pub const SERVICE: &str = "Service";
/// What the names of all repositories in ECR begin with, with the host; missing where the bytes lie in S3.
pub const REGISTRY: &str = "Registry";
/// The bucket of the registry; missing where the bytes lie in ECR.
pub const BUCKET: &str = "Bucket";
/// The servers' image, pinned by its digest.
pub const IMAGE: &str = "Image";
/// What the image runs on, as images name it.
pub const ARCHITECTURE: &str = "Architecture";
/// The version of Layer0.
pub const VERSION: &str = "Version";
/// The group whose members reach an API that is reached from inside the VPC alone.
pub const INSIDE: &str = "Inside";
/// The load balancer's own address, where the endpoint is a domain.
pub const BALANCER_ADDRESS: &str = "BalancerAddress";

/// What the predecessor's `endpoint --dev` gave, by the names of its variables.
pub const DEVELOPMENT: [(&str, &str); 10] = [
    (INSTANCE, "LAYER0_INSTANCE"),
    (ACCOUNT, "LAYER0_AWS_ACCOUNT_ID"),
    (REGION, "LAYER0_AWS_REGION"),
    (VPC, "LAYER0_AWS_VPC_ID"),
    (PRIVATE_SUBNETS, "LAYER0_AWS_PRIVATE_SUBNETS"),
    (PUBLIC_SUBNETS, "LAYER0_AWS_PUBLIC_SUBNETS"),
    (BUCKET, "LAYER0_AWS_S3_BUCKET"),
    (LOG_GROUP, "LAYER0_AWS_LOG_GROUP_NAME"),
    (MACHINE_PROFILE, "LAYER0_AWS_ECS_INSTANCE_PROFILE"),
    (TABLE, "LAYER0_AWS_DYNAMO_TAG_TABLE"),
];

pub(super) fn outputs(template: &mut Template<'_>, network: &Seen) {
    let instance = template.instance;
    template.output(ADMIN_TOKEN, attribute("AdminToken", "Id"));
    template.output(INSTANCE, json!(instance.name));
    template.output(ACCOUNT, reference("AWS::AccountId"));
    template.output(REGION, reference("AWS::Region"));
    template.output(VPC, network.vpc.clone());
    template.output(PRIVATE_SUBNETS, joined(&network.task_subnets));
    template.output(PUBLIC_SUBNETS, joined(&network.public_subnets));
    template.output(SERVER_ROLE, attribute("ServerRole", "Arn"));
    template.output(EXECUTION_ROLE, attribute("ExecutionRole", "Arn"));
    template.output(MACHINE_PROFILE, reference("MachineProfile"));
    template.output(TABLE, reference("State"));
    template.output(LOG_GROUP, reference("Log"));
    template.output(CLUSTER, reference("Cluster"));
    template.output(SERVICE, attribute("Servers", "Name"));
    match super::bucket_name(instance, template.parts.account) {
        Some(_) => template.output(BUCKET, reference("Bucket")),
        None => {
            let host = "${AWS::AccountId}.dkr.ecr.${AWS::Region}.${AWS::URLSuffix}";
            template.output(REGISTRY, super::substituted(format!("{host}/{}", stack_name(instance))));
        }
    }
    template.output(IMAGE, json!(template.parts.image));
    template.output(ARCHITECTURE, json!(template.parts.architecture.in_images()));
    template.output(VERSION, json!(template.parts.version));
}
