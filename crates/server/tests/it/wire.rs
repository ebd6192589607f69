//! What comes over a socket that no client of ours would send: heads without measure, bodies that lie, paths that climb.

use std::time::Duration;

use http::Method;
use http_body_util::BodyExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use layer0_server::testing::TestApp;
use layer0_testkit::until::ends;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::Raw;

/// A request as bytes, after which the client says no more.
struct Sent {
    what: String,
    bytes: Vec<u8>,
}

fn head(what: &str, line: &str, headers: &str) -> Sent {
    let bytes = format!("{line}\r\nhost: x\r\nconnection: close\r\n{headers}\r\n").into_bytes();
    Sent { what: what.to_owned(), bytes }
}

/// All that the server answers until it closes. A server that has read enough closes before all is written, and then the
/// rest of the answer may be lost with the connection: empty.
async fn answer(app: &TestApp, sent: &[u8]) -> String {
    let stream = TcpStream::connect(app.address()).await.expect("the server takes connections");
    let (mut reader, mut writer) = stream.into_split();
    let write = async {
        let _ = writer.write_all(sent).await;
    };
    let read = async {
        let mut all = Vec::new();
        let _ = reader.read_to_end(&mut all).await;
        String::from_utf8_lossy(&all).into_owned()
    };
    let (_, text) = ends("an answer, or the end of the connection", async { tokio::join!(write, read) }).await;
    text
}

fn status(answer: &str) -> Option<u16> {
    answer.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

/// The server is as good as before: for a new client, and for one that was there all the time.
async fn serves(raw: &Raw) {
    assert_eq!(raw.get("/health").await.status, 200);
    raw.get("/v2/").await.expect(200);
}

/// A head beyond all measure is refused with 431 or 414 as soon as it is, whatever it is made of.
#[tokio::test]
async fn heads_without_measure_are_refused() {
    let app = TestApp::start().await;
    let raw = Raw::of(&app);
    let long = "x".repeat(1 << 20);
    for (sent, wanted) in [
        (
            head("a header of 100 KiB", "GET /health HTTP/1.1", &format!("x-long: {}\r\n", "x".repeat(100 << 10))),
            &[431][..],
        ),
        (head("a header of a megabyte", "GET /health HTTP/1.1", &format!("x-long: {long}\r\n")), &[431]),
        (head("a header name of a megabyte", "GET /health HTTP/1.1", &format!("{long}: x\r\n")), &[431]),
        (head("100,000 headers", "GET /health HTTP/1.1", &"a: b\r\n".repeat(100_000)), &[431]),
        (head("200 headers", "GET /health HTTP/1.1", &"a: b\r\n".repeat(200)), &[431]),
        (head("a request line of a megabyte", &format!("GET /{long} HTTP/1.1"), ""), &[414, 431]),
        (head("a path of the registry of a megabyte", &format!("GET /v2/{long} HTTP/1.1"), ""), &[414, 431]),
        (head("a query of a megabyte", &format!("GET /v2/_catalog?last={long} HTTP/1.1"), ""), &[414, 431]),
        (head("a method of a megabyte", &format!("{long} / HTTP/1.1"), ""), &[400, 431]),
        (head("a credential of a megabyte", "GET /v2/ HTTP/1.1", &format!("authorization: Bearer {long}\r\n")), &[431]),
        (Sent { what: "a megabyte without an end".to_owned(), bytes: long.clone().into_bytes() }, &[400, 431]),
    ] {
        let answer = answer(&app, &sent.bytes).await;
        let status = status(&answer);
        assert!(status.is_none_or(|status| wanted.contains(&status)), "{}: {answer:.200}", sent.what);
        serves(&raw).await;
    }
    // Small enough to be read whole before it is answered, so the answer is always there.
    let many = head("200 headers", "GET /health HTTP/1.1", &"a: b\r\n".repeat(200));
    assert_eq!(status(&answer(&app, &many.bytes).await), Some(431));
    // Large, but a head that a client behind a talkative proxy may have.
    let large = head("30 KiB", "GET /health HTTP/1.1", &format!("x-long: {}\r\n", "x".repeat(30 << 10)));
    assert_eq!(status(&answer(&app, &large.bytes).await), Some(200));
}

/// The same over HTTP/2: refused with 431, or the connection ends; a new one is served.
#[tokio::test]
async fn http2_heads_without_measure_are_refused() {
    let app = TestApp::start().await;
    for (long, is_fine) in [(100, true), (20 << 10, false), (1 << 20, false), (8 << 10, true)] {
        let stream = TcpStream::connect(app.address()).await.expect("the server takes connections");
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (mut client, connection) = handshake.await.expect("the server speaks HTTP/2");
        let connection = tokio::spawn(connection);
        let request = hyper::Request::get(format!("http://{}/health", app.address()))
            .header("x-long", "x".repeat(long))
            .body(String::new())
            .expect("a request");
        match ends("an answer", client.send_request(request)).await {
            Ok(answer) => assert_eq!(answer.status().as_u16(), if is_fine { 200 } else { 431 }, "{long}"),
            Err(why) => assert!(!is_fine, "{long}: {why}"),
        }
        drop(client);
        // However it ended.
        let _ = ends("the end of the connection", connection).await;
    }
    serves(&Raw::of(&app)).await;
}

/// Over HTTP/2 nobody but the server itself takes the content off an answer to HEAD, and a connection counts for a few requests only.
#[tokio::test]
async fn http2_answers_to_head_have_no_content() {
    let app = TestApp::start().await;
    let admin = Raw::of(&app);
    admin.post("/repository/team", &json!({"name": "app"})).await.expect(201);
    let begun = admin.send(Method::POST, "/v2/team/app/blobs/uploads/", &[], "").await.expect(202);
    let upload = begun.header("location").to_owned();
    let stream = TcpStream::connect(app.address()).await.expect("the server takes connections");
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut client, connection) = handshake.await.expect("the server speaks HTTP/2");
    let connection = tokio::spawn(connection);
    for (path, status, length) in [
        ("/v2/", 200, Some("2")),
        ("/v2/team/app/manifests/none", 404, None),
        ("/v2/team/none/tags/list", 404, None),
        (upload.as_str(), 204, Some("none")),
    ] {
        let request = hyper::Request::head(format!("http://{}{path}", app.address()));
        let request =
            request.header("authorization", format!("Basic {}", app.auth())).body(String::new()).expect("a request");
        let answer = ends("an answer", client.send_request(request)).await.expect("an answer");
        assert_eq!(answer.status().as_u16(), status, "{path}");
        let said = answer.headers().get("content-length").map_or("none", |it| it.to_str().expect("text")).to_owned();
        if let Some(length) = length {
            assert_eq!(said, length, "{path}");
        } else {
            assert!(said.parse::<u64>().is_ok_and(|length| length > 0), "{path}: {said}");
        }
        let content = ends("its end", answer.into_body().collect()).await.expect("no content is no error");
        assert!(content.to_bytes().is_empty(), "{path}");
    }
    drop(client);
    let _ = ends("the end of the connection", connection).await;
}

/// What it says of itself at the begin (RFC 9113, section 6.5.2).
#[tokio::test]
async fn http2_connections_have_few_requests_under_way() {
    let app = TestApp::start().await;
    let mut stream = TcpStream::connect(app.address()).await.expect("the server takes connections");
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let begin = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &settings].concat();
    stream.write_all(&begin).await.expect("it is taken");
    let mut head = [0; 9];
    ends("its settings", stream.read_exact(&mut head)).await.expect("a frame");
    assert_eq!(head[3], 4, "SETTINGS");
    let mut said = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
    ends("its settings", stream.read_exact(&mut said)).await.expect("a frame");
    let streams = said.chunks(6).find(|setting| setting[..2] == [0, 3]).expect("SETTINGS_MAX_CONCURRENT_STREAMS");
    assert_eq!(streams[2..], [0, 0, 0, 8]);
}

/// Requests that are none, or that two servers could read in two ways: refused, never read on.
#[tokio::test]
async fn requests_that_are_none_are_refused() {
    let app = TestApp::start().await;
    let raw = Raw::of(&app);
    let get = |headers: &str| format!("GET /health HTTP/1.1\r\nhost: x\r\n{headers}\r\n").into_bytes();
    let post = |headers: &str, body: &str| {
        format!("POST /auth/token HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n{body}").into_bytes()
    };
    for (what, bytes) in [
        ("a NUL in a header", get("x-a: a\0b\r\n")),
        ("a NUL in the path", b"GET /v2/a\0b HTTP/1.1\r\nhost: x\r\n\r\n".to_vec()),
        ("raw bytes in the path", b"GET /v2/\xff\xfe HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_vec()),
        ("a header without a name", get(": x\r\n")),
        ("a header name with a space", get("x y: z\r\n")),
        ("a header without a colon", get("nonsense\r\n")),
        ("a folded header", get("x-a: b\r\n c\r\n")),
        ("another protocol", b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec()),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n\r\n\r\n".to_vec()),
        ("another version", b"GET / HTTP/9.9\r\nhost: x\r\n\r\n".to_vec()),
        ("two lengths", post("content-length: 1\r\ncontent-length: 2\r\n", "ab")),
        ("a negative length", post("content-length: -1\r\n", "")),
        ("a length that is none", post("content-length: 1e3\r\n", "")),
        ("a length beyond all numbers", post("content-length: 99999999999999999999999999\r\n", "")),
        ("an unknown coding", post("transfer-encoding: gzip\r\n", "")),
        ("a chunk that is none", post("transfer-encoding: chunked\r\n", "zz\r\nabc\r\n0\r\n\r\n")),
        ("a chunk beyond all numbers", post("transfer-encoding: chunked\r\n", "fffffffffffffffff\r\nabc\r\n0\r\n\r\n")),
        ("HTTP/2 in the middle", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense that is no frame at all".to_vec()),
    ] {
        let answer = answer(&app, &bytes).await;
        let status = status(&answer);
        assert!(status.is_none_or(|status| (400..500).contains(&status)), "{what}: {answer:.200}");
        serves(&raw).await;
    }
    // A length and chunks: what follows may not be taken for a request of its own.
    let smuggled = post(
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "0\r\n\r\nGET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    );
    let answered = answer(&app, &smuggled).await;
    assert!(answered.matches("HTTP/1.1 ").count() <= 1, "{answered}");
}

/// Targets that are no path of ours, in every form that HTTP knows.
#[tokio::test]
async fn targets_of_other_forms_are_answered() {
    let app = TestApp::start().await;
    let raw = Raw::of(&app);
    for (line, wanted) in [
        ("GET http://elsewhere.example/v2/ HTTP/1.1", 401),
        ("GET http://elsewhere.example/nothing HTTP/1.1", 404),
        ("OPTIONS * HTTP/1.1", 404),
        ("CONNECT elsewhere.example:443 HTTP/1.1", 404),
        ("GET //v2/ HTTP/1.1", 404),
        ("GET /../../etc/passwd HTTP/1.1", 404),
        ("GET /v2/../../../etc/passwd HTTP/1.1", 401),
        ("GET /v2/%2e%2e/%2e%2e/etc/passwd HTTP/1.1", 401),
        ("GET /%2e%2e%2f%2e%2e%2fetc/passwd HTTP/1.1", 404),
        ("GET /repository/..%2f..%2fetc/passwd HTTP/1.1", 401),
        ("GET /v2/team%2fapp/tags/list HTTP/1.1", 401),
        ("BREW /v2/ HTTP/1.1", 401),
    ] {
        let text = answer(&app, &head("", line, "").bytes).await;
        assert_eq!(status(&text), Some(wanted), "{line}: {text:.300}");
        let body = text.split_once("\r\n\r\n").map(|(_, body)| body).expect("an answer has a head");
        assert!(!body.contains("root:"), "{line}: {body}");
        assert!(line.starts_with("CONNECT") || body.starts_with('{'), "{line}: {body}");
    }
    serves(&raw).await;
}

/// Clients that hold a connection and say half of something keep nobody else from anything.
#[tokio::test]
async fn half_requests_of_many_keep_nobody_waiting() {
    let app = TestApp::start().await;
    let raw = Raw::of(&app);
    raw.post("/repository/team", &json!({"name": "app"})).await.expect(201);
    let push = format!(
        "POST /v2/team/app/blobs/uploads/?digest=sha256:{} HTTP/1.1\r\nhost: x\r\nauthorization: Basic {}\r\ncontent-length: 1000000\r\n\r\nhalf",
        "0".repeat(64),
        app.auth()
    );
    let form = "POST /auth/token HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\ngrant_type=";
    let api = format!(
        "POST /environment HTTP/1.1\r\nhost: x\r\nauthorization: Basic {}\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{{\r\n",
        app.auth()
    );
    let mut held = Vec::new();
    for said in ["", "GET", "GET /health HTTP/1.1\r\nhost: x\r\nx-slow: ", form, push.as_str(), api.as_str()] {
        for _ in 0..50 {
            let mut stream = TcpStream::connect(app.address()).await.expect("the server takes connections");
            stream.write_all(said.as_bytes()).await.expect("it is read");
            held.push(stream);
        }
    }
    for _ in 0..20 {
        serves(&raw).await;
        raw.push("team/app", "1", "amd64", "layer").await;
    }
    // None of them was answered: they are still waited for.
    let mut first = [0];
    for stream in &mut held {
        let early = tokio::time::timeout(Duration::from_millis(1), stream.read_exact(&mut first)).await;
        assert!(early.is_err(), "a half request is answered, or cut off long before its time");
    }
}

/// However much is asked for, a token fits in a header; what can't be read is refused, and what is no scope left out.
#[tokio::test]
async fn tokens_asked_for_without_measure() {
    let app = TestApp::start().await;
    let raw = Raw::of(&app);
    let token = |answer: &crate::support::Answer| answer.json()["token"].as_str().expect("a token").to_owned();
    let many: Vec<String> = (0..1_500).map(|number| format!("scope=repository:team/r{number}:pull,push")).collect();
    let actions = format!("scope=repository:team/app:{}", "pull,".repeat(10_000));
    let names = format!("scope=repository:{}:pull", "a/".repeat(25_000));
    let spaces = format!("scope={}", "+".repeat(50_000));
    let nonsense = "scope=%&scope=%zz&scope=%ff%fe&scope=repository:&scope=:::&scope=registry:catalog:*&scope=repository:../x:pull";
    for query in [&many.join("&"), &actions, &names, &spaces, nonsense] {
        let answer = raw.get(&format!("/auth/token?{query}")).await.expect(200);
        let token = token(&answer);
        assert!(token.len() < 8_000, "a token of {} bytes for {query:.40}", token.len());
        raw.as_(Some(&format!("Bearer {token}"))).get("/v2/").await.expect(200);
    }
    let form = async |body: String| {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        raw.as_(None).send(reqwest::Method::POST, "/auth/token", &headers, body).await
    };
    // Refused before all of it is read: see `answer`.
    let long = format!("grant_type=password&username=admin&password={}", "x".repeat(1 << 20));
    let head =
        format!("POST /auth/token HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", long.len());
    let refused = answer(&app, format!("{head}{long}").as_bytes()).await;
    assert!(status(&refused).is_none_or(|status| status == 413), "{refused:.200}");
    form("grant_type=password&username=admin&password=wrong".to_owned()).await.error(401);
    for body in ["", "&&&&", "grant_type", "grant_type=%00", "\u{0}", "{\"grant_type\":\"password\"}"] {
        form(body.to_owned()).await.error(400);
    }
    // What stands in the header where a credential should, opens nothing and breaks nothing.
    for credential in [
        "",
        "Basic",
        "Basic ",
        "Basic !!!!",
        "Basic Og==",
        "Bearer",
        "Bearer .",
        "Bearer e30.e30",
        "Digest username=\"admin\"",
        &format!("Basic {}", "A".repeat(40_000)),
        &format!("Bearer {}.{}", "A".repeat(20_000), "A".repeat(20_000)),
    ] {
        let answer = raw.as_(Some(credential)).get("/v2/").await.expect(401);
        assert_eq!(answer.json()["errors"][0]["code"], "UNAUTHORIZED", "{credential:.40}");
        raw.as_(Some(credential)).get("/auth/token?scope=repository:team/app:pull").await.error(401);
        raw.as_(Some(credential)).get("/environment").await.error(401);
    }
    serves(&raw).await;
}
