//! What a plan does and what a choice means, in words for people. Pure: the same input gives the same words.
//!
//! ```text
//! statement   a statement of a policy
//! policy      what one policy gives that another does not
//! plan        what a plan does to a stack, replacements first; no secret is ever shown
//! choices     what a kind of network and a way in mean
//! rights      the page that explains every right of the servers
//! ```

mod choices;
mod plan;
mod policy;
mod resource;
pub mod rights;
mod statement;

pub use self::choices::{access, network, way_out};
pub use self::plan::{Entry, Fate, Told, plan};
pub use self::policy::{Difference, difference};
pub use self::statement::statement;

/// `a, b and c`
fn listed(all: &[String]) -> String {
    match all {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
