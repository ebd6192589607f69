//! Who may what is decided before a byte goes to ECR.

use http::Method;
use layer0_domain::model::digest::Digest;
use serde_json::json;

use super::stage::{Otherwise, Stage};

const GOOD: (&str, &str) = ("authorization", "Basic Y2k6Y29ycmVjdC1ob3JzZQ==");

#[tokio::test]
async fn nothing_of_a_request_goes_to_ecr_before_its_caller_is_let_in() {
    let stage = Stage::with(Otherwise { is_guarded: true, ..Otherwise::default() }).await;
    stage.ecr.repository("team/app").await;
    stage.ecr.repository("secret/app").await;
    let (came, calls) = (stage.ecr.came().len(), stage.ecr.calls().len());
    let digest = Digest::sha256_of(b"x");
    let of = |name: &str| {
        let path = |rest: &str| format!("/v2/{name}/{rest}");
        vec![
            (Method::GET, path("tags/list")),
            (Method::GET, path(&format!("referrers/{digest}"))),
            (Method::GET, path("manifests/1")),
            (Method::HEAD, path("manifests/1")),
            (Method::PUT, path("manifests/1")),
            (Method::DELETE, path("manifests/1")),
            (Method::GET, path(&format!("blobs/{digest}"))),
            (Method::DELETE, path(&format!("blobs/{digest}"))),
            (Method::POST, path("blobs/uploads/")),
            (Method::POST, path(&format!("blobs/uploads/?mount={digest}&from=team/other"))),
            (Method::PATCH, path("blobs/uploads/7")),
            (Method::PUT, path(&format!("blobs/uploads/7?digest={digest}"))),
            (Method::GET, path("blobs/uploads/7")),
            (Method::DELETE, path("blobs/uploads/7")),
        ]
    };
    for (method, path) in of("team/app") {
        stage.client.ask(method, &path, &[], "content").await.expect(401);
    }
    for (method, path) in of("secret/app") {
        stage.client.ask(method, &path, &[GOOD], "content").await.expect(403);
    }
    assert_eq!(stage.ecr.came().len(), came, "{:?}", stage.ecr.came());
    assert_eq!(stage.ecr.calls().len(), calls);
}

/// However many repositories a caller may not see, what he asks for costs one list of ECR's.
#[tokio::test]
async fn the_catalogue_of_who_sees_little_costs_one_list() {
    let stage = Stage::with(Otherwise { is_guarded: true, ..Otherwise::default() }).await;
    for number in 0..250 {
        stage.ecr.repository(&format!("hidden/app-{number:03}")).await;
    }
    let catalog = async |query: &str| {
        let before = stage.ecr.calls().len();
        let answer = stage.client.ask(Method::GET, &format!("/v2/_catalog{query}"), &[GOOD], "").await.expect(200);
        assert_eq!(stage.ecr.calls()[before..], ["DescribeRepositories"], "{query}");
        (answer.json()["repositories"].clone(), answer.header("link").to_owned())
    };
    assert_eq!(catalog("?n=1").await, (json!([]), String::new()));
    for seen in ["a/app", "team/app", "team/web"] {
        stage.ecr.repository(seen).await;
    }
    let (names, link) = catalog("?n=2").await;
    assert_eq!(
        (names, link.as_str()),
        (json!(["a/app", "team/app"]), "</v2/_catalog?n=2&last=team/app>; rel=\"next\"")
    );
    assert_eq!(catalog("?n=2&last=team/app").await, (json!(["team/web"]), String::new()));
}

/// What lies beside the prefix, or would be reached by a path that is none, can't be named.
#[tokio::test]
async fn no_path_leads_out_of_the_prefix() {
    let mut otherwise = Otherwise::default();
    otherwise.settings.prefix = "l0".to_owned();
    let stage = Stage::with(otherwise).await;
    stage.ecr.repository("l0/team/app").await;
    stage.ecr.repository("team/app").await;
    stage.ecr.repository("other/team/app").await;
    stage.client.push_image("team/app", "1", "layer").await;
    for path in [
        "/v2/team/app/blobs/uploads/..%2F..%2F..%2Fother/team/app",
        "/v2/..%2Fother/team/app/manifests/1",
        "/v2/team/app/manifests/..%2F..%2Fx",
    ] {
        let answer = stage.client.get(path).await;
        assert!(answer.status.is_client_error(), "{path}: {answer:?}");
    }
    let came = stage.ecr.came();
    assert!(came.iter().all(|it| it.path.starts_with("/v2/l0/team/app/")), "{came:?}");
    assert!(came.iter().any(|it| it.method == Method::PUT && it.path == "/v2/l0/team/app/manifests/1"), "{came:?}");
}
