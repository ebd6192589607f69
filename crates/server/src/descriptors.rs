//! File descriptors: how many this process may have, and how many connections that is room for.
//!
//! Many systems give a process 1,024 of them, unless it asks for more of what it may have. Every push and every pull needs two at a
//! time, its connection's and its file's, and whoever gets none for his file is told that the server failed.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What one connection needs at a time: its own, and that of a blob's file.
const EACH: u64 = 2;

/// What one connection of a load balancer needs at a time: the client's, its target's, and one to a target that waits for a next
/// request.
const EACH_BALANCED: u64 = 3;

/// What the process needs besides: the store, the engine, load balancers' ports, and files that are looked at while nobody asks.
const BESIDES: u64 = 256;

/// As few connections as are allowed in any case: an instance that refuses everybody is of no use.
const LEAST: u64 = 16;

/// Asks for all that this process may have. That it can't is no reason not to start: [`connections`] goes by what there is.
pub(crate) fn raise() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    if let Err(why) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(error = %why, limit = ?current, "no more file descriptors can be had");
    }
}

/// The most connections at a time, where there are descriptors for so many; who comes then waits until another one ends. Each costs
/// some tens of KiB; a thousand clients at once are far more than an instance on one machine is asked by.
const CONNECTIONS_MAX: usize = 4096;

/// What this process has connections for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carries {
    /// The API and the registry.
    Requests,
    /// The traffic of load balancers too, for as many connections: whatever these do, the API and the registry have theirs.
    TrafficToo,
}

/// How many connections load balancers may have at a time.
pub(crate) fn balanced() -> usize {
    room(getrlimit(Resource::Nofile).current, CONNECTIONS_MAX, Carries::TrafficToo)
}

/// How many connections there is room for.
pub(crate) fn connections(carries: Carries) -> usize {
    let (limit, most) = (getrlimit(Resource::Nofile).current, CONNECTIONS_MAX);
    let room = room(limit, most, carries);
    if room < most {
        tracing::warn!(
            "this process may have {} open files, which is room for {room} connections at a time: others wait (raise the hard limit, \
             `ulimit -Hn` or LimitNOFILE=, to {})",
            limit.unwrap_or_default(),
            most as u64 * each(carries) + BESIDES
        );
    }
    room
}

/// For one connection, with its twin of a load balancer where there are such.
fn each(carries: Carries) -> u64 {
    match carries {
        Carries::Requests => EACH,
        Carries::TrafficToo => EACH + EACH_BALANCED,
    }
}

/// `None` for no limit.
fn room(limit: Option<u64>, most: usize, carries: Carries) -> usize {
    let room = limit.map_or(u64::MAX, |limit| (limit.saturating_sub(BESIDES) / each(carries)).max(LEAST));
    usize::try_from(room).unwrap_or(usize::MAX).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_file_for_each_connection() {
        let room = |limit| room(limit, 4096, Carries::Requests);
        assert_eq!(room(None), 4096);
        assert_eq!(room(Some(1 << 20)), 4096);
        assert_eq!(room(Some(4096 * 2 + 256)), 4096);
        assert_eq!(room(Some(1024)), 384);
        assert_eq!(room(Some(64)), 16, "few, but some");
    }

    #[test]
    fn load_balancers_leave_the_others_their_files() {
        for limit in [1024, 4096, 1 << 20] {
            let each = room(Some(limit), 4096, Carries::TrafficToo) as u64;
            assert!(each * EACH + each * EACH_BALANCED + BESIDES <= limit, "{each} of {limit}");
        }
        assert_eq!(room(Some(1024), 4096, Carries::TrafficToo), 153);
    }
}
