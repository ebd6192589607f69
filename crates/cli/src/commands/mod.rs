//! What the commands do, a file for each noun.

mod account;
mod admin;
mod audit;
pub(crate) mod backup;
mod deploy;
mod environment;
mod gc;
mod image;
mod load_balancer;
pub(crate) mod local;
pub(crate) mod login;
mod logs;
mod member;
mod operation;
mod owner;
pub(crate) mod registry;
mod repository;
mod service;
#[cfg(any(feature = "aws", test))]
pub(crate) mod setup;
#[cfg(not(any(feature = "aws", test)))]
#[path = "setup_absent.rs"]
pub(crate) mod setup;
mod sweep;
mod task;
mod token;
mod trust;
mod user;
mod verify;

use crate::app::App;
use crate::args::Noun;
use crate::error::CliError;

/// Runs a command that speaks to a server.
pub(crate) async fn run(app: &App, noun: Noun) -> Result<(), CliError> {
    match noun {
        Noun::Admin(verb) => admin::run(app, verb).await,
        Noun::Deploy(verb) => deploy::run(app, verb).await,
        Noun::Environment(verb) => environment::run(app, verb).await,
        Noun::LoadBalancer(verb) => load_balancer::run(app, verb).await,
        Noun::Service(verb) => service::run(app, verb).await,
        Noun::Task(verb) => task::run(app, verb).await,
        Noun::Operation(verb) => operation::run(app, verb).await,
        Noun::Job(verb) => operation::job(app, verb).await,
        Noun::Repository(verb) => repository::run(app, verb).await,
        Noun::Image(verb) => image::run(app, verb).await,
        Noun::Map(verb) => image::map(app, verb).await,
        Noun::User(verb) => user::run(app, verb).await,
        Noun::Whoami => user::whoami(app).await,
        Noun::Owner(verb) => owner::run(app, verb).await,
        Noun::Member(verb) => member::run(app, verb).await,
        Noun::Token(verb) => token::run(app, verb).await,
        Noun::Trust(verb) => trust::run(app, verb).await,
        Noun::Account(verb) => account::run(app, verb).await,
        // These speak to no server and were run before a connection was looked for.
        Noun::Login(_) | Noun::Logout(_) | Noun::Registry(_) | Noun::Setup(_) => Ok(()),
        Noun::Endpoint(_) | Noun::Completion(_) | Noun::Server(_) | Noun::Version => Ok(()),
    }
}
