//! Opening listening sockets, and finding out who has the port when that fails.
//!
//! `SO_REUSEPORT` is not used: with it the kernel would let a second process of the same user share the port in silence.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use super::error::Holder;

/// Connections that the kernel keeps for us until they are accepted. It caps this at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Field `st` of a listening socket in `/proc/net/tcp` (`TCP_LISTEN` of Linux' `tcp_states.h`).
const LISTEN: &str = "0A";

/// Opens a non-blocking listening socket. IPv6 addresses take IPv6 only, so that `0.0.0.0` and `::` may be asked for side by side.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Without it, a port whose last connections are in TIME_WAIT could not be taken again after a restart.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Whether two addresses cannot both be listened on.
pub(super) fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port()
        && a.port() != 0
        && a.is_ipv4() == b.is_ipv4()
        && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
}

/// Who listens where `address` would. Best effort, reads `/proc`, may take some milliseconds: call it off the event loop.
pub(super) fn holder(address: SocketAddr) -> Holder {
    let mut inodes = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let Ok(text) = fs::read_to_string(table) else { continue };
        inodes.extend(text.lines().skip(1).filter_map(|line| listening_inode(line, address)));
    }
    // Several sockets can be in the way (another address each); any one of them is worth naming.
    inodes.iter().find_map(|inode| owner(inode)).unwrap_or(Holder::Unseen)
}

/// The inode in a line of `/proc/net/tcp{,6}`, if that is a listening socket in the way of `address`.
fn listening_inode(line: &str, address: SocketAddr) -> Option<String> {
    let mut fields = line.split_whitespace();
    let local = fields.nth(1)?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?;
    let (ip, port) = local.split_once(':')?;
    if state != LISTEN || u16::from_str_radix(port, 16).ok()? != address.port() {
        return None;
    }
    let ip = parse_ip(ip)?;
    // A `::` without IPV6_V6ONLY takes the IPv4 port as well, and the table does not tell; so it counts for both.
    let in_the_way =
        ip.is_unspecified() || address.ip().is_unspecified() || ip.to_canonical() == address.ip().to_canonical();
    in_the_way.then(|| inode.to_owned())
}

/// An address as `/proc/net/tcp{,6}` writes it: 32-bit words in the byte order of the machine, in hex.
fn parse_ip(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match hex.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let mut bytes = [0; 16];
            for index in 0..4 {
                bytes[index * 4..index * 4 + 4].copy_from_slice(&word(index * 8)?);
            }
            Some(IpAddr::V6(Ipv6Addr::from(bytes)))
        }
        _ => None,
    }
}

/// The process that has the socket open.
fn owner(inode: &str) -> Option<Holder> {
    let wanted = format!("socket:[{inode}]");
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(files) = fs::read_dir(process.path().join("fd")) else { continue };
        let has_it = files
            .flatten()
            .any(|file| fs::read_link(file.path()).is_ok_and(|link| link.as_os_str() == wanted.as_str()));
        if has_it {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(Holder::Process { name: name.trim_end().to_owned(), pid });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_table_is_read() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0000 100 0 0 10 0";
        let at = |text: &str| text.parse::<SocketAddr>().expect("an address");
        assert_eq!(listening_inode(line, at("127.0.0.1:8080")).as_deref(), Some("4242"));
        assert_eq!(listening_inode(line, at("0.0.0.0:8080")).as_deref(), Some("4242"));
        assert_eq!(listening_inode(line, at("127.0.0.2:8080")), None);
        assert_eq!(listening_inode(line, at("127.0.0.1:8081")), None);
    }

    #[test]
    fn addresses_overlap_through_the_unspecified_one() {
        let at = |text: &str| text.parse::<SocketAddr>().expect("an address");
        assert!(overlap(at("0.0.0.0:80"), at("10.0.0.1:80")));
        assert!(!overlap(at("10.0.0.2:80"), at("10.0.0.1:80")));
        assert!(!overlap(at("0.0.0.0:80"), at("[::]:80")));
        assert!(!overlap(at("127.0.0.1:0"), at("127.0.0.1:0")));
    }
}
