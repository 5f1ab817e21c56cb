//! What waits for long is looked at now and then, so that it does not cost a question at every step.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::Submitter;
use super::record::Purpose;

/// Time between two looks at what waits for long, such as locks of jobs that are open.
const PAUSE: Duration = Duration::from_secs(15);

/// When this process last looked at what can wait; empty after a restart, so that all is looked at.
#[derive(Debug, Default)]
pub(super) struct Patience(BTreeMap<Purpose, Instant>);

impl Patience {
    /// Whether a submission is to be looked at now.
    pub(super) fn is_due(&mut self, purpose: Purpose) -> bool {
        if !purpose.is_patient() {
            return true;
        }
        let now = Instant::now();
        let due = self.0.get(&purpose).is_none_or(|at| now.duration_since(*at) >= PAUSE);
        if due {
            self.0.insert(purpose, now);
        }
        due
    }

    /// A submission is over.
    pub(super) fn forget(&mut self, purpose: Purpose) {
        self.0.remove(&purpose);
    }
}

impl Submitter {
    /// How many submissions that can wait are not over.
    #[must_use]
    pub fn patient(&self) -> usize {
        let open = self.records.all().iter().filter(|record| !record.phase.is_over());
        open.filter(|record| record.post.purpose.is_patient()).count()
    }
}
