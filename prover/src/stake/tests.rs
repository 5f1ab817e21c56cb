use proofgrid_core::ids::{
    Address, Attempt, BlobDigest, ChainId, Claim, LeaseToken, Nonce, ProgramId, PublicValuesDigest,
    VkDigest,
};
use proofgrid_core::job::{JobLimits, Mode, Origin, TaskKind};
use proofgrid_core::network::{Lease, PlannedSegment};
use proofgrid_core::units::{ByteCount, Millis, UnixMillis, UnixSeconds, WorkUnits};

use super::*;

const CHAIN: ChainId = ChainId::new(7);

#[derive(Debug, Default)]
struct Chain(Mutex<Vec<String>>);

impl Chain {
    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl BondPort for Chain {
    fn accepted(&self, lease: &AcceptedLease) {
        self.0.lock().unwrap().push(format!("accepted {}", lease.lease.terms.amount));
    }

    fn proved(&self, _: JobId, _: TaskId, leaf: [u8; 32]) {
        self.0.lock().unwrap().push(format!("proved {leaf:?}"));
    }

    fn given_up(&self, lease: &AcceptedLease) {
        self.0.lock().unwrap().push(format!("given up {}", lease.lease.terms.amount));
    }
}

struct Rig {
    desk: Desk,
    chain: Arc<Chain>,
    outbound: Outbound,
    sent: mpsc::Receiver<v1::ProverServiceSessionRequest>,
}

fn task_manager() -> ChainContract {
    ChainContract { chain: CHAIN, contract: Address::from_bytes([8; 20]) }
}

impl Rig {
    fn new() -> Self {
        let chain = Arc::new(Chain::default());
        let port: Arc<dyn BondPort> = chain.clone();
        let stake = Stake { task_manager: task_manager(), amount_max: 100, port };
        let desk = Desk::new(stake, WalletKey::from_bytes(&[4; 32]).unwrap().into());
        let (outbound, sent) = mpsc::channel(8);
        desk.up(&outbound, &[]);
        Self { desk, chain, outbound, sent }
    }

    /// What was said since the last look.
    fn said(&mut self) -> Vec<ProverMessage> {
        let next = || self.sent.try_recv().ok().map(|wire| wire.try_into().unwrap());
        std::iter::from_fn(next).collect()
    }
}

fn spec() -> JobSpec {
    JobSpec {
        origin: Origin::Contract,
        home_chain: CHAIN,
        target: ChainContract { chain: CHAIN, contract: Address::from_bytes([3; 20]) },
        requester: Address::from_bytes([4; 20]),
        nonce: Nonce::new(5),
        program: ProgramId::from_bytes([6; 32]),
        input: BlobDigest::from_bytes([7; 32]),
        claim: Claim::from_bytes([8; 32]),
        mode: Mode::Assigned,
        deadline: UnixSeconds::new(1_000),
        fee_cap: Default::default(),
        limits: JobLimits {
            input_bytes: ByteCount::new(11),
            max_segments: 12,
            max_proof_bytes: ByteCount::new(13),
        },
        stream: 0,
        sequence: 0,
    }
}

fn assignment(spec: JobSpec) -> Assignment {
    let job = spec.id();
    Assignment {
        lease: Lease {
            task: TaskId::derive(&job, TaskKind::Segment, 2),
            attempt: Attempt::new(1),
            token: LeaseToken::new(9),
            dead_after: Millis::new(1),
            expires_at: UnixMillis::new(2),
        },
        job,
        spec,
        index: 2,
        segment: PlannedSegment {
            first: 0,
            count: 1,
            work_units: WorkUnits::new(1),
            memory_bytes: ByteCount::new(1),
        },
        num_segments: 3,
    }
}

fn terms(amount: u128) -> LeaseTerms {
    LeaseTerms { amount, deadline: UnixSeconds::new(900) }
}

fn record() -> SegmentRecord {
    SegmentRecord {
        index: 2,
        first: 0,
        count: 1,
        vk: VkDigest::from_bytes([1; 32]),
        public_values: PublicValuesDigest::from_bytes([2; 32]),
        proof: BlobDigest::from_bytes([3; 32]),
        prover: Address::from_bytes([4; 20]),
        work_units: WorkUnits::new(1),
    }
}

#[test]
fn it_accepts_with_the_input_in_its_hands_and_not_before() {
    let mut rig = Rig::new();
    let work = assignment(spec());
    let lease = lease_of(&work);
    rig.desk.started(&work);
    rig.desk.asked(lease, terms(100));
    assert_eq!((rig.said(), rig.chain.heard()), (vec![], vec![]), "it has no input yet");
    rig.desk.has_input(&lease.task);
    assert_eq!(rig.chain.heard(), ["accepted 100"]);
    let [ProverMessage::Accept { lease: of, terms: on, signature }] = rig.said()[..] else {
        panic!("one acceptance");
    };
    assert_eq!((of, on), (lease, terms(100)));
    let bonded = BondedLease { spec: spec(), segment: 2, terms: on };
    let prover = WalletKey::from_bytes(&[4; 32]).unwrap().address();
    AcceptedLease { lease: bonded, prover, signature }.verify(task_manager()).unwrap();

    rig.desk.asked(lease, terms(100));
    rig.desk.has_input(&lease.task);
    assert_eq!((rig.said(), rig.chain.heard()), (vec![], vec![]), "once");
    rig.desk.proved(work.job, &lease.task, &record());
    assert_eq!(rig.chain.heard(), [format!("proved {:?}", record().leaf())]);
}

#[test]
fn what_it_accepted_and_did_not_prove_is_given_up_when_the_task_is_gone() {
    for proves in [false, true] {
        let mut rig = Rig::new();
        let work = assignment(spec());
        let lease = lease_of(&work);
        rig.desk.started(&work);
        rig.desk.asked(lease, terms(5));
        rig.desk.forget(&lease.task);
        assert_eq!(rig.chain.heard(), [""; 0], "nothing was signed");
        rig.desk.started(&work);
        rig.desk.asked(lease, terms(5));
        rig.desk.has_input(&lease.task);
        if proves {
            rig.desk.proved(work.job, &lease.task, &record());
        }
        assert_eq!(rig.said().len(), 1);
        rig.chain.heard();
        rig.desk.forget(&lease.task);
        let expected: &[&str] = if proves { &[] } else { &["given up 5"] };
        assert_eq!(rig.chain.heard(), expected);
        rig.desk.forget(&lease.task);
        assert_eq!(rig.chain.heard(), [""; 0], "once");
    }
}

#[test]
fn the_order_of_asking_and_fetching_does_not_matter() {
    let mut rig = Rig::new();
    let work = assignment(spec());
    let lease = lease_of(&work);
    // The task waits for room; then its input is in the cache.
    rig.desk.asked(lease, terms(5));
    rig.desk.started(&work);
    rig.desk.has_input(&lease.task);
    assert_eq!(rig.said().len(), 1);
    let mut rig = Rig::new();
    rig.desk.started(&work);
    rig.desk.has_input(&lease.task);
    rig.desk.asked(lease, terms(5));
    assert_eq!(rig.said().len(), 1);
}

#[test]
fn what_its_operator_did_not_allow_is_worked_on_without_a_bond() {
    let late = LeaseTerms { deadline: UnixSeconds::new(1_001), ..terms(1) };
    let elsewhere = ChainContract { chain: ChainId::new(8), ..spec().target };
    let cases = [
        (spec(), terms(101)),
        (spec(), late),
        (JobSpec { target: elsewhere, ..spec() }, terms(1)),
        (JobSpec { origin: Origin::Direct, ..spec() }, terms(1)),
        (JobSpec { mode: Mode::Race, ..spec() }, terms(1)),
    ];
    for (spec, terms) in cases {
        let mut rig = Rig::new();
        let work = assignment(spec);
        rig.desk.started(&work);
        rig.desk.asked(lease_of(&work), terms);
        rig.desk.has_input(&work.lease.task);
        rig.desk.proved(work.job, &work.lease.task, &record());
        assert_eq!((rig.said(), rig.chain.heard()), (vec![], vec![]), "{terms:?}");
    }
}

#[test]
fn what_may_have_been_lost_is_said_again_in_the_next_session_while_the_lease_goes_on() {
    let mut rig = Rig::new();
    let work = assignment(spec());
    let lease = lease_of(&work);
    rig.desk.down();
    rig.desk.started(&work);
    rig.desk.asked(lease, terms(5));
    rig.desk.has_input(&lease.task);
    assert!(rig.said().is_empty(), "nobody listens");
    rig.desk.up(&rig.outbound, &[lease]);
    assert_eq!(rig.said().len(), 1);
    rig.desk.up(&rig.outbound, &[]);
    assert!(rig.said().is_empty(), "the lease passed on");
    assert_eq!(rig.chain.heard(), ["accepted 5"], "signed once");
    rig.desk.forget(&lease.task);
    rig.desk.up(&rig.outbound, &[lease]);
    assert!(rig.said().is_empty());
}
