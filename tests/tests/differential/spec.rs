//! The contracts' side: `SpecHarness` on an EVM node of its own, asked by `eth_call`.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use alloy_primitives::{Address as AbiAddress, U256};
use alloy_sol_types::{SolCall, SolError};
use proofgrid_core::crypto::bls::BlsMessage;
use proofgrid_core::ids::{Address, ChainContract};
use proofgrid_core::job::JobSpec;
use proofgrid_core::manifest;
use proofgrid_core::statement;
use proofgrid_node::devnet::{anvil, process::Process};
use proofgrid_tests::{root, rpc};
use serde_json::{Value, json};
use tempfile::TempDir;

pub use interface::ISpec;
use interface::{G1Point, G2Point, Job, Manifest, SegmentRecord, Statement};

/// Longest wait for the node; it needs a fraction of a second.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks.
const POLL: Duration = Duration::from_millis(10);
/// One node at a time looks for a free port, so that no two of them find the same.
static STARTING: Mutex<()> = Mutex::new(());

/// The harness as these tests call it, encoded by a library that neither side uses for its digests.
#[allow(missing_docs, clippy::all, clippy::pedantic, reason = "expanded from the interface")]
mod interface {
    alloy_sol_types::sol! {
        #[derive(Debug, PartialEq, Eq)]
        struct G1Point { uint256 x; uint256 y; }
        #[derive(Debug, PartialEq, Eq)]
        struct G2Point { uint256 x1; uint256 x0; uint256 y1; uint256 y0; }
        struct Manifest {
            bytes32 nameDigest;
            bytes32 versionDigest;
            uint8 profile;
            bool hiding;
            uint16 provenBits;
            uint16 conjecturedBits;
            uint64 proofBytesMax;
            uint64 publicValuesBytesMax;
            uint64 verifyMsMax;
            uint64 verifyMemoryBytesMax;
        }
        struct Job {
            uint8 origin;
            uint64 homeChain;
            uint64 targetChain;
            address targetContract;
            address requester;
            uint64 nonce;
            bytes32 programId;
            bytes32 inputDigest;
            bytes32 claim;
            uint8 mode;
            uint64 deadline;
            uint256 feeCap;
            uint64 inputBytes;
            uint32 maxSegments;
            uint64 maxProofBytes;
            uint64 stream;
            uint64 sequence;
        }
        struct SegmentRecord {
            uint32 index;
            uint64 first;
            uint64 count;
            bytes32 vkDigest;
            bytes32 publicValuesDigest;
            bytes32 proofDigest;
            address prover;
            uint64 workUnits;
        }
        struct Statement {
            bytes32 job;
            uint32 statementAttempt;
            bytes32 programId;
            bytes32 manifest;
            bytes32 claim;
            uint32 numSegments;
            bytes32 segmentsRoot;
        }

        interface ISpec {
            error CoordinateNotReduced(uint256 coordinate);
            error PointOffCurve(uint256 x, uint256 y);
            error PointIsIdentity();
            error LeafCountOutOfRange(uint256 count);
            error LeafIndexOutOfRange(uint256 index, uint256 count);
            error PathLengthWrong(uint256 expected, uint256 got);

            function manifestDigest(Manifest calldata manifest) external pure returns (bytes32);
            function programId(bytes32 nameDigest, bytes32 vkDigest, bytes32 parametersDigest)
                external pure returns (bytes32);
            function jobId(Job calldata job) external pure returns (bytes32);
            function taskId(bytes32 job, uint8 kind, uint32 index) external pure returns (bytes32);
            function segmentLeaf(SegmentRecord calldata record) external pure returns (bytes32);
            function statementDigest(Statement calldata statement)
                external pure returns (bytes32);
            function batchLeaf(bytes32 statement, uint8 verdict) external pure returns (bytes32);
            function certificateId(
                uint64 targetChain,
                address targetContract,
                uint64 epoch,
                bytes32 tableDigest,
                bytes32 root,
                uint32 count
            ) external pure returns (bytes32);
            function popMessage(
                uint256 chainId,
                address registry,
                address operator,
                uint32 set,
                G1Point calldata key1,
                G2Point calldata key2
            ) external pure returns (bytes32);
            function loginMessage(
                uint256 chainId,
                address epochTable,
                uint8 role,
                address server,
                bytes32 serverNonce,
                bytes32 clientNonce,
                address operator
            ) external pure returns (bytes32);
            function voteMessage(
                uint256 chainId,
                address epochTable,
                uint64 epoch,
                bytes32 tableDigest,
                bytes32 statement,
                uint8 verdict
            ) external pure returns (bytes32);
            function attestMessage(
                uint256 chainId,
                address proofRegistry,
                uint64 epoch,
                bytes32 tableDigest,
                bytes32 root,
                uint32 count
            ) external pure returns (bytes32);
            function ejectCancelMessage(
                uint256 chainId,
                address registry,
                address operator,
                uint64 nonce
            ) external pure returns (bytes32);
            function merkleRoot(bytes32[] calldata leaves) external pure returns (bytes32);
            function merkleRootFromPath(
                bytes32 leaf,
                uint256 index,
                uint256 count,
                bytes32[] calldata path
            ) external pure returns (bytes32);
            function isQuorum(uint128 signed, uint128 total) external pure returns (bool);
            function hashToG1(bytes32 message) external view returns (G1Point memory);
            function verifyBls(
                bytes32 message,
                G1Point calldata signature,
                G1Point calldata key1,
                G2Point calldata key2
            ) external view returns (bool);
        }
    }
}

/// The refusals that an input can cause, by selector.
const REFUSALS: [([u8; 4], &str); 6] = [
    refusal::<ISpec::CoordinateNotReduced>(),
    refusal::<ISpec::PointOffCurve>(),
    refusal::<ISpec::PointIsIdentity>(),
    refusal::<ISpec::LeafCountOutOfRange>(),
    refusal::<ISpec::LeafIndexOutOfRange>(),
    refusal::<ISpec::PathLengthWrong>(),
];

const fn refusal<E: SolError>() -> ([u8; 4], &'static str) {
    (E::SELECTOR, E::SIGNATURE)
}

fn artifact() -> Value {
    let path = root().join("contracts/abi/SpecHarness.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A node with the harness on it.
pub struct Spec {
    url: String,
    address: String,
    // In this order: the node ends before the folder of its log goes.
    _node: Process,
    _folder: TempDir,
}

impl Spec {
    /// Starts a node and deploys the committed artifact.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        let port = anvil::free_port().unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let mut command = Command::new(anvil::find().unwrap());
        command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        let mut node = Process::start("anvil", &mut command, folder.path()).unwrap();
        wait("the node answers", || {
            assert!(node.ended().is_none(), "the node ended: {}", node.log_tail(20));
            rpc::call(&url, "eth_chainId", &json!([])).ok()
        });
        drop(starting);
        let address = deploy(&url);
        Self { url, address, _node: node, _folder: folder }
    }

    /// Calls a function: its result, or the signature of the error that it refused with.
    pub fn ask<C: SolCall>(&self, call: C) -> Result<C::Return, &'static str> {
        let data = format!("0x{}", hex::encode(call.abi_encode()));
        let request = json!([{ "to": self.address, "data": data }, "latest"]);
        match rpc::call(&self.url, "eth_call", &request) {
            Ok(answer) => Ok(C::abi_decode_returns(&bytes_of(&answer)).unwrap()),
            Err(error) => {
                let error = error.to_string();
                let revert = error.strip_prefix("eth_call: ").and_then(|text| {
                    let data = serde_json::from_str::<Value>(text).ok()?.get("data").cloned()?;
                    let data = bytes_of(&data);
                    REFUSALS.iter().find(|(selector, _)| data.starts_with(selector))
                });
                let known = revert.map(|(_, signature)| *signature);
                Err(known.unwrap_or_else(|| panic!("{}: {error}", C::SIGNATURE)))
            }
        }
    }

    /// Calls a function that must not refuse.
    #[track_caller]
    pub fn get<C: SolCall>(&self, call: C) -> C::Return {
        self.ask(call).unwrap_or_else(|refusal| panic!("{}: {refusal}", C::SIGNATURE))
    }

    /// The digest of a message as the contracts compute it.
    pub fn message(&self, message: &BlsMessage) -> [u8; 32] {
        let chain_id = |of: &ChainContract| U256::from(of.chain.get());
        let digest = match message {
            BlsMessage::Pop { registry, operator, set, g1: key1, g2: key2 } => {
                self.get(ISpec::popMessageCall {
                    chainId: chain_id(registry),
                    registry: abi_address(&registry.contract),
                    operator: abi_address(operator),
                    set: set.get(),
                    key1: g1(&key1.to_bytes()),
                    key2: g2(&key2.to_bytes()),
                })
            }
            BlsMessage::Login { network, login } => self.get(ISpec::loginMessageCall {
                chainId: chain_id(&network.as_contract()),
                epochTable: abi_address(&network.epoch_table),
                role: login.role.code(),
                server: abi_address(&login.server),
                serverNonce: login.server_nonce.as_bytes().into(),
                clientNonce: login.client_nonce.as_bytes().into(),
                operator: abi_address(&login.operator),
            }),
            BlsMessage::Vote { network, vote } => self.get(ISpec::voteMessageCall {
                chainId: chain_id(&network.as_contract()),
                epochTable: abi_address(&network.epoch_table),
                epoch: vote.epoch.get(),
                tableDigest: vote.table.as_bytes().into(),
                statement: vote.statement.as_bytes().into(),
                verdict: vote.verdict.code(),
            }),
            BlsMessage::Attest(attestation) => self.get(ISpec::attestMessageCall {
                chainId: chain_id(&attestation.target),
                proofRegistry: abi_address(&attestation.target.contract),
                epoch: attestation.epoch.get(),
                tableDigest: attestation.table.as_bytes().into(),
                root: attestation.root.as_bytes().into(),
                count: attestation.count,
            }),
            BlsMessage::EjectCancel { registry, operator, nonce } => {
                self.get(ISpec::ejectCancelMessageCall {
                    chainId: chain_id(registry),
                    registry: abi_address(&registry.contract),
                    operator: abi_address(operator),
                    nonce: nonce.get(),
                })
            }
        };
        digest.0
    }
}

fn bytes_of(text: &Value) -> Vec<u8> {
    hex::decode(text.as_str().unwrap().trim_start_matches("0x")).unwrap()
}

fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} until {what}");
        std::thread::sleep(POLL);
    }
}

/// Creates the harness from one of the node's own accounts, which need no key.
fn deploy(url: &str) -> String {
    let accounts = rpc::call(url, "eth_accounts", &json!([])).unwrap();
    let create = json!([{ "from": accounts[0], "data": artifact()["bytecode"] }]);
    let hash = rpc::call(url, "eth_sendTransaction", &create).unwrap();
    let receipt = wait("the harness is deployed", || {
        let receipt = rpc::call(url, "eth_getTransactionReceipt", &json!([hash])).unwrap();
        receipt.is_object().then_some(receipt)
    });
    assert_eq!(receipt["status"], "0x1", "{receipt}");
    receipt["contractAddress"].as_str().unwrap().to_owned()
}

/// An address as the encoder names it.
pub fn abi_address(address: &Address) -> AbiAddress {
    AbiAddress::from(*address.as_bytes())
}

fn words<const N: usize>(bytes: &[u8]) -> [U256; N] {
    let words: Vec<U256> = bytes.chunks(32).map(U256::from_be_slice).collect();
    words.try_into().unwrap()
}

/// The coordinates of a point in G1.
pub fn g1(bytes: &[u8; 64]) -> G1Point {
    let [x, y] = words(bytes);
    G1Point { x, y }
}

/// The coordinates of a point in G2.
pub fn g2(bytes: &[u8; 128]) -> G2Point {
    let [x1, x0, y1, y0] = words(bytes);
    G2Point { x1, x0, y1, y0 }
}

/// A job for the harness.
pub fn job(job: &JobSpec) -> Job {
    Job {
        origin: job.origin.code(),
        homeChain: job.home_chain.get(),
        targetChain: job.target.chain.get(),
        targetContract: abi_address(&job.target.contract),
        requester: abi_address(&job.requester),
        nonce: job.nonce.get(),
        programId: job.program.as_bytes().into(),
        inputDigest: job.input.as_bytes().into(),
        claim: job.claim.as_bytes().into(),
        mode: job.mode.code(),
        deadline: job.deadline.get(),
        feeCap: job.fee_cap,
        inputBytes: job.limits.input_bytes.get(),
        maxSegments: job.limits.max_segments,
        maxProofBytes: job.limits.max_proof_bytes.get(),
        stream: job.stream,
        sequence: job.sequence,
    }
}

/// A segment record for the harness.
pub fn record(record: &statement::SegmentRecord) -> SegmentRecord {
    SegmentRecord {
        index: record.index,
        first: record.first,
        count: record.count,
        vkDigest: record.vk.as_bytes().into(),
        publicValuesDigest: record.public_values.as_bytes().into(),
        proofDigest: record.proof.as_bytes().into(),
        prover: abi_address(&record.prover),
        workUnits: record.work_units.get(),
    }
}

/// A statement for the harness.
pub fn statement(statement: &statement::Statement) -> Statement {
    Statement {
        job: statement.job.as_bytes().into(),
        statementAttempt: statement.attempt.get(),
        programId: statement.program.as_bytes().into(),
        manifest: statement.manifest.as_bytes().into(),
        claim: statement.claim.as_bytes().into(),
        numSegments: statement.num_segments,
        segmentsRoot: statement.segments_root.as_bytes().into(),
    }
}

/// A manifest for the harness, which takes name and version as digests.
pub fn manifest(manifest: &manifest::Manifest) -> Manifest {
    Manifest {
        nameDigest: alloy_primitives::keccak256(&manifest.name),
        versionDigest: alloy_primitives::keccak256(&manifest.version),
        profile: manifest.profile.code(),
        hiding: manifest.hiding,
        provenBits: manifest.proven_bits,
        conjecturedBits: manifest.conjectured_bits,
        proofBytesMax: manifest.limits.proof_bytes_max.get(),
        publicValuesBytesMax: manifest.limits.public_values_bytes_max.get(),
        verifyMsMax: manifest.limits.verify_ms_max.get(),
        verifyMemoryBytesMax: manifest.limits.verify_memory_bytes_max.get(),
    }
}

/// The type of a parameter as it stands in a signature: a tuple by its parts.
fn canonical(parameter: &Value) -> String {
    let name = parameter["type"].as_str().unwrap();
    let Some(array) = name.strip_prefix("tuple") else { return name.to_owned() };
    format!("{}{array}", parameters(&parameter["components"]))
}

fn parameters(list: &Value) -> String {
    let types: Vec<String> = list.as_array().unwrap().iter().map(canonical).collect();
    format!("({})", types.join(","))
}

#[test]
fn every_function_of_the_harness_is_called_here() {
    let artifact = artifact();
    let functions = artifact["abi"].as_array().unwrap().iter().filter(|e| e["type"] == "function");
    let exposed: BTreeSet<String> = functions
        .map(|e| format!("{}{}", e["name"].as_str().unwrap(), parameters(&e["inputs"])))
        .collect();
    let called: BTreeSet<String> =
        ISpec::ISpecCalls::SIGNATURES.iter().map(|signature| (*signature).to_owned()).collect();
    assert_eq!(called, exposed);
}
