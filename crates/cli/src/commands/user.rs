//! `l0 user` and `l0 whoami`.

use layer0_api::types::{CreateUserRequest, UpdateUserRequest, User as Entity};

use crate::app::App;
use crate::args::user::User;
use crate::error::CliError;
use crate::printer::access_rows as rows;
use crate::prompt;
use crate::settings::Secret;

pub(crate) async fn run(app: &App, verb: User) -> Result<(), CliError> {
    match verb {
        User::Create { name, admin, password_stdin, subject } => {
            let request = CreateUserRequest {
                user_name: name,
                admin: admin.then_some(true),
                password: password_if(app, password_stdin)?,
                subject,
            };
            let made = app.client.user_create(&request).await.map_err(|why| app.error(why))?;
            print(app, &made)?;
            if !made.has_password && made.subject.is_none() {
                app.printer.note(&format!(
                    "User `{0}` has no password: `l0 token create --user {0}` makes a token to sign in with.",
                    made.user_name
                ));
            }
            Ok(())
        }
        User::List => {
            let all = app.client.user_list().await.map_err(|why| app.error(why))?;
            app.printer.result(&all[..], rows::user_table)
        }
        User::Get { name } => {
            let found = app.client.user_get(&name).await.map_err(|why| app.error(why))?;
            print(app, &found)
        }
        User::Update { name, admin, password_stdin, no_password } => {
            if admin.is_none() && !password_stdin && !no_password {
                return Err(CliError::usage("there is nothing to change")
                    .hint("give --admin, --admin=false, --password-stdin or --no-password"));
            }
            let request = UpdateUserRequest {
                admin,
                password: password_if(app, password_stdin)?,
                remove_password: no_password.then_some(true),
            };
            let changed = app.client.user_update(&name, &request).await.map_err(|why| app.error(why))?;
            print(app, &changed)
        }
        User::Delete { name } => {
            app.client.user_delete(&name).await.map_err(|why| app.error(why))?;
            Ok(())
        }
        User::Whoami => whoami(app).await,
    }
}

pub(crate) async fn whoami(app: &App) -> Result<(), CliError> {
    let who = app.client.whoami().await.map_err(|why| app.error(why))?;
    app.printer.result(&[who][..], rows::whoami_table)?;
    app.printer.note(&format!("At {}.", app.client.endpoint()));
    Ok(())
}

fn print(app: &App, user: &Entity) -> Result<(), CliError> {
    app.printer.result(std::slice::from_ref(user), rows::user_table)
}

fn password_if(app: &App, asked: bool) -> Result<Option<String>, CliError> {
    if asked { password(app).map(|password| Some(password.reveal().to_owned())) } else { Ok(None) }
}

/// A command line that gives a password.
const EXAMPLE: &str = "l0 user update alice --password-stdin < password.txt";

/// Reads the password from standard input.
fn password(app: &App) -> Result<Secret, CliError> {
    if app.input.is_terminal {
        return prompt::ask_hidden(&app.printer, &app.input, "password", EXAMPLE);
    }
    prompt::line(&app.input, "password", EXAMPLE).map(Secret::new)
}
