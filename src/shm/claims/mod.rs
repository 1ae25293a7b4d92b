//! Who runs which test: claims, and how a worker finds the test that it claims next.
//!
//! `claim` has the words, `plan_walk` the way of a worker through the plan, `first_claims` the
//! tests that workers begin with. `remaining_work` knows what is left to do and who would do it, by
//! what it costs to enter modules (`measured_module_setup_costs`); `steal` and `steal_choice` say what a
//! worker without work (`seeker`) takes over of it.

pub(super) mod claim;
mod first_claims;
pub(super) mod measured_module_setup_costs;
pub(super) mod plan_walk;
mod remaining_work;
mod seeker;
mod steal;
mod steal_choice;
