//! What a prover's node does about its own races: it commits, reveals, and says when proofs may leave.
//!
//! Only the prover's own account can commit and reveal, so this runs beside the prover, with a wallet
//! that has a bond and coins for gas. What it is told is on disk before it acts on it. The salt is
//! derived from the prover's key, so that a restart at any point goes on where the last run was. The
//! chain decides about everything else:
//!
//! | the round, at the head | our commitment, at the head | then |
//! |---|---|---|
//! | takes commitments | none, or dropped by a reorg | commit |
//! | takes reveals | there, and in the last final block too | reveal |
//! | takes reveals | there, not final yet | wait |
//! | takes reveals | none | wait: the round is given up unless the chain brings it back |
//! | any | of another statement | wait: it cannot be revealed |
//! | over in the last final block | any | over |
//!
//! *Proofs may leave* once the reveal is in a block **and** the commit window is over in the last final
//! block. The head alone will not do: a reorg could open the window again, and whoever has the proofs
//! by then could still commit to what they say.

use std::collections::BTreeMap;
use std::path::Path;

use alloy::rpc::types::Header;
use borsh::{BorshDeserialize, BorshSerialize};
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::ids::{Address, EpochNumber, StatementDigest};
use proofgrid_core::units::UnixSeconds;
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::abi::{CommitmentState, RaceParams, RaceState};
use crate::bonds::BondBook;
use crate::duty::{self, Duty};
use crate::finality::FinalityPolicy;
use crate::races::{RaceBook, RaceError, RoundId, SaltSecret, Sight};
use crate::rpc::RpcError;
use crate::sender::SharedSender;
use crate::state_file::{StateFile, StateFileError, StateKind};

/// Most rounds that are kept. What is over leaves first.
const ROUNDS_MAX: usize = 256;
/// News that may wait while a transaction is on its way.
const NEWS_MAX: usize = 1024;

const KIND: StateKind = StateKind {
    magic: *b"PGRACE01",
    remedy: "restore it from a backup, or remove it: rounds that were committed to and are not \
             revealed then lose their bond",
};

/// Why a prover cannot race.
#[derive(Debug, Error)]
pub enum RacerError {
    /// The chain could not be asked.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// What an earlier run knew cannot be read.
    #[error(transparent)]
    File(#[from] StateFileError),
    /// The bond is more than its owner allows.
    #[error(
        "a race takes a bond of {bond} wei, and race.bond_wei_max allows {max}; raise it, or remove \
         [race]"
    )]
    Bond {
        /// What a commitment takes.
        bond: u128,
        /// What the owner allows.
        max: u128,
    },
}

/// How a prover races.
#[derive(Debug, Clone, Copy)]
pub struct RacerSettings {
    /// When a commitment is final.
    pub finality: FinalityPolicy,
    /// Most for one race, in wei.
    pub bond_wei_max: u128,
}

/// How far a round is, as far as this node knows. What stands in a file is only ever behind the chain,
/// except for one thing: `Committed` is written before the commitment is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
enum Phase {
    /// The statement is known and nothing has been sent.
    Proved,
    /// A commitment to it may be out: this round is about no other statement any more.
    Committed,
    /// The chain has the reveal.
    Revealed,
    /// The round is over.
    Over,
}

/// A round that the prover has a statement for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Kept {
    id: RoundId,
    statement: StatementDigest,
    deadline: UnixSeconds,
    phase: Phase,
}

#[derive(Debug, Clone, Default, BorshSerialize, BorshDeserialize)]
struct Stored {
    /// The last epoch for which this node recorded its stake.
    recorded: Option<EpochNumber>,
    rounds: Vec<Kept>,
}

/// What the prover may do about a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Keep the proofs to itself.
    Keep,
    /// Announce the entry and hand the proofs out.
    Show,
    /// Forget the round.
    Over,
}

/// Where a racer is, for the prover.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standings {
    /// Whether there is a bond and a stake to race with. Proving for a race is a waste without.
    pub can_race: bool,
    /// Every round that it knows, with the statement that it is about.
    pub rounds: BTreeMap<RoundId, (StatementDigest, Step)>,
}

/// What a prover tells its racer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum News {
    Proved { id: RoundId, statement: StatementDigest, deadline: UnixSeconds },
    Forget(RoundId),
}

/// Tells a racer what its prover did. Calls never wait.
#[derive(Debug, Clone)]
pub struct RacerHandle {
    news: mpsc::Sender<News>,
    standings: watch::Receiver<Standings>,
}

impl RacerHandle {
    /// The prover has proved all of a job; the statement's proofs are on disk. Saying it again changes
    /// nothing.
    pub fn proved(&self, id: RoundId, statement: StatementDigest, deadline: UnixSeconds) {
        self.tell(News::Proved { id, statement, deadline });
    }

    /// The prover has let go of a round that is over.
    pub fn forget(&self, id: RoundId) {
        self.tell(News::Forget(id));
    }

    /// Where the racer is, as it changes.
    #[must_use]
    pub fn standings(&self) -> watch::Receiver<Standings> {
        self.standings.clone()
    }

    fn tell(&self, news: News) {
        if self.news.try_send(news).is_err() {
            tracing::error!(?news, "the racer does not listen; it is told again later");
        }
    }
}

/// What is to be done about a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Wait,
    Commit,
    Reveal,
    Over,
}

/// Our own commitment in a round, as a block has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Own {
    None,
    Committed,
    Revealed,
    /// Of another statement, or with another salt.
    Other,
}

/// One prover, its statement and the word that it commits to it with.
#[derive(Debug, Clone, Copy)]
struct Part {
    prover: Address,
    word: [u8; 32],
}

impl Kept {
    fn own(&self, part: Part, sight: &Sight) -> Own {
        if !sight.is_open(self.id.round) {
            return Own::None;
        }
        match sight.of(part.prover) {
            None => Own::None,
            Some(one) if one.state == CommitmentState::Committed => {
                if one.word == part.word {
                    Own::Committed
                } else {
                    Own::Other
                }
            }
            Some(one) if one.word == *self.statement.as_bytes() => Own::Revealed,
            Some(_) => Own::Other,
        }
    }

    fn due(&self, part: Part, head: &Sight, last: Option<&Sight>) -> Due {
        // A job that the chain lost has no race; its deadline ends the waiting.
        let is_over = |last: &Sight| {
            let lost = last.state == RaceState::None && last.time > self.deadline;
            lost || last.is_past(self.id.round)
        };
        if last.is_some_and(is_over) {
            return Due::Over;
        }
        if !head.is_open(self.id.round) {
            return Due::Wait;
        }
        match self.own(part, head) {
            Own::None if head.time < head.commit_until => Due::Commit,
            Own::Committed if head.time >= head.commit_until && head.time < head.reveal_until => {
                let is_final = last.is_some_and(|last| self.own(part, last) == Own::Committed);
                if is_final { Due::Reveal } else { Due::Wait }
            }
            Own::None | Own::Committed | Own::Revealed | Own::Other => Due::Wait,
        }
    }

    /// Whether the proofs may leave the prover.
    fn may_show(&self, part: Part, head: &Sight, last: Option<&Sight>) -> bool {
        let window_is_over = last.is_some_and(|last| {
            last.is_open(self.id.round)
                && last.time >= last.commit_until
                && matches!(self.own(part, last), Own::Committed | Own::Revealed)
        });
        window_is_over && self.own(part, head) == Own::Revealed
    }
}

/// The racer of one prover.
#[derive(Debug)]
pub struct Racer {
    book: RaceBook,
    bonds: BondBook,
    terms: RaceParams,
    sender: SharedSender,
    secret: SaltSecret,
    finality: FinalityPolicy,
    file: StateFile,
    stored: Stored,
    news: mpsc::Receiver<News>,
    standings: watch::Sender<Standings>,
    /// What was said last about what: a look every few seconds is no reason to say it again.
    said: BTreeMap<Option<RoundId>, String>,
}

impl Racer {
    /// Opens what an earlier run knew, in `folder`, and reads the terms.
    ///
    /// # Errors
    /// See [`RacerError`].
    pub async fn open(
        book: RaceBook,
        sender: SharedSender,
        key: &WalletKey,
        settings: RacerSettings,
        folder: &Path,
    ) -> Result<(Self, RacerHandle), RacerError> {
        let terms = book.terms().await?;
        if terms.bond > settings.bond_wei_max {
            return Err(RacerError::Bond { bond: terms.bond, max: settings.bond_wei_max });
        }
        let bonds = book.bonds().await?;
        let file = StateFile::new(folder.join("races"), KIND);
        let stored: Stored = file.load()?.unwrap_or_default();
        let (told, news) = mpsc::channel(NEWS_MAX);
        let (standings, watched) = watch::channel(Standings::default());
        let secret = SaltSecret::of(key);
        let racer = Self {
            book,
            bonds,
            terms,
            sender,
            secret,
            finality: settings.finality,
            file,
            stored,
            news,
            standings,
            said: BTreeMap::new(),
        };
        for kept in &racer.stored.rounds {
            racer.show(kept, if kept.phase == Phase::Over { Step::Over } else { Step::Keep });
        }
        Ok((racer, RacerHandle { news: told, standings: watched }))
    }

    /// The prover.
    #[must_use]
    pub const fn prover(&self) -> Address {
        self.sender.address()
    }

    /// Works until `stop`, and then once more for what was told before. What the chain or a node
    /// refuses for now is tried again.
    pub async fn run(self, stop: CancellationToken) {
        duty::attend(self, stop).await;
    }

    /// One turn: hears what it was told, and looks at the chain.
    pub async fn turn(&mut self) {
        while let Ok(news) = self.news.try_recv() {
            self.hear(news).await;
        }
        self.look().await;
    }

    fn show(&self, kept: &Kept, step: Step) {
        let shown = (kept.statement, step);
        self.standings
            .send_if_modified(|standings| standings.rounds.insert(kept.id, shown) != Some(shown));
    }

    /// Says something that a person should know, unless it was the last thing said about this.
    fn say(&mut self, about: Option<RoundId>, text: String) {
        if self.said.get(&about) == Some(&text) {
            return;
        }
        match about {
            Some(id) => tracing::warn!(job = %id.job, round = id.round, "{text}"),
            None => tracing::warn!("{text}"),
        }
        self.said.insert(about, text);
    }

    async fn store(&self) -> Result<(), StateFileError> {
        self.file.store_async(self.stored.clone()).await
    }

    /// Writes a round's phase down if it is another one.
    async fn set(&mut self, id: RoundId, phase: Phase) -> Result<(), StateFileError> {
        let found = self.stored.rounds.iter_mut().find(|kept| kept.id == id);
        let Some(kept) = found.filter(|kept| kept.phase != phase) else { return Ok(()) };
        kept.phase = phase;
        tracing::info!(job = %id.job, round = id.round, ?phase, "race");
        self.store().await
    }

    /// Takes a statement on. A later one of the same round counts as long as no commitment to the
    /// first may be out: after that it could not be revealed.
    fn take_on(&mut self, new: Kept) -> bool {
        let known = self.stored.rounds.iter_mut().find(|kept| kept.id == new.id);
        if let Some(known) = known {
            let replaces = known.phase == Phase::Proved && known.statement != new.statement;
            if replaces {
                known.statement = new.statement;
            }
            return replaces;
        }
        if self.stored.rounds.len() >= ROUNDS_MAX {
            let over = self.stored.rounds.iter().position(|kept| kept.phase == Phase::Over);
            let Some(over) = over else {
                self.say(Some(new.id), "too many races at once; this one is left out".into());
                return false;
            };
            let gone = self.stored.rounds.remove(over);
            self.drop_standing(gone.id);
        }
        self.stored.rounds.push(new);
        true
    }

    fn drop_standing(&mut self, id: RoundId) {
        self.said.remove(&Some(id));
        self.standings.send_if_modified(|standings| standings.rounds.remove(&id).is_some());
    }

    /// Records the prover's own stake, once per epoch: only what was recorded before a round opened
    /// counts in it. Whether there is something to race with.
    async fn tend_stake(&mut self) -> Result<bool, RaceError> {
        let prover = self.prover();
        let stake = self.book.recordable_stake(prover).await?;
        if stake == 0 {
            let text = "this prover has no stake to race with; have stakers delegate to it, and let \
                        it join the provers with `operator register --set provers`";
            self.say(None, text.into());
            return Ok(false);
        }
        let epoch = self.book.current_epoch().await?;
        if self.stored.recorded.is_none_or(|recorded| recorded < epoch) {
            let mut sender = self.sender.take().await;
            self.book.record_stakes(&mut sender, &[prover]).await?;
            drop(sender);
            tracing::info!(%epoch, stake, "stake recorded");
            self.stored.recorded = Some(epoch);
            if let Err(error) = self.store().await {
                tracing::warn!(%error, "a restart will record this stake once more");
            }
        }
        let free = self.bonds.account(prover).await?.free;
        if free < self.terms.bond {
            let bond = self.terms.bond;
            self.say(None, format!(
                "{free} wei of the bond are free and a race takes {bond}; bond more with `prover \
                 bond deposit`, or wait until other races end"
            ));
            return Ok(false);
        }
        self.said.remove(&None);
        Ok(true)
    }

    /// Does what is due about one round; what the prover may do.
    async fn advance(
        &mut self,
        kept: &Kept,
        (head, last): (&Header, Option<&Header>),
    ) -> Result<Step, AdvanceError> {
        let Kept { id, statement, .. } = *kept;
        let head = self.book.sight(id.job, head).await?;
        let last = match last {
            Some(last) => Some(self.book.sight(id.job, last).await?),
            None => None,
        };
        let (prover, salt) = (self.prover(), self.secret.salt(id, statement));
        let part = Part { prover, word: self.book.word(id, statement, prover, salt) };
        match kept.due(part, &head, last.as_ref()) {
            Due::Over => {
                self.set(id, Phase::Over).await?;
                return Ok(Step::Over);
            }
            Due::Commit => self.commit(kept, part).await?,
            Due::Reveal => {
                let mut sender = self.sender.take().await;
                self.book.reveal(&mut sender, id.job, statement, salt).await?;
            }
            Due::Wait => self.note(kept, part, &head).await?,
        }
        let may_show = kept.may_show(part, &head, last.as_ref());
        Ok(if may_show { Step::Show } else { Step::Keep })
    }

    async fn commit(&mut self, kept: &Kept, part: Part) -> Result<(), AdvanceError> {
        let id = kept.id;
        if self.book.stake_in_round(id.job, part.prover).await? == 0 {
            let text = "no stake of this prover was recorded before the round opened, so it cannot \
                        take part; anybody can record it with `recordStakes`, and this node does so \
                        once per epoch for the rounds that open later";
            self.say(Some(id), text.into());
            return Ok(());
        }
        let free = self.bonds.account(part.prover).await?.free;
        if free < self.terms.bond {
            let bond = self.terms.bond;
            let text = format!("the round takes a bond of {bond} wei, and {free} are free");
            self.say(Some(id), text);
            return Ok(());
        }
        // From here on a commitment may be out: written down before it is.
        self.set(id, Phase::Committed).await?;
        let mut sender = self.sender.take().await;
        self.book.commit(&mut sender, id.job, part.word).await?;
        Ok(())
    }

    /// Nothing is due: tells a person what stands in the way.
    async fn note(&mut self, kept: &Kept, part: Part, head: &Sight) -> Result<(), AdvanceError> {
        let id = kept.id;
        if !head.is_open(id.round) {
            return Ok(());
        }
        match kept.own(part, head) {
            Own::Revealed => self.set(id, Phase::Revealed).await?,
            Own::Other => {
                let text = "this round has a commitment of this prover to another statement; it \
                            cannot be revealed and loses its bond";
                self.say(Some(id), text.into());
            }
            Own::None => {
                let text = "this prover has no commitment in the round, and none is taken any more";
                self.say(Some(id), text.into());
            }
            Own::Committed => {}
        }
        Ok(())
    }

    async fn blocks(&self) -> Result<(Header, Option<Header>), RpcError> {
        let last = self.book.chain().final_head(self.finality).await?;
        Ok((self.book.chain().latest().await?, last))
    }

    async fn try_look(&mut self) -> Result<(), RpcError> {
        let open: Vec<Kept> = self.stored.rounds.clone();
        let open = open.iter().filter(|kept| kept.phase != Phase::Over);
        let (head, last) = self.blocks().await?;
        for kept in open {
            match self.advance(kept, (&head, last.as_ref())).await {
                Ok(step) => self.show(kept, step),
                Err(error) => self.say(Some(kept.id), format!("looked at again later: {error}")),
            }
        }
        Ok(())
    }
}

/// Why a round could not be moved now. It is looked at again.
#[derive(Debug, Error)]
enum AdvanceError {
    #[error(transparent)]
    Race(#[from] RaceError),
    #[error(transparent)]
    Rpc(#[from] RpcError),
    #[error(transparent)]
    File(#[from] StateFileError),
}

impl Duty for Racer {
    type News = News;

    fn news(&mut self) -> &mut mpsc::Receiver<News> {
        &mut self.news
    }

    async fn hear(&mut self, news: News) {
        let changed = match news {
            News::Proved { id, statement, deadline } => {
                self.take_on(Kept { id, statement, deadline, phase: Phase::Proved })
            }
            News::Forget(id) => {
                let before = self.stored.rounds.len();
                // A round that is not over may still have to be revealed.
                let gone = |kept: &Kept| kept.id == id && kept.phase == Phase::Over;
                self.stored.rounds.retain(|kept| !gone(kept));
                self.drop_standing(id);
                self.stored.rounds.len() != before
            }
        };
        if changed && let Err(error) = self.store().await {
            tracing::error!(%error, "a race is not on disk; a restart would not know of it");
        }
        let known: Vec<Kept> = self.stored.rounds.clone();
        for kept in &known {
            let is_new = !self.standings.borrow().rounds.contains_key(&kept.id);
            if is_new || kept.phase == Phase::Proved {
                self.show(kept, if kept.phase == Phase::Over { Step::Over } else { Step::Keep });
            }
        }
    }

    async fn look(&mut self) {
        if let Err(error) = self.try_look().await {
            tracing::warn!(%error, "races are looked at again later");
        }
        match self.tend_stake().await {
            Ok(can_race) => {
                self.standings.send_if_modified(|standings| {
                    std::mem::replace(&mut standings.can_race, can_race) != can_race
                });
            }
            Err(error) => self.say(None, format!("stake is looked at again later: {error}")),
        }
    }
}

#[cfg(test)]
#[path = "racer/tests.rs"]
mod tests;
