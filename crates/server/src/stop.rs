//! The wish to stop, told to everyone who waits for something.

use tokio::sync::watch;

/// Told once, heard by all clones, also by those who ask later.
#[derive(Clone)]
pub(crate) struct Stop {
    sender: std::sync::Arc<watch::Sender<bool>>,
}

impl Stop {
    /// Nobody has asked to stop.
    pub(crate) fn new() -> Self {
        Self { sender: std::sync::Arc::new(watch::Sender::new(false)) }
    }

    /// Asks everyone to stop.
    pub(crate) fn ask(&self) {
        self.sender.send_replace(true);
    }

    /// Whether someone has asked.
    pub(crate) fn asked(&self) -> bool {
        *self.sender.borrow()
    }

    /// Returns when someone asks.
    pub(crate) async fn wait(&self) {
        let mut receiver = self.sender.subscribe();
        // The sender lives as long as `self`, so this ends only by the value.
        let _ = receiver.wait_for(|asked| *asked).await;
    }
}
