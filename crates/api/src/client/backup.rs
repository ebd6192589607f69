//! A copy of a running instance: what is larger than an answer.

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use reqwest::Method;

use super::{Client, ClientError, segment};
use crate::types::Backup;

/// Bytes on their way. An error means that they are not all there.
pub type ByteStream = BoxStream<'static, Result<Bytes, ClientError>>;

impl Client {
    /// Has the server copy its state, and keep all that it names, until [`admin_backup_end`](Self::admin_backup_end) or until nothing
    /// was asked of it for five minutes. Takes as long as it takes.
    ///
    /// # Errors
    /// When the server refuses or can't be reached.
    pub async fn admin_backup(&self) -> Result<Backup, ClientError> {
        let answer = self.send(self.request(Method::POST, "/admin/backup")).await?;
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await.map_err(|why| self.failed(why))?;
        serde_json::from_slice(&bytes).map_err(|_| ClientError::Foreign { endpoint: self.endpoint.clone(), status })
    }

    /// The copy of the state. How long it may take to begin is for the caller to say, as it is for
    /// [`admin_backup_blob`](Self::admin_backup_blob).
    ///
    /// # Errors
    /// When the server refuses or can't be reached.
    pub async fn admin_backup_state(&self, id: &str) -> Result<ByteStream, ClientError> {
        self.bytes(&format!("/admin/backup/{}/state", segment(id))).await
    }

    /// The bytes of a blob as they lie there, compared with nothing.
    ///
    /// # Errors
    /// When the server refuses or can't be reached.
    pub async fn admin_backup_blob(&self, id: &str, digest: &str) -> Result<ByteStream, ClientError> {
        self.bytes(&format!("/admin/backup/{}/blob/{}", segment(id), segment(digest))).await
    }

    async fn bytes(&self, path: &str) -> Result<ByteStream, ClientError> {
        let answer = self.send(self.request(Method::GET, path)).await?;
        let client = self.clone();
        Ok(answer.bytes_stream().map(move |piece| piece.map_err(|why| client.failed(why))).boxed())
    }
}
