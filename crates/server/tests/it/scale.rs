//! Many entities: lists come from the store alone, and in time.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::id::{DeployId, DeploymentId, EnvironmentId, OperationId, ServiceId};
use layer0_domain::model::name::Name;
use layer0_domain::model::operation::{Operation, OperationState, Verb};
use layer0_domain::model::service::{Deployment, DeploymentState, Service};
use layer0_domain::model::task_definition::Document;
use layer0_domain::model::time::{Generation, Timestamp};
use layer0_domain::port::store::{Entity, Store};
use layer0_server::testing::TestApp;

use crate::support::{Raw, definition, environment};

const SERVICES: usize = 10_000;

/// Loose: the bound of the benchmark is 20 ms, with an optimised build on a quiet machine.
const LIST_MAX: Duration = Duration::from_secs(3);

fn service(n: usize, environment: &EnvironmentId, document: &Document) -> (Entity, Operation) {
    let id = ServiceId::parse(&format!("s{n}-x")).expect("an id");
    let deployment = Deployment {
        id: DeploymentId::parse(&format!("d{n}")).expect("an id"),
        deploy: DeployId::parse("web.1").expect("an id"),
        deploy_name: Name::parse("web").expect("a name"),
        deploy_version: 1,
        images: vec![],
        definition: document.definition().clone(),
        state: DeploymentState::Healthy,
        was_healthy: true,
        cause: None,
        created: Timestamp(0),
        updated: Timestamp(0),
    };
    let service = Service {
        id: id.clone(),
        name: Name::parse(&format!("s{n:05}")).expect("a name"),
        environment: environment.clone(),
        load_balancer: None,
        stateful: false,
        desired_count: 0,
        deployments: vec![deployment],
        created: Timestamp(0),
        generation: Generation(1),
        deleting: false,
    };
    let operation = Operation {
        id: OperationId::parse(&format!("o{n}")).expect("an id"),
        verb: Verb::Create,
        entity: EntityRef::Service(id),
        entity_name: service.name.to_string(),
        environment: Some(environment.clone()),
        place: None,
        deployment: None,
        state: OperationState::Succeeded,
        cause: None,
        created: Timestamp(0),
        ended: Some(Timestamp(0)),
    };
    (Entity::Service(service), operation)
}

/// Section 8.3: lists that ask the engine per entity. Ours make no call at all.
#[tokio::test]
#[expect(clippy::print_stdout, reason = "the measured times belong to the test's output")]
async fn ten_thousand_services_are_listed_without_a_call_to_the_engine() {
    let app = TestApp::start().await;
    let (raw, client) = (Raw::of(&app), app.client());
    let env = EnvironmentId::parse(&environment(&client, "dev").await).expect("an id");
    let document = Document::parse(definition("app:1", &[]).to_string().as_bytes()).expect("a legal document");
    let store = app.store();
    for chunk in (0..SERVICES).collect::<Vec<_>>().chunks(1000) {
        let rows: Vec<_> = chunk.iter().map(|n| service(*n, &env, &document)).collect();
        try_join_all(rows.iter().map(|(entity, operation)| store.entity_create(entity, operation)))
            .await
            .expect("the store takes them");
    }
    let calls = app.fake().calls_total();
    for path in
        ["/service", "/environment", "/deploy", "/task", "/loadbalancer", "/tag?type=service&name=s04711", "/operation"]
    {
        let began = Instant::now();
        let answer = raw.get(path).await.expect(200);
        let took = began.elapsed();
        println!("GET {path} with {SERVICES} services: {took:?}, {} bytes", answer.body.len());
        assert!(took < LIST_MAX, "GET {path} took {took:?}");
    }
    let all = client.service_list().await.expect("a list");
    let names: BTreeSet<&str> = all.iter().map(|it| it.service_name.as_str()).collect();
    assert_eq!((all.len(), names.len()), (SERVICES, SERVICES));
    assert!(all.is_sorted_by_key(|it| &it.service_name) && all.iter().all(|it| it.environment_name == "dev"));
    assert_eq!(
        client
            .tag_list(&layer0_api::types::TagQuery { fuzz: Some("s0471*".to_owned()), ..Default::default() })
            .await
            .expect("a list")
            .len(),
        20,
        "two tags of ten services"
    );
    assert_eq!(app.fake().calls_total(), calls, "the engine was asked");
}
