//! `l0 task`.

use clap::Subcommand;

use super::LogWindow;

/// Deploys that run once, to their exit code
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  l0 task create dev migrate app:latest")]
pub(crate) enum Task {
    /// Run a deploy once
    #[command(after_help = "Example:\n  l0 task create --env app:MODE=migrate dev migrate app:latest")]
    Create {
        /// NAME or id of its environment
        #[arg(value_name = "ENVIRONMENT")]
        environment: String,
        /// Its name
        #[arg(value_name = "TASK_NAME")]
        name: String,
        /// NAME, NAME:VERSION, NAME:latest or an id
        #[arg(value_name = "DEPLOY")]
        deploy: String,
        /// Environment variable over the deploy's, CONTAINER:VAR=VAL; may be given several times
        #[arg(long = "env", value_name = "CONTAINER:VAR=VAL")]
        overrides: Vec<String>,
        /// Run it on machines of the environment's own
        #[arg(long)]
        stateful: bool,
        /// Run it on spare capacity that may be taken back (Fargate Spot); on one machine without meaning
        #[arg(long, conflicts_with = "stateful")]
        spot: bool,
        /// How many times, side by side
        #[arg(long, value_name = "N", default_value = "1")]
        copies: i64,
        /// Start without checking first that the engine can pull the images
        #[arg(long)]
        skip_pull_check: bool,
    },
    /// Delete a task and its logs
    #[command(after_help = "Example:\n  l0 task delete dev:migrate")]
    Delete {
        /// NAME, ENVIRONMENT:NAME or an id
        #[arg(value_name = "TASK_NAME")]
        target: String,
    },
    /// Show tasks
    #[command(after_help = "Example:\n  l0 task get dev:migrate")]
    Get {
        /// NAME, ENVIRONMENT:NAME or an id; `*` stands for any characters
        #[arg(value_name = "TASK_NAME")]
        target: String,
    },
    /// List tasks
    #[command(after_help = "Example:\n  l0 task list")]
    List {
        /// Accepted for old scripts: ended tasks are listed until they are deleted
        #[arg(long, hide = true)]
        all: bool,
    },
    /// Show what a task wrote
    #[command(after_help = "Example:\n  l0 task logs -f dev:migrate")]
    Logs {
        /// NAME, ENVIRONMENT:NAME or an id
        #[arg(value_name = "TASK_NAME")]
        target: String,
        #[command(flatten)]
        window: LogWindow,
        /// Go on as lines are written; without --timeout until the task ends or Ctrl-C
        #[arg(short, long)]
        follow: bool,
    },
    /// Stop a task; its logs stay
    #[command(after_help = "Example:\n  l0 task stop dev:migrate")]
    Stop {
        /// NAME, ENVIRONMENT:NAME or an id
        #[arg(value_name = "TASK_NAME")]
        target: String,
    },
}
