//! Repositories in ECR, behind the front that all repositories have.

mod fake;
mod moving;
mod pull;
mod push;
mod repositories;
mod rights;
mod several;
mod stage;
mod template;
mod token;
