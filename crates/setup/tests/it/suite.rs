//! What every implementation of the port `Account` does. A case has names of its own, leaves nothing behind, and may find what a run
//! before left.

use std::collections::BTreeMap;

use layer0_setup::account::{
    Account, AccountError, Change, ChangeAction, ChangeSet, ChangeSetState, Event, Kind, PlanWanted, Remain,
    Replacement, Stack, TAG, Trouble,
};
use layer0_setup::image::{Architecture, Image};
use layer0_testkit::until::until;
use serde_json::{Value, json};

/// The template of the cases: what is kept and what is not, what says something, and what is secret.
pub(crate) fn template(instance: &str, days: u32, more: Value) -> String {
    let tags = json!([{ "Key": TAG, "Value": instance }]);
    let mut resources = json!({
        "State": {
            "Type": "AWS::DynamoDB::Table",
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
            "Properties": {
                "TableName": format!("l0-{instance}"),
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [{ "AttributeName": "p", "AttributeType": "S" }],
                "KeySchema": [{ "AttributeName": "p", "KeyType": "HASH" }],
                "DeletionProtectionEnabled": true,
                "Tags": tags,
            },
        },
        "Log": {
            "Type": "AWS::Logs::LogGroup",
            "Properties": { "LogGroupName": format!("l0-{instance}"), "RetentionInDays": days, "Tags": tags },
        },
        "Token": {
            "Type": "AWS::SecretsManager::Secret",
            "Properties": {
                "Name": format!("l0-{instance}/admin-token"),
                "GenerateSecretString": { "PasswordLength": 43, "ExcludePunctuation": true },
                "Tags": tags,
            },
        },
        "Wishes": {
            "Type": "AWS::SSM::Parameter",
            "Properties": { "Name": format!("/l0-{instance}/instance.toml"), "Type": "String", "Value": "name = \"a\"" },
        },
        "Cluster": {
            "Type": "AWS::ECS::Cluster",
            "Properties": { "ClusterName": format!("l0-{instance}"), "Tags": tags },
        },
    });
    resources.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    let outputs = json!({ "AdminToken": { "Value": { "Ref": "Token" } }, "Table": { "Value": { "Ref": "State" } } });
    json!({ "AWSTemplateFormatVersion": "2010-09-09", "Resources": resources, "Outputs": outputs }).to_string()
}

pub(crate) fn wanted(instance: &str, plan: &str, exists: bool, template: String) -> PlanWanted {
    let tags = BTreeMap::from([(TAG.to_owned(), instance.to_owned())]);
    PlanWanted { name: plan.to_owned(), stack: format!("l0-{instance}"), exists, template, tags }
}

/// Plans, and waits until the plan is worked out.
pub(crate) async fn planned(account: &dyn Account, wanted: &PlanWanted) -> ChangeSet {
    account.plan(wanted).await.expect("it is planned");
    until("a plan", || async {
        match account.planned(&wanted.stack, &wanted.name).await.expect("an answer") {
            Some(plan) if plan.state != ChangeSetState::Pending => Ok(plan),
            seen => Err(format!("{seen:?}")),
        }
    })
    .await
}

/// Waits until a stack is in the middle of nothing; `None` once there is none.
pub(crate) async fn settled(account: &dyn Account, name: &str) -> Option<Stack> {
    until("a stack at rest", || async {
        match account.stack(name).await.expect("an answer") {
            Some(stack) if stack.status.ends_with("_IN_PROGRESS") && stack.status != "REVIEW_IN_PROGRESS" => {
                Err(stack.status)
            }
            seen => Ok(seen),
        }
    })
    .await
}

/// Plans and carries out; answers the plan and the status of the stack.
async fn applied(account: &dyn Account, wanted: &PlanWanted) -> (ChangeSet, String) {
    let plan = planned(account, wanted).await;
    assert_eq!(plan.state, ChangeSetState::Ready);
    account.execute(&wanted.stack, &wanted.name).await.expect("it begins");
    let stack = settled(account, &wanted.stack).await.expect("it is there");
    (plan, stack.status)
}

/// Takes all away that there is of an instance, in its order.
pub(crate) async fn cleared(account: &dyn Account, instance: &str) {
    until("nothing left", || async {
        let remains = account.remains(instance).await.expect("an answer");
        for remain in &remains {
            if let Err(error) = account.remove(remain).await {
                assert!(error.trouble.passes(), "{remain:?}: {error}");
            }
        }
        settled(account, &format!("l0-{instance}")).await;
        if remains.is_empty() { Ok(()) } else { Err(format!("{remains:?}")) }
    })
    .await;
}

fn trouble<T: std::fmt::Debug>(answer: Result<T, AccountError>) -> Trouble {
    let error = answer.expect_err("it is refused");
    assert!(error.action.contains(':') && !error.words.is_empty(), "{error:?}");
    error.trouble
}

fn change<'a>(plan: &'a ChangeSet, logical: &str) -> &'a Change {
    plan.changes.iter().find(|change| change.logical == logical).unwrap_or_else(|| panic!("{logical} in {plan:?}"))
}

/// Whose the credentials are, and where.
pub(crate) async fn it_is_known_who_asks_and_where(account: &dyn Account, _: &str) {
    let identity = account.identity().await.expect("an answer");
    assert!(identity.arn.starts_with("arn:aws:"), "{identity:?}");
    let zones = account.zones().await.expect("an answer");
    assert!(zones.len() >= 2 && zones.is_sorted(), "{zones:?}");
}

/// A stack comes, changes and goes, and each call may be repeated.
pub(crate) async fn a_stack_comes_changes_and_goes(account: &dyn Account, instance: &str) {
    cleared(account, instance).await;
    let stack = format!("l0-{instance}");
    assert_eq!(account.stack(&stack).await, Ok(None));
    assert_eq!(account.template(&stack).await, Ok(None));
    assert_eq!(account.planned(&stack, "one").await, Ok(None));
    account.stack_delete(&stack, &[]).await.expect("one that isn't there is deleted");

    let first = wanted(instance, "one", false, template(instance, 1, Value::Null));
    let plan = planned(account, &first).await;
    account.plan(&first).await.expect("it is there already");
    assert_eq!(plan.state, ChangeSetState::Ready);
    assert_eq!(plan.changes.len(), 5);
    assert!(plan.changes.iter().all(|change| change.action == ChangeAction::Add && change.physical.is_empty()));
    assert!(account.stack(&stack).await.expect("an answer").is_some_and(|it| it.status == "REVIEW_IN_PROGRESS"));
    assert_eq!(account.template(&stack).await, Ok(None), "there is no more than a review");
    account.execute(&stack, "one").await.expect("it begins");
    account.execute(&stack, "one").await.expect("it has begun");
    let made = settled(account, &stack).await.expect("it is there");
    assert_eq!((made.status.as_str(), made.name.as_str()), ("CREATE_COMPLETE", stack.as_str()));
    assert_eq!(made.outputs.get("Table"), Some(&stack));
    assert_eq!(made.tags, first.tags);
    assert!(account.stacks().await.expect("an answer").iter().any(|it| it.id == made.id));
    assert_eq!(account.template(&stack).await.expect("an answer").as_deref(), Some(first.template.as_str()));
    let after = account.planned(&stack, "one").await.expect("an answer");
    assert!(after.is_none_or(|plan| plan.state == ChangeSetState::Obsolete));
    events(account, &stack, "CREATE_COMPLETE").await;

    let same = wanted(instance, "same", true, first.template.clone());
    assert_eq!(planned(account, &same).await.state, ChangeSetState::Empty);
    for _ in 0..2 {
        account.plan_forget(&stack, "same").await.expect("it is forgotten");
    }
    assert_eq!(account.planned(&stack, "same").await, Ok(None));
    assert!(account.stack(&stack).await.expect("an answer").is_some(), "the stack is another matter");

    let more = json!({ "More": { "Type": "AWS::Logs::LogGroup", "Properties": { "LogGroupName": format!("l0-{instance}-more") } } });
    let second = wanted(instance, "two", true, template(instance, 7, more));
    let (plan, status) = applied(account, &second).await;
    assert_eq!(status, "UPDATE_COMPLETE");
    assert_eq!(change(&plan, "More").action, ChangeAction::Add);
    let log = change(&plan, "Log");
    assert_eq!(log.action, ChangeAction::Modify);
    // ministack can't tell, and says that it may.
    assert_ne!(log.replacement, Replacement::Always);
    assert_eq!(log.properties, ["RetentionInDays"]);
    assert!(!log.physical.is_empty());
    let (plan, _) = applied(account, &wanted(instance, "three", true, template(instance, 7, Value::Null))).await;
    assert_eq!(change(&plan, "More").action, ChangeAction::Remove);

    account.stack_delete(&stack, &[]).await.expect("it begins");
    assert_eq!(settled(account, &stack).await, None);
    account.stack_delete(&stack, &[]).await.expect("it is deleted");
    events(account, &made.id, "DELETE_COMPLETE").await;
    cleared(account, instance).await;
}

/// Events are told from the oldest on, and from any of them on.
async fn events(account: &dyn Account, stack: &str, last: &str) {
    let all: Vec<Event> = account.events(stack, None).await.expect("an answer");
    assert!(all.is_sorted_by_key(|event| event.at), "{all:?}");
    assert_eq!(all.last().map(|event| event.status.as_str()), Some(last));
    assert!(all.iter().any(|event| event.logical == "State" && event.status == "CREATE_COMPLETE"), "{all:?}");
    let half = all.len() / 2;
    let rest = account.events(stack, Some(&all[half].id)).await.expect("an answer");
    assert_eq!(rest, all[half + 1..]);
    assert_eq!(account.events(stack, all.last().map(|event| event.id.as_str())).await, Ok(Vec::new()));
}

/// What a plan is for is checked, and one that is forgotten leaves no stack behind.
pub(crate) async fn a_plan_that_can_t_be_is_refused_or_forgotten(account: &dyn Account, instance: &str) {
    cleared(account, instance).await;
    let stack = format!("l0-{instance}");
    let lacking = wanted(instance, "one", true, template(instance, 1, Value::Null));
    assert_eq!(trouble(account.plan(&lacking).await), Trouble::Refused);
    let broken = wanted(instance, "one", false, "{".to_owned());
    assert_eq!(trouble(account.plan(&broken).await), Trouble::Refused);
    let long = wanted(instance, "one", false, template(instance, 1, json!({ "Long": "x".repeat(51_200) })));
    let error = account.plan(&long).await.expect_err("it is too long");
    assert!(error.trouble == Trouble::Refused && error.words.contains("51200"), "{error}");
    assert_eq!(trouble(account.execute(&stack, "one").await), Trouble::Refused);
    let good = wanted(instance, "one", false, template(instance, 1, Value::Null));
    planned(account, &good).await;
    account.plan_forget(&stack, "one").await.expect("it is forgotten");
    assert_eq!(settled(account, &stack).await, None);
    assert_eq!(account.remains(instance).await, Ok(Vec::new()));
}

/// What was kept is an instance's, and is taken in again.
pub(crate) async fn what_is_kept_is_taken_in_again(account: &dyn Account, instance: &str) {
    cleared(account, instance).await;
    let stack = format!("l0-{instance}");
    let first = wanted(instance, "one", false, template(instance, 1, Value::Null));
    assert_eq!(applied(account, &first).await.1, "CREATE_COMPLETE");
    let of = |kind, name: &str| Remain { kind, name: name.to_owned() };
    let whole = account.remains(instance).await.expect("an answer");
    assert_eq!(whole, [of(Kind::Stack, &stack), of(Kind::Table, &stack)], "the rest goes with the stack");
    account.stack_delete(&stack, &[]).await.expect("it begins");
    assert_eq!(settled(account, &stack).await, None);
    assert_eq!(account.remains(instance).await, Ok(vec![of(Kind::Table, &stack)]));

    let again = wanted(instance, "again", false, template(instance, 1, Value::Null));
    let (plan, status) = applied(account, &again).await;
    assert_eq!((change(&plan, "State").action, status.as_str()), (ChangeAction::Import, "CREATE_COMPLETE"));
    assert_eq!(change(&plan, "Log").action, ChangeAction::Add);
    account.stack_delete(&stack, &[]).await.expect("it begins");
    assert_eq!(settled(account, &stack).await, None);
    for _ in 0..2 {
        until("the table goes", || async {
            account.remove(&of(Kind::Table, &stack)).await.map_err(|error| error.to_string())
        })
        .await;
    }
    until("nothing left", || async {
        let left = account.remains(instance).await.expect("an answer");
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
}

/// Secrets and parameters are read where they are, and none is there where none is.
pub(crate) async fn what_is_kept_is_read(account: &dyn Account, instance: &str) {
    cleared(account, instance).await;
    let (secret, parameter) = (format!("l0-{instance}/admin-token"), format!("/l0-{instance}/instance.toml"));
    assert_eq!(account.secret(&secret).await, Ok(None));
    assert_eq!(account.parameter(&parameter).await, Ok(None));
    assert_eq!(trouble(account.parameter_put(&parameter, "x").await), Trouble::Refused);
    let first = wanted(instance, "one", false, template(instance, 1, Value::Null));
    applied(account, &first).await;
    let stack = account.stack(&first.stack).await.expect("an answer").expect("it is there");
    let by_arn = account.secret(&stack.outputs["AdminToken"]).await.expect("an answer").expect("it is there");
    assert!(!by_arn.reveal().is_empty());
    assert!(!format!("{by_arn:?}").contains(by_arn.reveal()));
    assert_eq!(account.secret(&secret).await, Ok(Some(by_arn)));
    assert_eq!(account.parameter(&parameter).await.expect("an answer").as_deref(), Some("name = \"a\""));
    account.parameter_put(&parameter, "name = \"b\"").await.expect("it is there");
    assert_eq!(account.parameter(&parameter).await.expect("an answer").as_deref(), Some("name = \"b\""));
    cleared(account, instance).await;
    assert_eq!(account.secret(&secret).await, Ok(None));
}

/// An image is pushed into a repository that is the instance's own.
pub(crate) async fn an_image_is_pushed_into_an_own_repository(account: &dyn Account, instance: &str) {
    cleared(account, instance).await;
    let name = format!("l0-{instance}-server");
    let registry = account.registry().await.expect("an answer");
    assert!(!registry.is_empty() && !registry.contains('/'), "{registry}");
    for _ in 0..2 {
        account.repository(&name, instance).await.expect("it is made");
    }
    assert_eq!(trouble(account.repository(&name, "another").await), Trouble::Refused);
    for _ in 0..2 {
        account.image_push(&name, &image("one"), "v1").await.expect("it is pushed");
    }
    account.image_push(&name, &image("two"), "v1").await.expect("the tag moves");
    let remain = Remain { kind: Kind::ServerRepository, name: name.clone() };
    assert_eq!(account.remains(instance).await, Ok(vec![remain.clone()]));
    for _ in 0..2 {
        account.remove(&remain).await.expect("it goes");
    }
    assert_eq!(account.remains(instance).await, Ok(Vec::new()));
    assert_eq!(trouble(account.image_push(&name, &image("one"), "v1").await), Trouble::Refused);
}

/// What is not there is none, and goes all the same.
pub(crate) async fn what_is_not_there_is_none(account: &dyn Account, instance: &str) {
    assert_eq!(account.vpc("vpc-00000000000000000").await, Ok(None));
    let of = |kind, name: String| Remain { kind, name };
    for remain in [
        of(Kind::Servers, format!("l0-{instance}-x/l0-{instance}-x")),
        of(Kind::TaskDefinition, format!("l0-{instance}-x:1")),
        of(Kind::Stack, format!("l0-{instance}-x")),
        of(Kind::LogGroup, format!("l0-{instance}-x")),
        of(Kind::Secret, format!("l0-{instance}-x")),
        of(Kind::Parameter, format!("/l0-{instance}-x")),
        of(Kind::Repository, format!("l0-{instance}-x")),
        of(Kind::Bucket, format!("l0-{instance}-x")),
        of(Kind::Table, format!("l0-{instance}-x")),
    ] {
        account.remove(&remain).await.unwrap_or_else(|error| panic!("{remain:?}: {error}"));
    }
    assert_eq!(trouble(account.remove(&of(Kind::Other, "arn:aws:x:::y".to_owned())).await), Trouble::Refused);
}

/// An image with some bytes in it, which no machine could run.
fn image(bytes: &str) -> Image {
    let layer = bytes.as_bytes().to_vec();
    let digest = |bytes: &[u8]| layer0_domain::model::digest::Digest::sha256_of(bytes).to_string();
    let config =
        json!({ "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] } });
    let config = config.to_string().into_bytes();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(&config), "size": config.len(),
        },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(&layer), "size": layer.len(),
        }],
    });
    Image { architecture: Architecture::Amd64, manifest: manifest.to_string().into_bytes(), layer, config }
}

/// One test for each case, each with a name of its own for the instance.
macro_rules! suite {
    ($account:expr) => {
        $crate::suite::suite!(@ $account,
            it_is_known_who_asks_and_where "who",
            a_stack_comes_changes_and_goes "stack",
            a_plan_that_can_t_be_is_refused_or_forgotten "plan",
            what_is_kept_is_taken_in_again "kept",
            what_is_kept_is_read "read",
            an_image_is_pushed_into_an_own_repository "image",
            what_is_not_there_is_none "none",
        );
    };
    (@ $account:expr, $($case:ident $name:literal,)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                let account = $account.await;
                $crate::suite::$case(&account, concat!("suite-", $name)).await;
            }
        )*
    };
}
pub(crate) use suite;
