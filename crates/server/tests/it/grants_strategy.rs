//! Strategies of account grants through the front door: chosen at a server's start, planned beforehand, changed under way.

use std::time::Duration;

use layer0_api::client::Client;
use layer0_api::types::{AccountQuery, AccountStrategy, GrantAccountRequest};
use layer0_domain::model::grant::GrantStrategy;
use layer0_domain::model::image::RepositoryName;
use layer0_engine::fake::{FakePolicies, PolicyFault, PolicyOp};
use layer0_server::testing::{TestApp, TestOptions};
use layer0_testkit::pulls::{Asker, may_pull};
use layer0_testkit::until::until_true;
use serde_json::json;

use crate::support::{Raw, basic};

const ACCOUNT: &str = "123456789012";
const REPOSITORIES: [&str; 3] = ["team/app", "team/web", "other/app"];
const ASKER: Asker = Asker { account: ACCOUNT, organization: "o-nobodys0000", path: "o-nobodys0000/r-0000/" };

fn name(text: &str) -> RepositoryName {
    RepositoryName::parse(text).expect("a legal name")
}

fn registry() -> FakePolicies {
    let policies = FakePolicies::new();
    REPOSITORIES.iter().for_each(|text| policies.repository_make(&name(text)));
    policies
}

/// An instance in which the account may pull everything.
async fn app(policies: &FakePolicies, shared: Option<Duration>) -> TestApp {
    let options = TestOptions { policies: Some(policies.clone()), shared, ..TestOptions::default() };
    let app = TestApp::with(options).await;
    Raw::of(&app).post("/owner", &json!({"owner_name": "team"})).await.expect(201);
    let client = app.client();
    let request = GrantAccountRequest { account: ACCOUNT.to_owned(), ..GrantAccountRequest::default() };
    client.account_grant(&request).await.expect("it is taken");
    until_true("it to be settled", || async { state(&client).await == "settled" }).await;
    app
}

async fn state(client: &Client) -> String {
    client.account_list().await.expect("an answer").grants.remove(0).state
}

async fn strategy(client: &Client) -> AccountStrategy {
    client.account_list().await.expect("an answer").strategy.expect("it has grants")
}

async fn is_settled(client: &Client, wish: GrantStrategy) -> bool {
    let strategy = strategy(client).await;
    strategy.strategy == wish.as_str() && strategy.state == "settled"
}

/// Whether the account may pull from each repository, at each moment since the history began.
fn may_pull_throughout(policies: &FakePolicies) -> bool {
    let arn = |it: &str| format!("arn:aws:ecr:us-east-1:123456789012:repository/{it}");
    let mut registry: Option<String> = None;
    let mut own = REPOSITORIES.map(|it| (it, None::<String>));
    policies.history().into_iter().enumerate().all(|(at, (of, text))| {
        match of {
            None => registry = text,
            Some(of) => own.iter_mut().find(|(it, _)| *it == of.as_str()).expect("one of them").1 = text,
        }
        // The first writes are the grant itself.
        at < REPOSITORIES.len() - 1
            || own.iter().all(|(it, own)| may_pull(&[own.as_deref(), registry.as_deref()], &arn(it), ASKER))
    })
}

#[tokio::test]
async fn a_strategy_is_planned_chosen_and_told() {
    let policies = registry();
    policies.history_keep();
    let mut app = app(&policies, None).await;
    let client = app.client();
    let first = strategy(&client).await;
    assert_eq!((first.strategy.as_str(), first.state.as_str(), first.since.as_str()), ("repositories", "settled", ""));
    assert_eq!(policies.calls(PolicyOp::RegistryRead), 0, "nothing is asked that nobody needs");

    let plan = |strategy: &str| AccountQuery { strategy: strategy.to_owned(), ..AccountQuery::default() };
    let planned = client.account_plan(&plan("registry")).await.expect("an answer");
    let changes: Vec<(&str, &str, &str)> =
        planned.documents.iter().map(|it| (it.registry.as_str(), it.repository.as_str(), it.change.as_str())).collect();
    assert_eq!(
        changes,
        [
            ("123456789012/us-east-1", "", "write"),
            ("", "other/app", "delete"),
            ("", "team/app", "delete"),
            ("", "team/web", "delete"),
        ]
    );
    assert!(planned.documents[0].text.contains(":repository/*/*"), "{}", planned.documents[0].text);
    let conditions = client.account_plan(&plan("organization")).await.expect("an answer");
    assert!(conditions.documents[0].text.contains("aws:PrincipalAccount"), "{conditions:?}");
    let same = client.account_plan(&plan("repositories")).await.expect("an answer");
    assert!(same.documents.len() == 3 && same.documents.iter().all(|it| it.change == "keep"), "{same:?}");
    let none = client.account_plan(&plan("lists")).await.expect_err("there is none");
    assert!(none.to_string().contains("repositories, registry or organization"), "{none}");
    assert_eq!(policies.history().len(), 3, "a plan writes nothing");

    // Its documents speak of all owners: only admins see the registry's.
    let raw = Raw::of(&app);
    raw.post("/user", &json!({"user_name": "mara"})).await.expect(201);
    raw.put("/owner/team/member/mara", &json!({"role": "maintainer"})).await.expect(200);
    let made = raw.post("/token", &json!({"name": "mara", "user": "mara"})).await.expect(201).json();
    let mara = raw.as_(Some(&basic("mara", made["secret"].as_str().expect("a secret"))));
    let seen = mara.get("/account/plan?owner=team&strategy=registry").await.expect(200).json();
    let seen = seen["documents"].as_array().expect("documents");
    assert!(seen.len() == 2 && seen.iter().all(|it| it["repository"] != ""), "{seen:?}");

    for wish in [GrantStrategy::Registry, GrantStrategy::Organization, GrantStrategy::Repositories] {
        app.stop().await;
        app.strategy(wish);
        app.start_again().await;
        until_true("the change to be through", || async { is_settled(&client, wish).await }).await;
        assert_ne!(strategy(&client).await.since, "");
        let in_registry = wish != GrantStrategy::Repositories;
        assert_eq!(policies.registry_policy().is_some(), in_registry, "{wish}");
        assert!(REPOSITORIES.iter().all(|it| policies.policy(&name(it)).is_none() == in_registry), "{wish}");
    }
    assert!(may_pull_throughout(&policies));
    assert_eq!(state(&client).await, "settled");
}

/// Killed while the new is written, and while the old is taken away: the next server goes on, and nobody was shut out.
#[tokio::test]
async fn a_server_killed_in_mid_change_shuts_nobody_out() {
    for (op, nth) in [(PolicyOp::RegistryWrite, 0), (PolicyOp::Delete, 0), (PolicyOp::Delete, 2)] {
        let policies = registry();
        policies.history_keep();
        let mut app = app(&policies, None).await;
        app.stop().await;
        app.strategy(GrantStrategy::Registry);
        policies.fail_after(op, nth, PolicyFault::Hang);
        app.start_again().await;
        until_true("it to hang", || async { policies.calls(op) > nth }).await;
        assert_ne!(strategy(&app.client()).await.state, "settled");
        app.kill().await;
        app.start_again().await;
        let client = app.client();
        until_true("the change to be through", || async { is_settled(&client, GrantStrategy::Registry).await }).await;
        assert!(may_pull_throughout(&policies), "{op:?} {nth}");
        assert!(REPOSITORIES.iter().all(|it| policies.policy(&name(it)).is_none()));
    }
}

/// Of several servers the one with the lease changes, by the wish of the one that started last; when it dies, another goes on.
#[tokio::test]
async fn another_server_goes_on_with_a_change() {
    let policies = registry();
    policies.history_keep();
    let mut first = app(&policies, Some(Duration::from_millis(500))).await;
    first.strategy(GrantStrategy::Organization);
    policies.fail_after(PolicyOp::Delete, 1, PolicyFault::Hang);
    let second = first.beside().await;
    let client = second.client();
    until_true("the first to be in the middle of it", || async { policies.calls(PolicyOp::Delete) >= 2 }).await;
    assert_eq!(strategy(&client).await.state, "clearing");
    first.kill().await;
    until_true("the second to go on", || async { is_settled(&client, GrantStrategy::Organization).await }).await;
    assert!(may_pull_throughout(&policies));
    assert!(REPOSITORIES.iter().all(|it| policies.policy(&name(it)).is_none()));
}

/// A strategy that can't be changed to says why, and the grants are as true as before.
#[tokio::test]
async fn what_is_in_the_way_of_a_change_is_told() {
    let policies = registry();
    let mut app = app(&policies, None).await;
    policies.registry_policy_scope_set(layer0_domain::port::registry_policy::PolicyScope::Narrow);
    app.stop().await;
    app.strategy(GrantStrategy::Registry);
    app.start_again().await;
    let client = app.client();
    let told = || async { strategy(&client).await.progress.contains("REGISTRY_POLICY_SCOPE --value V2") };
    until_true("it to be told", told).await;
    let strategy = strategy(&client).await;
    assert_eq!((strategy.state.as_str(), &strategy.standing[..]), ("spreading", &["repositories".to_owned()][..]));
    assert_eq!((policies.registry_policy(), state(&client).await.as_str()), (None, "settled"));
}
