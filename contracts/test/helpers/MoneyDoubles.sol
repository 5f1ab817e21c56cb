// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IEpochTable} from "../../src/interfaces/IEpochTable.sol";
import {IProofRegistry} from "../../src/interfaces/IProofRegistry.sol";
import {EpochTableBytes} from "../../src/libraries/EpochTableBytes.sol";
import {BatchRoot, ManifestDigest, ProgramId, StatementDigest} from "../../src/types/Ids.sol";
import {BatchLeaf} from "../../src/types/Protocol.sol";

/// @title Epochs whose tables the test writes itself
contract EpochDouble {
    uint64 public currentEpoch;
    uint64 public homeChain = uint64(block.chainid);
    uint64 public blockSeconds = 12;
    mapping(uint64 epoch => bytes table) private _tables;
    mapping(uint64 epoch => uint64 at) private _createdAt;
    mapping(uint64 epoch => uint256 mask) private _excluded;

    function snapshot(address[] calldata operators, uint128[] calldata stakes) external {
        uint64 epoch = ++currentEpoch;
        bytes memory table = new bytes(162);
        for (uint256 i = 0; i < operators.length; ++i) {
            table = abi.encodePacked(table, operators[i], new bytes(64), stakes[i]);
        }
        _tables[epoch] = table;
        _createdAt[epoch] = uint64(block.timestamp);
    }

    function exclude(uint64 epoch, uint256 mask) external {
        _excluded[epoch] |= mask;
    }

    function setBlockSeconds(uint64 seconds_) external {
        blockSeconds = seconds_;
    }

    function tableOf(uint64 epoch) external view returns (bytes memory) {
        return _tables[epoch];
    }

    function tableAt(uint64 epoch) external view returns (address, bytes32, uint256) {
        return (address(0), keccak256(_tables[epoch]), _excluded[epoch]);
    }

    function epochInfo(uint64 epoch)
        external
        view
        returns (EpochTableBytes.Header memory header, uint64 createdAt)
    {
        (header.epoch, createdAt) = (epoch, _createdAt[epoch]);
    }

    function params() external view returns (IEpochTable.EpochParams memory p) {
        p.blockSeconds = blockSeconds;
    }
}

/// @title A registry that attests what the test says; every statement is a batch of its own
contract RegistryDouble {
    EpochDouble public immutable epochTable = new EpochDouble();
    uint64 public challengeSeconds;
    mapping(StatementDigest statement => bool disputed) public isDisputed;
    mapping(StatementDigest statement => bool proved) public isProved;
    mapping(StatementDigest statement => uint64 until) public contestedUntil;
    mapping(BatchRoot root => IProofRegistry.BatchStatus status) private _batches;
    mapping(ManifestDigest manifest => bool stopped) private _stopped;
    ManifestDigest private immutable _manifest;

    constructor(uint64 challengeSeconds_, ManifestDigest manifest_) {
        (challengeSeconds, _manifest) = (challengeSeconds_, manifest_);
    }

    /// @dev As `attest`: the first word stays; returns whether it was one.
    function attest(BatchRoot root, uint64 epoch, uint256 nonSigners) external returns (bool) {
        IProofRegistry.BatchStatus storage status = _batches[root];
        if (status.attestedAt != 0) return false;
        (status.epoch, status.nonSigners) = (epoch, nonSigners);
        status.attestedAt = uint64(block.timestamp);
        status.hardAt = status.attestedAt + challengeSeconds;
        return true;
    }

    /// @dev The chain judged the proof; whether a batch is attested does not matter any more.
    function prove(StatementDigest statement) external {
        isProved[statement] = true;
    }

    function dispute(StatementDigest statement) external {
        isDisputed[statement] = true;
    }

    function contest(StatementDigest statement, uint64 until) external {
        contestedUntil[statement] = until;
    }

    function stop(ManifestDigest manifest) external {
        _stopped[manifest] = true;
    }

    function leafFinality(StatementDigest statement, uint8 verdict, BatchLeaf calldata leaf)
        external
        view
        returns (IProofRegistry.Finality)
    {
        bytes32 own = keccak256(abi.encodePacked(bytes1(0x00), statement, verdict));
        IProofRegistry.BatchStatus memory status = statusOf(leaf.root, leaf.count);
        if (BatchRoot.unwrap(leaf.root) != own) return IProofRegistry.Finality.Unknown;
        if (isProved[statement] && verdict == 1) return IProofRegistry.Finality.Hard;
        if (status.attestedAt == 0) return IProofRegistry.Finality.Unknown;
        if (isDisputed[statement]) return IProofRegistry.Finality.Disputed;
        if (verdict == 1 && block.timestamp < contestedUntil[statement]) {
            return IProofRegistry.Finality.Soft;
        }
        return status.finality;
    }

    function statusOf(BatchRoot root, uint32)
        public
        view
        returns (IProofRegistry.BatchStatus memory status)
    {
        status = _batches[root];
        if (status.attestedAt == 0) return status;
        status.finality = block.timestamp < status.hardAt
            ? IProofRegistry.Finality.Soft
            : IProofRegistry.Finality.Hard;
    }

    function programs(ProgramId) external view returns (IProofRegistry.Program memory) {
        return IProofRegistry.Program(_manifest, 1);
    }

    function isManifestAccepted(ProgramId, ManifestDigest manifest) external view returns (bool) {
        return manifest == _manifest && !_stopped[manifest];
    }
}

/// @title The restaking core as far as money sees it
contract AvsDouble {
    uint32 public deallocationDelayBlocks = 1000;
    /// @dev How much less is pulled than was said; a sound manager pulls all.
    uint256 public pullsLess;
    IERC20 public token;
    uint32 public startTimestamp;
    uint32 public duration;
    address[] public operators;
    uint256[] public amounts;
    uint256 public submissions;
    mapping(uint32 set => mapping(address operator => uint128 stake)) private _stakes;

    function setStake(uint32 set, address operator, uint128 stake) external {
        _stakes[set][operator] = stake;
    }

    function setPullsLess(uint256 amount) external {
        pullsLess = amount;
    }

    function setDelay(uint32 blocks) external {
        deallocationDelayBlocks = blocks;
    }

    function slashableStakesOf(uint32 set, address[] calldata asked, uint32)
        external
        view
        returns (uint128[] memory stakes)
    {
        stakes = new uint128[](asked.length);
        for (uint256 i = 0; i < asked.length; ++i) {
            stakes[i] = _stakes[set][asked[i]];
        }
    }

    function rewardOperators(
        IERC20 token_,
        address[] calldata operators_,
        uint256[] calldata amounts_,
        uint32 startTimestamp_,
        uint32 duration_,
        string calldata
    ) external {
        (token, operators, amounts) = (token_, operators_, amounts_);
        (startTimestamp, duration) = (startTimestamp_, duration_);
        ++submissions;
        uint256 total = 0;
        for (uint256 i = 0; i < amounts_.length; ++i) {
            total += amounts_[i];
        }
        require(token_.transferFrom(msg.sender, address(this), total - pullsLess));
    }

    function numOperators() external view returns (uint256) {
        return operators.length;
    }
}
