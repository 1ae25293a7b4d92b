//! Run events to text and files.
//!
//! Reporters are siblings behind [`Reporter`]; none knows another. Those that write to the terminal
//! share a [`Screen`]. Why lines are made here and the closing sections by pytest:
//! `docs/design/reports.md`.

mod error;
mod junit;
pub mod merge;
mod notices;
mod reporter;
mod reporters;
mod screen;
mod status_line;
mod status_terminal;
mod style;
mod summary;
mod terminal;
mod test_case;
pub mod timings;

pub use error::ReportError;
pub use junit::Junit;
pub use notices::Notices;
pub use reporter::Reporter;
pub use reporters::Reporters;
pub use screen::{Screen, ScreenOptions, terminal_width};
pub use status_line::Progress;
pub use summary::Summary;
pub use terminal::Terminal;
pub use test_case::{Problem, test_case};
pub use timings::Timings;
