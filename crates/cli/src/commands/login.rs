//! `l0 login` and `l0 logout`.

use std::collections::BTreeMap;

use layer0_api::client::ClientError;

use crate::app::Input;
use crate::args::Globals;
use crate::args::login::{Login, Logout};
use crate::credentials::{Credentials, Whose, parts_of};
use crate::device;
use crate::error::{CliError, Exit};
use crate::identity::{self, Evidence, Showing};
use crate::printer::{Printer, rows};
use crate::prompt;
use crate::settings::{DEFAULT_ENDPOINT, ENV_ENDPOINT, ENV_TOKEN, Secret, Settings, set};
use crate::sign_in::{self, Asking, Kept, SignedIn};

/// Command lines that give a secret.
const EXAMPLE: &str = "l0 login SERVER --user alice --password-stdin < password.txt";
const TOKEN_EXAMPLE: &str = "l0 login SERVER --token-stdin < token.txt";
const OIDC_EXAMPLE: &str = "l0 login SERVER --oidc-token-stdin < id-token.txt";

/// What commands work with that need no server yet.
pub(crate) struct Local<'a> {
    pub(crate) printer: &'a Printer,
    pub(crate) input: &'a Input,
    pub(crate) globals: &'a Globals,
    pub(crate) env: &'a BTreeMap<String, String>,
    pub(crate) asking: Asking,
}

impl<'a> Local<'a> {
    /// From what holds for every command.
    pub(crate) fn new(
        printer: &'a Printer,
        input: &'a Input,
        globals: &'a Globals,
        env: &'a BTreeMap<String, String>,
        settings: &Settings,
    ) -> Self {
        let asking = Asking { skip_ssl_verify: settings.skip_ssl_verify, timeout: settings.timeout };
        Self { printer, input, globals, env, asking }
    }

    /// The server that the command line or the environment names, by its endpoint.
    pub(crate) fn named(&self) -> Result<Option<String>, CliError> {
        self.globals.endpoint.as_deref().or_else(|| set(self.env, ENV_ENDPOINT)).map(sign_in::endpoint_of).transpose()
    }

    /// The server that is meant: named here, there, or used last.
    fn server(&self, given: Option<&str>) -> Result<Option<String>, CliError> {
        match given {
            Some(text) => sign_in::endpoint_of(text).map(Some),
            None => Ok(match self.named()? {
                Some(endpoint) => Some(endpoint),
                None => Credentials::read(self.env)?.default,
            }),
        }
    }
}

pub(crate) fn login(local: &Local<'_>, args: &Login) -> Result<(), CliError> {
    let endpoint = local.server(args.server.as_deref())?.unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
    // The file is looked at before anything is asked for, and before a token is made for it.
    let known = Credentials::read(local.env)?;
    let endpoint = known.endpoint_like(&endpoint).cloned().unwrap_or(endpoint);
    let signed_in = match evidence(local, args)? {
        Some(evidence) => {
            let mut showing = Showing::of_environment(local.env);
            showing.trust = args.trust.clone().or(showing.trust);
            showing.audience = args.audience.clone().or(showing.audience);
            sign_in::run(identity::exchange(local.asking, &endpoint, &evidence, &showing, local.env))?
        }
        None if args.sso => sign_in::run(device::sign_in(local.asking, &endpoint, local.printer, local.env))?,
        None => with_secret(local, args, &endpoint)?,
    };

    let whose = Whose::Endpoint(endpoint.clone());
    // Before the new one takes its place in the same keyring: nobody else may be able to revoke it.
    let former_secret = known.logins.get(&endpoint).and_then(|login| {
        let found = crate::credentials::from_keyring(login, &whose, local.env);
        found.ok().flatten()
    });
    let kept = sign_in::keep(&signed_in, &whose, args.keyring.as_deref(), local.env).and_then(|kept| {
        let former = Credentials::update(local.env, |known| {
            let token = known.endpoints.remove(&endpoint).or(former_secret);
            let former = (token, known.logins.remove(&endpoint));
            if let Some(token) = &kept.token {
                known.endpoints.insert(endpoint.clone(), token.clone());
            }
            known.logins.insert(endpoint.clone(), kept.login.clone());
            known.default = Some(endpoint.clone());
            Ok(former)
        })?;
        Ok((kept, former))
    });
    let (kept, former) = match kept {
        Ok(kept) => kept,
        Err(why) => {
            // A token that nobody keeps is not left behind.
            if let Some(id) = &signed_in.token_id {
                let token = crate::credentials::token(&signed_in.user, &signed_in.secret);
                let _ = sign_in::run(async {
                    sign_in::revoke(local.asking, &endpoint, &token, id)
                        .await
                        .map_err(|why| CliError::client(why, true))
                });
            }
            return Err(why);
        }
    };
    former_end(local, &endpoint, former, &kept);
    let Kept { login, warning, .. } = &kept;
    if let Some(warning) = warning {
        local.printer.warn(warning);
    }
    if set(local.env, ENV_TOKEN).is_some() {
        local.printer.warn(&format!("{ENV_TOKEN} is set and counts before this login"));
    }
    let place = match &login.keyring {
        Some(name) => format!("the keyring `{name}`"),
        None => Credentials::path(local.env).map(|path| path.display().to_string()).unwrap_or_default(),
    };
    let end = match signed_in.expires.as_str() {
        "" => String::new(),
        at => format!(" and ends {}", rows::moment(at)),
    };
    local.printer.message(&format!("Signed in to {endpoint} as {}; the token is in {place}{end}", login.user))?;
    local.printer.note("`l0 registry login` lets docker and podman use this login");
    Ok(())
}

fn with_secret(local: &Local<'_>, args: &Login, endpoint: &str) -> Result<SignedIn, CliError> {
    let (user, secret) = credential(local, args, endpoint)?;
    let signing_in = sign_in::sign_in(local.asking, endpoint, &user, &secret, args.expires_days);
    sign_in::run(async { signing_in.await.map_err(|why| refused(why, &user)) })
}

/// What is shown in place of a secret, where that is asked for.
fn evidence(local: &Local<'_>, args: &Login) -> Result<Option<Evidence>, CliError> {
    if args.oidc_token_stdin {
        let token = prompt::line(local.input, "token of OpenID Connect", OIDC_EXAMPLE)?;
        return Ok(Some(Evidence::Token(Secret::new(token.trim()))));
    }
    if args.aws {
        return Ok(Some(Evidence::Aws));
    }
    if !args.ci {
        return Ok(None);
    }
    let found = Evidence::of_environment(local.env)?;
    found.map(Some).ok_or_else(|| {
        CliError::usage("this is no pipeline that could show who it is")
            .hint("GitHub's actions need `permissions: id-token: write`")
            .hint("GitLab's jobs need `id_tokens: LAYER0_ID_TOKEN`")
            .hint("on AWS, `--aws` or LAYER0_IDENTITY=aws signs with the role at hand")
    })
}

/// What the login took the place of: its secret is taken out of its keyring, its token revoked, when it was ours. That
/// the new login stands is what was asked for, so trouble here is only said.
fn former_end(
    local: &Local<'_>,
    endpoint: &str,
    former: (Option<Secret>, Option<crate::credentials::Login>),
    now: &Kept,
) {
    let (token, Some(login)) = former else { return };
    let whose = Whose::Endpoint(endpoint.to_owned());
    let moved = login.keyring.is_some() && login.keyring != now.login.keyring;
    if moved && let Err(why) = sign_in::forget(&login, &whose, local.env) {
        local.printer.warn(&format!("the former secret is still in its keyring: {}", why.message));
    }
    let Some(id) = login.token_id.filter(|id| now.login.token_id.as_ref() != Some(id)) else { return };
    let new = || {
        let new = now.token.clone();
        new.or_else(|| crate::credentials::from_keyring(&now.login, &whose, local.env).ok().flatten())
    };
    // To somebody else it is not there, whether it is or not.
    let is_same = login.user == now.login.user;
    let revoked = match token.or_else(|| is_same.then(new).flatten()) {
        Some(by) => sign_in::run(async {
            sign_in::revoke(local.asking, endpoint, &by, &id).await.map_err(|why| CliError::client(why, true))
        })
        .map_err(|why| why.message),
        None => Err(format!("its secret can't be had from the keyring, and it is {}'s", login.user)),
    };
    if let Err(why) = revoked {
        local
            .printer
            .warn(&format!("the token of the former login was not revoked: {why}; `l0 token revoke {id}` does it"));
    }
}

/// What somebody signs in with: from standard input, or asked for on the terminal.
fn credential(local: &Local<'_>, args: &Login, endpoint: &str) -> Result<(String, Secret), CliError> {
    let user = args.user.clone().filter(|name| !name.is_empty());
    if user.as_ref().is_some_and(|name| name.contains(':')) {
        return Err(CliError::usage("a user's name has no `:`"));
    }
    if args.token_stdin {
        let text = Secret::new(prompt::line(local.input, "token", TOKEN_EXAMPLE)?.trim());
        return match (parts_of(&text), user) {
            (Some((name, secret)), None) => Ok((name, secret)),
            (Some((name, secret)), Some(user)) if name == user => Ok((name, secret)),
            (Some((name, _)), Some(user)) => {
                Err(CliError::usage(format!("the token is `{name}`'s and not `{user}`'s")))
            }
            (None, Some(user)) => Ok((user, text)),
            (None, None) => Err(CliError::usage("what is on standard input does not say whose it is")
                .hint("a secret alone needs --user NAME; base64 of USER:SECRET does not")),
        };
    }
    if args.password_stdin {
        let user = user.ok_or_else(|| CliError::usage("--password-stdin needs --user NAME"))?;
        return Ok((user, Secret::new(prompt::line(local.input, "password", EXAMPLE)?)));
    }
    if !local.input.is_terminal {
        return Err(CliError::usage("standard input is no terminal")
            .hint("give --user NAME --password-stdin or --token-stdin, and the secret on standard input")
            .hint("--sso needs neither, where the server has a provider"));
    }
    local.printer.note(&format!("signing in to {endpoint}"));
    let user = match user {
        Some(user) => user,
        None => prompt::ask(local.printer, local.input, "user", EXAMPLE)?,
    };
    Ok((user, prompt::ask_hidden(local.printer, local.input, "password or token", EXAMPLE)?))
}

/// Why nobody was signed in, in the words of one who tries to.
fn refused(why: ClientError, user: &str) -> CliError {
    match &why {
        ClientError::Refused { status: 401, .. } => {
            CliError::new(Exit::Refused, format!("`{user}` is not signed in: the name or the secret is wrong"))
                .hint("a user's password or a token's secret signs in; `l0 token create` shows both names and secret")
        }
        _ => CliError::client(why, true),
    }
}

pub(crate) fn logout(local: &Local<'_>, args: &Logout) -> Result<(), CliError> {
    let known = Credentials::read(local.env)?;
    let endpoints: Vec<String> = if args.all {
        known.all_endpoints().cloned().collect()
    } else {
        let wanted = local.server(args.server.as_deref())?.unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
        known.endpoint_like(&wanted).cloned().into_iter().collect()
    };
    if endpoints.is_empty() {
        return Err(CliError::new(Exit::NotFound, "you are not signed in there")
            .hint("`l0 login SERVER` signs in; the servers that are known are in credentials.json"));
    }
    for endpoint in endpoints {
        sign_out(local, &known, &endpoint)?;
        local.printer.message(&format!("Signed out of {endpoint}"))?;
    }
    if set(local.env, ENV_TOKEN).is_some() {
        local.printer.warn(&format!("{ENV_TOKEN} is set and still signs in"));
    }
    Ok(())
}

fn sign_out(local: &Local<'_>, known: &Credentials, endpoint: &str) -> Result<(), CliError> {
    let whose = Whose::Endpoint(endpoint.to_owned());
    let login = known.logins.get(endpoint).cloned();
    if let Some(id) = login.as_ref().and_then(|login| login.token_id.as_deref()) {
        let revoked = match known.token_of(endpoint, local.env) {
            Ok(Some(token)) => sign_in::run(async {
                sign_in::revoke(local.asking, endpoint, &token, id).await.map_err(|why| CliError::client(why, true))
            }),
            Ok(None) => Err(CliError::usage("its secret is gone")),
            Err(why) => Err(why),
        };
        if let Err(why) = revoked {
            local.printer.warn(&format!(
                "the token of this login was not revoked: {}; `l0 token revoke {id}` does it",
                why.message
            ));
        }
    }
    Credentials::update(local.env, |known| {
        known.endpoints.remove(endpoint);
        known.logins.remove(endpoint);
        if known.default.as_deref() == Some(endpoint) {
            known.default = None;
        }
        Ok(())
    })?;
    if let Some(login) = &login
        && let Err(why) = sign_in::forget(login, &whose, local.env)
    {
        local.printer.warn(&format!("the secret is still in its keyring: {}", why.message));
    }
    Ok(())
}
