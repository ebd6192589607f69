//! Load balancers: listeners come and go without touching each other, and a taken port is told with its holder.

use std::net::TcpListener;

use serde_json::json;

use crate::common::http::{self, Connection};
use crate::common::port::free_port;
use crate::common::until::until;
use crate::stage::{Stage, container};

#[test]
fn rules_choose_a_container_port_and_a_redirect_leads_to_https() {
    let stage = Stage::with_versions(&["v1"]);
    stage.l0(&["environment", "create", "dev"]).ok();
    let part = |name: &str, port: u16| {
        let more = json!({
            "portMappings": [{ "containerPort": port }],
            "environment": [{ "name": "ANSWER", "value": name }],
        });
        container(name, "v1", &["serve", &port.to_string(), "sleep"], &more)
    };
    stage.deploy_of("app", json!({ "containerDefinitions": [part("web", 8080), part("api", 8081)] }));
    let clear = free_port();
    let redirect = format!("{clear}:443");
    let first = stage.balancer("dev", "web", &["--redirect", &redirect]);
    stage.l0(&["service", "create", "dev", "app", "app:1", "--loadbalancer", "web"]).ok();
    let at = format!("localhost:{first}");
    let mut held = Connection::open_as(&at, "shop.test").expect("a connection");
    let answers = |held: &mut Connection, path: &str, name: &str| {
        let answer = held.get(path).expect("the connection was dropped");
        assert_eq!((answer.status, answer.body.as_str()), (200, format!("v1 {name}").as_str()), "{path}");
    };
    answers(&mut held, "/api/x", "web");
    let path_rule = format!("{first}:path=/api/*:8081");
    stage.l0(&["loadbalancer", "addrule", "web", &path_rule]).ok().says(&path_rule);
    // The health check asks the first container only.
    until("the other container to answer", || match http::get(&at, "/api/") {
        Ok(answer) if answer.status == 200 => Ok(()),
        other => Err(format!("{other:?}")),
    });
    answers(&mut held, "/api/x?y=1", "api");
    answers(&mut held, "/api", "web");
    let host_rule = format!("{first}:host=*.api.test:8081");
    stage.l0(&["loadbalancer", "addrule", "web", &host_rule, "--place", "1"]).ok();
    let mut other = Connection::open_as(&at, "V1.API.test:80").expect("a connection");
    answers(&mut other, "/", "api");
    answers(&mut held, "/", "web");
    stage.l0(&["loadbalancer", "droprule", "web", &path_rule]).ok();
    answers(&mut held, "/api/x", "web");

    let mut clear = Connection::open_as(&format!("localhost:{clear}"), "shop.test").expect("a connection");
    let answer = clear.get("/a?b=c").expect("an answer");
    assert_eq!((answer.status, answer.header("location")), (301, Some("https://shop.test/a?b=c")));
    // What no container maps, and what a load balancer can't do, is refused.
    let said = stage.l0(&["loadbalancer", "addrule", "web", &format!("{first}:path=/x:9999")]);
    assert_eq!(said.code, Some(4), "{}", said.all());
    said.says("9999").says("portMappings");
}

#[test]
fn listeners_come_and_go_alone() {
    let stage = Stage::with_versions(&["v1"]);
    stage.l0(&["environment", "create", "dev"]).ok();
    stage.deploy("app", "v1", &["serve", "8080", "sleep"], &json!({}));
    let first = stage.balancer("dev", "web", &[]);
    stage.l0(&["service", "create", "dev", "app", "app:1", "--loadbalancer", "web"]).ok();

    let mut held = Connection::open(&format!("localhost:{first}")).expect("a connection");
    let alive = |held: &mut Connection| assert_eq!(held.get("/").expect("the connection was dropped").status, 200);
    alive(&mut held);
    let second = free_port();
    stage.l0(&["loadbalancer", "addport", "web", &format!("{second}:8080/http")]).ok();
    alive(&mut held);
    let mut other = Connection::open(&format!("localhost:{second}")).expect("a connection");
    alive(&mut other);
    stage.l0(&["loadbalancer", "idletimeout", "web", "30"]).ok();
    stage.l0(&["loadbalancer", "dropport", "web", &second.to_string()]).ok();
    alive(&mut held);
    until("the dropped port to be closed", || match http::get(&format!("localhost:{second}"), "/") {
        Err(_) => Ok(()),
        Ok(answer) => Err(format!("{answer:?}")),
    });

    // Somebody else has the port: refused or failed, with who it is.
    let foreign = TcpListener::bind(("0.0.0.0", 0)).expect("a port");
    let taken = foreign.local_addr().expect("an address").port();
    let said = stage.l0(&["loadbalancer", "addport", "web", &format!("{taken}:8080/http")]);
    assert!(matches!(said.code, Some(4 | 5)), "{}", said.all());
    said.says(&taken.to_string()).says(&std::process::id().to_string());
    alive(&mut held);
    // As is another load balancer.
    let said = stage.l0(&["loadbalancer", "create", "dev", "twin", "--port", &format!("{first}:8080/http")]);
    assert!(matches!(said.code, Some(4 | 5)), "{}", said.all());
    said.says(&first.to_string()).says("web");
    alive(&mut held);
    // When the port is free, it can be had.
    drop(foreign);
    drop(stage.l0(&["loadbalancer", "dropport", "web", &taken.to_string()]));
    stage.l0(&["loadbalancer", "addport", "web", &format!("{taken}:8080/http")]).ok();
    assert_eq!(until("an answer on it", || http::get(&format!("localhost:{taken}"), "/")).status, 200);
}
