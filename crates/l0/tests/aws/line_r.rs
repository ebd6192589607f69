//! Every command of the program on ECS in the order of a user, in text and in JSON, with the truth behind it: containers by
//! `docker ps`, the rest by the emulator's own API. What the emulator can't do ends here as it ends there, and is run on the
//! fake AWS in [`machines`](crate::machines).

use serde_json::json;

use crate::cloud::Cloud;
use crate::common::until::until;
use crate::emulator::{ecs, load_balancer, query_call, stacks};
use crate::script::{Form, Step, run, walk};

/// Any certificate does for the emulator.
macro_rules! certificate {
    ($line:literal) => {
        concat!($line, " --certificate arn:aws:acm:us-east-1:123456789012:certificate/c0ffee")
    };
}

/// The lines.
pub(crate) const SCRIPT: &[Step<Cloud>] = &[
    // The instance and who one is to it.
    run("admin debug")
        .says(&[
            "DEBUG REPORT",
            "VPC ID:           vpc-",
            "Public Subnets:   subnet-",
            "Kind:             aws",
            "Engine:           ecs",
        ])
        .holds(&[("/kind", r#""aws""#), ("/engine", r#""ecs""#)]),
    run("admin version").says(&[env!("CARGO_PKG_VERSION")]),
    run("version").says(&[env!("CARGO_PKG_VERSION")]),
    run("whoami").says(&["admin"]).holds(&[("/0/who", r#""admin""#)]),
    run("user whoami").says(&["admin"]),
    // `login`, `logout` and `registry` are about this machine and not about AWS: `ELSEWHERE` in `every_command.rs`.
    run("endpoint --data-dir data").says(&["LAYER0_API_ENDPOINT"]),
    run("completion bash").says(&["l0"]),
    run("owner create team --quota 1GiB").says(&["team"]),
    run("owner list").says(&["team"]),
    run("owner get team").says(&["team"]),
    run("owner update team --quota 2GiB"),
    run("user create rita").says(&["rita"]),
    run("user list").says(&["rita"]),
    run("user get rita").says(&["rita"]),
    run("user update rita --admin=false"),
    run("member add team rita --role writer"),
    run("member list team").says(&["rita"]),
    run("member remove team rita"),
    run("user delete rita"),
    run("trust create team ci --github octo/app --scope 'pull:team/*'").says(&["repository=octo/app"]),
    run("trust list team").says(&["token.actions.githubusercontent.com"]),
    run("trust delete team ci"),
    run("token create laptop --expires-days 7").says(&["laptop"]),
    run("token list").says(&["laptop"]),
    run("token rotate {token:laptop}"),
    run("token revoke {token:laptop}"),
    // The embedded registry, and names.
    run("repository create team/other").says(&["team/other"]),
    run("repository list team").says(&["team/other"]),
    run("repository get team/other").says(&["team/other"]),
    run("repository update team/other --private"),
    run("repository immutable add team/other --tags 'v*'"),
    run("repository immutable list team").says(&["v*"]),
    run("repository immutable remove team/other --tags 'v*'"),
    run("repository retention add team/other --tags 'dev-*' --keep-last 3 --keep 30d --untagged 7d"),
    run("repository retention list team").says(&["dev-*", "30d"]),
    run("repository retention remove team/other --tags 'dev-*'"),
    run("image list team/other"),
    run("image list team/other --untagged"),
    run("image get team/other:v1").exits(3),
    run("image delete team/other:v1").exits(3),
    run("repository import l0/team/other team/other --registry main --dry-run").exits(4),
    // Moves themselves are in `moving.rs`.
    run("repository migrate team/other --to nowhere --delete-source").exits(4),
    run("repository migration list"),
    run("repository migration get team/other").exits(3),
    run("repository migration cancel team/other").exits(3),
    run("repository migration delete-source team/other").exits(3),
    run("repository delete team/other"),
    run("map list").says(&["registry.example.com"]),
    run("map add 'hub.example.com/team|registry.test/team'"),
    run("map remove hub.example.com/team"),
    run("image resolve hub.example.com/team/app:v1").says(&["hub.example.com/team/app:v1"]),
    // Environments.
    run("environment create dev")
        .says(&["ENVIRONMENT ID", "dev", "ready"])
        .holds(&[("/0/environment_name", r#""dev""#), ("/0/operating_system", r#""linux""#), ("/0/links", "[]")])
        .then(|cloud| {
            assert_eq!(clusters_of(cloud), ["ACTIVE"]);
            assert_eq!(stacks_of(cloud).len(), 1);
        }),
    run("environment create shared --os linux --type m5.large --scale 0 --owner team").says(&["shared"]),
    run("environment create dev").exits(4).says(&["dev"]),
    run("environment list").says(&["dev", "shared"]).holds(&[("/2", "null")]),
    run("environment get 's*'").says(&["shared"]).holds(&[("/0/environment_name", r#""shared""#)]),
    run("environment get nothing").holds(&[("", "[]")]),
    run("environment link dev shared --bi-directional=false").then(|cloud| assert_eq!(doors(cloud), 1)),
    run("environment link dev shared").then(|cloud| assert_eq!(doors(cloud), 2)),
    run("environment get dev").holds(&[("/0/links/1", "null")]),
    run("environment unlink dev shared").then(|cloud| assert_eq!(doors(cloud), 0)),
    run("environment unlink dev shared --bi-directional=false"),
    run("environment link dev dev").exits(2).says(&["to itself"]),
    run("environment scale dev 0").says(&["dev"]),
    run("environment logs dev --tail 5 --start '2020-01-01 00:00' --end '2100-01-01 00:00'")
        .says(&["environment `dev`"]),
    run("environment logs dev --follow --timeout 1s").exits(6),
    // Machines: this emulator has no capacity providers.
    run("environment create big --scale 1 --type m5.large --ami ami-0c0ffee --user-data start.sh")
        .exits(5)
        .says(&["AWS::ECS::CapacityProvider"]),
    run("environment delete big"),
    // Deploys.
    run("deploy create app-1.json app")
        .says(&["DEPLOY ID", "app.1", "256 CPU units with 512 MiB", "registry.example.com/", " -> "])
        .holds(&[("/0/deploy_id", r#""app.1""#), ("/0/version", r#""1""#)]),
    run("deploy create app-2.json app").says(&["app.2"]),
    run("deploy create job.json job").says(&["job.1"]),
    run("deploy create long.json long").says(&["long.1"]),
    run("deploy create job.json spare --owner team").says(&["spare.1"]),
    run("deploy list").says(&["app.2", "job.1"]).holds(&[("/4", "null")]),
    run("deploy list --all")
        .says(&["app.1", "app.2"])
        .holds(&[("/0/deploy_name", r#""app""#), ("/1/deploy_name", r#""app""#)]),
    run("deploy get app:latest").says(&["app.2"]).holds(&[("/0/version", r#""2""#)]),
    run("deploy get 'ap*'").says(&["app.1", "app.2"]),
    run("deploy delete spare"),
    // Load balancers.
    run(certificate!(
        "loadbalancer create dev web --port 80:8080/http --port 443:8080/https --healthcheck-target TCP:8080 \
         --healthcheck-path /ready --healthcheck-interval 20 --healthcheck-timeout 4 --healthcheck-healthy-threshold 3 \
         --healthcheck-unhealthy-threshold 4 --idle-timeout 70 --type application"
    ))
    .says(&["80:8080/HTTP", "443:8080/HTTPS", "application", "listening at"])
    .holds(&[("/0/ports/1/protocol", r#""HTTPS""#), ("/0/idle_timeout", "70"), ("/0/is_public", "true")])
    .then(|cloud| {
        let (balancer, listeners) = balancer(cloud, "web");
        assert!(balancer.contains("<Scheme>internet-facing</Scheme>"), "{balancer}");
        assert_eq!(ports(&listeners), ["443", "80"], "{listeners}");
        assert_eq!(idle_timeout(&balancer), "70");
        assert!(target_group(&balancer).contains("<HealthCheckIntervalSeconds>20<"), "{balancer}");
    }),
    run("loadbalancer create dev inner --port 81:8080/http --private --disable-cross-zone")
        .says(&["81:8080/HTTP", "false"])
        .holds(&[("/0/is_public", "false"), ("/0/cross_zone", "false")])
        .then(|cloud| assert!(balancer(cloud, "inner").0.contains("<Scheme>internal</Scheme>"))),
    run("loadbalancer addport web 8081:8080/http")
        .says(&["8081:8080/HTTP"])
        .then(|cloud| assert_eq!(ports(&balancer(cloud, "web").1), ["443", "80", "8081"])),
    run("loadbalancer addport web 8081:8080/http --replace")
        .says(&["8081:8080/HTTP"])
        .then(|cloud| assert_eq!(ports(&balancer(cloud, "web").1), ["443", "80", "8081"])),
    run(certificate!("loadbalancer addport web 8443:8080/https")).says(&["8443:8080/HTTPS"]),
    run("loadbalancer addport web 80:8080").exits(2).says(&["Port format is: HOST_PORT:CONTAINER_PORT/PROTOCOL"]),
    run("loadbalancer dropport dev:web 8081"),
    run("loadbalancer dropport web 8443").then(|cloud| assert_eq!(ports(&balancer(cloud, "web").1), ["443", "80"])),
    run("loadbalancer dropport web 8443").exits(3).says(&["Host port '8443' doesn't exist on this Load Balancer"]),
    run("loadbalancer healthcheck web")
        .says(&["TCP:8080", "UNHEALTHY THRESHOLD"])
        .holds(&[("/health_check/interval", "20")]),
    run("loadbalancer healthcheck web --healthcheck-target HTTP:8080/health --healthcheck-path /health \
         --healthcheck-interval 10 --healthcheck-timeout 2 --healthy-threshold 2 --unhealthy-threshold 5")
    .says(&["HTTP:8080/health"])
    .holds(&[("/health_check/unhealthy_threshold", "5")])
    .then(|cloud| {
        let group = target_group(&balancer(cloud, "web").0);
        assert!(
            group.contains("<HealthCheckPath>/health<") && group.contains("<UnhealthyThresholdCount>5<"),
            "{group}"
        );
    }),
    run("loadbalancer idletimeout web 90")
        .says(&["IDLE TIMEOUT", "90"])
        .holds(&[("/idle_timeout", "90")])
        .then(|cloud| assert_eq!(idle_timeout(&balancer(cloud, "web").0), "90")),
    run("loadbalancer cross-zone inner --enable").says(&["true"]),
    run("loadbalancer cross-zone inner --disable").says(&["false"]),
    run("loadbalancer cross-zone inner").says(&["false"]).holds(&[("/cross_zone", "false")]),
    run("loadbalancer list").says(&["web", "inner"]).holds(&[("/1/load_balancer_type", r#""application""#)]),
    run("loadbalancer get 'dev:w*'").says(&["443:8080/HTTPS"]).holds(&[("/0/load_balancer_name", r#""web""#)]),
    run(certificate!(
        "loadbalancer create dev ruled --port 8444:8080/https --redirect 8090:8444 --rule '8444:path=/api/*:8081'"
    ))
    .says(&["8444:8080/HTTPS", "8444:path=/api/*:8081", "8090:8444/REDIRECT"])
    .holds(&[("/0/ports/1/rules/0/container_port", "8081"), ("/0/ports/0/redirect_port", "8444")])
    // The second is where the redirect leads.
    .then(|cloud| assert_eq!(ports(&balancer(cloud, "ruled").1), ["8090", "8444", "8444"])),
    run("loadbalancer addrule ruled '8444:host=admin.example.com:8082' --place 1")
        .says(&["8444:host=admin.example.com:8082"])
        .holds(&[("/0/ports/1/rules/0/container_port", "8082")]),
    run("loadbalancer droprule ruled '8444:path=/api/*:8081'").holds(&[("/0/ports/1/rules/1", "null")]),
    run("loadbalancer delete ruled").then(|cloud| assert_eq!(stacks_of(cloud).len(), 4)),
    // The emulator has no classic load balancers.
    run("loadbalancer create dev old --type classic --port 80:8080/http")
        .exits(5)
        .says(&["AWS::ElasticLoadBalancing::LoadBalancer"]),
    run("loadbalancer delete old"),
    // Services.
    run("service create dev app app:1 --loadbalancer web --scale 2")
        .says(&["2 copies run and are healthy", "2/2", "app:1"])
        .holds(&[("/0/running_count", "2"), ("/0/load_balancer_name", r#""web""#), ("/0/stateful", "false")])
        .then(|cloud| {
            assert_eq!(cloud.containers().len(), 2);
            assert_eq!(services_of(cloud), [2]);
            serves(cloud, "v1");
        }),
    run("service create dev plain app:latest --skip-pull-check")
        .says(&["1/1", "was not checked"])
        .then(|cloud| assert_eq!(cloud.containers().len(), 3)),
    // What the service waits for goes on; nobody waits with it.
    run("service create dev heavy app:latest --stateful --no-wait --skip-pull-check")
        .says(&["heavy"])
        .holds(&[("/0/stateful", "true")]),
    run("service delete heavy"),
    run("service list").says(&["app", "plain"]).holds(&[("/1/service_name", r#""plain""#)]),
    run("service get dev:app").says(&["app:1 healthy"]).holds(&[("/0/deployments/0/state", r#""healthy""#)]),
    run("service logs app --tail 1").says(&["serving 8080"]).holds(&[("/0/lines", r#"["serving 8080"]"#)]),
    run("service logs app --start '2020-01-01 00:00'").says(&["hello from v1"]),
    run("service logs app --end '2020-01-01 00:00'"),
    run("service logs plain --follow --timeout 4s").exits(6).says(&["Timeout after 4s"]),
    run("service scale app 1").says(&["1/1"]).holds(&[("/0/desired_count", "1")]).then(|cloud| {
        until("one copy to be left", || match cloud.containers().len() {
            2 => Ok(()),
            count => Err(format!("{count} containers")),
        });
    }),
    run("service scale app several").exits(2),
    run("service update app app:latest --skip-pull-check")
        .says(&["1 copy runs and is healthy", "app:2"])
        .holds(&[("/0/deployments/0/deploy_version", r#""2""#)])
        .then(|cloud| serves(cloud, "v2")),
    run("service rollback app --skip-pull-check")
        .says(&["went back to app:1"])
        .holds(&[("/0/deployments/0/deploy_version", r#""1""#)])
        .then(|cloud| serves(cloud, "v1")),
    run("service rollback app").says(&["went back to app:2"]).then(|cloud| serves(cloud, "v2")),
    run("service abort app").exits(4).says(&["no roll-out of service `app` is under way"]),
    // Tasks.
    run("task create dev job job:latest --env job:WHO=you=and:me")
        .says(&["TASK ID", "STOPPED"])
        .holds(&[("/0/status", r#""STOPPED""#), ("/0/containers/0/exit_code", "0")]),
    run("task create dev twice job:1 --copies 2 --skip-pull-check").says(&["STOPPED"]).holds(&[("/0/copies", "2")]),
    run("task create dev cheap job:1 --spot --skip-pull-check").says(&["STOPPED"]),
    run("task delete cheap"),
    run("task create dev heavy job:1 --stateful --no-wait --skip-pull-check")
        .says(&["heavy"])
        .holds(&[("/0/stateful", "true")]),
    run("task delete heavy"),
    run("task create dev long long:1 --no-wait").says(&["l0 operation follow"]).then(|cloud| {
        until("the task to run", || match cloud.one(&["task", "get", "long"])["status"].as_str() {
            Some("RUNNING") => Ok(()),
            other => Err(format!("{other:?}")),
        });
        assert_eq!(cloud.containers().len(), 3);
    }),
    run("task stop long").says(&["STOPPED"]).then(|cloud| assert_eq!(cloud.containers().len(), 2)),
    run("task list").says(&["job", "twice", "long"]).holds(&[("/3", "null")]),
    run("task get dev:job").says(&["STOPPED", "exit code 0"]).holds(&[("/0/deploy_name", r#""job""#)]),
    run("task logs job").says(&["working", "WHO=you=and:me"]).holds(&[("/0/lines/0", r#""working""#)]),
    run("task logs job --tail 1 --start '2020-01-01 00:00' --end '2100-01-01 00:00'").says(&["WHO=you=and:me"]),
    run("task logs job --follow").says(&["working"]),
    run("task delete job"),
    run("task logs job").exits(3).says(&["yielded no matches"]),
    // What happened.
    run("admin logs --tail 1000 --start '2020-01-01 00:00' --end '2100-01-01 00:00'").says(&["load balancer `web`"]),
    run("admin audit --tail 5 --who admin --start '2020-01-01 00:00' --end '2100-01-01 00:00'").says(&["task_delete"]),
    run("admin audit --follow --timeout 1s").exits(6),
    run("admin logs --follow --timeout 1s").exits(6),
    run("admin sweep").says(&["No strays."]).holds(&[("/strays", "[]")]),
    run("admin sweep --yes").says(&["0 strays taken away, 0 left."]),
    run("admin gc --dry-run").says(&["Nothing to collect"]).holds(&[("/repositories", "[]")]),
    run("admin gc --now --trust-clock").holds(&[("/blobs", "0")]),
    run("admin verify --rate 100").says(&["Read 0 blobs"]),
    // The state is in a table: AWS makes its backups.
    run("admin backup backups --rate 100 --keep 3").exits(4).says(&["point-in-time recovery"]),
    run("admin backups backups --check").exits(3).says(&["there is no backup in backups"]),
    run("admin restore backups --data-dir restored --snapshot none --without-damaged")
        .exits(3)
        .says(&["no snapshot `none`"]),
    run("operation list").says(&["succeeded"]),
    run("operation get {operation}").says(&["succeeded"]),
    run("operation follow {operation}"),
    run("job list").says(&["succeeded"]),
    run("job get {operation}"),
    run("job logs {operation}"),
    run("job delete {operation}"),
    run("image check registry.example.com/team/app:v1 --environment dev").says(&["network   passed"]),
    // And away.
    run("loadbalancer delete web").exits(4).says(&["app"]),
    run("environment delete dev").exits(4).says(&["service `app`"]),
    run("deploy delete app:1"),
    run("service delete dev:app").then(|cloud| assert_eq!(cloud.containers().len(), 1)),
    run("loadbalancer delete web").then(|cloud| assert_eq!(stacks_of(cloud).len(), 3)),
    run("environment delete -r dev").then(|cloud| assert!(cloud.containers().is_empty())),
    run("environment delete --recursive shared"),
    run("account grant nobody").exits(4).says(&["12 digits"]),
    run("account plan 210987654321 --owner team").says(&["0 repositories are meant"]),
    run("account plan --strategy registry").says(&["the registry 123456789012/us-east-1:"]),
    run("account grant 210987654321 --owner team")
        .says(&["210987654321", "team", "settled"])
        .holds(&[("/0/state", r#""settled""#), ("/0/owner", r#""team""#)]),
    run("account list").says(&["210987654321"]).holds(&[("/0/account", r#""210987654321""#), ("/1", "null")]),
    run("account status")
        .says(&["strategy repositories: grants stand in the policies of the repositories", "210987654321", "0 of 0"])
        .holds(&[("/0/strategy/state", r#""settled""#), ("/0/grants/0/account", r#""210987654321""#)]),
    run("account revoke 210987654321 --owner team"),
    run("account list").holds(&[("", "[]")]),
    run("owner delete team"),
    run("environment list").holds(&[("", "[]")]),
    run("service list").holds(&[("", "[]")]),
    run("task list").holds(&[("", "[]")]),
    run("loadbalancer list").holds(&[("", "[]")]).then(|cloud| {
        assert_eq!(stacks_of(cloud), Vec::<String>::new(), "stacks are left");
        assert_eq!(clusters_of(cloud), Vec::<String>::new(), "clusters are left");
    }),
];

fn walked(form: Form) {
    let cloud = Cloud::checked(&["v1", "v2"]);
    for (file, version, hello) in [("app-1.json", "v1", "hello from v1"), ("app-2.json", "v2", "hello from v2")] {
        cloud.document(file, "app", version, &["print", hello, "serve", "8080", "sleep"], Some(8080));
    }
    cloud.document("job.json", "job", "v1", &["print", "working", "env", "WHO"], None);
    cloud.document("long.json", "long", "v1", &["sleep"], None);
    cloud.file("start.sh", "#!/bin/sh\n");
    walk(SCRIPT, &cloud, form);
}

#[test]
fn every_command_says_in_text_what_is_so() {
    walked(Form::Text);
}

#[test]
fn every_command_says_in_json_what_is_so() {
    walked(Form::Json);
}

/// What the name of everything begins with that this instance makes.
fn prefix(cloud: &Cloud) -> String {
    format!("l0-{}-", cloud.instance.name)
}

fn stacks_of(cloud: &Cloud) -> Vec<String> {
    stacks().into_iter().filter(|name| name.starts_with(&prefix(cloud))).collect()
}

/// The states of the instance's clusters.
fn clusters_of(cloud: &Cloud) -> Vec<String> {
    let arns = cluster_arns(cloud);
    let described = ecs("DescribeClusters", &json!({ "clusters": arns }));
    let clusters = described["clusters"].as_array().cloned().unwrap_or_default();
    if arns.is_empty() {
        return Vec::new();
    }
    clusters.iter().filter_map(|cluster| cluster["status"].as_str().map(str::to_owned)).collect()
}

fn cluster_arns(cloud: &Cloud) -> Vec<String> {
    let listed = ecs("ListClusters", &json!({}));
    let arns = listed["clusterArns"].as_array().into_iter().flatten().filter_map(|arn| arn.as_str());
    arns.filter(|arn| arn.contains(&format!("cluster/{}", prefix(cloud)))).map(str::to_owned).collect()
}

/// How many tasks the instance's services want.
fn services_of(cloud: &Cloud) -> Vec<i64> {
    let mut wanted = Vec::new();
    for cluster in cluster_arns(cloud) {
        let listed = ecs("ListServices", &json!({ "cluster": cluster }));
        if listed["serviceArns"].as_array().is_some_and(|arns| !arns.is_empty()) {
            let described = ecs("DescribeServices", &json!({ "cluster": cluster, "services": listed["serviceArns"] }));
            let services = described["services"].as_array().cloned().unwrap_or_default();
            wanted.extend(services.iter().filter_map(|service| service["desiredCount"].as_i64()));
        }
    }
    wanted
}

/// How many rules of the instance's security groups let members of the other environment in: each names a group.
fn doors(cloud: &Cloud) -> usize {
    let xml = query_call("ec2", "2016-11-15", "DescribeSecurityGroups", &[]);
    let groups = xml.split("<groupName>").skip(1).filter(|group| group.starts_with(&prefix(cloud)));
    let of_others: usize = groups.map(|group| group.matches("<userId>").count()).sum();
    // Each of the two environments lets its own members in.
    of_others.saturating_sub(2)
}

fn balancer(cloud: &Cloud, name: &str) -> (String, String) {
    let id = cloud.one(&["loadbalancer", "get", name])["load_balancer_id"].clone();
    load_balancer(&format!("{}{}", prefix(cloud), id.as_str().expect("an id")))
}

fn ports(listeners: &str) -> Vec<&str> {
    let mut ports: Vec<&str> =
        listeners.split("<Port>").skip(1).filter_map(|rest| Some(rest.split_once('<')?.0)).collect();
    ports.sort_unstable();
    ports
}

fn arn(balancer: &str) -> &str {
    crate::emulator::element(balancer, "LoadBalancerArn")
}

fn idle_timeout(balancer: &str) -> String {
    let xml = query_call(
        "elasticloadbalancing",
        "2015-12-01",
        "DescribeLoadBalancerAttributes",
        &[("LoadBalancerArn", arn(balancer))],
    );
    let after = xml.split_once("<Key>idle_timeout.timeout_seconds</Key>").expect("the attribute").1;
    crate::emulator::element(after, "Value").to_owned()
}

fn target_group(balancer: &str) -> String {
    let of = [("LoadBalancerArn", arn(balancer))];
    query_call("elasticloadbalancing", "2015-12-01", "DescribeTargetGroups", &of)
}

/// Waits until the page of a version comes through the load balancer.
fn serves(cloud: &Cloud, version: &str) {
    let balancer = cloud.one(&["loadbalancer", "get", "web"]);
    until(&format!("the page of {version}"), || {
        let page = cloud.page(&balancer)?;
        if page.starts_with(version) { Ok(()) } else { Err(page) }
    });
}
