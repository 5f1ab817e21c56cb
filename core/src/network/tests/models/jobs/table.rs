//! The network, driven by the same inputs as the model.

use super::*;

pub struct JobTable {
    pub world: World,
    pub ids: BTreeMap<Key, JobId>,
}

impl JobTable {
    fn id(&self, key: Key) -> JobId {
        let unknown = || spec_of(key, Ask::Direct, 1).id();
        self.ids.get(&key).copied().unwrap_or_else(unknown)
    }

    fn submit(&mut self, key: Key, ask: Ask, span_s: u64) -> Said {
        let spec = spec_of(key, ask, span_s);
        let provenance =
            if ask.is_contract() { Provenance::Chain(event(key.1)) } else { Provenance::Direct };
        let said = self.world.apply(Input::SubmitJob { spec, provenance });
        if let Ok(Answer::JobAccepted(id)) = said {
            self.ids.insert(key, id);
        }
        said
    }

    fn post(&mut self, key: Key, post: Post) -> Said {
        let job = self.id(key);
        let certificate = match self.world.network.state().jobs[&job].state {
            JobState::Certified { certificate }
            | JobState::Submitted { certificate, .. }
            | JobState::Settled { certificate, .. } => certificate,
            ref other => panic!("job is {other:?}"),
        };
        let update = match post {
            Post::Sent => SubmissionUpdate::Sent { tx: inclusion(1).tx },
            Post::Included => SubmissionUpdate::Included(inclusion(1)),
            Post::Final | Post::Settled => SubmissionUpdate::Final(inclusion(1)),
            Post::Reorged => SubmissionUpdate::Reorged,
            Post::Failed => SubmissionUpdate::Failed(SubmissionFailure::Unavailable("down".into())),
        };
        let subject = match post {
            Post::Settled => SubmissionSubject::Settle(job),
            _ => SubmissionSubject::Certificate(certificate),
        };
        self.world.apply(Input::SubmissionUpdate { chain: CHAIN, subject, update })
    }

    fn certify(&mut self, key: Key) {
        let statement = self.world.statement(&self.id(key));
        for index in 0..STAKES.len() {
            self.world.vote(index, statement, Verdict::Valid);
        }
        self.world.pass(250);
        // None, if the job ended meanwhile.
        if !self.world.network.state().open_batches.is_empty() {
            self.world.attest(&[0, 1, 2, 3]);
        }
    }

    fn prove(&mut self, key: Key) {
        let job = self.id(key);
        for index in 0..self.world.network.state().jobs[&job].tasks.len() {
            if matches!(self.world.task(&job, index).state, TaskState::Leased(_)) {
                self.world.prove(&job, index);
            }
        }
    }

    pub fn advance(&mut self, input: Do) -> Said {
        match input {
            Do::Submit { key, ask, span_s } => return self.submit(key, ask, span_s),
            Do::Blob { key, short } => {
                let (digest, bytes) = (input_of(key), length(short));
                return self.world.apply(Input::BlobStored { digest, bytes });
            }
            Do::Plan { key, segments } => {
                let (job, plan) = (self.id(key), plan(segments));
                return self.world.apply(Input::JobPlanned { job, plan });
            }
            Do::RefusePlan { key } => {
                let (job, reason) = (self.id(key), "no such program".into());
                return self.world.apply(Input::JobRefused { job, reason });
            }
            Do::Cancel { key, owner } => {
                let requester = address(if owner { key.0 } else { 0x77 });
                return self.world.apply(Input::CancelJob { job: self.id(key), requester });
            }
            Do::Expire { key, creator } => {
                let mut provenance = event(9);
                if !creator {
                    provenance.contract = target();
                }
                return self.world.apply(Input::JobExpired { job: self.id(key), provenance });
            }
            Do::Post { key, post } => return self.post(key, post),
            Do::Connect => {
                self.world.connect(0, 64);
            }
            Do::Prove { key } => self.prove(key),
            Do::VoteInvalid { key } => {
                let statement = self.world.statement(&self.id(key));
                for index in 0..2 {
                    self.world.vote(index, statement, Verdict::Invalid);
                }
            }
            Do::Certify { key } => self.certify(key),
            Do::Pass { ms } => {
                self.world.pass(ms);
            }
        }
        Ok(Answer::Done)
    }
}
