//! An open-loop load: requests begin at fixed times whether or not those before them were answered, so that a stall shows
//! as late answers instead of fewer requests. Nothing is tried twice: every failure counts.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::http::Http;
use super::stats;

/// Threads that send. At 200 requests a second each may be busy for 0.3 s before a request begins late.
const SENDERS: u64 = 64;

/// A request that takes longer has failed.
const LIMIT: Duration = Duration::from_secs(5);

/// What became of a load.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Requests that got 200.
    pub(crate) good: u64,
    /// The others, by what went wrong.
    pub(crate) failed: BTreeMap<String, u64>,
    /// Milliseconds from when a request was due until its answer was there.
    pub(crate) took_ms: Vec<f64>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.good += other.good;
        self.took_ms.extend(other.took_ms);
        for (what, count) in other.failed {
            *self.failed.entry(what).or_default() += count;
        }
    }

    /// How many failed.
    pub(crate) fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// What went wrong and how often.
    pub(crate) fn in_words(&self) -> String {
        let parts: Vec<String> = self.failed.iter().map(|(what, count)| format!("{count}× {what}")).collect();
        parts.join(", ")
    }
}

/// A load that goes on until it is ended.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    senders: Vec<JoinHandle<Tally>>,
}

impl Load {
    /// Begins to ask for `/` at `address`, `per_second` times a second.
    pub(crate) fn begin(address: SocketAddr, per_second: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let next = Arc::new(AtomicU64::new(0));
        let begun = Instant::now();
        let gap = Duration::from_secs(1) / per_second;
        let senders = (0..SENDERS)
            .map(|_| {
                let (stop, next) = (Arc::clone(&stop), Arc::clone(&next));
                std::thread::spawn(move || send(address, &stop, &next, begun, gap))
            })
            .collect();
        Self { stop, senders }
    }

    /// Ends the load once the requests that run are answered.
    pub(crate) fn end(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Tally::default();
        for sender in self.senders {
            all.add(sender.join().expect("a sender that panics has said why"));
        }
        all
    }
}

/// Every other request goes over a new connection, the rest over one that is kept: clients do both.
fn send(address: SocketAddr, stop: &AtomicBool, next: &AtomicU64, begun: Instant, gap: Duration) -> Tally {
    let mut tally = Tally::default();
    let mut kept = None;
    while !stop.load(Ordering::Relaxed) {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let due = begun + gap * u32::try_from(number).unwrap_or(u32::MAX);
        stats::pause(due.saturating_duration_since(Instant::now()));
        let fresh = number.is_multiple_of(2);
        let connection = if fresh { None } else { kept.take() };
        match one(address, connection, fresh) {
            Ok((200, connection)) => {
                tally.good += 1;
                tally.took_ms.push(stats::ms(due.elapsed()));
                if !fresh {
                    kept = connection;
                }
            }
            Ok((status, _)) => *tally.failed.entry(format!("status {status}")).or_default() += 1,
            Err(what) => *tally.failed.entry(what).or_default() += 1,
        }
    }
    tally
}

type Connection = Http<std::net::TcpStream>;

fn one(address: SocketAddr, kept: Option<Connection>, fresh: bool) -> Result<(u16, Option<Connection>), String> {
    let headers = if fresh { "connection: close\r\n" } else { "" };
    let mut connection = match kept {
        Some(connection) => connection,
        None => Http::tcp(address, headers, LIMIT).map_err(|why| format!("no connection ({})", why.kind()))?,
    };
    let answer = connection.ask("GET", "/", None).map_err(|why| match why.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => format!("no answer within {} s", LIMIT.as_secs()),
        kind => format!("broken connection ({kind})"),
    })?;
    Ok((answer.status, answer.kept.then_some(connection)))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn every_failure_is_counted_once() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = std::thread::spawn(move || {
            for (number, stream) in listener.incoming().take(30).enumerate() {
                let mut stream = stream.expect("a connection");
                drop(stream.read(&mut [0; 1024]));
                let status = if number % 3 == 0 { "503 Busy" } else { "200 OK" };
                if number % 3 < 2 {
                    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                    stream.write_all(answer.as_bytes()).expect("written");
                }
            }
        });
        let load = Load::begin(address, 200);
        server.join().expect("thirty connections");
        let tally = load.end();
        assert_eq!(tally.good, 10);
        assert_eq!(tally.failed["status 503"], 10);
        // Those that came after the server had gone failed too.
        assert!(tally.failures() >= 20, "{}", tally.in_words());
    }
}
