//! What is known about each test: the proof that none is lost or counted twice.

/// Where a test stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not part of this run.
    NotPlanned,
    /// No result yet.
    Missing,
    /// It died with its worker or can't run any more; the host makes its report.
    Asked,
    /// It has its one result.
    Done,
}

/// The state of every test.
#[derive(Debug)]
pub(super) struct TestStates {
    states: Vec<State>,
    planned: usize,
    done: usize,
}

impl TestStates {
    /// `tests` tests in the list, of which `planned` are to run.
    pub fn new(tests: usize, planned: impl IntoIterator<Item = u32>) -> Self {
        let mut test_states = Self {
            states: vec![State::NotPlanned; tests],
            planned: 0,
            done: 0,
        };
        for test in planned {
            if let Some(state @ State::NotPlanned) = test_states.states.get_mut(test as usize) {
                *state = State::Missing;
                test_states.planned += 1;
            }
        }
        test_states
    }

    fn state(&self, test: u32) -> State {
        self.states
            .get(test as usize)
            .copied()
            .unwrap_or(State::NotPlanned)
    }

    /// A test that was asked about is to run once more.
    pub fn run_again(&mut self, test: u32) {
        if self.state(test) == State::Asked {
            self.states[test as usize] = State::Missing;
        }
    }

    /// Planned, and neither a result nor one on its way.
    pub fn is_missing(&self, test: u32) -> bool {
        self.state(test) == State::Missing
    }

    /// All tests for which [`TestStates::is_missing`] holds, in order.
    pub fn missing(&self) -> impl Iterator<Item = u32> + '_ {
        (0..)
            .zip(&self.states)
            .filter_map(|(test, state)| (*state == State::Missing).then_some(test))
    }

    /// Number of tests with a result.
    pub fn done(&self) -> usize {
        self.done
    }

    /// Number of planned tests without a result.
    pub fn unfinished(&self) -> usize {
        self.planned - self.done
    }

    /// The host is asked for a report about a missing test.
    pub fn ask(&mut self, test: u32) {
        if self.is_missing(test) {
            self.states[test as usize] = State::Asked;
        }
    }

    /// The result is there; `false`: it had one already, or was not to run.
    pub fn finish(&mut self, test: u32) -> bool {
        let open = matches!(self.state(test), State::Missing | State::Asked);
        if open {
            self.states[test as usize] = State::Done;
            self.done += 1;
        }
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_test_finishes_once() {
        let mut test_states = TestStates::new(4, [3, 0, 1, 1, 9]);
        assert_eq!((test_states.planned, test_states.unfinished()), (3, 3));
        assert!(test_states.finish(3));
        assert!(!test_states.finish(3), "a second result");
        assert!(!test_states.finish(2), "not planned");
        assert!(!test_states.finish(9), "does not exist");
        test_states.ask(0);
        test_states.ask(3);
        assert!(!test_states.is_missing(3) && !test_states.is_missing(0));
        assert_eq!(test_states.missing().collect::<Vec<_>>(), [1]);
        assert!(test_states.finish(0));
        assert_eq!((test_states.done(), test_states.unfinished()), (2, 1));
    }
}
