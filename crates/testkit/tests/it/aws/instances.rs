//! Stacks with container instances, rules of listeners, and bodies as SDKs may send them.

use layer0_testkit::aws::FakeAwsConfig;
use layer0_testkit::until::until;
use serde_json::{Value, json};

use super::client::{Client, tag, tags};

/// An environment with instances of its own.
fn environment(size: u64) -> Value {
    let trust = json!({"Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]});
    json!({
        "Resources": {
            "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trust}},
            "Profile": {"Type": "AWS::IAM::InstanceProfile", "Properties": {"Roles": [{"Ref": "Role"}]}},
            "Group": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"GroupDescription": "instances", "VpcId": "vpc-main"}},
            "Out": {"Type": "AWS::EC2::SecurityGroupEgress", "Properties": {
                "GroupId": {"Ref": "Group"}, "CidrIp": "10.0.0.0/16", "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443,
            }},
            "Template": {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"LaunchTemplateData": {
                "IamInstanceProfile": {"Arn": {"Fn::GetAtt": ["Profile", "Arn"]}},
                "SecurityGroupIds": [{"Ref": "Group"}],
                "UserData": {"Fn::Base64": {"Fn::Sub": "echo ECS_CLUSTER=${AWS::StackName}"}},
            }}},
            "Instances": {"Type": "AWS::AutoScaling::AutoScalingGroup", "DependsOn": "Cluster", "Properties": {
                "MinSize": "0", "MaxSize": "3", "DesiredCapacity": size.to_string(),
                "LaunchTemplate": {
                    "LaunchTemplateId": {"Ref": "Template"}, "Version": {"Fn::GetAtt": ["Template", "LatestVersionNumber"]},
                },
            }},
            "Provider": {"Type": "AWS::ECS::CapacityProvider", "Properties": {
                "AutoScalingGroupProvider": {"AutoScalingGroupArn": {"Ref": "Instances"}},
            }},
            "Cluster": {"Type": "AWS::ECS::Cluster", "Properties": {"ClusterName": "c"}},
            "Providers": {"Type": "AWS::ECS::ClusterCapacityProviderAssociations", "Properties": {
                "Cluster": {"Ref": "Cluster"},
                "CapacityProviders": [{"Ref": "Provider"}],
                "DefaultCapacityProviderStrategy": [],
            }},
        },
        "Outputs": {"Provider": {"Value": {"Ref": "Provider"}}},
    })
}

async fn send(client: &Client, action: &str, template: &Value) {
    let form =
        [("StackName", "s"), ("TemplateBody", &*template.to_string()), ("Capabilities.member.1", "CAPABILITY_IAM")];
    client.cloudformation(action, &form).await.expect("a valid template");
}

#[tokio::test]
async fn a_stack_brings_its_instances() {
    let client = Client::start(FakeAwsConfig::default()).await;
    send(&client, "CreateStack", &environment(0)).await;
    client.stack_until("s", "CREATE_COMPLETE").await;
    assert_eq!(client.aws.world().clusters()[0]["registeredContainerInstancesCount"], 0);
    let xml = client.cloudformation("DescribeStacks", &[("StackName", "s")]).await.expect("it is there");
    let provider = tag(&xml, "OutputValue").expect("the provider's name");
    let definition =
        json!({"family": "db", "containerDefinitions": [{"name": "main", "image": "team/db:1", "memory": 64}]});
    client.ecs("RegisterTaskDefinition", definition).await.expect("it is valid");
    let wanted = json!({
        "cluster": "c", "serviceName": "db", "taskDefinition": "db", "desiredCount": 2,
        "capacityProviderStrategy": [{"capacityProvider": provider, "weight": 1}],
    });
    client.ecs("CreateService", wanted).await.expect("it waits for an instance");
    client.service_until("an event", "db", |seen| seen["events"] != json!([])).await;
    send(&client, "UpdateStack", &environment(2)).await;
    client.stack_until("s", "UPDATE_COMPLETE").await;
    assert_eq!(client.aws.world().clusters()[0]["registeredContainerInstancesCount"], 2);
    client.completed("db").await;
    let tasks = client.aws.world().tasks();
    assert!(
        tasks.iter().all(|task| task["launchType"] == "EC2" && task["capacityProviderName"] == provider),
        "{tasks:#?}"
    );
    client.ecs("DeleteService", json!({"cluster": "c", "service": "db", "force": true})).await.expect("it is there");
    client.service_until("it to be gone", "db", |seen| seen["status"] == "INACTIVE").await;
    client.cloudformation("DeleteStack", &[("StackName", "s")]).await.expect("it is there");
    until("nothing to be left", || async {
        let left = client.aws.world().stacks();
        let done = left.iter().all(|stack| stack["StackStatus"] == "DELETE_COMPLETE");
        if done { Ok(()) } else { Err(format!("{left:#?}")) }
    })
    .await;
    assert!(client.aws.world().clusters().is_empty());
    assert_eq!(client.aws.world().security_groups(), ["sg-default"]);
}

/// A cluster is not deleted while instances are registered in it: a stack that does not say that they go first fails, and goes
/// when it is deleted once more.
#[tokio::test]
async fn a_cluster_stays_as_long_as_its_instances() {
    let client = Client::start(FakeAwsConfig::default()).await;
    let mut template = environment(1);
    template["Resources"]["Instances"].as_object_mut().expect("a resource").remove("DependsOn");
    send(&client, "CreateStack", &template).await;
    client.stack_until("s", "CREATE_COMPLETE").await;
    client.cloudformation("DeleteStack", &[("StackName", "s")]).await.expect("it is there");
    client.stack_until("s", "DELETE_FAILED").await;
    let xml = client.cloudformation("DescribeStackEvents", &[("StackName", "s")]).await.expect("it is there");
    assert!(xml.contains("ClusterContainsContainerInstancesException"), "{xml}");
    client.cloudformation("DeleteStack", &[("StackName", "s")]).await.expect("it is there");
    until("nothing to be left", || async {
        let left = client.aws.world().clusters();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:#?}")) }
    })
    .await;
}

#[tokio::test]
async fn rules_lead_to_target_groups_of_their_own() {
    let client = Client::start(FakeAwsConfig::default()).await;
    let group = |name: &str| {
        json!({"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {
            "Name": name, "Port": 80, "Protocol": "HTTP", "VpcId": "vpc-main", "TargetType": "ip",
        }})
    };
    let forward = |logical: &str| json!([{"Type": "forward", "TargetGroupArn": {"Ref": logical}}]);
    let template = json!({"Resources": {
        "Balancer": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {
            "Name": "web", "Subnets": ["subnet-public-a", "subnet-public-b"], "Scheme": "internal",
        }},
        "One": group("one"),
        "Two": group("two"),
        "Listener": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {
            "LoadBalancerArn": {"Ref": "Balancer"}, "Port": 80, "Protocol": "HTTP", "DefaultActions": forward("One"),
        }},
        "Rule": {"Type": "AWS::ElasticLoadBalancingV2::ListenerRule", "Properties": {
            "ListenerArn": {"Ref": "Listener"}, "Priority": 5, "Actions": forward("Two"),
            "Conditions": [{"Field": "path-pattern", "Values": ["/two/*"]}],
        }},
    }, "Outputs": {"Listener": {"Value": {"Ref": "Listener"}}, "Name": {"Value": {"Fn::GetAtt": "Balancer.DNSName"}}}});
    send(&client, "CreateStack", &template).await;
    client.stack_until("s", "CREATE_COMPLETE").await;
    let xml = client.cloudformation("DescribeStacks", &[("StackName", "s")]).await.expect("it is there");
    let values = tags(&xml, "OutputValue");
    assert!(
        values.iter().any(|value| value.starts_with("internal-web-") && value.ends_with(".elb.amazonaws.com")),
        "{values:?}"
    );
    let listener = values.iter().find(|value| value.contains(":listener/")).expect("the listener's ARN");
    let xml = client.query("2015-12-01", "DescribeRules", &[("ListenerArn", listener)]).await.expect("rules");
    assert_eq!(tags(&xml, "Priority"), ["5", "default"]);
    let used =
        client.query("2015-12-01", "DescribeTargetGroups", &[("Names.member.1", "two")]).await.expect("it is there");
    assert!(tag(&used, "LoadBalancerArns").is_some_and(|arns| arns.contains(":loadbalancer/app/web/")), "{used}");
}

#[tokio::test]
async fn gzip_bodies_are_read() {
    let client = Client::start(FakeAwsConfig::default()).await;
    let text = br#"{"logGroupName":"zipped"}"#;
    let length = u16::try_from(text.len()).expect("it is short");
    // A gzip file of one block that is stored as it is; the fake does not look at the checksum.
    let mut body = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 1];
    body.extend(length.to_le_bytes());
    body.extend((!length).to_le_bytes());
    body.extend(text);
    body.extend([0; 4]);
    body.extend(u32::from(length).to_le_bytes());
    let headers = [
        ("x-amz-target", "Logs_20140328.CreateLogGroup"),
        ("content-encoding", "gzip"),
        ("authorization", "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/logs/aws4_request, Signature=00"),
    ];
    let (status, answer) = client.send(&headers, body).await.expect("an answer");
    assert_eq!(status, 200, "{answer}");
    assert_eq!(client.aws.world().log_groups()[0]["logGroupName"], "zipped");
    let (status, _) = client.send(&headers, "not gzip").await.expect("an answer");
    assert_eq!(status, 400);
}
