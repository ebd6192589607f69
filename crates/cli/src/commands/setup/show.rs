//! How wishes and plans are shown.

use layer0_setup::image::Architecture;
use layer0_setup::instance::{Backing, Instance, WayOut};
use layer0_setup::ops::{Planned, Wanted};
use layer0_setup::prices::estimate;
use layer0_setup::words;
use serde_json::{Value, json};

use crate::error::CliError;
use crate::printer::Printer;

/// How wide help is printed.
const WIDTH: usize = 100;

/// What each way out of a network means.
pub(super) fn ways() -> String {
    let ways = [("endpoints", WayOut::Endpoints), ("nat", WayOut::Nat), ("public", WayOut::Public)];
    ways.map(|(word, way)| folded(word, words::way_out(way))).join("\n")
}

/// A text under its name, in lines that can be read.
fn folded(name: &str, text: &str) -> String {
    let mut lines = vec![format!("  {name:<10}")];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        if lines[last].chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(format!("{:12} {word}", ""));
        } else {
            lines[last].push(' ');
            lines[last].push_str(word);
        }
    }
    lines.join("\n")
}

/// A text whose long lines go on below, as far in as they began.
fn narrow(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let mut width = 0;
        for (at, word) in line.split(' ').enumerate() {
            let chars = word.chars().count();
            if width > indent + 8 && width + 1 + chars > WIDTH {
                out.push_str(&format!("\n{:1$}", "", indent + 2));
                width = indent + 2;
            } else if at > 0 {
                out.push(' ');
                width += 1;
            }
            out.push_str(word);
            width += chars;
        }
        out.push('\n');
    }
    out
}

/// The wishes as one reads them.
pub(super) fn wishes(instance: &Instance) -> String {
    let backing = match instance.backing {
        Backing::Ecr => "In ECR, which everything on ECS pulls from.",
        Backing::S3 => "In a bucket, which nothing on ECS pulls from.",
    };
    let mut out = vec![
        folded("network", &words::network(&instance.network)),
        folded("reached", &words::access(&instance.access)),
        folded("images", backing),
    ];
    out.extend(instance.image_map.iter().map(|rule| folded("image map", &rule.to_string())));
    out.extend(instance.grants.iter().map(|grantee| folded("may pull", &grantee.to_string())));
    let servers = format!("{} with {} CPU units and {} MiB each.", instance.copies, instance.cpu, instance.memory_mib);
    out.push(folded("servers", &servers));
    out.join("\n") + "\n"
}

/// A plan with all that is told of it.
pub(super) struct Told<'a> {
    pub(super) instance: &'a Instance,
    pub(super) wanted: &'a Wanted,
    pub(super) planned: &'a Planned,
    pub(super) architecture: Architecture,
}

impl Told<'_> {
    fn changes(&self) -> words::Told {
        words::plan(self.planned.before.as_deref(), &self.wanted.template, &self.planned.changes)
    }

    /// As text.
    pub(super) fn text(&self) -> String {
        let name = &self.instance.name;
        let estimate = estimate(self.instance, self.architecture);
        if self.planned.plan.is_none() {
            return format!("Instance {name} stands as it is wished: nothing would change.\n\n{estimate}");
        }
        format!(
            "Instance {name} in {}\n\n{}\n{}\n{}",
            self.instance.region,
            narrow(&self.changes().to_string()),
            wishes(self.instance),
            narrow(&estimate.to_string()),
        )
    }

    /// As a result.
    pub(super) fn print(&self, printer: &Printer) -> Result<(), CliError> {
        let estimate = estimate(self.instance, self.architecture);
        let told = self.changes();
        let changes: Vec<Value> = told
            .entries
            .iter()
            .map(|entry| {
                json!({
                    "Fate": entry.fate.name(),
                    "Resource": entry.id,
                    "Type": entry.kind,
                    "Name": entry.name,
                    "Lines": entry.lines,
                })
            })
            .collect();
        let value = json!({
            "Instance": self.instance.name,
            "Plan": self.planned.plan,
            "Changes": changes,
            "Replaced": told.replaced(),
            "MonthlyCostEstimateUSD": estimate.dollars(),
        });
        printer.result(&value, |_| self.text())
    }
}
