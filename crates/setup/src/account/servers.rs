//! The servers, as ECS has them.

use layer0_domain::model::time::Timestamp;

/// The servers of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Servers {
    /// How many there should be.
    pub wanted: u32,
    /// How many run.
    pub running: u32,
    /// What ECS said last of their service, the newest first; a few lines.
    pub said: Vec<String>,
    /// Those that stopped in the last hour, the newest first; a few.
    pub stopped: Vec<StoppedServer>,
}

/// A server that stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoppedServer {
    /// Its task.
    pub id: String,
    /// When it stopped.
    pub at: Timestamp,
    /// Why, in ECS's words.
    pub reason: String,
    /// With which exit code, when its program ended.
    pub exit_code: Option<i32>,
    /// Its last lines.
    pub log: Vec<String>,
}

impl std::fmt::Display for StoppedServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.reason)?;
        if let Some(code) = self.exit_code {
            write!(f, " (exit code {code})")?;
        }
        Ok(())
    }
}
