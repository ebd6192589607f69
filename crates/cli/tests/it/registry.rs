//! Repositories, immutable tags, images, map rules.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::fake::{Fake, Reply, env, error, run};

fn repository() -> Value {
    json!({
        "owner": "team", "name": "app/web", "created_at": "2026-01-02T03:04:05Z", "uri": "registry.layer0.test/team/app/web",
        "backing_uri": "localhost:9090/team/app/web", "visibility": "private",
    })
}

#[test]
fn repositories() {
    let fake = Fake::start();
    fake.on("POST /repository/team", [Reply::Json(201, repository())])
        .json("GET /repository/team/app/web", repository())
        .json("GET /repository", json!({ "repositories": ["team/app/web", "team/b"] }))
        .json("GET /repository/team", json!({ "repositories": ["app/web", "b"] }))
        .json("DELETE /repository/team/app/web?force=true", repository())
        .on(
            "DELETE /repository/team/app/web?force=false",
            [error(409, "DependencyError", "repository `team/app/web` has 2 images")],
        );
    assert_snapshot!("repository_create", fake.run(&["repository", "create", "team/app/web"]).text());
    assert_eq!(fake.body("POST /repository/team"), json!({ "name": "app/web" }));
    fake.on("GET /owner/team", [error(404, "OwnerDoesNotExist", "owner `team` does not exist")]);
    let made = fake.run(&["repository", "create", "team/app/web"]);
    assert_eq!(made.stderr, "Owner team was made with it: there was none of this name.\n");
    assert_eq!(fake.run(&["repository", "get", "team/app/web", "-o=json"]).json(), json!([repository()]));
    assert_snapshot!("repository_list", fake.run(&["repository", "list"]).text());
    assert_eq!(fake.run(&["repository", "list", "team"]).stdout, fake.run(&["repository", "list"]).stdout);
    assert_eq!(fake.run(&["repository", "delete", "team/app/web"]).code, 4);
    assert_eq!(
        fake.run(&["repository", "delete", "--force", "team/app/web"]).text(),
        "exit code 0\n--- stdout\n--- stderr\n"
    );
    assert_snapshot!("repository_with_host", fake.run(&["repository", "delete", "other.example.com/team/app"]).text());
}

#[test]
fn a_repository_of_ecr_is_adopted() {
    let fake = Fake::start();
    let answer = |dry_run: bool, changes: &[&str]| {
        let done = json!({
            "repository": repository(), "registry": "main", "dry_run": dry_run, "changes": changes,
        });
        Reply::Json(200, done)
    };
    let changes = [
        "the repository gets the tag `layer0.adopted = prod-1`",
        "its policy gets the statements of the account grants",
    ];
    fake.on("POST /repository", [answer(true, &changes), answer(false, &changes), answer(false, &[])]);
    let tried = fake.run(&["repository", "import", "l0/team/app/web", "--dry-run"]);
    assert_snapshot!("repository_import_dry_run", tried.text());
    assert_eq!(fake.body("POST /repository"), json!({ "backing": "l0/team/app/web", "dry_run": true }));
    let made = fake.run(&["repository", "import", "l0/team/app/web", "team/app/web", "--registry", "main"]);
    assert_snapshot!("repository_import", made.text());
    let body = json!({ "backing": "l0/team/app/web", "name": "team/app/web", "registry": "main", "dry_run": false });
    assert_eq!(fake.requests().last().expect("one").body, body);
    assert!(fake.run(&["repository", "import", "l0/team/app/web"]).stdout.contains("nothing to change"));
    assert_snapshot!("repository_import_no_name", fake.run(&["repository", "import", "l0/team/app", "App"]).text());
}

#[test]
fn a_repository_is_public_or_private() {
    let fake = Fake::start();
    let mut public = repository();
    public["visibility"] = json!("public");
    fake.on("POST /repository/team", [Reply::Json(201, public.clone())])
        .on("PATCH /repository/team/app/web", [Reply::Json(200, public), Reply::Json(200, repository())]);
    assert_eq!(fake.run(&["repository", "create", "--public", "team/app/web"]).code, 0);
    assert_eq!(fake.body("POST /repository/team"), json!({ "name": "app/web", "visibility": "public" }));
    assert_snapshot!("repository_update", fake.run(&["repository", "update", "team/app/web", "--public"]).text());
    assert_eq!(fake.run(&["repository", "update", "team/app/web", "--private"]).code, 0);
    let bodies: Vec<Value> =
        fake.requests().into_iter().filter(|it| it.line.starts_with("PATCH")).map(|it| it.body).collect();
    assert_eq!(bodies, [json!({ "visibility": "public" }), json!({ "visibility": "private" })]);
    let text = |args: &[&str]| run(args, &env(&[])).text();
    assert_snapshot!("repository_update_nothing", text(&["repository", "update", "team/app"]));
    assert_snapshot!("repository_update_both", text(&["repository", "update", "team/app", "--public", "--private"]));
}

#[test]
fn immutable_tags() {
    let fake = Fake::start();
    let rule = json!({ "repositories": "app-*", "tags": "v*", "except": ["*-rc", "v0"] });
    let all = json!({ "repositories": "*", "tags": "*", "except": [] });
    let owner = json!({
        "owner_name": "team", "created_at": "2026-01-02T03:04:05Z", "used_bytes": 0, "repositories": 0, "immutable": [rule, all],
    });
    fake.on("POST /owner/team/immutable", [Reply::Json(201, rule.clone())])
        .json("GET /owner/team", owner)
        .json("DELETE /owner/team/immutable?repositories=*&tags=*", all.clone())
        .json("DELETE /owner/team/immutable?repositories=app-*&tags=v*", rule.clone())
        .on("GET /owner/none", [error(404, "OwnerDoesNotExist", "owner `none` does not exist")]);
    let add = ["repository", "immutable", "add", "team/app-*", "--tags", "v*", "--except", "*-rc", "--except=v0"];
    assert_snapshot!("immutable_add", fake.run(&add).text());
    assert_eq!(
        fake.body("POST /owner/team/immutable"),
        json!({ "repositories": "app-*", "tags": "v*", "except": ["*-rc", "v0"] })
    );
    assert_snapshot!("immutable_list", fake.run(&["repository", "immutable", "list", "team"]).text());
    assert_eq!(fake.run(&["repository", "immutable", "list", "team", "-o", "json"]).json(), json!([rule, all]));
    assert_eq!(fake.run(&["repository", "immutable", "list", "none"]).code, 3);
    let silent = "exit code 0\n--- stdout\n--- stderr\n";
    assert_eq!(fake.run(&["repository", "immutable", "remove", "team/*"]).text(), silent);
    assert_eq!(fake.run(&["repository", "immutable", "remove", "team/app-*", "-tags=v*"]).text(), silent);
    assert_snapshot!("immutable_without_pattern", fake.run(&["repository", "immutable", "add", "team"]).text());
    assert_eq!(fake.run(&["repository", "immutable", "remove", "team/app:v*"]).code, 2);
}

#[test]
fn images() {
    let fake = Fake::start();
    fake.json("GET /repository/team/app/image", json!({ "images": ["1", "latest"] }))
        .json(
            "GET /repository/team/app/image/1",
            json!({ "tag": "1", "digest": "sha256:ab", "size": "12MB", "pushed_at": "2026-01-02T03:04:05Z", "platforms": ["linux/amd64", "linux/arm64"] }),
        )
        .json("DELETE /repository/team/app/image/sha256%3Aab", json!("deleted"))
        .on("GET /repository/team/app/image/2", [error(404, "ImageDoesNotExist", "no image `team/app:2`")]);
    assert_snapshot!("image_list", fake.run(&["image", "list", "team/app"]).text());
    assert_eq!(fake.run(&["image", "list", "team/app", "-o", "json"]).json(), json!(["1", "latest"]));
    assert_snapshot!("image_get", fake.run(&["image", "get", "team/app:1"]).text());
    let small = json!({ "tag": "s", "digest": "sha256:ab", "size": "1MB", "size_bytes": 2587, "pushed_at": "2026-01-02T03:04:05Z" });
    fake.json("GET /repository/team/app/image/s", small);
    let shown = fake.run(&["image", "get", "team/app:s"]).stdout;
    assert!(shown.contains("2.5 KiB") && !shown.contains("1MB"), "{shown}");
    assert_eq!(fake.run(&["image", "get", "team/app:s", "-o", "json"]).json()[0]["size"], "1MB");
    assert_eq!(fake.run(&["image", "get", "team/app:2"]).code, 3);
    assert_eq!(fake.run(&["image", "delete", "team/app@sha256:ab"]).text(), "exit code 0\n--- stdout\n--- stderr\n");
    fake.json("GET /repository/team/app/image?untagged=true", json!({ "images": ["sha256:ab"] }));
    assert_snapshot!("image_list_untagged", fake.run(&["image", "list", "team/app", "--untagged"]).text());
    // In ECR the image is gone with its last tag.
    fake.json("DELETE /repository/team/app/image/s", json!("deleted"))
        .on("GET /repository/team/app/image/sha256%3Aab", [error(404, "ImageDoesNotExist", "no image")]);
    assert_eq!(fake.run(&["image", "delete", "team/app:s"]).text(), "exit code 0\n--- stdout\n--- stderr\n");
    fake.json("DELETE /repository/team/app/image/1", json!("deleted")).json(
        "GET /repository/team/app/image/sha256%3Aab",
        json!({ "digest": "sha256:ab", "size": "12MB", "pushed_at": "" }),
    );
    assert_snapshot!("image_delete_tag", fake.run(&["image", "delete", "team/app:1"]).text());
}

#[test]
fn resolution_prints_its_steps() {
    let fake = Fake::start();
    let good = json!({
        "image": "registry.layer0.test/team/app:1", "rule": "registry.layer0.test|localhost:9090", "backing": "localhost:9090/team/app:1",
        "digest": "sha256:ab", "pinned": "localhost:9090/team/app@sha256:ab", "platforms": ["linux/amd64"], "engine_platform": "linux/amd64",
        "size_bytes": 12_345_678,
    });
    fake.json("GET /image/resolve?image=registry.layer0.test%2Fteam%2Fapp%3A1", good);
    assert_snapshot!("resolve", fake.run(&["image", "resolve", "registry.layer0.test/team/app:1"]).text());
    let bad = json!({
        "image": "nginx", "backing": "nginx", "engine_platform": "linux/amd64", "warnings": ["is looked for on Docker Hub"],
        "problem": { "class": "image_not_found", "message": "no such image", "hint": "push it first" },
    });
    fake.json("GET /image/resolve?image=nginx", bad);
    assert_snapshot!("resolve_missing", fake.run(&["image", "resolve", "nginx"]).text());
}

#[test]
fn the_pull_check_prints_each_check_and_its_remedy() {
    let fake = Fake::start();
    let passed = |check: &str, evidence: &str| json!({ "check": check, "result": "passed", "evidence": evidence });
    let good = json!({
        "image": "registry.layer0.test/team/app:1", "backing": "localhost:9090/team/app:1", "passed": true,
        "pinned": "localhost:9090/team/app@sha256:ab", "environment_id": "",
        "checks": [passed("image", "the registry has it whole, as sha256:ab"), passed("platform", "it is for linux/amd64, and runs on linux/amd64"),
            passed("access", "the engine gets a credential for this pull alone")],
    });
    fake.json("GET /image/check?image=registry.layer0.test%2Fteam%2Fapp%3A1", good);
    assert_snapshot!("check", fake.run(&["image", "check", "registry.layer0.test/team/app:1"]).text());
    let image = "222222222222.dkr.ecr.us-east-1.amazonaws.com/team/app:1";
    let bad = json!({
        "image": image, "backing": image, "passed": false, "environment_id": "e1", "warnings": ["every pull is traffic between regions"],
        "checks": [
            passed("image", "account 222222222222 in us-east-1 has it with every layer, as sha256:ab"),
            { "check": "access", "result": "failed", "class": "pull_denied", "evidence": "repository `team/app` does not let account 111111111111 in",
              "remedy": "add this statement to the repository's policy: {}" },
            { "check": "network", "result": "unknown", "evidence": "access denied to ec2:DescribeSubnets" },
        ],
        "problem": { "class": "pull_denied", "message": "repository `team/app` does not let account 111111111111 in", "hint": "add this statement" },
    });
    fake.found("type=environment&fuzz=prod", &[("e1", "prod", "", "")]);
    let path = "GET /image/check?image=222222222222.dkr.ecr.us-east-1.amazonaws.com%2Fteam%2Fapp%3A1&environment_id=e1";
    fake.json(path, bad.clone()).json(&format!("{path}&platform=linux%2Farm64&stateful=true"), bad);
    let run = fake.run(&["image", "check", image, "--environment", "prod"]);
    assert_eq!(run.code, 4);
    assert_snapshot!("check_failed", run.text());
    assert_eq!(fake.run(&["image", "check", image, "--environment", "prod", "-o", "json"]).code, 4);
    let more = ["image", "check", image, "--environment", "prod", "--platform", "linux/arm64", "--stateful"];
    assert_eq!(fake.run(&more).text(), run.text());
}

#[test]
fn map_rules() {
    let fake = Fake::start();
    let rule = json!({ "prefix": "hub.test/team", "target": "reg.test/team", "source": "user" });
    fake.json(
        "GET /map",
        json!([{ "prefix": "registry.layer0.test", "target": "localhost:9090", "source": "instance" }, rule]),
    )
    .on("POST /map", [Reply::Json(201, rule.clone())])
    .json("DELETE /map?prefix=hub.test%2Fteam", rule);
    assert_snapshot!("map_list", fake.run(&["map", "list"]).text());
    assert_eq!(fake.run(&["map", "add", "hub.test/team|reg.test/team"]).code, 0);
    assert_eq!(fake.body("POST /map"), json!({ "rule": "hub.test/team|reg.test/team" }));
    assert_eq!(fake.run(&["map", "remove", "hub.test/team"]).text(), "exit code 0\n--- stdout\n--- stderr\n");
}

#[test]
fn kept_images() {
    let fake = Fake::start();
    let rule =
        json!({ "repositories": "app-*", "tags": "dev-*", "keep_last": 10, "keep_hours": 36, "untagged_hours": 168 });
    let owner = json!({
        "owner_name": "team", "created_at": "2026-01-02T03:04:05Z", "used_bytes": 0, "repositories": 0, "retention": [rule],
    });
    fake.on("POST /owner/team/retention", [Reply::Json(201, rule.clone())])
        .json("GET /owner/team", owner)
        .json("DELETE /owner/team/retention?repositories=app-*&tags=dev-*", rule.clone());
    let add = ["repository", "retention", "add", "team/app-*", "--tags", "dev-*"];
    let bounds = ["--keep-last", "10", "--keep", "36h", "--untagged", "7d"];
    let added = fake.run(&[&add[..], &bounds[..]].concat()).text();
    assert_eq!(fake.body("POST /owner/team/retention"), rule);
    let stay = "The images behind them stay";
    assert!(!added.contains(stay), "{added}");
    let tags_alone = json!({ "repositories": "app-*", "tags": "dev-*", "keep_last": 10 });
    fake.on("POST /owner/team/retention", [Reply::Json(201, tags_alone)]);
    let noted = fake.run(&[&add[..], &bounds[..2]].concat()).text();
    assert!(noted.contains(stay) && noted.contains("--untagged 7d"), "{noted}");
    let replaced = noted.split_once("It takes the place of this rule:\n").expect(&noted).1;
    assert!(replaced.contains("36h"), "{noted}");
    assert!(!added.contains("takes the place"), "the same once more replaces nothing: {added}");
    let exact = json!({ "repositories": "ap", "tags": "*", "untagged_hours": 24 });
    fake.on("POST /owner/team/retention", [Reply::Json(201, exact)])
        .on("GET /repository/team/ap", [error(404, "RepositoryDoesNotExist", "repository `team/ap` does not exist")]);
    let slip = fake.run(&["repository", "retention", "add", "team/ap", "--untagged", "1d"]);
    assert_eq!((slip.code, slip.stderr.as_str()), (0, "warning: there is no repository team/ap\n"));
    for shown in [
        added,
        fake.run(&["repository", "retention", "list", "team"]).text(),
        fake.run(&["owner", "get", "team"]).text(),
    ] {
        for said in ["team/app-*", "dev-*", "10", "36h", "7d"] {
            assert!(shown.contains(said), "{said}: {shown}");
        }
    }
    assert_eq!(fake.run(&["repository", "retention", "list", "team", "-o", "json"]).json(), json!([rule]));
    assert_eq!(fake.run(&["repository", "retention", "remove", "team/app-*", "--tags", "dev-*"]).code, 0);
    for wrong in ["30", "-1d", "1w", "d"] {
        assert_eq!(fake.run(&[&add[..], &["--keep", wrong]].concat()).code, 2, "{wrong}");
    }
}
