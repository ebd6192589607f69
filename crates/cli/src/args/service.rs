//! `l0 service`.

use clap::Subcommand;

use super::LogWindow;

/// Copies of a deploy that are kept running
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  l0 service create dev web app:latest")]
pub(crate) enum Service {
    /// End a roll-out and go back to what ran before it
    #[command(
        long_about = "End a roll-out and go back to what ran before it\n\nThe last deployment that was healthy takes its place again: copies of it that still run stay, those that were replaced already are started again, those of the aborted deployment stop. Where no deployment was healthy before, no copy is left running.",
        after_help = "Example:\n  l0 service abort dev:web"
    )]
    Abort {
        /// NAME, ENVIRONMENT:NAME or an id
        #[arg(value_name = "SERVICE_NAME")]
        target: String,
    },
    /// Run a deploy as a service
    #[command(after_help = "Example:\n  l0 service create --loadbalancer web --scale 2 dev web app:latest")]
    Create {
        /// NAME or id of its environment
        #[arg(value_name = "ENVIRONMENT")]
        environment: String,
        /// Its name
        #[arg(value_name = "SERVICE_NAME")]
        name: String,
        /// NAME, NAME:VERSION, NAME:latest or an id
        #[arg(value_name = "DEPLOY")]
        deploy: String,
        /// Load balancer in front of it
        #[arg(long, value_name = "TARGET")]
        loadbalancer: Option<String>,
        /// Run it on machines of the environment's own
        #[arg(long)]
        stateful: bool,
        /// Number of copies
        #[arg(long, value_name = "N", default_value = "1")]
        scale: i64,
        /// Start without checking first that the engine can pull the images
        #[arg(long)]
        skip_pull_check: bool,
    },
    /// Stop a service and delete it
    #[command(after_help = "Example:\n  l0 service delete dev:web")]
    Delete {
        /// NAME, ENVIRONMENT:NAME or an id
        #[arg(value_name = "SERVICE_NAME")]
        target: String,
    },
    /// Show services, their deployments and pinned images
    #[command(after_help = "Example:\n  l0 service get dev:web\n  l0 service get 'dev:*'")]
    Get {
        /// NAME, ENVIRONMENT:NAME or an id; `*` stands for any characters
        #[arg(value_name = "SERVICE_NAME")]
        target: String,
    },
    /// List services
    #[command(after_help = "Example:\n  l0 service list")]
    List,
    /// Show what the copies of a service wrote
    #[command(after_help = "Example:\n  l0 service logs dev:web --tail 100\n  l0 service logs -f dev:web")]
    Logs {
        /// NAME, ENVIRONMENT:NAME or an id
        #[arg(value_name = "SERVICE_NAME")]
        target: String,
        #[command(flatten)]
        window: LogWindow,
        /// Go on as lines are written; without --timeout until Ctrl-C
        #[arg(short, long)]
        follow: bool,
    },
    /// Roll out again what a service ran before
    #[command(
        long_about = "Roll out again what a service ran before\n\nThe last deployment that was healthy, other than the present one, is rolled out anew with the very images that it ran. A second rollback goes forth again.",
        after_help = "Example:\n  l0 service rollback dev:web"
    )]
    Rollback {
        /// NAME, ENVIRONMENT:NAME or an id
        #[arg(value_name = "SERVICE_NAME")]
        target: String,
        /// Start without checking first that the engine can pull the images
        #[arg(long)]
        skip_pull_check: bool,
    },
    /// Set the number of copies
    #[command(after_help = "Example:\n  l0 service scale dev:web 3")]
    Scale {
        /// NAME, ENVIRONMENT:NAME or an id
        #[arg(value_name = "SERVICE_NAME")]
        target: String,
        /// Number of copies
        #[arg(value_name = "COUNT", allow_negative_numbers = true)]
        count: String,
    },
    /// Roll another deploy out
    #[command(after_help = "Example:\n  l0 service update dev:web app:latest")]
    Update {
        /// NAME, ENVIRONMENT:NAME or an id
        #[arg(value_name = "SERVICE_NAME")]
        target: String,
        /// NAME, NAME:VERSION, NAME:latest or an id
        #[arg(value_name = "DEPLOY")]
        deploy: String,
        /// Start without checking first that the engine can pull the images
        #[arg(long)]
        skip_pull_check: bool,
    },
}
