//! `l0 admin gc`.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::fake::{Fake, Reply};

const PLAN: &str = "GET /admin/gc";
const GC: &str = "POST /admin/gc";

fn report(repositories: &[(&str, u64, u64, u64)]) -> Value {
    let each = repositories.iter().map(|(repository, blobs, bytes, freed)| {
        json!({ "repository": repository, "blobs": blobs, "bytes": bytes, "freed_bytes": freed })
    });
    let (blobs, freed) = repositories.iter().fold((0, 0), |sum, it| (sum.0 + it.1, sum.1 + it.3));
    json!({
        "repositories": each.collect::<Vec<_>>(), "blobs": blobs, "freed_bytes": freed, "grace_seconds": 86_400, "backups": 0, "retention": [], "held": [],
        "waiting_blobs": 0, "waiting_bytes": 0, "uploads": 0, "upload_bytes": 0, "open_uploads": 0, "open_upload_bytes": 0,
        "upload_seconds": 86_400,
    })
}

#[test]
fn a_dry_run_asks_for_nothing_and_now_takes_it_away() {
    let fake = Fake::start();
    let some = report(&[("team/app", 12, 325_000_000, 315_000_000), ("team/other", 1, 2048, 0)]);
    fake.on(PLAN, [Reply::Json(200, some.clone())]);
    assert_snapshot!("gc_plan", fake.run(&["admin", "gc", "--dry-run"]).text());
    let ran = fake.run(&["admin", "gc", "--dry-run", "-o", "json"]);
    assert_eq!((ran.code, ran.json()), (0, some.clone()));
    assert!(fake.requests().iter().all(|request| request.line == PLAN), "{:?}", fake.requests());
    fake.on(GC, [Reply::Json(200, some)]);
    assert_snapshot!("gc_now", fake.run(&["admin", "gc", "--now"]).text());
    fake.on(GC, [Reply::Json(200, report(&[]))]);
    assert_snapshot!("gc_nothing", fake.run(&["admin", "gc", "--now"]).text());
}

#[test]
fn a_clock_is_vouched_for_and_what_waits_for_it_is_shown() {
    let fake = Fake::start();
    let mut some = report(&[]);
    let because = "the server's clock says 2027-01-01T00:00:00.000Z, 365 days after the last time that was seen";
    some["held"] = json!([{ "repository": "*", "tag": "*", "digest": "", "because": because }]);
    fake.on(PLAN, [Reply::Json(200, some)]);
    assert_snapshot!("gc_doubted", fake.run(&["admin", "gc", "--dry-run"]).text());
    for (line, how) in [(PLAN, "--dry-run"), (GC, "--now")] {
        let vouched = format!("{line}?trust_clock=true");
        fake.on(&vouched, [Reply::Json(200, report(&[]))]);
        assert_eq!(fake.run(&["admin", "gc", how, "--trust-clock"]).code, 0);
        assert_eq!(fake.requests().last().map(|it| it.line.clone()), Some(vouched));
    }
}

#[test]
fn it_is_said_whether_something_is_taken_away() {
    let fake = Fake::start();
    for args in [&["admin", "gc"][..], &["admin", "gc", "--now", "--dry-run"]] {
        assert_eq!(fake.run(args).code, 2, "{args:?}");
    }
    assert!(fake.requests().is_empty());
}

#[test]
fn what_goes_by_rules_and_what_is_held_is_shown() {
    let fake = Fake::start();
    let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
    let mut some = report(&[]);
    let image = |tag: Option<&str>| {
        json!({ "repository": "team/app", "tag": tag, "digest": digest,
        "pushed_at": "2026-01-02T03:04:05Z", "rule": "team/*:dev-* last 10 untagged 7d" })
    };
    some["retention"] = json!([image(Some("dev-1")), image(None)]);
    some["held"] =
        json!([{ "repository": "team/app", "tag": "dev-2", "digest": digest, "because": "service web runs it" }]);
    fake.on(PLAN, [Reply::Json(200, some.clone())]);
    let plan = fake.run(&["admin", "gc", "--dry-run"]).text();
    for said in ["dev-1", "sha256:0123456789ab", "team/*:dev-* last 10 untagged 7d", "dev-2", "service web runs it"] {
        assert!(plan.contains(said), "{said}: {plan}");
    }
    assert!(plan.contains("1 tag, 1 image without a tag") && plan.contains("Nothing was changed"), "{plan}");
    // Who takes tags away alone waits for bytes that do not come.
    let stay = "Images that lose their tags stay: a rule with --untagged is for them.";
    assert!(!plan.contains(stay), "{plan}");
    // Where the rule lets images go too, they go later.
    for (rule, is_said) in [("team/*:dev-* last 10 untagged 7d", false), ("team/*:dev-* last 10", true)] {
        let mut tag = image(Some("dev-1"));
        tag["rule"] = json!(rule);
        some["retention"] = json!([tag]);
        fake.on(GC, [Reply::Json(200, some.clone())]);
        let went = fake.run(&["admin", "gc", "--now"]).text();
        assert!(went.contains("taken away") && went.contains(stay) == is_said, "{went}");
    }
}

#[test]
fn what_a_backup_keeps_is_said() {
    let fake = Fake::start();
    let mut some = report(&[("team/app", 12, 325_000_000, 315_000_000)]);
    for (backups, is_said) in [(0, false), (1, true)] {
        some["backups"] = json!(backups);
        fake.on(GC, [Reply::Json(200, some.clone())]);
        let went = fake.run(&["admin", "gc", "--now"]).text();
        assert_eq!(
            went.contains("A backup goes on: bytes that it needs come back when it has ended"),
            is_said,
            "{went}"
        );
    }
}

#[test]
fn what_waits_and_what_nobody_goes_on_with_is_shown() {
    let fake = Fake::start();
    let mut some = report(&[]);
    for (field, value) in [
        ("waiting_blobs", 3),
        ("waiting_bytes", 20_000_000),
        ("uploads", 1),
        ("upload_bytes", 400_122_250),
        ("open_uploads", 2),
        ("open_upload_bytes", 0),
        ("upload_seconds", 3600),
    ] {
        some[field] = json!(value);
    }
    fake.on(PLAN, [Reply::Json(200, some.clone())]);
    assert_snapshot!("gc_plan_waiting", fake.run(&["admin", "gc", "--dry-run"]).text());
    fake.on(GC, [Reply::Json(200, some)]);
    assert_snapshot!("gc_now_waiting", fake.run(&["admin", "gc", "--now"]).text());
}
