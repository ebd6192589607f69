//! Whether the servers answer, asked as every client asks.

use std::time::Duration;

use async_trait::async_trait;
use layer0_api::client::{Client, ClientError, ClientOptions};
use layer0_setup::ops::Door;

const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Asks at an endpoint, without a credential.
pub(super) struct ApiDoor;

#[async_trait]
impl Door for ApiDoor {
    async fn health(&self, endpoint: &str) -> Result<Option<String>, String> {
        let client = Client::new(ClientOptions {
            endpoint: endpoint.to_owned(),
            token: None,
            timeout: ANSWER_MAX,
            skip_ssl_verify: false,
        });
        let client = client.map_err(|why| why.to_string())?;
        client.health().await.map_err(|why| chain(&why))
    }
}

/// An error with what it came from: "connection refused" stands at the end.
fn chain(error: &ClientError) -> String {
    crate::error::chain_of(error).into_iter().fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
