//! What the engine says it did, while it does it.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::common::until::until;
use crate::stage::Stage;

/// Writes down the life of the instance's containers, until it is dropped.
pub(crate) struct Recorder {
    child: Child,
    file: PathBuf,
}

impl Recorder {
    /// From now on. Something of the instance must be on the engine already.
    #[track_caller]
    pub(crate) fn start(stage: &Stage) -> Self {
        let label = stage.label().expect("something of the instance on the engine");
        let file = stage.path("events");
        let filter = format!("label=layer0.instance={label}");
        // The engine keeps what it said lately: nothing is missed until the client listens.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs().to_string();
        let mut command = stage.docker_command(&["events", "--since", &since, "--filter", "type=container"]);
        command.args(["--filter", &filter, "--format", "{{json .}}"]).stdin(Stdio::null());
        let child = command.stdout(File::create(&file).expect("a file")).spawn().expect("the docker client");
        Self { child, file }
    }

    fn events(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// When containers of this service that do its work had this happen to them: ids with nanoseconds.
    pub(crate) fn times(&self, action: &str, name: &str) -> Vec<(String, i64)> {
        let of_name = self.events().into_iter().filter(|event| {
            let attributes = &event["Actor"]["Attributes"];
            event["Action"] == action && attributes["layer0.name"] == name && attributes["layer0.role"] == "app"
        });
        of_name
            .map(|event| {
                (event["id"].as_str().unwrap_or_default().to_owned(), event["timeNano"].as_i64().unwrap_or_default())
            })
            .collect()
    }

    /// [`Recorder::times`], once at least so many have been told of.
    #[track_caller]
    pub(crate) fn counted(&self, action: &str, name: &str, least: usize) -> Vec<(String, i64)> {
        until(&format!("{least} times {action} of {name}"), || {
            let times = self.times(action, name);
            if times.len() >= least { Ok(times) } else { Err(format!("{times:?}")) }
        })
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
