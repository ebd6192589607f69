//! An emulator that lets in nobody whose signature is wrong: the SDK's clients, and the small one that signs by itself.

use layer0_domain::model::id::EnvironmentId;
use layer0_domain::model::image::ImageRef;
use layer0_domain::port::engine::{Engine, Scope};
use layer0_domain::port::pull::{AnsweredBy, PullQuestion};
use layer0_domain::port::trail::{TrailAbout, TrailGap, TrailQuery, TrailRecord};

use crate::stage;

/// A user of the emulator who may do everything: access key and secret.
async fn user(endpoint: &str, name: &str) -> (String, String) {
    let iam = aws_sdk_iam::Client::new(&stage::sdk(endpoint, "test", "test").await);
    iam.create_user().user_name(name).send().await.expect("a user");
    let all = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}"#;
    iam.put_user_policy().user_name(name).policy_name("all").policy_document(all).send().await.expect("a policy");
    let made = iam.create_access_key().user_name(name).send().await.expect("a key");
    let key = made.access_key.expect("it was made");
    (key.access_key_id, key.secret_access_key)
}

/// Each call that is signed here, by each protocol: it passes with the right secret and is refused with a wrong one.
#[tokio::test(flavor = "multi_thread")]
async fn our_signatures_are_right_and_wrong_ones_are_refused() {
    let endpoint = stage::emulator("LAYER0_TEST_GUARDED");
    let (key, secret) = user(&endpoint, &format!("signer-{}", std::process::id())).await;
    let image = ImageRef::parse("123456789012.dkr.ecr.us-east-1.amazonaws.com/team/none:1").expect("a reference");
    let mut question = PullQuestion::about(image, AnsweredBy::Registry);
    question.environment = Some(EnvironmentId::parse("dev-1").expect("an id"));
    let query = TrailQuery { about: TrailAbout::Instance, start: None, end: None, most: 10 };

    let sdk = stage::sdk(&endpoint, &key, &secret).await;
    let (engine, instance) = stage::engine(&sdk, |config| {
        config.vpc = "vpc-00000001".to_owned();
        config.private_subnets = vec!["subnet-00000001".to_owned()];
    });
    let evidence = engine.pull_evidence(&question).await.expect("it answers").aws.expect("of AWS");
    // Organizations by JSON, EC2 by forms.
    assert!(evidence.puller.organization.known().is_some(), "{:?}", evidence.puller);
    let network = evidence.network.known().expect("an environment was named");
    assert_eq!(network.subnets[0].cidr.known().map(String::as_str), Some("172.31.0.0/20"), "{network:?}");
    assert!(network.endpoints.known().is_some(), "{network:?}");
    // CloudTrail by JSON.
    let trail = engine.trail(&query).await.expect("it answers");
    assert_eq!(trail.gap, None);
    // What was done to an environment's cluster is found in it.
    let cluster = format!("l0-{instance}-dev-1");
    let ecs = aws_sdk_ecs::Client::new(&sdk);
    ecs.create_cluster().cluster_name(&cluster).send().await.expect("a cluster");
    let id = EnvironmentId::parse("dev-1").expect("an id");
    let about = TrailQuery { about: TrailAbout::Environment { id, members: vec![] }, ..query.clone() };
    let trail = engine.trail(&about).await.expect("it answers");
    let is_it = |it: &TrailRecord| it.action == "ecs:CreateCluster" && it.target == cluster && it.who == key;
    assert!(trail.records.iter().any(is_it), "{trail:?}");
    ecs.delete_cluster().cluster(&cluster).send().await.expect("it goes again");

    let sdk = stage::sdk(&endpoint, &key, "not-the-secret-that-belongs-to-this-key").await;
    let (engine, _) = stage::engine(&sdk, |config| config.private_subnets = vec!["subnet-00000001".to_owned()]);
    let trail = engine.trail(&query).await.expect("a gap, no error");
    let Some(TrailGap::Unreadable { why }) = &trail.gap else { panic!("{trail:?}") };
    assert!(why.contains("SignatureDoesNotMatch") || why.contains("InvalidSignature"), "{why}");
    let about = TrailAbout::Environment { id: EnvironmentId::parse("dev-1").expect("an id"), members: vec![] };
    let trail = engine.trail(&TrailQuery { about, ..query }).await.expect("a gap, no error");
    let Some(TrailGap::Unreadable { why }) = &trail.gap else { panic!("{trail:?}") };
    assert!(why.contains("cloudtrail:LookupEvents (InvalidSignatureException)"), "{why}");
    let evidence = engine.pull_evidence(&question).await.expect("it answers").aws.expect("of AWS");
    let subnet = &evidence.network.known().expect("an environment was named").subnets[0];
    let why = subnet.cidr.get().expect_err("it can't be looked up");
    assert!(why.contains("ec2:DescribeSubnets") && why.contains("AuthFailure"), "{why}");
    assert!(engine.observe(Scope::All).await.is_err(), "the SDK's own signature is as wrong");
}
