//! How many workers a file asks for.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

/// Most workers that can be asked for, as for `-n`.
const MAX_WORKERS: u32 = 1024;

/// A number of workers, as for `-n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// One per usable CPU.
    Auto,
    /// One per usable logical CPU.
    Logical,
    Count(u32),
}

impl fmt::Display for Workers {
    /// The number as `-n` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Workers::Auto => f.write_str("auto"),
            Workers::Logical => f.write_str("logical"),
            Workers::Count(count) => count.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for Workers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct WorkersVisitor;
        impl Visitor<'_> for WorkersVisitor {
            type Value = Workers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(
                    f,
                    "`default_workers` to be \"auto\", \"logical\" or a number from 0 to \
                     {MAX_WORKERS}"
                )
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> std::result::Result<Workers, E> {
                u32::try_from(value)
                    .ok()
                    .filter(|&count| count <= MAX_WORKERS)
                    .map(Workers::Count)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Signed(value), &self))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> std::result::Result<Workers, E> {
                match value {
                    "auto" => Ok(Workers::Auto),
                    "logical" => Ok(Workers::Logical),
                    _ => value
                        .parse()
                        .ok()
                        .filter(|&count| count <= MAX_WORKERS)
                        .map(Workers::Count)
                        .ok_or_else(|| E::invalid_value(de::Unexpected::Str(value), &self)),
                }
            }
        }
        deserializer.deserialize_any(WorkersVisitor)
    }
}
