//! How wishes and plans are shown.

use layer0_setup::account::{Change, ChangeAction, Replacement};
use layer0_setup::instance::{Access, Backing, Certificate, Instance, Network, WayOut};
use layer0_setup::ops::{Planned, Wanted};
use serde_json::{Value, json};

use crate::error::CliError;
use crate::printer::Printer;

/// What each way out of a network means, a line each.
pub(super) fn ways() -> String {
    [WayOut::Endpoints, WayOut::Nat, WayOut::Public].map(|_| String::new()).join("\n")
}

/// The wishes as one reads them.
pub(super) fn wishes(instance: &Instance) -> String {
    let network = match &instance.network {
        Network::New { cidr, zones, way_out } => format!("a new one, {cidr} over {zones} zones, way out {way_out:?}"),
        Network::Given { vpc, private_subnets, public_subnets, .. } => {
            format!("{vpc} with {} private and {} public subnets", private_subnets.len(), public_subnets.len())
        }
    };
    let access = match &instance.access {
        Access::Domain { name, certificate: Certificate::Made, .. } => {
            format!("https://{name}/, with a certificate of its own")
        }
        Access::Domain { name, .. } => format!("https://{name}/"),
        Access::Bare { allow } if allow.is_empty() => "from inside the network alone, without TLS".to_owned(),
        Access::Bare { allow } => {
            let blocks: Vec<String> = allow.iter().map(ToString::to_string).collect();
            format!("from {} alone, without TLS: what is sent can be read on the way", blocks.join(", "))
        }
    };
    let images = match instance.backing {
        Backing::Ecr => "in ECR",
        Backing::S3 => "in a bucket, which nothing on ECS pulls from",
    };
    let mut out = format!("network   {network}\nreached   {access}\nimages    {images}\n");
    for rule in &instance.image_map {
        out.push_str(&format!("image map {rule}\n"));
    }
    for grantee in &instance.grants {
        out.push_str(&format!("may pull  {grantee}\n"));
    }
    out.push_str(&format!(
        "servers   {} with {} CPU units and {} MiB each\n",
        instance.copies, instance.cpu, instance.memory_mib
    ));
    out
}

/// Prints a plan as a result.
pub(super) fn plan(printer: &Printer, instance: &Instance, wanted: &Wanted, planned: &Planned) -> Result<(), CliError> {
    let changes: Vec<Value> = planned.changes.iter().map(change_json).collect();
    let value = json!({ "Instance": instance.name, "Plan": planned.plan, "Changes": changes });
    printer.result(&value, |_| plan_text(instance, wanted, planned))
}

fn change_json(change: &Change) -> Value {
    json!({
        "Action": action(change.action),
        "Resource": change.logical,
        "Type": change.kind,
        "Replacement": matches!(change.replacement, Replacement::Always),
        "Properties": change.properties,
    })
}

fn action(action: ChangeAction) -> &'static str {
    match action {
        ChangeAction::Add => "add",
        ChangeAction::Modify => "modify",
        ChangeAction::Remove => "remove",
        ChangeAction::Import => "import",
        ChangeAction::Dynamic => "dynamic",
    }
}

/// A plan as text.
pub(super) fn plan_text(instance: &Instance, _wanted: &Wanted, planned: &Planned) -> String {
    if planned.plan.is_none() {
        return format!("Instance {} stands as it is wished: nothing would change.\n", instance.name);
    }
    let mut out = format!("Instance {}: {} changes\n", instance.name, planned.changes.len());
    for change in &planned.changes {
        out.push_str(&format!("  {} {} ({})\n", action(change.action), change.logical, change.kind));
    }
    out
}
