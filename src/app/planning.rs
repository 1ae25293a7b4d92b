//! From the collected tests to the segment that workers share, and from a run to the record of it.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::output::print;
use crate::daemon::message::{Collected, Options, Order};
use crate::error::{Error, Result};
use crate::history::History;
use crate::plan::dist_modes::{self, Rules};
use crate::plan::replay::Record;
use crate::plan::{Plan, Sharing, Tests};
use crate::pool::Pool;
use crate::report::timings::Forecast;
use crate::shm::{PlanTable, Segment, SegmentSpec};
use crate::test_list::TestList;

/// Bytes of each worker's ring: hundreds of usual records, and 64 workers still fit into the 64 MiB
/// that containers give `/dev/shm` by default.
const RING_BYTES: u32 = 256 << 10;

/// What the history says of each test.
pub(super) struct Estimates {
    pub durations: Vec<Option<Duration>>,
    pub setups: Vec<Option<Duration>>,
}

impl Estimates {
    pub fn new(history: &mut History, test_list: &TestList) -> Self {
        Self {
            durations: history.estimates(test_list.ids.iter().map(String::as_str)),
            setups: history.setups(),
        }
    }
}

/// Plans the tests as the options ask for; `only` those of the shard, if the suite is divided.
pub(super) fn plan(
    collected: &Collected,
    test_list: &TestList,
    estimates: &Estimates,
    only: Option<&[u32]>,
) -> Result<Plan> {
    let options = &collected.options;
    let tests = Tests::new(&test_list.modules, &test_list.classes, &estimates.durations)
        .and_then(|tests| tests.with_setups(&estimates.setups))
        .ok_or_else(|| Error::Internal("the inventory's lists differ in length".into()))?;
    if let Some(file) = &options.replay {
        return replay(file, &tests, test_list);
    }
    if options.copies > 0 {
        return Ok(Plan::copies(&tests, options.copies, &test_list.serial));
    }
    let rules = Rules {
        workers: options.workers.into(),
        groups: &test_list.groups,
        serial: &test_list.serial,
        order: match options.order {
            Order::Lpt => dist_modes::Order::Lpt,
            Order::Queue => dist_modes::Order::Queue,
            Order::Collected => dist_modes::Order::Collected,
        },
        only,
    };
    let plan = Plan::with(&tests, &rules);
    check_complete(&plan, test_list, only)?;
    Ok(plan)
}

/// A run counts results against its plan, so a test that planning lost would be missed by nobody:
/// it is looked for here.
fn check_complete(plan: &Plan, test_list: &TestList, only: Option<&[u32]>) -> Result<()> {
    let mut times = vec![0_u32; test_list.ids.len()];
    for entry in plan.entries() {
        times[entry.test as usize] += 1;
    }
    let mut wanted = vec![u32::from(only.is_none()); times.len()];
    for &test in only.unwrap_or_default() {
        wanted[test as usize] = 1;
    }
    match (0..)
        .zip(times.iter().zip(&wanted))
        .find(|(_, (is, should))| is != should)
    {
        None => Ok(()),
        Some((test, (times, _))) => Err(Error::Internal(format!(
            "the plan has `{}` {times} times; `--order collected` plans without durations",
            test_list.id(test)
        ))),
    }
}

fn replay(file: &Path, tests: &Tests, test_list: &TestList) -> Result<Plan> {
    let record = Record::read(file).map_err(Error::bad_option)?;
    let resolved = record.resolve(&test_list.ids).map_err(|why| {
        Error::bad_option(format!(
            "the plan `{}` can't be replayed: {why}",
            file.display()
        ))
    })?;
    if resolved.left_out > 0 {
        let text = format!(
            "notice: {} collected tests are not in the plan `{}` and are left out\n",
            resolved.left_out,
            file.display()
        );
        print(io::stderr().lock(), &text);
    }
    Ok(Plan::processes(tests, resolved.parts))
}

/// How tests are given to workers, for `-v`.
pub(super) fn describe(options: &Options, estimates: &Estimates) -> String {
    if options.replay.is_some() {
        return "as in the recorded plan".into();
    }
    if options.copies > 0 {
        return "all of them in each worker".into();
    }
    match options.order {
        Order::Lpt => {
            let tests = estimates.durations.len();
            let known = estimates.durations.iter().flatten().count();
            format!("longest first, {known} of {tests} with a known duration")
        }
        Order::Queue => "groups as they were collected, to whoever has time".into(),
        Order::Collected => "pieces of the order of collection, nothing is stolen".into(),
    }
}

/// Makes the segment with the plan in it; what runs alone is withheld.
pub(super) fn segment(plan: &Plan, tests: u32, slots: u16, max_restarts: u32) -> Result<Segment> {
    let table = PlanTable::from(plan);
    let spec = SegmentSpec {
        slots,
        tests,
        ring_bytes: RING_BYTES,
        incarnations: Pool::events_for(slots, max_restarts),
    };
    Segment::sweep();
    let segment =
        Segment::create(&spec, &table).map_err(|error| Error::Segment(error.to_string()))?;
    for &test in plan.serial().iter().flat_map(|serial| &serial.tests) {
        segment.withhold(test);
    }
    segment.reserve_firsts();
    Ok(segment)
}

/// What the plan expects, for `--timings`.
pub(super) fn forecast(plan: &Plan, estimates: &Estimates) -> Forecast {
    let count = estimates.durations.len();
    let mut slots = vec![0; count];
    let mut loads = Vec::with_capacity(plan.workers());
    for (slot, &(start, len)) in (0..).zip(plan.parts()) {
        let part = &plan.entries()[start as usize..][..len as usize];
        for entry in part {
            slots[entry.test as usize] = slot;
        }
        loads.push(part.iter().map(|entry| u64::from(entry.cost_us)).sum());
    }
    if plan.sharing() == Sharing::Queue {
        // Whoever has time takes the next: no test is meant for a worker, and all get about the
        // same.
        slots.clear();
        let share = loads.iter().sum::<u64>() / loads.len().max(1) as u64;
        loads.fill(share);
    }
    Forecast {
        estimates: estimates.durations.clone(),
        slots,
        loads: loads.into_iter().map(Duration::from_micros).collect(),
    }
}

/// Writes down which worker ran what.
pub(super) fn record(
    file: &Path,
    sequences: &[Vec<Vec<u32>>],
    plan: &Plan,
    test_list: &TestList,
) -> Result<()> {
    let is_serial = |test: &u32| {
        plan.serial()
            .iter()
            .any(|serial| serial.tests.contains(test))
    };
    let (mut workers, mut serial) = (Vec::new(), Vec::new());
    let names = |tests: Vec<u32>| -> Vec<String> {
        let names = tests.into_iter().map(|test| test_list.id(test).to_owned());
        names.collect()
    };
    for processes in sequences {
        let mut worker = Vec::with_capacity(processes.len());
        for tests in processes {
            let (alone, others): (Vec<u32>, Vec<u32>) =
                tests.iter().partition(|&test| is_serial(test));
            worker.push(names(others));
            serial.extend(names(alone));
        }
        workers.push(worker);
    }
    Record::new(workers, serial)
        .write(file)
        .map_err(|error| Error::io("write the plan", file, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_with_a_test_missing_or_twice_is_no_plan() {
        let test_list = TestList {
            ids: vec!["a::x".into(), "a::y".into(), "b::z".into()],
            ..TestList::default()
        };
        let durations = [None; 3];
        let tests = Tests::new(&[0, 0, 1], &[0, 0, 1], &durations).unwrap();
        let check = |parts, only| check_complete(&Plan::fixed(&tests, parts), &test_list, only);
        let parts = |first: &[u32], second: &[u32]| {
            vec![(first.to_vec(), vec![]), (second.to_vec(), vec![])]
        };

        assert!(check(parts(&[0, 1], &[2]), None).is_ok());
        assert!(check(parts(&[0], &[2]), Some(&[0, 2])).is_ok());
        for (wrong, only, name) in [
            (parts(&[0], &[2]), None, "a::y"),
            (parts(&[0, 1], &[2, 0]), None, "a::x"),
            (parts(&[0, 1], &[2]), Some(&[0, 1][..]), "b::z"),
        ] {
            let error = check(wrong, only).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
