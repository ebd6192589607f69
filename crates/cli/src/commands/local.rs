//! Commands that speak to no server: `endpoint`, `completion`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use crate::args::local::{Completion, Endpoint};
use crate::args::{self};
use crate::credentials::Credentials;
use crate::error::CliError;
use crate::printer::Printer;
use crate::settings::{ENV_ENDPOINT, ENV_SKIP_SSL, ENV_SKIP_VERSION, ENV_TOKEN, Secret};

/// The file in a data directory that holds the instance's URL.
const ENDPOINT_FILE: &str = "endpoint";
/// The file in a data directory that holds the admin's token.
const TOKEN_FILE: &str = "admin-token";

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
    watched: bool,
) -> Result<(), CliError> {
    let syntax = Syntax::parse(&args.syntax)?;
    let (endpoint, token) = match &args.data_dir {
        Some(dir) => of_data_dir(dir)?,
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

fn of_data_dir(dir: &Path) -> Result<(String, Secret), CliError> {
    let read = |name: &str| {
        let path = dir.join(name);
        match std::fs::read_to_string(&path) {
            Ok(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
            Ok(_) => Err(CliError::usage(format!("{} is empty", path.display()))),
            Err(why) => Err(CliError::usage(format!("{} can't be read: {why}", path.display()))
                .hint(format!("`l0 server --data-dir {}` writes it when it starts", dir.display()))),
        }
    };
    Ok((read(ENDPOINT_FILE)?, Secret::new(read(TOKEN_FILE)?)))
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
