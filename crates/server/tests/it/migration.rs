//! Moves of repositories through the front door, on an instance that has no registry but its own: what is refused, and in
//! which words. Moves themselves are shown by the mover's tests, and with real registries in `crates/l0/tests/aws`.

use layer0_server::testing::TestApp;
use serde_json::json;

use crate::support::Raw;

#[tokio::test]
async fn what_is_no_move_is_refused_with_words() {
    let app = TestApp::start().await;
    let raw = Raw::of(&app);
    raw.post("/repository/team", &json!({"name": "app"})).await.expect(201);
    let ask =
        async |repository: &str, to: &str| raw.post("/migration", &json!({"repository": repository, "to": to})).await;
    let nowhere = ask("team/app", "west").await.error(422);
    assert!(nowhere.message.contains("no registry `west`"), "{nowhere:?}");
    assert_eq!(nowhere.hint.as_deref(), Some("there are: local"));
    let here = ask("team/app", "local").await.error(409);
    assert!(here.message.contains("lies in `local` already"), "{here:?}");
    assert!(ask("team/nothing", "local").await.error(404).message.contains("does not exist"));
    for (repository, to) in [("", "local"), ("app", "local"), ("team/app", ""), ("team/app", "a b")] {
        ask(repository, to).await.error(422);
    }
    let nothing = raw.patch("/migration/team/app", &json!({"delete_source": false})).await.error(422);
    assert!(nothing.message.contains("delete_source"), "{nothing:?}");
    let never = raw.delete("/migration/team/app").await.error(404);
    assert!(never.message.contains("`team/app` was never moved"), "{never:?}");
    assert_eq!(raw.get("/migration").await.expect(200).json(), json!({"migrations": []}));
    let audit = raw.get("/admin/audit?tail=100").await.expect(200).text();
    assert!(audit.contains("migration_ask") && audit.contains("migration_cancel"), "{audit}");
}
