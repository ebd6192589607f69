//! The registry itself: its parts and how it is built.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;

use axum::Router;
use layer0_domain::port::clock::Clock;
use layer0_domain::port::registry_store::RegistryStore;

use crate::blobs::Blobs;
use crate::config::RegistryConfig;
use crate::gate::{Gate, PullCredentialMinter};
use crate::routes;
use crate::uploads::Uploads;

/// The registry of an instance. Clones are the same registry. One process at a time may have one open on a data
/// directory.
#[derive(Clone)]
pub struct Registry {
    parts: Arc<Parts>,
}

/// What the registry is made of.
pub(crate) struct Parts {
    pub(crate) config: RegistryConfig,
    pub(crate) store: Arc<dyn RegistryStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) gate: Arc<dyn Gate>,
    pub(crate) minter: Arc<dyn PullCredentialMinter>,
    pub(crate) blobs: Blobs,
    pub(crate) uploads: Uploads,
}

/// What the registry needs from outside.
#[derive(Clone)]
pub struct RegistryPorts {
    /// Where repositories, manifests, tags and links are kept.
    pub store: Arc<dyn RegistryStore>,
    /// Time and the chance in upload names.
    pub clock: Arc<dyn Clock>,
    /// Who is let in.
    pub gate: Arc<dyn Gate>,
    /// Makes the credentials that `ImageSource::credential` hands out.
    pub minter: Arc<dyn PullCredentialMinter>,
}

impl Registry {
    /// Opens the registry's directory, making what is missing. Blocks for some file operations; meant for the start of
    /// the server.
    ///
    /// # Errors
    /// The directory can't be made or written to.
    pub fn open(config: RegistryConfig, ports: RegistryPorts) -> io::Result<Self> {
        let root = config.data_dir.join("registry");
        // Private images lie here: nobody but the server's user looks inside.
        DirBuilder::new().recursive(true).mode(0o700).create(&root)?;
        let RegistryPorts { store, clock, gate, minter } = ports;
        let blobs = Blobs::open(root.join("blobs"), Arc::clone(&store), Arc::clone(&clock))?;
        let uploads = Uploads::open(root.join("uploads"))?;
        Ok(Self { parts: Arc::new(Parts { config, store, clock, gate, minter, blobs, uploads }) })
    }

    /// Everything under `/v2/`, to be merged into the server's router. The peer's address is taken from
    /// `ConnectInfo<SocketAddr>` when the server provides it. `/auth/token`, which the Bearer challenge points to, is
    /// the server's.
    pub fn router(&self) -> Router {
        routes::router(self.clone())
    }

    /// Removes uploads that nobody touched for the configured time, and answers how many. To be called at the start and
    /// now and then (once in ten minutes is plenty).
    ///
    /// # Errors
    /// The directory of uploads can't be read.
    pub async fn sweep(&self) -> io::Result<usize> {
        let parts = self.parts();
        let swept = parts.uploads.sweep(parts.config.upload_expiry, parts.clock.now()).await?;
        if swept > 0 {
            tracing::info!(upload.count = swept, "removed {swept} uploads that nobody finished");
        }
        Ok(swept)
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.parts
    }
}
