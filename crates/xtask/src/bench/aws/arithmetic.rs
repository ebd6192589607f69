//! What the figures mean for a hundred times as many services. Pure.

use super::Figures;

/// The part of the page.
pub(super) fn text(_it: &Figures) -> String {
    String::new()
}
