//! Verifiers: they judge for themselves, write their log, then sign.

use std::collections::BTreeMap;

use proofgrid_core::certificate::certificate_id;
use proofgrid_core::ids::{EpochNumber, StatementDigest};
use proofgrid_core::job::JobSpec;
use proofgrid_core::network::{AttestationRequest, InvalidDetail};
use proofgrid_core::statement::{OpenedStatement, Verdict};
use proofgrid_core::vote::Attestation;

use crate::net::{Link, Message, Node};
use crate::plan::VerifierKind;
use crate::plants::Plant;
use crate::prover::Connection;
use crate::stakes;
use crate::world::{Timer, World};

/// A verifier.
#[derive(Debug)]
pub struct Verifier {
    /// How it behaves.
    pub kind: VerifierKind,
    /// Whether the process runs.
    pub is_up: bool,
    /// Which life of the process this is.
    pub life: u64,
    /// Its connection.
    pub connection: Connection,
    /// The vote log; on disk.
    log: BTreeMap<StatementDigest, (Verdict, Option<u32>)>,
    /// What it judges.
    judging: BTreeMap<(StatementDigest, EpochNumber), (OpenedStatement, JobSpec)>,
}

impl Verifier {
    /// A verifier that is about to connect.
    pub const fn new(kind: VerifierKind) -> Self {
        Self {
            kind,
            is_up: true,
            life: 0,
            connection: Connection::Down,
            log: BTreeMap::new(),
            judging: BTreeMap::new(),
        }
    }
}

impl World {
    /// A timer of a verifier.
    pub fn verifier_timer(&mut self, index: usize, timer: Timer) {
        match timer {
            Timer::Connect if self.verifiers[index].connection == Connection::Down => {
                let node = Node::Verifier(index);
                let link = self.open_link(node);
                self.verifiers[index].connection = Connection::Opening(link);
                self.send(link, Node::Dispatcher, node, Message::RegisterVerifier);
                self.arm(node, 4_000, Timer::ConnectOver(link));
            }
            Timer::Judge(statement, epoch) => self.verifier_judges(index, statement, epoch),
            _ => {}
        }
    }

    fn verifier_says(&mut self, index: usize, message: Message) {
        if let Some(link) = self.verifiers[index].connection.link() {
            self.send(link, Node::Dispatcher, Node::Verifier(index), message);
        }
    }

    /// A message arrives at a verifier.
    pub fn verifier_receives(&mut self, index: usize, link: Link, message: Message) {
        if self.verifiers[index].connection.link() != Some(link) {
            return;
        }
        match message {
            Message::Registered
                if self.verifiers[index].connection == Connection::Opening(link) =>
            {
                self.verifiers[index].connection = Connection::Open(link);
            }
            Message::OpenVoting(epoch, digest, opened, spec) => {
                // Its own view of the chain, not the dispatcher's word, says which epochs are.
                let final_epochs = &self.chain.newest_final().contracts.epochs;
                if final_epochs.contains_key(&epoch) && opened.statement.digest() == digest {
                    self.verifier_asked(index, epoch, digest, *opened, *spec);
                }
            }
            Message::AskAttest(request) => self.verifier_attests(index, &request),
            _ => {}
        }
    }

    fn verifier_asked(
        &mut self,
        index: usize,
        epoch: EpochNumber,
        digest: StatementDigest,
        opened: OpenedStatement,
        spec: JobSpec,
    ) {
        match self.verifiers[index].kind {
            VerifierKind::Silent => {}
            VerifierKind::AlwaysValid => self.cast(index, epoch, digest, Verdict::Valid, None),
            VerifierKind::AlwaysInvalid => {
                self.cast(index, epoch, digest, Verdict::Invalid, Some(0));
            }
            VerifierKind::Double => {
                self.cast(index, epoch, digest, Verdict::Valid, None);
                self.cast(index, epoch, digest, Verdict::Invalid, Some(0));
            }
            VerifierKind::Eager => {
                for number in 1..=3 {
                    let known = EpochNumber::new(number);
                    self.cast(index, known, digest, Verdict::Valid, None);
                }
            }
            VerifierKind::Honest => {
                if let Some((verdict, segment)) = self.verifiers[index].log.get(&digest).copied() {
                    // It signs again what it said, for whichever epoch asks.
                    self.cast(index, epoch, digest, verdict, segment);
                    return;
                }
                self.verifiers[index].judging.insert((digest, epoch), (opened, spec));
                let takes = self.random.between(50, 1_500);
                self.arm(Node::Verifier(index), takes, Timer::Judge(digest, epoch));
            }
        }
    }

    /// An honest verifier's child process ends.
    fn verifier_judges(&mut self, index: usize, statement: StatementDigest, epoch: EpochNumber) {
        let Some((opened, spec)) = self.verifiers[index].judging.remove(&(statement, epoch)) else {
            return;
        };
        let missing = opened.records.iter().any(|r| !self.dispatcher.has_blob(&r.proof));
        let fails = !self.healed && self.random.chance(self.plan.unjudged);
        let mut judged = match self.truth.first_lie(&opened, &spec) {
            _ if missing || fails => None,
            None => Some((Verdict::Valid, None)),
            Some(segment) => Some((Verdict::Invalid, Some(segment))),
        };
        if judged.is_none() && self.plan.plant == Some(Plant::UnjudgedIsInvalid) {
            judged = Some((Verdict::Invalid, Some(0)));
        }
        let known = self.verifiers[index].log.get(&statement).copied();
        let Some((verdict, segment)) = known.or(judged) else {
            self.verifier_says(index, Message::Abstain(epoch, statement));
            return;
        };
        let is_true = self.truth.first_lie(&opened, &spec).is_none();
        if (verdict == Verdict::Valid) != is_true {
            let who = format!("verifier {index}, {statement}");
            self.fail("an honest verifier votes as its judge found", who);
        }
        self.verifiers[index].log.insert(statement, (verdict, segment));
        self.cast(index, epoch, statement, verdict, segment);
    }

    /// A verifier signs a vote and sends it.
    fn cast(
        &mut self,
        index: usize,
        epoch: EpochNumber,
        statement: StatementDigest,
        verdict: Verdict,
        segment: Option<u32>,
    ) {
        let Some(vote) = stakes::vote(index, epoch, statement, verdict) else { return };
        let is_honest = self.verifiers[index].kind == VerifierKind::Honest;
        if is_honest {
            let logged = self.verifiers[index].log.get(&statement).map(|(logged, _)| *logged);
            if logged != Some(verdict) {
                self.fail("a vote is in its verifier's log first", format!("{statement}"));
            }
        }
        if let Some(broken) = self.books.cast(index, is_honest, epoch, statement, verdict) {
            self.fail("a verifier signs one verdict for a statement", broken);
        }
        let detail = segment.map(|segment| InvalidDetail { segment, reason: "bad".into() });
        self.verifier_says(index, Message::Vote(Box::new(vote), detail));
    }

    fn verifier_attests(&mut self, index: usize, request: &AttestationRequest) {
        let kind = self.verifiers[index].kind;
        if kind == VerifierKind::Silent {
            return;
        }
        let named = Attestation {
            target: request.target,
            epoch: request.epoch,
            table: request.table,
            root: request.root,
            count: u32::try_from(request.leaves.len()).expect("bounded"),
        };
        let log = &self.verifiers[index].log;
        let differs = |leaf: &proofgrid_core::batch::BatchLeaf| {
            log.get(&leaf.statement).map(|(verdict, _)| *verdict) != Some(leaf.verdict)
        };
        let positions: Vec<u32> = (0u32..)
            .zip(&request.leaves)
            .filter(|(_, leaf)| differs(leaf))
            .map(|(position, _)| position)
            .collect();
        let is_honest = kind == VerifierKind::Honest;
        let looks = is_honest && self.plan.plant != Some(Plant::AttestWithoutLog);
        if looks && !positions.is_empty() {
            self.verifier_says(index, Message::AttestRefused(request.root, positions));
            return;
        }
        if is_honest {
            let unvoted = request
                .leaves
                .iter()
                .find(|leaf| !self.books.has_cast(index, leaf.statement, leaf.verdict));
            if let Some(leaf) = unvoted {
                let who = format!("verifier {index}, {}", leaf.statement);
                self.fail("a verifier attests only what it voted", who);
            }
        }
        if let Some(attestation) = stakes::attestation(index, named) {
            self.books.attested(certificate_id(&named), index);
            self.verifier_says(index, Message::Attest(Box::new(attestation)));
        }
    }

    /// A verifier's process dies; its log stays.
    pub fn crash_verifier(&mut self, index: usize) {
        let verifier = &mut self.verifiers[index];
        verifier.is_up = false;
        verifier.life += 1;
        verifier.judging.clear();
        verifier.connection = Connection::Down;
    }
}
