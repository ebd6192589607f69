//! `l0 token`.

use layer0_api::types::{CreateTokenRequest, CreateTokenResponse};

use crate::app::App;
use crate::args::token::Token;
use crate::error::CliError;
use crate::printer::rows;

pub(crate) async fn run(app: &App, verb: Token) -> Result<(), CliError> {
    match verb {
        Token::Create { name, expires_days, never } => {
            let expires_days = match expires_days {
                // 0 means "never" to the API; whoever wants that says so.
                Some(days) if days < 1 => {
                    return Err(
                        CliError::usage("--expires-days must be at least 1").hint("--never makes a token without end")
                    );
                }
                Some(days) => Some(days),
                None => never.then_some(0),
            };
            let made = app
                .client
                .token_create(&CreateTokenRequest { name, expires_days, ..CreateTokenRequest::default() })
                .await
                .map_err(|why| app.error(why))?;
            app.printer.result(std::slice::from_ref(&made), |all| all.iter().map(text).collect())?;
            app.printer.note("The secret is shown this one time; only its hash is kept.");
            Ok(())
        }
        Token::List => {
            let all = app.client.token_list().await.map_err(|why| app.error(why))?;
            app.printer.result(&all[..], rows::token_table)
        }
        Token::Revoke { id } => {
            app.client.token_revoke(&id).await.map_err(|why| app.error(why))?;
            Ok(())
        }
    }
}

fn text(made: &CreateTokenResponse) -> String {
    let expires = if made.expires.is_empty() { "never".to_owned() } else { rows::moment(&made.expires) };
    let lines = [
        ("token id", made.token_id.as_str()),
        ("name", &made.name),
        ("expires", &expires),
        ("user", &made.user),
        ("secret", &made.secret),
        ("token", &made.token),
    ];
    lines.iter().map(|(label, value)| format!("{label:<8}  {value}\n")).collect()
}
