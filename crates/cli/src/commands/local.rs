//! Commands that speak to no server: `endpoint`, `completion`.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read as _};
use std::path::Path;
use std::time::{Duration, Instant};

use layer0_api::shell::shell_word;
use serde_json::{Map, Value};

use crate::args::local::{Completion, Endpoint};
use crate::args::{self};
use crate::credentials::Credentials;
use crate::error::CliError;
use crate::printer::Printer;
use crate::settings::{ENV_ENDPOINT, ENV_SKIP_SSL, ENV_SKIP_VERSION, ENV_TOKEN, Secret, Settings};
use crate::sign_in;

/// The file in a data directory that holds the instance's URL.
const ENDPOINT_FILE: &str = "endpoint";
/// The file in a data directory that holds the admin's token.
const TOKEN_FILE: &str = "admin-token";
/// The file in a data directory that its server holds, and says in how far it is.
const LOCK_FILE: &str = "lock";
/// What the server says there when the other two files are its own.
const READY: &str = "listening on";

/// How long a server that was started a moment ago may take to be there. A start takes milliseconds; recovery after a power
/// cut, on a slow disk, takes seconds.
const START_MAX: Duration = Duration::from_secs(10);
/// How often it is looked whether it is there.
const LOOK: Duration = Duration::from_millis(20);

/// Prints a completion script.
pub(crate) fn completion(printer: &Printer, args: &Completion) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::command(), "l0", &mut script);
    printer.data(&String::from_utf8_lossy(&script))
}

/// Prints the lines that connect a shell to an instance. Showing the token is what this command is for.
pub(crate) fn endpoint(
    printer: &Printer,
    args: &Endpoint,
    env: &BTreeMap<String, String>,
    settings: &Settings,
    watched: bool,
) -> Result<(), CliError> {
    let syntax = Syntax::parse(&args.syntax)?;
    let (endpoint, token) = match &args.data_dir {
        Some(dir) => {
            let limit = settings.timeout.filter(|_| settings.timeout_given).unwrap_or(START_MAX).min(START_MAX);
            let begun = Instant::now();
            of_data_dir(printer, dir, || {
                let goes_on = begun.elapsed() < limit;
                if goes_on {
                    let _ = sign_in::run(async {
                        tokio::time::sleep(LOOK).await;
                        Ok(())
                    });
                }
                goes_on
            })?
        }
        None => of_credentials(env)?,
    };
    let mut variables = vec![(ENV_ENDPOINT, endpoint.as_str()), (ENV_TOKEN, token.reveal())];
    if args.insecure {
        variables.extend([(ENV_SKIP_SSL, "1"), (ENV_SKIP_VERSION, "1")]);
    }
    connection(printer, syntax, &variables, watched)
}

/// Prints the lines that set variables in a shell.
pub(crate) fn connection(
    printer: &Printer,
    syntax: Syntax,
    variables: &[(&str, &str)],
    watched: bool,
) -> Result<(), CliError> {
    let object: Map<String, Value> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
    let mut text = String::new();
    for (name, value) in variables {
        text.push_str(&syntax.line(name, value)?);
        text.push('\n');
    }
    if watched {
        printer.talk("# set the following environment variables in your current session:\n");
    }
    printer.result(&object, |_| text)
}

/// How a data directory is looked after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Server {
    /// One holds it, and what lies in it is its own.
    Ready,
    /// One holds it, and is on its way.
    Starting,
    /// None holds it.
    Away,
    /// It has no lock, or its file system has none: there is nothing to tell by.
    Unknown,
}

fn server_of(dir: &Path) -> Server {
    let Ok(mut lock) = File::open(dir.join(LOCK_FILE)) else { return Server::Unknown };
    match lock.try_lock_shared() {
        // Given back at once: a server that starts at this moment wants it.
        Ok(()) => {
            drop(lock);
            Server::Away
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            match lock.read_to_string(&mut holder) {
                Ok(_) if holder.contains(READY) => Server::Ready,
                _ => Server::Starting,
            }
        }
        Err(TryLockError::Error(_)) => Server::Unknown,
    }
}

/// Endpoint and token of the server that holds the directory. Whoever starts one and asks right afterwards is there before
/// it: `wait` is called between two looks, and answers whether there is time for another one. Until the server says that
/// it is there, an endpoint in the directory is that of an earlier one.
fn of_data_dir(printer: &Printer, dir: &Path, mut wait: impl FnMut() -> bool) -> Result<(String, Secret), CliError> {
    let mut server = server_of(dir);
    let is_there = |server: Server| match server {
        Server::Ready => true,
        Server::Unknown => dir.join(ENDPOINT_FILE).exists() && dir.join(TOKEN_FILE).exists(),
        Server::Starting | Server::Away => false,
    };
    let mut said = false;
    while !is_there(server) && wait() {
        if !said {
            printer.note(&format!("waiting for the server of {} to start", dir.display()));
            said = true;
        }
        server = server_of(dir);
    }
    let found = (read(dir, ENDPOINT_FILE)?, Secret::new(read(dir, TOKEN_FILE)?));
    if server == Server::Away {
        printer.warn(&format!("no server holds {}: these are the lines of the last one that did", dir.display()));
    }
    Ok(found)
}

fn read(dir: &Path, name: &str) -> Result<String, CliError> {
    let path = dir.join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        Ok(_) => Err(CliError::usage(format!("{} is empty", path.display()))),
        Err(why) => {
            let unread = CliError::usage(format!("{} can't be read: {why}", path.display()));
            Err(if name == TOKEN_FILE && why.kind() == ErrorKind::NotFound {
                // The server ran here, and had none to keep: the instance was restored, or its first token was given to it.
                unread
                    .hint("this data directory keeps no token: sign in with one that you know, by `l0 login`")
                    .hint("or stop the server and start it once with `--new-admin-token`")
            } else {
                unread.hint(format!(
                    "`l0 server --data-dir {}` writes it when it starts",
                    shell_word(&dir.to_string_lossy())
                ))
            })
        }
    }
}

fn of_credentials(env: &BTreeMap<String, String>) -> Result<(String, Secret), CliError> {
    let file = Credentials::read(env)?;
    let unknown = || {
        CliError::usage("no instance is known on this machine")
            .hint("`l0 server --data-dir DIR` starts one; `l0 endpoint --data-dir DIR` reads its data directory")
    };
    let endpoint = file.default.clone().ok_or_else(unknown)?;
    let token = file.token_of(&endpoint, env)?.ok_or_else(unknown)?;
    Ok((endpoint, token))
}

/// The shells whose syntax we write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syntax {
    Bash,
    Cmd,
    PowerShell,
}

impl Syntax {
    pub(crate) fn parse(text: &str) -> Result<Self, CliError> {
        match text {
            "bash" => Ok(Syntax::Bash),
            "cmd" => Ok(Syntax::Cmd),
            "powershell" => Ok(Syntax::PowerShell),
            _ => {
                Err(CliError::usage(format!("Unknown syntax '{text}'. Please specify 'bash', 'cmd', or 'powershell'")))
            }
        }
    }

    /// The line that sets a variable. What the shell would take for its own is quoted: an endpoint comes from a file.
    fn line(self, name: &str, value: &str) -> Result<String, CliError> {
        if value.chars().any(char::is_control) {
            return Err(CliError::usage(format!("the value of {name} holds a control character")));
        }
        let escape = |specials: &str, mark: char| {
            value.chars().fold(String::new(), |mut out, c| {
                if specials.contains(c) {
                    out.push(mark);
                }
                out.push(c);
                out
            })
        };
        Ok(match self {
            Syntax::Bash => format!("export {name}=\"{}\"", escape("\\\"$`", '\\')),
            Syntax::Cmd => format!("set {name}={}", escape("^&|<>()%!\"", '^')),
            Syntax::PowerShell => format!("$env:{name}=\"{}\"", escape("`\"$", '`')),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, name: &str, text: &str) {
        std::fs::write(dir.join(name), text).expect("written");
    }

    #[test]
    fn a_server_that_was_started_a_moment_ago_is_waited_for() {
        let outer = tempfile::tempdir().expect("a directory");
        let dir = outer.path().join("fresh");
        let mut step = 0;
        let mut lock = None;
        let printer = Printer::new(Box::new(std::io::sink()), Box::new(std::io::sink()));
        let (endpoint, token) = of_data_dir(&printer, &dir, || {
            step += 1;
            match step {
                1 => std::fs::create_dir(&dir).expect("made"),
                2 => {
                    write(&dir, LOCK_FILE, "l0 server, process 1, starting");
                    let held = File::open(dir.join(LOCK_FILE)).expect("there");
                    held.try_lock().expect("free");
                    lock = Some(held);
                }
                3 => write(&dir, ENDPOINT_FILE, "http://localhost:1/\n"),
                4 => write(&dir, TOKEN_FILE, "QUJD\n"),
                _ => write(&dir, LOCK_FILE, "l0 server, process 1, listening on 127.0.0.1:1"),
            }
            step < 9
        })
        .expect("it came");
        assert_eq!((endpoint.as_str(), token.reveal(), step), ("http://localhost:1/", "QUJD", 5));
    }

    #[test]
    fn what_an_earlier_server_left_is_not_printed_while_another_one_starts() {
        let dir = tempfile::tempdir().expect("a directory");
        let dir = dir.path();
        write(dir, LOCK_FILE, "l0 server, process 1, listening on 127.0.0.1:1");
        write(dir, ENDPOINT_FILE, "http://localhost:1/");
        write(dir, TOKEN_FILE, "QUJD");
        let mut lock = None;
        let printer = Printer::new(Box::new(std::io::sink()), Box::new(std::io::sink()));
        let (endpoint, _) = of_data_dir(&printer, dir, || {
            if lock.is_none() {
                let held = File::open(dir.join(LOCK_FILE)).expect("there");
                held.try_lock().expect("nobody who looks keeps it");
                lock = Some(held);
                write(dir, LOCK_FILE, "l0 server, process 2, starting");
            } else {
                write(dir, ENDPOINT_FILE, "http://localhost:2/");
                write(dir, LOCK_FILE, "l0 server, process 2, listening on 127.0.0.1:2");
            }
            true
        })
        .expect("it came");
        assert_eq!(endpoint, "http://localhost:2/");

        // Nobody comes: what is there is told all the same, as what it is.
        drop(lock);
        let mut looks = 0;
        of_data_dir(&printer, dir, || {
            looks += 1;
            looks < 3
        })
        .expect("the last one's");
        assert_eq!(looks, 3);
    }

    #[test]
    fn where_no_token_is_kept_another_way_in_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        write(dir.path(), ENDPOINT_FILE, "http://localhost:1/");
        write(dir.path(), LOCK_FILE, "l0 server, process 1, listening on 127.0.0.1:1");
        let held = File::open(dir.path().join(LOCK_FILE)).expect("there");
        held.try_lock().expect("free");
        let printer = Printer::new(Box::new(std::io::sink()), Box::new(std::io::sink()));
        let why = of_data_dir(&printer, dir.path(), || panic!("it waited")).expect_err("no token");
        let said = why.text();
        assert!(said.contains("--new-admin-token") && said.contains("l0 login"), "{said}");
        assert!(!said.contains("when it starts"), "{said}");
    }

    #[test]
    fn each_shell_gets_its_own_lines() {
        let line = |syntax: Syntax| syntax.line("K", "http://a:80/").expect("a line");
        assert_eq!(line(Syntax::Bash), "export K=\"http://a:80/\"");
        assert_eq!(line(Syntax::Cmd), "set K=http://a:80/");
        assert_eq!(line(Syntax::PowerShell), "$env:K=\"http://a:80/\"");
        assert_eq!(
            Syntax::parse("fish").expect_err("unknown").message,
            "Unknown syntax 'fish'. Please specify 'bash', 'cmd', or 'powershell'"
        );
    }

    #[test]
    fn a_value_cannot_run_a_command() {
        assert_eq!(Syntax::Bash.line("K", "a$(id)`id`\"\\").expect("a line"), r#"export K="a\$(id)\`id\`\"\\""#);
        assert_eq!(Syntax::Cmd.line("K", "a&b|c").expect("a line"), "set K=a^&b^|c");
        assert_eq!(Syntax::PowerShell.line("K", "a$(id)\"").expect("a line"), "$env:K=\"a`$(id)`\"\"");
        assert!(Syntax::Bash.line("K", "a\nb").is_err());
    }
}
