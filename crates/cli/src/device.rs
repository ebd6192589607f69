//! Signing in at the server's provider, by the device flow (RFC 8628): somebody opens an address and agrees there, and the server is
//! asked until they have.

use std::collections::BTreeMap;
use std::time::Duration;

use layer0_api::client::{Client, ClientError, ClientOptions};
use layer0_api::types::{DeviceSignIn, DeviceTokenRequest};
use tokio::time::{Instant, sleep};

use crate::error::{CliError, Exit};
use crate::printer::Printer;
use crate::settings::{Secret, set};
use crate::sign_in::{Asking, SignedIn};

/// By how much the pause between two questions grows when it was asked too often (RFC 8628, section 3.5).
const SLOWER: Duration = Duration::from_secs(5);

/// The longest pause between two questions while the server does not answer.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Signs in, and waits for it.
pub(crate) async fn sign_in(
    asking: Asking,
    endpoint: &str,
    printer: &Printer,
    env: &BTreeMap<String, String>,
) -> Result<SignedIn, CliError> {
    let client = Client::new(ClientOptions {
        endpoint: endpoint.to_owned(),
        token: None,
        timeout: asking.limit(),
        skip_ssl_verify: asking.skip_ssl_verify,
    });
    let client = client.map_err(|why| CliError::client(why, true))?;
    let begun = client.device_begin().await.map_err(|why| match &why {
        ClientError::Refused { status: 404, body } if body.message.contains("there is no route") => {
            CliError::usage(format!("the server at {endpoint} is older than this program and has no such sign-in"))
        }
        _ => CliError::client(why, true),
    })?;
    say(printer, &begun);
    waited(&client, &begun, printer, machine(env)).await
}

/// What somebody has to do.
fn say(printer: &Printer, begun: &DeviceSignIn) {
    let DeviceSignIn { verification_uri, verification_uri_complete, user_code, issuer, .. } = begun;
    match verification_uri_complete {
        Some(address) => {
            printer.note(&format!("open {address}"));
            printer.note(&format!("and see that it shows the code {user_code}; or type it in at {verification_uri}"));
        }
        None => printer.note(&format!("open {verification_uri} and type in the code {user_code}")),
    }
    let minutes = (begun.expires_in + 59) / 60;
    let minutes = if minutes == 1 { "a minute".to_owned() } else { format!("{minutes} minutes") };
    printer.note(&format!("waiting for the sign-in at {issuer}, for {minutes} at most"));
}

async fn waited(client: &Client, begun: &DeviceSignIn, printer: &Printer, name: String) -> Result<SignedIn, CliError> {
    let seconds = |number: i64| Duration::from_secs(u64::try_from(number).unwrap_or(0).clamp(1, 3600));
    let end = Instant::now() + seconds(begun.expires_in);
    let mut interval = seconds(begun.interval);
    let mut pause = interval;
    let request = DeviceTokenRequest { device_code: begun.device_code.clone(), name: Some(name) };
    let mut is_told = false;
    // Why the last question had no answer.
    let mut away = None;
    loop {
        sleep(pause).await;
        if Instant::now() >= end {
            let why: CliError =
                away.unwrap_or_else(|| CliError::new(Exit::Refused, "the code has expired: nobody agreed in time"));
            return Err(why.hint("`l0 login --sso` begins again"));
        }
        match client.device_token(&request).await {
            Ok(standing) => {
                match (standing.state.as_str(), standing.token) {
                    (_, Some(made)) => {
                        return Ok(SignedIn {
                            user: made.user,
                            secret: Secret::new(made.secret),
                            token_id: Some(made.token_id),
                            expires: made.expires,
                        });
                    }
                    ("slow_down", None) => interval += SLOWER,
                    (_, None) => {}
                }
                (pause, away) = (interval, None);
            }
            // The sign-in goes on at the provider, whatever becomes of one question.
            Err(why) if is_passing(&why) => {
                let why = CliError::client(why, true);
                if !is_told {
                    printer.warn(&format!("{}; asking again until the code expires", why.message));
                }
                is_told = true;
                away = Some(why);
                // Never sooner than the provider wants to be asked.
                pause = (pause * 2).min(PAUSE_MAX).max(interval);
            }
            Err(ClientError::Refused { status: 401 | 403, body }) => {
                let refused = CliError::new(Exit::Refused, body.message.clone());
                return Err(match body.hint {
                    Some(hint) => refused.hint(hint),
                    None => refused,
                });
            }
            Err(why) => return Err(CliError::client(why, true)),
        }
    }
}

/// Whether another question may be answered.
fn is_passing(why: &ClientError) -> bool {
    match why {
        ClientError::Refused { status, .. } | ClientError::Foreign { status, .. } => matches!(status, 429 | 500..),
        ClientError::Connection { .. } | ClientError::Timeout { .. } => true,
        ClientError::Endpoint { .. } => false,
    }
}

/// What the token is called: after this machine, so that it can be told from others in `l0 token list`.
fn machine(env: &BTreeMap<String, String>) -> String {
    let told = || ["HOSTNAME", "COMPUTERNAME"].into_iter().find_map(|name| set(env, name)).map(str::to_owned);
    let known = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(told);
    named(known.as_deref().unwrap_or_default())
}

/// A name as tokens may have it.
fn named(host: &str) -> String {
    let host = host.trim().split('.').next().unwrap_or_default();
    let legal = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' };
    let host: String = host.chars().map(legal).take(48).collect();
    match host.trim_matches('-') {
        "" => "l0-login".to_owned(),
        host => format!("l0-login-{host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_called_after_its_machine() {
        for (host, name) in [
            ("laptop\n", "l0-login-laptop"),
            ("laptop.example.com", "l0-login-laptop"),
            ("Alice's Mac", "l0-login-Alice-s-Mac"),
            ("", "l0-login"),
            ("\u{fc}", "l0-login"),
        ] {
            assert_eq!(named(host), name, "{host}");
        }
        assert!(named(&"x".repeat(300)).len() <= 64);
    }

    #[test]
    fn only_what_may_pass_is_waited_for() {
        let refused = |status| ClientError::Foreign { endpoint: "http://localhost:9090/".to_owned(), status };
        for status in [429, 500, 502, 503] {
            assert!(is_passing(&refused(status)), "{status}");
        }
        for status in [400, 401, 403, 404, 409, 422] {
            assert!(!is_passing(&refused(status)), "{status}");
        }
    }
}
