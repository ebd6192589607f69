//! The server's own token: fetched once, renewed in time, and nobody else's business.

use futures_util::future::join_all;

use super::stage::Stage;
use crate::client::noise;

/// Longer than a token must have lived for a refusal to be its fault.
const OLD_MS: i64 = 60_000;

#[tokio::test]
async fn defect_17_fifty_requests_after_the_tokens_end_share_a_new_one() {
    let stage = Stage::start().await;
    stage.client.push_image("team/app", "1", "layer").await;
    stage.ecr.clock.advance_ms(13 * 60 * 60 * 1000);
    stage.ecr.expire();
    let before = stage.ecr.tokens_given();
    let all = join_all((0..50).map(|_| stage.client.get("/v2/team/app/manifests/1"))).await;
    assert!(all.iter().all(|answer| answer.status.as_u16() == 200), "{all:?}");
    assert_eq!(stage.ecr.tokens_given(), before + 1, "one fetch for all who waited");
}

#[tokio::test]
async fn a_token_that_ecr_takes_no_more_is_renewed_and_the_request_made_again() {
    let stage = Stage::start().await;
    stage.client.push_image("team/app", "1", "layer").await;
    let (given, came) = (stage.ecr.tokens_given(), stage.ecr.came().len());
    stage.ecr.clock.advance_ms(OLD_MS);
    stage.ecr.expire();
    stage.client.get("/v2/team/app/manifests/1").await.expect(200);
    let since: Vec<u16> = stage.ecr.came()[came..].iter().map(|it| it.status).collect();
    assert_eq!(since, [403, 200], "once refused, once made again");
    assert_eq!(stage.ecr.tokens_given(), given + 1);
}

/// The refusal is ECR's of the server; the client's own credential is good.
#[tokio::test]
async fn a_refusal_that_no_new_token_helps_is_never_the_clients() {
    let stage = Stage::start().await;
    stage.ecr.expire();
    // The token is young, so another one would be refused as well.
    let answer = stage.client.get("/v2/team/app/tags/list").await;
    assert_eq!(answer.error(), (503, "UNAVAILABLE".to_owned()));
    assert_eq!(answer.header("www-authenticate"), "");
    assert!(!answer.message().contains("Reauthenticate"), "{answer:?}");
}

#[tokio::test]
async fn tokens_that_expire_in_the_middle_of_a_push_fail_no_request() {
    let stage = Stage::start().await;
    let given = stage.ecr.tokens_given();
    // Small chunks go to ECR in parts, five of them each.
    let content = noise(12 << 20);
    let digest = layer0_domain::model::digest::Digest::sha256_of(&content);
    let renew = || {
        stage.ecr.clock.advance_ms(OLD_MS);
        stage.ecr.expire();
    };
    let location = stage.client.begin("team/app").await;
    let mut at = 0;
    for chunk in content.chunks(1 << 20) {
        renew();
        let range = format!("{at}-{}", at + chunk.len() - 1);
        let headers = [("content-range", range.as_str())];
        stage.client.ask(http::Method::PATCH, &location, &headers, chunk.to_vec()).await.expect(202);
        at += chunk.len();
    }
    renew();
    stage.client.ask(http::Method::PUT, &format!("{location}?digest={digest}"), &[], "").await.expect(201);
    renew();
    stage.client.push_image("team/app", "1", "layer").await;
    renew();
    stage.client.get("/v2/team/app/manifests/1").await.expect(200);
    assert_eq!(stage.ecr.tokens_given(), given + 5);
}

/// No more of a body is kept than a refusal usually lets through. The client's next try finds the token renewed.
#[tokio::test]
async fn what_has_gone_too_far_is_the_clients_to_send_again() {
    let stage = Stage::start().await;
    let content = noise(7 << 20);
    let location = stage.client.begin("team/app").await;
    stage.ecr.clock.advance_ms(OLD_MS);
    stage.ecr.expire();
    stage.ecr.read_first();
    let send = || stage.client.ask(http::Method::PATCH, &location, &[], content.clone());
    assert_eq!(send().await.error(), (503, "UNAVAILABLE".to_owned()));
    assert_eq!(send().await.expect(202).header("range"), format!("0-{}", content.len() - 1));
    // What is short goes again by itself.
    stage.ecr.clock.advance_ms(OLD_MS);
    stage.ecr.expire();
    stage.client.push("team/app", "short").await;
}

/// Who refuses a request without having read it may end the connection behind his answer.
#[tokio::test]
async fn what_was_refused_with_its_content_goes_again_over_a_connection_of_its_own() {
    let stage = Stage::start().await;
    let location = stage.client.begin("team/app").await;
    stage.ecr.clock.advance_ms(OLD_MS);
    stage.ecr.expire();
    // Read to its end, so that the connection stays: nothing else makes the next request take another one.
    stage.ecr.read_first();
    let before = stage.ecr.came().len();
    let content = noise(1000);
    let digest = layer0_domain::model::digest::Digest::sha256_of(&content);
    stage.client.ask(http::Method::PATCH, &location, &[], content).await.expect(202);
    stage.client.ask(http::Method::PUT, &format!("{location}?digest={digest}"), &[], "").await.expect(201);
    let with_content = |came: &&super::fake::Came| came.method == http::Method::PATCH;
    let came = stage.ecr.came();
    let parts: Vec<_> = came[before..].iter().filter(with_content).map(|came| (came.status, came.from)).collect();
    let [(403, refused), (201, again)] = parts[..] else { panic!("{:?}", &came[before..]) };
    assert_ne!(refused, again);
}

#[tokio::test]
async fn ecr_that_is_busy_is_asked_again_and_no_client_hears_of_it() {
    let stage = Stage::start().await;
    stage.client.push_image("team/app", "1", "layer").await;
    stage.ecr.busy(2);
    stage.client.get("/v2/team/app/manifests/1").await.expect(200);
    stage.ecr.busy(1);
    stage.client.push_image("team/app", "2", "another layer").await;
}

/// Neither the token nor anything else of ECR's session reaches a client, and nothing of the client's credential ECR.
#[tokio::test]
async fn credentials_stay_on_their_side() {
    let stage = Stage::start().await;
    let mine = [("authorization", "Basic bWluZTptaW5l"), ("cookie", "mine=1"), ("x-mine", "1")];
    let answers = [
        stage.client.ask(http::Method::GET, "/v2/team/app/tags/list", &mine, "").await,
        stage.client.ask(http::Method::POST, "/v2/team/app/blobs/uploads/", &mine, "").await,
        stage.client.ask(http::Method::GET, "/v2/team/app/manifests/none", &mine, "").await,
        stage.client.ask(http::Method::GET, "/v2/team/none/tags/list", &mine, "").await,
    ];
    for answer in &answers {
        let text = format!("{:?} {}", answer.headers, String::from_utf8_lossy(&answer.body));
        for theirs in ["ecr-secret", "ecr-session", "amazonaws", "set-cookie"] {
            assert!(!text.to_ascii_lowercase().contains(theirs), "{theirs}: {text}");
        }
    }
    let came = stage.ecr.came();
    assert!(!came.is_empty());
    assert!(came.iter().all(|it| !it.authorization.contains("bWluZTptaW5l")), "{came:?}");
}
