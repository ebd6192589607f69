//! moto, for what the other emulator does not have or does not check: the policies of repositories, the networks of EC2, classic
//! load balancers, and the pages of `FilterLogEvents`.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::SdkConfig;
use aws_sdk_cloudformation::types::Tag;
use aws_sdk_cloudwatchlogs::types::InputLogEvent;
use aws_sdk_ecs::types::{ContainerDefinition, LoadBalancer as EcsLoadBalancer};
use futures_util::StreamExt;
use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::id::{DeploymentId, EnvironmentId, LoadBalancerId, ServiceId};
use layer0_domain::model::image::ImageRef;
use layer0_domain::model::load_balancer::{HealthCheck, LoadBalancer, LoadBalancerKind, Port, Protocol, Visibility};
use layer0_domain::model::name::Name;
use layer0_domain::model::task_definition::Document;
use layer0_domain::model::time::{Generation, Timestamp};
use layer0_domain::port::engine::{CopyState, Engine, LogQuery, Revision, Scope, ServiceMode, ServiceSpec, Want};
use layer0_domain::port::pull::aws::EcrImage;
use layer0_domain::port::pull::{AnsweredBy, Fact, Launch, PullQuestion};

use layer0_engine::ecs::EcsEngine;
use layer0_testkit::until::until;
use serde_json::json;

use crate::stage::{self, all, form};

const ACCOUNT: &str = "123456789012";

/// The network that moto has from its start.
struct Network {
    vpc: String,
    subnets: Vec<String>,
}

async fn network(endpoint: &str) -> Network {
    // Only the default VPC's: another test may have made a VPC.
    let of_default = "Filter.1.Name=default-for-az&Filter.1.Value.1=true";
    let answer = form(endpoint, "ec2", &format!("Action=DescribeSubnets&Version=2016-11-15&{of_default}")).await;
    let vpc = all(&answer, "vpcId").into_iter().next().expect("a default VPC");
    Network { vpc, subnets: all(&answer, "subnetId") }
}

/// A world with an environment `dev-1` in it that this engine was not told of.
struct World {
    engine: EcsEngine,
    instance: String,
    endpoint: String,
    sdk: SdkConfig,
}

impl World {
    /// moto refuses a security group's rule without ports, which AWS takes for all protocols, so the environment's stack is made
    /// here: as simple as it can be, with the labels and outputs of ours.
    async fn new() -> Self {
        let endpoint = stage::emulator("LAYER0_TEST_MOTO");
        let found = network(&endpoint).await;
        let sdk = stage::sdk(&endpoint, "test", "test").await;
        let (engine, instance) = stage::engine(&sdk, |config| {
            config.vpc.clone_from(&found.vpc);
            config.private_subnets = found.subnets[..2].to_vec();
            config.public_subnets = found.subnets[..2].to_vec();
            // Time alone makes no copy healthy.
            config.settle = Duration::from_secs(3600);
        });
        let it = Self { engine, instance, endpoint, sdk };
        let group = |name: &str| {
            let properties = json!({ "GroupDescription": name, "VpcId": found.vpc });
            (format!("{name}{}", it.instance), json!({ "Type": "AWS::EC2::SecurityGroup", "Properties": properties }))
        };
        let (members, member_group) = group("Members");
        let (own, own_group) = group("SecurityGroup");
        let id = |of: &str| json!({ "Value": { "Fn::GetAtt": [of, "GroupId"] } });
        let template = json!({
            "Resources": {
                members.as_str(): member_group,
                own.as_str(): own_group,
                "Logs": { "Type": "AWS::Logs::LogGroup", "Properties": { "LogGroupName": it.environment() } },
            },
            "Outputs": { "Members": id(&members), "SecurityGroup": id(&own) },
        });
        let mut stack = aws_sdk_cloudformation::Client::new(&it.sdk).create_stack().stack_name(it.environment());
        let instance = format!("{}-0123456789", it.instance);
        let labels =
            [("layer0.instance", instance.as_str()), ("layer0.kind", "environment"), ("layer0.entity", "dev-1")];
        for (key, value) in labels {
            stack = stack.tags(Tag::builder().key(key).value(value).build());
        }
        stack.template_body(template.to_string()).send().await.expect("a stack");
        it
    }

    /// Cluster, stack and log group.
    fn environment(&self) -> String {
        format!("l0-{}-dev-1", self.instance)
    }

    /// Takes the environment away, as a stray.
    async fn end(self) {
        stage::gone(&self.engine, &EntityRef::Environment(EnvironmentId::parse("dev-1").expect("an id"))).await;
    }
}

fn classic() -> Want {
    let port = |host_port, protocol| Port::forward(host_port, 8080, protocol);
    let load_balancer = LoadBalancer {
        name: Name::parse("lb").expect("a legal name"),
        id: LoadBalancerId::parse("lb-1").expect("an id"),
        environment: EnvironmentId::parse("dev-1").expect("an id"),
        kind: LoadBalancerKind::Classic,
        visibility: Visibility::Public,
        ports: vec![port(80, Protocol::Http), port(5432, Protocol::Tcp)],
        health_check: HealthCheck {
            target: "HTTP:8080/health".to_owned(),
            path: "/".to_owned(),
            interval_s: 17,
            timeout_s: 4,
            healthy_threshold: 3,
            unhealthy_threshold: 6,
        },
        idle_timeout_s: 90,
        cross_zone: true,
        created: Timestamp(0),
        generation: Generation(1),
        deleting: false,
    };
    Want::LoadBalancer { load_balancer, reachable_from: vec![] }
}

/// A classic load balancer stands as it was asked for, by the account of its own API, and goes again.
#[tokio::test(flavor = "multi_thread")]
async fn a_classic_load_balancer_comes_and_goes() {
    let world = World::new().await;
    let World { engine, instance, endpoint, .. } = &world;
    let want = classic();
    stage::made(engine, &want).await;
    let describe =
        format!("Action=DescribeLoadBalancers&Version=2012-06-01&LoadBalancerNames.member.1=l0-{instance}-lb-1");
    let seen = form(endpoint, "elasticloadbalancing", &describe).await;
    assert_eq!(all(&seen, "LoadBalancerPort"), ["80", "5432"], "{seen}");
    assert_eq!(all(&seen, "InstancePort"), ["8080", "8080"], "{seen}");
    for (element, value) in [
        ("Target", "HTTP:8080/health"),
        ("Interval", "17"),
        ("Timeout", "4"),
        ("HealthyThreshold", "3"),
        ("UnhealthyThreshold", "6"),
        ("Scheme", "internet-facing"),
    ] {
        assert_eq!(all(&seen, element), [value], "{element}: {seen}");
    }
    stage::gone(engine, &want.entity()).await;
    let seen = form(endpoint, "elasticloadbalancing", "Action=DescribeLoadBalancers&Version=2012-06-01").await;
    assert!(!all(&seen, "LoadBalancerName").contains(&format!("l0-{instance}-lb-1")), "{seen}");
    world.end().await;
}

/// A service of one copy as it is wanted behind the classic load balancer.
fn service_behind() -> ServiceSpec {
    let document = json!({ "containerDefinitions": [{
        "name": "web", "image": "web:1", "memory": 64, "portMappings": [{ "containerPort": 8080, "hostPort": 8080 }],
    }] });
    ServiceSpec {
        id: ServiceId::parse("web-1").expect("an id"),
        name: Name::parse("web").expect("a legal name"),
        environment: EnvironmentId::parse("dev-1").expect("an id"),
        desired_count: 1,
        revision: Revision {
            deployment: DeploymentId::parse("app-1").expect("an id"),
            label: "app:1".to_owned(),
            definition: Document::from_canonical(document).expect("a legal document").definition_with_document(),
        },
        mode: ServiceMode::Run,
        load_balancer: LoadBalancerId::parse("lb-1").ok(),
        launch: Launch::Ec2,
        generation: Generation(1),
    }
}

/// Of a copy that runs on a machine the machine is found, and what the classic load balancer finds of it. moto starts no tasks
/// for services, so the service and its task are made here.
#[tokio::test(flavor = "multi_thread")]
async fn a_classic_load_balancer_says_when_a_copy_is_healthy() {
    let world = World::new().await;
    let World { engine, instance, endpoint, sdk } = &world;
    stage::made(engine, &classic()).await;
    let balancer = format!("l0-{instance}-lb-1");

    let ec2 = async |asked: &str| form(endpoint, "ec2", &format!("{asked}&Version=2016-11-15")).await;
    let images = ec2("Action=DescribeImages&Owner.1=amazon").await;
    let image = all(&images, "imageId").into_iter().next().expect("moto knows some");
    let made = ec2(&format!("Action=RunInstances&ImageId={image}&MinCount=1&MaxCount=1&InstanceType=t3.micro")).await;
    let machine = all(&made, "instanceId").remove(0);
    // Else a task of moto goes a step towards its end each time that it is described.
    let stays = json!({ "model_name": "ecs::task", "transition": { "progression": "time", "seconds": 86_400 } });
    let headers = "Content-Type: application/json\r\n";
    stage::post(endpoint, "/moto-api/state-manager/set-transition", headers, &stays.to_string()).await;
    let (cluster, service) = (world.environment(), format!("l0-{instance}-web-1"));
    let family = format!("{service}_app-1");
    let ecs = aws_sdk_ecs::Client::new(sdk);
    ecs.create_cluster().cluster_name(&cluster).send().await.expect("a cluster");
    let document = json!({ "instanceId": machine }).to_string();
    let registered = ecs.register_container_instance().cluster(&cluster).instance_identity_document(document).send();
    let registered = registered.await.expect("a container instance").container_instance.expect("it was made");
    let container = ContainerDefinition::builder().name("web").image("web:1").memory(64).build();
    let definition = ecs.register_task_definition().family(&family).container_definitions(container);
    definition.send().await.expect("a task definition");
    let behind =
        EcsLoadBalancer::builder().load_balancer_name(&balancer).container_name("web").container_port(8080).build();
    let create = ecs.create_service().cluster(&cluster).service_name(&service).task_definition(&family);
    create.desired_count(1).load_balancers(behind).send().await.expect("a service");
    let start = ecs.start_task().cluster(&cluster).task_definition(&family);
    let start = start.set_container_instances(registered.container_instance_arn.map(|arn| vec![arn])).send();
    start.await.expect("a task");

    let want = Want::Service(service_behind());
    engine.ensure(want.clone()).await.expect("it is taken");
    let copy = async |wanted: CopyState| {
        until(format!("a copy to be {wanted:?}"), || async {
            let seen = engine.observe(Scope::One(want.entity())).await.map_err(|error| error.to_string())?;
            let states: Vec<CopyState> =
                seen.services.iter().flat_map(|it| &it.copies).map(|copy| copy.state).collect();
            if states == [wanted] { Ok(()) } else { Err(format!("{seen:#?}")) }
        })
        .await;
    };
    copy(CopyState::Starting).await;
    let of = format!("Version=2012-06-01&LoadBalancerName={balancer}&Instances.member.1.InstanceId={machine}");
    form(endpoint, "elasticloadbalancing", &format!("Action=RegisterInstancesWithLoadBalancer&{of}")).await;
    copy(CopyState::Healthy).await;

    ecs.delete_service().cluster(&cluster).service(&service).force(true).send().await.expect("it goes again");
    stage::gone(engine, &classic().entity()).await;
    ec2(&format!("Action=TerminateInstances&InstanceId.1={machine}")).await;
    let no_more = json!({ "model_name": "ecs::task" }).to_string();
    stage::post(endpoint, "/moto-api/state-manager/unset-transition", headers, &no_more).await;
    ecs.delete_cluster().cluster(&cluster).send().await.expect("it goes again");
    world.end().await;
}

/// What the pull check looks at: the image and the policy of its repository, which moto refuses where AWS would, subnets, routes,
/// endpoints and security groups.
#[tokio::test(flavor = "multi_thread")]
async fn the_pull_check_reads_repositories_and_networks() {
    let world = World::new().await;
    let World { engine, instance, endpoint, sdk } = &world;
    let repository = format!("{instance}/app");
    let ecr = aws_sdk_ecr::Client::new(sdk);
    ecr.create_repository().repository_name(&repository).send().await.expect("a repository");
    let policy = |text: &str| ecr.set_repository_policy().repository_name(&repository).policy_text(text).send();
    policy("not json").await.expect_err("it is checked");
    let allow = format!(
        r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", "Principal": {{"AWS": "arn:aws:iam::{ACCOUNT}:root"}}, "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]}}]}}"#
    );
    policy(&allow).await.expect("a legal policy");
    let manifest = format!(
        r#"{{"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "config": {{"mediaType": "application/vnd.docker.container.image.v1+json", "size": 2, "digest": "sha256:{}"}}, "layers": []}}"#,
        "0".repeat(64)
    );
    ecr.put_image()
        .repository_name(&repository)
        .image_tag("1")
        .image_manifest(manifest)
        .send()
        .await
        .expect("an image");
    let found = network(endpoint).await;
    let service = format!("com.amazonaws.{}.ecr.api", stage::REGION);
    let made = form(
        endpoint,
        "ec2",
        &format!(
            "Action=CreateVpcEndpoint&Version=2016-11-15&VpcId={}&ServiceName={service}&VpcEndpointType=Interface&SubnetId.1={}",
            found.vpc, found.subnets[0]
        ),
    )
    .await;
    let made = all(&made, "vpcEndpointId").remove(0);

    let ask = async |tag: &str| {
        let image = format!("{ACCOUNT}.dkr.ecr.{}.amazonaws.com/{repository}:{tag}", stage::REGION);
        let image = ImageRef::parse(&image).expect("a reference");
        let mut question = PullQuestion::about(image, AnsweredBy::Registry);
        question.environment = EnvironmentId::parse("dev-1").ok();
        engine.pull_evidence(&question).await.expect("it answers").aws.expect("of AWS")
    };
    let evidence = ask("1").await;
    assert_eq!(evidence.puller.account, Fact::Known(ACCOUNT.to_owned()));
    let ecr = evidence.ecr.expect("an image of ECR");
    assert!(matches!(ecr.image, Fact::Known(EcrImage::Found { .. })), "{:?}", ecr.image);
    let read = ecr.repository_policy.known().cloned().flatten().expect("it has a policy");
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    assert_eq!(json(&read), json(&allow));
    let network = evidence.network.known().expect("an environment was named");
    assert_eq!(network.vpc, found.vpc);
    for subnet in &network.subnets {
        assert!(subnet.cidr.known().is_some_and(|cidr| cidr.starts_with("172.31.")), "{subnet:?}");
        assert!(subnet.route_table.known().is_some_and(|table| table.starts_with("rtb-")), "{subnet:?}");
    }
    let groups = network.security_groups.known().expect("the stack names them");
    assert_eq!(groups.len(), 2, "{groups:?}");
    assert!(groups.iter().all(|group| !group.egress.is_empty()), "{groups:?}");
    let endpoints = network.endpoints.known().expect("they can be listed");
    assert!(endpoints.iter().any(|it| it.id == made && it.service == service), "{endpoints:?}");

    let ecr = ask("none").await.ecr.expect("an image of ECR");
    assert!(matches!(ecr.image, Fact::Known(EcrImage::NoImage { .. })), "{:?}", ecr.image);
    let delete = format!("Action=DeleteVpcEndpoints&Version=2016-11-15&VpcEndpointId.1={made}");
    form(endpoint, "ec2", &delete).await;
    world.end().await;
}

/// A log that is longer than a page is read to its end, in order, without anybody else's lines.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_several_pages_is_read_whole() {
    const LINES: usize = 25_000;
    const BATCH: usize = 5_000;
    let world = World::new().await;
    let World { engine, sdk, .. } = &world;
    let group = world.environment();
    let logs = aws_sdk_cloudwatchlogs::Client::new(sdk);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_millis();
    let start = i64::try_from(since).expect("it is before 292 million years") - 3_600_000;
    // Two copies of ours, and somebody whose name begins alike.
    let streams = ["l0/web-1/main/a", "l0/web-1/main/b", "l0/web-12/main/c"];
    for stream in streams {
        logs.create_log_stream().log_group_name(&group).log_stream_name(stream).send().await.expect("a stream");
    }
    for first in (0..LINES).step_by(BATCH) {
        for (at, stream) in streams.iter().enumerate() {
            let event = |number: usize| {
                let when = start + i64::try_from(number).expect("it is small");
                let line = format!("{} {number}", &stream[stream.len() - 1..]);
                InputLogEvent::builder().timestamp(when).message(line).build().expect("it is whole")
            };
            let ours = (first..first + BATCH).filter(|number| at == 2 || number % 2 == at).map(event).collect();
            let put = logs.put_log_events().log_group_name(&group).log_stream_name(*stream);
            put.set_log_events(Some(ours)).send().await.expect("they are taken");
        }
    }
    let web = EntityRef::Service(ServiceId::parse("web-1").expect("an id"));
    let read = async |query: LogQuery| {
        let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut stream = engine.logs(&web, query).await.expect("it has a log");
        while let Some(line) = stream.next().await {
            let line = line.expect("a line");
            lines.entry(line.container).or_default().push(line.line);
        }
        lines
    };
    // AWS mixes the streams by time, moto does not without being asked to; the port promises the order within a container.
    let expected = |numbers: std::ops::Range<usize>| {
        let of = |at: usize| {
            let line = |number: usize| (number % 2 == at).then(|| format!("{} {number}", ["a", "b"][at]));
            numbers.clone().filter_map(line).collect::<Vec<_>>()
        };
        BTreeMap::from([("main/a".to_owned(), of(0)), ("main/b".to_owned(), of(1))])
    };
    assert!(read(LogQuery::default()).await == expected(0..LINES), "all of it");
    let span = (Some(Timestamp(start + 5_000)), Some(Timestamp(start + 19_999)));
    let span = LogQuery { start: span.0, end: span.1, ..LogQuery::default() };
    assert!(read(span).await == expected(5_000..20_000), "a span of more than a page");
    let newest = LogQuery { tail: Some(6_000), ..LogQuery::default() };
    assert!(read(newest).await == expected(LINES - 12_000..LINES), "the newest lines of each copy");
    world.end().await;
}
