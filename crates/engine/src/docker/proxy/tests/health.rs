//! What makes a target healthy and unhealthy.

use std::sync::atomic::AtomicU16;

use super::*;

fn by_path(interval: Duration) -> LoadBalancerConfig {
    let mut config = config(80);
    config.health_check.kind = HealthCheckKind::Http { path: "/up?deep=1".to_owned() };
    config.health_check.interval = interval;
    config
}

/// A backend that answers probes with a status that the test can change.
async fn moody(status: u16) -> (Backend, Arc<AtomicU16>) {
    let mood = Arc::new(AtomicU16::new(status));
    let read = Arc::clone(&mood);
    let backend = Backend::start(move |head, _| {
        if head.starts_with("GET /up?deep=1 ") {
            Reply::Send(format!("HTTP/1.1 {} X\r\ncontent-length: 0\r\n\r\n", read.load(Ordering::SeqCst)))
        } else {
            ok("a")
        }
    })
    .await;
    (backend, mood)
}

#[tokio::test]
async fn a_new_target_needs_one_success_and_a_judged_one_its_thresholds() {
    let (backend, mood) = moody(200).await;
    let proxy = serving(by_path(Duration::from_millis(100)), &[backend.target("a")]).await;
    assert_eq!(backend.requests(), 1);
    mood.store(500, Ordering::SeqCst);
    let before = backend.requests();
    let status = status_until(&proxy, |all| all[0].health != TargetHealth::Healthy).await;
    let TargetHealth::Unhealthy { reason } = &status[0].health else { panic!("{status:?}") };
    assert!(reason.contains("answers 500, not 200"), "{reason}");
    assert!(backend.requests() - before >= 2, "two failures in a row are needed");
    assert!(ask(address(&proxy, 0), GET).await.starts_with("HTTP/1.1 503"));
    mood.store(200, Ordering::SeqCst);
    let before = backend.requests();
    all_healthy(&proxy).await;
    assert!(backend.requests() - before >= 2, "two successes in a row are needed");
    assert!(ask(address(&proxy, 0), GET).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_starting_target_is_asked_often_and_tells_what_it_lacks() {
    let (backend, mood) = moody(503).await;
    let proxy = start();
    // With this interval alone the test would take minutes.
    proxy.ensure(by_path(Duration::from_secs(300))).await.unwrap();
    proxy.targets_set(LB, &[backend.target("a")]).unwrap();
    let status = status_until(&proxy, |all| all[0].last_failure.is_some()).await;
    assert_eq!(status[0].health, TargetHealth::Initial);
    assert!(status[0].last_failure.as_ref().unwrap().contains("answers 503, not 200"), "{status:?}");
    until("it is probed again and again", || backend.requests() >= 3).await;
    // As on AWS, who sends somebody elsewhere is there.
    mood.store(302, Ordering::SeqCst);
    all_healthy(&proxy).await;
    assert_eq!(proxy.status(LB).unwrap()[0].last_failure, None);
}

#[tokio::test]
async fn a_target_that_never_comes_up_is_unhealthy_in_the_end() {
    let (backend, _mood) = moody(404).await;
    let proxy = start();
    proxy.ensure(by_path(Duration::from_millis(60))).await.unwrap();
    proxy.targets_set(LB, &[backend.target("a")]).unwrap();
    status_until(&proxy, |all| matches!(&all[0].health, TargetHealth::Unhealthy { reason } if reason.contains("404")))
        .await;
}

#[tokio::test]
async fn a_probe_ends_with_its_timeout() {
    let backend = Backend::start(|_, _| Reply::Hang).await;
    let proxy = start();
    let mut config = by_path(Duration::from_millis(50));
    config.health_check.timeout = Duration::from_millis(50);
    proxy.ensure(config).await.unwrap();
    proxy.targets_set(LB, &[backend.target("a")]).unwrap();
    let status = status_until(&proxy, |all| matches!(all[0].health, TargetHealth::Unhealthy { .. })).await;
    let failure = status[0].last_failure.as_ref().unwrap();
    assert!(failure.contains("no answer from") || failure.contains("did not answer in time"), "{failure}");
}

#[tokio::test]
async fn new_settings_hold_for_the_next_probe_and_staying_targets_keep_their_health() {
    let (backend, _mood) = moody(200).await;
    let proxy = serving(by_path(Duration::from_secs(300)), &[backend.target("a")]).await;
    let other = Backend::named("b").await;
    proxy.targets_set(LB, &[backend.target("a"), other.target("b")]).unwrap();
    assert_eq!(proxy.status(LB).unwrap()[0].health, TargetHealth::Healthy);
    let mut elsewhere = by_path(Duration::from_millis(50));
    elsewhere.listeners[0].bind = vec![loopback(1)];
    // Nothing listens on the override of this port.
    elsewhere.health_check.port = Some(1);
    proxy.ensure(elsewhere).await.unwrap();
    status_until(&proxy, |all| matches!(all[0].health, TargetHealth::Unhealthy { .. })).await;
}
