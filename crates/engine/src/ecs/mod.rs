//! The engine on AWS: ECS with Fargate or EC2, load balancers by ELB, logs in CloudWatch.
//!
//! ```text
//! environment    a CloudFormation stack: cluster, security group, log group; machines where asked for   template/environment
//! load balancer  a CloudFormation stack: ALB, NLB or classic ELB, target groups, security group         template/load_balancer
//! service        an ECS service; each deployment has a task definition family of its own                services/
//! task           ECS tasks, found again by who started them                                             tasks
//! pull check     what can be found out about image, role and network before a start                      evidence/
//! ```
//!
//! `ensure` takes a wish down and goes one step towards it. What can't be done yet (an environment that is still being made)
//! or goes on by itself (a roll-out) is looked at by one loop (`look`), which goes further steps. Each step is decided by a
//! pure function from what is wanted and what is seen, and may be repeated: names and idempotency tokens follow from our ids.
//! Nothing is kept that AWS does not have, but for what was seen last and which starts failed.
//!
//! Everything bears the labels of `names`; only what bears them is ever touched.

mod aws;
mod cause;
mod config;
mod definition;
mod engine;
mod environments;
mod evidence;
mod inventory;
mod logs;
mod look;
mod names;
mod services;
mod stacks;
mod state;
mod stops;
mod tasks;
mod template;
mod trail;

pub use layer0_aws::{ConnectError, Connection, Role, connect};

pub use self::aws::{Rate, Rates};
pub use self::config::EcsConfig;
pub use self::engine::EcsEngine;
