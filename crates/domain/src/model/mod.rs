//! The words of Layer0 as types. A value of one of these types is the proof that its rules hold: text from outside is
//! parsed once, at the edge, and never checked again.

pub mod access;
pub mod audit;
pub mod backing;
pub mod deploy;
pub mod digest;
pub mod entity;
pub mod environment;
pub mod failure;
pub mod glob;
pub mod grant;
pub mod home;
pub mod id;
pub mod image;
pub mod image_map;
pub mod listener_rule;
pub mod load_balancer;
pub mod name;
pub mod operation;
pub mod owner;
pub mod person;
pub mod placement;
pub mod registry;
pub mod retention;
pub mod service;
pub mod tag;
pub mod task;
pub mod task_definition;
pub mod time;
pub mod trust;
pub mod user;
