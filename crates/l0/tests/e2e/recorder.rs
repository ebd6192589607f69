//! What the engine says it did, while it does it.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Stdio};

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
        let mut command = stage.docker_command(&["events", "--filter", "type=container", "--filter", &filter, "--format", "{{json .}}"]);
        let child = command.stdout(File::create(&file).expect("a file")).stdin(Stdio::null()).spawn().expect("the docker client");
        let it = Self { child, file };
        // It listens once it has told of something that happened after it was started.
        let probe = stage.docker(&["create", "--label", &format!("layer0.instance={label}"), "--label", "layer0.name=probe", &stage.any_image()]);
        let id = probe.ok().out.trim().to_owned();
        until("the engine's events", || {
            let exec = stage.docker(&["rename", &id, &format!("probe-{}", &id[..12])]);
            drop(exec);
            let back = stage.docker(&["rename", &id, &format!("probe2-{}", &id[..12])]);
            drop(back);
            if it.events().is_empty() { Err("nothing yet".to_owned()) } else { Ok(()) }
        });
        stage.docker(&["rm", &id]).ok();
        it
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
        of_name.map(|event| (event["id"].as_str().unwrap_or_default().to_owned(), event["timeNano"].as_i64().unwrap_or_default())).collect()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
