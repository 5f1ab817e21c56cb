//! Who is connected: how to reach a peer, what its session token opens, when it was last heard.
//!
//! The directory decides nothing about work; it is the switchboard between the actor's effects and
//! the streams. Its lock is never held across an await.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proofgrid_core::ids::{Address, ChainId, Role, SessionId};
use proofgrid_core::network::ProverCapabilities;
use proofgrid_core::units::UnixMillis;
use proofgrid_proto::convert::{OracleOrder, ProverOrder, SessionToken, VerifierOrder};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::clock::Clock;
use crate::error::EdgeError;

/// The sending half of one peer's stream.
#[derive(Clone, Debug)]
pub enum Outbound {
    /// To a prover.
    Prover(mpsc::Sender<Result<ProverOrder, Status>>),
    /// To a verifier.
    Verifier(mpsc::Sender<Result<VerifierOrder, Status>>),
    /// To an oracle.
    Oracle(mpsc::Sender<Result<OracleOrder, Status>>),
}

/// What one session is, for the lists of an administrator.
#[derive(Clone, Debug)]
pub struct SessionFacts {
    /// Its number.
    pub session: SessionId,
    /// What the peer is.
    pub role: Role,
    /// Who it is.
    pub address: Address,
    /// Version of its build, as it says.
    pub version: String,
    /// Where it dialled from.
    pub remote: String,
    /// Since when.
    pub connected_at: UnixMillis,
    /// When it was last heard.
    pub last_seen: UnixMillis,
    /// What a prover registered.
    pub capabilities: Option<ProverCapabilities>,
}

impl SessionFacts {
    const fn identity(&self) -> (Role, Address, SessionId) {
        (self.role, self.address, self.session)
    }
}

#[derive(Debug)]
struct Entry {
    facts: SessionFacts,
    chain: Option<ChainId>,
    last_seen: Arc<AtomicU64>,
    outbound: Outbound,
    close: CancellationToken,
    token: SessionToken,
    assigned: u64,
    is_registered: bool,
}

#[derive(Debug, Default)]
struct Inner {
    sessions: HashMap<SessionId, Entry>,
    tokens: HashMap<SessionToken, SessionId>,
    /// Every session once, so that those of a role or of an identity are found without a walk over
    /// all: there are thousands of provers and a handful of anything else.
    identities: BTreeSet<(Role, Address, SessionId)>,
}

impl Inner {
    fn of_role(&self, role: Role) -> impl Iterator<Item = &Entry> + '_ {
        let first = (role, Address::ZERO, SessionId::new(0));
        let sessions = self.identities.range(first..).take_while(move |(of, ..)| *of == role);
        sessions.filter_map(|(.., session)| self.sessions.get(session))
    }

    /// The sessions of an identity, the oldest first.
    fn of_identity(
        &self,
        role: Role,
        address: Address,
    ) -> impl DoubleEndedIterator<Item = SessionId> + '_ {
        let first = (role, address, SessionId::new(0));
        let last = (role, address, SessionId::new(u64::MAX));
        self.identities.range(first..=last).map(|(.., session)| *session)
    }
}

/// The switchboard.
#[derive(Debug, Default)]
pub struct Directory {
    clock: Clock,
    last_session: AtomicU64,
    inner: Mutex<Inner>,
}

/// What a session needs to enter itself.
#[derive(Debug)]
pub struct Entrant {
    /// What the peer is.
    pub role: Role,
    /// Who it is.
    pub address: Address,
    /// Version of its build.
    pub version: String,
    /// Where it dialled from.
    pub remote: String,
    /// How to reach it.
    pub outbound: Outbound,
    /// Ends the session.
    pub close: CancellationToken,
    /// Opens the blob calls.
    pub token: SessionToken,
}

/// A session's place in the directory; given back when dropped.
#[derive(Debug)]
pub struct Membership {
    directory: Arc<Directory>,
    session: SessionId,
    last_seen: Arc<AtomicU64>,
}

impl Membership {
    /// The session's number.
    #[must_use]
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// Notes that the peer was heard now.
    pub fn touch(&self) {
        self.last_seen.store(self.directory.clock.now().get(), Ordering::Relaxed);
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut inner = self.directory.lock();
        if let Some(entry) = inner.sessions.remove(&self.session) {
            inner.tokens.remove(&entry.token);
            inner.identities.remove(&entry.facts.identity());
        }
    }
}

/// Whom a session token stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenHolder {
    /// What the peer is.
    pub role: Role,
    /// Who it is.
    pub address: Address,
    /// Leases that were sent to it in this session.
    pub assigned: u64,
}

impl Directory {
    /// An empty one, whose sessions are dated by `clock`.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, ..Self::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a peer that has logged in.
    #[must_use]
    pub fn enter(self: &Arc<Self>, entrant: Entrant) -> Membership {
        let session = SessionId::new(self.last_session.fetch_add(1, Ordering::Relaxed) + 1);
        let now = self.clock.now();
        let last_seen = Arc::new(AtomicU64::new(now.get()));
        let entry = Entry {
            facts: SessionFacts {
                session,
                role: entrant.role,
                address: entrant.address,
                version: entrant.version,
                remote: entrant.remote,
                connected_at: now,
                last_seen: now,
                capabilities: None,
            },
            chain: None,
            last_seen: Arc::clone(&last_seen),
            outbound: entrant.outbound,
            close: entrant.close,
            token: entrant.token,
            assigned: 0,
            is_registered: false,
        };
        let mut inner = self.lock();
        inner.tokens.insert(entry.token, session);
        inner.identities.insert(entry.facts.identity());
        inner.sessions.insert(session, entry);
        Membership { directory: Arc::clone(self), session, last_seen }
    }

    /// Notes what a prover registered.
    pub fn set_capabilities(&self, session: SessionId, capabilities: ProverCapabilities) {
        if let Some(entry) = self.lock().sessions.get_mut(&session) {
            entry.facts.capabilities = Some(capabilities);
        }
    }

    /// Notes which chain an oracle serves.
    pub fn set_chain(&self, session: SessionId, chain: ChainId) {
        if let Some(entry) = self.lock().sessions.get_mut(&session) {
            entry.chain = Some(chain);
        }
    }

    /// Notes that a verifier registered: from now on it may be asked for blobs.
    pub fn set_registered(&self, session: SessionId) {
        if let Some(entry) = self.lock().sessions.get_mut(&session) {
            entry.is_registered = true;
        }
    }

    /// The registered verifiers, by address.
    #[must_use]
    pub fn verifiers(&self) -> Vec<(SessionId, Address)> {
        let inner = self.lock();
        let registered = inner.of_role(Role::Verifier).filter(|entry| entry.is_registered);
        registered.map(|entry| (entry.facts.session, entry.facts.address)).collect()
    }

    /// Whom a token stands for; `None` once its session is over.
    #[must_use]
    pub fn holder(&self, token: &SessionToken) -> Option<TokenHolder> {
        let inner = self.lock();
        let entry = inner.sessions.get(inner.tokens.get(token)?)?;
        let SessionFacts { role, address, .. } = entry.facts;
        Some(TokenHolder { role, address, assigned: entry.assigned })
    }

    /// Every session, by role and address.
    #[must_use]
    pub fn list(&self) -> Vec<SessionFacts> {
        let seen = |entry: &Entry| SessionFacts {
            last_seen: UnixMillis::new(entry.last_seen.load(Ordering::Relaxed)),
            ..entry.facts.clone()
        };
        let mut all: Vec<SessionFacts> = self.lock().sessions.values().map(seen).collect();
        all.sort_by_key(|facts| (facts.role, facts.address, facts.session));
        all
    }

    /// The session of a connected prover, the newest if there are two for a moment.
    #[must_use]
    pub fn prover_session(&self, prover: Address) -> Option<SessionId> {
        self.lock().of_identity(Role::Prover, prover).next_back()
    }

    /// The oldest sessions of an identity that a newer one replaces.
    #[must_use]
    pub fn older_sessions(
        &self,
        role: Role,
        address: Address,
        newest: SessionId,
    ) -> Vec<SessionId> {
        let inner = self.lock();
        inner.of_identity(role, address).filter(|session| *session < newest).collect()
    }

    /// Sends to a prover. A peer that lets too much pile up is disconnected: it gets all that it is
    /// owed when it dials in again.
    pub fn send_prover(&self, session: SessionId, order: ProverOrder) {
        let mut inner = self.lock();
        let Some(entry) = inner.sessions.get_mut(&session) else { return };
        if let ProverOrder::Assign(_) = &order {
            entry.assigned += 1;
        }
        if let Outbound::Prover(sender) = &entry.outbound
            && sender.try_send(Ok(order)).is_err()
        {
            drop_slow(entry);
        }
    }

    /// Sends to a verifier, as [`Self::send_prover`].
    pub fn send_verifier(&self, session: SessionId, order: VerifierOrder) {
        let inner = self.lock();
        let Some(entry) = inner.sessions.get(&session) else { return };
        if let Outbound::Verifier(sender) = &entry.outbound
            && sender.try_send(Ok(order)).is_err()
        {
            drop_slow(entry);
        }
    }

    /// Sends to the oracle of a chain, as [`Self::send_prover`]. Without one the order waits in the
    /// state machine until an oracle connects.
    pub fn send_oracle(&self, chain: ChainId, order: OracleOrder) {
        let inner = self.lock();
        let of_chain = |entry: &&Entry| entry.chain == Some(chain);
        let newest = inner.of_role(Role::Oracle).filter(of_chain).max_by_key(|e| e.facts.session);
        let Some(entry) = newest else {
            tracing::info!(%chain, "no oracle is connected; what it is owed waits");
            return;
        };
        if let Outbound::Oracle(sender) = &entry.outbound
            && sender.try_send(Ok(order)).is_err()
        {
            drop_slow(entry);
        }
    }

    /// Counts a resumed lease, which lets its holder upload as an assigned one does.
    pub fn count_resumed(&self, session: SessionId, leases: usize) {
        if let Some(entry) = self.lock().sessions.get_mut(&session) {
            entry.assigned = entry.assigned.saturating_add(leases as u64);
        }
    }

    /// Ends a session because a newer one of the same identity replaced it.
    pub fn close_replaced(&self, session: SessionId) {
        let inner = self.lock();
        let Some(entry) = inner.sessions.get(&session) else { return };
        let status = || Status::from(EdgeError::Replaced);
        // If the queue is full the peer learns it from the end of the stream.
        let _ = match &entry.outbound {
            Outbound::Prover(sender) => sender.try_send(Err(status())).is_ok(),
            Outbound::Verifier(sender) => sender.try_send(Err(status())).is_ok(),
            Outbound::Oracle(sender) => sender.try_send(Err(status())).is_ok(),
        };
        entry.close.cancel();
    }
}

fn drop_slow(entry: &Entry) {
    let SessionFacts { session, role, address, .. } = &entry.facts;
    tracing::warn!(%session, %role, %address, "a peer does not read its stream; disconnected");
    entry.close.cancel();
}
