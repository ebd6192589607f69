//! A guest book: one page with a form and the list of those who signed, kept in memory.
//!
//! It is what the demonstration deploys, so it does by the book what a container ought to do: it answers a health
//! check, says which version and which copy answered, logs one line per request to stdout, and on SIGTERM takes no new
//! connection, finishes the requests that run, and exits with 0.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | the page |
//! | `POST /` with `name` and `message` as a form | the page with the new entry |
//! | `GET /health` | 200 `ok` |
//! | `GET /version` | the version as text |
//!
//! Environment: `PORT` (8080), `GREETING` (the headline). The version is `GUESTBOOK_VERSION` at build time.

mod book;
mod http;
mod page;
mod serve;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::serve::Server;

/// How long running requests may take once the process was told to stop. Below Docker's 10 seconds until SIGKILL.
const DRAIN_LIMIT: Duration = Duration::from_secs(8);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("guestbook: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    let port = match std::env::var("PORT") {
        Ok(text) => text.parse().map_err(|_| io::Error::other(format!("PORT is `{text}`, not a port number")))?,
        Err(_) => 8080,
    };
    // Before the listener: a signal that comes while we start must not be lost.
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))?;
    let server = Arc::new(Server::new(page::About::from_environment()));

    println!(
        "guestbook {} listens on {}, copy {}",
        server.about().version,
        listener.local_addr()?,
        server.about().copy
    );
    let stopper = listener.try_clone()?;
    let accepting = {
        let server = Arc::clone(&server);
        thread::spawn(move || server.accept(&listener))
    };
    if let Some(signal) = signals.forever().next() {
        println!("signal {signal}: finishing the requests that run");
    }
    server.stop(&stopper)?;
    drop(stopper);
    accepting.join().map_err(|_| io::Error::other("the accepting thread died"))?;
    if server.drain(DRAIN_LIMIT) {
        println!("stopped");
        Ok(())
    } else {
        Err(io::Error::other(format!("requests still ran {} s after the signal", DRAIN_LIMIT.as_secs())))
    }
}
