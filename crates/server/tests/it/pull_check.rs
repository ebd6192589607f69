//! The pull check as users meet it, and what happens without it.

use layer0_api::types as wire;
use layer0_engine::fake::Op;
use layer0_server::testing::TestApp;
use serde_json::json;

use crate::support::{Raw, deploy_of, done, end_of, environment, new_service, new_task, refused, service, to_deploy};

fn ecr(account: &str, name: &str) -> String {
    format!("{account}.dkr.ecr.us-east-1.amazonaws.com/team/{name}:1")
}

fn asked(image: &str, environment: &str) -> wire::ImageCheckQuery {
    wire::ImageCheckQuery {
        image: image.to_owned(),
        environment_id: (!environment.is_empty()).then(|| environment.to_owned()),
        ..wire::ImageCheckQuery::default()
    }
}

fn results(check: &wire::ImageCheck) -> Vec<(&str, &str)> {
    check.checks.iter().map(|it| (it.check.as_str(), it.result.as_str())).collect()
}

/// Each of the five can fail, and says so; a service that would meet it is not made.
#[tokio::test]
async fn each_of_the_five_checks_can_fail_and_says_so() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    for (account, name, failed, remedy) in [
        ("111111111111", "no-repository", "image", "aws ecr create-repository --repository-name team/no-repository"),
        ("111111111111", "no-tag", "image", "docker push"),
        ("111111111111", "no-layer", "image", "push it again"),
        ("111111111111", "no-platform", "platform", "docker buildx build --platform linux/amd64"),
        ("222222222222", "not-let-in", "access", "arn:aws:iam::111111111111:root"),
        ("222222222222", "denied", "access", "`closed`"),
        ("111111111111", "no-role", "role", "aws iam create-role"),
        ("111111111111", "untrusted-role", "role", "ecs-tasks.amazonaws.com"),
        ("111111111111", "weak-role", "role", "AmazonECSTaskExecutionRolePolicy"),
        ("111111111111", "no-route", "network", "NAT gateway"),
        ("111111111111", "no-endpoint", "network", "com.amazonaws.us-east-1.ecr.dkr"),
        ("111111111111", "shut-endpoint", "network", "authorize-security-group-ingress"),
        ("111111111111", "no-egress", "network", "authorize-security-group-egress"),
    ] {
        let image = ecr(account, name);
        let check = client.image_check(&asked(&image, &env)).await.expect("a check that fails is an answer");
        assert!(!check.passed && check.pinned.is_none(), "{name}: {check:?}");
        let order: Vec<&str> = check.checks.iter().map(|it| it.check.as_str()).collect();
        assert_eq!(order, ["image", "platform", "access", "role", "network"]);
        let failures: Vec<&wire::PullCheck> = check.checks.iter().filter(|it| it.result == "failed").collect();
        assert_eq!(failures.len(), 1, "{name}: {check:?}");
        assert_eq!(failures[0].check, failed, "{name}: {check:?}");
        assert!(failures[0].remedy.as_ref().is_some_and(|text| text.contains(remedy)), "{name}: {:?}", failures[0]);
        assert!(failures[0].class.is_some(), "{name}");

        let deploy = deploy_of(&client, "bad", &image, &[]).await;
        for (status, error) in [
            refused(client.service_create(&new_service("web", &env, &deploy, 1)).await),
            refused(client.task_create(&new_task("once", &env, &deploy)).await),
        ] {
            assert_eq!((status, error.error_code.as_str()), (422, "PullCheckFailed"), "{name}");
            assert!(error.message.contains(&failures[0].evidence), "{name}: {}", error.message);
        }
    }
}

#[tokio::test]
async fn what_can_be_pulled_passes_and_what_is_unknown_is_not_called_passed() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    for account in ["111111111111", "222222222222"] {
        let check = client.image_check(&asked(&ecr(account, "app"), &env)).await.expect("an answer");
        assert!(check.passed && check.checks.iter().all(|it| it.result == "passed"), "{check:?}");
        assert!(check.pinned.is_some_and(|pinned| pinned.contains("@sha256:")));
        assert_eq!(check.environment_id, env);
    }
    let arm = |platform: &str| wire::ImageCheckQuery {
        platform: Some(platform.to_owned()),
        ..asked(&ecr("111111111111", "app"), &env)
    };
    let check = client.image_check(&arm("linux/arm64")).await.expect("an answer");
    assert!(check.passed && check.checks[1].evidence.contains("runs on linux/arm64"), "{check:?}");
    let check = client.image_check(&arm("linux/s390x")).await.expect("an answer");
    assert_eq!(results(&check)[1], ("platform", "failed"), "{check:?}");
    assert_eq!(refused(client.image_check(&arm("fast")).await).0, 422);
    // Whose network it would be is open.
    let check = client.image_check(&asked(&ecr("111111111111", "app"), "")).await.expect("an answer");
    assert_eq!(results(&check).last(), Some(&("network", "unknown")), "{check:?}");
    assert!(check.passed);

    let unreadable = ecr("111111111111", "unreadable");
    let check = client.image_check(&asked(&unreadable, &env)).await.expect("an answer");
    assert!(check.passed && check.checks.iter().all(|it| it.result == "unknown"), "{check:?}");
    let deploy = deploy_of(&client, "web", &unreadable, &[]).await;
    let made = client.service_create(&new_service("web", &env, &deploy, 1)).await.expect("nothing failed");
    let warning = made.images[0].warning.clone().expect("who starts it is told");
    assert!(warning.contains("not checked of") && warning.contains("iam:GetRole"), "{warning}");
    done(&client, Ok(made)).await;
}

/// On one machine three of them apply.
#[tokio::test]
async fn an_image_of_our_own_registry_is_checked_for_what_applies() {
    let app = TestApp::start().await;
    let (raw, client) = (Raw::of(&app), app.client());
    raw.post("/repository/team", &json!({"name": "app"})).await.expect(201);
    let digest = raw.push("team/app", "1", "amd64", "x").await;
    raw.push("team/app", "arm", "arm64", "x").await;
    let image = |tag: &str| format!("registry.layer0.test/team/app:{tag}");
    let good = client.image_check(&asked(&image("1"), "")).await.expect("an answer");
    assert_eq!(results(&good), [("image", "passed"), ("platform", "passed"), ("access", "passed")]);
    assert!(good.pinned.is_some_and(|pinned| pinned.ends_with(&digest)));
    let arm = client.image_check(&asked(&image("arm"), "")).await.expect("an answer");
    assert_eq!(results(&arm), [("image", "passed"), ("platform", "failed"), ("access", "passed")]);
    assert_eq!(arm.problem.map(|problem| problem.class), Some("wrong_architecture".to_owned()));
    let none = client.image_check(&asked(&image("none"), "")).await.expect("an answer");
    assert_eq!(results(&none), [("image", "failed"), ("platform", "unknown")]);
    assert_eq!(refused(client.image_check(&asked("Not An Image", "")).await).0, 422);
    assert_eq!(refused(client.image_check(&asked("app:1", "nowhere")).await).0, 404);
}

/// Who wants to start without the check may: what is known is pinned, and it is said.
#[tokio::test]
async fn the_check_can_be_left_out() {
    let app = TestApp::start().await;
    let (raw, client) = (Raw::of(&app), app.client());
    raw.post("/repository/team", &json!({"name": "app"})).await.expect(201);
    let digest = raw.push("team/app", "arm", "arm64", "x").await;
    let env = environment(&client, "dev").await;
    let missing = deploy_of(&client, "missing", &ecr("111111111111", "no-role"), &[]).await;
    let foreign = deploy_of(&client, "foreign", "registry.layer0.test/team/app:arm", &[]).await;
    let good = deploy_of(&client, "good", "app:1", &[]).await;
    let web = service(&client, "other", &env, &good, 1).await;
    let asked = app.fake().calls(Op::PullEvidence);
    assert_ne!(asked, 0);

    let request = wire::CreateServiceRequest { skip_pull_check: true, ..new_service("web", &env, &missing, 1) };
    let made = client.service_create(&request).await.expect("it is not checked");
    end_of(&client, &made).await;
    assert_eq!(made.images[0].resolved, ecr("111111111111", "no-role"));
    assert!(
        made.images[0].warning.as_ref().is_some_and(|text| text.contains("the pull check was skipped")),
        "{made:?}"
    );
    let request = wire::CreateTaskRequest { skip_pull_check: true, ..new_task("once", &env, &foreign) };
    let made = client.task_create(&request).await.expect("it is not checked");
    end_of(&client, &made).await;
    assert!(made.images[0].resolved.ends_with(&digest), "what our registry knows is pinned: {made:?}");
    let change = wire::UpdateServiceRequest { skip_pull_check: true, ..to_deploy(&foreign) };
    let made = client.service_update(&web, &change).await.expect("it is not checked");
    end_of(&client, &made).await;
    assert_eq!(app.fake().calls(Op::PullEvidence), asked, "the engine was not asked");
    assert_eq!(refused(client.service_update(&web, &to_deploy(&missing)).await).1.error_code, "PullCheckFailed");
}

/// A role that the definition gives its containers has to be there, and this server has to be allowed to hand it over.
#[tokio::test]
async fn roles_that_are_handed_over_are_looked_at() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    for (name, role, words) in [
        ("app", "gone", Some("the task role arn:aws:iam::111111111111:role/gone does not exist")),
        ("not-passed", "app", Some("layer0, as which this server runs, may not pass app to tasks")),
        ("app", "app", None),
    ] {
        let mut document = crate::support::definition(&ecr("111111111111", name), &[]);
        document["taskRoleArn"] = json!(format!("arn:aws:iam::111111111111:role/{role}"));
        let made = client.deploy_create(&crate::support::new_deploy("web", document.to_string())).await;
        let deploy = made.expect("a legal deploy").entity_id;
        let asked = client.service_create(&new_service("web", &env, &deploy, 1)).await;
        match words {
            Some(words) => {
                let (status, error) = refused(asked);
                assert_eq!((status, error.error_code.as_str()), (422, "PullCheckFailed"), "{name} {role}");
                assert!(error.message.contains(words), "{}", error.message);
            }
            None => drop(done(&client, asked).await),
        }
    }
}
