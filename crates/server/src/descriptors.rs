//! File descriptors: how many this process may have, and how many connections that is room for.
//!
//! Many systems give a process 1,024 of them, unless it asks for more of what it may have. Every push and every pull needs two at a
//! time, its connection's and its file's, and whoever gets none for his file is told that the server failed.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What one connection needs at a time: its own, and that of a blob's file.
const EACH: u64 = 2;

/// What the process needs besides: the store, the engine, load balancers, and files that are looked at while nobody asks.
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

/// How many connections there is room for, `most` at most.
pub(crate) fn connections(most: usize) -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    let room = room(limit, most);
    if room < most {
        tracing::warn!(
            "this process may have {} open files, which is room for {room} connections at a time: others wait (raise the hard limit, \
             `ulimit -Hn` or LimitNOFILE=, to {})",
            limit.unwrap_or_default(),
            most as u64 * EACH + BESIDES
        );
    }
    room
}

/// `None` for no limit.
fn room(limit: Option<u64>, most: usize) -> usize {
    let room = limit.map_or(u64::MAX, |limit| (limit.saturating_sub(BESIDES) / EACH).max(LEAST));
    usize::try_from(room).unwrap_or(usize::MAX).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_file_for_each_connection() {
        assert_eq!(room(None, 4096), 4096);
        assert_eq!(room(Some(1 << 20), 4096), 4096);
        assert_eq!(room(Some(4096 * 2 + 256), 4096), 4096);
        assert_eq!(room(Some(1024), 4096), 384);
        assert_eq!(room(Some(64), 4096), 16, "few, but some");
    }
}
