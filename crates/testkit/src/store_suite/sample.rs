//! Small legal values, told apart by a word of the caller's.

use layer0_domain::model::deploy::DeployImage;
use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::environment::Environment;
use layer0_domain::model::id::{DeployId, DeploymentId, EnvironmentId, LoadBalancerId, OperationId, ServiceId, TaskId};
use layer0_domain::model::image::ImageRef;
use layer0_domain::model::listener_rule::{HostPattern, PathPattern, Rule};
use layer0_domain::model::load_balancer::{Action, LoadBalancer, LoadBalancerKind, Port, Protocol};
use layer0_domain::model::name::Name;
use layer0_domain::model::operation::{Operation, OperationState, Verb};
use layer0_domain::model::service::{Deployment, DeploymentState, PinnedImage, Service};
use layer0_domain::model::task::{Task, TaskWanted};
use layer0_domain::model::task_definition::Document;
use layer0_domain::model::time::{Generation, Timestamp};
use layer0_domain::port::store::{Entity, NewDeploy};

const LEGAL: &str = "samples are written with legal words only";

/// When samples are made, unless the caller says otherwise.
pub const CREATED: Timestamp = Timestamp(1_700_000_000_000);

/// A name.
#[must_use]
pub fn name(word: &str) -> Name {
    Name::parse(word).expect(LEGAL)
}

/// An environment's id.
#[must_use]
pub fn environment_id(word: &str) -> EnvironmentId {
    EnvironmentId::parse(word).expect(LEGAL)
}

/// An environment whose id and name are `word`.
#[must_use]
pub fn environment(word: &str) -> Environment {
    Environment {
        instance_type: "t3.small".to_owned(),
        user_data_template: "IyEvYmluL3No".to_owned(),
        created: CREATED,
        ..crate::sample::environment(word, word)
    }
}

/// A load balancer whose id and name are `word`.
#[must_use]
pub fn load_balancer(word: &str, environment: &str) -> LoadBalancer {
    let (path, host) = (PathPattern::parse("/api/*").expect(LEGAL), HostPattern::parse("*.test.com").expect(LEGAL));
    let rule = Rule::new(vec![path], vec![host], 8081).expect(LEGAL);
    LoadBalancer {
        kind: LoadBalancerKind::Classic,
        ports: vec![
            Port::redirect(80, 443),
            Port {
                action: Action::Forward { container_port: 8080, rules: vec![rule] },
                certificate_arn: Some("arn:aws:acm:us-east-1:123456789012:certificate/1".to_owned()),
                ..Port::forward(443, 8080, Protocol::Https)
            },
        ],
        created: CREATED,
        ..crate::sample::load_balancer(word, word, environment_id(environment))
    }
}

/// A service whose id and name are `word`.
#[must_use]
pub fn service(word: &str, environment: &str, load_balancer: Option<&str>) -> Service {
    Service {
        id: ServiceId::parse(word).expect(LEGAL),
        name: name(word),
        environment: environment_id(environment),
        load_balancer: load_balancer.map(|id| LoadBalancerId::parse(id).expect(LEGAL)),
        stateful: false,
        desired_count: 1,
        deployments: vec![Deployment {
            id: DeploymentId::parse(&format!("{word}-d1")).expect(LEGAL),
            deploy: DeployId::parse("web.1").expect(LEGAL),
            deploy_name: name("web"),
            deploy_version: 1,
            images: vec![pinned_image()],
            definition: document(word).definition().clone(),
            state: DeploymentState::InProgress,
            was_healthy: false,
            cause: None,
            created: CREATED,
            updated: CREATED,
        }],
        created: CREATED,
        generation: Generation(1),
        deleting: false,
    }
}

fn pinned_image() -> PinnedImage {
    PinnedImage {
        container: "app".to_owned(),
        written: ImageRef::parse("registry.example.com/team/app:1").expect(LEGAL),
        pinned: ImageRef::parse("localhost:9090/team/app:1").expect(LEGAL),
        warning: Some("a \"quoted\" warning\nof two lines".to_owned()),
    }
}

/// A task whose id and name are `word`.
#[must_use]
pub fn task(word: &str, environment: &str) -> Task {
    Task {
        id: TaskId::parse(word).expect(LEGAL),
        name: name(word),
        environment: environment_id(environment),
        deploy: DeployId::parse("web.1").expect(LEGAL),
        deploy_name: name("web"),
        deploy_version: 1,
        images: vec![pinned_image()],
        definition: document(word).definition().clone(),
        copies: 2,
        stateful: false,
        spot: false,
        wanted: TaskWanted::Run,
        outcome: None,
        created: CREATED,
        generation: Generation(1),
        deleting: false,
    }
}

/// An operation's id.
#[must_use]
pub fn operation_id(word: &str) -> OperationId {
    OperationId::parse(word).expect(LEGAL)
}

/// A running operation.
#[must_use]
pub fn operation(word: &str, verb: Verb, entity: &Entity) -> Operation {
    operation_on(word, verb, entity.reference(), entity.name().as_str())
}

/// A running operation on an entity that need not be there.
#[must_use]
pub fn operation_on(word: &str, verb: Verb, entity: EntityRef, entity_name: &str) -> Operation {
    Operation {
        id: operation_id(word),
        verb,
        entity,
        entity_name: entity_name.to_owned(),
        environment: None,
        place: None,
        deployment: None,
        state: OperationState::Running,
        cause: None,
        created: CREATED,
        ended: None,
    }
}

/// A document with one container, with values that are easily lost on the way.
#[must_use]
pub fn document(word: &str) -> Document {
    let document = format!(
        r#"{{"family": "{word}", "anUnknownKey": [1, 2.5, null], "containerDefinitions": [{{
            "name": "app", "image": "registry.example.com/team/app:1", "memory": 64, "essential": true,
            "environment": [{{"name": "KEY", "value": "a=b:c 'd' \"e\" \n ü \u0001"}}]
        }}]}}"#
    );
    Document::parse(document.as_bytes()).expect(LEGAL)
}

/// A new deploy with one container.
#[must_use]
pub fn new_deploy(word: &str) -> NewDeploy {
    NewDeploy {
        name: name(word),
        owner: None,
        document: document(word),
        images: vec![DeployImage {
            container: "app".to_owned(),
            written: ImageRef::parse("registry.example.com/team/app:1").expect(LEGAL),
            rule: None,
            backing: ImageRef::parse("localhost:9090/team/app:1").expect(LEGAL),
        }],
        created: CREATED,
    }
}
