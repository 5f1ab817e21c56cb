//! Requesters: they submit, upload, repeat until they are answered, and sometimes change their mind.

use std::collections::BTreeSet;

use proofgrid_core::ids::{Address, Claim, JobId, TxHash};
use proofgrid_core::job::Origin;
use proofgrid_core::units::UnixSeconds;

use crate::chain::{Escrow, Tx};
use crate::net::{CALL, Message, Node};
use crate::stakes::address;
use crate::truth::{Wish, wish};
use crate::world::{START, Timer, World};

/// Time between two looks.
const LOOK_MS: u64 = 1_500;

/// A job that a requester wants.
#[derive(Debug)]
pub struct Errand {
    /// What it wants.
    pub wish: Wish,
    /// When it begins.
    starts_at: u64,
    /// When it uploads the input, at the earliest.
    uploads_at: u64,
    /// When it loses interest.
    cancels_at: Option<u64>,
    is_submitted: bool,
    is_uploaded: bool,
    is_cancelled: bool,
    create: Option<TxHash>,
    refund: Option<TxHash>,
}

/// A requester.
#[derive(Debug)]
pub struct Requester {
    /// Who it is.
    pub address: Address,
    /// What it wants.
    pub errands: Vec<Errand>,
    answered: BTreeSet<JobId>,
}

impl World {
    /// Draws the requesters' jobs.
    pub fn draw_requesters(&mut self) {
        for index in 0..2u8 {
            let address = address(0x30 + index);
            let mut errands = Vec::new();
            let count = self.plan.jobs[usize::from(index)];
            for nonce in 1..=count {
                errands.push(self.draw_errand(address, nonce, count));
            }
            let answered = BTreeSet::new();
            self.requesters.push(Requester { address, errands, answered });
            self.arm(Node::Requester(usize::from(index)), 10, Timer::Look);
        }
    }

    fn draw_errand(&mut self, address: Address, nonce: u64, count: u64) -> Errand {
        let origin = if self.random.chance(500) { Origin::Contract } else { Origin::Direct };
        let segments = match self.random.below(20) {
            0 => 0,
            1 => 5,
            draw => u8::try_from(1 + draw % 3).expect("small"),
        };
        let starts_at = self.random.below(8_000);
        let deadline =
            START.as_seconds().get() + (starts_at + self.random.between(25_000, 70_000)) / 1_000;
        let stream = if self.plan.streams { (1, count - nonce) } else { (0, 0) };
        let salt = if self.plan.shared_inputs { 0 } else { nonce };
        let deadline = UnixSeconds::new(deadline);
        let wish = wish(address, nonce, origin, (segments, salt), deadline, stream);
        let never = self.random.chance(40);
        let uploads_at = starts_at + if never { 1 << 40 } else { self.random.below(4_000) };
        let cancels = origin == Origin::Direct && self.random.chance(100);
        let cancels_at = cancels.then(|| starts_at + self.random.below(15_000));
        Errand {
            wish,
            starts_at,
            uploads_at,
            cancels_at,
            is_submitted: false,
            is_uploaded: false,
            is_cancelled: false,
            create: None,
            refund: None,
        }
    }

    fn call(&mut self, index: usize, message: Message) {
        self.send(CALL, Node::Dispatcher, Node::Requester(index), message);
    }

    /// A requester looks at its jobs.
    pub fn requester_looks(&mut self, index: usize) {
        for errand in 0..self.requesters[index].errands.len() {
            self.pursue(index, errand);
        }
        if self.plan.rude_requesters && !self.healed && self.random.chance(300) {
            self.be_rude(index);
        }
        self.arm(Node::Requester(index), LOOK_MS, Timer::Look);
    }

    fn pursue(&mut self, index: usize, errand: usize) {
        let one = &self.requesters[index].errands[errand];
        if self.now < one.starts_at {
            return;
        }
        let spec = one.wish.spec.clone();
        let (input, id) = (spec.input, one.wish.id);
        let uploads = self.now >= one.uploads_at && !one.is_uploaded;
        let one = &self.requesters[index].errands[errand];
        let cancels = one.cancels_at.is_some_and(|at| at <= self.now)
            && one.is_submitted
            && !one.is_cancelled;
        if spec.origin == Origin::Contract {
            self.pursue_on_chain(index, errand);
        } else if !one.is_submitted {
            self.call(index, Message::Submit(Box::new(spec)));
        }
        if uploads {
            self.call(index, Message::Upload(input));
        }
        if cancels {
            self.call(index, Message::Cancel(id));
        }
    }

    /// Sees to it that the job is on the chain, and that its escrow comes back if nobody earns it.
    fn pursue_on_chain(&mut self, index: usize, errand: usize) {
        let one = &self.requesters[index].errands[errand];
        let (id, create, refund) = (one.wish.id, one.create, one.refund);
        let latest = self.chain.latest();
        let waits = |tx: Option<TxHash>| tx.is_some_and(|tx| self.chain.is_pending(tx));
        let second = latest.time + 1;
        match latest.contracts.jobs.get(&id).map(|paid| paid.escrow) {
            None if !waits(create) && one.wish.spec.deadline.get() > second + 1 => {
                let spec = one.wish.spec.clone();
                let tx = self.chain.submit(Tx::Create(Box::new(spec)));
                self.requesters[index].errands[errand].create = Some(tx);
            }
            Some(escrow) => {
                let may = latest.contracts.is_refundable(&id, second)
                    || escrow == Escrow::Settled && refund.is_none() && self.plan.rude_requesters;
                if may && !waits(refund) {
                    let tx = self.chain.submit(Tx::Refund(id));
                    self.requesters[index].errands[errand].refund = Some(tx);
                }
            }
            None => {}
        }
    }

    /// Requests that a correct client would not make.
    fn be_rude(&mut self, index: usize) {
        let errands = &self.requesters[index].errands;
        let started = errands.iter().filter(|one| one.starts_at <= self.now);
        let started: Vec<Wish> = started.map(|one| one.wish.clone()).collect();
        if started.is_empty() {
            return;
        }
        let mut spec = started[self.random.index(started.len())].spec.clone();
        let direct = spec.origin == Origin::Direct;
        match self.random.below(4) {
            0 if direct => self.call(index, Message::Submit(Box::new(spec))),
            1 if direct => {
                // The same nonce for something else; refused if the first came before it.
                let is_known = self.requesters[index].answered.contains(&spec.id());
                spec.claim = Claim::from_bytes([0x66; 32]);
                if is_known {
                    self.call(index, Message::Submit(Box::new(spec)));
                }
            }
            2 => {
                let other = 1 - index;
                self.call(other, Message::Cancel(spec.id()));
            }
            _ => {
                spec.origin = if direct { Origin::Contract } else { Origin::Direct };
                spec.limits.max_segments = 0;
                self.call(index, Message::Submit(Box::new(spec)));
            }
        }
    }

    /// An answer arrives at a requester.
    pub fn requester_receives(&mut self, index: usize, message: Message) {
        let requester = &mut self.requesters[index];
        match message {
            Message::Submitted(job) => {
                requester.answered.insert(job);
                for one in requester.errands.iter_mut().filter(|one| one.wish.id == job) {
                    one.is_submitted = true;
                }
            }
            Message::Uploaded(digest) => {
                let now = self.now;
                let of_blob =
                    |one: &&mut Errand| one.wish.spec.input == digest && now >= one.uploads_at;
                for one in requester.errands.iter_mut().filter(of_blob) {
                    one.is_uploaded = true;
                }
            }
            Message::CancelAnswered(job) => {
                for one in requester.errands.iter_mut().filter(|one| one.wish.id == job) {
                    one.is_cancelled = true;
                }
            }
            _ => {}
        }
    }
}
