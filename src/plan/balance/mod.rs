//! Which worker gets which tests, for the shortest time.
//!
//! [`units`] groups the tests, [`lpt`] gives the groups to workers, and `fixture_aware` chooses how
//! far modules with expensive fixtures are split, by what `module_setup_costs` finds out about them.
//! `local_search` and `rebalance` do it thoroughly, `piece_counts` and `robustness` with caution.

pub(super) mod fixture_aware;
mod local_search;
pub mod lpt;
pub(super) mod module_setup_costs;
mod piece_counts;
mod random;
mod rebalance;
mod robustness;
pub mod units;
