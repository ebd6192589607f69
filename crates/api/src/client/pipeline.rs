//! What a pipeline's own platform says of it.

use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;

use super::{Client, ClientError, ClientOptions};

/// How long the platform may take to answer.
const LIMIT: Duration = Duration::from_secs(30);

/// Asks GitHub Actions for a token of OpenID Connect that is made for `audience`. Address and credential are what the job has in
/// `ACTIONS_ID_TOKEN_REQUEST_URL` and `ACTIONS_ID_TOKEN_REQUEST_TOKEN`, when it may ask (`permissions: id-token: write`).
///
/// # Errors
/// [`ClientError`].
pub async fn actions_id_token(address: &str, credential: &str, audience: &str) -> Result<String, ClientError> {
    #[derive(Deserialize)]
    struct Answer {
        value: String,
    }
    let options = ClientOptions { endpoint: address.to_owned(), token: None, timeout: LIMIT, skip_ssl_verify: false };
    let client = Client::new(options)?;
    let request = client.request(Method::GET, "").query(&[("audience", audience)]).bearer_auth(credential);
    let answer: Answer = client.json(request).await?;
    Ok(answer.value)
}
