//! Repositories in ECR, behind the front that all repositories have.

mod fake;
mod mirrored;
mod moving;
mod on_aws;
mod owners;
mod pull;
mod push;
mod repositories;
mod rights;
mod rules;
mod several;
mod stage;
mod template;
mod token;
mod watched;
