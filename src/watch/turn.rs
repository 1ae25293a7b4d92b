//! What one run of `--watch` is told, and what it leaves.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Which tests come first.
#[derive(Clone, Debug, Default)]
pub struct Focus {
    /// Node ids of tests that failed last time.
    pub failed: HashSet<String>,
    /// Files whose tests depend on what was changed.
    pub affected: HashSet<PathBuf>,
    /// Nothing but `failed` is to be run.
    pub only_failed: bool,
}

impl Focus {
    /// Place of a test in the order: what failed, what is affected, the rest.
    #[must_use]
    pub fn rank(&self, id: &str, root: &Path) -> u8 {
        if self.failed.contains(id) {
            return 0;
        }
        let file = root.join(id.split("::").next().unwrap_or(id));
        if self.affected.contains(&file) { 1 } else { 2 }
    }

    /// Whether it makes any difference.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.failed.is_empty() && self.affected.is_empty()
    }
}

/// One run.
#[derive(Debug, Default)]
pub struct Turn {
    pub focus: Focus,
    /// What the session was made from: the attachment of the `dependencies` message.
    pub dependencies: Option<Vec<u8>>,
    /// Collection was successful.
    pub collected: bool,
    /// Node ids of the tests that ran, and whether they failed.
    pub results: Vec<(String, bool)>,
    /// Of the tests that failed before, those that are no longer collected.
    pub gone: Vec<String>,
    /// How often the user asked for the run's end.
    pub interrupts: u32,
}

impl Turn {
    #[must_use]
    pub fn new(focus: Focus) -> Self {
        Self {
            focus,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_before_affected_before_the_rest() {
        let focus = Focus {
            failed: HashSet::from(["sub/test_a.py::one".to_owned()]),
            affected: HashSet::from([PathBuf::from("/root/test_b.py")]),
            only_failed: false,
        };
        let rank = |id| focus.rank(id, Path::new("/root"));
        assert_eq!(rank("sub/test_a.py::one"), 0);
        assert_eq!(rank("sub/test_a.py::two"), 2);
        assert_eq!(rank("test_b.py::Class::three"), 1);
        assert!(!focus.is_empty() && Focus::default().is_empty());
    }
}
