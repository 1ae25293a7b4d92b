//! A plan as it is written into the segment. The ring knows nothing of plans, nor plans of the
//! ring.

use crate::plan::{self, Plan};
use crate::shm::{PlanEntry, PlanTable, Sharing};

impl From<&Plan> for PlanTable {
    fn from(plan: &Plan) -> Self {
        Self {
            entries: plan.entries().iter().map(PlanEntry::from).collect(),
            parts: plan.parts().to_vec(),
            sharing: match plan.sharing() {
                plan::Sharing::Steal => Sharing::Steal,
                plan::Sharing::Queue => Sharing::Queue,
                plan::Sharing::Own => Sharing::Own,
            },
        }
    }
}

impl From<&plan::PlanEntry> for PlanEntry {
    fn from(entry: &plan::PlanEntry) -> Self {
        let &plan::PlanEntry {
            test,
            cost_us,
            unit,
            module,
            enter_us,
            paid_us,
            keep,
            rank,
            open,
        } = entry;
        Self {
            test,
            cost_us,
            unit,
            module,
            enter_us,
            paid_us,
            keep,
            rank,
            open,
        }
    }
}
