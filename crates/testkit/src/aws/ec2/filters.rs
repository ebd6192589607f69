//! Filters of the describe operations.

use serde_json::Value;

use super::super::wildcard;
use super::super::wire::{AwsError, Input};

/// What a thing has under the name of a filter: its values. `None`: there is no such filter for it.
pub(super) type Field<'a> = dyn Fn(&str) -> Option<Vec<String>> + 'a;

/// Whether a thing passes all filters of a request.
///
/// # Errors
/// `InvalidParameterValue` for a filter that its kind does not have.
pub(super) fn passes(input: &Value, field: &Field<'_>) -> Result<bool, AwsError> {
    for filter in input.list("Filter") {
        let name = filter.text("Name").unwrap_or_default();
        let values = filter.texts("Value");
        let has = field(name)
            .ok_or_else(|| AwsError::new("InvalidParameterValue", format!("The filter '{name}' is invalid")))?;
        if !values.iter().any(|pattern| has.iter().any(|value| wildcard::matches(pattern, value))) {
            return Ok(false);
        }
    }
    Ok(true)
}
