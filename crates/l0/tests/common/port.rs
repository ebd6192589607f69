//! Ports for servers and load balancers.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// A port that nothing listens on, given out once in this process.
///
/// A server must come back on the port it had, and a load balancer's port stands in its description, so 0 does not do. The
/// numbers lie below those that the kernel gives to outgoing connections (from 32768), so that none of those takes it.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    // Two runs at a time begin in different places.
    let start = u16::try_from((std::process::id() * 157) % u32::from(COUNT)).expect("below COUNT");
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(step < COUNT, "no free port");
        let port = FIRST + (start + step) % COUNT;
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}
