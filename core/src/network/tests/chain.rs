//! A chain that certificates are posted on: what it shows of ordered streams.

use std::collections::BTreeMap;

use crate::ids::{BatchRoot, CertificateId};
use crate::network::*;

use super::world::World;

/// What the certificates of streams look like on the chain.
#[derive(Default)]
pub struct Chain {
    /// Facts that were looked at.
    facts: usize,
    /// Jobs that were known when each batch was opened last.
    known: BTreeMap<BatchRoot, u64>,
    /// Certificates that are in a block, in order.
    posted: Vec<CertificateId>,
    /// Pairs of jobs of one stream that were posted in order.
    pub pairs: usize,
}

impl Chain {
    pub fn follow(&mut self, world: &World) {
        let state = world.network.state();
        for bytes in world.journal.iter().skip(self.facts) {
            if let Change::BatchOpened { root, .. } = Fact::decode(bytes).unwrap().change {
                self.known.insert(root, state.serial);
            }
        }
        self.facts = world.journal.len();
        let is_posted = |id: &CertificateId| {
            let posting = state.certificates.get(id).map(|book| book.submission.posting);
            matches!(posting, Some(Posting::Included(_) | Posting::Final(_)))
        };
        self.posted.retain(is_posted);
        let new: Vec<CertificateId> =
            state.certificates.keys().filter(|id| is_posted(id)).copied().collect();
        for id in new {
            if !self.posted.contains(&id) {
                self.posted.push(id);
                self.check_newest(world, &id);
            }
        }
    }

    /// Every job that comes before one of this certificate is posted, or never will be.
    fn check_newest(&mut self, world: &World, id: &CertificateId) {
        let state = world.network.state();
        let book = &state.certificates[id];
        for job in book.statements.iter().filter_map(|(_, job)| state.jobs.get(job)) {
            let earlier = state.jobs.values().filter(|one| {
                one.spec.requester == job.spec.requester
                    && one.spec.stream == job.spec.stream
                    && one.spec.sequence < job.spec.sequence
                    && one.serial <= self.known[&book.certificate.root]
                    && world.now < one.spec.deadline.as_millis()
            });
            for one in earlier.filter(|one| one.spec.stream > 0) {
                let certificate = world.network.job(&one.id).unwrap().certificate;
                let posted = certificate.is_some_and(|earlier| self.posted.contains(&earlier));
                let ended = one.state.kind().is_terminal();
                assert!(posted || ended, "{} was posted before {}", job.id, one.id);
                self.pairs += usize::from(posted && certificate != Some(*id));
            }
        }
    }
}
