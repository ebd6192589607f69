//! One thing that an engine has, whoever it was made for.

use crate::model::entity::EntityRef;

/// One thing that bears the instance's label in an engine: a network, a container, a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thing {
    /// What it is, in the engine's words: `network`, `volume`, `stack`.
    pub what: &'static str,
    /// What it is called there.
    pub name: String,
    /// How the engine has it, in its words: `running`, `DELETE_FAILED`. Empty where such things have no state.
    pub state: String,
    /// The entities that it was made for, by its labels or its name. It is of use only while all of them are there: what
    /// links two environments links nothing when one of them is gone. Empty when its labels do not say (any more).
    pub made_for: Vec<EntityRef>,
    /// Why it is still there though it was to go, where the engine knows.
    pub hindrance: Option<String>,
}

impl Thing {
    /// A thing that was made for one entity and that nothing hinders.
    #[must_use]
    pub fn of(what: &'static str, name: impl Into<String>, state: impl Into<String>, made_for: EntityRef) -> Self {
        Self { what, name: name.into(), state: state.into(), made_for: vec![made_for], hindrance: None }
    }
}
