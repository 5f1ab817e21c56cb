// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IProofRegistry} from "../interfaces/IProofRegistry.sol";
import {ITaskManager} from "../interfaces/ITaskManager.sol";
import {JobId, StatementDigest} from "../types/Ids.sol";
import {BatchLeaf, Statement} from "../types/Protocol.sol";
import {Digests} from "./Digests.sol";
import {MerkleTree} from "./MerkleTree.sol";

/// @title The statement that a settlement claims for a job
/// @notice Job, program and claim are the job's own, so a statement about anything else has another
/// digest. The one place that recomputes it, for settling, for penalties and for races.
library Statements {
    /// @notice The statement's digest and the sum of its work. Refuses records that are missing,
    /// too many, out of order, of nobody or of no work, and manifests that are not accepted.
    function digestOf(
        IProofRegistry registry,
        JobId jobId,
        ITaskManager.JobRecord memory job,
        ITaskManager.Settlement calldata s
    ) internal view returns (StatementDigest statement, uint256 workUnits) {
        uint256 count = s.records.length;
        if (count == 0 || count > job.maxSegments) {
            revert ITaskManager.RecordCountOutOfRange(count, job.maxSegments);
        }
        if (!registry.isManifestAccepted(job.programId, s.manifest)) {
            revert ITaskManager.ManifestNotAccepted(job.programId, s.manifest);
        }
        bytes32[] memory leaves = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            if (s.records[i].index != i) {
                revert ITaskManager.RecordOutOfOrder(i, s.records[i].index);
            }
            if (s.records[i].prover == address(0) || s.records[i].workUnits == 0) {
                revert ITaskManager.RecordUnpayable(s.records[i].index);
            }
            workUnits += s.records[i].workUnits;
            leaves[i] = Digests.segmentLeaf(s.records[i]);
        }
        statement = Digests.statementDigest(
            Statement({
                job: jobId,
                statementAttempt: s.statementAttempt,
                programId: job.programId,
                manifest: s.manifest,
                claim: job.claim,
                // casting to 'uint32' is safe because count is at most the job's 32-bit limit
                // forge-lint: disable-next-line(unsafe-typecast)
                numSegments: uint32(count),
                segmentsRoot: MerkleTree.rootOf(leaves)
            })
        );
    }

    /// @notice The attested batch that names the statement's payees and signers. A statement may be
    /// hard without one, because the chain judged its proof; but a proof does not say whose it is.
    function certifiedBy(
        IProofRegistry registry,
        StatementDigest statement,
        BatchLeaf calldata leaf
    ) internal view returns (IProofRegistry.BatchStatus memory status) {
        status = registry.statusOf(leaf.root, leaf.count);
        if (status.attestedAt == 0) revert ITaskManager.StatementUncertified(statement);
    }

    /// @notice When an attested statement is hard at the earliest: after its batch's window, and
    /// not while it is contested.
    function hardAt(IProofRegistry registry, StatementDigest statement, BatchLeaf calldata leaf)
        internal
        view
        returns (uint256)
    {
        uint256 batch = registry.statusOf(leaf.root, leaf.count).hardAt;
        uint256 contested = registry.contestedUntil(statement);
        return contested > batch ? contested : batch;
    }

    /// @notice Whether every record is this prover's: only then is the statement its word alone.
    function isBy(ITaskManager.Settlement calldata s, address prover) internal pure returns (bool) {
        for (uint256 i = 0; i < s.records.length; ++i) {
            if (s.records[i].prover != prover) return false;
        }
        return true;
    }
}
