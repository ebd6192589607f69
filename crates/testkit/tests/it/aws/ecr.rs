//! ECR.

use layer0_testkit::aws::{FakeAwsConfig, FakeImage};
use serde_json::{Value, json};

use super::client::Client;

async fn with_images() -> Client {
    let client = Client::start(FakeAwsConfig::default()).await;
    client.aws.image("team/app", "1", FakeImage::default());
    let platforms = vec!["linux/amd64".to_owned(), "linux/arm64".to_owned()];
    client.aws.image("team/app", "2", FakeImage { platforms, missing_layers: 1, registry: None });
    client.aws.image("theirs", "1", FakeImage { registry: Some("222222222222".to_owned()), ..FakeImage::default() });
    client
}

async fn manifest(client: &Client, tag: &str) -> Value {
    let input = json!({"repositoryName": "team/app", "imageIds": [{"imageTag": tag}]});
    let answer = client.ecr("BatchGetImage", input).await.expect("it is there");
    let text = answer["images"][0]["imageManifest"].as_str().expect("a manifest");
    serde_json::from_str(text).expect("it is JSON")
}

#[tokio::test]
async fn an_image_is_what_it_says() {
    let client = with_images().await;
    let plain = manifest(&client, "1").await;
    let layers: Vec<&Value> =
        plain["layers"].as_array().expect("layers").iter().map(|layer| &layer["digest"]).collect();
    let answer =
        client.ecr("BatchCheckLayerAvailability", json!({"repositoryName": "team/app", "layerDigests": layers})).await;
    let answer = answer.expect("it is there");
    assert!(
        answer["layers"]
            .as_array()
            .is_some_and(|all| all.len() == 2 && all.iter().all(|one| one["layerAvailability"] == "AVAILABLE"))
    );
    let digest = &plain["config"]["digest"];
    let url = client
        .ecr("GetDownloadUrlForLayer", json!({"repositoryName": "team/app", "layerDigest": digest}))
        .await
        .expect("a URL");
    let url = url["downloadUrl"].as_str().expect("a URL");
    assert!(url.starts_with(client.aws.endpoint()), "{url}");
    let config = fetch(url).await;
    assert_eq!((&config["os"], &config["architecture"]), (&json!("linux"), &json!("amd64")));

    let index = manifest(&client, "2").await;
    assert_eq!(index["manifests"][1]["platform"]["architecture"], "arm64");
    let child = json!({"imageDigest": index["manifests"][0]["digest"]});
    let child =
        client.ecr("BatchGetImage", json!({"repositoryName": "team/app", "imageIds": [child]})).await.expect("a child");
    let child: Value =
        serde_json::from_str(child["images"][0]["imageManifest"].as_str().expect("a manifest")).expect("JSON");
    let digests: Vec<&Value> =
        child["layers"].as_array().expect("layers").iter().map(|layer| &layer["digest"]).collect();
    let answer =
        client.ecr("BatchCheckLayerAvailability", json!({"repositoryName": "team/app", "layerDigests": digests})).await;
    let states: Vec<Value> = answer.expect("it is there")["layers"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|layer| layer["layerAvailability"].clone())
        .collect();
    assert_eq!(states, ["UNAVAILABLE", "AVAILABLE"]);
}

/// GETs JSON, as from S3: without a signature.
async fn fetch(url: &str) -> Value {
    use http_body_util::{BodyExt, Empty};
    use hyper_util::client::legacy::Client as Http;
    let http: Http<_, Empty<bytes::Bytes>> = Http::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let answer = http.get(url.parse().expect("a URL")).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    serde_json::from_slice(&body).expect("it is JSON")
}

#[tokio::test]
async fn what_is_not_there_is_told() {
    let client = with_images().await;
    let none =
        client.ecr("DescribeRepositories", json!({"repositoryNames": ["none"]})).await.expect_err("there is none");
    assert_eq!(none.code, "RepositoryNotFoundException");
    let answer =
        client.ecr("BatchGetImage", json!({"repositoryName": "team/app", "imageIds": [{"imageTag": "9"}]})).await;
    assert_eq!(answer.expect("an answer")["failures"][0]["failureCode"], "ImageNotFound");
    let image =
        client.ecr("DescribeImages", json!({"repositoryName": "team/app", "imageIds": [{"imageTag": "9"}]})).await;
    assert_eq!(image.expect_err("there is none").code, "ImageNotFoundException");
    let policy =
        client.ecr("GetRepositoryPolicy", json!({"repositoryName": "team/app"})).await.expect_err("there is none");
    assert_eq!(policy.code, "RepositoryPolicyNotFoundException");
    let policy = client.ecr("GetRegistryPolicy", json!({})).await.expect_err("there is none");
    assert_eq!(policy.code, "RegistryPolicyNotFoundException");
    let token = client.ecr("GetAuthorizationToken", json!({})).await.expect("always");
    assert_eq!(token["authorizationData"][0]["authorizationToken"], "QVdTOmZha2UtcGFzc3dvcmQtMA==");
}

#[tokio::test]
async fn other_accounts_are_closed_until_they_are_open() {
    let client = with_images().await;
    let input = json!({"registryId": "222222222222", "repositoryName": "theirs", "imageIds": [{"imageTag": "1"}]});
    let denied = client.ecr("BatchGetImage", input.clone()).await.expect_err("it is not ours");
    assert_eq!(denied.code, "AccessDeniedException");
    assert!(denied.message.contains("ecr:BatchGetImage"), "{}", denied.message);
    client.aws.ecr_access(|registry, repository, action| {
        registry == "222222222222" && repository == "theirs" && action == "ecr:BatchGetImage"
    });
    let answer = client.ecr("BatchGetImage", input).await.expect("it is open now");
    assert_eq!(answer["images"][0]["registryId"], "222222222222");
    let other = json!({"registryId": "222222222222", "repositoryName": "theirs"});
    assert_eq!(client.ecr("DescribeImages", other).await.expect_err("not this").code, "AccessDeniedException");
}

#[tokio::test]
async fn policies_are_kept() {
    let client = with_images().await;
    let policy =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}]}"#;
    let set = |text: &str| client.ecr("SetRepositoryPolicy", json!({"repositoryName": "team/app", "policyText": text}));
    set(policy).await.expect("it is valid");
    let got = client.ecr("GetRepositoryPolicy", json!({"repositoryName": "team/app"})).await.expect("it is there");
    assert_eq!(got["policyText"], policy);
    for bad in
        ["not json", r#"{"Statement":[{"Effect":"allow"}]}"#, r#"{"Statement":[{"Effect":"Allow","Resource":"*"}]}"#]
    {
        assert_eq!(set(bad).await.expect_err("it is not").code, "InvalidParameterException");
    }
}

#[tokio::test]
async fn a_setting_has_a_default_and_can_be_set() {
    let client = with_images().await;
    let scope = json!({"name": "REGISTRY_POLICY_SCOPE"});
    assert_eq!(client.ecr("GetAccountSetting", scope.clone()).await.expect("a default")["value"], "V2");
    client.aws.registry_setting("REGISTRY_POLICY_SCOPE", "V1");
    assert_eq!(client.ecr("GetAccountSetting", scope).await.expect("it is set")["value"], "V1");
    let refusal = client.ecr("GetAccountSetting", json!({"name": "NONE"})).await.expect_err("there is no such setting");
    assert_eq!(refusal.code, "InvalidParameterException");
}

#[tokio::test]
async fn a_repository_has_tags_and_a_lifecycle_policy() {
    let client = with_images().await;
    let arn = json!("arn:aws:ecr:us-east-1:123456789012:repository/team/app");
    for (key, value) in [("team", "web"), ("cost", "7"), ("team", "ops")] {
        let tag = json!({"resourceArn": arn, "tags": [{"Key": key, "Value": value}]});
        client.ecr("TagResource", tag).await.expect("it is there");
    }
    let tags = client.ecr("ListTagsForResource", json!({"resourceArn": arn})).await.expect("it is there");
    assert_eq!(tags["tags"], json!([{"Key": "cost", "Value": "7"}, {"Key": "team", "Value": "ops"}]));

    let name = json!({"repositoryName": "team/app"});
    let none = client.ecr("GetLifecyclePolicy", name.clone()).await.expect_err("there is none");
    assert_eq!(none.code, "LifecyclePolicyNotFoundException");
    let put = |text: &str| {
        client.ecr("PutLifecyclePolicy", json!({"repositoryName": "team/app", "lifecyclePolicyText": text}))
    };
    for bad in ["not json", r#"{"rules":[]}"#, r#"{"rules":[{"rulePriority":1}]}"#] {
        assert_eq!(put(bad).await.expect_err("it is none").code, "InvalidParameterException");
    }
    let rule = json!({"rulePriority": 1, "action": {"type": "expire"}, "selection": {
        "tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14,
    }});
    let text = json!({"rules": [rule]}).to_string();
    put(&text).await.expect("it is one");
    let got = client.ecr("GetLifecyclePolicy", name).await.expect("it is there");
    assert_eq!(got["lifecyclePolicyText"], json!(text));
}
