//! Clients that hang up before they are answered: what they began to change is changed as if they had waited.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use layer0_server::testing::TestApp;
use layer0_testkit::until::until;
use serde_json::json;

use crate::support::Raw;

/// Sends a request, and is gone as soon as the server reads its body: somebody has signed in by then, and nothing is changed yet.
fn hang_up(app: &TestApp, method: &str, path: &str, body: &str) {
    let (host, auth) = (app.address(), app.auth());
    let mut stream = TcpStream::connect(host).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a limit is set");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic {auth}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("it reads");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("it wants the body");
    assert_eq!(&answer, b"HTTP/1.1 100");
    stream.write_all(body.as_bytes()).expect("it reads");
}

/// So many changes that some of them wait for the store when their client goes.
const CHANGES: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn each_change_is_made_and_in_the_audit_log() {
    let app = TestApp::start().await;
    let raw = Raw::of(&app);
    for number in 0..CHANGES {
        hang_up(&app, "POST", "/user", &json!({ "user_name": format!("u{number}") }).to_string());
    }
    until("each change to be made and in the log", || async {
        let users = raw.get("/user").await.expect(200).text();
        let made = (0..CHANGES).filter(|number| users.contains(&format!("\"u{number}\""))).count();
        let log = raw.get("/admin/audit?limit=1000").await.expect(200).json();
        let log = log.as_array().expect("a list").iter().filter(|it| it["action"] == "user_create").count();
        if (made, log) == (CHANGES, CHANGES) { Ok(()) } else { Err(format!("{made} made, {log} in the log")) }
    })
    .await;
}
