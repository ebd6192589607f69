//! The wire types, a file for each noun.

pub mod account;
pub mod audit;
pub mod common;
pub mod deploy;
pub mod environment;
pub mod image;
pub mod load_balancer;
pub mod log;
pub mod operation;
pub mod owner;
pub mod repository;
pub mod service;
pub mod tag;
pub mod task;
pub mod token;
pub mod user;
pub mod verify;

pub use account::*;
pub use audit::*;
pub use common::*;
pub use deploy::*;
pub use environment::*;
pub use image::*;
pub use load_balancer::*;
pub use log::*;
pub use operation::*;
pub use owner::*;
pub use repository::*;
pub use service::*;
pub use tag::*;
pub use task::*;
pub use token::*;
pub use user::*;
pub use verify::*;
