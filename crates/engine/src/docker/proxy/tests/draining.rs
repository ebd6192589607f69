//! Copies come and go, and no request fails.

use tokio::sync::Semaphore;

use super::*;

#[tokio::test]
async fn a_rolling_update_under_load_fails_no_request() {
    let mut backends = vec![Arc::new(Backend::named("v1").await), Arc::new(Backend::named("v1").await)];
    let mut targets = vec![backends[0].target("old-0"), backends[1].target("old-1")];
    let proxy = serving(config(80), &targets).await;
    let to = address(&proxy, 0);
    let stop = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..8)
        .map(|number| {
            let stop = Arc::clone(&stop);
            tokio::spawn(async move {
                let mut session = Session::open(to).await;
                let mut answered = 0;
                while stop.load(Ordering::SeqCst) == 0 {
                    if number % 2 == 0 {
                        session.get().await;
                    } else {
                        session.send("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\nhi").await;
                        assert!(session.answer().await.0.starts_with("HTTP/1.1 200"));
                    }
                    answered += 1;
                    tokio::task::yield_now().await;
                }
                answered
            })
        })
        .collect();
    for round in 0..6 {
        let fresh = Arc::new(Backend::named("v2").await);
        targets.push(fresh.target(&format!("new-{round}")));
        backends.push(fresh);
        proxy.targets_set(LB, &targets).unwrap();
        all_healthy(&proxy).await;
        let mut leaving = targets.remove(0);
        leaving.draining = true;
        let mut now = targets.clone();
        now.push(leaving.clone());
        proxy.targets_set(LB, &now).unwrap();
        assert_eq!(proxy.drained(LB, &leaving.id, LIMIT).await, Drained::Empty);
        // The copy is stopped as soon as it is empty, its idle connections with it.
        drop(backends.remove(0));
        proxy.targets_set(LB, &targets).unwrap();
        let before = backends[1].requests();
        until("traffic goes on", || backends[1].requests() > before + 20).await;
    }
    stop.store(1, Ordering::SeqCst);
    for client in clients {
        assert!(client.await.unwrap() > 0);
    }
}

#[tokio::test]
async fn a_draining_target_finishes_what_it_has_and_gets_nothing_new() {
    let gate = Arc::new(Semaphore::new(0));
    let listener = TcpListener::bind(loopback(1)).await.unwrap();
    let slow = target("slow", 80, listener.local_addr().unwrap());
    let opened = Arc::clone(&gate);
    let answering = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let opened = Arc::clone(&opened);
            tokio::spawn(async move {
                let mut held = Vec::new();
                while read_message(&mut stream, &mut held).await.is_some() {
                    opened.acquire().await.unwrap().forget();
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nslow").await.unwrap();
                }
            });
        }
    });
    let other = Backend::named("other").await;
    let proxy = serving(config(80), std::slice::from_ref(&slow)).await;
    let mut session = Session::open(address(&proxy, 0)).await;
    session.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;
    until("the request is on its way", || proxy.status(LB).unwrap()[0].in_flight == 1).await;
    proxy.targets_set(LB, &[draining(slow.clone()), other.target("other")]).unwrap();
    all_healthy(&proxy).await;
    assert_eq!(proxy.drained(LB, "slow", Duration::from_millis(30)).await, Drained::TimedOut { in_flight: 1 });
    let mut second = Session::open(address(&proxy, 0)).await;
    for _ in 0..5 {
        assert_eq!(second.get().await, "other");
    }
    let waiting = proxy.drained(LB, "slow", LIMIT);
    gate.add_permits(1);
    assert_eq!(waiting.await, Drained::Empty);
    assert_eq!(session.answer().await.1, "slow");
    // The same client connection goes on, to another target.
    assert_eq!(session.get().await, "other");
    assert_eq!(proxy.drained(LB, "nobody", LIMIT).await, Drained::Empty);
    answering.abort();
}

#[tokio::test]
async fn a_target_that_shall_stay_after_all_gets_requests_again() {
    let backend = Backend::named("a").await;
    let proxy = serving(config(80), &[backend.target("a")]).await;
    proxy.targets_set(LB, &[draining(backend.target("a"))]).unwrap();
    assert!(ask(address(&proxy, 0), GET).await.contains("1 draining"));
    proxy.targets_set(LB, &[backend.target("a")]).unwrap();
    all_healthy(&proxy).await;
    assert!(ask(address(&proxy, 0), GET).await.starts_with("HTTP/1.1 200"));
}
