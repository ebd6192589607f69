//! What ends by time, and who is let in.

use std::net::Ipv4Addr;

use tokio::net::TcpSocket;

use super::*;

#[tokio::test]
async fn a_target_that_says_nothing_gives_504() {
    let backend = Backend::start(|_, _| Reply::Hang).await;
    let mut config = config(80);
    config.idle_timeout = Duration::from_millis(150);
    let proxy = serving(config, &[backend.target("a")]).await;
    let begun = Instant::now();
    let answer = ask(address(&proxy, 0), GET).await;
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
    assert!(begun.elapsed() >= Duration::from_millis(150));
    // It was asked once: what runs into the timeout may have been carried out.
    assert_eq!(backend.requests(), 1);
    assert_eq!(proxy.status(LB).unwrap()[0].in_flight, 0);
}

#[tokio::test]
async fn a_body_that_stops_midway_ends_the_connection() {
    let backend =
        Backend::start(|_, _| Reply::Echo("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_owned())).await;
    let mut config = config(80);
    config.idle_timeout = Duration::from_millis(150);
    let proxy = serving(config, &[backend.target("a")]).await;
    let answer = ask(address(&proxy, 0), GET).await;
    assert!(answer.ends_with("\r\n\r\nhalf"), "{answer}");
    until("nothing is running", || proxy.status(LB).unwrap()[0].in_flight == 0).await;
}

#[tokio::test]
async fn idle_clients_are_closed_and_slow_ones_as_well() {
    let backend = Backend::named("a").await;
    let mut config = config(80);
    config.idle_timeout = Duration::from_millis(200);
    let proxy = serving(config, &[backend.target("a")]).await;
    let mut session = Session::open(address(&proxy, 0)).await;
    session.get().await;
    let begun = Instant::now();
    assert!(session.is_closed().await);
    let idle = begun.elapsed();
    assert!(idle >= Duration::from_millis(150) && idle < Duration::from_secs(5), "{idle:?}");
    // One that never says anything, and one that never ends its head.
    assert!(Session::open(address(&proxy, 0)).await.is_closed().await);
    let mut slow = Session::open(address(&proxy, 0)).await;
    slow.send("GET / HTTP/1.1\r\nhost:").await;
    assert!(slow.is_closed().await);
}

#[tokio::test]
async fn a_slow_upload_is_not_idle() {
    let backend = Backend::start(|_, body| ok(&body.len().to_string())).await;
    let mut config = config(80);
    config.idle_timeout = Duration::from_millis(700);
    let proxy = serving(config, &[backend.target("a")]).await;
    let mut session = Session::open(address(&proxy, 0)).await;
    session.send("POST / HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 20\r\n\r\n").await;
    // One byte at each tick: more than twice the idle timeout in all. The ticks are the slow client, not a wait for something.
    let mut ticks = tokio::time::interval(Duration::from_millis(80));
    for _ in 0..20 {
        ticks.tick().await;
        session.send("x").await;
    }
    assert!(session.answer().await.0.starts_with("HTTP/1.1 100"));
    assert_eq!(session.answer().await.1, "20");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let backend = Backend::named("a").await;
    let proxy = serving(config(80), &[backend.target("a")]).await;
    let head =
        |size: usize| format!("GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\nx: {}\r\n\r\n", "x".repeat(size));
    assert!(ask(address(&proxy, 0), &head(48 * 1024)).await.starts_with("HTTP/1.1 200"));
    assert!(ask(address(&proxy, 0), &head(100 * 1024)).await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn who_comes_when_there_is_no_room_waits_for_somebody_to_go() {
    let backend = Backend::named("a").await;
    let settings = ProxySettings { grace: Duration::from_secs(5), connections: 2, ..ProxySettings::default() };
    let proxy = Proxy::start(&settings).unwrap();
    let mut config = config(80);
    config.listeners[0].bind.push(loopback(2));
    proxy.ensure(config).await.unwrap();
    proxy.targets_set(LB, &[backend.target("a")]).unwrap();
    all_healthy(&proxy).await;
    let mut first = Session::open(address(&proxy, 0)).await;
    let mut second = Session::open(address(&proxy, 1)).await;
    assert_eq!((first.get().await, second.get().await), ("a".to_owned(), "a".to_owned()));
    // The kernel takes it; nobody answers.
    let mut third = Session::open(address(&proxy, 1)).await;
    third.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;
    let mut byte = [0];
    let early = tokio::time::timeout(Duration::from_millis(100), third.stream.peek(&mut byte)).await;
    assert!(early.is_err(), "there was room for more than two");
    assert_eq!(first.get().await, "a", "those that are there go on");
    drop(first);
    assert_eq!(third.answer().await.1, "a");
}

/// A connection from the given loopback address.
async fn from(peer: Ipv4Addr, to: SocketAddr) -> Session {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((peer, 0))).unwrap();
    Session { stream: in_time(socket.connect(to)).await.unwrap(), held: Vec::new() }
}

#[tokio::test]
async fn a_private_load_balancer_admits_its_networks_and_the_host() {
    let backend = Backend::named("a").await;
    let mut config = config(80);
    config.listeners[0].bind = vec![loopback(9)];
    config.access = Access::Sources(vec![Subnet { address: Ipv4Addr::new(127, 0, 2, 0), prefix: 24 }]);
    let proxy = serving(config.clone(), &[backend.target("a")]).await;
    let to = address(&proxy, 0);
    let (within, outside) = (Ipv4Addr::new(127, 0, 2, 7), Ipv4Addr::new(127, 0, 3, 7));
    let mut kept = from(within, to).await;
    assert_eq!(kept.get().await, "a");
    assert_eq!(from(Ipv4Addr::LOCALHOST, to).await.get().await, "a");
    assert_eq!(from(Ipv4Addr::new(127, 0, 0, 9), to).await.get().await, "a", "the host's own address");
    assert!(from(outside, to).await.is_closed().await);
    assert_eq!(backend.requests(), 3);

    // Another network instead: for new connections, on the same socket.
    config.access = Access::Sources(vec![Subnet { address: outside, prefix: 32 }]);
    proxy.ensure(config).await.unwrap();
    assert_eq!(address(&proxy, 0), to);
    assert_eq!(from(outside, to).await.get().await, "a");
    assert!(from(within, to).await.is_closed().await);
    assert_eq!(kept.get().await, "a");
}

#[test]
fn a_network_contains_what_its_prefix_says() {
    let net = |address: [u8; 4], prefix| Subnet { address: Ipv4Addr::from(address), prefix };
    let at = |address: [u8; 4]| Ipv4Addr::from(address);
    assert!(net([10, 1, 2, 3], 16).contains(at([10, 1, 200, 9])));
    assert!(!net([10, 1, 2, 3], 16).contains(at([10, 2, 0, 1])));
    assert!(net([0, 0, 0, 0], 0).contains(at([192, 0, 2, 1])));
    assert!(net([192, 0, 2, 1], 32).contains(at([192, 0, 2, 1])));
    assert!(!net([192, 0, 2, 1], 40).contains(at([192, 0, 2, 2])));
    let private = Access::Sources(vec![net([10, 0, 0, 0], 8)]);
    let mapped = IpAddr::V6(at([10, 1, 1, 1]).to_ipv6_mapped());
    assert!(private.admits(mapped, IpAddr::V4(at([192, 0, 2, 1]))));
    assert!(!private.admits(IpAddr::V4(at([11, 1, 1, 1])), IpAddr::V4(at([192, 0, 2, 1]))));
}
