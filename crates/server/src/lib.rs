//! The server of an instance: configuration, data directory, authentication, routes, reconciler, and the wiring of store,
//! registry and engine. It is the only crate that knows them all, and only `wiring` knows an engine by its name.

mod app;
mod audit;
mod auth;
mod backups;
mod bounded;
mod clock;
mod clock_watch;
mod collecting;
mod config;
mod convert;
mod data_dir;
mod descriptors;
mod error;
mod exchange;
mod extract;
mod first_bytes;
mod grants;
mod lanes;
mod listen;
mod migrations;
mod no_engine;
mod outgrown;
mod reconcile;
mod retaining;
mod routes;
mod run;
mod stop;
mod store_health;
mod sweeping;
mod taken;
#[cfg(feature = "testing")]
pub mod testing;
mod text_time;
mod unread;
mod verification;
mod wiring;

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub use auth::fuzzing;
pub use config::configuration_page;
pub use routes::openapi_json;
pub use run::run;
