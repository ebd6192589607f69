//! `l0 account`.

use futures_util::StreamExt as _;
use layer0_api::client::{ClientError, GrantFollowed};
use layer0_api::types::{AccountGrant, AccountPlan, AccountQuery, GrantAccountRequest, OperationEvent};

use crate::app::App;
use crate::args::account::{Account, Scope};
use crate::error::{CliError, Exit};
use crate::follow::{Pause, passing};
use crate::printer::account_rows as rows;
use crate::progress::Progress;

pub(crate) async fn run(app: &App, verb: Account) -> Result<(), CliError> {
    match verb {
        Account::Grant { who, scope } => grant(app, who, scope).await,
        Account::List => {
            let all = app.client.account_list().await.map_err(|why| app.error(why))?;
            app.printer.result(&all.grants[..], rows::grant_table)
        }
        Account::Revoke { who, scope } => revoke(app, who, scope).await,
        Account::Status => {
            let all = app.client.account_list().await.map_err(|why| app.error(why))?;
            app.printer.result(std::slice::from_ref(&all), |all| all.iter().map(rows::status).collect())
        }
        Account::Plan { who, scope, revoke, strategy } => {
            let strategy = strategy.unwrap_or_default();
            let query = AccountQuery { strategy, ..query(who.unwrap_or_default(), scope, revoke) };
            let plan = app.client.account_plan(&query).await.map_err(|why| app.error(why))?;
            app.printer.result(std::slice::from_ref(&plan), |plans| plans.iter().map(rows::plan).collect())?;
            app.printer.note(&planned(&plan));
            Ok(())
        }
    }
}

fn query(account: String, scope: Scope, revoke: bool) -> AccountQuery {
    AccountQuery {
        account,
        owner: scope.owner.unwrap_or_default(),
        repository: scope.repository.unwrap_or_default(),
        revoke: if revoke { "true".to_owned() } else { String::new() },
        strategy: String::new(),
    }
}

async fn grant(app: &App, who: String, scope: Scope) -> Result<(), CliError> {
    let query = query(who, scope, false);
    let request = GrantAccountRequest {
        account: query.account.clone(),
        owner: query.owner.clone(),
        repository: query.repository.clone(),
    };
    let asked = app.client.account_grant(&request).await.map_err(|why| app.error(why))?;
    if asked.state != "spreading" {
        return print(app, &asked);
    }
    if app.settings.no_wait {
        app.printer.note("It goes on by itself; `l0 account status` shows how far it is.");
        return print(app, &asked);
    }
    match follow(app, &query).await? {
        Some(end) => judge(app, &end),
        None => Err(CliError::new(Exit::Failed, "the grant was taken back meanwhile")),
    }
}

async fn revoke(app: &App, who: String, scope: Scope) -> Result<(), CliError> {
    let query = query(who, scope, false);
    let asked = app.client.account_revoke(&query).await.map_err(|why| app.error(why))?;
    if app.settings.no_wait {
        app.printer.note("It goes on by itself; `l0 account status` shows how far it is.");
        return print(app, &asked);
    }
    match follow(app, &query).await? {
        None => Ok(()),
        Some(end) if end.wish == "take_back" => judge(app, &end),
        Some(_) => Err(CliError::new(Exit::Failed, "it was granted anew meanwhile")),
    }
}

/// Follows a grant to its end; `None` when it is gone.
async fn follow(app: &App, query: &AccountQuery) -> Result<Option<AccountGrant>, CliError> {
    let mut progress = Progress::new(app);
    let mut pause = Pause::new();
    let mut said = String::new();
    loop {
        match app.client.account_follow(query).await {
            Ok(mut events) => loop {
                match events.next().await {
                    Some(Ok(GrantFollowed::Progress(it))) => {
                        pause.reset();
                        if it.progress != said {
                            progress.step(&step(&it.progress));
                            said = it.progress;
                        }
                    }
                    Some(Ok(GrantFollowed::End(end))) => {
                        if end.progress != said {
                            progress.step(&step(&end.progress));
                        }
                        return Ok(Some(end).filter(|end| end.state != "taken_back"));
                    }
                    Some(Err(why)) if !passing(&why) => return Err(app.error(why)),
                    Some(Err(_)) | None => break,
                }
            },
            Err(ClientError::Refused { status: 404, .. }) => return Ok(None),
            Err(why) if !passing(&why) => return Err(app.error(why)),
            Err(why) => app.printer.debug(|| why.to_string()),
        }
        progress.lost();
        pause.wait().await;
    }
}

fn step(message: &str) -> OperationEvent {
    OperationEvent { sequence: 0, at: jiff::Timestamp::now().to_string(), message: message.to_owned() }
}

/// How the command ends.
fn judge(app: &App, end: &AccountGrant) -> Result<(), CliError> {
    print(app, end)?;
    match end.state.as_str() {
        "settled" => Ok(()),
        "refused" => Err(CliError::new(Exit::Failed, end.progress.clone())
            .hint("correct the account's id, and take this grant back with `l0 account revoke`")),
        _ => {
            let mut error = CliError::new(Exit::Failed, format!("the grant is {}", end.progress));
            for wrong in &end.wrong {
                error = error.hint(format!("{}: {}", wrong.repository, wrong.why));
            }
            Err(error.hint("the server tries again by itself; `l0 account status` shows what came of it"))
        }
    }
}

fn print(app: &App, grant: &AccountGrant) -> Result<(), CliError> {
    app.printer.result(std::slice::from_ref(grant), rows::grant_table)
}

/// What a plan says beside its documents.
fn planned(plan: &AccountPlan) -> String {
    let shown = plan.documents.iter().filter(|document| document.registry.is_empty()).count() as u64;
    let many = if plan.repositories == 1 { "repository is" } else { "repositories are" };
    let these = if shown == 1 { "one is".to_owned() } else { format!("{shown} are") };
    if (1..plan.repositories).contains(&shown) {
        format!("{} {many} meant; the first {these} shown. Nothing was changed.", plan.repositories)
    } else {
        format!("{} {many} meant. Nothing was changed.", plan.repositories)
    }
}
