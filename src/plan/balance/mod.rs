//! Which worker gets which tests, for the shortest time.
//!
//! [`units`] groups the tests, [`lpt`] gives the groups to workers, and `fixture_aware` chooses how
//! far modules with expensive fixtures are split, by what `module_setup_costs` finds out about them.
//! With few modules and workers `local_search` does it thoroughly, and divides modules into
//! `module_shares`; `robustness` says which of several plans is taken.

pub(super) mod fixture_aware;
mod local_search;
pub mod lpt;
pub(super) mod module_setup_costs;
mod module_shares;
mod random;
mod robustness;
pub mod units;
