//! The way out: small answers, soon, from where they were asked for.

use std::sync::OnceLock;
use std::time::Duration;

use layer0_domain::port::BoxError;
use reqwest::RequestBuilder;
use reqwest::redirect::Policy;

/// How long a connection may take to come about.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// How long all of an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// The longest answer that is read. GitHub's keys have 8 KiB.
const BYTES_MAX: usize = 256 * 1024;

/// Fetches. Made with the first request, so that a server that needs none loads no certificates.
#[derive(Default)]
pub(super) struct Fetcher(OnceLock<reqwest::Client>);

impl Fetcher {
    pub(super) fn client(&self) -> Result<&reqwest::Client, BoxError> {
        if let Some(client) = self.0.get() {
            return Ok(client);
        }
        // Fails only when a provider was installed before, which is just as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .user_agent(concat!("layer0/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_MAX)
            .timeout(ANSWER_MAX)
            .redirect(Policy::none())
            .no_proxy()
            .build()?;
        Ok(self.0.get_or_init(|| client))
    }

    /// Sends a request; answers status and body.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<(u16, Vec<u8>), BoxError> {
        let mut answer = request.send().await?;
        let (status, mut bytes) = (answer.status().as_u16(), Vec::new());
        while let Some(chunk) = answer.chunk().await? {
            if bytes.len() + chunk.len() > BYTES_MAX {
                return Err(format!("the answer is longer than {BYTES_MAX} bytes").into());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok((status, bytes))
    }

    /// Fetches a document.
    pub(super) async fn document(&self, url: &str) -> Result<Vec<u8>, BoxError> {
        let request = self.client()?.get(url).header("accept", "application/json");
        match self.send(request).await? {
            (200, bytes) => Ok(bytes),
            (status, _) => Err(format!("{url} answered with status {status}").into()),
        }
    }
}
