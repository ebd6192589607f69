//! What owners decide about images in ECR: who may pull them without signing in, and how much they may take. On the test kit's ECR.

use layer0_testkit::aws::{FakeAws, FakeAwsConfig};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

use crate::common::http::{Answer, Connection};
use crate::common::instance::Instance;

/// A server without an engine, with its images in the fake ECR.
struct Stage {
    instance: Instance,
    _aws: FakeAws,
    _runtime: Runtime,
}

impl Stage {
    #[track_caller]
    fn start() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let aws = runtime.block_on(FakeAws::start(FakeAwsConfig::default()));
        let mut instance = Instance::prepared(&["--engine", "fake", "--registry-backing", "ecr"]);
        let more = ["--aws-region", "us-east-1", "--endpoint-url", aws.endpoint(), "--registry-challenge", "basic"];
        instance.flags_add(&more.map(str::to_owned));
        instance.server_start();
        Self { instance, _aws: aws, _runtime: runtime }
    }

    #[track_caller]
    fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let headers = format!("{headers}Connection: close\r\n");
        let asked = Connection::open(&self.instance.address())
            .and_then(|mut it| it.request(method, path, &headers, body.as_bytes()));
        asked.expect("an answer")
    }

    /// What somebody is told who has signed in nowhere.
    #[track_caller]
    fn anonymous(&self, path: &str) -> u16 {
        self.ask("GET", path, "", "").status
    }

    #[track_caller]
    fn push(&self, path: &str, headers: &str, body: &str) -> Answer {
        let method = if path.contains("/manifests/") { "PUT" } else { "POST" };
        let signed = format!("Authorization: Basic {}\r\n{headers}", self.instance.credential());
        self.ask(method, path, &signed, body)
    }
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// `{}`.
const CONFIG: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

/// An image of nothing but its configuration, which makes it another one.
fn image(number: u32) -> String {
    let config = json!({ "mediaType": "application/vnd.oci.image.config.v1+json", "digest": CONFIG, "size": 2 });
    let annotations = json!({ "number": number.to_string() });
    json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [], "annotations": annotations })
        .to_string()
}

#[test]
fn anybody_pulls_what_is_public_until_it_is_not() {
    let stage = Stage::start();
    stage.instance.l0(&["repository", "create", "team/app"]).ok();
    assert_eq!(stage.push(&format!("/v2/team/app/blobs/uploads/?digest={CONFIG}"), "", "{}").status, 201);
    let typed = format!("Content-Type: {MANIFEST}\r\n");
    assert_eq!(stage.push("/v2/team/app/manifests/1", &typed, &image(1)).status, 201);
    let (manifest, blob) = ("/v2/team/app/manifests/1", format!("/v2/team/app/blobs/{CONFIG}"));
    assert_eq!((stage.anonymous(manifest), stage.anonymous(&blob)), (401, 401));
    stage.instance.l0(&["repository", "update", "team/app", "--public"]).ok();
    assert_eq!((stage.anonymous(manifest), stage.anonymous(&blob)), (200, 307), "a blob is where ECR sends for it");
    assert_eq!(stage.ask("POST", "/v2/team/app/blobs/uploads/", "", "").status, 401, "nobody pushes without a token");
    stage.instance.l0(&["repository", "get", "team/app"]).ok().says("public");
    stage.instance.l0(&["repository", "update", "team/app", "--private"]).ok();
    assert_eq!((stage.anonymous(manifest), stage.anonymous(&blob)), (401, 401));
    // Its name has nothing to show when it is gone, and what is made under it anew is private.
    stage.instance.l0(&["repository", "update", "team/app", "--public"]).ok();
    stage.instance.l0(&["repository", "delete", "team/app", "--force"]).ok();
    stage.instance.l0(&["repository", "create", "team/app"]).ok();
    assert_eq!(stage.anonymous("/v2/team/app/tags/list"), 401);
    stage.instance.l0(&["repository", "create", "team/open", "--public"]).ok();
    assert_eq!(stage.anonymous("/v2/team/open/tags/list"), 200);
}

#[test]
fn an_owners_quota_holds_for_images_in_ecr() {
    let stage = Stage::start();
    stage.instance.l0(&["repository", "create", "team/app"]).ok();
    stage.instance.l0(&["owner", "update", "team", "--quota", "1000"]).ok();
    assert_eq!(stage.push(&format!("/v2/team/app/blobs/uploads/?digest={CONFIG}"), "", "{}").status, 201);
    let typed = format!("Content-Type: {MANIFEST}\r\n");
    let put = |number| stage.push(&format!("/v2/team/app/manifests/{number}"), &typed, &image(number));
    let refused = (1..10).map(put).find(|answer| answer.status != 201).expect("each takes some of 1000 bytes");
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("quota"), "{}", refused.body);
    stage.instance.l0(&["owner", "update", "team", "--quota", "none"]).ok();
    assert_eq!(put(20).status, 201);
}
