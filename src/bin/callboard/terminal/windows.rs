//! What the console shows: here, all that is typed.

/// Keeps nothing from being shown.
pub(super) struct Silence;

impl Silence {
    pub(super) fn begin() -> Self {
        Self
    }
}
