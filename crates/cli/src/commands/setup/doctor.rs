//! `l0 setup doctor`.

use layer0_setup::ops::{Finding, Health, Known, Setup};
use serde_json::{Value, json};

use super::Context;
use crate::error::{CliError, Exit};

pub(super) async fn doctor(context: &Context<'_>, setup: &Setup<'_>, name: &str) -> Result<(), CliError> {
    let wished = match context.home.read(name)? {
        Some(_) => Some(context.home.wished(name)?),
        None => None,
    };
    let text = wished.as_ref().map(|(wishes, _)| wishes.text());
    let known = Known {
        name,
        instance: wished.as_ref().map(|(_, instance)| instance),
        wishes: text.as_deref(),
        version: crate::VERSION,
    };
    let findings = setup.doctor(&known, context.door).await;
    let list: Vec<Value> = findings
        .iter()
        .map(|found| {
            json!({ "Subject": found.subject, "State": word(found.state), "Found": found.words, "Remedy": found.remedy })
        })
        .collect();
    context.printer.result(&list, |_| findings.iter().map(lines).collect())?;
    let bad = findings.iter().filter(|found| found.state == Health::Bad).count();
    if bad > 0 {
        let words = if bad == 1 { "one thing is wrong".to_owned() } else { format!("{bad} things are wrong") };
        return Err(CliError::new(Exit::Failed, words));
    }
    Ok(())
}

fn word(state: Health) -> &'static str {
    match state {
        Health::Good => "good",
        Health::Bad => "bad",
        Health::Unknown => "unknown",
    }
}

fn lines(found: &Finding) -> String {
    let mut out = format!("{:<8} {:<13} {}\n", word(found.state), found.subject, found.words);
    if let Some(remedy) = &found.remedy {
        out.push_str(&format!("{:22} -> {remedy}\n", ""));
    }
    out
}
