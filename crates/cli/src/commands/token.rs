//! `l0 token`.

use layer0_api::types::{CreateTokenRequest, CreateTokenResponse};

use crate::app::App;
use crate::args::token::Token;
use crate::error::CliError;
use crate::printer::{access_rows, rows};
use crate::settings::{ENV_TOKEN, authority_of};

pub(crate) async fn run(app: &App, verb: Token) -> Result<(), CliError> {
    match verb {
        Token::Create { name, scopes, owner, user, expires_days, never } => {
            let expires_days = expires_days.or_else(|| never.then_some(0));
            let scopes = (!scopes.is_empty()).then_some(scopes);
            let request = CreateTokenRequest { name, expires_days, user, owner, scopes };
            let made = app.client.token_create(&request).await.map_err(|why| app.error(why))?;
            print(app, &made)
        }
        Token::List => {
            let all = app.client.token_list().await.map_err(|why| app.error(why))?;
            app.printer.result(&all[..], access_rows::token_table)
        }
        Token::Rotate { id } => {
            let made = app.client.token_rotate(&id).await.map_err(|why| app.error(why))?;
            print(app, &made)
        }
        Token::Revoke { id } => {
            app.client.token_revoke(&id).await.map_err(|why| app.error(why))?;
            Ok(())
        }
    }
}

/// Prints a token with its secret, the one time that it is known, and says what it is for.
fn print(app: &App, made: &CreateTokenResponse) -> Result<(), CliError> {
    app.printer.result(std::slice::from_ref(made), |all| all.iter().map(text).collect())?;
    app.printer.note(&format!(
        "For the registry: `docker login {} --username {}`, and the password when it asks.\n\
         For this program: set {ENV_TOKEN} as above.\n\
         This is not shown again: the server keeps only a hash.",
        authority_of(app.client.endpoint()),
        made.user
    ));
    Ok(())
}

fn text(made: &CreateTokenResponse) -> String {
    let expires = if made.expires.is_empty() { "never".to_owned() } else { rows::moment(&made.expires) };
    let mut lines = vec![("token id", made.token_id.as_str()), ("name", &made.name)];
    if let Some(owner) = &made.owner {
        lines.push(("owner", owner));
    }
    for (index, scope) in made.scopes.iter().flatten().enumerate() {
        lines.push((if index == 0 { "scopes" } else { "" }, scope));
    }
    lines.extend([
        ("expires", expires.as_str()),
        ("user", &made.user),
        ("password", &made.secret),
        (ENV_TOKEN, &made.token),
    ]);
    lines.iter().map(|(label, value)| format!("{label:<17}  {value}\n")).collect()
}
