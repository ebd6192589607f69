//! What the fake does when things go wrong; what it does when they don't is in the suite of the port.

use serde_json::{Value, json};

use super::*;
use crate::account::{Account as _, AccountError, ChangeSetState, Kind, PlanWanted, TAG, Trouble};

fn account() -> FakeAccount {
    FakeAccount::new(AccountId::parse("123456789012").expect("an id"), "eu-central-1")
}

fn template(cpu: &str, more: Value) -> String {
    let mut resources = json!({
        "State": {
            "Type": "AWS::DynamoDB::Table", "DeletionPolicy": "RetainExceptOnCreate",
            "Properties": { "TableName": "l0-a" },
        },
        "Cluster": { "Type": "AWS::ECS::Cluster", "Properties": { "ClusterName": "l0-a-server" } },
        "Definition": { "Type": "AWS::ECS::TaskDefinition", "Properties": { "Cpu": cpu } },
        "Servers": {
            "Type": "AWS::ECS::Service",
            "Properties": { "ServiceName": "l0-a-server", "Cluster": { "Ref": "Cluster" }, "TaskDefinition": { "Ref": "Definition" } },
        },
    });
    let object = resources.as_object_mut().expect("an object");
    object.extend(more.as_object().cloned().unwrap_or_default());
    json!({ "Resources": resources, "Outputs": { "Table": { "Value": { "Ref": "State" } } } }).to_string()
}

fn wanted(name: &str, exists: bool, template: String) -> PlanWanted {
    let tags = BTreeMap::from([(TAG.to_owned(), "a".to_owned())]);
    PlanWanted { name: name.to_owned(), stack: "l0-a".to_owned(), exists, template, tags }
}

async fn apply(account: &FakeAccount, wanted: &PlanWanted) -> Result<String, AccountError> {
    account.plan(wanted).await?;
    account.settle();
    account.execute(&wanted.stack, &wanted.name).await?;
    account.settle();
    Ok(status(account).await)
}

async fn status(account: &FakeAccount) -> String {
    account.stack("l0-a").await.expect("an answer").map(|stack| stack.status).unwrap_or_default()
}

async fn failures(account: &FakeAccount) -> Vec<(String, String)> {
    let events = account.events("l0-a", None).await.expect("an answer");
    let failed = events.into_iter().filter(|event| event.status.ends_with("_FAILED"));
    failed.map(|event| (event.logical, event.reason)).collect()
}

#[tokio::test]
async fn creation_that_fails_at_any_part_leaves_nothing_and_goes_again() {
    for part in ["State", "Cluster", "Definition", "Servers"] {
        let account = account();
        account.fail(Fault::Create { part: part.to_owned(), reason: "no more of these".to_owned() });
        let made = apply(&account, &wanted("one", false, template("256", Value::Null))).await;
        assert_eq!(made.expect("it is carried out"), "ROLLBACK_COMPLETE", "{part}");
        let told = failures(&account).await;
        assert_eq!(told.first(), Some(&(part.to_owned(), "no more of these".to_owned())), "{part}");
        assert_eq!(account.things(), [], "{part}");
        let again = account.plan(&wanted("two", true, template("256", Value::Null))).await;
        assert_eq!(again.expect_err("it can't be changed").trouble, Trouble::Refused);
        account.heal();
        account.stack_delete("l0-a", &[]).await.expect("an answer");
        account.settle();
        let made = apply(&account, &wanted("three", false, template("256", Value::Null))).await;
        assert_eq!(made.expect("it is carried out"), "CREATE_COMPLETE", "{part}");
    }
}

#[tokio::test]
async fn an_update_that_fails_is_undone_and_one_that_can_t_be_undone_goes_on_when_it_can() {
    let account = account();
    apply(&account, &wanted("one", false, template("256", Value::Null))).await.expect("it is made");
    let before = account.things();
    let log = json!({ "Log": { "Type": "AWS::Logs::LogGroup", "Properties": { "LogGroupName": "l0-a-x" } } });
    account.fail(Fault::Update { part: "Servers".to_owned(), reason: "unhealthy".to_owned() });
    let undone = apply(&account, &wanted("two", true, template("512", log.clone()))).await;
    assert_eq!(undone.expect("it is carried out"), "UPDATE_ROLLBACK_COMPLETE");
    assert_eq!(account.things(), before);
    assert!(account.template("l0-a").await.expect("an answer").is_some_and(|text| text.contains("256")));

    account.fail(Fault::Rollback { part: "Servers".to_owned(), reason: "still unhealthy".to_owned() });
    let stuck = apply(&account, &wanted("three", true, template("512", log))).await;
    assert_eq!(stuck.expect("it is carried out"), "UPDATE_ROLLBACK_FAILED");
    account.rollback_continue("l0-a", &["Servers".to_owned()]).await.expect("an answer");
    account.settle();
    assert_eq!(status(&account).await, "UPDATE_ROLLBACK_COMPLETE");
}

#[tokio::test]
async fn what_can_t_be_deleted_is_told_and_can_be_left() {
    let account = account();
    apply(&account, &wanted("one", false, template("256", Value::Null))).await.expect("it is made");
    account.fail(Fault::Delete { part: "Cluster".to_owned(), reason: "it has tasks".to_owned() });
    let early = account.stack_delete("l0-a", &["Cluster".to_owned()]).await;
    assert_eq!(early.expect_err("nothing failed yet").trouble, Trouble::Refused);
    account.stack_delete("l0-a", &[]).await.expect("an answer");
    account.settle();
    let stack = account.stack("l0-a").await.expect("an answer").expect("it is there");
    assert_eq!(stack.status, "DELETE_FAILED");
    assert!(stack.reason.contains("[Cluster]"), "{}", stack.reason);
    account.stack_delete("l0-a", &["Cluster".to_owned()]).await.expect("an answer");
    account.settle();
    assert_eq!(account.stack("l0-a").await, Ok(None));
    let events = account.events(&stack.id, None).await.expect("by id");
    assert_eq!(events.last().map(|event| event.status.as_str()), Some("DELETE_COMPLETE"));
    let left: Vec<_> = account.remains("a").await.expect("an answer").into_iter().map(|it| it.kind).collect();
    assert_eq!(left, [Kind::Table, Kind::Other]);
}

#[tokio::test]
async fn calls_fail_as_they_were_told_and_a_lost_answer_was_carried_out() {
    let account = account();
    account.fail(Fault::Unreachable { calls: 1 });
    account.fail(Fault::Denied { action: "cloudformation:ExecuteChangeSet".to_owned() });
    assert_eq!(account.zones().await.expect_err("nobody is there").trouble, Trouble::Unreachable);
    assert_eq!(account.zones().await.map(|zones| zones.len()), Ok(3));
    let wanted = wanted("one", false, template("256", Value::Null));
    let denied = apply(&account, &wanted).await.expect_err("it is denied");
    assert_eq!((denied.trouble, denied.action.as_str()), (Trouble::Denied, "cloudformation:ExecuteChangeSet"));
    account.heal();
    account.fail(Fault::AnswerLost { action: "cloudformation:ExecuteChangeSet".to_owned() });
    let lost = apply(&account, &wanted).await.expect_err("its answer is lost");
    assert_eq!(lost.trouble, Trouble::Unreachable);
    assert_eq!(apply(&account, &wanted).await.expect("it goes on"), "CREATE_COMPLETE");
    assert_eq!(
        account.planned("l0-a", "one").await.expect("an answer").map(|it| it.state),
        Some(ChangeSetState::Obsolete)
    );
    account.fail(Fault::CredentialsExpire { after: 2 });
    for expected in [None, None, Some(Trouble::Credentials), Some(Trouble::Credentials)] {
        assert_eq!(account.identity().await.err().map(|error| error.trouble), expected);
    }
}
