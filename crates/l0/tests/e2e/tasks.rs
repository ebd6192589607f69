//! Tasks: run to their exit codes, several at a time, stopped, read after their end, deleted.

use serde_json::json;

use crate::common::until::until;
use crate::stage::Stage;

#[test]
fn tasks_run_to_their_end() {
    let stage = Stage::with_versions(&["v1"]);
    stage.l0(&["environment", "create", "dev"]).ok();
    stage.deploy(
        "job",
        "v1",
        &["print", "first line", "env", "K", "env", "KEPT", "exit", "3"],
        &json!({ "environment": [{ "name": "KEPT", "value": "as it was" }, { "name": "K", "value": "old" }] }),
    );

    let made = stage.l0(&["task", "create", "--env", "app:K=v=with:colon", "dev", "one", "job:1"]);
    made.exits(5).says("exit code 3");
    stage.l0(&["task", "get", "one"]).ok().says("STOPPED").says("exit code 3");
    let task = stage.one(&["task", "get", "one"]);
    assert_eq!(
        (task["status"].as_str(), task["containers"][0]["exit_code"].as_i64()),
        (Some("STOPPED"), Some(3)),
        "{task:#}"
    );
    // After the end, and after a restart of the server's, its lines are there.
    let lines = stage.l0(&["task", "logs", "dev:one"]).ok();
    lines.clone().says("first line").says("K=v=with:colon").says("KEPT=as it was");
    stage.l0(&["task", "logs", "one", "--tail", "1"]).ok().says("KEPT=as it was").keeps_quiet_about("first line");
    // Who asks for what is no container of the deploy is told.
    stage.l0(&["task", "create", "--env", "nothing:K=v", "dev", "two", "job:1"]).exits(4).says("nothing");

    stage.deploy("fine", "v1", &["print", "fine", "ms", "200"], &json!({}));
    stage.l0(&["task", "create", "dev", "many", "fine:1", "--copies", "3"]).ok();
    let task = stage.one(&["task", "get", "many"]);
    assert_eq!((task["copies"].as_i64(), task["containers"].as_array().map(Vec::len)), (Some(3), Some(3)), "{task:#}");
    let lines = stage.l0(&["task", "logs", "many"]).ok();
    assert_eq!(lines.out.lines().filter(|line| *line == "fine").count(), 3, "{}", lines.all());

    // Stopped: its end is told as such, its lines stay.
    stage.deploy("endless", "v1", &["tick", "100", "sleep"], &json!({}));
    stage.l0(&["--no-wait", "task", "create", "dev", "endless", "endless:1"]).ok();
    until("a line of it", || {
        let said = stage.l0(&["task", "logs", "endless"]);
        if said.out.contains("tick 2") { Ok(()) } else { Err(said.all()) }
    });
    assert_eq!(stage.one(&["task", "get", "endless"])["status"], "RUNNING");
    stage.l0(&["task", "stop", "endless"]).ok();
    until("the task to be stopped", || match stage.one(&["task", "get", "endless"])["status"].as_str() {
        Some("STOPPED") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert!(stage.started("endless").is_empty());
    stage.l0(&["task", "logs", "endless"]).ok().says("tick 2");

    for name in ["one", "many", "endless"] {
        stage.l0(&["task", "delete", name]).ok();
        assert!(stage.copies(name).is_empty(), "containers of the deleted task {name}");
        stage.l0(&["task", "logs", name]).exits(3);
    }
    // The name is free again.
    stage.l0(&["task", "create", "dev", "one", "fine:1"]).ok();
}
