//! What a client gets of a blob that is on its way.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use futures_util::stream;
use tokio::sync::watch;

use super::fill::{Fill, Seen, Stage};
use super::refusal::Refusal;

/// What there is to serve.
pub(crate) enum Opened {
    /// So many bytes, on their way.
    Coming {
        /// Of the whole blob.
        size: u64,
    },
    /// It lies here.
    Here,
}

impl Fill {
    /// Waits until the upstream has answered.
    pub(crate) async fn opened(&self) -> Result<Opened, Refusal> {
        let mut seen = self.watch();
        let state = seen.wait_for(|seen| !matches!(seen.stage, Stage::Asked)).await;
        match state.map_err(|_| Refusal::stopping())?.stage.clone() {
            Stage::Failed(refusal) => Err(refusal),
            Stage::Here => Ok(Opened::Here),
            Stage::Asked | Stage::Coming | Stage::Proven => {
                Ok(Opened::Coming { size: self.size().ok_or_else(Refusal::stopping)? })
            }
        }
    }

    /// Waits until all is here and is what its digest says: a part that is not the last one says nothing of being right.
    pub(crate) async fn proven(&self) -> Result<(), Refusal> {
        let mut seen = self.watch();
        let state = seen.wait_for(|seen| !matches!(seen.stage, Stage::Asked | Stage::Coming)).await;
        match &state.map_err(|_| Refusal::stopping())?.stage {
            Stage::Failed(refusal) => Err(refusal.clone()),
            _ => Ok(()),
        }
    }

    /// The bytes from `first` to before `end`, as they come. Breaks off when the fill does.
    pub(crate) fn body(self: Arc<Self>, first: u64, end: u64) -> Body {
        let seen = self.watch();
        let reading = Reading { fill: self, seen, next: first, end };
        Body::from_stream(stream::try_unfold(reading, Reading::go_on))
    }
}

/// A client's place in a fill. It holds one piece at a time.
struct Reading {
    fill: Arc<Fill>,
    seen: watch::Receiver<Seen>,
    next: u64,
    end: u64,
}

impl Reading {
    async fn go_on(mut self) -> io::Result<Option<(Bytes, Self)>> {
        while self.next < self.end {
            let visible = {
                let seen = self.seen.borrow_and_update();
                if let Stage::Failed(refusal) = &seen.stage {
                    return Err(io::Error::other(refusal.clone()));
                }
                self.fill.visible(&seen).min(self.end)
            };
            if visible > self.next {
                let bytes = match self.fill.remembered(self.next, visible) {
                    Some(bytes) => bytes,
                    None => self.fill.spooled(self.next, visible).await?,
                };
                self.next += bytes.len() as u64;
                return Ok(Some((bytes, self)));
            }
            // The fill sends as long as anybody has it.
            if self.seen.changed().await.is_err() {
                return Err(io::Error::other(Refusal::stopping()));
            }
        }
        Ok(None)
    }
}
