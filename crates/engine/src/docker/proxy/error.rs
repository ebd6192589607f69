//! What can go wrong when a load balancer is changed.

use std::fmt;
use std::io;
use std::net::SocketAddr;

/// Why a call to the proxy was refused. Nothing was changed then, unless the variant says so.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The address is taken. Tell the user by whom; trying again helps once the holder has gone.
    #[error("port {} on {} is held by {holder}", address.port(), address.ip())]
    PortHeld {
        /// The address that was asked for.
        address: SocketAddr,
        /// Who has it.
        holder: Holder,
    },
    /// The kernel refuses the address for another reason: not ours, no permission.
    #[error("cannot listen on port {} of {}", address.port(), address.ip())]
    Bind {
        /// The address that was asked for.
        address: SocketAddr,
        /// The kernel's word.
        #[source]
        source: io::Error,
    },
    /// One configuration names an address in two listeners.
    #[error("{address} is in the configuration of load balancer {id} twice")]
    Twice {
        /// Whose configuration.
        id: String,
        /// The address.
        address: SocketAddr,
    },
    /// There is no such load balancer here; `ensure` it first.
    #[error("no load balancer {id}")]
    Unknown {
        /// The id that was asked for.
        id: String,
    },
    /// The proxy has been shut down.
    #[error("the proxy is shut down")]
    Stopped,
    /// Threads or event queues could not be made when the proxy started.
    #[error("the proxy cannot start")]
    Start(#[source] io::Error),
}

/// Who has a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// Another load balancer of this proxy.
    LoadBalancer {
        /// Its id.
        id: String,
    },
    /// A process on this machine.
    Process {
        /// Its name as the kernel keeps it (at most 15 characters).
        name: String,
        /// Its process id.
        pid: u32,
    },
    /// Somebody who cannot be seen: another user's process, or another namespace's.
    Unseen,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoadBalancer { id } => write!(f, "load balancer {id}"),
            Self::Process { name, pid } => write!(f, "{name} (pid {pid})"),
            Self::Unseen => f.write_str("a process that cannot be seen from here"),
        }
    }
}
