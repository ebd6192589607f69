//! ECR as what repositories mirror: its tokens, its redirects, and what it refuses.

use futures_util::future::join_all;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::placement::RepositoryPrefix;
use layer0_registry::ecr::token_source;
use layer0_registry::{MirrorLogin, MirrorSettings, UpstreamUrl};
use layer0_testkit::aws::{Effect, Fault, Service};

use super::on_aws::{OnAws, address_of, sdk};
use crate::client::Client;
use crate::common::{Doors, Ground, TestRegistry};

const LAYER: &str = "what lies in ECR";
const TAG: &str = "/v2/cloud/team/app/manifests/1";
/// How long a tag is believed.
const TTL_MS: i64 = 15 * 60 * 1000;
/// Longer than a token must have lived for a refusal to be its fault.
const OLD_MS: i64 = 60_000;

/// ECR with an image `team/app:1`, and a registry that mirrors it under `cloud`.
struct Mirrored {
    ecr: OnAws,
    client: Client,
    layer: String,
    _here: TestRegistry,
}

impl Mirrored {
    async fn start() -> Self {
        let ecr = OnAws::start().await;
        ecr.client.push_image("team/app", "1", LAYER).await;
        let url = UpstreamUrl::parse(ecr.aws.endpoint()).unwrap();
        let prefix = RepositoryPrefix::parse("cloud").unwrap();
        let login = MirrorLogin::Ecr(token_source(&sdk(address_of(&ecr.aws))));
        let mut ground = Ground::new(ecr.clock.clone());
        ground.mirrors = vec![MirrorSettings { login, ..MirrorSettings::new(prefix, url) }];
        let here = TestRegistry::launch(Doors::Open, |_| {}, ground, |store| store).await;
        let layer = format!("/v2/cloud/team/app/blobs/{}", Digest::sha256_of(LAYER.as_bytes()));
        let this = Self { client: Client::of(&here), ecr, layer, _here: here };
        this.came();
        this.ecr.aws.calls_clear();
        this
    }

    /// What came to ECR's registry since the last look, each with its status.
    fn came(&self) -> Vec<(String, u16)> {
        let calls = self.ecr.aws.registry_calls_take().into_iter();
        calls.map(|call| (format!("{} {}", call.method, call.path), call.status)).collect()
    }

    /// How many tokens were asked for.
    fn tokens(&self) -> usize {
        self.ecr.aws.calls().iter().filter(|call| call.operation == "GetAuthorizationToken").count()
    }
}

#[tokio::test]
async fn many_pull_an_image_with_one_token_and_one_request_for_each_part() {
    let stage = Mirrored::start().await;
    let tags = join_all((0..16).map(|_| stage.client.get(TAG))).await;
    assert!(tags.iter().all(|answer| answer.status == 200), "{tags:?}");
    let layers = join_all((0..16).map(|_| stage.client.get(&stage.layer))).await;
    assert!(layers.iter().all(|answer| answer.status == 200 && answer.body == LAYER), "{layers:?}");
    let theirs = stage.layer.replace("cloud/", "");
    let wanted = [("GET /v2/team/app/manifests/1".to_owned(), 200), (format!("GET {theirs}"), 307)];
    assert_eq!(stage.came(), wanted, "the blob itself comes from the storage that ECR sends to");
    assert_eq!(stage.tokens(), 1);
}

#[tokio::test]
async fn a_token_that_has_ended_costs_one_more_request() {
    let stage = Mirrored::start().await;
    stage.client.get(TAG).await.expect(200);
    stage.ecr.advance_ms(OLD_MS);
    stage.ecr.aws.registry_tokens_expire();
    stage.came();
    assert_eq!(stage.client.get(&stage.layer).await.expect(200).body, LAYER);
    let statuses: Vec<u16> = stage.came().into_iter().map(|(_, status)| status).collect();
    assert_eq!((statuses.as_slice(), stage.tokens()), (&[403, 307][..], 2));
}

#[tokio::test]
async fn what_is_here_is_served_while_ecr_refuses_and_new_things_are_refused_in_its_words() {
    let stage = Mirrored::start().await;
    stage.client.get(TAG).await.expect(200);
    stage.ecr.advance_ms(TTL_MS);
    stage.ecr.aws.registry_busy(2);
    let stale = stage.client.get(TAG).await.expect(200);
    assert!(stale.header("warning").contains("too many requests"), "{stale:?}");
    let busy = stage.client.get(&stage.layer).await;
    assert_eq!(busy.error(), (429, "TOOMANYREQUESTS".to_owned()));
    assert!(busy.message().ends_with("Rate exceeded"), "{busy:?}");

    let missing = stage.client.get("/v2/cloud/team/nothing/manifests/1").await;
    assert_eq!(missing.error(), (404, "MANIFEST_UNKNOWN".to_owned()));
    assert!(missing.message().contains("'team/nothing' does not exist in the registry"), "{missing:?}");
}

#[tokio::test]
async fn a_role_that_gets_no_token_is_said_with_the_right_that_it_lacks() {
    let stage = Mirrored::start().await;
    let denied = Fault::on(Service::Ecr, "GetAuthorizationToken", Effect::AccessDenied { message: None });
    stage.ecr.aws.fault(denied);
    let refused = stage.client.get(TAG).await;
    assert_eq!(refused.error(), (502, "UNAVAILABLE".to_owned()));
    let message = refused.message();
    assert!(message.contains("can't be signed in to") && message.contains("ecr:GetAuthorizationToken"), "{message}");
    // It may now.
    stage.client.get(TAG).await.expect(200);
}
