//! Load balancers, target health, EC2's networks, IAM.

use layer0_testkit::aws::network::{Endpoint, Network};
use layer0_testkit::aws::{Behaviour, FakeAwsConfig, Role};
use layer0_testkit::until::until;
use serde_json::{Value, json};

use super::client::{Client, new_service, tag, tags};

const ELB: &str = "2015-12-01";
const EC2: &str = "2016-11-15";
const IAM: &str = "2010-05-08";

/// A load balancer with one listener in front of one target group, whose ARN is the answer.
async fn balanced(client: &Client) -> String {
    let template = json!({"Resources": {
        "Balancer": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {
            "Name": "web", "Subnets": ["subnet-public-a", "subnet-public-b"], "SecurityGroups": ["sg-default"],
        }},
        "Targets": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {
            "Name": "web", "Port": 80, "Protocol": "HTTP", "VpcId": "vpc-main", "TargetType": "ip",
            "HealthCheckIntervalSeconds": 10, "UnhealthyThresholdCount": 2,
            "TargetGroupAttributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": "20"}],
        }},
        "Listener": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {
            "LoadBalancerArn": {"Ref": "Balancer"}, "Port": 80, "Protocol": "HTTP",
            "DefaultActions": [{"Type": "forward", "TargetGroupArn": {"Ref": "Targets"}}],
        }},
    }, "Outputs": {"Targets": {"Value": {"Ref": "Targets"}}}});
    let form = [("StackName", "lb"), ("TemplateBody", &template.to_string())];
    client.cloudformation("CreateStack", &form.map(|(key, value): (&str, &str)| (key, value))).await.expect("valid");
    client.stack_until("lb", "CREATE_COMPLETE").await;
    let xml = client.cloudformation("DescribeStacks", &[("StackName", "lb")]).await.expect("it is there");
    tag(&xml, "OutputValue").expect("the target group").to_owned()
}

async fn states(client: &Client, group: &str) -> Vec<String> {
    let xml = client.query(ELB, "DescribeTargetHealth", &[("TargetGroupArn", group)]).await.expect("it is there");
    tags(&xml, "State").into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn target_health_gates_a_deployment() {
    let client = Client::with_cluster().await;
    let group = balanced(&client).await;
    let first = client.definition("web", "team/web:1").await;
    let mut wanted = new_service("web", &first, 1);
    wanted["loadBalancers"] = json!([{"targetGroupArn": group, "containerName": "main", "containerPort": 80}]);
    wanted["deploymentConfiguration"] = json!({"deploymentCircuitBreaker": {"enable": true, "rollback": true}});
    client.ecs("CreateService", wanted).await.expect("it is valid");
    client
        .service_until("it to run", "web", |seen| {
            let running = seen["runningCount"] == 1;
            let completed = seen["deployments"][0]["rolloutState"] == "COMPLETED";
            assert!(running || !completed, "{seen:#}");
            running
        })
        .await;
    client.completed("web").await;
    assert_eq!(states(&client, &group).await, ["healthy"]);

    client.aws.behave("team/web:2", Behaviour::UnhealthyTarget);
    let second = client.definition("web", "team/web:2").await;
    client
        .ecs("UpdateService", json!({"cluster": "c", "service": "web", "taskDefinition": second}))
        .await
        .expect("valid");
    let seen = client.service_until("the rollback", "web", |seen| seen["taskDefinition"] == json!(first)).await;
    let unhealthy =
        |event: &Value| event["message"].as_str().is_some_and(|text| text.contains("is unhealthy in (target-group"));
    assert!(seen["events"].as_array().expect("events").iter().any(unhealthy), "{seen:#}");
    let tasks = client.aws.world().tasks();
    let reason = json!(format!("Task failed ELB health checks in (target-group {group})"));
    assert!(
        tasks.iter().any(|task| task["stoppedReason"] == reason && task["taskDefinitionArn"] == json!(second)),
        "{tasks:#?}"
    );
    until("the failed targets to be drained", || async {
        let states = states(&client, &group).await;
        if states == ["healthy"] { Ok(()) } else { Err(format!("{states:?}")) }
    })
    .await;
}

#[tokio::test]
async fn a_target_group_in_use_stays() {
    let client = Client::with_cluster().await;
    let group = balanced(&client).await;
    let xml = client.query(ELB, "DescribeLoadBalancers", &[("Names.member.1", "web")]).await.expect("it is there");
    assert_eq!((tag(&xml, "Scheme"), tag(&xml, "Code")), (Some("internet-facing"), Some("active")));
    let balancer = tag(&xml, "LoadBalancerArn").expect("an ARN");
    let xml = client.query(ELB, "DescribeTargetGroups", &[("LoadBalancerArn", balancer)]).await.expect("it is there");
    assert_eq!(tag(&xml, "TargetGroupArn"), Some(group.as_str()));
    let xml = client.query(ELB, "DescribeListeners", &[("LoadBalancerArn", balancer)]).await.expect("it is there");
    assert_eq!((tag(&xml, "Port"), tag(&xml, "Protocol")), (Some("80"), Some("HTTP")));
    let xml =
        client.query(ELB, "DescribeLoadBalancerAttributes", &[("LoadBalancerArn", balancer)]).await.expect("them");
    assert!(xml.contains("<Key>idle_timeout.timeout_seconds</Key><Value>60</Value>"), "{xml}");
    let owner =
        client.cloudformation("DescribeStackResources", &[("PhysicalResourceId", balancer)]).await.expect("its stack");
    assert_eq!(tag(&owner, "StackName"), Some("lb"));
    let xml = client.query(ELB, "DescribeTags", &[("ResourceArns.member.1", &group)]).await.expect("it is there");
    assert!(tags(&xml, "Key").contains(&"aws:cloudformation:stack-name"), "{xml}");
    let other = json!({"Resources": {"L": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {
        "LoadBalancerArn": balancer, "Port": 80, "Protocol": "HTTP",
        "DefaultActions": [{"Type": "forward", "TargetGroupArn": group}],
    }}}})
    .to_string();
    client
        .cloudformation("CreateStack", &[("StackName", "other"), ("TemplateBody", &other)])
        .await
        .expect("well formed");
    client.stack_until("other", "ROLLBACK_COMPLETE").await;
    let events = client.cloudformation("DescribeStackEvents", &[("StackName", "other")]).await.expect("events");
    assert!(events.contains("A listener already exists on this port"), "{events}");
    client.cloudformation("DeleteStack", &[("StackName", "lb")]).await.expect("it is there");
    until("nothing to be left", || async {
        let left = client.aws.world().load_balancing();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
    let gone = client.query(ELB, "DescribeTargetHealth", &[("TargetGroupArn", &group)]).await.expect_err("it is gone");
    assert_eq!(gone.code, "TargetGroupNotFound");
}

#[tokio::test]
async fn networks_are_described_and_filtered() {
    let mut network = Network::default();
    network.endpoints.push(Endpoint {
        id: "vpce-1".to_owned(),
        vpc: "vpc-main".to_owned(),
        service: "com.amazonaws.us-east-1.ecr.dkr".to_owned(),
        subnets: vec!["subnet-isolated-a".to_owned()],
        security_groups: vec!["sg-default".to_owned()],
        route_tables: Vec::new(),
        private_dns: true,
        inbound_only: false,
        policy: None,
    });
    let client = Client::start(FakeAwsConfig { network, ..FakeAwsConfig::default() }).await;
    let xml = client.query(EC2, "DescribeSubnets", &[("SubnetId.1", "subnet-public-a")]).await.expect("it is there");
    assert_eq!((tag(&xml, "vpcId"), tag(&xml, "mapPublicIpOnLaunch")), (Some("vpc-main"), Some("true")));
    let unknown = client.query(EC2, "DescribeSubnets", &[("SubnetId.1", "subnet-x")]).await.expect_err("there is none");
    assert_eq!(unknown.code, "InvalidSubnetID.NotFound");
    let by_subnet = [("Filter.1.Name", "association.subnet-id"), ("Filter.1.Value.1", "subnet-private-b")];
    let xml = client.query(EC2, "DescribeRouteTables", &by_subnet).await.expect("a table");
    assert_eq!(tags(&xml, "routeTableId").first(), Some(&"rtb-private"));
    assert_eq!(tag(&xml, "natGatewayId"), Some("nat-main"));
    let main = [("Filter.1.Name", "association.main"), ("Filter.1.Value.1", "true")];
    let xml = client.query(EC2, "DescribeRouteTables", &main).await.expect("a table");
    assert_eq!((tag(&xml, "routeTableId"), tag(&xml, "gatewayId")), (Some("rtb-main"), Some("local")));
    let of_ecr = [("Filter.1.Name", "service-name"), ("Filter.1.Value.1", "*.ecr.*")];
    let xml = client.query(EC2, "DescribeVpcEndpoints", &of_ecr).await.expect("an endpoint");
    assert_eq!((tag(&xml, "vpcEndpointId"), tag(&xml, "vpcEndpointType")), (Some("vpce-1"), Some("Interface")));
    let wrong = client.query(EC2, "DescribeVpcs", &[("Filter.1.Name", "colour"), ("Filter.1.Value.1", "red")]).await;
    assert_eq!(wrong.expect_err("there is no such filter").code, "InvalidParameterValue");
}

#[tokio::test]
async fn descriptions_come_in_pages() {
    let client = Client::start(FakeAwsConfig { ec2_page: 4, ..FakeAwsConfig::default() }).await;
    let first = client.query(EC2, "DescribeSubnets", &[]).await.expect("a page");
    let token = tag(&first, "nextToken").expect("there are six").to_owned();
    let second = client.query(EC2, "DescribeSubnets", &[("NextToken", &token)]).await.expect("a page");
    assert_eq!((tags(&first, "subnetId").len(), tags(&second, "subnetId").len()), (4, 2));
    assert_eq!(tag(&second, "nextToken"), None);
}

#[tokio::test]
async fn policies_are_read_and_simulated() {
    let client = Client::start(FakeAwsConfig::default()).await;
    let managed = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy";
    client.aws.managed_policy(
        managed,
        json!({"Statement": {"Effect": "Allow", "Action": ["ecr:*", "logs:Put*"], "Resource": "*"}}),
    );
    let mut role = Role::for_tasks(&["s3:GetObject"]);
    role.attached.push(managed.to_owned());
    role.inline.insert(
        "deny".to_owned(),
        json!({"Statement": [{"Effect": "Deny", "Action": "ecr:BatchGetImage", "Resource": "*/secret"}]}),
    );
    client.aws.role("execution", role);
    let xml = client.query(IAM, "GetRole", &[("RoleName", "execution")]).await.expect("it is there");
    assert_eq!(tag(&xml, "Arn"), Some("arn:aws:iam::123456789012:role/execution"));
    let xml = client.query(IAM, "ListAttachedRolePolicies", &[("RoleName", "execution")]).await.expect("a list");
    assert_eq!(tag(&xml, "PolicyArn"), Some(managed));
    let xml = client.query(IAM, "GetPolicy", &[("PolicyArn", managed)]).await.expect("it is there");
    let version = tag(&xml, "DefaultVersionId").expect("a version").to_owned();
    let xml = client
        .query(IAM, "GetPolicyVersion", &[("PolicyArn", managed), ("VersionId", &version)])
        .await
        .expect("it is there");
    assert!(tag(&xml, "Document").is_some_and(|document| document.starts_with("%7B")), "{xml}");
    let xml = client.query(IAM, "ListRolePolicies", &[("RoleName", "execution")]).await.expect("a list");
    assert_eq!(tags(&xml, "member"), ["allow", "deny"]);
    let none = client.query(IAM, "GetRole", &[("RoleName", "none")]).await.expect_err("there is none");
    assert_eq!((none.status, none.code.as_str()), (404, "NoSuchEntity"));

    let form = [
        ("PolicySourceArn", "arn:aws:iam::123456789012:role/execution"),
        ("ActionNames.member.1", "ecr:BatchGetImage"),
        ("ActionNames.member.2", "ecs:RunTask"),
        ("ResourceArns.member.1", "arn:aws:ecr:us-east-1:123456789012:repository/team/app"),
        ("ResourceArns.member.2", "arn:aws:ecr:us-east-1:123456789012:repository/team/secret"),
    ];
    let xml = client.query(IAM, "SimulatePrincipalPolicy", &form).await.expect("it is there");
    // Of each resource by itself, and of all together.
    assert_eq!(tags(&xml, "EvalResourceDecision"), ["allowed", "explicitDeny", "implicitDeny", "implicitDeny"]);
    assert_eq!(tags(&xml, "EvalDecision"), ["explicitDeny", "implicitDeny"]);
}
