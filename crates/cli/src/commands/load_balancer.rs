//! `l0 loadbalancer`.

use layer0_api::types::{
    CreateEntityResponse, CreateLoadBalancerRequest, HealthCheck, LoadBalancer as Entity, Port, RuleChange,
    UpdateLoadBalancerRequest,
};

use crate::app::App;
use crate::args::load_balancer::{HealthCheckChange, LoadBalancer, LoadBalancerCreate};
use crate::error::{CliError, Exit};
use crate::grammar::{integer, port, port_number, redirect, rule};
use crate::printer::rows;
use crate::target::{self, Kind};

/// The listener of a load balancer for which none is given.
const DEFAULT_PORT: &str = "80:80/HTTP";

pub(crate) async fn run(app: &App, verb: LoadBalancer) -> Result<(), CliError> {
    match verb {
        LoadBalancer::AddPort { target, port: text, certificate, replace } => {
            let port = port(&text, certificate.as_deref())?;
            let found = target::one(app, Kind::LoadBalancer, &target).await?;
            let mut request = UpdateLoadBalancerRequest::default();
            if replace {
                request.remove_ports.push(port.host_port);
            }
            request.add_ports.push(port);
            let change = update(app, &found.id, &request).await?;
            settle_and_show(app, &change).await
        }
        LoadBalancer::AddRule { target, rule: text, place } => {
            let new = RuleChange { place, ..rule(&text)? };
            let found = target::one(app, Kind::LoadBalancer, &target).await?;
            let request = UpdateLoadBalancerRequest { add_rules: vec![new], ..UpdateLoadBalancerRequest::default() };
            let change = update(app, &found.id, &request).await?;
            settle_and_show(app, &change).await
        }
        LoadBalancer::Create(args) => create(app, *args).await,
        LoadBalancer::CrossZone { target, enable, disable } => {
            let found = target::one(app, Kind::LoadBalancer, &target).await?;
            if enable || disable {
                let request =
                    UpdateLoadBalancerRequest { cross_zone: Some(enable), ..UpdateLoadBalancerRequest::default() };
                let change = update(app, &found.id, &request).await?;
                app.settle_then_print(&change).await?;
            }
            app.printer.result(&read(app, &found.id).await?, rows::cross_zone_table)
        }
        LoadBalancer::Delete { target } => {
            let found = target::one(app, Kind::LoadBalancer, &target).await?;
            let change = app.client.load_balancer_delete(&found.id).await.map_err(|why| app.error(why))?;
            app.settle_silently(&change).await
        }
        LoadBalancer::DropPort { target, host_port } => {
            let host_port = port_number(&host_port)?;
            let found = target::one(app, Kind::LoadBalancer, &target).await?;
            if !read(app, &found.id).await?.ports.iter().any(|port| port.host_port == host_port) {
                return Err(CliError::new(
                    Exit::NotFound,
                    format!("Host port '{host_port}' doesn't exist on this Load Balancer"),
                ));
            }
            let request =
                UpdateLoadBalancerRequest { remove_ports: vec![host_port], ..UpdateLoadBalancerRequest::default() };
            let change = update(app, &found.id, &request).await?;
            settle_and_show(app, &change).await
        }
        LoadBalancer::DropRule { target, rule: text } => {
            let gone = rule(&text)?;
            let found = target::one(app, Kind::LoadBalancer, &target).await?;
            let ports = read(app, &found.id).await?.ports;
            let is_there = ports.iter().any(|port| port.host_port == gone.host_port && port.rules.contains(&gone.rule));
            if !is_there {
                return Err(CliError::new(
                    Exit::NotFound,
                    format!("Rule '{text}' doesn't exist on this Load Balancer"),
                )
                .hint(format!("`l0 loadbalancer get {}` shows the rules", found.id)));
            }
            let request =
                UpdateLoadBalancerRequest { remove_rules: vec![gone], ..UpdateLoadBalancerRequest::default() };
            let change = update(app, &found.id, &request).await?;
            settle_and_show(app, &change).await
        }
        LoadBalancer::Get { target } => {
            let ids = target::ids(app, Kind::LoadBalancer, &target).await?;
            show(app, ids).await
        }
        LoadBalancer::HealthCheck(args) => health_check(app, *args).await,
        LoadBalancer::IdleTimeout { target, seconds } => {
            let timeout = integer("TIMEOUT", &seconds)?;
            let found = target::one(app, Kind::LoadBalancer, &target).await?;
            let request =
                UpdateLoadBalancerRequest { idle_timeout: Some(timeout), ..UpdateLoadBalancerRequest::default() };
            let change = update(app, &found.id, &request).await?;
            app.settle_then_print(&change).await?;
            app.printer.result(&read(app, &found.id).await?, rows::idle_timeout_table)
        }
        LoadBalancer::List => {
            let all = app.client.load_balancer_list().await.map_err(|why| app.error(why))?;
            app.printer.result(&all[..], rows::load_balancer_list_table)
        }
    }
}

/// The listeners that arguments mean.
fn listeners(args: &LoadBalancerCreate) -> Result<Vec<Port>, CliError> {
    let certificate = args.certificate.as_deref();
    let mut ports = if args.ports.is_empty() && args.redirects.is_empty() {
        vec![port(DEFAULT_PORT, certificate)?]
    } else {
        args.ports.iter().map(|text| port(text, certificate)).collect::<Result<_, _>>()?
    };
    for text in &args.redirects {
        ports.push(redirect(text)?);
    }
    for text in &args.rules {
        let new = rule(text)?;
        let Some(port) = ports.iter_mut().find(|port| port.host_port == new.host_port) else {
            return Err(CliError::usage(format!("'{text}' is a rule of port {}, which is not given", new.host_port)));
        };
        port.rules.push(new.rule);
    }
    Ok(ports)
}

async fn create(app: &App, args: LoadBalancerCreate) -> Result<(), CliError> {
    let ports = listeners(&args)?;
    let has_target = args.healthcheck_target.is_some();
    let environment = target::one(app, Kind::Environment, &args.environment).await?;
    let request = CreateLoadBalancerRequest {
        load_balancer_name: args.name,
        load_balancer_type: args.kind,
        environment_id: environment.id,
        is_public: !args.private,
        ports,
        health_check: Some(HealthCheck {
            // A target counts only where there is no path.
            path: args.healthcheck_path.unwrap_or_else(|| if has_target { "" } else { "/" }.to_owned()),
            target: args.healthcheck_target.unwrap_or_else(|| "TCP:80".to_owned()),
            interval: args.healthcheck_interval,
            timeout: args.healthcheck_timeout,
            healthy_threshold: args.healthcheck_healthy_threshold,
            unhealthy_threshold: args.healthcheck_unhealthy_threshold,
        }),
        idle_timeout: args.idle_timeout,
        cross_zone: args.disable_cross_zone.then_some(false),
    };
    let change = app.client.load_balancer_create(&request).await.map_err(|why| app.error(why))?;
    settle_and_show(app, &change).await
}

/// Shows the health check; changes first what flags name.
async fn health_check(app: &App, args: HealthCheckChange) -> Result<(), CliError> {
    let found = target::one(app, Kind::LoadBalancer, &args.target).await?;
    let seen = read(app, &found.id).await?;
    let mut check = seen.health_check.clone();
    // A target counts only where there is no path.
    if args.healthcheck_target.is_some() && args.healthcheck_path.is_none() && !check.path.is_empty() {
        app.printer.note(&format!("the path `{}` is taken away, since no target counts beside one", check.path));
        check.path.clear();
    }
    merge(&mut check.target, args.healthcheck_target);
    merge(&mut check.path, args.healthcheck_path);
    merge(&mut check.interval, args.healthcheck_interval);
    merge(&mut check.timeout, args.healthcheck_timeout);
    merge(&mut check.healthy_threshold, args.healthy_threshold);
    merge(&mut check.unhealthy_threshold, args.unhealthy_threshold);
    if check == seen.health_check {
        return app.printer.result(&seen, rows::health_check_table);
    }
    let request = UpdateLoadBalancerRequest { health_check: Some(check), ..UpdateLoadBalancerRequest::default() };
    let change = update(app, &found.id, &request).await?;
    app.settle_then_print(&change).await?;
    app.printer.result(&read(app, &found.id).await?, rows::health_check_table)
}

fn merge<T>(into: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *into = given;
    }
}

async fn read(app: &App, id: &str) -> Result<Entity, CliError> {
    app.client.load_balancer_get(id).await.map_err(|why| app.error(why))
}

async fn update(app: &App, id: &str, request: &UpdateLoadBalancerRequest) -> Result<CreateEntityResponse, CliError> {
    app.client.load_balancer_update(id, request).await.map_err(|why| app.error(why))
}

async fn show(app: &App, ids: Vec<String>) -> Result<(), CliError> {
    let all = app.read_all(ids, async |client, id| client.load_balancer_get(&id).await).await?;
    app.printer.result(&all[..], |all| {
        let mut out = rows::load_balancer_table(all);
        for item in all {
            if let Some(problem) = &item.problem {
                out.push_str(&format!("\n{}:\n{}", item.load_balancer_name, crate::printer::lines::cause(problem)));
            }
        }
        out
    })
}

async fn settle_and_show(app: &App, change: &CreateEntityResponse) -> Result<(), CliError> {
    app.settle_then_print(change).await?;
    show(app, vec![change.entity_id.clone()]).await
}
