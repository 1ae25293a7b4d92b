//! The command line: which tokens are ours, and what they mean. Types only; nothing here acts.
//!
//! rpytest itself interprets only what needs no run. Every other token is pytest's, untouched and
//! in its order: `-n`, `-v`, `--help`, paths, `--`. They are resolved by pytest's own parser, where
//! `addopts`, ini files and plugins have their say.

mod parse;

pub use parse::{Action, InventoryFormat, Invocation, Merge, Options, help, parse, split};
