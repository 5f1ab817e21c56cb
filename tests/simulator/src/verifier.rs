//! Verifiers: they judge for themselves, write their log, commit to a vote, and open it to a commit set.

use std::collections::BTreeMap;

use proofgrid_core::certificate::certificate_id;
use proofgrid_core::ids::{CommitSetDigest, Commitment, EpochNumber, StatementDigest};
use proofgrid_core::job::JobSpec;
use proofgrid_core::network::{AttestationRequest, InvalidDetail};
use proofgrid_core::sealed::{CommitSet, Salt, SealedVote};
use proofgrid_core::statement::{OpenedStatement, Verdict};
use proofgrid_core::vote::Attestation;

use crate::net::{Link, Message, Node};
use crate::plan::VerifierKind;
use crate::plants::Plant;
use crate::prover::Connection;
use crate::stakes;
use crate::world::{Timer, World};

/// A verdict, and the segment that an invalid one names.
type Word = (Verdict, Option<u32>);

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
    log: BTreeMap<StatementDigest, Word>,
    /// The set that each vote was opened to in each sitting; on disk.
    opened: BTreeMap<(StatementDigest, EpochNumber, u32), CommitSetDigest>,
    /// What a verifier that judges nothing says.
    says: BTreeMap<(StatementDigest, EpochNumber), Word>,
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
            opened: BTreeMap::new(),
            says: BTreeMap::new(),
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
            Message::OpenReveal(set) => {
                let final_epochs = &self.chain.newest_final().contracts.epochs;
                if final_epochs.contains_key(&set.epoch()) {
                    self.verifier_opens(index, &set);
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
        let (valid, invalid) = ((Verdict::Valid, None), (Verdict::Invalid, Some(0)));
        match self.verifiers[index].kind {
            VerifierKind::Silent => {}
            VerifierKind::AlwaysValid
            | VerifierKind::Turncoat
            | VerifierKind::Forgetful
            | VerifierKind::Withholding => self.commit(index, epoch, digest, valid),
            VerifierKind::AlwaysInvalid => self.commit(index, epoch, digest, invalid),
            VerifierKind::Double => {
                self.commit(index, epoch, digest, valid);
                self.commit(index, epoch, digest, invalid);
            }
            VerifierKind::Eager => {
                for number in 1..=3 {
                    self.commit(index, EpochNumber::new(number), digest, valid);
                }
            }
            VerifierKind::Copycat => self.copy_commitment(index, epoch, digest),
            VerifierKind::Honest => {
                if let Some(word) = self.verifiers[index].log.get(&digest).copied() {
                    // It signs again what it said, for whichever epoch asks.
                    self.commit(index, epoch, digest, word);
                    return;
                }
                self.verifiers[index].judging.insert((digest, epoch), (opened, spec));
                let takes = self.random.between(50, 1_500);
                self.arm(Node::Verifier(index), takes, Timer::Judge(digest, epoch));
            }
        }
    }

    /// A copycat sees every commitment that the dispatcher has, and can open none of them.
    fn copy_commitment(&mut self, index: usize, epoch: EpochNumber, statement: StatementDigest) {
        let Some(vote) = stakes::vote(index, epoch, statement, Verdict::Valid) else { return };
        let garbage = Commitment::from_bytes([0xcc; 32]);
        let state = self.dispatcher.network.as_ref().map(|network| network.state());
        let sealed = state.and_then(|state| state.sealed.round(statement, epoch));
        let copied = sealed.and_then(|sealed| sealed.commitments.values().next().copied());
        let own = stakes::commitment(&vote, &stakes::salt(index, epoch, statement));
        let commitment = copied.unwrap_or(garbage);
        self.verifier_says(index, Message::Commit(SealedVote { commitment, ..own }));
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
        let Some(word) = known.or(judged) else {
            self.verifier_says(index, Message::Abstain(epoch, statement));
            return;
        };
        let is_true = self.truth.first_lie(&opened, &spec).is_none();
        if (word.0 == Verdict::Valid) != is_true {
            let who = format!("verifier {index}, {statement}");
            self.fail("an honest verifier votes as its judge found", who);
        }
        self.verifiers[index].log.insert(statement, word);
        self.commit(index, epoch, statement, word);
        if self.plan.plant == Some(Plant::OpensBeforeTheSet) {
            self.cast(index, epoch, statement, word);
        }
    }

    /// A verifier commits to a vote and sends the commitment.
    fn commit(&mut self, index: usize, epoch: EpochNumber, statement: StatementDigest, word: Word) {
        let Some(vote) = stakes::vote(index, epoch, statement, word.0) else { return };
        self.verifiers[index].says.entry((statement, epoch)).or_insert(word);
        self.books.committed(index, statement, word.0);
        let salt = stakes::salt(index, epoch, statement);
        self.verifier_says(index, Message::Commit(stakes::commitment(&vote, &salt)));
    }

    /// A verifier is asked to open its vote to a commit set.
    fn verifier_opens(&mut self, index: usize, set: &CommitSet) {
        let (statement, epoch) = (set.statement(), set.epoch());
        let said = self.verifiers[index].says.get(&(statement, epoch)).copied();
        let turned = (Verdict::Invalid, Some(0));
        match (self.verifiers[index].kind, said) {
            (VerifierKind::Honest, _) => self.open_honestly(index, set),
            (VerifierKind::Turncoat, Some(_)) => self.cast(index, epoch, statement, turned),
            (VerifierKind::Double, Some(word)) => {
                self.cast(index, epoch, statement, word);
                self.cast(index, epoch, statement, turned);
            }
            (VerifierKind::Copycat, _) => {
                let state = self.dispatcher.network.as_ref().map(|network| network.state());
                let book = state.and_then(|state| state.statements.get(&statement));
                let round = book.and_then(|book| book.rounds.get(&epoch));
                let first = round.and_then(|round| round.tally.votes().next());
                let verdict = first.map(|vote| vote.vote().verdict);
                if let Some(verdict) = verdict {
                    let segment = (verdict == Verdict::Invalid).then_some(0);
                    self.cast(index, epoch, statement, (verdict, segment));
                }
            }
            (VerifierKind::Withholding | VerifierKind::Silent, _) | (_, None) => {}
            (_, Some(word)) => self.cast(index, epoch, statement, word),
        }
    }

    /// An honest verifier opens its vote to one set of a sitting that holds its own commitment.
    fn open_honestly(&mut self, index: usize, set: &CommitSet) {
        let (statement, epoch) = (set.statement(), set.epoch());
        let Some(word) = self.verifiers[index].log.get(&statement).copied() else { return };
        let Some(vote) = stakes::vote(index, epoch, statement, word.0) else { return };
        let mine = stakes::commitment(&vote, &stakes::salt(index, epoch, statement));
        if !set.holds(mine.operator, mine.commitment) {
            let who = format!("verifier {index}, {statement}");
            self.fail("whoever is asked to open a vote has its commitment in the set", who);
            return;
        }
        let digest = set.digest();
        let vote = (statement, epoch, set.sitting());
        let first = *self.verifiers[index].opened.entry(vote).or_insert(digest);
        if first != digest {
            let who = format!("verifier {index}, {statement} in epoch {epoch}");
            self.fail("one commit set is made of a sitting", who);
            return;
        }
        let newest = self.verifiers[index].opened.range(vote..=(statement, epoch, u32::MAX));
        if newest.count() > 1 {
            // A delayed message: it opened its vote in a later sitting since.
            return;
        }
        self.cast(index, epoch, statement, word);
    }

    /// A verifier opens a vote and sends it.
    fn cast(
        &mut self,
        index: usize,
        epoch: EpochNumber,
        statement: StatementDigest,
        (verdict, segment): Word,
    ) {
        let Some(vote) = stakes::vote(index, epoch, statement, verdict) else { return };
        let kind = self.verifiers[index].kind;
        let is_honest = kind == VerifierKind::Honest;
        if is_honest {
            let logged = self.verifiers[index].log.get(&statement).map(|(logged, _)| *logged);
            if logged != Some(verdict) {
                self.fail("a vote is in its verifier's log first", format!("{statement}"));
            }
            // From here on anybody may know it: nobody may be able to commit any more.
            if !self.books.is_closed(statement, epoch) {
                let who = format!("verifier {index}, {statement} in epoch {epoch}");
                self.fail("no honest verdict is known before the commit phase closed", who);
            }
        }
        if let Some(broken) = self.books.cast(index, is_honest, epoch, statement, verdict) {
            self.fail("a verifier signs one verdict for a statement", broken);
        }
        let detail = segment.map(|segment| InvalidDetail { segment, reason: "bad".into() });
        let salt = match kind {
            VerifierKind::Forgetful => Salt::from_bytes([0xff; 32]),
            _ => stakes::salt(index, epoch, statement),
        };
        self.verifier_says(index, Message::Vote(Box::new(vote), detail, salt));
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
                .find(|leaf| !self.books.has_judged(index, leaf.statement, leaf.verdict));
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
