//! Plans for what the user asks for beyond the shortest time: groups that stay together, tests that
//! run alone, a fixed order.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::time::Duration;

use super::balance::fixture_aware;
use super::balance::module_setup_costs::Costs;
use super::balance::units::{Split, Unit};
use super::{Plan, PlanEntry, Serial, Sharing, Tests};
use crate::event::TestIndex;

/// In which order tests are given to workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Longest first, and idle workers help the others.
    #[default]
    Lpt,
    /// As collected: all workers take the next group.
    Queue,
    /// As collected, in contiguous pieces of about as many tests, and nobody helps: the same
    /// assignment in every run.
    Collected,
}

/// What a plan must keep to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules<'a> {
    /// 0 counts as 1.
    pub workers: usize,
    /// Per test: 0, or the number of a group, the tests of which run in one worker. Empty: there
    /// are no groups.
    pub groups: &'a [u32],
    /// Tests that run when nothing else runs. A group with one of them does so as a whole.
    pub serial: &'a [TestIndex],
    pub order: Order,
    /// Plans these tests alone; their numbers, ascending.
    pub only: Option<&'a [TestIndex]>,
}

/// Tests by what the rules say about them, each list in collection order.
#[derive(Debug, Default)]
struct Sorted {
    /// May run anywhere.
    free: Vec<TestIndex>,
    /// Groups, in the order of their first tests.
    groups: Vec<Vec<TestIndex>>,
    serial: Vec<TestIndex>,
}

impl Sorted {
    fn new(count: usize, rules: &Rules) -> Sorted {
        let group_of = |test: TestIndex| rules.groups.get(test as usize).copied().unwrap_or(0);
        let serial: HashSet<TestIndex> = rules.serial.iter().copied().collect();
        let serial_groups: HashSet<u32> = serial
            .iter()
            .map(|&test| group_of(test))
            .filter(|&group| group > 0)
            .collect();
        let mut sorted = Sorted::default();
        let mut places: HashMap<u32, usize> = HashMap::new();
        for test in 0..count as TestIndex {
            let group = group_of(test);
            if serial.contains(&test) || serial_groups.contains(&group) {
                sorted.serial.push(test);
            } else if group == 0 {
                sorted.free.push(test);
            } else {
                let place = *places.entry(group).or_insert(sorted.groups.len());
                if place == sorted.groups.len() {
                    sorted.groups.push(Vec::new());
                }
                sorted.groups[place].push(test);
            }
        }
        sorted
    }

    /// All but the serial ones: free tests, then group by group.
    fn order(&self) -> Vec<TestIndex> {
        let grouped = self.groups.iter().flatten();
        self.free.iter().chain(grouped).copied().collect()
    }

    /// Per test, of `count`, its place in the order in which tests are run: that of collection,
    /// each group where its first test is.
    fn ranks(&self, count: usize) -> Vec<u32> {
        let mut ranks = vec![0; count];
        let pieces = self.pieces();
        let order = pieces
            .iter()
            .flat_map(|(_, tests)| tests)
            .chain(&self.serial);
        for (rank, &test) in (0..).zip(order) {
            ranks[test as usize] = rank;
        }
        ranks
    }

    /// Groups and single tests in the order of their first tests.
    fn pieces(&self) -> Vec<(bool, Vec<TestIndex>)> {
        let single = self.free.iter().map(|&test| (false, vec![test]));
        let groups = self.groups.iter().map(|group| (true, group.clone()));
        let mut pieces: Vec<_> = single.chain(groups).collect();
        pieces.sort_unstable_by_key(|(_, tests)| tests[0]);
        pieces
    }
}

impl Plan {
    /// Plans `tests` by `rules`. Never more parts than groups and single tests. One worker gets the
    /// tests in collection order.
    ///
    /// # Panics
    /// When a serial test does not exist.
    #[must_use]
    pub fn with(tests: &Tests, rules: &Rules) -> Plan {
        if let Some(only) = rules.only {
            return some(tests, rules, only);
        }
        let sorted = Sorted::new(tests.len(), rules);
        let most = sorted.free.len() + sorted.groups.len();
        let workers = rules.workers.clamp(1, most.max(1));
        if workers == 1 || most == 0 {
            let plan = Plan::new(tests, 1);
            let sharing = match rules.order {
                Order::Collected => Sharing::Own,
                Order::Lpt | Order::Queue => Sharing::Steal,
            };
            return Plan { sharing, ..plan };
        }
        let mut plan = match rules.order {
            Order::Lpt if sorted.groups.is_empty() && sorted.serial.is_empty() => {
                return Plan::new(tests, workers);
            }
            Order::Lpt => longest_first(tests, &sorted, workers),
            Order::Queue => queue(tests, &sorted, workers),
            Order::Collected => pieces(tests, &sorted, workers),
        };
        let costs = tests.costs();
        plan.add_serial(0, &sorted.serial, &costs);
        if plan.sharing != Sharing::Own {
            let ranks = sorted.ranks(tests.len());
            for entry in &mut plan.entries {
                entry.rank = ranks[entry.test as usize];
            }
            plan.sort_parts();
        }
        plan
    }

    /// Puts each part into the order of ranks. A unit of tests without a group, among which a group
    /// begins, becomes two.
    pub(super) fn sort_parts(&mut self) {
        let mut fresh = self.fresh_unit();
        for &(start, len) in &self.parts {
            let part = &mut self.entries[start as usize..(start + len) as usize];
            part.sort_by_key(|entry| entry.rank);
            let mut seen = HashSet::new();
            for piece in part.chunk_by_mut(|one, next| one.unit == next.unit) {
                if !seen.insert(piece[0].unit) {
                    piece.iter_mut().for_each(|entry| entry.unit = fresh);
                    fresh += 1;
                }
            }
        }
    }

    /// The number of a unit that there is not.
    fn fresh_unit(&self) -> u32 {
        let units = self.entries.iter().map(|entry| entry.unit + 1);
        units.max().unwrap_or(0)
    }

    /// `copies` workers, each of which runs all tests of its copy: `tests` has the suite as many
    /// times, one after the other. `serial` are the serial tests of all copies.
    #[must_use]
    pub fn copies(tests: &Tests, copies: u16, serial: &[TestIndex]) -> Plan {
        let len = tests.len() / usize::from(copies.max(1));
        let alone: HashSet<TestIndex> = serial.iter().copied().collect();
        let parts = (0..usize::from(copies)).map(|copy| {
            let all = (copy * len) as TestIndex..((copy + 1) * len) as TestIndex;
            all.partition(|test| !alone.contains(test))
        });
        Plan::fixed(tests, parts.collect())
    }

    /// Each worker's tests as they are given, and then those of it that run alone.
    #[must_use]
    pub fn fixed(tests: &Tests, parts: Vec<(Vec<TestIndex>, Vec<TestIndex>)>) -> Plan {
        let one = |(part, serial)| (vec![part], serial);
        Plan::processes(tests, parts.into_iter().map(one).collect())
    }

    /// Each worker's tests as they are given, those of several processes one after the other, and
    /// then those of it that run alone.
    #[must_use]
    pub fn processes(tests: &Tests, parts: Vec<(Vec<Vec<TestIndex>>, Vec<TestIndex>)>) -> Plan {
        let costs = tests.costs();
        let mut plan = Plan {
            sharing: Sharing::Own,
            ..Plan::default()
        };
        // Nothing to wait for with one worker.
        let alone = parts.len() > 1;
        for (slot, (processes, serial)) in (0..).zip(parts) {
            let start = plan.entries.len();
            for process in processes.iter().chain(std::iter::once(&serial)) {
                // The sequence is an instruction; where ranks begin anew, so does another process.
                let follows = !alone && std::ptr::eq(process, &serial);
                let first = if follows {
                    plan.entries.len() - start
                } else {
                    0
                };
                for (rank, &test) in (first as u32..).zip(process) {
                    plan.entries.push(PlanEntry {
                        rank,
                        ..entry(test, plan.entries.len(), &costs)
                    });
                }
            }
            let part = start..plan.entries.len();
            plan.parts.push((start as u32, part.len() as u32));
            let part = plan.entries[part].iter();
            plan.loads
                .push(part.map(|entry| costs[entry.test as usize]).sum());
            if alone && !serial.is_empty() {
                plan.serial.push(Serial {
                    slot,
                    tests: serial,
                });
            }
        }
        plan
    }

    /// Adds tests that run alone to the end of a part.
    fn add_serial(&mut self, slot: u16, serial: &[TestIndex], costs: &[u64]) {
        if serial.is_empty() {
            return;
        }
        let part = usize::from(slot);
        let (start, len) = self.parts[part];
        let at = (start + len) as usize;
        let added = (self.fresh_unit()..).zip(serial);
        let added: Vec<PlanEntry> = added
            .map(|(unit, &test)| entry(test, unit as usize, costs))
            .collect();
        self.entries.splice(at..at, added);
        self.parts[part].1 += serial.len() as u32;
        for later in &mut self.parts[part + 1..] {
            later.0 += serial.len() as u32;
        }
        // The serial tests wait for the busiest worker.
        let busiest = self.loads.iter().copied().max().unwrap_or(0);
        self.loads[part] = busiest + serial.iter().map(|&test| costs[test as usize]).sum::<u64>();
        self.serial.push(Serial {
            slot,
            tests: serial.to_vec(),
        });
    }
}

/// A plan for some tests, which keep their numbers.
fn some(tests: &Tests, rules: &Rules, only: &[TestIndex]) -> Plan {
    let columns = Columns::new(tests, only);
    let groups = pick(rules.groups, only);
    let place = |test: &TestIndex| only.binary_search(test).ok();
    let serial: Vec<TestIndex> = rules
        .serial
        .iter()
        .filter_map(place)
        .map(|place| place as TestIndex)
        .collect();
    let rules = Rules {
        groups: &groups,
        serial: &serial,
        only: None,
        ..*rules
    };
    let mut plan = Plan::with(&columns.tests(), &rules);
    let number = |test: &mut TestIndex| *test = only[*test as usize];
    for entry in &mut plan.entries {
        number(&mut entry.test);
    }
    for serial in &mut plan.serial {
        serial.tests.iter_mut().for_each(number);
    }
    plan
}

/// The elements at these places; none where there is nothing known.
fn pick<T: Copy>(from: &[T], order: &[TestIndex]) -> Vec<T> {
    let picked = order.iter().filter_map(|&test| from.get(test as usize));
    picked.copied().collect()
}

/// A test in a unit of its own.
fn entry(test: TestIndex, unit: usize, costs: &[u64]) -> PlanEntry {
    PlanEntry {
        test,
        cost_us: u32::try_from(costs[test as usize]).unwrap_or(u32::MAX),
        unit: unit as u32,
        module: unit as u32,
        enter_us: 0,
        paid_us: 0,
        keep: false,
        rank: test,
        open: false,
    }
}

/// LPT over groups and the units of all other tests.
fn longest_first(tests: &Tests, sorted: &Sorted, workers: usize) -> Plan {
    let order = sorted.order();
    let columns = Columns::new(tests, &order);
    let tests = columns.tests();
    let (costs, grain) = Costs::of(&tests, workers);
    let free = sorted.free.len();
    let columns_free = columns.first(free);
    let tests_free = columns_free.tests();
    let mut costs_free = costs.clone();
    for list in [
        &mut costs_free.own,
        &mut costs_free.real,
        &mut costs_free.enter,
        &mut costs_free.module,
    ] {
        list.truncate(free);
    }
    let wanted = workers.saturating_sub(sorted.groups.len());
    let split = Split::fine(costs.own.iter().sum(), workers, wanted).open(&costs_free, grain);
    let add = |units: &mut Vec<Unit>| {
        let mut first = free;
        let modules = units.iter().map(|unit| unit.module + 1).max().unwrap_or(0);
        for (module, group) in (modules..).zip(&sorted.groups) {
            units.push(Unit {
                first: first as TestIndex,
                len: group.len() as u32,
                module,
                cost: group_cost(&tests, &costs, first..first + group.len()),
                // The cost counts as known, if only by the number of tests: the unit can't be
                // divided later.
                known: true,
                enter: 0,
                keep: true,
                open: false,
            });
            first += group.len();
        }
    };
    let (units, parts) = fixture_aware::assign(&tests_free, &costs_free, split, workers, add);
    Plan::lay_out(&parts, &units, &costs, &tests, Some(&order))
}

/// Own costs and those of the modules that are entered on the way.
fn group_cost(tests: &Tests, costs: &Costs, range: std::ops::Range<usize>) -> u64 {
    let entered = range.clone().filter(|&place| {
        place == range.start || !tests.same_module(place as u32 - 1, place as u32)
    });
    let entered: u64 = entered.map(|place| costs.enter[place]).sum();
    costs.sum(&range) + entered
}

/// One line of groups and tests; what it takes is estimated by letting the workers take from it.
fn queue(tests: &Tests, sorted: &Sorted, workers: usize) -> Plan {
    let costs = tests.costs();
    let mut plan = Plan {
        sharing: Sharing::Queue,
        ..Plan::default()
    };
    let mut clocks: BinaryHeap<Reverse<u64>> = vec![Reverse(0); workers].into();
    for (unit, (keep, piece)) in (0..).zip(sorted.pieces()) {
        let cost: u64 = piece.iter().map(|&test| costs[test as usize]).sum();
        if let Some(mut least) = clocks.peek_mut() {
            least.0 += cost;
        }
        plan.entries.extend(piece.iter().map(|&test| PlanEntry {
            keep,
            ..entry(test, unit, &costs)
        }));
    }
    let all = plan.entries.len() as u32;
    plan.parts = (0..workers)
        .map(|slot| if slot == 0 { (0, all) } else { (all, 0) })
        .collect();
    plan.loads = clocks.into_iter().map(|Reverse(clock)| clock).collect();
    plan
}

/// Contiguous pieces of about as many tests; never an empty one.
fn pieces(tests: &Tests, sorted: &Sorted, workers: usize) -> Plan {
    let all = sorted.pieces();
    let count: usize = all.iter().map(|(_, piece)| piece.len()).sum();
    let mut parts: Vec<(Vec<TestIndex>, Vec<TestIndex>)> = Vec::with_capacity(workers);
    let mut part: Vec<TestIndex> = Vec::new();
    let mut before = 0;
    for (index, (_, piece)) in all.iter().enumerate() {
        let left = all.len() - index;
        let parts_left = workers - parts.len();
        // Cut where less than half of the next piece still belongs to this part, or none would be
        // left for the others.
        let due = (before + piece.len() / 2) * workers >= count * (parts.len() + 1);
        if !part.is_empty() && parts_left > 1 && (due || left < parts_left) {
            parts.push((std::mem::take(&mut part), Vec::new()));
        }
        part.extend(piece);
        before += piece.len();
    }
    parts.push((part, Vec::new()));
    Plan::fixed(tests, parts)
}

/// The tests in another order, or some of them.
struct Columns {
    modules: Vec<u32>,
    classes: Vec<u32>,
    durations: Vec<Option<Duration>>,
    setups: Vec<Option<Duration>>,
}

impl Columns {
    fn new(tests: &Tests, order: &[TestIndex]) -> Columns {
        Columns {
            modules: pick(tests.modules, order),
            classes: pick(tests.classes, order),
            durations: pick(tests.durations, order),
            setups: pick(tests.setups, order),
        }
    }

    fn first(&self, count: usize) -> Columns {
        let setups = count.min(self.setups.len());
        Columns {
            modules: self.modules[..count].to_vec(),
            classes: self.classes[..count].to_vec(),
            durations: self.durations[..count].to_vec(),
            setups: self.setups[..setups].to_vec(),
        }
    }

    fn tests(&self) -> Tests<'_> {
        Tests {
            modules: &self.modules,
            classes: &self.classes,
            durations: &self.durations,
            setups: &self.setups,
        }
    }
}
