//! ECR's registry, as far as a push needs it (OCI distribution specification, "Push"): what is there is not sent again, so a push that
//! broke goes on when it is repeated.

use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use layer0_aws::signed::Answer;
use layer0_domain::model::digest::Digest;
use serde_json::Value;

use super::AwsAccount;
use super::error::refused;
use super::registry::authority;
use crate::account::{AccountError, Secret, Trouble};
use crate::image::{Image, MANIFEST};

/// How long one request may take: a layer of a hundred megabytes over a slow line is one.
const TIME_MAX: Duration = Duration::from_secs(900);
/// The longest answer that is read.
const ANSWER_MAX: usize = 64 * 1024;
/// Tries of one request while the registry is busy or can't be reached.
const TRIES: u32 = 5;
/// The first wait before a repetition; each next one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// A repository in a registry.
struct Target<'a> {
    account: &'a AwsAccount,
    /// `https://<registry>`
    base: String,
    name: &'a str,
    token: Secret,
}

/// One request.
struct Asked<'a> {
    /// What IAM calls it.
    op: &'static str,
    method: &'static str,
    url: String,
    content_type: &'static str,
    body: &'a [u8],
}

impl AwsAccount {
    pub(super) async fn image_send(&self, name: &str, image: &Image, tag: &str) -> Result<(), AccountError> {
        let registry = self.registry_host().await?;
        let is_stand_in = self.connection.registry_stand_in();
        let is_plain = is_stand_in.is_some_and(|url| url.starts_with("http://") && authority(&url) == registry);
        let base = format!("{}://{registry}", if is_plain { "http" } else { "https" });
        let target = Target { account: self, base, name, token: self.registry_token().await? };
        if target.tagged(tag).await? == Some(image.digest()) {
            return Ok(());
        }
        for blob in image.blobs() {
            target.blob(blob).await?;
        }
        let put = target.asked("ecr:PutImage", "PUT", &format!("manifests/{tag}"), MANIFEST, &image.manifest);
        let answer = target.done(&put, target.send(&put).await?)?;
        agrees(put.op, &answer, &image.digest())
    }
}

impl Target<'_> {
    fn asked<'a>(
        &self,
        op: &'static str,
        method: &'static str,
        path: &str,
        content_type: &'static str,
        body: &'a [u8],
    ) -> Asked<'a> {
        Asked { op, method, url: format!("{}/v2/{}/{path}", self.base, self.name), content_type, body }
    }

    /// The digest of the image under a tag.
    async fn tagged(&self, tag: &str) -> Result<Option<Digest>, AccountError> {
        let head = self.asked("ecr:BatchGetImage", "HEAD", &format!("manifests/{tag}"), "", &[]);
        let answer = self.send(&head).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        let answer = self.done(&head, answer)?;
        Ok(answer.header("docker-content-digest").and_then(|digest| Digest::parse(digest).ok()))
    }

    /// Sends a blob unless it is there.
    async fn blob(&self, bytes: &[u8]) -> Result<(), AccountError> {
        let digest = Digest::sha256_of(bytes);
        let head = self.asked("ecr:BatchCheckLayerAvailability", "HEAD", &format!("blobs/{digest}"), "", &[]);
        let answer = self.send(&head).await?;
        match answer.status {
            // It is there, or where it is to be fetched.
            200..400 => return Ok(()),
            404 => {}
            _ => return self.done(&head, answer).map(drop),
        }
        let mut wait = FIRST_WAIT;
        let mut tried = 0;
        loop {
            tried += 1;
            match self.upload(bytes, &digest).await {
                Ok(()) => return Ok(()),
                // An upload that broke is of no more use: it begins anew.
                Err(error) if error.trouble.passes() && tried < TRIES => {
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn upload(&self, bytes: &[u8], digest: &Digest) -> Result<(), AccountError> {
        let begin = self.asked("ecr:InitiateLayerUpload", "POST", "blobs/uploads/", "", &[]);
        let answer = self.done(&begin, self.send(&begin).await?)?;
        let location = answer.header("location").unwrap_or_default();
        let url = self.here(begin.op, location)?;
        let mark = if url.contains('?') { '&' } else { '?' };
        // Digests have a `:`, which a query may have as it is.
        let url = format!("{url}{mark}digest={digest}");
        let put = Asked {
            op: "ecr:UploadLayerPart",
            method: "PUT",
            url,
            content_type: "application/octet-stream",
            body: bytes,
        };
        let answer = self.done(&put, self.once(&put).await?)?;
        agrees(put.op, &answer, digest)
    }

    /// A location as an address: of this registry alone, as the token goes along.
    fn here(&self, op: &str, location: &str) -> Result<String, AccountError> {
        if location.starts_with('/') {
            return Ok(format!("{}{location}", self.base));
        }
        if location.contains("://") && authority(location) == authority(&self.base) {
            let path = location.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
            return Ok(format!("{}/{}", self.base, path.map_or("", |(_, path)| path)));
        }
        Err(refused(op, "the registry wants the layer at another place than itself"))
    }

    /// Asks, again while the registry is busy or can't be reached: for what may be done twice.
    async fn send(&self, asked: &Asked<'_>) -> Result<Answer, AccountError> {
        let mut wait = FIRST_WAIT;
        let mut tried = 0;
        loop {
            tried += 1;
            let again = match self.once(asked).await {
                Ok(answer) if answer.status != 429 && answer.status < 500 => return Ok(answer),
                other => other,
            };
            if tried >= TRIES {
                return again;
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
    }

    async fn once(&self, asked: &Asked<'_>) -> Result<Answer, AccountError> {
        // An error of the request itself could have the token in it.
        let unmade = || refused(asked.op, "the request can't be made");
        let body = if asked.body.is_empty() { SdkBody::empty() } else { SdkBody::from(asked.body.to_vec()) };
        let mut request = HttpRequest::new(body);
        request.set_method(asked.method).map_err(|_| unmade())?;
        request.set_uri(asked.url.clone()).map_err(|_| unmade())?;
        let headers = request.headers_mut();
        let authorization = format!("Basic {}", self.token.reveal());
        headers.try_insert("authorization", authorization).map_err(|_| unmade())?;
        headers.try_insert("accept", MANIFEST).map_err(|_| unmade())?;
        headers.try_insert("content-length", asked.body.len().to_string()).map_err(|_| unmade())?;
        if !asked.content_type.is_empty() {
            headers.try_insert("content-type", asked.content_type).map_err(|_| unmade())?;
        }
        self.account.sender.sent(request, ANSWER_MAX, TIME_MAX).await.map_err(|_| AccountError {
            action: asked.op.to_owned(),
            trouble: Trouble::Unreachable,
            words: format!("the registry {} could not be reached", authority(&self.base)),
        })
    }

    /// An answer that says that it was done.
    fn done(&self, asked: &Asked<'_>, answer: Answer) -> Result<Answer, AccountError> {
        let trouble = match answer.status {
            200..300 => return Ok(answer),
            401 => Trouble::Credentials,
            403 => Trouble::Denied,
            429 => Trouble::Throttled,
            500.. => Trouble::Unreachable,
            _ => Trouble::Refused,
        };
        let (status, base, name) = (answer.status, authority(&self.base), self.name);
        let said = said(&answer.body);
        let words = format!("the registry {base} answered {} to {name} with status {status}{said}", asked.method);
        Err(AccountError { action: asked.op.to_owned(), trouble, words })
    }
}

/// The first error that an answer tells: `: CODE: message`.
fn said(body: &[u8]) -> String {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = &answer["errors"][0];
    let texts = ["code", "message"].map(|name| error[name].as_str().unwrap_or_default());
    texts.iter().filter(|text| !text.is_empty()).map(|text| format!(": {text}")).collect()
}

/// Whether the registry has what was sent.
fn agrees(op: &str, answer: &Answer, digest: &Digest) -> Result<(), AccountError> {
    match answer.header("docker-content-digest") {
        Some(other) if Digest::parse(other).ok().as_ref() != Some(digest) => {
            Err(refused(op, format!("the registry has {other} in place of {digest}")))
        }
        _ => Ok(()),
    }
}
