//! The server through its front door: a real socket, a real store, the fake engine.

mod access;
mod across;
mod auth;
mod auth_registry;
mod backup;
mod bad_input;
mod balancers;
mod contract;
mod crash;
mod defects;
mod exchange;
mod going_back;
mod grants;
mod grants_strategy;
mod happened;
<<<<<<< HEAD
mod hung_up;
=======
mod immutable;
>>>>>>> 3050214 (registry: an immutable tag keeps the parts and the blobs that it leads to)
mod migration;
mod operations;
mod pull_check;
mod recorded;
mod registry_credential;
mod registry_defects;
mod registry_only;
mod retention;
mod review;
mod scale;
mod servers;
mod sign_in;
mod stop;
mod support;
mod sweep;
mod takeover;
mod teams;
mod trouble;
mod upkeep;
mod wire;
