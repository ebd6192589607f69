//! Stacks that change.

use layer0_testkit::aws::{FakeAwsConfig, ResourceFault, ResourceVerb};
use layer0_testkit::until::until;
use serde_json::{Value, json};

use super::client::{Client, Refusal, tags};

fn template(groups: &[(&str, &str)], retention: u64) -> Value {
    let mut resources = json!({
        "Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "logs", "RetentionInDays": retention}},
    });
    for (logical, description) in groups {
        resources[*logical] = json!({
            "Type": "AWS::EC2::SecurityGroup",
            "Properties": {"GroupDescription": description, "VpcId": "vpc-main"},
        });
    }
    json!({"Resources": resources})
}

async fn send(client: &Client, action: &str, template: &Value) -> Result<String, Refusal> {
    client.cloudformation(action, &[("StackName", "s"), ("TemplateBody", &template.to_string())]).await
}

async fn made(groups: &[(&str, &str)]) -> Client {
    let client = Client::start(FakeAwsConfig::default()).await;
    send(&client, "CreateStack", &template(groups, 7)).await.expect("a valid template");
    client.stack_until("s", "CREATE_COMPLETE").await;
    client
}

#[tokio::test]
async fn an_update_adds_changes_replaces_and_removes() {
    let client = made(&[("Kept", "kept"), ("Replaced", "before"), ("Removed", "removed")]).await;
    let same =
        send(&client, "UpdateStack", &template(&[("Kept", "kept"), ("Replaced", "before"), ("Removed", "removed")], 7))
            .await;
    assert_eq!(same.expect_err("nothing changed").message, "No updates are to be performed.");
    let before = client.aws.world().security_groups();
    let wanted = template(&[("Kept", "kept"), ("Replaced", "after"), ("Added", "added")], 30);
    send(&client, "UpdateStack", &wanted).await.expect("a valid template");
    client.stack_until("s", "UPDATE_COMPLETE").await;
    assert_eq!(client.aws.world().log_groups()[0]["retentionInDays"], 30);
    let groups = client.query("2016-11-15", "DescribeSecurityGroups", &[]).await.expect("them");
    let mut descriptions = tags(&groups, "groupDescription");
    descriptions.sort_unstable();
    assert_eq!(descriptions, ["added", "after", "default", "kept"]);
    let kept = client.aws.world().security_groups().into_iter().filter(|id| before.contains(id)).count();
    assert_eq!(kept, 2, "sg-default and the one that did not change");
    let resources = client.cloudformation("DescribeStackResources", &[("StackName", "s")]).await.expect("resources");
    assert_eq!(tags(&resources, "LogicalResourceId"), ["Added", "Kept", "Logs", "Replaced"]);
}

#[tokio::test]
async fn a_failed_update_is_undone() {
    let client = made(&[("Kept", "kept"), ("Removed", "removed")]).await;
    let before = client.aws.world().security_groups();
    client.aws.fault_resource(ResourceFault {
        resource_type: "AWS::EC2::SecurityGroup".to_owned(),
        verb: ResourceVerb::Create,
        reason: "no more groups".to_owned(),
        times: 1,
    });
    send(&client, "UpdateStack", &template(&[("Kept", "kept"), ("Added", "added")], 30))
        .await
        .expect("a valid template");
    client.stack_until("s", "UPDATE_ROLLBACK_COMPLETE").await;
    assert_eq!(client.aws.world().security_groups(), before);
    assert_eq!(client.aws.world().log_groups()[0]["retentionInDays"], 7);
    send(&client, "UpdateStack", &template(&[("Kept", "kept")], 30)).await.expect("it can be updated again");
    client.stack_until("s", "UPDATE_COMPLETE").await;
    assert_eq!(client.aws.world().security_groups().len(), before.len() - 1);
}

#[tokio::test]
async fn only_one_thing_at_a_time() {
    let client = Client::start(FakeAwsConfig { stack_resource_ms: 200, ..FakeAwsConfig::default() }).await;
    send(&client, "CreateStack", &template(&[], 7)).await.expect("a valid template");
    let early = send(&client, "UpdateStack", &template(&[], 30)).await.expect_err("it is still being made");
    assert!(early.message.ends_with("is in CREATE_IN_PROGRESS state and can not be updated."), "{}", early.message);
    client.cloudformation("DeleteStack", &[("StackName", "s")]).await.expect("a creation can be cut short");
    until("nothing to be left", || async {
        let left = client.aws.world().stacks();
        let done = left.iter().all(|stack| stack["StackStatus"] == "DELETE_COMPLETE");
        if done && client.aws.world().log_groups().is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
}
