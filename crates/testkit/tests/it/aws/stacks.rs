//! Stacks that are made, fail and are deleted.

use layer0_testkit::aws::{FakeAwsConfig, ResourceFault, ResourceVerb};
use serde_json::{Value, json};

use super::client::{Client, new_service, tag, tags};

/// An environment: a cluster and a security group that lets itself in.
pub(crate) fn environment() -> Value {
    json!({
        "Parameters": {"Name": {"Type": "String"}},
        "Resources": {
            "Cluster": {"Type": "AWS::ECS::Cluster", "Properties": {"ClusterName": {"Ref": "Name"}}},
            "Providers": {"Type": "AWS::ECS::ClusterCapacityProviderAssociations", "Properties": {
                "Cluster": {"Ref": "Cluster"},
                "CapacityProviders": ["FARGATE", "FARGATE_SPOT"],
                "DefaultCapacityProviderStrategy": [{"CapacityProvider": "FARGATE", "Weight": 1}],
            }},
            "Group": {"Type": "AWS::EC2::SecurityGroup", "Properties": {
                "GroupDescription": {"Fn::Sub": "tasks of ${Name}"}, "VpcId": "vpc-main",
            }},
            "Self": {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": {
                "GroupId": {"Fn::GetAtt": ["Group", "GroupId"]},
                "SourceSecurityGroupId": {"Fn::GetAtt": ["Group", "GroupId"]},
                "IpProtocol": "-1",
            }},
        },
        "Outputs": {
            "ClusterArn": {"Value": {"Fn::GetAtt": ["Cluster", "Arn"]}},
            "Group": {"Value": {"Ref": "Group"}, "Export": {"Name": {"Fn::Join": ["-", [{"Ref": "AWS::StackName"}, "group"]]}}},
        },
    })
}

async fn create(client: &Client, name: &str, template: &Value, token: &str) -> Result<String, super::client::Refusal> {
    let body = template.to_string();
    let form = [
        ("StackName", name),
        ("TemplateBody", &body),
        ("Parameters.member.1.ParameterKey", "Name"),
        ("Parameters.member.1.ParameterValue", name),
        ("Tags.member.1.Key", "layer0.instance"),
        ("Tags.member.1.Value", "test"),
        ("ClientRequestToken", token),
    ];
    client.cloudformation("CreateStack", &form).await
}

#[tokio::test]
async fn a_stack_makes_what_it_says() {
    let client = Client::start(FakeAwsConfig::default()).await;
    let made = create(&client, "env", &environment(), "t1").await.expect("a valid template");
    let again = create(&client, "env", &environment(), "t1").await.expect("the same token");
    assert_eq!(tag(&made, "StackId"), tag(&again, "StackId"));
    let taken = create(&client, "env", &environment(), "t2").await.expect_err("the name is taken");
    assert_eq!(taken.code, "AlreadyExistsException");
    client.stack_until("env", "CREATE_COMPLETE").await;
    let xml = client.cloudformation("DescribeStacks", &[("StackName", "env")]).await.expect("it is there");
    let values = tags(&xml, "OutputValue");
    assert!(values.contains(&"arn:aws:ecs:us-east-1:123456789012:cluster/env"), "{values:?}");
    assert_eq!(tag(&xml, "ExportName"), Some("env-group"));
    assert!(xml.contains("<Key>layer0.instance</Key><Value>test</Value>"), "{xml}");
    let cluster = &client.aws.world().clusters()[0];
    assert_eq!(cluster["capacityProviders"], json!(["FARGATE", "FARGATE_SPOT"]));
    assert_eq!(cluster["defaultCapacityProviderStrategy"], json!([{"capacityProvider": "FARGATE", "weight": 1}]));
    assert!(
        cluster["tags"]
            .as_array()
            .is_some_and(|tags| tags.contains(&json!({"key": "layer0.instance", "value": "test"})))
    );
    let group = values.iter().find(|value| value.starts_with("sg-")).expect("the group's id");
    let groups =
        client.query("2016-11-15", "DescribeSecurityGroups", &[("GroupId.1", group)]).await.expect("it is there");
    assert_eq!(tag(&groups, "groupDescription"), Some("tasks of env"));
    assert_eq!(tags(&groups, "groupId").len(), 2, "itself, and itself in its rule");

    let events = client.cloudformation("DescribeStackEvents", &[("StackName", "env")]).await.expect("events");
    let order: Vec<String> = tags(&events, "LogicalResourceId")
        .into_iter()
        .zip(tags(&events, "ResourceStatus"))
        .map(|(logical, status)| format!("{logical} {status}"))
        .rev()
        .collect();
    let at = |what: &str| order.iter().position(|event| event == what).unwrap_or_else(|| panic!("{what}: {order:#?}"));
    assert!(at("Cluster CREATE_COMPLETE") < at("Providers CREATE_IN_PROGRESS"));
    assert!(at("Group CREATE_IN_PROGRESS") < at("Cluster CREATE_COMPLETE"), "what needs nothing goes side by side");
    assert_eq!(at("env CREATE_COMPLETE"), order.len() - 1);
    let resources = client.cloudformation("DescribeStackResources", &[("StackName", "env")]).await.expect("resources");
    assert_eq!(tags(&resources, "ResourceStatus"), ["CREATE_COMPLETE"; 4]);
}

#[tokio::test]
async fn a_failure_rolls_everything_back() {
    let client = Client::start(FakeAwsConfig::default()).await;
    client.aws.fault_resource(ResourceFault {
        resource_type: "AWS::EC2::SecurityGroupIngress".to_owned(),
        verb: ResourceVerb::Create,
        reason: "rules limit reached".to_owned(),
        times: 1,
    });
    create(&client, "env", &environment(), "t1").await.expect("a valid template");
    client.stack_until("env", "ROLLBACK_COMPLETE").await;
    let events = client.cloudformation("DescribeStackEvents", &[("StackName", "env")]).await.expect("events");
    let reasons = tags(&events, "ResourceStatusReason");
    assert!(reasons.contains(&"rules limit reached"), "{reasons:?}");
    let summary = "The following resource(s) failed to create: [Self]. Rollback requested by user.";
    assert!(reasons.contains(&summary), "{reasons:?}");
    assert!(client.aws.world().clusters().is_empty());
    assert_eq!(client.aws.world().security_groups(), ["sg-default"]);
    let taken = create(&client, "env", &environment(), "t2").await.expect_err("it has to be deleted first");
    assert_eq!(taken.code, "AlreadyExistsException");
    client.cloudformation("DeleteStack", &[("StackName", "env")]).await.expect("it is there");
    gone(&client, "env").await;
    create(&client, "env", &environment(), "t3").await.expect("the name is free again");
    client.stack_until("env", "CREATE_COMPLETE").await;
}

/// Waits until a stack is not there any more.
async fn gone(client: &Client, name: &str) {
    layer0_testkit::until::until(format!("stack {name} to be gone"), || async {
        match client.cloudformation("DescribeStacks", &[("StackName", name)]).await {
            Err(refusal) if refusal.message == format!("Stack with id {name} does not exist") => {
                assert_eq!((refusal.code.as_str(), refusal.status), ("ValidationError", 400));
                Ok(())
            }
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn a_cluster_with_services_stays() {
    let client = Client::start(FakeAwsConfig::default()).await;
    create(&client, "c", &environment(), "t1").await.expect("a valid template");
    client.stack_until("c", "CREATE_COMPLETE").await;
    let definition = client.definition("web", "team/web:1").await;
    let group =
        client.aws.world().security_groups().into_iter().find(|id| id != "sg-default").expect("the stack's group");
    let mut wanted = new_service("web", &definition, 1);
    wanted["networkConfiguration"]["awsvpcConfiguration"]["securityGroups"] = json!([group]);
    client.ecs("CreateService", wanted).await.expect("it is valid");
    client.completed("web").await;
    client.cloudformation("DeleteStack", &[("StackName", "c")]).await.expect("it is there");
    client.stack_until("c", "DELETE_FAILED").await;
    let events = client.cloudformation("DescribeStackEvents", &[("StackName", "c")]).await.expect("events");
    let reasons = tags(&events, "ResourceStatusReason").join("\n");
    assert!(reasons.contains("ClusterContainsServicesException"), "{reasons}");
    assert!(reasons.contains("DependencyViolation"), "{reasons}");
    assert!(reasons.contains("The following resource(s) failed to delete: "), "{reasons}");

    client.ecs("DeleteService", json!({"cluster": "c", "service": "web", "force": true})).await.expect("forced");
    client.service_until("it to be gone", "web", |seen| seen["status"] == "INACTIVE").await;
    client.cloudformation("DeleteStack", &[("StackName", "c")]).await.expect("it is there");
    gone(&client, "c").await;
    client.cloudformation("DeleteStack", &[("StackName", "c")]).await.expect("what is gone is deleted already");
    assert_eq!(client.aws.world().security_groups(), ["sg-default"]);
    let deleted = client
        .cloudformation("ListStacks", &[("StackStatusFilter.member.1", "DELETE_COMPLETE")])
        .await
        .expect("a list");
    assert_eq!(tags(&deleted, "StackName"), ["c"]);
}

#[tokio::test]
async fn bad_templates_are_refused() {
    let client = Client::start(FakeAwsConfig::default()).await;
    let resource =
        |kind: &str, properties: Value| json!({"Resources": {"X": {"Type": kind, "Properties": properties}}});
    for (template, text) in [
        (json!({}), "At least one Resources member must be defined."),
        (resource("AWS::Lambda::Function", json!({})), "Unrecognized resource types: [AWS::Lambda::Function]"),
        (resource("AWS::ECS::Cluster", json!({"ClusterName": {"Ref": "Y"}})), "Unresolved resource dependencies [Y]"),
        (
            json!({"Parameters": {"P": {"Type": "String"}}, "Resources": {"X": {"Type": "AWS::ECS::Cluster"}}}),
            "Parameters: [P] must have values",
        ),
    ] {
        let body = template.to_string();
        let refusal = client.cloudformation("CreateStack", &[("StackName", "s"), ("TemplateBody", &body)]).await;
        let refusal = refusal.expect_err("it is wrong");
        assert_eq!(refusal.code, "ValidationError");
        assert!(refusal.message.contains(text), "{}", refusal.message);
    }
    let role = resource("AWS::IAM::Role", json!({"AssumeRolePolicyDocument": {}})).to_string();
    let refusal = client.cloudformation("CreateStack", &[("StackName", "s"), ("TemplateBody", &role)]).await;
    assert_eq!(refusal.expect_err("it makes a role").code, "InsufficientCapabilitiesException");
    let xml = client.cloudformation("DescribeStacks", &[]).await.expect("a list");
    assert!(tags(&xml, "StackName").is_empty());
}

#[tokio::test]
async fn exports_are_held_by_those_who_import_them() {
    let client = Client::start(FakeAwsConfig::default()).await;
    create(&client, "one", &environment(), "t").await.expect("a valid template");
    client.stack_until("one", "CREATE_COMPLETE").await;
    let importer = json!({"Parameters": {"Name": {"Type": "String"}}, "Resources": {"Link": {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": {
        "GroupId": {"Fn::ImportValue": "one-group"}, "CidrIp": "10.0.0.0/16", "IpProtocol": "tcp", "FromPort": 80, "ToPort": 80,
    }}}});
    create(&client, "two", &importer, "t").await.expect("a valid template");
    client.stack_until("two", "CREATE_COMPLETE").await;
    client.cloudformation("DeleteStack", &[("StackName", "one")]).await.expect("it is there");
    client.stack_until("one", "DELETE_FAILED").await;
    client.cloudformation("DeleteStack", &[("StackName", "two")]).await.expect("it is there");
    gone(&client, "two").await;
    client.cloudformation("DeleteStack", &[("StackName", "one")]).await.expect("it is there");
    gone(&client, "one").await;
}
