//! What the parser says about a command line that it can't read, in the contract's words and with what was probably meant.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::error::{CliError, Exit};
use crate::printer::Printer;
use crate::settings::Output;

/// Prints help and version, which the parser reports as errors too; turns the rest into ours.
pub(crate) fn judge(printer: &Printer, why: &clap::Error) -> Result<(), CliError> {
    match why.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => printer.data(&why.render().to_string()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // For programs stderr is a stream of JSON values.
            if printer.output() == Output::Text {
                printer.talk(&why.render().to_string());
            }
            // Said already; the exit code is what is left.
            Err(CliError::new(Exit::Usage, "a command is missing"))
        }
        ErrorKind::MissingRequiredArgument => {
            Err(with_usage(CliError::usage(format!("Argument {} is required", first_missing(why))), why))
        }
        _ => {
            let text = why.render().to_string();
            let first = text.lines().next().unwrap_or("the command line can't be read");
            let mut error = CliError::usage(first.strip_prefix("error: ").unwrap_or(first));
            for kind in [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue] {
                if let Some(closest) = why.get(kind).and_then(closest_of) {
                    error = error.hint(format!("did you mean `{closest}`?"));
                }
            }
            if let Some(ContextValue::Strings(known)) = why.get(ContextKind::ValidValue)
                && !known.is_empty()
            {
                error = error.hint(format!("known are `{}`", known.join("`, `")));
            }
            Err(with_usage(error, why))
        }
    }
}

fn with_usage(error: CliError, why: &clap::Error) -> CliError {
    match why.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => {
            let usage = usage.to_string();
            let words = usage.trim().trim_start_matches("Usage:").split_whitespace();
            let command: Vec<&str> = words.take_while(|word| !word.starts_with(['[', '<', '-'])).collect();
            error.hint(format!("`{} --help` shows its arguments, with an example", command.join(" ")))
        }
        _ => error,
    }
}

/// The label of the first argument that is missing.
fn first_missing(why: &clap::Error) -> String {
    let label = why.get(ContextKind::InvalidArg).and_then(first_of).unwrap_or_default();
    // A flag keeps the angle brackets around its value.
    if label.starts_with('-') { label } else { label.trim_matches(['<', '>']).to_owned() }
}

fn first_of(value: &ContextValue) -> Option<String> {
    match value {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => texts.first().cloned(),
        _ => None,
    }
}

/// The parser lists what is similar in rising order.
fn closest_of(value: &ContextValue) -> Option<String> {
    match value {
        ContextValue::Strings(texts) => texts.last().cloned(),
        _ => first_of(value),
    }
}
