//! The servers: two copies on Fargate behind a load balancer, with the table and the secret that they need.

use serde_json::{Value, json};

use super::network::Seen;
use super::rights::rights;
use super::{ADMIN_TOKEN, ENDPOINT, Template, attribute, reference, stack_name, substituted};
use crate::instance::{Access, Backing, Certificate, Cidr};

/// The port that servers listen on.
const PORT: u16 = 9090;
/// For how many days the servers' own log is kept.
const LOG_DAYS: u16 = 90;

/// How long the load balancer lets requests end that run on a server which is to go. ECS takes the server out of the target group
/// and tells it to stop only after that ("Task states", DEACTIVATING), so pushes have this time and the grace below.
const DRAIN_S: u16 = 120;
/// How long ECS waits from `SIGTERM` to `SIGKILL`: the most that Fargate has (`stopTimeout`). The server's own times fit in:
/// delay, grace, and twelve seconds for the step that it is in the middle of, which give its leases back.
const STOP_TIMEOUT_S: u16 = 120;
/// How long a server goes on after `SIGTERM` and says at `/health` that it leaves: for tasks that end without ECS having taken them
/// out of the target group. One look of the load balancer.
const STOP_DELAY_S: u16 = HEALTH_INTERVAL_S;
/// How long requests that still run may take after that.
const STOP_GRACE_S: u16 = 90;
const _: () = assert!(STOP_DELAY_S + STOP_GRACE_S + 12 <= STOP_TIMEOUT_S);
/// From one look of the load balancer to the next.
const HEALTH_INTERVAL_S: u16 = 10;

pub(super) fn server(template: &mut Template<'_>, network: &Seen) {
    state(template);
    roles(template);
    let door = door(template, network);
    service(template, network, &door);
    template.output(ADMIN_TOKEN, reference("AdminToken"));
}

/// The table outlives the stack: `destroy --with-data` deletes it by itself.
fn state(template: &mut Template<'_>) {
    let name = stack_name(template.instance);
    let key = |name: &str, kind: &str| json!({ "AttributeName": name, "KeyType": kind });
    let tags = template.tags("state");
    template.kept(
        "State",
        "AWS::DynamoDB::Table",
        json!({
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                { "AttributeName": "p", "AttributeType": "S" }, { "AttributeName": "s", "AttributeType": "S" },
            ],
            "KeySchema": [key("p", "HASH"), key("s", "RANGE")],
            "TimeToLiveSpecification": { "AttributeName": "expires_at", "Enabled": true },
            "PointInTimeRecoverySpecification": { "PointInTimeRecoveryEnabled": true },
            "DeletionProtectionEnabled": true,
            "SSESpecification": { "SSEEnabled": true },
            "Tags": tags,
        }),
    );
    let tags = template.tags("admin-token");
    template.resource(
        "AdminToken",
        "AWS::SecretsManager::Secret",
        json!({
            "Name": format!("{name}/admin-token"),
            "Description": format!("The first admin token of Layer0 instance {}", template.instance.name),
            "GenerateSecretString": { "PasswordLength": 43, "ExcludePunctuation": true },
            "Tags": tags,
        }),
    );
    template.resource(
        "Log",
        "AWS::Logs::LogGroup",
        json!({ "LogGroupName": format!("{name}-server"), "RetentionInDays": LOG_DAYS }),
    );
}

/// Who may become a role.
fn trusts(service: &str) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Principal": { "Service": service }, "Action": "sts:AssumeRole" }],
    })
}

fn roles(template: &mut Template<'_>) {
    let statements: Vec<Value> = rights(template.instance).iter().map(super::rights::Right::statement).collect();
    let (name, tags) = (template.name("server"), template.tags("server"));
    template.resource(
        "ServerRole",
        "AWS::IAM::Role",
        json!({
            "RoleName": name,
            "AssumeRolePolicyDocument": trusts("ecs-tasks.amazonaws.com"),
            "Policies": [{
                "PolicyName": "server",
                "PolicyDocument": { "Version": "2012-10-17", "Statement": statements },
            }],
            "Tags": tags,
        }),
    );
    let (name, tags) = (template.name("execution"), template.tags("execution"));
    let secret = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "AdminToken",
            "Effect": "Allow",
            "Action": ["secretsmanager:GetSecretValue"],
            "Resource": [reference("AdminToken")],
        }],
    });
    let managed = substituted("arn:${AWS::Partition}:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy");
    template.resource(
        "ExecutionRole",
        "AWS::IAM::Role",
        json!({
            "RoleName": name,
            "AssumeRolePolicyDocument": trusts("ecs-tasks.amazonaws.com"),
            "ManagedPolicyArns": [managed],
            "Tags": tags,
        }),
    );
    // Of the servers alone: what users start must not read the token.
    let (name, tags) = (template.name("server-execution"), template.tags("server-execution"));
    let managed = substituted("arn:${AWS::Partition}:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy");
    template.resource(
        "ServerExecutionRole",
        "AWS::IAM::Role",
        json!({
            "RoleName": name,
            "AssumeRolePolicyDocument": trusts("ecs-tasks.amazonaws.com"),
            "ManagedPolicyArns": [managed],
            "Policies": [{ "PolicyName": "admin-token", "PolicyDocument": secret }],
            "Tags": tags,
        }),
    );
}

/// The way in.
struct Door {
    /// The listener that a service must wait for.
    listener: &'static str,
    /// What the registry is called.
    host: Value,
}

fn door(template: &mut Template<'_>, network: &Seen) -> Door {
    let anywhere = [Cidr::EVERYWHERE];
    let (port, allow, is_public): (u16, &[Cidr], bool) = match &template.instance.access {
        Access::Domain { allow, .. } if allow.is_empty() => (443, &anywhere, true),
        Access::Domain { allow, .. } => (443, allow, true),
        Access::Bare { allow } => (80, allow, !allow.is_empty()),
    };
    let mut rules: Vec<Value> = Vec::new();
    for block in allow {
        for port in if port == 443 { vec![443, 80] } else { vec![port] } {
            rules.push(json!({ "IpProtocol": "tcp", "FromPort": port, "ToPort": port, "CidrIp": block.to_string() }));
        }
    }
    if !is_public {
        let inside = attribute("Inside", "GroupId");
        rules.push(json!({ "IpProtocol": "tcp", "FromPort": port, "ToPort": port, "SourceSecurityGroupId": inside }));
        let tags = template.tags("inside");
        template.resource(
            "Inside",
            "AWS::EC2::SecurityGroup",
            json!({ "GroupDescription": "Who is in this group reaches the API", "VpcId": network.vpc, "Tags": tags }),
        );
        template.output("Inside", attribute("Inside", "GroupId"));
    }
    let tags = template.tags("api");
    template.resource(
        "BalancerGroup",
        "AWS::EC2::SecurityGroup",
        json!({
            "GroupDescription": "Who reaches the API",
            "VpcId": network.vpc,
            "SecurityGroupIngress": rules,
            "Tags": tags,
        }),
    );
    let (name, tags) = (template.name("api"), template.tags("api"));
    template.resource(
        "Balancer",
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        json!({
            "Name": name,
            "Type": "application",
            "Scheme": if is_public { "internet-facing" } else { "internal" },
            "Subnets": if is_public { &network.public_subnets } else { &network.task_subnets },
            "SecurityGroups": [attribute("BalancerGroup", "GroupId")],
            // A push of a large layer is one request, and a followed log is one answer.
            "LoadBalancerAttributes": [{ "Key": "idle_timeout.timeout_seconds", "Value": "900" }],
            "Tags": tags,
        }),
    );
    let ways: Vec<&str> = network.ways.iter().map(String::as_str).collect();
    if !ways.is_empty() {
        template.after("Balancer", &ways);
    }
    let (name, tags) = (template.name("api"), template.tags("api"));
    template.resource(
        "Targets",
        "AWS::ElasticLoadBalancingV2::TargetGroup",
        json!({
            "Name": name,
            "Port": PORT,
            "Protocol": "HTTP",
            "TargetType": "ip",
            "VpcId": network.vpc,
            "HealthCheckPath": "/health",
            "HealthCheckIntervalSeconds": HEALTH_INTERVAL_S,
            "HealthyThresholdCount": 2,
            "TargetGroupAttributes": [{ "Key": "deregistration_delay.timeout_seconds", "Value": DRAIN_S.to_string() }],
            "Tags": tags,
        }),
    );
    listeners(template)
}

fn listeners(template: &mut Template<'_>) -> Door {
    let forward = json!([{ "Type": "forward", "TargetGroupArn": reference("Targets") }]);
    let Access::Domain { name, certificate, zone, .. } = &template.instance.access else {
        template.resource(
            "Listener",
            "AWS::ElasticLoadBalancingV2::Listener",
            json!({ "LoadBalancerArn": reference("Balancer"), "Port": 80, "Protocol": "HTTP", "DefaultActions": forward }),
        );
        let host = attribute("Balancer", "DNSName");
        template.output(ENDPOINT, json!({ "Fn::Join": ["", ["http://", host.clone(), "/"]] }));
        return Door { listener: "Listener", host };
    };
    let (name, zone, certificate) = (name.clone(), zone.clone(), certificate.clone());
    let arn = match certificate {
        Certificate::Given(arn) => json!(arn),
        Certificate::Made => {
            let tags = template.tags("api");
            template.resource(
                "Certificate",
                "AWS::CertificateManager::Certificate",
                json!({
                    "DomainName": name,
                    "ValidationMethod": "DNS",
                    "DomainValidationOptions": [{ "DomainName": name, "HostedZoneId": zone }],
                    "Tags": tags,
                }),
            );
            reference("Certificate")
        }
    };
    template.resource(
        "Listener",
        "AWS::ElasticLoadBalancingV2::Listener",
        json!({
            "LoadBalancerArn": reference("Balancer"),
            "Port": 443,
            "Protocol": "HTTPS",
            "SslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
            "Certificates": [{ "CertificateArn": arn }],
            "DefaultActions": forward,
        }),
    );
    let redirect = json!([{
        "Type": "redirect",
        "RedirectConfig": { "Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301" },
    }]);
    template.resource(
        "PlainListener",
        "AWS::ElasticLoadBalancingV2::Listener",
        json!({ "LoadBalancerArn": reference("Balancer"), "Port": 80, "Protocol": "HTTP", "DefaultActions": redirect }),
    );
    if let Some(zone) = zone {
        template.resource(
            "Name",
            "AWS::Route53::RecordSet",
            json!({
                "HostedZoneId": zone,
                "Name": name,
                "Type": "A",
                "AliasTarget": {
                    "DNSName": attribute("Balancer", "DNSName"),
                    "HostedZoneId": attribute("Balancer", "CanonicalHostedZoneID"),
                },
            }),
        );
    }
    template.output(ENDPOINT, json!(format!("https://{name}/")));
    template.output("BalancerAddress", attribute("Balancer", "DNSName"));
    Door { listener: "Listener", host: json!(name) }
}

/// Values with commas between them, some of which CloudFormation fills in.
fn joined(values: &[Value]) -> Value {
    json!({ "Fn::Join": [",", values] })
}

fn service(template: &mut Template<'_>, network: &Seen, door: &Door) {
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
    let cluster = template.name("server");
    template.resource(
        "Cluster",
        "AWS::ECS::Cluster",
        json!({ "ClusterName": cluster, "ClusterSettings": [{ "Name": "containerInsights", "Value": "disabled" }] }),
    );
    definition(template, network, door);
    let name = template.name("server");
    template.resource(
        "Servers",
        "AWS::ECS::Service",
        json!({
            "ServiceName": name,
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
                "ContainerName": "server", "ContainerPort": PORT, "TargetGroupArn": reference("Targets"),
            }],
            "NetworkConfiguration": { "AwsvpcConfiguration": {
                "AssignPublicIp": if network.server_public_ip { "ENABLED" } else { "DISABLED" },
                "Subnets": network.server_subnets,
                "SecurityGroups": [attribute("ServerGroup", "GroupId")],
            } },
            "PropagateTags": "SERVICE",
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
        ("LAYER0_REGISTRY_BACKING", json!("ecr")),
        ("LAYER0_ECR_PREFIX", json!(stack_name(instance))),
        ("LAYER0_REGISTRY_NAME", registry),
        ("LAYER0_TRUSTED_PROXY", json!("true")),
        ("LAYER0_STOP_DELAY", json!(STOP_DELAY_S.to_string())),
        ("LAYER0_STOP_GRACE", json!(STOP_GRACE_S.to_string())),
    ];
    if instance.backing == Backing::Ecr {
        // Said in any case: what is not said changes nothing, and whoever has left the wishes is to be let in no more.
        let grants: Vec<String> = instance.grants.iter().map(ToString::to_string).collect();
        let to = if grants.is_empty() { "none".to_owned() } else { grants.join(",") };
        settings.push(("LAYER0_ACCOUNT_GRANTS_TO", json!(to)));
    }
    if !instance.image_map.is_empty() {
        let rules: Vec<String> = instance.image_map.iter().map(ToString::to_string).collect();
        settings.push(("LAYER0_IMAGE_MAP", json!(rules.join(","))));
    }
    let environment: Vec<Value> =
        settings.into_iter().map(|(name, value)| json!({ "Name": name, "Value": value })).collect();
    let family = template.name("server");
    template.resource(
        "Server",
        "AWS::ECS::TaskDefinition",
        json!({
            "Family": family,
            "RequiresCompatibilities": ["FARGATE"],
            "NetworkMode": "awsvpc",
            "Cpu": instance.cpu.to_string(),
            "Memory": instance.memory_mib.to_string(),
            "TaskRoleArn": attribute("ServerRole", "Arn"),
            "ExecutionRoleArn": attribute("ServerExecutionRole", "Arn"),
            "ContainerDefinitions": [{
                "Name": "server",
                "Image": template.parts.image,
                "Command": ["server"],
                "Environment": environment,
                "Secrets": [{ "Name": "LAYER0_ADMIN_TOKEN", "ValueFrom": reference("AdminToken") }],
                "PortMappings": [{ "ContainerPort": PORT }],
                "ReadonlyRootFilesystem": false,
                "StopTimeout": STOP_TIMEOUT_S,
                "LogConfiguration": { "LogDriver": "awslogs", "Options": {
                    "awslogs-group": reference("Log"),
                    "awslogs-region": reference("AWS::Region"),
                    "awslogs-stream-prefix": "server",
                } },
            }],
        }),
    );
}
