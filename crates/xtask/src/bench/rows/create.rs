//! `l0 service create` to healthy against the same `docker run` and one health-check pass.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::bench::guestbook::{ENVIRONMENT, Guestbook, quick_check, run};
use crate::bench::http::Http;
use crate::bench::stats::{self, median, ms, until};
use crate::bench::{Bench, Outcome};

/// Pairs that are measured, after one that is not.
const PAIRS: usize = 11;

pub(in crate::bench) fn measure(bench: &Bench) -> Result<Outcome> {
    let mut book = Guestbook::start(bench)?;
    let network = format!("{}-run", book.instance.stem);
    bench.docker.network_create(&book.instance.stem, &network)?;
    let (mut ratios, mut ours, mut runs, mut passes) = (vec![], vec![], vec![], vec![]);
    for pair in 0..=PAIRS {
        let (run, pass) = docker_run(&book, &network, pair)?;
        let created = service_create(&mut book, pair)?;
        if pair == 0 {
            continue;
        }
        ratios.push(created / (run + pass));
        ours.push(created);
        runs.push(run);
        passes.push(pass);
    }
    let ratio = median(&ratios);
    Ok(Outcome {
        figure: format!("{ratio:.2}×"),
        met: ratio <= 1.3,
        notes: vec![
            format!(
                "median of {PAIRS} alternate pairs; `l0 service create` {:.0} ms, `docker run` {:.0} ms, \
                 health-check pass {:.1} ms (medians); ratios from {:.2}× to {:.2}×",
                median(&ours),
                median(&runs),
                median(&passes),
                ratios.iter().copied().fold(f64::NAN, f64::min),
                stats::largest(&ratios),
            ),
            "`l0 service create` is the whole command, from its start until it exits with 0: pull check, pinning, operation, \
             container, network, the load balancer's HTTP check on it, and the news that it is healthy"
                .to_owned(),
            "`docker run` is `docker run --detach` with the same image, memory limit, environment and stop timeout in a \
             bridge network of its own, from its start until it exits with 0; the pass is from there until `GET /health` at the \
             container's address has answered 200, asking again at once while it is refused"
                .to_owned(),
        ],
    })
}

/// Milliseconds of one `docker run`, and of one health-check pass behind it.
fn docker_run(book: &Guestbook, network: &str, number: usize) -> Result<(f64, f64)> {
    let name = format!("{}-run-{number}", book.instance.stem);
    let mut command = Command::new("docker");
    command
        .args(["run", "--detach", "--name", &name, "--network", network, "--memory", "64m", "--stop-timeout", "10"])
        .args(["--env", "GREETING=Hello", "--label", &format!("layer0.instance={}-bench", book.instance.stem)])
        .arg(&book.image);
    let since = Instant::now();
    run(&mut command)?;
    let started = since.elapsed();
    // Asking where it is does not count: Layer0's own check knows that already.
    let address = book.instance.docker.container(&name)?.address;
    let address: SocketAddr = format!("{address}:8080").parse().context("the container has an address")?;
    let since = Instant::now();
    while !healthy(address) {
        anyhow::ensure!(since.elapsed() < Duration::from_secs(10), "the container never answered");
        stats::pause(Duration::from_micros(500));
    }
    let passed = since.elapsed();
    book.instance.docker.remove("containers", &name)?;
    Ok((ms(started), ms(passed)))
}

fn healthy(address: SocketAddr) -> bool {
    let connection = Http::tcp(address, "connection: close\r\n", Duration::from_secs(1));
    connection.and_then(|mut it| it.ask("GET", "/health", None)).is_ok_and(|answer| answer.status == 200)
}

/// Milliseconds of one `l0 service create`, behind a load balancer with a health check.
fn service_create(book: &mut Guestbook, number: usize) -> Result<f64> {
    let (service, balancer) = (format!("web{number}"), format!("lb{number}"));
    let (balancer_id, _) = book.api.load_balancer(&book.environment, &balancer, &quick_check())?;
    let words = ["service", "create", ENVIRONMENT, &service, "guestbook:latest", "--loadbalancer", &balancer];
    let took = book.instance.timed(book.instance.cli(&words)?)?;

    let all = book.api.get("/service")?;
    let made = all.as_array().and_then(|all| all.iter().find(|it| it["service_name"] == service.as_str()));
    let id = made.and_then(|it| it["service_id"].as_str()).context("the service is listed")?;
    book.api.change("DELETE", &format!("/service/{id}"), None)?;
    book.api.change("DELETE", &format!("/loadbalancer/{balancer_id}"), None)?;
    let stem = book.instance.stem.clone();
    until(Duration::from_secs(30), "the service's container to go", || {
        Ok(book.instance.docker.running_ids(&stem)?.is_empty().then_some(()))
    })?;
    Ok(ms(took))
}
