//! The contract's golden tables.

use layer0_api::types::{
    Deploy, DeploySummary, Deployment, Environment, HealthCheck, LoadBalancer, Port, Service, Task,
};

use super::*;
use crate::printer::lines;

fn deployment(id: &str, name: &str, version: &str, running: i64, desired: i64) -> Deployment {
    Deployment {
        created: String::new(),
        deploy_id: id.to_owned(),
        deploy_name: name.to_owned(),
        deploy_version: version.to_owned(),
        desired_count: desired,
        pending_count: 0,
        running_count: running,
        status: "PRIMARY".to_owned(),
        updated: String::new(),
        deployment_id: String::new(),
        state: String::new(),
        images: Vec::new(),
        cause: None,
    }
}

struct Names<'a>(&'a str, &'a str, &'a str, &'a str);

fn service(
    id: &str,
    Names(name, environment_id, environment, lb): Names<'_>,
    counts: (i64, i64, i64),
    deployments: Vec<Deployment>,
    stateful: bool,
) -> Service {
    Service {
        deployments,
        running_count: counts.0,
        desired_count: counts.1,
        pending_count: counts.2,
        environment_id: environment_id.to_owned(),
        environment_name: environment.to_owned(),
        load_balancer_id: String::new(),
        load_balancer_name: lb.to_owned(),
        service_id: id.to_owned(),
        service_name: name.to_owned(),
        stateful,
        waiting_for: None,
        lost_copies: None,
        warnings: Vec::new(),
    }
}

#[test]
fn services() {
    let items = [
        service(
            "id1",
            Names("svc1", "eid1", "ename1", "lname1"),
            (1, 1, 0),
            vec![deployment("d1.1", "d1", "1", 1, 1)],
            false,
        ),
        service("id3", Names("svc3", "eid3", "", ""), (0, 1, 1), vec![deployment("d3.1", "", "", 0, 1)], false),
        service(
            "id5",
            Names("svc5", "eid5", "", ""),
            (2, 1, 0),
            vec![deployment("d5.1", "d5", "1", 1, 2), deployment("d5.2", "d5", "2", 1, 0)],
            true,
        ),
    ];
    assert_eq!(
        service_table(&items),
        "SERVICE ID  SERVICE NAME  ENVIRONMENT  LOADBALANCER  DEPLOYMENTS  SCALE    STATEFUL\n\
         id1         svc1          ename1       lname1        d1:1         1/1      false\n\
         id3         svc3          eid3                       d3:1*        0/1 (1)  false\n\
         id5         svc5          eid5                       d5:1*        2/1      true\n\
         \x20                                                    d5:2*\n"
    );
}

#[test]
fn a_deployment_that_is_over_is_not_among_those_that_run() {
    let mut over = deployment("d1.2", "d1", "2", 0, 0);
    over.status = "INACTIVE".to_owned();
    let items = [service(
        "id1",
        Names("svc1", "e", "e", ""),
        (1, 1, 0),
        vec![over, deployment("d1.1", "d1", "1", 1, 1)],
        false,
    )];
    assert!(!service_table(&items).contains("d1:2"));
}

fn load_balancer(
    id: &str,
    name: &str,
    environment: (&str, &str),
    service: (&str, &str),
    ports: &[(i64, i64, &str)],
    public: bool,
    url: &str,
) -> LoadBalancer {
    LoadBalancer {
        environment_id: environment.0.to_owned(),
        environment_name: environment.1.to_owned(),
        health_check: HealthCheck::standard(),
        idle_timeout: 60,
        is_public: public,
        load_balancer_arn: String::new(),
        load_balancer_id: id.to_owned(),
        load_balancer_name: name.to_owned(),
        load_balancer_type: "classic".to_owned(),
        ports: ports
            .iter()
            .map(|(host, container, protocol)| Port {
                container_port: *container,
                host_port: *host,
                protocol: (*protocol).to_owned(),
                ..Port::default()
            })
            .collect(),
        service_id: service.0.to_owned(),
        service_name: service.1.to_owned(),
        url: url.to_owned(),
        cross_zone: true,
        problem: None,
    }
}

#[test]
fn load_balancers_have_their_further_ports_under_the_first() {
    let items = [
        load_balancer("id1", "lb1", ("eid1", "ename1"), ("sid1", "sname1"), &[(80, 80, "http")], true, "url1"),
        load_balancer("id2", "lb2", ("eid2", ""), ("sid2", ""), &[(443, 80, "https"), (22, 22, "tcp")], false, "url2"),
    ];
    assert_eq!(
        load_balancer_table(&items),
        "LOADBALANCER ID  LOADBALANCER NAME  TYPE     ENVIRONMENT  SERVICE  PORTS         PUBLIC  URL\n\
         id1              lb1                classic  ename1       sname1   80:80/HTTP    true    url1\n\
         id2              lb2                classic  eid2         sid2     443:80/HTTPS  false   url2\n\
         \x20                                                                  22:22/TCP\n"
    );
    insta::assert_snapshot!(health_check_table(&items[0]), @r"
    LOADBALANCER ID  LOADBALANCER NAME  ENVIRONMENT  TARGET  INTERVAL  TIMEOUT  HEALTHY THRESHOLD  UNHEALTHY THRESHOLD  PATH
    id1              lb1                ename1       TCP:80  30        5        2                  2                    /
    ");
    insta::assert_snapshot!(idle_timeout_table(&items[0]), @r"
    LOADBALANCER ID  LOADBALANCER NAME  ENVIRONMENT  IDLE TIMEOUT
    id1              lb1                ename1       60
    ");
    insta::assert_snapshot!(cross_zone_table(&items[0]), @r"
    LOADBALANCER ID  LOADBALANCER NAME  ENVIRONMENT  CROSS-ZONE
    id1              lb1                ename1       true
    ");
}

#[test]
fn environments() {
    let item = Environment {
        environment_id: "id2".to_owned(),
        environment_name: "name2".to_owned(),
        owner_name: None,
        current_size: 0,
        desired_size: 0,
        instance_type: String::new(),
        security_group_id: String::new(),
        operating_system: "linux".to_owned(),
        ami_id: String::new(),
        links: vec!["id1".to_owned(), "api".to_owned()],
    };
    let owned = Environment { owner_name: Some("team".to_owned()), links: Vec::new(), ..item.clone() };
    // OWNER is ours, at the end, where it moves none of the contract's columns.
    assert_eq!(
        environment_table(&[item, owned]),
        "ENVIRONMENT ID  ENVIRONMENT NAME  OS     LINKS  OWNER\n\
         id2             name2             linux  id1\n\
         \x20                                        api\n\
         id2             name2             linux         team\n"
    );
}

#[test]
fn tasks() {
    let item = Task {
        containers: Vec::new(),
        deploy_id: "d1.1".to_owned(),
        deploy_name: "d1".to_owned(),
        deploy_version: "1".to_owned(),
        environment_id: "eid1".to_owned(),
        environment_name: "ename1".to_owned(),
        status: "RUNNING".to_owned(),
        task_id: "id1".to_owned(),
        task_name: "tsk1".to_owned(),
        stateful: false,
        spot: false,
        copies: 1,
        cause: None,
        images: Vec::new(),
        waiting_for: None,
        warnings: Vec::new(),
    };
    assert_eq!(
        task_table(std::slice::from_ref(&item)),
        "TASK ID  TASK NAME  ENVIRONMENT  DEPLOY  STATUS   STATEFUL\n\
         id1      tsk1       ename1       d1:1    RUNNING  false\n"
    );
    let warned = Task { warnings: vec!["the limit of the disk is not kept".to_owned()], ..item };
    assert_eq!(lines::tasks(&[warned]), "\ntsk1:\n  warning: the limit of the disk is not kept\n");
}

#[test]
fn deploys_have_a_row_for_each_further_compatibility() {
    let item = DeploySummary {
        compatibilities: vec!["stateful".to_owned(), "stateless".to_owned()],
        deploy_id: "app.1".to_owned(),
        deploy_name: "app".to_owned(),
        version: "1".to_owned(),
        owner_name: Some("team".to_owned()),
    };
    assert_eq!(
        deploy_list_table(&[item]),
        "DEPLOY ID  DEPLOY NAME  VERSION  COMPATIBILITIES\n\
         app.1      app          1        stateful\n\
         \x20                                stateless\n"
    );
    let item = Deploy {
        compatibilities: vec!["stateful".to_owned(), "stateless".to_owned()],
        deploy_file: String::new(),
        deploy_id: "app.1".to_owned(),
        deploy_name: "app".to_owned(),
        version: "1".to_owned(),
        owner_name: Some("team".to_owned()),
        images: Vec::new(),
        created: String::new(),
    };
    assert_eq!(
        deploy_table(&[item]),
        "DEPLOY ID  DEPLOY NAME  VERSION  COMPATIBILITIES  OWNER\n\
         app.1      app          1        stateful         team\n\
         \x20                                stateless\n"
    );
}

#[test]
fn the_first_dot_of_an_id_becomes_a_colon() {
    assert_eq!(deploy_cell("d2.1", "", ""), "d2:1");
    assert_eq!(deploy_cell("a.b.1", "", ""), "a:b.1");
    assert_eq!(deploy_cell("a.b.1", "a.b", "1"), "a.b:1");
}

#[test]
fn moments_are_readable_and_nonsense_stays() {
    assert_eq!(moment("2026-01-02T03:04:05.678Z"), "2026-01-02 03:04:05");
    assert_eq!(moment("soon"), "soon");
    assert_eq!(moment(""), "");
}
