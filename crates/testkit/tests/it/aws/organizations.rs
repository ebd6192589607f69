//! Organizations.

use layer0_testkit::aws::{FakeAwsConfig, Organization};
use serde_json::json;

use super::client::Client;

#[tokio::test]
async fn an_account_is_in_no_organization_until_it_is_said() {
    let client = Client::start(FakeAwsConfig::default()).await;
    let refusal = client.organizations("DescribeOrganization", json!({})).await.expect_err("it is in none");
    assert_eq!(refusal.code, "AWSOrganizationsNotInUseException");
    client.aws.organization(Organization { id: "o-1".to_owned(), units: None });
    let answer = client.organizations("DescribeOrganization", json!({})).await.expect("it is in one");
    assert_eq!(answer["Organization"]["Id"], "o-1");
    let refusal = client.organizations("ListParents", json!({"ChildId": "123456789012"})).await.expect_err("a member");
    assert_eq!(refusal.code, "AccessDeniedException");
}

#[tokio::test]
async fn parents_lead_to_the_root() {
    let client = Client::start(FakeAwsConfig::default()).await;
    let units = Some(vec!["r-1".to_owned(), "ou-1".to_owned()]);
    client.aws.organization(Organization { id: "o-1".to_owned(), units });
    for (child, parent, kind) in [("123456789012", "ou-1", "ORGANIZATIONAL_UNIT"), ("ou-1", "r-1", "ROOT")] {
        let answer = client.organizations("ListParents", json!({"ChildId": child})).await.expect("it has a parent");
        assert_eq!(answer["Parents"], json!([{"Id": parent, "Type": kind}]));
    }
    let refusal = client.organizations("ListParents", json!({"ChildId": "r-1"})).await.expect_err("the root has none");
    assert_eq!(refusal.code, "ChildNotFoundException");
}
