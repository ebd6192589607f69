//! Several servers on one store: they divide the operations, and go on with what one of them left.

use std::time::Duration;

use futures_util::future::join_all;
use layer0_api::types as wire;
use layer0_domain::model::id::OperationId;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::engine::{Engine, Scope};
use layer0_domain::port::store::{Lease, LeaseAnswer, Store};
use layer0_engine::fake::{Fault, Op};
use layer0_server::testing::{TestApp, TestOptions};
use layer0_testkit::until::until;

use crate::support::{deploy, done, end_of, environment, followed, new_service, service, to_deploy, to_scale};

/// Long enough for five renewals on a machine that is busy with other tests, short enough to wait for.
const LEASE: Duration = Duration::from_secs(2);

async fn three() -> [TestApp; 3] {
    let first = TestApp::with(TestOptions { shared: Some(LEASE), ..TestOptions::default() }).await;
    let (second, third) = (first.beside().await, first.beside().await);
    [first, second, third]
}

/// How many copies the engine ever started for each service: copies are numbered in the order of their start.
async fn started(app: &TestApp) -> Vec<usize> {
    let seen = app.fake().observe(Scope::All).await.expect("the engine answers");
    seen.services.iter().map(|it| it.copies.len()).collect()
}

/// The lease of an operation, if anybody holds it: asked by one who gives it back at once.
async fn held(app: &TestApp, operation: &str) -> Option<Lease> {
    holder(app, &format!("operation/{operation}")).await
}

async fn holder(app: &TestApp, name: &str) -> Option<Lease> {
    let now = now();
    match app.store().lease_take(name, "the test", now, now.plus_ms(60_000)).await.expect("the store answers") {
        LeaseAnswer::Held(lease) => Some(lease),
        LeaseAnswer::Taken(lease) => {
            app.store().lease_release(&lease, now).await.expect("the store answers");
            None
        }
    }
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is after 1970");
    Timestamp(i64::try_from(since.as_millis()).expect("the year is below 292 million"))
}

/// What three servers are asked for at once is done once each, whoever follows it; each end and each event is told once.
#[tokio::test]
async fn three_servers_divide_the_operations() {
    let servers = three().await;
    let clients = servers.each_ref().map(TestApp::client);
    let env = environment(&clients[0], "dev").await;
    let (old, new) = (deploy(&clients[1], "web", &[]).await, deploy(&clients[2], "web", &[]).await);
    let names: Vec<String> = (0..12).map(|n| format!("s{n}")).collect();
    let made = join_all(names.iter().enumerate().map(|(n, name)| service(&clients[n % 3], name, &env, &old, 2))).await;
    // Scaled by one server, updated by another: the second takes over from the first, on whichever server that is.
    join_all(made.iter().enumerate().map(|(n, id)| {
        let clients = &clients;
        let new = &new;
        async move {
            let scale = clients[n % 3].service_update(id, &to_scale(3)).await.expect("accepted");
            done(&clients[(n + 1) % 3], clients[(n + 1) % 3].service_update(id, &to_deploy(new)).await).await;
            let end = end_of(&clients[(n + 2) % 3], &scale).await;
            assert!(["succeeded", "superseded"].contains(&end.state.as_str()), "{end:?}");
        }
    }))
    .await;
    for id in &made {
        let it = clients[0].service_get(id).await.expect("it is there");
        assert_eq!((it.running_count, it.desired_count, it.deployments[0].deploy_id.as_str()), (3, 3, new.as_str()));
    }
    until("no copy beyond what is wanted", || async {
        let started = started(&servers[0]).await;
        if started == vec![3; 12] { Ok(()) } else { Err(format!("{started:?}")) }
    })
    .await;
    join_all(made.iter().enumerate().map(|(n, id)| {
        let client = &clients[n % 3];
        async move { done(client, client.service_delete(id).await).await }
    }))
    .await;
    done(&clients[1], clients[1].environment_delete(&env).await).await;
    assert_eq!(started(&servers[0]).await, [0; 0]);
}

/// The server that follows an operation is killed while the engine hangs over it: nobody goes on before its lease has run
/// out; then one of the others does, and the operation comes to its end. Its copies are started once.
#[tokio::test]
async fn what_a_killed_server_left_goes_on_elsewhere() {
    let mut servers = Vec::from(three().await);
    let env = environment(&servers[0].client(), "dev").await;
    let id = deploy(&servers[0].client(), "web", &[]).await;
    while servers.len() > 1 {
        let fake = servers[0].fake().clone();
        fake.fail_next(Op::Ensure, Fault::Hang);
        let before = fake.calls(Op::Ensure);
        let name = format!("web{}", servers.len());
        let accepted = servers[0].client().service_create(&new_service(&name, &env, &id, 2)).await.expect("accepted");
        let operation = accepted.operation_id.clone().expect("an operation");
        let lease = until("a server to hang over it", || async {
            let lease = held(&servers[1], &operation).await;
            lease.filter(|_| fake.calls(Op::Ensure) > before).ok_or("nobody does")
        })
        .await;
        let follows = servers.iter().position(|server| server.holder() == lease.holder).expect("one of ours holds it");
        servers[follows].leftovers_allowed();
        servers.remove(follows).kill().await;
        // As it was last renewed by the one who is dead.
        let left = held(&servers[0], &operation).await.expect("the dead hold on until it runs out");
        assert_eq!((&left.holder, left.fence), (&lease.holder, lease.fence));
        let (events, end) = followed(&servers[0].client(), &operation).await;
        assert_eq!(end.state, "succeeded", "{events:?} {end:?}");
        let ended = servers[0].store().operation_get(&OperationId::parse(&operation).expect("an id")).await;
        let ended = ended.expect("the store answers").expect("operations are kept").ended.expect("it has ended");
        assert!(ended >= left.until, "ended at {ended:?}, while {left:?} was held");
        let seen = servers[0].fake().observe(Scope::All).await.expect("the engine answers");
        assert!(seen.services.iter().all(|it| it.copies.len() == 2), "each copy was started once: {seen:?}");
    }
}

/// A server that stops in the orderly way gives back what it holds: another goes on at once, not after a lease.
#[tokio::test]
async fn a_server_that_stops_gives_its_work_back() {
    let options = TestOptions { shared: Some(Duration::from_secs(3600)), ..TestOptions::default() };
    let mut first = TestApp::with(options).await;
    let client = first.client();
    let env = environment(&client, "dev").await;
    let id = deploy(&client, "web", &[]).await;
    first.fake().set_available(false);
    let accepted = client.service_create(&new_service("web", &env, &id, 1)).await.expect("accepted");
    let operation = accepted.operation_id.clone().expect("an operation");
    until("the operation to wait for the engine", || async {
        let events = client.operation_events(&operation).await.expect("events");
        if events.is_empty() { Err("no event") } else { Ok(()) }
    })
    .await;
    assert!(held(&first, &operation).await.is_some(), "its follower holds it");
    first.stop().await;
    first.leftovers_allowed();
    let second = first.beside().await;
    second.fake().set_available(true);
    let (_, end) = followed(&second.client(), &operation).await;
    assert_eq!(end.state, "succeeded", "well before the hour is over: {end:?}");
}

/// What a server does by itself, without end, is somebody else's at once when it stops too.
#[tokio::test]
async fn a_server_that_stops_gives_its_rounds_back() {
    let options = TestOptions { shared: Some(Duration::from_secs(3600)), ..TestOptions::default() };
    let mut first = TestApp::with(options).await;
    let second = first.beside().await;
    let rounds = "repository-migrations";
    until("somebody to go the rounds", || async { holder(&second, rounds).await.ok_or("nobody") }).await;
    let before = holder(&second, rounds).await.expect("for an hour");
    assert_eq!(before.holder, first.holder(), "it was there first");
    first.stop().await;
    first.leftovers_allowed();
    let (now, until) = (now(), now().plus_ms(60_000));
    let next = second.store().lease_take(rounds, "the test", now, until).await.expect("the store answers");
    let next = match next {
        LeaseAnswer::Taken(lease) | LeaseAnswer::Held(lease) => lease,
    };
    assert!(next.fence > before.fence, "well before the hour is over: {before:?} {next:?}");
}

/// Only one of the servers resyncs: at a start of three the engine is told of everything once more, not three times.
#[tokio::test]
async fn one_server_resyncs() {
    // So many that telling all of them once more can't be taken for what the followers below tell, however often they do.
    const MORE: u64 = 40;
    // Longer than the test, so that no slow machine makes anybody else's turn come.
    let options = TestOptions { shared: Some(Duration::from_secs(3600)), ..TestOptions::default() };
    let first = TestApp::with(options).await;
    let client = first.client();
    let env = environment(&client, "dev").await;
    for n in 0..MORE {
        environment(&client, &format!("more-{n}")).await;
    }
    let id = deploy(&client, "web", &[]).await;
    service(&client, "web", &env, &id, 1).await;
    let before = first.fake().calls(Op::Ensure);
    let others = [first.beside().await, first.beside().await];
    // Each has had its turn to ask for the lease when it has followed something of its own.
    for (n, other) in others.iter().enumerate() {
        let scale = wire::UpdateServiceRequest { deploy_id: None, scale: Some(2 + n as i64), skip_pull_check: false };
        let web = client.service_list().await.expect("a list").remove(0).service_id;
        done(&other.client(), other.client().service_update(&web, &scale).await).await;
    }
    let told = first.fake().calls(Op::Ensure) - before;
    assert!(told < MORE, "each follower tells one environment and one service, and nobody tells all: {told}");
}

/// A server that has its store for itself takes no lease: an operation costs it no write and no wait.
#[tokio::test]
async fn a_server_alone_takes_no_lease() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let id = deploy(&client, "web", &[]).await;
    app.fake().set_available(false);
    let accepted = client.service_create(&new_service("web", &env, &id, 1)).await.expect("accepted");
    let operation = accepted.operation_id.clone().expect("an operation");
    until("the operation to wait for the engine", || async {
        let events = client.operation_events(&operation).await.expect("events");
        let waits = events.iter().any(|event| event.message.starts_with("waiting for the engine"));
        if waits { Ok(()) } else { Err("no such event") }
    })
    .await;
    assert_eq!(held(&app, &operation).await, None, "it is followed, and nobody holds it");
    let writes = app.store().version();
    app.fake().set_available(true);
    assert_eq!(end_of(&client, &accepted).await.state, "succeeded");
    let writes = app.store().version().zip(writes).map(|(after, before)| after - before);
    assert_eq!(writes, Some(1), "its end, and nothing else");
}

/// Of several servers one collects by itself, and another one when that has ended.
#[tokio::test]
async fn the_collection_passes_on_from_server_to_server() {
    let [mut first, mut second, third] = three().await;
    let taken_since = async |moment: Timestamp| {
        let length = i64::try_from(LEASE.as_millis()).expect("a short time");
        until("somebody to collect", || async {
            match holder(&third, "registry-collection").await {
                Some(lease) if lease.until > moment.plus_ms(length) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    };
    taken_since(Timestamp(0)).await;
    first.stop().await;
    second.stop().await;
    // Taken or renewed afterwards: by the one that is left, whoever had it before.
    taken_since(now()).await;
}
