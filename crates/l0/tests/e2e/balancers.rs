//! Load balancers: listeners come and go without touching each other, and a taken port is told with its holder.

use std::net::TcpListener;

use serde_json::json;

use crate::common::http::{self, Connection};
use crate::common::port::free_port;
use crate::common::until::until;
use crate::stage::Stage;

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
