//! Posts certificates, settlements and holds: each at most once in effect, and eventually once.
//!
//! One [`Submitter`] owns one sender key on one chain. It is driven by [`Submitter::step`], once
//! per look at the chain, and answers what moved; it never waits inside a step. What keeps it
//! right:
//! - a transaction is simulated, signed and made durable before it is broadcast ([`record`]);
//! - what may be out there is only ever replaced under its own nonce, never sent again under
//!   another one while the old nonce is open;
//! - nothing is offered more for what has become pointless: its nonce is used up by an empty
//!   transaction, since all that follow wait for it;
//! - nonces that a chain gave back when it lost final blocks are used up by empty transactions, or
//!   nothing above them would ever be mined (`gap`);
//! - the contract's own state decides whether something is done, whoever did it;
//! - `Final` is said under the chain's finality policy alone, and until then every step looks
//!   again, so a reorg of our own transaction is seen, reported and repaired by sending the same
//!   bytes.

pub mod classify;
pub mod fees;
mod gap;
mod patience;
pub mod record;
mod withdraw;

use std::collections::BTreeMap;
use std::path::Path;

use alloy::eips::BlockId;
use alloy::network::TransactionBuilder;
use alloy::primitives::{Address as EvmAddress, B256, Bytes, TxKind, U256};
use alloy::rpc::types::{Header, TransactionReceipt, TransactionRequest};
use proofgrid_core::certificate::Certificate;
use proofgrid_core::ids::{BlockHash, BlockNumber, TxHash};
use proofgrid_core::network::{SubmissionFailure, SubmissionSubject, SubmissionUpdate};
use thiserror::Error;

use self::classify::{Refusal, classify};
use self::fees::{FeeBounds, Market, first_offer};
use self::patience::Patience;
use self::record::{Broadcast, Inclusion, Phase, Post, Purpose, Record, RecordError, Records};
use crate::contracts::refusal;
use crate::cursor::BlockRef;
use crate::finality::FinalityPolicy;
use crate::key::{KeyError, OracleKey, Unsigned};
use crate::posts::{self, Archive, Standing};
use crate::publishing::{Choice, GasSeen};
use crate::rpc::{Chain, RpcError};

/// Simulations that must revert, at different heads, before a submission is given up: one endpoint
/// may be behind another.
const REFUSALS_MAX: u8 = 3;
/// Part of the estimate that is added to the gas limit: other transactions may change storage costs
/// between estimate and inclusion. One third.
const GAS_MARGIN_DIVISOR: u64 = 3;

/// Why a step failed. Nothing is lost: the next step goes on from the durable records.
#[derive(Debug, Error)]
pub enum SubmitError {
    /// The chain could not be asked.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The records could not be kept.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The wallet could not sign.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Something moved; the dispatcher is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// What it is about.
    pub subject: SubmissionSubject,
    /// How far it is now.
    pub update: SubmissionUpdate,
}

/// How a submitter behaves.
#[derive(Debug, Clone, Copy)]
pub struct SubmitSettings {
    /// Our contracts and their past.
    pub archive: Archive,
    /// When a block is final.
    pub finality: FinalityPolicy,
    /// Bounds of the fee ladder.
    pub fees: FeeBounds,
    /// Blocks without inclusion after which the offer is raised.
    pub raise_after_blocks: u64,
    /// Transactions that may be under way at once.
    pub in_flight_max: usize,
}

/// The one sender of one key on one chain.
#[derive(Debug)]
pub struct Submitter {
    chain: Chain,
    key: OracleKey,
    settings: SubmitSettings,
    records: Records,
    /// Head at which each transaction was last broadcast by this process; empty after a restart, so
    /// that everything is broadcast once more.
    broadcast_at: BTreeMap<Purpose, u64>,
    patience: Patience,
    /// Head at which nonces that nobody holds were last looked for.
    gap_closed_at: Option<u64>,
    gas_seen: GasSeen,
}

/// What one step sees of the chain.
struct View {
    latest: Header,
    final_block: Option<BlockRef>,
    market: Market,
}

impl Submitter {
    /// Opens the records in `folder` and takes the folder's lock.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub fn open(
        chain: Chain,
        key: OracleKey,
        settings: SubmitSettings,
        folder: &Path,
    ) -> Result<Self, RecordError> {
        let records = Records::open(folder, chain.id(), key.address())?;
        Ok(Self {
            chain,
            key,
            settings,
            records,
            broadcast_at: BTreeMap::new(),
            patience: Patience::default(),
            gap_closed_at: None,
            gas_seen: GasSeen::default(),
        })
    }

    /// Takes a submission on; durable when it returns. One that is known already is not taken
    /// twice; one that had failed is tried again. What is known may be posted in other words now (a
    /// certificate with other signers, a settlement under another batch): the newest count.
    ///
    /// # Errors
    /// [`RecordError::Full`]; the file's errors.
    pub async fn enqueue(&mut self, post: Post) -> Result<(), RecordError> {
        self.take_on(post, None).await
    }

    /// As [`Self::enqueue`], with the reason why it is published this way. The reason of what is
    /// known already stays.
    ///
    /// # Errors
    /// [`RecordError::Full`]; the file's errors.
    pub async fn enqueue_chosen(&mut self, post: Post, choice: Choice) -> Result<(), RecordError> {
        self.take_on(post, Some(choice)).await
    }

    async fn take_on(&mut self, post: Post, choice: Option<Choice>) -> Result<(), RecordError> {
        let Some(record) = self.records.get(post.purpose) else {
            return self.records.add(post, choice).await;
        };
        match record.phase.clone() {
            Phase::Failed(_) => self.records.amend(post, Phase::Queued { refusals: 0 }).await,
            Phase::Final(_) => Ok(()),
            _ if record.post == post => Ok(()),
            // What was broadcast under the old words keeps its nonce: the next offer replaces it.
            phase => self.records.amend(post, phase).await,
        }
    }

    /// Drops a submission that is final or failed, once the dispatcher knows that.
    ///
    /// # Errors
    /// The file's errors.
    pub async fn forget(&mut self, subject: SubmissionSubject) -> Result<(), RecordError> {
        self.drop_ended(subject.into()).await
    }

    async fn drop_ended(&mut self, purpose: Purpose) -> Result<(), RecordError> {
        self.records.forget(purpose).await?;
        if self.records.get(purpose).is_none() {
            self.broadcast_at.remove(&purpose);
            self.patience.forget(purpose);
        }
        Ok(())
    }

    /// Why a submission is published as it is, if there was a choice; comes before all else that is
    /// told of it.
    #[must_use]
    pub fn choice(&self, subject: SubmissionSubject) -> Option<Update> {
        self.choices().find(|update| update.subject == subject)
    }

    fn choices(&self) -> impl Iterator<Item = Update> + '_ {
        self.records.all().iter().filter_map(|record| {
            let (subject, choice) = (record.post.purpose.chosen_for()?, record.choice?);
            Some(Update { subject, update: SubmissionUpdate::Chosen { why: choice.to_string() } })
        })
    }

    /// What our own transactions used lately, in this process.
    #[must_use]
    pub const fn gas_seen(&self) -> &GasSeen {
        &self.gas_seen
    }

    /// Where every submission stands: told again after a reconnect.
    #[must_use]
    pub fn standings(&self) -> Vec<Update> {
        self.choices().chain(self.phases()).collect()
    }

    fn phases(&self) -> impl Iterator<Item = Update> + '_ {
        self.records.all().iter().filter_map(|record| {
            let subject = record.post.purpose.told()?;
            let update = match &record.phase {
                Phase::Queued { .. } | Phase::Withdrawn(_) => return None,
                Phase::Sent(broadcast) => SubmissionUpdate::Sent { tx: broadcast.newest()?.tx },
                Phase::Included { inclusion, .. } => SubmissionUpdate::Included(inclusion.told()),
                Phase::Final(inclusion) => SubmissionUpdate::Final(inclusion.told()),
                Phase::Failed(failure) => SubmissionUpdate::Failed(failure.clone()),
            };
            Some(Update { subject, update })
        })
    }

    /// Looks at the chain once and moves every submission as far as it goes without waiting.
    ///
    /// # Errors
    /// See [`SubmitError`]. What moved before the error is durable and is told by
    /// [`Self::standings`]; the caller tells those after an error.
    pub async fn step(&mut self) -> Result<Vec<Update>, SubmitError> {
        let open = self.records.all().iter().filter(|record| !record.phase.is_over());
        let purposes: Vec<_> = open.map(|record| record.post.purpose).collect();
        if purposes.is_empty() {
            return Ok(Vec::new());
        }
        let view = self.look().await?;
        let mut updates = Vec::new();
        let mut held_certificates = false;
        for purpose in purposes {
            let certificate = matches!(purpose, Purpose::Certificate(_));
            // Certificates go out in the dispatcher's order: none overtakes a held one.
            let may_start = !(certificate && held_certificates);
            let update = match self.advance(purpose, may_start, &view).await {
                Ok(update) => update,
                // What an endpoint refuses about one submission is that one's trouble; the others
                // move on, and this one is tried again at the next step.
                Err(SubmitError::Rpc(error)) if !error.is_transient() => {
                    tracing::warn!(?purpose, %error, "this submission is held up");
                    None
                }
                Err(error) => return Err(error),
            };
            let phase = self.records.get(purpose).map(|record| &record.phase);
            held_certificates |= certificate && matches!(phase, Some(Phase::Queued { .. }));
            match purpose.told() {
                Some(subject) => updates.extend(update.map(|update| Update { subject, update })),
                // Nobody waits to hear of it.
                None => self.drop_ended(purpose).await?,
            }
        }
        self.close_gap(&view).await?;
        Ok(updates)
    }

    /// Moves one submission.
    async fn advance(
        &mut self,
        purpose: Purpose,
        may_start: bool,
        view: &View,
    ) -> Result<Option<SubmissionUpdate>, SubmitError> {
        let Some(Record { post, phase, .. }) = self.records.get(purpose).cloned() else {
            return Ok(None);
        };
        match phase {
            Phase::Queued { refusals } => {
                if !may_start || self.in_flight() >= self.settings.in_flight_max {
                    return Ok(None);
                }
                if !self.patience.is_due(purpose) {
                    return Ok(None);
                }
                self.start(&post, refusals, view).await
            }
            Phase::Sent(broadcast) => self.pursue(&post, broadcast, view).await,
            Phase::Withdrawn(broadcast) => self.withdraw(&post, broadcast, view).await,
            Phase::Included { inclusion, own } => self.watch(&post, inclusion, own, view).await,
            Phase::Final(_) | Phase::Failed(_) => Ok(None),
        }
    }

    async fn look(&self) -> Result<View, RpcError> {
        let latest = self.chain.latest().await?;
        let final_head = self.chain.final_head(self.settings.finality).await?;
        let market = Market {
            base_fee_wei: latest.base_fee_per_gas,
            suggested_tip_wei: self.chain.suggested_tip().await?,
        };
        let final_block = final_head.as_ref().map(crate::rpc::block_ref);
        Ok(View { latest, final_block, market })
    }

    fn in_flight(&self) -> usize {
        self.records.all().iter().filter(|record| record.phase.out().is_some()).count()
    }

    /// A queued submission: checked, simulated, signed, made durable, broadcast.
    async fn start(
        &mut self,
        post: &Post,
        refusals: u8,
        view: &View,
    ) -> Result<Option<SubmissionUpdate>, SubmitError> {
        match self.standing(post).await? {
            Standing::Done(inclusion) => return self.included(post, inclusion, None).await,
            Standing::Early => return Ok(None),
            Standing::Void(failure) => return self.fail(post, failure).await,
            Standing::Open => {}
        }
        let sender = self.sender();
        let request = TransactionRequest::default()
            .with_from(sender)
            .with_to(EvmAddress::from(*post.contract.as_bytes()))
            .with_input(post.calldata.clone());
        let gas = match self.chain.estimate_gas(request).await {
            Ok(gas) => gas,
            Err(RpcError::Refused { message, revert, .. }) => {
                let failure = refusal(&message, revert.as_ref());
                return self.refused(post, refusals, failure, view).await;
            }
            Err(error) => return Err(error.into()),
        };
        let nonce = self.chain.next_nonce(sender).await?.max(self.records.nonce_floor());
        let gas_limit = gas.saturating_add(gas / GAS_MARGIN_DIVISOR);
        let mut broadcast =
            Broadcast { nonce, gas_limit, signed_at: view.latest.number, offers: Vec::new() };
        let offer = first_offer(view.market, self.settings.fees);
        broadcast.offers.push(self.key.sign(&self.unsigned(post, &broadcast), offer)?);
        self.record_and_send(post, broadcast, view).await
    }

    /// One more simulation reverted: given up after several at different heads.
    async fn refused(
        &mut self,
        post: &Post,
        refusals: u8,
        failure: SubmissionFailure,
        view: &View,
    ) -> Result<Option<SubmissionUpdate>, SubmitError> {
        if self.broadcast_at.get(&post.purpose) == Some(&view.latest.number) {
            return Ok(None);
        }
        self.broadcast_at.insert(post.purpose, view.latest.number);
        let refusals = refusals.saturating_add(1);
        if refusals >= REFUSALS_MAX {
            return self.fail(post, failure).await;
        }
        tracing::warn!(purpose = ?post.purpose, ?failure, "simulation reverted; tried again");
        self.records.set(post.purpose, Phase::Queued { refusals }).await?;
        Ok(None)
    }

    /// A transaction that may be out there: found in a block, raised, or sent again.
    async fn pursue(
        &mut self,
        post: &Post,
        broadcast: Broadcast,
        view: &View,
    ) -> Result<Option<SubmissionUpdate>, SubmitError> {
        for offer in broadcast.offers.iter().rev() {
            if let Some(receipt) = self.chain.receipt(B256::from(*offer.tx.as_bytes())).await? {
                return self.landed(post, broadcast.clone(), &receipt).await;
            }
        }
        if self.is_nonce_used(broadcast.nonce).await? {
            return self.overtaken(post, broadcast, view).await;
        }
        let Some(offer) = self.raised(&broadcast, view) else {
            return self.send_again(post, &broadcast, view).await;
        };
        // A certificate whose epoch ended, a settlement of a refunded job: no more is paid for them.
        if let Standing::Done(_) | Standing::Void(_) = self.standing(post).await? {
            tracing::info!(purpose = ?post.purpose, nonce = broadcast.nonce, "withdrawn");
            return self.replace_by_nothing(post, broadcast, offer, view).await;
        }
        let mut raised = broadcast;
        raised.signed_at = view.latest.number;
        raised.offers.push(self.key.sign(&self.unsigned(post, &raised), offer)?);
        self.record_and_send(post, raised, view).await
    }

    /// Whether a certificate that was posted once is neither on the chain nor on its way there. No
    /// when the chain does not answer: whoever asks is asked again.
    pub async fn is_lost(&self, certificate: &Certificate) -> bool {
        let record = self.records.get(Purpose::Certificate(certificate.id()));
        if record.is_some_and(|record| !record.phase.is_over()) {
            return false;
        }
        let contracts = &self.settings.archive.contracts;
        match posts::is_attested(&self.chain, contracts, certificate).await {
            Ok(attested) => !attested,
            Err(error) => {
                tracing::debug!(%error, "whether a certificate is still there is not known");
                false
            }
        }
    }

    async fn is_nonce_used(&self, nonce: u64) -> Result<bool, RpcError> {
        Ok(self.chain.nonce_at(self.sender(), BlockId::latest()).await? > nonce)
    }

    fn sender(&self) -> EvmAddress {
        EvmAddress::from(*self.key.address().as_bytes())
    }

    async fn standing(&self, post: &Post) -> Result<Standing, RpcError> {
        let archive = &self.settings.archive;
        let standing = posts::standing(&self.chain, archive, post).await?;
        if standing == Standing::Early
            && let Purpose::Settle(job) = post.purpose
            && let Some(statement) = self.records.judged(job)
            && posts::is_hard_in_its_window(&self.chain, archive, post, statement).await?
        {
            return Ok(Standing::Open);
        }
        Ok(standing)
    }

    /// Our nonce is used and none of our transactions has a receipt: an endpoint is behind, or a
    /// stranger holds our key. Only a final block settles which.
    async fn overtaken(
        &mut self,
        post: &Post,
        broadcast: Broadcast,
        view: &View,
    ) -> Result<Option<SubmissionUpdate>, SubmitError> {
        if let Standing::Done(inclusion) = self.standing(post).await? {
            return self.included(post, inclusion, Some(broadcast)).await;
        }
        let Some(final_block) = view.final_block else {
            return Ok(None);
        };
        let at = BlockId::from(B256::from(*final_block.hash.as_bytes()));
        if self.chain.nonce_at(self.sender(), at).await? <= broadcast.nonce {
            return Ok(None);
        }
        let nonce = broadcast.nonce;
        tracing::error!(purpose = ?post.purpose, nonce, "another process uses this key");
        self.records.set(post.purpose, Phase::Queued { refusals: 0 }).await?;
        Ok(None)
    }

    /// A receipt of our own transaction.
    async fn landed(
        &mut self,
        post: &Post,
        broadcast: Broadcast,
        receipt: &TransactionReceipt,
    ) -> Result<Option<SubmissionUpdate>, SubmitError> {
        let Some(inclusion) = inclusion_of(receipt) else {
            return Ok(None);
        };
        if receipt.status() {
            return self.included(post, inclusion, Some(broadcast)).await;
        }
        // It reverted although its simulation did not: the state moved in between.
        match self.standing(post).await? {
            Standing::Done(by_other) => self.included(post, by_other, None).await,
            Standing::Open | Standing::Early => {
                tracing::warn!(purpose = ?post.purpose, tx = %inclusion.tx, "reverted; requeued");
                self.records.set(post.purpose, Phase::Queued { refusals: 0 }).await?;
                Ok(None)
            }
            Standing::Void(failure) => self.fail(post, failure).await,
        }
    }

    /// An included transaction: still there, final, or undone.
    async fn watch(
        &mut self,
        post: &Post,
        inclusion: Inclusion,
        own: Option<Broadcast>,
        view: &View,
    ) -> Result<Option<SubmissionUpdate>, SubmitError> {
        let receipt = self.chain.receipt(B256::from(*inclusion.tx.as_bytes())).await?;
        let now = receipt.as_ref().filter(|receipt| receipt.status()).and_then(inclusion_of);
        match now {
            Some(now) if now == inclusion => {}
            Some(moved) => return self.included(post, moved, own).await,
            None => return self.undone(post, inclusion, own).await,
        }
        let is_final = view.final_block.is_some_and(|f| f.number >= inclusion.block.number);
        if !is_final {
            return Ok(None);
        }
        // The receipt may come from an endpoint that missed the reorg; the final chain decides.
        let header = self.chain.header(inclusion.block.number).await?;
        if header.as_ref().map(crate::rpc::block_ref) != Some(inclusion.block) {
            return Ok(None);
        }
        self.records.set(post.purpose, Phase::Final(inclusion)).await?;
        Ok(Some(SubmissionUpdate::Final(inclusion.told())))
    }

    async fn undone(
        &mut self,
        post: &Post,
        inclusion: Inclusion,
        own: Option<Broadcast>,
    ) -> Result<Option<SubmissionUpdate>, SubmitError> {
        tracing::warn!(purpose = ?post.purpose, tx = %inclusion.tx, "undone by a reorg");
        self.broadcast_at.remove(&post.purpose);
        let phase = own.map_or(Phase::Queued { refusals: 0 }, Phase::Sent);
        self.records.set(post.purpose, phase).await?;
        Ok(Some(SubmissionUpdate::Reorged))
    }

    async fn included(
        &mut self,
        post: &Post,
        inclusion: Inclusion,
        own: Option<Broadcast>,
    ) -> Result<Option<SubmissionUpdate>, SubmitError> {
        match post.purpose {
            Purpose::Certificate(_) => self.gas_seen.note_attest(inclusion.gas_used),
            Purpose::Direct { .. } => self.gas_seen.note_direct(inclusion.gas_used),
            _ => {}
        }
        self.records.set(post.purpose, Phase::Included { inclusion, own }).await?;
        Ok(Some(SubmissionUpdate::Included(inclusion.told())))
    }

    async fn fail(
        &mut self,
        post: &Post,
        failure: SubmissionFailure,
    ) -> Result<Option<SubmissionUpdate>, SubmitError> {
        // A hold that nothing needs is nobody's trouble.
        if post.purpose.told().is_some() {
            tracing::warn!(purpose = ?post.purpose, ?failure, "given up");
        }
        self.records.set(post.purpose, Phase::Failed(failure.clone())).await?;
        Ok(Some(SubmissionUpdate::Failed(failure)))
    }

    fn unsigned(&self, post: &Post, broadcast: &Broadcast) -> Unsigned {
        Unsigned {
            chain: self.chain.id(),
            nonce: broadcast.nonce,
            gas_limit: broadcast.gas_limit,
            to: TxKind::Call(EvmAddress::from(*post.contract.as_bytes())),
            value: U256::ZERO,
            input: Bytes::from(post.calldata.clone()),
        }
    }

    /// Makes the newest offer durable, then broadcasts it. The order is what the module promises.
    async fn record_and_send(
        &mut self,
        post: &Post,
        broadcast: Broadcast,
        view: &View,
    ) -> Result<Option<SubmissionUpdate>, SubmitError> {
        self.records.set(post.purpose, Phase::Sent(broadcast.clone())).await?;
        self.send(post, &broadcast, view).await?;
        Ok(broadcast.newest().map(|newest| SubmissionUpdate::Sent { tx: newest.tx }))
    }

    /// Makes the next step of the ladder due at once.
    async fn raise_next(&mut self, purpose: Purpose) -> Result<(), RecordError> {
        let phase = match self.records.get(purpose).map(|record| record.phase.clone()) {
            Some(Phase::Sent(broadcast)) => Phase::Sent(Broadcast { signed_at: 0, ..broadcast }),
            Some(Phase::Withdrawn(broadcast)) => {
                Phase::Withdrawn(Broadcast { signed_at: 0, ..broadcast })
            }
            _ => return Ok(()),
        };
        self.records.set(purpose, phase).await
    }

    async fn send(
        &mut self,
        post: &Post,
        broadcast: &Broadcast,
        view: &View,
    ) -> Result<(), SubmitError> {
        let Some(newest) = broadcast.newest() else {
            return Ok(());
        };
        self.broadcast_at.insert(post.purpose, view.latest.number);
        let (purpose, tx) = (post.purpose, newest.tx);
        match self.chain.send_raw(newest.raw.clone().into()).await {
            Ok(_) => tracing::info!(?purpose, %tx, nonce = broadcast.nonce, "broadcast"),
            Err(RpcError::Refused { message, .. }) => match classify(&message) {
                Refusal::AlreadyKnown => tracing::debug!(?purpose, %tx, "already known"),
                // The next step finds the receipt, or sees who used the nonce.
                Refusal::NonceTooLow => tracing::debug!(?purpose, %tx, "nonce already used"),
                Refusal::Underpriced | Refusal::ReplacementUnderpriced => {
                    tracing::info!(?purpose, %tx, message, "offer too low; raised next");
                    self.raise_next(purpose).await?;
                }
                Refusal::InsufficientFunds => {
                    let account = self.key.address();
                    tracing::error!(?purpose, %account, "the account cannot pay; add funds");
                }
                Refusal::Busy | Refusal::Other => {
                    tracing::warn!(?purpose, %tx, message, "not taken; sent again");
                }
            },
            // Durable, so the next step goes on with it; other submissions need not wait.
            Err(error) => tracing::warn!(?purpose, %tx, %error, "not sent; sent again"),
        }
        Ok(())
    }
}

/// Where a receipt says that its transaction is; `None` for a receipt of a pending block.
pub(crate) fn inclusion_of(receipt: &TransactionReceipt) -> Option<Inclusion> {
    let number = BlockNumber::new(receipt.block_number?);
    let hash = BlockHash::from_bytes(receipt.block_hash?.0);
    Some(Inclusion {
        tx: TxHash::from_bytes(receipt.transaction_hash.0),
        block: BlockRef { number, hash },
        gas_used: receipt.gas_used,
    })
}
