//! The oracle's reading and the contracts, on a real node.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use alloy::eips::BlockId;
use alloy::primitives::U256;
use proofgrid_core::certificate::TrustedEpoch;
use proofgrid_core::crypto::hash::keccak256;
use proofgrid_core::epoch::MemberSet;
use proofgrid_core::ids::{Address, BlockNumber, EpochNumber, MemberIndex, TableDigest};
use proofgrid_oracle::abi::JobState;
use proofgrid_oracle::contracts::{check_deployed, evm};
use proofgrid_oracle::cursor::Cursor;
use proofgrid_oracle::deploy::{self, Certainty, DeployError, LeafPosition};
use proofgrid_oracle::finality::FinalityPolicy;
use proofgrid_oracle::reader::{ChainReader, Look, Range, ReadSettings};
use proofgrid_oracle::rpc::{Chain, RpcError};
use proofgrid_oracle::sender::{SendError, Sender};
use proofgrid_oracle::view::{ChainViewClient, ViewError};
use proofgrid_proto::convert::ChainNews;
use support::{
    Anvil, CHAIN, MANIFEST, Net, PROGRAM, STAKES, TOKEN, account, mine, opened, rpc, rpc_settings,
    settle_order,
};

const PROVERS: [Address; 2] = [Address::from_bytes([0xa1; 20]), Address::from_bytes([0xa2; 20])];

fn policy(text: &str) -> FinalityPolicy {
    text.parse().unwrap()
}

fn reader(net: &Net, scan_blocks_max: u64) -> ChainReader {
    let settings = ReadSettings {
        contracts: net.deployment.contracts,
        race_rounds: net.deployment.race_rounds,
        finality: policy("depth=2"),
        start_block: net.deployment.start_block().get(),
        scan_blocks_max,
    };
    ChainReader::new(net.chain.clone(), settings)
}

async fn range(reader: &ChainReader, cursor: &Cursor) -> Option<Range> {
    match reader.look(cursor).await.unwrap() {
        Look::Range(range) => Some(*range),
        Look::Nothing => None,
        Look::Reorged(to) => panic!("unexpected reorg to {to:?}"),
    }
}

/// Reads to the end; every range is at most `scan_blocks_max` long.
async fn read_all(reader: &ChainReader, cursor: &mut Cursor) -> Vec<ChainNews> {
    let mut news = Vec::new();
    while let Some(range) = range(reader, cursor).await {
        cursor.advance(range.to).await.unwrap();
        news.extend(range.events);
    }
    news
}

#[tokio::test(flavor = "multi_thread")]
async fn epochs_and_jobs_are_read_at_final_blocks_and_only_there() {
    let net = Net::start().await;
    check_deployed(&net.chain, &net.deployment.contracts).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut cursor = Cursor::open(folder.path(), CHAIN).unwrap();
    let reader = reader(&net, 5);
    mine(&net.chain, 2).await;

    let news = read_all(&reader, &mut cursor).await;
    let [ChainNews::Epoch { event, keys }] = news.as_slice() else {
        panic!("one epoch, got {news:?}");
    };
    let table = keys.table();
    assert_eq!(table.epoch(), EpochNumber::new(1));
    assert_eq!(table.digest(), TableDigest::from_bytes(keccak256(&table.encode())));
    assert_eq!(table.network().epoch_table, net.deployment.contracts.epoch_table);
    assert_eq!(table.total().get(), STAKES.iter().sum::<u128>() * TOKEN);
    assert_eq!(table.members().len(), 4);
    assert_eq!(event.contract.contract, net.deployment.contracts.epoch_table);
    let parent = net.chain.header(table.snapshot_block()).await.unwrap().unwrap();
    assert_eq!(table.snapshot_hash().as_bytes(), &parent.hash.0);
    assert_eq!(table.snapshot_block().get() + 1, event.block.get());

    let mut requester = Sender::new(net.chain.clone(), account(&net.chain, 90).await);
    let job = net.new_job(7).await;
    let created =
        deploy::create_job(&mut requester, &net.deployment.contracts, &job).await.unwrap();
    let created_at = created.receipt.block_number.unwrap();
    mine(&net.chain, 1).await;
    assert!(read_all(&reader, &mut cursor).await.is_empty(), "one block is not final yet");
    mine(&net.chain, 1).await;
    let news = read_all(&reader, &mut cursor).await;
    let [ChainNews::JobCreated { event, spec }] = news.as_slice() else {
        panic!("one job, got {news:?}");
    };
    assert_eq!(event.block.get(), created_at);
    // One derivation in two languages: the contract's topic is the core's digest of the fields.
    assert_eq!(spec.id(), created.job);
    assert_eq!(**spec, created.spec);
    assert_eq!(spec.requester, requester.address());
    assert_eq!(spec.fee_cap, job.fee_wei);
    // The same request again is the same job and no second event; what was sent twice is credited.
    let contracts = net.deployment.contracts;
    let repeated = deploy::create_job(&mut requester, &contracts, &job).await;
    assert!(matches!(repeated, Err(DeployError::Result { .. })), "{repeated:?}");
    let account = requester.address();
    let credit = deploy::credits(&requester, contracts.task_manager, account).await.unwrap();
    assert_eq!(credit, job.fee_wei);
    let dearer = deploy::NewJob { fee_wei: job.fee_wei + U256::from(1), ..job.clone() };
    let refused = deploy::create_job(&mut requester, &contracts, &dearer).await.unwrap_err();
    assert!(refused.to_string().contains("NonceUsed"), "{refused}");
    mine(&net.chain, 2).await;
    assert!(read_all(&reader, &mut cursor).await.is_empty());
    let escrow = deploy::escrow(&requester, contracts.task_manager, created.job).await.unwrap();
    assert_eq!((escrow.state, U256::from(escrow.fee_wei)), (JobState::Open, job.fee_wei));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_attested_settled_and_paid_by_work_units() {
    let mut net = Net::start().await;
    let contracts = net.deployment.contracts;
    let mut requester = Sender::new(net.chain.clone(), account(&net.chain, 90).await);
    let job = net.new_job(1).await;
    let created = deploy::create_job(&mut requester, &contracts, &job).await.unwrap();
    let opened = opened(&created.spec, PROVERS);
    // Members by stake 40, 30, 20, 10: the first two hold exactly 70 of 100.
    let (batch, certificate) = net.certify(&opened.statement, &[0, 1]).await;
    let table = net.keys().await.table().clone();
    certificate.verify(&table, TrustedEpoch::Digest(table.digest())).unwrap();
    assert_eq!(certificate.non_signers.len(), 2);

    let statement = opened.statement.digest();
    let (index, _) = batch.find(statement).unwrap();
    let path = batch.path(index).unwrap();
    let leaf = LeafPosition { root: batch.root(), count: batch.count(), index, path };
    let registry = contracts.proof_registry;
    let verified = |certainty| {
        let (sender, leaf) = (&requester, &leaf);
        async move {
            let answer = deploy::is_verified(sender, registry, statement, leaf, certainty).await;
            answer.unwrap()
        }
    };
    assert!(!verified(Certainty::Soft).await);
    let receipt = deploy::attest(&mut net.owner, registry, &certificate).await.unwrap();
    assert_eq!(receipt.logs().len(), 1);
    assert!(verified(Certainty::Soft).await);
    assert!(verified(Certainty::Hard).await, "no challenge window in this network");
    let repeated = deploy::attest(&mut net.owner, registry, &certificate).await.unwrap();
    assert!(repeated.status() && repeated.logs().is_empty(), "a repeated attest is a no-op");

    let order = settle_order(&net, &created.spec, opened, &batch, certificate);
    deploy::settle(&mut net.owner, contracts.task_manager, &order).await.unwrap();
    let credit = |account| {
        let sender = &requester;
        async move { deploy::credits(sender, contracts.task_manager, account).await.unwrap() }
    };
    // Four fifths of a fee are the provers', the rest is for who signed and the reserve.
    assert_eq!(credit(PROVERS[0]).await, U256::from(600_000u64));
    assert_eq!(credit(PROVERS[1]).await, U256::from(200_000u64));
    let escrow = deploy::escrow(&requester, contracts.task_manager, created.job).await.unwrap();
    assert_eq!(escrow.state, JobState::Settled);
    let twice = deploy::settle(&mut net.owner, contracts.task_manager, &order).await.unwrap_err();
    assert!(twice.to_string().contains("JobNotOpen"), "{twice}");
}

#[tokio::test(flavor = "multi_thread")]
async fn less_than_two_thirds_is_refused_by_name() {
    let mut net = Net::start().await;
    let statement = support::lone_statement(9);
    let (_, mut certificate) = net.certify(&statement, &[0, 1]).await;
    certificate.non_signers = [0, 1, 2, 3].map(proofgrid_core::ids::MemberIndex::new)[..3].to_vec();
    let registry = net.deployment.contracts.proof_registry;
    let error = deploy::attest(&mut net.owner, registry, &certificate).await.unwrap_err();
    assert!(error.to_string().contains("QuorumNotReached"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_nobody_settled_is_refunded_after_its_deadline_and_the_oracle_says_so() {
    let net = Net::start().await;
    let contracts = net.deployment.contracts;
    let mut requester = Sender::new(net.chain.clone(), account(&net.chain, 90).await);
    let job = net.new_job(1).await;
    let mut poor = Sender::new(net.chain.clone(), support::penniless(91));
    let broke = deploy::create_job(&mut poor, &contracts, &job).await.unwrap_err();
    assert!(broke.to_string().contains("send it some of chain"), "{broke}");
    let created = deploy::create_job(&mut requester, &contracts, &job).await.unwrap();
    let early = deploy::refund(&mut requester, contracts.task_manager, created.job).await;
    let early = early.unwrap_err();
    assert!(
        matches!(&early, DeployError::Send(SendError::WouldRevert { reason, .. })
        if reason.contains("RefundTooEarly")),
        "{early}"
    );
    rpc(&net.chain, "evm_increaseTime", serde_json::json!([3600 + 121])).await;
    mine(&net.chain, 1).await;
    deploy::refund(&mut requester, contracts.task_manager, created.job).await.unwrap();
    let balance = requester.balance_of(requester.address()).await.unwrap();
    let target = Address::from_bytes([0xcc; 20]);
    deploy::withdraw(&mut requester, contracts.task_manager, target).await.unwrap();
    assert_eq!(requester.balance_of(target).await.unwrap(), job.fee_wei);
    assert!(requester.balance_of(requester.address()).await.unwrap() < balance);

    mine(&net.chain, 2).await;
    let folder = tempfile::tempdir().unwrap();
    let mut cursor = Cursor::open(folder.path(), CHAIN).unwrap();
    let news = read_all(&reader(&net, 1000), &mut cursor).await;
    let expired = news
        .iter()
        .any(|news| matches!(news, ChainNews::JobExpired { job, .. } if *job == created.job));
    assert!(expired, "{news:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_the_contract_excludes_are_told_with_all_before_them() {
    let mut net = Net::start().await;
    let epoch_table = net.deployment.contracts.epoch_table;
    let members =
        |indices: &[u16]| -> MemberSet { indices.iter().copied().map(MemberIndex::new).collect() };
    for index in [0, 3] {
        let members = members(&[index]);
        deploy::exclude(&mut net.owner, epoch_table, net.epoch, &members).await.unwrap();
    }
    mine(&net.chain, 2).await;
    let folder = tempfile::tempdir().unwrap();
    let mut cursor = Cursor::open(folder.path(), CHAIN).unwrap();
    let news = read_all(&reader(&net, 1000), &mut cursor).await;
    let [ChainNews::Epoch { .. }, first, second] = news.as_slice() else {
        panic!("an epoch and two exclusions, got {news:?}");
    };
    for (news, expected) in [(first, members(&[0])), (second, members(&[0, 3]))] {
        let ChainNews::MembersExcluded { event, epoch, members } = news else {
            panic!("an exclusion, got {news:?}");
        };
        assert_eq!((*epoch, *members), (net.epoch, expected));
        assert_eq!(event.contract.contract, epoch_table);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorg_walks_the_cursor_back_to_the_last_common_block() {
    let net = Net::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut cursor = Cursor::open(folder.path(), CHAIN).unwrap();
    let reader = reader(&net, 3);
    mine(&net.chain, 2).await;
    read_all(&reader, &mut cursor).await;
    let snapshot = rpc(&net.chain, "evm_snapshot", serde_json::json!([])).await;
    let common = cursor.position().unwrap();

    let mut requester = Sender::new(net.chain.clone(), account(&net.chain, 90).await);
    let job = net.new_job(1).await;
    let contracts = net.deployment.contracts;
    let undone = deploy::create_job(&mut requester, &contracts, &job).await.unwrap();
    mine(&net.chain, 6).await;
    let news = read_all(&reader, &mut cursor).await;
    assert!(
        matches!(news.as_slice(), [ChainNews::JobCreated { spec, .. }] if spec.id() == undone.job)
    );

    // Six and more blocks are replaced: deeper than the policy of two says can happen.
    rpc(&net.chain, "evm_revert", serde_json::json!([snapshot])).await;
    let key = account(&net.chain, 91).await;
    let mut other = Sender::new(net.chain.clone(), key);
    let replaced = deploy::create_job(&mut other, &contracts, &job).await.unwrap();
    mine(&net.chain, 8).await;
    let Look::Reorged(Some(to)) = reader.look(&cursor).await.unwrap() else {
        panic!("the reorg is seen");
    };
    assert_eq!(to, common);
    cursor.walk_back(Some(to)).await.unwrap();
    let news = read_all(&reader, &mut cursor).await;
    let [ChainNews::JobCreated { spec, .. }] = news.as_slice() else {
        panic!("the job of the new chain, got {news:?}");
    };
    assert_eq!(spec.id(), replaced.job);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_came_back_shorter_with_other_blocks_is_told_from_one_that_is_behind() {
    let net = Net::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut cursor = Cursor::open(folder.path(), CHAIN).unwrap();
    let reader = reader(&net, 1);
    mine(&net.chain, 2).await;
    let snapshot = rpc(&net.chain, "evm_snapshot", serde_json::json!([])).await;
    read_all(&reader, &mut cursor).await;
    let common = cursor.position().unwrap();
    mine(&net.chain, 20).await;
    read_all(&reader, &mut cursor).await;
    assert_eq!(cursor.position().unwrap().number.get(), common.number.get() + 20);

    rpc(&net.chain, "evm_revert", serde_json::json!([snapshot])).await;
    assert!(matches!(reader.look(&cursor).await.unwrap(), Look::Nothing), "it may be behind");
    // Later than before: other blocks at the heights that were read.
    rpc(&net.chain, "evm_increaseTime", serde_json::json!([1000])).await;
    mine(&net.chain, 6).await;
    let Look::Reorged(Some(to)) = reader.look(&cursor).await.unwrap() else {
        panic!("the other blocks are seen before the chain has caught up");
    };
    assert!(to.number.get() <= common.number.get() + 2, "{to:?} after {common:?}");
    cursor.walk_back(Some(to)).await.unwrap();
    assert!(range(&reader, &cursor).await.is_some(), "and it is read again");
}

#[tokio::test(flavor = "multi_thread")]
async fn verifiers_read_epochs_and_manifests_from_the_final_chain() {
    let net =
        Net::start_with(&["--slots-in-an-epoch", "2"], deploy::DeployConfig::development()).await;
    let contracts = net.deployment.contracts;
    let view = ChainViewClient::new(net.chain.clone(), contracts, policy("finalized"));
    mine(&net.chain, 8).await;
    assert_eq!(view.current_epoch().await.unwrap(), Some(net.epoch));
    let table = view.epoch_table(net.epoch).await.unwrap();
    assert_eq!(table, *net.keys().await.table());
    assert_eq!(view.manifest(PROGRAM).await.unwrap(), MANIFEST);
    let unknown = view.epoch_table(EpochNumber::new(9)).await.unwrap_err();
    assert!(matches!(unknown, ViewError::UnknownEpoch(_)), "{unknown}");
    let other = proofgrid_core::ids::ProgramId::from_bytes([1; 32]);
    let unknown = view.manifest(other).await.unwrap_err();
    assert!(matches!(unknown, ViewError::UnknownProgram(_)), "{unknown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_is_set_up_within_a_few_blocks_of_a_node_that_mines_by_the_clock() {
    let arguments = ["--block-time", "1", "--slots-in-an-epoch", "2", "--gas-limit", "500000000"];
    let net = Net::start_with(&arguments, deploy::DeployConfig::development()).await;
    let blocks = &net.deployment.blocks;
    assert_eq!(blocks.len(), 22, "{blocks:?}");
    let (first, last) = (net.deployment.start_block(), blocks.values().max().unwrap());
    // Creations do not wait for each other.
    assert!(last.get() - first.get() <= 2, "{blocks:?}");
    let folder = tempfile::tempdir().unwrap();
    let mut cursor = Cursor::open(folder.path(), CHAIN).unwrap();
    mine(&net.chain, 8).await;
    let settings = ReadSettings {
        contracts: net.deployment.contracts,
        race_rounds: net.deployment.race_rounds,
        finality: policy("finalized"),
        start_block: first.get(),
        scan_blocks_max: 1000,
    };
    let reader = ChainReader::new(net.chain.clone(), settings);
    let news = read_all(&reader, &mut cursor).await;
    assert!(matches!(news.as_slice(), [ChainNews::Epoch { .. }]), "{news:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_fail_over_are_checked_for_their_chain_and_must_agree() {
    let first = Anvil::start(&[]);
    let dead = "http://127.0.0.1:9".to_owned();
    let chain = Chain::new(&rpc_settings(vec![dead, first.url.clone()])).unwrap();
    assert_eq!(chain.latest().await.unwrap().number, 0);

    let foreign = Anvil::start(&["--chain-id", "5"]);
    let chain = Chain::new(&rpc_settings(vec![foreign.url.clone()])).unwrap();
    let error = chain.latest().await.unwrap_err();
    assert!(matches!(error, RpcError::WrongChain { got: 5, .. }), "{error}");
    let chain = Chain::new(&rpc_settings(vec![foreign.url.clone(), first.url.clone()])).unwrap();
    chain.latest().await.unwrap();

    let second = Anvil::start(&["--timestamp", "1700000000"]);
    let chain = Chain::new(&rpc_settings(vec![first.url.clone(), second.url.clone()])).unwrap();
    mine(&first.chain(), 3).await;
    mine(&second.chain(), 3).await;
    let error = chain.final_head(policy("depth=1")).await.unwrap_err();
    assert!(matches!(error, RpcError::Disagreement { .. }), "{error}");
    assert!(error.is_transient());
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_contracts_are_refused_at_the_start() {
    let net = Net::start().await;
    let mut contracts = net.deployment.contracts;
    contracts.epoch_table = Address::from_bytes([7; 20]);
    let error = check_deployed(&net.chain, &contracts).await.unwrap_err();
    assert!(error.to_string().contains("another EpochTable"), "{error}");
    let code = net.chain.code(evm(net.deployment.core.token), BlockId::latest()).await.unwrap();
    assert!(!code.is_empty());
    assert!(net.chain.header(BlockNumber::new(1_000_000)).await.unwrap().is_none());
}
