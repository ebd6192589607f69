//! Who gets a request, what the target sees of it, and what happens when a target cannot answer.

use super::*;

#[tokio::test]
async fn requests_go_round_and_say_who_asked() {
    let answer = |name: &'static str| move |head: &str, _: &[u8]| ok(&format!("{name}\n{head}"));
    let (a, b) = (Backend::start(answer("a")).await, Backend::start(answer("b")).await);
    let proxy = serving(config(80), &[a.target("a"), b.target("b")]).await;
    let mut session = Session::open(address(&proxy, 0)).await;
    for _ in 0..10 {
        session
            .send("GET /x?y=1 HTTP/1.1\r\nHost: shop.test:8080\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: gopher\r\nConnection: keep-alive, X-Secret\r\nX-Secret: 1\r\nTE: gzip\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nX-Kept: yes\r\n\r\n")
            .await;
        let (_, body) = session.answer().await;
        let (_, head) = body.split_once('\n').unwrap();
        assert!(head.starts_with("GET /x?y=1 HTTP/1.1\r\n"), "{head}");
        assert_eq!(field(head, "host"), Some("shop.test:8080"));
        assert_eq!(field(head, "x-forwarded-for"), Some("192.0.2.7, 127.0.0.1"));
        assert_eq!(field(head, "x-forwarded-proto"), Some("http"));
        assert_eq!(field(head, "x-forwarded-port"), Some(address(&proxy, 0).port().to_string().as_str()));
        assert_eq!(field(head, "x-kept"), Some("yes"));
        for gone in ["connection", "x-secret", "te", "keep-alive", "proxy-connection", "transfer-encoding"] {
            assert_eq!(field(head, gone), None, "{gone} in {head}");
        }
    }
    assert_eq!((a.requests(), b.requests()), (5, 5));
    assert!(a.connections.load(Ordering::SeqCst) <= 2 + 2 * 5, "connections to targets are kept");
}

#[tokio::test]
async fn scheme_and_port_are_those_of_a_proxy_in_front_that_is_believed() {
    let backend = Backend::start(|head: &str, _: &[u8]| {
        let value = |name| field(head, name).unwrap_or_default().to_owned();
        ok(&format!("{} {}", value("x-forwarded-proto"), value("x-forwarded-port")))
    });
    let backend = backend.await;
    let proxy = Proxy::start(&ProxySettings { forwarded: Forwarded::Kept, ..ProxySettings::default() }).unwrap();
    proxy.ensure(config(80)).await.unwrap();
    proxy.targets_set(LB, &[backend.target("a")]).unwrap();
    all_healthy(&proxy).await;
    let port = address(&proxy, 0).port();
    let mut session = Session::open(address(&proxy, 0)).await;
    for (said, expected) in [
        ("X-Forwarded-Proto: https\r\nX-Forwarded-Port: 443\r\n", "https 443".to_owned()),
        ("X-Forwarded-Proto: https\r\n", format!("https {port}")),
        ("", format!("http {port}")),
    ] {
        session.send(&format!("GET / HTTP/1.1\r\nhost: test\r\n{said}\r\n")).await;
        assert_eq!(session.answer().await.1, expected);
    }
}

#[tokio::test]
async fn without_a_healthy_target_the_answer_says_so() {
    let closed = free_address().await;
    let proxy = start();
    proxy.ensure(config(80)).await.unwrap();
    proxy.targets_set(LB, &[target("a", 80, closed), draining(target("b", 80, closed))]).unwrap();
    let answer = ask(address(&proxy, 0), GET).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(
        answer.contains("no healthy target behind load balancer web: 0 healthy, 0 unhealthy, 1 starting, 1 draining"),
        "{answer}"
    );
}

/// An address on which nothing listens.
async fn free_address() -> SocketAddr {
    TcpListener::bind(loopback(1)).await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn a_target_that_is_gone_costs_no_request() {
    let (a, b) = (Backend::named("a").await, Backend::named("b").await);
    let mut slow = config(80);
    // So slow that only the failing requests can find out.
    slow.health_check.interval = Duration::from_secs(300);
    let proxy = serving(slow, &[a.target("a"), b.target("b")]).await;
    b.stop().await;
    let mut session = Session::open(address(&proxy, 0)).await;
    for _ in 0..10 {
        // Nothing of it can have left for a target that does not listen, so even this may go to the next one.
        session.send("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\nhi").await;
        assert_eq!(session.answer().await.1, "a");
        assert_eq!(session.get().await, "a");
    }
    let status = status_until(&proxy, |all| matches!(all[1].health, TargetHealth::Unhealthy { .. })).await;
    let TargetHealth::Unhealthy { reason } = &status[1].health else { unreachable!() };
    assert!(reason.contains("refuses connections"), "{reason}");
    drop(a);
    let answer = ask(address(&proxy, 0), GET).await;
    assert!(answer.starts_with("HTTP/1.1 50"), "{answer}");
}

#[tokio::test]
async fn a_connection_that_was_closed_in_the_pool_costs_no_request() {
    // It says keep-alive and closes all the same, as a server does whose own timeout ran out just now.
    let backend = Backend::start(|head, body| {
        let text = format!("{} {}", head.split(' ').next().unwrap(), body.len());
        Reply::SendAndClose(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len()))
    })
    .await;
    let proxy = serving(config(80), &[backend.target("a")]).await;
    let mut session = Session::open(address(&proxy, 0)).await;
    for _ in 0..200 {
        assert_eq!(session.get().await, "GET 0");
    }
    assert_eq!(backend.requests(), 200);
    assert_eq!(proxy.status(LB).unwrap()[0].health, TargetHealth::Healthy);
}

#[tokio::test]
async fn an_upload_does_not_meet_a_closed_connection() {
    let backend = Backend::start(|_, body| {
        let text = format!("got {}", body.len());
        Reply::SendAndClose(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len()))
    })
    .await;
    let proxy = serving(config(80), &[backend.target("a")]).await;
    let mut session = Session::open(address(&proxy, 0)).await;
    for round in 1..=20 {
        session.send("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\n\r\nabc").await;
        assert_eq!(session.answer().await.1, "got 3", "round {round}");
        // The close has come as soon as the backend has seen its end, which is before it takes another connection.
        tokio::task::yield_now().await;
    }
    assert_eq!(backend.requests(), 20);
}

#[tokio::test]
async fn a_request_that_may_have_been_carried_out_is_not_repeated() {
    let (a, b) = (Backend::start(|_, _| Reply::Close).await, Backend::start(|_, _| Reply::Close).await);
    let proxy = serving(config(80), &[a.target("a"), b.target("b")]).await;
    let answer =
        ask(address(&proxy, 0), "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc")
            .await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    assert!(answer.contains("closed the connection without an answer"), "{answer}");
    assert_eq!(a.requests() + b.requests(), 1);
    // A GET may be, and both are asked.
    let answer = ask(address(&proxy, 0), GET).await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    assert_eq!(a.requests() + b.requests(), 3);
}

#[tokio::test]
async fn rules_choose_the_port_request_by_request_and_change_under_an_open_connection() {
    let (web, api) = (Backend::named("web").await, Backend::named("api").await);
    // One copy, two ports of it.
    let mut copy = target("copy", 80, web.address);
    copy.ports.push(PortOverride { target_port: 81, port: api.address.port() });
    let mut config = config(80);
    let rule = |path: &str| Rule { paths: vec![path.to_owned()], hosts: vec![], target_port: 81 };
    config.listeners[0].serves = Serves::Http { target_port: 80, rules: vec![rule("/api/*")] };
    let proxy = serving(config.clone(), &[copy]).await;
    let mut session = Session::open(address(&proxy, 0)).await;
    for (path, expected) in [("/", "web"), ("/api/x?y=1", "api"), ("/api", "web"), ("/api/", "api")] {
        session.send(&format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n")).await;
        assert_eq!(session.answer().await.1, expected, "{path}");
    }
    config.listeners[0].serves = Serves::Http { target_port: 80, rules: vec![rule("/v1/*")] };
    proxy.ensure(config).await.unwrap();
    for (path, expected) in [("/api/x", "web"), ("/v1/x", "api")] {
        session.send(&format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n")).await;
        assert_eq!(session.answer().await.1, expected, "{path}");
    }
}

#[tokio::test]
async fn a_redirect_needs_no_target_and_leads_to_https() {
    let mut config = config(80);
    config.listeners[0].serves = Serves::Redirect { https_port: 8443 };
    let proxy = start();
    proxy.ensure(config).await.unwrap();
    let mut session = Session::open(address(&proxy, 0)).await;
    for (method, body) in [("GET", ""), ("POST", "hi")] {
        let head = format!("{method} /a?b=c HTTP/1.1\r\nhost: shop.test:80\r\ncontent-length: {}", body.len());
        session.send(&format!("{head}\r\n\r\n{body}")).await;
        let (head, _) = session.answer().await;
        assert!(head.starts_with("HTTP/1.1 301"), "{head}");
        assert_eq!(field(&head, "location"), Some("https://shop.test:8443/a?b=c"));
    }
}

#[tokio::test]
async fn odd_requests_get_clear_answers() {
    let backend = Backend::start(|head, _| ok(field(head, "host").unwrap())).await;
    let proxy = serving(config(80), &[backend.target("a")]).await;
    let to = address(&proxy, 0);
    for (request, expected) in [
        ("GET / HTTP/1.1\r\nconnection: close\r\n\r\n", "HTTP/1.1 400"),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n", "HTTP/1.1 400"),
        ("GET / HTTP/1.1\r\nhost: a\r\nbroken\r\n\r\n", "HTTP/1.1 400"),
        ("CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\nconnection: close\r\n\r\n", "HTTP/1.1 405"),
        ("GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 200"),
    ] {
        let answer = ask(to, request).await;
        assert!(answer.starts_with(expected), "{request} -> {answer}");
    }
    // The target URI outranks the field (RFC 9112, 3.2.2).
    let answer = ask(to, "GET http://user@uri.test/ HTTP/1.1\r\nhost: field.test\r\nconnection: close\r\n\r\n").await;
    assert!(answer.ends_with("\r\n\r\nuri.test"), "{answer}");
}

#[test]
fn traffic_flows_while_the_callers_runtime_stands_still() {
    use std::io::{Read, Write};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let backend = std::net::TcpListener::bind(loopback(1)).unwrap();
    let target = target("a", 80, backend.local_addr().unwrap());
    let proxy = runtime.block_on(serving(config(80), &[target]));
    // From here on nobody drives the runtime on which the proxy was configured.
    let answering = std::thread::spawn(move || {
        for connection in backend.incoming() {
            let mut connection = connection.unwrap();
            let mut request = [0; 1024];
            // A probe opens a connection and says nothing.
            if connection.read(&mut request).is_ok_and(|count| count > 0) {
                connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").unwrap();
                return;
            }
        }
    });
    let mut client = std::net::TcpStream::connect(address(&proxy, 0)).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    client.write_all(GET.as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\nhi"), "{answer}");
    answering.join().unwrap();
}
