//! The servers: two copies on Fargate behind the load balancer.

use serde_json::{Value, json};

use super::door::{Door, HEALTH_INTERVAL_S};
use super::network::Seen;
use super::{Template, VERSION_TAG, attribute, joined, reference, stack_name};
use crate::instance::Backing;

/// The port that servers listen on.
pub(super) const PORT: u16 = 9090;

/// How long ECS waits from `SIGTERM` to `SIGKILL`: the most that Fargate has (`stopTimeout`). The server's own times fit in:
/// delay, grace, and seventeen seconds for the step that it is in the middle of, which give its leases back, and for its store.
const STOP_TIMEOUT_S: u16 = 120;
/// How long a server goes on after `SIGTERM` and says at `/health` that it leaves: for tasks that end without ECS having taken them
/// out of the target group. One look of the load balancer.
const STOP_DELAY_S: u16 = HEALTH_INTERVAL_S;
/// How long requests that still run may take after that.
const STOP_GRACE_S: u16 = 90;
const _: () = assert!(STOP_DELAY_S + STOP_GRACE_S + 17 <= STOP_TIMEOUT_S);

pub(super) fn server(template: &mut Template<'_>, network: &Seen, door: &Door) {
    let tags = template.tags("server");
    template.resource(
        "ServerGroup",
        "AWS::EC2::SecurityGroup",
        json!({
            "GroupDescription": "The load balancer reaches the servers, and nobody else",
            "VpcId": network.vpc,
            "SecurityGroupIngress": [{
                "IpProtocol": "tcp",
                "FromPort": PORT,
                "ToPort": PORT,
                "SourceSecurityGroupId": attribute("BalancerGroup", "GroupId"),
            }],
            "Tags": tags,
        }),
    );
    // What is the servers' own is called as the stack, so that it is not under `l0-<name>-`, where the servers may work.
    let (own, tags) = (stack_name(template.instance), template.own_tags());
    template.resource(
        "Cluster",
        "AWS::ECS::Cluster",
        json!({
            "ClusterName": own,
            "ClusterSettings": [{ "Name": "containerInsights", "Value": "disabled" }],
            "Tags": tags,
        }),
    );
    definition(template, network, door);
    template.resource(
        "Servers",
        "AWS::ECS::Service",
        json!({
            "ServiceName": own,
            "Cluster": reference("Cluster"),
            "TaskDefinition": reference("Server"),
            "LaunchType": "FARGATE",
            "DesiredCount": template.instance.copies,
            "HealthCheckGracePeriodSeconds": 60,
            "DeploymentConfiguration": {
                "MinimumHealthyPercent": 100,
                "MaximumPercent": 200,
                "DeploymentCircuitBreaker": { "Enable": true, "Rollback": true },
            },
            "LoadBalancers": [{
                "ContainerName": "server", "ContainerPort": PORT, "TargetGroupArn": reference(door.targets),
            }],
            "NetworkConfiguration": { "AwsvpcConfiguration": {
                "AssignPublicIp": if network.server_public_ip { "ENABLED" } else { "DISABLED" },
                "Subnets": network.server_subnets,
                "SecurityGroups": [attribute("ServerGroup", "GroupId")],
            } },
            "PropagateTags": "SERVICE",
            "Tags": tags,
        }),
    );
    let ways = network.ways.iter().map(String::as_str);
    template.after("Servers", &[door.listener].into_iter().chain(ways).collect::<Vec<_>>());
}

fn definition(template: &mut Template<'_>, network: &Seen, door: &Door) {
    let instance = template.instance;
    let registry = instance.registry_name.as_ref().map_or_else(|| door.host.clone(), |name| json!(name));
    let mut settings = vec![
        ("LAYER0_INSTANCE", json!(instance.name)),
        // The table may outlive the stack, and the secret does not.
        ("LAYER0_ADMIN_TOKEN_FOR", reference("AWS::StackId")),
        ("LAYER0_LISTEN", json!(format!("0.0.0.0:{PORT}"))),
        ("LAYER0_DATA_DIR", json!("/data")),
        ("LAYER0_ENGINE", json!("ecs")),
        ("LAYER0_TABLE", reference("State")),
        ("LAYER0_AWS_REGION", reference("AWS::Region")),
        ("LAYER0_AWS_VPC", network.vpc.clone()),
        ("LAYER0_AWS_PRIVATE_SUBNETS", joined(&network.task_subnets)),
        ("LAYER0_AWS_PUBLIC_SUBNETS", joined(&network.public_subnets)),
        ("LAYER0_AWS_EXECUTION_ROLE", attribute("ExecutionRole", "Arn")),
        ("LAYER0_AWS_PUBLIC_IP", json!(network.tasks_public_ip.to_string())),
        ("LAYER0_AWS_MACHINE_PROFILE", json!(template.name("machine"))),
        ("LAYER0_REGISTRY_NAME", registry),
        ("LAYER0_TRUSTED_PROXY", json!("true")),
        ("LAYER0_STOP_DELAY", json!(STOP_DELAY_S.to_string())),
        ("LAYER0_STOP_GRACE", json!(STOP_GRACE_S.to_string())),
    ];
    match instance.backing {
        Backing::Ecr => {
            settings.push(("LAYER0_REGISTRY_BACKING", json!("ecr")));
            settings.push(("LAYER0_ECR_PREFIX", json!(stack_name(instance))));
            // Said in any case: what is not said changes nothing, and whoever has left the wishes is to be let in no more.
            let grants: Vec<String> = instance.grants.iter().map(ToString::to_string).collect();
            let to = if grants.is_empty() { "none".to_owned() } else { grants.join(",") };
            settings.push(("LAYER0_ACCOUNT_GRANTS_TO", json!(to)));
        }
        Backing::S3 => {
            settings.push(("LAYER0_REGISTRY_BACKING", json!("s3")));
            settings.push(("LAYER0_S3_BUCKET", reference("Bucket")));
        }
    }
    if !instance.image_map.is_empty() {
        let rules: Vec<String> = instance.image_map.iter().map(ToString::to_string).collect();
        settings.push(("LAYER0_IMAGE_MAP", json!(rules.join(","))));
    }
    settings.extend(instance.environment.iter().map(|(name, value)| (name.as_str(), json!(value))));
    let environment: Vec<Value> =
        settings.into_iter().map(|(name, value)| json!({ "Name": name, "Value": value })).collect();
    let (family, mut tags) = (stack_name(instance), template.own_tags());
    if let Some(tags) = tags.as_array_mut() {
        tags.push(json!({ "Key": VERSION_TAG, "Value": template.parts.version }));
    }
    template.resource(
        "Server",
        "AWS::ECS::TaskDefinition",
        json!({
            "Family": family,
            "RequiresCompatibilities": ["FARGATE"],
            "NetworkMode": "awsvpc",
            "RuntimePlatform": {
                "CpuArchitecture": template.parts.architecture.in_definitions(),
                "OperatingSystemFamily": "LINUX",
            },
            "Cpu": instance.cpu.to_string(),
            "Memory": instance.memory_mib.to_string(),
            "TaskRoleArn": attribute("ServerRole", "Arn"),
            "ExecutionRoleArn": attribute("ServerExecutionRole", "Arn"),
            "ContainerDefinitions": [{
                "Name": "server",
                "Image": template.parts.image,
                "Command": ["server"],
                "Environment": environment,
                "Secrets": [{ "Name": "LAYER0_ADMIN_TOKEN", "ValueFrom": attribute("AdminToken", "Id") }],
                "PortMappings": [{ "ContainerPort": PORT }],
                "ReadonlyRootFilesystem": false,
                "StopTimeout": STOP_TIMEOUT_S,
                "LogConfiguration": { "LogDriver": "awslogs", "Options": {
                    "awslogs-group": reference("Log"),
                    "awslogs-region": reference("AWS::Region"),
                    "awslogs-stream-prefix": "server",
                } },
            }],
            "Tags": tags,
        }),
    );
}
