//! `l0 admin`.

use layer0_api::types::ApiConfig;

use crate::VERSION;
use crate::app::App;
use crate::args::admin::Admin;
use crate::commands::audit::{self, Wanted};
use crate::commands::{backup, gc, logs, sweep, verify};
use crate::error::CliError;

pub(crate) async fn run(app: &App, verb: Admin) -> Result<(), CliError> {
    match verb {
        Admin::Debug => {
            let config = app.client.admin_config().await.map_err(|why| app.error(why))?;
            app.printer.result(&config, |config| report(app, config))
        }
        Admin::Logs { window, follow } => {
            let query = logs::query(&window)?;
            if follow {
                return logs::follow(app, logs::Followed::Instance, "", query).await;
            }
            let files = app.client.admin_logs(&query).await.map_err(|why| app.error(why))?;
            logs::print(app, &files)
        }
        Admin::Verify { rate } => verify::run(app, rate).await,
        Admin::Audit { tail, who, start, end, follow } => {
            audit::run(app, Wanted { tail, who, start, end }, follow).await
        }
        Admin::Sweep { yes } => sweep::run(app, yes).await,
        Admin::Gc { now, dry_run: _, trust_clock } => gc::run(app, now, trust_clock).await,
        Admin::Backup(args) => backup::take(app, &args).await,
        // They speak to no server and were run before a connection was looked for.
        Admin::Backups(_) | Admin::Restore(_) => Ok(()),
        Admin::Version => {
            let config = app.client.admin_config().await.map_err(|why| app.error(why))?;
            app.printer.message(&config.version)
        }
    }
}

/// What helps whoever helps: never the token.
fn report(app: &App, config: &ApiConfig) -> String {
    let switch = |skipped: bool| if skipped { "disabled" } else { "enabled" };
    let rule = "------------\n";
    let line = |label: &str, value: &str| format!("{}\n", format!("{label:<18}{value}").trim_end());
    [
        "DEBUG REPORT\n".to_owned(),
        rule.to_owned(),
        line("Instance Name:", &config.instance),
        line("API Endpoint:", app.client.endpoint()),
        line("API Version:", &config.version),
        line("CLI Version:", VERSION),
        line("SSL Verify:", switch(app.settings.skip_ssl_verify)),
        line("Version Verify:", switch(app.settings.skip_verify_version)),
        rule.to_owned(),
        line("VPC ID:", &config.vpc_id),
        line("Public Subnets:", &config.public_subnets.join(", ")),
        line("Private Subnets:", &config.private_subnets.join(", ")),
        rule.to_owned(),
        line("Kind:", &config.kind),
        line("Engine:", &config.engine),
        line("Registry:", &config.registry_name),
        line("Registry at:", &config.registry_address),
        config.mirrors.iter().map(|one| line("Mirror:", &format!("{} of {}", one.prefix, one.upstream))).collect(),
    ]
    .concat()
}
