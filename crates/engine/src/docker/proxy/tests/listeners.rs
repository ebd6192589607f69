//! Addresses: changed one by one, held by somebody, given back.

use super::*;

fn listener(bind: SocketAddr, target_port: u16) -> Listener {
    Listener { bind: vec![bind], serves: Serves::http(target_port) }
}

#[tokio::test]
async fn a_change_leaves_other_listeners_and_their_connections_alone() {
    let (a, b) = (Backend::named("a").await, Backend::named("b").await);
    // One copy, two ports of it.
    let mut copy = target("copy", 80, a.address);
    copy.ports.push(PortOverride { target_port: 81, port: b.address.port() });
    let mut config = config(80);
    config.listeners = vec![listener(loopback(1), 80), listener(loopback(2), 81)];
    let proxy = serving(config.clone(), &[copy]).await;
    let mut first = Session::open(address(&proxy, 0)).await;
    let mut second = Session::open(address(&proxy, 1)).await;
    assert_eq!((first.get().await, second.get().await), ("a".to_owned(), "b".to_owned()));
    let was = address(&proxy, 0);

    // The second goes, a third comes, everything else that can change does.
    config.listeners[1] = listener(loopback(3), 81);
    config.idle_timeout = Duration::from_secs(7);
    config.health_check.interval = Duration::from_secs(9);
    proxy.ensure(config.clone()).await.unwrap();
    assert_eq!(address(&proxy, 0), was);
    assert_eq!(first.get().await, "a");
    assert!(second.is_closed().await);
    assert_eq!(Session::open(address(&proxy, 1)).await.get().await, "b");

    // The first sends elsewhere now, on the connection that it has.
    config.listeners[0].serves = Serves::http(81);
    proxy.ensure(config.clone()).await.unwrap();
    assert_eq!(address(&proxy, 0), was);
    assert_eq!(first.get().await, "b");

    // The same again changes nothing.
    let before = proxy.listening(LB);
    proxy.ensure(config).await.unwrap();
    assert_eq!(proxy.listening(LB), before);
    assert_eq!(first.get().await, "b");
}

#[tokio::test]
async fn a_taken_port_is_refused_by_the_name_of_its_holder() {
    let backend = Backend::named("a").await;
    let proxy = serving(config(80), &[backend.target("a")]).await;
    let mut other = config(80);
    other.id = "other".to_owned();
    other.listeners[0].bind = vec![address(&proxy, 0)];
    let error = proxy.ensure(other.clone()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("port {} on 127.0.0.1 is held by load balancer web", address(&proxy, 0).port())
    );
    // Through the unspecified address as well.
    other.listeners[0].bind = vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, address(&proxy, 0).port()))];
    let error = proxy.ensure(other.clone()).await.unwrap_err();
    assert!(matches!(&error, ProxyError::PortHeld { holder: Holder::LoadBalancer { id }, .. } if id == LB), "{error}");

    // A listener that is no load balancer: this process holds it, and is named.
    let foreign = TcpListener::bind(loopback(1)).await.unwrap();
    other.listeners[0].bind = vec![foreign.local_addr().unwrap()];
    let error = proxy.ensure(other.clone()).await.unwrap_err();
    let name = std::fs::read_to_string("/proc/self/comm").unwrap();
    let expected = format!(
        "port {} on 127.0.0.1 is held by {} (pid {})",
        foreign.local_addr().unwrap().port(),
        name.trim(),
        std::process::id()
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(proxy.ids(), [LB], "what failed is not there");
    drop(foreign);
    proxy.ensure(other).await.unwrap();
    assert_eq!(proxy.ids(), ["other", LB]);
}

#[tokio::test]
async fn what_fails_changes_nothing() {
    let backend = Backend::named("a").await;
    let mut config = config(80);
    let proxy = serving(config.clone(), &[backend.target("a")]).await;
    let before = proxy.listening(LB);
    let foreign = TcpListener::bind(loopback(1)).await.unwrap();
    config.listeners = vec![listener(loopback(2), 80), listener(foreign.local_addr().unwrap(), 80)];
    assert!(matches!(proxy.ensure(config.clone()).await, Err(ProxyError::PortHeld { .. })));
    // No address of this machine (TEST-NET-1, RFC 5737).
    config.listeners = vec![listener("192.0.2.1:80".parse().unwrap(), 80)];
    assert!(matches!(proxy.ensure(config.clone()).await, Err(ProxyError::Bind { .. })));
    config.listeners = vec![listener(loopback(2), 80), listener(loopback(2), 81)];
    assert!(matches!(proxy.ensure(config).await, Err(ProxyError::Twice { .. })));
    assert_eq!(proxy.listening(LB), before);
    assert_eq!(Session::open(address(&proxy, 0)).await.get().await, "a");
    assert!(matches!(proxy.targets_set("nobody", &[]), Err(ProxyError::Unknown { .. })));
}

#[tokio::test]
async fn a_listener_can_move_to_an_address_that_overlaps_its_own() {
    let backend = Backend::named("a").await;
    let mut config = config(80);
    let proxy = serving(config.clone(), &[backend.target("a")]).await;
    let port = address(&proxy, 0).port();
    config.listeners[0].bind = vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))];
    proxy.ensure(config).await.unwrap();
    assert_eq!(Session::open(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await.get().await, "a");
}

/// Opens a connection whose request the backend does not answer until it is let.
async fn with_a_request_running(proxy: &Proxy) -> Session {
    let mut session = Session::open(address(proxy, 0)).await;
    session.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;
    until("the request is on its way", || proxy.status(LB).unwrap()[0].in_flight == 1).await;
    session
}

/// A backend that answers each request when it gets a permit.
async fn gated() -> (Target, Arc<tokio::sync::Semaphore>, JoinHandle<()>) {
    let listener = TcpListener::bind(loopback(1)).await.unwrap();
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let target = target("a", 80, listener.local_addr().unwrap());
    let opened = Arc::clone(&gate);
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let opened = Arc::clone(&opened);
            tokio::spawn(async move {
                if read_message(&mut stream, &mut Vec::new()).await.is_some() {
                    opened.acquire().await.unwrap().forget();
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone").await.unwrap();
                }
            });
        }
    });
    (target, gate, task)
}

#[tokio::test]
async fn a_removed_load_balancer_frees_its_port_and_ends_what_runs() {
    let (target, gate, task) = gated().await;
    let proxy = serving(config(80), &[target]).await;
    let mut session = with_a_request_running(&proxy).await;
    let at = address(&proxy, 0);
    proxy.remove(LB).await;
    proxy.remove(LB).await;
    assert_eq!(proxy.status(LB), None);
    let mut again = config(80);
    again.listeners[0].bind = vec![at];
    proxy.ensure(again).await.unwrap();
    gate.add_permits(1);
    let (head, body) = session.answer().await;
    assert_eq!((body.as_str(), field(&head, "connection")), ("done", Some("close")));
    assert!(session.is_closed().await);
    task.abort();
}

#[tokio::test]
async fn a_shutdown_lets_requests_end() {
    let (target, gate, task) = gated().await;
    let proxy = Arc::new(serving(config(80), &[target]).await);
    let mut session = with_a_request_running(&proxy).await;
    let at = address(&proxy, 0);
    let stopping = tokio::spawn({
        let proxy = Arc::clone(&proxy);
        async move { proxy.shutdown().await }
    });
    until("nothing is accepted", || std::net::TcpStream::connect(at).is_err()).await;
    assert!(!stopping.is_finished());
    gate.add_permits(1);
    assert_eq!(session.answer().await.1, "done");
    in_time(stopping).await.unwrap();
    assert!(matches!(proxy.ensure(config(80)).await, Err(ProxyError::Stopped)));
    assert!(matches!(proxy.targets_set(LB, &[]), Err(ProxyError::Stopped)));
    task.abort();
}

#[tokio::test]
async fn a_shutdown_is_bounded() {
    let backend = Backend::start(|_, _| Reply::Hang).await;
    let proxy =
        Proxy::start(&ProxySettings { workers: 1, grace: Duration::from_millis(50), ..ProxySettings::default() })
            .unwrap();
    proxy.ensure(config(80)).await.unwrap();
    proxy.targets_set(LB, &[backend.target("a")]).unwrap();
    all_healthy(&proxy).await;
    let mut session = with_a_request_running(&proxy).await;
    in_time(proxy.shutdown()).await;
    assert!(session.is_closed().await);
}
