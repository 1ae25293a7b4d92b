//! `--timings`: a picture of the run as one HTML page.
//!
//! [`Recorder`] turns events into a [`Picture`] (plain data), [`Analysis`] says what it means,
//! `encode` makes compact JSON of both and `page` puts that into the page, whose parts lie in
//! `page/`. Nothing before `encode` knows that there is a page.

mod analysis;
mod encode;
mod model;
mod page;
mod recorder;
#[cfg(test)]
mod tests;
mod timings_reporter;

pub use analysis::{Analysis, Bottleneck, FixtureTotal, Lane};
pub use encode::json;
pub use model::{Attempt, Crash, Ending, Fixture, Forecast, Micros, Picture, Setup, Test};
pub use recorder::Recorder;
pub use timings_reporter::Timings;
