//! Calls that go wrong between the built program and AWS: throttled, broken, or done with the answer lost on its way. All that
//! is asked for comes about, once.
//!
//! One test at a time has the proxy ([`Proxy::turn`]), since faults would hit another test's calls too.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::cloud::{Cloud, flags_by};
use crate::common::http::Connection;
use crate::common::until::until;
use crate::emulator::emulator;

/// `host:port` of the proxy that lets calls go wrong.
fn proxy() -> String {
    let url = std::env::var("LAYER0_TEST_MICROBURST").expect("LAYER0_TEST_MICROBURST is set by scripts/aws.sh");
    url.trim_start_matches("http://").trim_end_matches('/').to_owned()
}

#[track_caller]
fn control(method: &str, path: &str, body: &Value) -> Value {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let headers = "Content-Type: application/json\r\nConnection: close\r\n";
    let answer = Connection::open(&proxy()).and_then(|mut it| it.request(method, path, headers, body.as_bytes()));
    let answer = answer.expect("the proxy answers");
    assert!((200..300).contains(&answer.status), "{method} {path}: {answer:?}");
    serde_json::from_str(&answer.body).unwrap_or_default()
}

/// The proxy, for one test alone.
pub(crate) struct Proxy {
    _turn: MutexGuard<'static, ()>,
}

impl Proxy {
    /// Waits for the test that has it.
    pub(crate) fn turn() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        Self { _turn: TURN.lock().unwrap_or_else(PoisonError::into_inner) }
    }

    /// `host:port` of the way through it.
    pub(crate) fn way(&self) -> String {
        proxy()
    }

    /// The flags of a server that reaches the emulator through it.
    pub(crate) fn flags(&self, table: &str) -> Vec<String> {
        flags_by(&proxy(), table)
    }

    /// Puts rules in force.
    #[track_caller]
    pub(crate) fn rules(&self, rules: &[Value]) -> Rules {
        Rules::set(rules)
    }
}

/// Rules that are in force until this is dropped.
pub(crate) struct Rules {
    set: Vec<Value>,
}

impl Rules {
    #[track_caller]
    fn set(rules: &[Value]) -> Self {
        control("DELETE", "/_microburst/fired", &Value::Null);
        let set = control("POST", "/_microburst/rules", &json!(rules));
        Self { set: set.as_array().expect("a list").clone() }
    }

    /// Those that no call has met.
    #[track_caller]
    pub(crate) fn idle(&self) -> Vec<&Value> {
        let fired = control("GET", "/_microburst/fired", &Value::Null);
        let fired = fired.as_array().expect("a list");
        self.set.iter().filter(|rule| !fired.iter().any(|event| event["rule_id"] == rule["id"])).collect()
    }
}

impl Drop for Rules {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            control("POST", "/_microburst/rules", &json!([]));
        }
    }
}

pub(crate) fn throttled(service: &str, operation: &str, code: &str) -> Value {
    json!({ "service": service, "operation": operation, "times": 1, "error": { "code": code } })
}

pub(crate) fn broken(service: &str, operation: &str, code: &str) -> Value {
    json!({ "service": service, "operation": operation, "times": 1, "error": { "code": code, "status": 500 } })
}

/// Done by AWS; the connection ends before the answer is there.
pub(crate) fn lost(service: &str, operation: &str, times: u32) -> Value {
    json!({ "service": service, "operation": operation, "times": times, "response": { "abort_frac": 0.3 } })
}

#[test]
fn what_goes_wrong_on_the_way_comes_about_once() {
    let rules = [
        throttled("ecs", "CreateService", "ThrottlingException"),
        broken("ecs", "CreateService", "ServerException"),
        lost("ecs", "CreateService", 1),
        throttled("ecs", "RegisterTaskDefinition", "ThrottlingException"),
        lost("ecs", "RegisterTaskDefinition", 1),
        broken("ecs", "DescribeServices", "ServerException"),
        throttled("ecs", "RunTask", "ThrottlingException"),
        broken("ecs", "RunTask", "ServerException"),
        lost("cloudformation", "CreateStack", 1),
        throttled("cloudformation", "DescribeStacks", "Throttling"),
        broken("dynamodb", "TransactWriteItems", "InternalServerError"),
        throttled("dynamodb", "TransactWriteItems", "ThrottlingException"),
        lost("dynamodb", "TransactWriteItems", 3),
    ];
    let proxy = Proxy::turn();
    let cloud = Cloud::with_flags(&["v1"], |table| proxy.flags(table));
    let rules = proxy.rules(&rules);
    cloud.l0(&["environment", "create", "dev"]).ok();
    cloud.deploy("app", "v1", &["print", "up", "sleep"], None);
    let create = ["service", "create", "dev", "web", "app:latest", "--scale", "2", "--skip-pull-check"];
    cloud.l0(&create).ok().says("2 copies run and are healthy");
    until("two containers, and no more", || {
        let running = cloud.containers();
        if running.len() == 2 { Ok(()) } else { Err(format!("{running:?}")) }
    });
    let services = cloud.json(&["service", "list"]);
    assert_eq!(services.as_array().map(Vec::len), Some(1), "{services}");
    let environments = cloud.json(&["environment", "list"]);
    assert_eq!(environments.as_array().map(Vec::len), Some(1), "{environments}");

    // A task runs once. An answer to `RunTask` that is lost is tried on the fake AWS: this emulator does not know its token.
    cloud.deploy("job", "v1", &["print", "done"], None);
    let create = ["task", "create", "dev", "once", "job:latest", "--skip-pull-check"];
    cloud.l0(&create).ok();
    let logs = cloud.json(&["task", "logs", "once"]);
    assert_eq!(logs.as_array().map(Vec::len), Some(1), "{logs}");
    assert_eq!(logs[0]["lines"], json!(["done"]));

    assert_eq!(rules.idle(), Vec::<&Value>::new(), "a fault that never comes shows nothing");
    drop(rules);
    cloud.l0(&["task", "delete", "once"]).ok();
    cloud.l0(&["service", "delete", "web"]).ok();
    cloud.l0(&["environment", "delete", "dev"]).ok();
    assert!(cloud.containers().is_empty(), "nothing runs on");
    assert_eq!(clusters(&cloud.name), Vec::<String>::new(), "nothing is left");
}

/// The clusters of an instance that the emulator has.
fn clusters(instance: &str) -> Vec<String> {
    let headers = "X-Amz-Target: AmazonEC2ContainerServiceV20141113.ListClusters\r\n\
         Content-Type: application/x-amz-json-1.1\r\nConnection: close\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/ecs/aws4_request, SignedHeaders=host, Signature=0\r\n";
    let answer = Connection::open(&emulator()).and_then(|mut it| it.request("POST", "/", headers, b"{}"));
    let answer = answer.expect("an answer");
    let listed: Value = serde_json::from_str(&answer.body).expect("JSON");
    let arns = listed["clusterArns"].as_array().expect("a list").iter().filter_map(Value::as_str);
    arns.filter(|arn| arn.contains(&format!("/l0-{instance}-"))).map(str::to_owned).collect()
}
