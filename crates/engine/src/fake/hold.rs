//! Calls of one handle that wait until a test lets them go: for what another server does meanwhile.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::fault::Op;

/// A call that is held back when it comes. It goes on when this is dropped.
#[derive(Debug)]
pub struct Hold {
    came: oneshot::Receiver<()>,
    _go: oneshot::Sender<()>,
}

impl Hold {
    /// Returns when the call has come and waits.
    ///
    /// # Panics
    /// When all handles are gone, so that none can come.
    pub async fn reached(&mut self) {
        (&mut self.came).await.expect("a handle is left through which it may come");
    }
}

/// The other side of a [`Hold`].
#[derive(Debug)]
struct Waiting {
    op: Op,
    came: oneshot::Sender<()>,
    go: oneshot::Receiver<()>,
}

/// What is held back of one handle. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Holds(Arc<Mutex<Vec<Waiting>>>);

impl Holds {
    pub(super) fn next(&self, op: Op) -> Hold {
        let ((came, told), (letting, go)) = (oneshot::channel(), oneshot::channel());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Waiting { op, came, go });
        Hold { came: told, _go: letting }
    }

    /// Lets a call pass, at once if nobody holds it back.
    pub(super) async fn pass(&self, op: Op) {
        let held = {
            let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let at = waiting.iter().position(|it| it.op == op);
            at.map(|at| waiting.remove(at))
        };
        let Some(Waiting { came, go, .. }) = held else { return };
        // Whoever asked for it may be gone, and then it goes on at once.
        let _ = came.send(());
        let _ = go.await;
    }
}
