//! A server that was killed finds its fifty services again, as they were.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::bench::guestbook::Guestbook;
use crate::bench::http::Http;
use crate::bench::instance::Engine;
use crate::bench::stats::{largest, median, pause, until};
use crate::bench::{Bench, Outcome};

const SERVICES: usize = 50;
const BALANCERS: usize = 10;
const KILLS: usize = 3;

pub(in crate::bench) fn measure(bench: &Bench) -> Result<Outcome> {
    let mut book = Guestbook::start(bench)?;
    let (mut balancers, mut ports) = (Vec::new(), Vec::new());
    for number in 0..BALANCERS {
        let name = format!("lb{number}");
        let (id, port) = book.api.load_balancer(&book.environment, &name, &serde_json::Value::Null)?;
        balancers.push(id);
        ports.push(port);
    }
    let ids = book.services(SERVICES, &balancers)?;
    let (mut took, mut changed) = (Vec::new(), 0);
    for _ in 0..KILLS {
        let before = book.running()?;
        book.instance.kill()?;
        let since = Instant::now();
        book.instance.start(Engine::Docker)?;
        book.api = book.instance.api()?;
        until(Duration::from_secs(60), "all services to run", || {
            for id in &ids {
                let service = book.api.get(&format!("/service/{id}"))?;
                if service["running_count"] != 1 || service["pending_count"] != 0 {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })?;
        until(Duration::from_secs(60), "all load balancers to pass requests on", || {
            Ok(ports.iter().all(|port| passes_on(*port)).then_some(()))
        })?;
        took.push(since.elapsed().as_secs_f64());
        // Whatever it would restart it would have by then.
        pause(Duration::from_secs(3));
        let after = book.running()?;
        changed += before.values().filter(|it| after.get(&it.id) != Some(*it)).count();
        changed += after.keys().filter(|id| !before.contains_key(*id)).count();
    }
    let worst = largest(&took);
    Ok(Outcome {
        figure: format!("{worst:.2} s, {changed} restarted"),
        met: worst <= 3.0 && changed == 0,
        notes: vec![format!(
            "the longest of {KILLS} kills, median {:.2} s; {SERVICES} services of one container, {BALANCERS} of them behind a load \
             balancer; from the start of the process until `GET /service/ID` has shown each of them with its copy running and each \
             load balancer has passed a request on; restarted counts containers whose id, `StartedAt` or address differs, and \
             those that came or went, 3 s later",
            median(&took)
        )],
    })
}

fn passes_on(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let connection = Http::tcp(address, "connection: close\r\n", Duration::from_secs(5));
    connection.and_then(|mut it| it.ask("GET", "/health", None)).is_ok_and(|answer| answer.status == 200)
}
