//! The segment: where everything lies in it, the plan that it holds, and the accesses to its words.

pub(super) mod layout;
#[cfg(not(loom))]
mod mapping;
pub(super) mod memory;
pub(super) mod parent_state;
pub(super) mod plan_places;
pub(super) mod plan_table;
#[cfg(not(loom))]
pub(super) mod process_event;
pub(super) mod segment;
#[cfg(not(loom))]
pub(super) mod signals_blocked;
pub(super) mod slot;
