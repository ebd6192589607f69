//! Real strays on a real Docker engine: containers that run and that ended, networks of environments and links, volumes.

use std::collections::BTreeSet;

use layer0_domain::model::entity::EntityRef;
use layer0_domain::plan::sweep::{Strays, strays};
use layer0_domain::port::engine::{Engine, Removed, Want};
use layer0_testkit::until::until;
use serde_json::json;

use crate::support::{Instance, Stage, document, environment, run, tool, tool_with};

/// What is a stray when nothing but `known` is known.
async fn look(engine: &dyn Engine, known: &BTreeSet<EntityRef>) -> Strays {
    strays(engine.inventory().await.expect("Docker answers"), known)
}

/// Takes all strays away, in their order, as the server does.
async fn sweep(engine: &dyn Engine, known: &BTreeSet<EntityRef>) {
    for stray in look(engine, known).await.of_nobody {
        until(format!("{} to be gone", stray.entity), || async {
            match engine.remove(&stray.entity).await {
                Ok(Removed::Gone) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }
}

fn listed(found: &Strays) -> Vec<(String, Vec<String>)> {
    let things = |it: &layer0_domain::plan::sweep::Stray| {
        it.things.iter().map(|thing| format!("{} {}", thing.what, thing.state).trim().to_owned()).collect()
    };
    found.of_nobody.iter().map(|it| (it.entity.to_string(), things(it))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn real_strays_are_found_and_go_and_others_stay() {
    let mut stage = Stage::new().await;
    let second = environment(&stage.instance, "second");
    let (first, here) = (stage.environment.clone(), stage.environment.id.clone());
    stage.ensure(Want::Environment { environment: second.clone(), reachable_from: vec![here.clone()] }).await;
    stage.ensure(Want::Environment { environment: first.clone(), reachable_from: vec![second.id.clone()] }).await;
    let spec = stage.service_wanted("web", 1, json!([tool("one", &["serve", "80"]), tool("two", &["serve", "81"])]));
    stage.service(&spec).await;
    stage.steady(&spec).await;
    let data = json!({
        "volumes": [{ "name": "data" }],
        "containerDefinitions": [tool_with("main", &["exit", "0"], json!({
            "mountPoints": [{ "sourceVolume": "data", "containerPath": "/data" }],
        }))],
    });
    let task = stage.task_wanted("job", 1, document(data));
    stage.ensure(Want::Task(task.clone())).await;
    stage.task_ended(&task).await;
    // What others have: no label of ours, and the label of another instance.
    let foreign = format!("l0-{}-foreign", stage.instance.id);
    run("docker", &["volume", "create", &foreign]);
    let of_another = format!("layer0.instance=another-{}", stage.instance.id);
    let labelled = format!("{foreign}-labelled");
    run("docker", &["volume", "create", "--label", &of_another, "--label", "layer0.entity=web-1", &labelled]);
    // And what bears our label and names nobody.
    let ours = format!("layer0.instance={}", stage.instance.id);
    let odd = format!("{foreign}-odd");
    run("docker", &["volume", "create", "--label", &ours, &odd]);

    // The server that made all this is gone, and so is its store.
    stage.restart().await;
    let known = BTreeSet::from([EntityRef::Environment(here.clone())]);
    let found = look(&stage.engine, &known).await;
    let expected = [
        (format!("service `{}`", spec.id), vec!["container running"; 3]),
        (format!("task `{}`", task.id), vec!["container exited", "volume"]),
        // Its own network, and that of the link, which joins nothing any more.
        (format!("environment `{}`", second.id), vec!["network", "network"]),
    ];
    let expected = expected.map(|(entity, things)| (entity, things.into_iter().map(str::to_owned).collect()));
    assert_eq!(listed(&found), expected);
    assert_eq!(found.unclear.iter().map(|thing| thing.name.as_str()).collect::<Vec<_>>(), [odd.as_str()]);

    sweep(&stage.engine, &known).await;
    let found = look(&stage.engine, &known).await;
    assert_eq!((listed(&found), found.unclear.len()), (vec![], 1), "what names nobody is left alone");
    for volume in [&foreign, &labelled, &odd] {
        run("docker", &["volume", "inspect", volume]);
        run("docker", &["volume", "rm", volume]);
    }
    let network = format!("l0-{here}");
    run("docker", &["network", "inspect", &network]);
    sweep(&stage.engine, &BTreeSet::new()).await;
    stage.instance.assert_clean();
}

/// A network that somebody else's container uses can't go: the removal says so, and goes on when it can.
#[tokio::test(flavor = "multi_thread")]
async fn a_network_in_use_by_others_is_not_taken_from_them() {
    let instance = Instance::new();
    let engine = instance.connected().await;
    let environment = environment(&instance, "dev");
    let want = Want::Environment { environment: environment.clone(), reachable_from: vec![] };
    engine.ensure(want.clone()).await.expect("Docker takes it");
    drop(engine);
    let (network, guest) = (format!("l0-{}", environment.id), format!("guest-{}", instance.id));
    let image = crate::support::image();
    run("docker", &["run", "-d", "--name", &guest, "--network", &network, image, "serve", "80"]);

    let engine = instance.connected().await;
    let error = engine.remove(&want.entity()).await.expect_err("a guest is in it");
    assert!(error.retryable(), "{error}");
    let said = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(said.contains("active endpoints"), "{error}: {said}");
    assert_eq!(run("docker", &["inspect", "-f", "{{.State.Running}}", &guest]), "true");
    run("docker", &["rm", "-f", &guest]);
    sweep(&engine, &BTreeSet::new()).await;
    instance.assert_clean();
}
