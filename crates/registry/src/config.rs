//! What the registry can be told when it is built.

use std::path::PathBuf;
use std::time::Duration;

/// How clients are asked to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Challenge {
    /// `Bearer realm=".../auth/token"`: the token flow of the distribution project, which every client speaks.
    #[default]
    Bearer,
    /// `Basic realm="..."`: name and password on every request.
    Basic,
}

/// The registry's settings. Start from [`RegistryConfig::new`].
#[derive(Debug, Clone)]
pub struct RegistryConfig {
    /// The instance's data directory; the registry keeps to `registry/` inside it.
    pub data_dir: PathBuf,
    /// Whether a push into a repository that does not exist makes it. Else the push is refused with the command that
    /// makes it.
    pub create_on_push: bool,
    /// How clients are asked to sign in.
    pub challenge: Challenge,
    /// Whether `X-Forwarded-Proto` is believed: only when a proxy in front of us sets it, since else it is the client's
    /// word.
    pub trusted_proxy: bool,
    /// An upload that nobody touched for so long is taken away by `Registry::sweep`.
    pub upload_expiry: Duration,
    /// How long a blob is kept that no manifest of its repository names, from when it was linked: longer than any push takes
    /// from its first blob to its manifest. A client that is told of a blob has at least half of it.
    pub blob_grace: Duration,
    /// A request body that brings nothing, or next to nothing (4 KiB), for so long is given up. What came before stays, and
    /// can be continued.
    pub body_idle: Duration,
    /// Whether clients are sent to where bytes lie for blobs, when there is an address that they can be fetched from.
    pub redirect: bool,
    /// Hosts (with ports where there are any) under which clients know this registry: `localhost:9090`. For
    /// `ImageSource`.
    pub registry_hosts: Vec<String>,
}

impl RegistryConfig {
    /// The defaults, in this data directory: pushes into missing repositories refused, Bearer, no proxy, uploads kept
    /// for a day, a minute of silence tolerated.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            create_on_push: false,
            challenge: Challenge::Bearer,
            trusted_proxy: false,
            upload_expiry: Duration::from_secs(24 * 60 * 60),
            blob_grace: Duration::from_secs(24 * 60 * 60),
            body_idle: Duration::from_secs(60),
            redirect: false,
            registry_hosts: Vec::new(),
        }
    }
}
