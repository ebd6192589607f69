//! AWS in the name of a role of another account.

use layer0_engine::ecs::{Connection, Role};
use layer0_testkit::aws::{FakeAws, FakeAwsConfig};

use super::stage::{REGION, sdk};

const ARN: &str = "arn:aws:iam::210987654321:role/images";

fn role(external_id: Option<&str>) -> Role {
    Role { arn: ARN.to_owned(), external_id: external_id.map(str::to_owned) }
}

async fn connection(aws: &FakeAws) -> Connection {
    Connection { sdk: sdk(aws).await, region: REGION.to_owned() }
}

/// The account that a way to AWS is in, as ECR sees it.
async fn account(connection: &Connection) -> String {
    let answer = aws_sdk_ecr::Client::new(&connection.sdk).get_authorization_token().send().await.expect("a token");
    let host = answer.authorization_data()[0].proxy_endpoint().expect("an address").to_owned();
    host.trim_start_matches("https://").split('.').next().unwrap_or_default().to_owned()
}

fn assumed(aws: &FakeAws) -> usize {
    aws.calls().iter().filter(|call| call.operation == "AssumeRole").count()
}

#[tokio::test]
async fn a_role_leads_into_its_account_and_is_kept_for_as_long_as_it_is_given() {
    let aws = FakeAws::start(FakeAwsConfig::default()).await;
    aws.role_elsewhere(ARN, Some("x-1"));
    let own = connection(&aws).await;
    let there = own.elsewhere(Some("eu-central-1"), Some(&role(Some("x-1"))), "layer0-test").await;
    assert_eq!(there.region, "eu-central-1");
    assert_eq!((account(&own).await, account(&there).await), ("123456789012".to_owned(), "210987654321".to_owned()));
    account(&there).await;
    assert_eq!(assumed(&aws), 1, "the credentials are kept");
    assert_eq!(own.elsewhere(None, None, "layer0-test").await.region, REGION);
}

#[tokio::test]
async fn credentials_of_a_role_are_renewed_before_they_end() {
    // The SDK renews what ends within seconds: here with each call.
    let aws = FakeAws::start(FakeAwsConfig { role_session_ms: 1000, ..FakeAwsConfig::default() }).await;
    aws.role_elsewhere(ARN, None);
    let there = connection(&aws).await.elsewhere(None, Some(&role(None)), "layer0-test").await;
    for _ in 0..3 {
        assert_eq!(account(&there).await, "210987654321");
    }
    assert!(assumed(&aws) >= 3, "{}", assumed(&aws));
}

#[tokio::test]
async fn a_role_that_is_not_given_is_named_with_what_aws_says() {
    let aws = FakeAws::start(FakeAwsConfig::default()).await;
    aws.role_elsewhere(ARN, Some("x-1"));
    let there = connection(&aws).await.elsewhere(None, Some(&role(Some("wrong"))), "layer0-test").await;
    let error =
        aws_sdk_ecr::Client::new(&there.sdk).get_authorization_token().send().await.expect_err("no credentials");
    let (mut said, mut next) = (error.to_string(), std::error::Error::source(&error));
    while let Some(why) = next {
        said = format!("{said}: {why}");
        next = why.source();
    }
    assert!(said.contains(&format!("the role {ARN} can't be assumed")), "{said}");
    assert!(said.contains("not authorized to perform: sts:AssumeRole"), "{said}");
}
