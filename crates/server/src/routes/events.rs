//! Answers that are server-sent events, made one by one while something goes on.

use std::convert::Infallible;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use tokio::sync::mpsc::Sender;

/// How many events wait for a client that reads slowly; after that whoever makes them waits.
const WAITING: usize = 16;

/// Streams what `send` sends until it returns, or until `ended` does: when the right to it ends.
///
/// `send` hears by its sender that the client is gone, and has to look itself whether the server stops.
pub(super) fn answer<S>(
    ended: impl Future<Output = ()> + Send + 'static,
    send: impl FnOnce(Sender<Event>) -> S,
) -> Response
where
    S: Future<Output = ()> + Send + 'static,
{
    let (sender, receiver) = tokio::sync::mpsc::channel(WAITING);
    let sending = send(sender);
    tokio::spawn(async move {
        tokio::select! {
            () = sending => {}
            () = ended => {}
        }
    });
    let events = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|event| (Ok::<_, Infallible>(event), receiver))
    });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}
