//! Strays are shown and taken away, and what is being made is never taken for one.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use layer0_api::client::{Client, Swept};
use layer0_api::types::{SweepReport, SweepStray};
use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::environment::Environment;
use layer0_domain::model::failure::{Failure, FailureClass};
use layer0_domain::model::id::{DeploymentId, ServiceId};
use layer0_domain::model::name::Name;
use layer0_domain::model::task_definition::Document;
use layer0_domain::model::time::Generation;
use layer0_domain::port::engine::{Engine, Revision, Scope, ServiceMode, ServiceSpec, Want};
use layer0_domain::port::pull::Launch;
use layer0_engine::fake::{Fault, Op, Pace};
use layer0_server::testing::{TestApp, TestOptions};
use layer0_testkit::sample;
use layer0_testkit::until::{ends, until};

use crate::support::{Raw, definition, deploy, done, end_of, environment, new_service, service};

/// Follows a sweep to its end.
async fn sweep(client: &Client) -> (Vec<SweepStray>, SweepReport) {
    let mut strays = Vec::new();
    let mut events = client.admin_sweep().await.expect("it begins");
    loop {
        match ends("the next event", events.next()).await.expect("an end comes").expect("the stream holds") {
            Swept::Progress(_) => {}
            Swept::Stray(it) => strays.push(it),
            Swept::End(report) => {
                assert!(events.next().await.is_none(), "nothing follows the end");
                return (strays, report);
            }
        }
    }
}

fn name(text: &str) -> Name {
    Name::parse(text).expect("a name")
}

fn stray_environment() -> Environment {
    sample::environment("stray-1", "stray")
}

fn stray_service(number: u32) -> ServiceSpec {
    let document = Document::from_canonical(definition("app:1", &[])).expect("a legal document");
    ServiceSpec {
        id: ServiceId::parse(&format!("lost-{number}")).expect("an id"),
        name: name("lost"),
        environment: stray_environment().id,
        desired_count: 2,
        revision: Revision {
            deployment: DeploymentId::parse(&format!("app-{number}")).expect("an id"),
            label: "app:1".to_owned(),
            definition: document.definition_with_document(),
        },
        mode: ServiceMode::Run,
        load_balancer: None,
        launch: Launch::Fargate,
        generation: Generation(1),
    }
}

/// An environment and two services that the engine has and no store knows, as an older backup of the store would leave them.
/// First the server has had its own look at the start, so that it does not take them away by itself.
async fn strays(app: &TestApp) -> [EntityRef; 3] {
    until("the server's own sweep", || async {
        if app.fake().answers(Op::Inventory) > 0 { Ok(()) } else { Err("it has not looked") }
    })
    .await;
    let wants = [
        Want::Environment { environment: stray_environment(), reachable_from: vec![] },
        Want::Service(stray_service(1)),
        Want::Service(stray_service(2)),
    ];
    let entities = wants.each_ref().map(Want::entity);
    for want in wants {
        app.fake().ensure(want).await.expect("the engine takes it");
    }
    entities
}

fn named(strays: &[SweepStray]) -> Vec<(&str, &str)> {
    strays.iter().map(|it| (it.entity_id.as_str(), it.outcome.as_str())).collect()
}

/// What stands in the engine, without the generations, of which it is told again in its own time.
async fn standing(app: &TestApp) -> Vec<String> {
    let seen = app.fake().observe(Scope::All).await.expect("the engine answers");
    let environments = seen.environments.iter().map(|it| it.id.to_string());
    let services = seen.services.iter().map(|it| format!("{} {:?}", it.id, it.copies));
    environments.chain(services).collect()
}

#[tokio::test]
async fn a_dry_run_shows_strays_and_changes_nothing_and_a_sweep_takes_them_away() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let deploy = deploy(&client, "web", &[]).await;
    let web = service(&client, "web", &env, &deploy, 2).await;
    strays(&app).await;
    let before = standing(&app).await;

    for _ in 0..2 {
        let plan = client.admin_sweep_plan().await.expect("a plan");
        assert_eq!(named(&plan.strays), [("lost-1", "found"), ("lost-2", "found"), ("stray-1", "found")]);
        let first = &plan.strays[0];
        assert_eq!((first.entity_type.as_str(), first.things[0].what.as_str()), ("service", "service"));
        assert_eq!((first.things[0].state.as_str(), first.cause.as_deref()), ("2 copies", None));
        assert_eq!(plan.unclear, []);
    }
    assert_eq!(standing(&app).await, before);
    let raw = Raw::of(&app);
    let entries = raw.get("/admin/audit?limit=1000").await.expect(200).json();
    let swept = |entries: &serde_json::Value| {
        let entries = entries.as_array().expect("a list").iter();
        entries.filter(|entry| entry["action"].as_str().is_some_and(|action| action.contains("sweep"))).count()
    };
    assert_eq!(swept(&entries), 0, "a look is no change");

    let (mut gone, report) = sweep(&client).await;
    gone.sort_by(|a, b| a.entity_id.cmp(&b.entity_id));
    assert_eq!(named(&gone), [("lost-1", "gone"), ("lost-2", "gone"), ("stray-1", "gone")]);
    assert_eq!((report.gone, report.left, report.error), (3, 0, None));
    assert_eq!(client.admin_sweep_plan().await.expect("a plan").strays, []);
    let seen = app.fake().observe(Scope::All).await.expect("the engine answers");
    assert_eq!(seen.services.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), [web.as_str()]);
    let webs: Vec<String> = before.into_iter().filter(|it| it.starts_with(&web) || it.starts_with(&env)).collect();
    assert_eq!(standing(&app).await, webs, "no copy was stopped or started");
    assert_eq!(swept(&raw.get("/admin/audit?limit=1000").await.expect(200).json()), 1, "a sweep is in the audit log");
}

#[tokio::test]
async fn what_is_hindered_is_left_with_its_cause_and_a_rerun_converges() {
    let app = TestApp::start().await;
    let client = app.client();
    let [environment, service, _] = strays(&app).await;
    app.fake().hinder(&service, Some("sg-1 has a dependent object"));
    let plan = client.admin_sweep_plan().await.expect("a plan");
    let hindrance = plan.strays[0].things[0].hindrance.as_deref();
    assert_eq!((plan.strays[0].entity_id.as_str(), hindrance), (service.id(), Some("sg-1 has a dependent object")));

    let (strays, report) = sweep(&client).await;
    assert_eq!((report.gone, report.left, report.error), (1, 2, None));
    let cause = |id: &str| strays.iter().find(|it| it.entity_id == id).and_then(|it| it.cause.clone());
    assert_eq!(cause(service.id()).as_deref(), Some("sg-1 has a dependent object"));
    // What stands in it must go first: half of it is not taken away around what is left.
    let has_to = format!("service `{}` has to go first, and is still there", service.id());
    assert_eq!(cause(environment.id()), Some(has_to));
    let seen = app.fake().observe(Scope::All).await.expect("the engine answers");
    assert_eq!(seen.environments.len(), 1, "{seen:?}");

    app.fake().hinder(&service, None);
    let (_, report) = sweep(&client).await;
    assert_eq!((report.gone, report.left), (2, 0));
    assert_eq!(client.admin_sweep_plan().await.expect("a plan").strays, []);
}

/// A fault at each call of a sweep in turn is got over, or the stray is left with its cause; a rerun converges.
#[tokio::test]
async fn a_fault_at_any_step_leaves_nothing_for_the_rerun() {
    let app = TestApp::start().await;
    let client = app.client();
    let refusal = Failure::new(FailureClass::Other, "it is protected");
    for fault in [Fault::Throttled, Fault::Unavailable, Fault::AnswerLost, Fault::Failed, Fault::Refused(refusal)] {
        for nth in 0..4 {
            strays(&app).await;
            app.fake().fail_nth(nth, fault.clone());
            let (strays, report) = sweep(&client).await;
            app.fake().clear_faults();
            for left in strays.iter().filter(|it| it.outcome == "left") {
                assert!(left.cause.as_ref().is_some_and(|cause| !cause.is_empty()), "{left:?}");
            }
            if report.left > 0 || report.error.is_some() {
                let (_, again) = sweep(&client).await;
                assert_eq!((again.left, again.error), (0, None), "{fault:?} at call {nth}");
            }
            let seen = app.fake().observe(Scope::All).await.expect("the engine answers");
            assert_eq!((seen.environments, seen.services), (vec![], vec![]), "{fault:?} at call {nth}");
        }
    }
}

/// An engine that can't be asked is an error of the whole, not an empty list.
#[tokio::test]
async fn an_engine_that_is_away_is_said() {
    let app = TestApp::start().await;
    let raw = Raw::of(&app);
    strays(&app).await;
    app.fake().set_available(false);
    assert_eq!(raw.get("/admin/sweep").await.error(503).error_code, "EngineUnavailable");
    let (strays, report) = sweep(&app.client()).await;
    assert_eq!((strays, report.gone), (vec![], 0));
    assert!(report.error.is_some_and(|error| error.contains("the fake engine does not answer")));
    app.fake().set_available(true);
    assert_eq!(sweep(&app.client()).await.1.gone, 3);
}

/// The engine is looked at before the store: what is made while the look goes on is in both, or in the store alone.
#[tokio::test]
async fn what_is_made_while_a_look_goes_on_is_no_stray() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let deploy = deploy(&client, "web", &[]).await;
    let looks = app.fake().calls(Op::Inventory);
    app.fake().freeze();
    let sweeps = [client.clone(), client.clone()].map(|client| tokio::spawn(async move { sweep(&client).await }));
    until("a look to have begun", || async {
        if app.fake().calls(Op::Inventory) > looks { Ok(()) } else { Err("none has") }
    })
    .await;
    let told = app.fake().calls(Op::Ensure);
    let accepted = client.service_create(&new_service("web", &env, &deploy, 2)).await.expect("accepted");
    until("the engine to be told", || async {
        if app.fake().calls(Op::Ensure) > told { Ok(()) } else { Err("it is not") }
    })
    .await;
    // Now the look and the wish go on, in whichever order.
    app.fake().unfreeze();
    for sweep in sweeps {
        let (strays, report) = sweep.await.expect("it does not panic");
        assert_eq!((strays, report.gone, report.error), (vec![], 0, None));
    }
    assert_eq!(end_of(&client, &accepted).await.state, "succeeded");
    assert_eq!(client.service_get(&accepted.entity_id).await.expect("it is there").running_count, 2);
}

/// Three servers on one store make, change and delete, and each of them sweeps all the while: real strays go, and nothing
/// else. Each copy was started once.
#[tokio::test]
async fn three_servers_sweep_while_they_make_and_delete() {
    let shared = Some(Duration::from_secs(10));
    let first = TestApp::with(TestOptions { shared, ..TestOptions::default() }).await;
    let servers = [first.beside().await, first.beside().await, first];
    let clients = servers.each_ref().map(TestApp::client);
    let env = environment(&clients[0], "dev").await;
    let web = deploy(&clients[1], "web", &[]).await;
    strays(&servers[0]).await;
    let work = join_all((0..9).map(|number| {
        let (client, env, web) = (&clients[number % 3], &env, &web);
        async move {
            let id = service(client, &format!("s{number}"), env, web, 2).await;
            // Every third goes again while others sweep.
            if number % 3 == 0 {
                done(client, client.service_delete(&id).await).await;
                return None;
            }
            Some(id)
        }
    }));
    let (over, sweeping) = tokio::sync::watch::channel(false);
    let sweeps = join_all(clients.iter().map(|client| {
        let over = sweeping.clone();
        async move {
            let mut gone = BTreeSet::new();
            loop {
                let last = *over.borrow();
                let (strays, report) = sweep(client).await;
                assert_eq!((report.left, report.error), (0, None), "{strays:?}");
                gone.extend(strays.into_iter().map(|it| it.entity_id));
                if last {
                    return gone;
                }
            }
        }
    }));
    let work = async {
        let kept = work.await;
        over.send_replace(true);
        kept
    };
    let (kept, gone) = tokio::join!(work, sweeps);
    let gone: BTreeSet<String> = gone.into_iter().flatten().collect();
    assert_eq!(gone, BTreeSet::from(["lost-1", "lost-2", "stray-1"].map(str::to_owned)));
    let kept: BTreeSet<String> = kept.into_iter().flatten().collect();
    let seen = servers[0].fake().observe(Scope::All).await.expect("the engine answers");
    let there: BTreeSet<String> = seen.services.iter().map(|it| it.id.to_string()).collect();
    assert_eq!(there, kept);
    assert!(seen.services.iter().all(|it| it.copies.len() == 2), "each copy was started once: {seen:?}");
}

/// A server tells the engine of a service while another one deletes it from beginning to end: what is made anew by that goes again.
#[tokio::test]
async fn what_is_told_after_another_server_deleted_it_does_not_stay() {
    // So long that neither takes over from the other, nor looks for what the other was asked for.
    let shared = Some(Duration::from_secs(3600));
    let pace = Pace { healthy_after_ms: 10_000, health_limit_ms: 600_000, ..Pace::at_once() };
    let first = TestApp::with(TestOptions { shared, pace, ..TestOptions::default() }).await;
    let second = first.beside().await;
    let (client, fake) = (first.client(), first.fake());
    let env = environment(&client, "dev").await;
    let web = deploy(&client, "web", &[]).await;
    let accepted = client.service_create(&new_service("s0", &env, &web, 1)).await.expect("accepted");
    let services = || async { fake.observe(Scope::All).await.expect("the engine answers").services.len() };
    until("the engine to have it", || async { if services().await == 1 { Ok(()) } else { Err("it has not") } }).await;
    // The first server tells the engine once more when the service is healthy.
    let mut hold = fake.hold_next(Op::Ensure);
    fake.advance(Duration::from_secs(20));
    ends("the engine is told again", hold.reached()).await;
    assert_eq!(end_of(&client, &accepted).await.state, "succeeded");
    let there = second.client();
    done(&there, there.service_delete(&accepted.entity_id).await).await;
    assert_eq!(services().await, 0);
    let removals = fake.calls(Op::Remove);
    drop(hold);
    until("the engine to be asked to take it away", || async {
        if fake.answers(Op::Remove) > removals { Ok(()) } else { Err("it is not") }
    })
    .await;
    assert_eq!(services().await, 0);
}
