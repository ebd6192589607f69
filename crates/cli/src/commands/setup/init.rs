//! `l0 setup init`.

use layer0_setup::account::{HostedZone, Identity, Vpc, Way};
use layer0_setup::instance::{Backing, Problem, WayOut, Wishes, check, free_block, judge};
use layer0_setup::ops::Setup;
use serde_json::json;

use super::ask::{Asker, Question};
use super::home::refused;
use super::{Context, failed};
use crate::args::setup::{Former, Init};
use crate::error::CliError;
use crate::settings::set;

/// What the predecessor asked for and nobody needs any more.
pub(super) fn former(former: &Former) -> Result<(), CliError> {
    let keys =
        "credentials are found as every AWS tool finds them: AWS_PROFILE, `aws sso login`, a role; no file keeps them";
    for (given, flag, why) in [
        (former.aws_access_key.is_some(), "--aws-access-key", keys),
        (former.aws_secret_key.is_some(), "--aws-secret-key", keys),
        (
            former.aws_ssh_key_pair.is_some(),
            "--aws-ssh-key-pair",
            "servers run on Fargate, and machines are reached through Systems Manager: there is no key",
        ),
        (
            former.docker_path.is_some(),
            "--docker-path",
            "no Docker login is put on hosts: images are pulled from ECR; `--image-map` maps friendly names to it",
        ),
        (former.docker_registry.is_some(), "--docker-registry", "the servers' image is made of this program"),
        (
            former.module_source.is_some(),
            "--module-source",
            "there is no Terraform module: the stack is made by this program",
        ),
    ] {
        if given {
            return Err(CliError::usage(format!("{flag} means nothing any more")).hint(why));
        }
    }
    Ok(())
}

/// What is known without asking: the flags over what was wished before, or over nothing.
fn said(args: &Init, before: Option<Wishes>, region: &str, env: &Env) -> Result<Wishes, CliError> {
    let mut wishes = match before {
        Some(before) => before,
        None => Wishes::read(&format!("name = {:?}\nregion = {region:?}", args.which.name))
            .map_err(|why| CliError::usage(why.to_string()))?,
    };
    region.clone_into(&mut wishes.region);
    let kind = |flag: &str, text: &str, known: &str| CliError::usage(format!("{flag}: `{text}` is none of {known}"));
    if let Some(text) = &args.network {
        wishes.network.way_out = way_out(text).ok_or_else(|| kind("--network", text, "endpoints, nat and public"))?;
    }
    if let Some(text) = &args.registry {
        wishes.registry.backing = match text.as_str() {
            "ecr" => Backing::Ecr,
            "s3" => Backing::S3,
            _ => return Err(kind("--registry", text, "ecr and s3")),
        };
    }
    let network = &mut wishes.network;
    if args.vpc.is_some() {
        // Another network: what was said of the one before is not about it.
        network.vpc.clone_from(&args.vpc);
        (network.cidr, network.zones) = (None, None);
        (network.private_subnets, network.public_subnets) = (Vec::new(), Vec::new());
    }
    over(&mut network.cidr, args.cidr.as_ref());
    over(&mut network.zones, args.zones.as_ref());
    over_all(&mut network.private_subnets, &args.private_subnet);
    over_all(&mut network.public_subnets, &args.public_subnet);
    over(&mut wishes.access.domain, args.domain.as_ref());
    over(&mut wishes.access.certificate, args.certificate.as_ref());
    over(&mut wishes.access.zone, args.hosted_zone.as_ref());
    over_all(&mut wishes.access.allow, &args.allow);
    over(&mut wishes.registry.name, args.registry_name.as_ref());
    let rules = if args.image_map.is_empty() { env.image_map()? } else { args.image_map.clone() };
    over_all(&mut wishes.registry.image_map, &rules);
    let organizations = args.grant_organization.iter().map(|id| format!("org:{id}"));
    let grants: Vec<String> = args.grant_account.iter().cloned().chain(organizations).collect();
    over_all(&mut wishes.registry.grants, &grants);
    let server = &mut wishes.server;
    server.copies = args.copies.unwrap_or(server.copies);
    server.cpu = args.cpu.unwrap_or(server.cpu);
    server.memory_mib = args.memory.unwrap_or(server.memory_mib);
    for pair in &args.server_env {
        let (name, value) =
            pair.split_once('=').ok_or_else(|| CliError::usage(format!("--server-env: `{pair}` is no NAME=VALUE")))?;
        server.environment.insert(name.to_owned(), value.to_owned());
    }
    Ok(wishes)
}

fn way_out(text: &str) -> Option<WayOut> {
    match text {
        "endpoints" => Some(WayOut::Endpoints),
        "nat" => Some(WayOut::Nat),
        "public" => Some(WayOut::Public),
        _ => None,
    }
}

fn way_word(way_out: WayOut) -> &'static str {
    match way_out {
        WayOut::Endpoints => "endpoints",
        WayOut::Nat => "nat",
        WayOut::Public => "public",
    }
}

fn over<T: Clone>(wish: &mut Option<T>, flag: Option<&T>) {
    if let Some(flag) = flag {
        *wish = Some(flag.clone());
    }
}

fn over_all(wish: &mut Vec<String>, flags: &[String]) {
    if !flags.is_empty() {
        *wish = flags.to_vec();
    }
}

/// The environment, for what the predecessor and the servers read from it.
struct Env<'a>(&'a std::collections::BTreeMap<String, String>);

impl Env<'_> {
    /// The rules that a server would read.
    fn image_map(&self) -> Result<Vec<String>, CliError> {
        let names = ["LAYER0_IMAGE_MAP", "ECR_BACKED_REPO", "LAYER0_DOCKER_REPO_OVERRIDE"];
        let Some(text) = names.iter().find_map(|name| set(self.0, name)) else { return Ok(Vec::new()) };
        Ok(text.split(',').map(str::trim).filter(|rule| !rule.is_empty()).map(str::to_owned).collect())
    }
}

/// The account, as far as questions need it.
struct Facts {
    identity: Identity,
    vpcs: Vec<Vpc>,
    zones: Vec<HostedZone>,
}

pub(super) async fn init(context: &Context<'_>, setup: &Setup<'_>, args: &Init) -> Result<(), CliError> {
    let name = &args.which.name;
    let before = context.home.read(name)?;
    let is_new = before.is_none();
    let mut wishes = said(args, before, &context.region, &Env(context.env))?;
    let facts = Facts {
        identity: setup.identity().await.map_err(|why| failed(name, why))?,
        vpcs: context.account.vpcs().await.map_err(|why| failed(name, why.into()))?,
        zones: if wishes.access.zone.is_none() && !args.yes {
            context.account.hosted_zones().await.unwrap_or_default()
        } else {
            Vec::new()
        },
    };
    let account = &facts.identity.account;
    if wishes.account.is_none() {
        wishes.account = Some(account.to_string());
    }
    if !args.yes && !context.input.is_terminal && is_new {
        return Err(CliError::usage("standard input is no terminal: nobody can be asked")
            .hint("--yes takes the defaults for what no flag says"));
    }
    let asker = Asker::new(context.printer, context.input, args.yes || !is_new);
    if !args.yes && is_new {
        let who = &facts.identity.arn;
        context.printer.talk(&format!("Instance {name} in account {account}, {} ({who})\n", context.region));
    }
    network(&asker, args, &facts, context, &mut wishes).await?;
    access(&asker, args, &facts, &mut wishes)?;
    registry(&asker, args, &mut wishes)?;

    let instance = check(&wishes).map_err(|problems| refused(&problems))?;
    let seen = setup.look(&instance).await.map_err(|why| failed(name, why))?;
    let problems = judge(&instance, &seen);
    if !problems.is_empty() {
        return Err(refused(&problems));
    }
    let path = context.home.write(&wishes)?;
    let value = json!({ "Instance": name, "File": path.display().to_string(), "Account": account.to_string() });
    context.printer.result(&value, |_| {
        format!("{}\n\n{}\nNext: l0 setup plan {name}\n", path.display(), super::show::wishes(&instance))
    })
}

async fn network(
    asker: &Asker<'_>,
    args: &Init,
    facts: &Facts,
    context: &Context<'_>,
    wishes: &mut Wishes,
) -> Result<(), CliError> {
    if wishes.network.vpc.is_none() && args.cidr.is_none() && args.zones.is_none() && args.network.is_none() {
        let known: Vec<String> =
            facts.vpcs.iter().map(|vpc| format!("{} {}", vpc.id, vpc.name).trim_end().to_owned()).collect();
        let known = if known.is_empty() { "there is none".to_owned() } else { known.join(", ") };
        let help = format!("A network of its own, or the id of one that is there ({known}).");
        let answer = asker.text(&Question { what: "Network", help: &help, default: "new" })?;
        if answer != "new" {
            wishes.network.vpc = Some(answer);
        }
    }
    if wishes.network.vpc.is_some() {
        return given(args, context, wishes).await;
    }
    if args.network.is_none() {
        let help = format!("How what runs gets out of the network.\n{}", super::show::ways());
        let default = way_word(wishes.network.way_out);
        wishes.network.way_out = asker.ask(&Question { what: "Way out", help: &help, default }, |text| {
            way_out(text).ok_or_else(|| "endpoints, nat and public are known".to_owned())
        })?;
    }
    if wishes.network.cidr.is_none() {
        let free = free_block(&facts.vpcs).map(|block| block.to_string());
        wishes.network.cidr = free;
    }
    Ok(())
}

/// A network that is there: which of its subnets is which their routes say.
async fn given(args: &Init, context: &Context<'_>, wishes: &mut Wishes) -> Result<(), CliError> {
    let Some(id) = wishes.network.vpc.clone() else { return Ok(()) };
    let name = wishes.name.clone();
    let Some(vpc) = context.account.vpc(&id).await.map_err(|why| failed(&name, why.into()))? else {
        let why = format!("{} has no {id}", context.region);
        return Err(refused(&[Problem { key: "network.vpc", why }]));
    };
    let of = |ways: &[Way]| -> Vec<String> {
        vpc.subnets.iter().filter(|subnet| ways.contains(&subnet.way)).map(|subnet| subnet.id.clone()).collect()
    };
    let network = &mut wishes.network;
    if network.public_subnets.is_empty() {
        // A load balancer can have one of each zone: the one with the most room.
        let mut public: Vec<_> = vpc.subnets.iter().filter(|subnet| subnet.way == Way::Internet).collect();
        public.sort_by(|a, b| (&a.zone, b.free, &a.id).cmp(&(&b.zone, a.free, &b.id)));
        public.dedup_by(|later, earlier| later.zone == earlier.zone);
        network.public_subnets = public.into_iter().map(|subnet| subnet.id.clone()).collect();
    }
    let leads_to_nat = of(&[Way::Nat, Way::Other]);
    if args.network.is_none() && network.private_subnets.is_empty() {
        let closed = of(&[Way::None]);
        network.way_out = match (leads_to_nat.is_empty(), closed.is_empty()) {
            (false, _) => WayOut::Nat,
            (true, false) => WayOut::Endpoints,
            (true, true) => WayOut::Public,
        };
    }
    if network.private_subnets.is_empty() {
        network.private_subnets = match network.way_out {
            WayOut::Nat => leads_to_nat,
            WayOut::Endpoints => of(&[Way::None]),
            WayOut::Public => Vec::new(),
        };
    }
    Ok(())
}

fn access(asker: &Asker<'_>, args: &Init, facts: &Facts, wishes: &mut Wishes) -> Result<(), CliError> {
    let access = &mut wishes.access;
    if access.domain.is_none() {
        let help = "The domain name of API and registry, for TLS. Without one only given addresses, or nobody outside the network, \
                    reach it.";
        let answer = asker.text(&Question { what: "Domain", help, default: "" })?;
        access.domain = (!answer.is_empty()).then_some(answer);
    }
    match access.domain.clone() {
        Some(domain) if access.zone.is_none() && access.certificate.is_none() => {
            let fitting: Vec<&HostedZone> = facts
                .zones
                .iter()
                .filter(|zone| {
                    !zone.is_private && (domain == zone.domain || domain.ends_with(&format!(".{}", zone.domain)))
                })
                .collect();
            let known: Vec<String> = fitting.iter().map(|zone| format!("{} ({})", zone.id, zone.domain)).collect();
            let help = format!(
                "The hosted zone of Route 53 for it, in which a certificate is validated and the name written; or the ARN of a \
                 certificate, if the name is kept elsewhere. {}",
                if known.is_empty() { "No zone of this account fits.".to_owned() } else { known.join(", ") }
            );
            let default = fitting.iter().max_by_key(|zone| zone.domain.len()).map_or("", |zone| zone.id.as_str());
            let answer = asker.text(&Question { what: "Zone or certificate", help: &help, default })?;
            match answer.as_str() {
                "" => {}
                arn if arn.starts_with("arn:") => access.certificate = Some(answer),
                _ => access.zone = Some(answer),
            }
        }
        None if access.allow.is_empty() && args.allow.is_empty() => {
            let help = "From which blocks of addresses it is reached, such as 203.0.113.7/32, with commas between them. Without TLS \
                        what is sent can be read on the way. None: from inside the network alone.";
            let answer = asker.text(&Question { what: "Addresses", help, default: "" })?;
            access.allow =
                answer.split(',').map(str::trim).filter(|block| !block.is_empty()).map(str::to_owned).collect();
        }
        _ => {}
    }
    Ok(())
}

fn registry(asker: &Asker<'_>, args: &Init, wishes: &mut Wishes) -> Result<(), CliError> {
    let registry = &mut wishes.registry;
    if args.registry.is_none() {
        let help = "Where images lie: `ecr`, which everything on ECS pulls from, or `s3`, a bucket, which nothing on ECS does.";
        let default = if registry.backing == Backing::S3 { "s3" } else { "ecr" };
        registry.backing = asker.ask(&Question { what: "Images", help, default }, |text| match text {
            "ecr" => Ok(Backing::Ecr),
            "s3" => Ok(Backing::S3),
            _ => Err("ecr and s3 are known".to_owned()),
        })?;
    }
    if registry.name.is_none() {
        let default = wishes.access.domain.clone().unwrap_or_default();
        let help = "The name under which task definitions name images of this registry.";
        let answer = asker.text(&Question { what: "Registry's name", help, default: &default })?;
        registry.name = (!answer.is_empty() && answer != default).then_some(answer);
    }
    if registry.image_map.is_empty() {
        let help = "Rules of the image map, PREFIX|TARGET, with commas between them: images that begin with PREFIX are pulled from \
                    TARGET.";
        let answer = asker.text(&Question { what: "Image map", help, default: "" })?;
        registry.image_map =
            answer.split(',').map(str::trim).filter(|rule| !rule.is_empty()).map(str::to_owned).collect();
    }
    Ok(())
}
