//! Plans, the history of durations, and shards, by their public interface.

mod balance;
mod exchange;
mod history;
mod kill;
mod order;
mod rules;
mod shard;
mod speed;
