// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {OperatorSet} from "../interfaces/eigenlayer/IAllocationManager.sol";
import {IAllocationReads, IDelegationReads} from "../interfaces/eigenlayer/ICoreReads.sol";
import {IStrategy} from "../interfaces/eigenlayer/IStrategy.sol";
import {DataContract} from "./DataContract.sol";

/// @title The least slashable shares of many members of a set
/// @notice What the core's `getMinimumSlashableStake` answers for members of the set, from the
/// core's parts: three questions for all operators instead of one that asks again for each whether
/// it is a member, at three quarters of the gas. A test holds it to the core's own answer.
/// @dev WARNING: for members only. Of others the core's own answer is zero, or foresees nothing.
/// Questions and answers stay bytes: decoding them into arrays of arrays would cost a sixth more.
library SlashableStake {
    using DataContract for bytes;

    /// @dev One, in the core's fixed-point numbers.
    uint256 private constant WAD = 1e18;
    /// @dev In front of an answer's items: where they are and how many.
    uint256 private constant ITEMS_OFFSET = 64;

    /// @dev Where to ask.
    struct Source {
        IAllocationReads allocations;
        IDelegationReads delegation;
    }

    /// @notice The core answered for another number of operators than it was asked for.
    error CoreAnswerMalformed(uint256 expectedBytes, uint256 gotBytes);

    /// @notice Shares of `strategy` that each operator puts at risk for the set and that cannot fall
    /// up to `futureBlock` except by slashing; in the order of `operators`.
    function minimumShares(
        Source memory source,
        OperatorSet memory set,
        address[] calldata operators,
        IStrategy strategy,
        uint32 futureBlock
    ) internal view returns (uint256[] memory slashable) {
        bytes memory shares = _shares(source, operators, strategy);
        bytes memory magnitudes = _magnitudes(source, operators, strategy);
        bytes memory allocations = _allocations(source, set, operators, strategy);
        slashable = new uint256[](operators.length);
        // Offsets are bounded by the answers' lengths, which are checked. In front of the shares
        // stands one offset per operator; each operator's list is its length and one item.
        uint256 shareOffset = ITEMS_OFFSET + 32 * operators.length + 32;
        unchecked {
            for (uint256 i = 0; i < operators.length; ++i) {
                uint256 magnitude = magnitudes.wordAt(ITEMS_OFFSET + 32 * i);
                // Slashed to nothing: no part is left to be a part of.
                if (magnitude == 0) continue;
                uint256 part = _least(allocations, i, futureBlock) * WAD / magnitude;
                uint256 share = shares.wordAt(shareOffset + 64 * i);
                // A part is at most 1e18: below 60 bits.
                slashable[i] =
                    share <= type(uint128).max ? share * part / WAD : Math.mulDiv(share, part, WAD);
            }
        }
    }

    /// @dev What is allocated now and still is in that block: a fall that is ordered counts, a rise
    /// does not.
    function _least(bytes memory allocations, uint256 index, uint32 futureBlock)
        private
        pure
        returns (uint256)
    {
        unchecked {
            uint256 offset = ITEMS_OFFSET + 96 * index;
            int256 magnitude = int256(allocations.wordAt(offset));
            int256 pending = int256(allocations.wordAt(offset + 32));
            if (pending < 0 && allocations.wordAt(offset + 64) <= futureBlock) {
                magnitude += pending;
            }
            // The core never orders a fall below zero.
            return magnitude < 0 ? 0 : uint256(magnitude);
        }
    }

    function _shares(Source memory source, address[] calldata operators, IStrategy strategy)
        private
        view
        returns (bytes memory)
    {
        bytes4 selector = IDelegationReads.getOperatorsShares.selector;
        uint256 count = operators.length;
        bytes memory head = abi.encodeWithSelector(selector, 64, 96 + 32 * count, count);
        bytes memory question = _join(head, operators, abi.encode(1, strategy));
        return _ask(address(source.delegation), question, 96 * count);
    }

    function _magnitudes(Source memory source, address[] calldata operators, IStrategy strategy)
        private
        view
        returns (bytes memory)
    {
        // There are two of this name.
        bytes4 selector = bytes4(keccak256("getMaxMagnitudes(address[],address)"));
        bytes memory head = abi.encodeWithSelector(selector, 64, strategy, operators.length);
        bytes memory question = _join(head, operators, "");
        return _ask(address(source.allocations), question, 32 * operators.length);
    }

    function _allocations(
        Source memory source,
        OperatorSet memory set,
        address[] calldata operators,
        IStrategy strategy
    ) private view returns (bytes memory) {
        bytes4 selector = IAllocationReads.getAllocations.selector;
        bytes memory head = abi.encodeWithSelector(selector, 128, set, strategy, operators.length);
        bytes memory question = _join(head, operators, "");
        return _ask(address(source.allocations), question, 96 * operators.length);
    }

    /// @dev `head`, the operators as words, `tail`.
    function _join(bytes memory head, address[] calldata operators, bytes memory tail)
        private
        pure
        returns (bytes memory question)
    {
        uint256 listBytes = 32 * operators.length;
        question = new bytes(head.length + listBytes + tail.length);
        assembly ("memory-safe") {
            let to := add(question, 32)
            mcopy(to, add(head, 32), mload(head))
            to := add(to, mload(head))
            calldatacopy(to, operators.offset, listBytes)
            mcopy(add(to, listBytes), add(tail, 32), mload(tail))
        }
    }

    /// @dev The core's answer, whose items have `itemsBytes` together; its refusal is passed on.
    function _ask(address target, bytes memory question, uint256 itemsBytes)
        private
        view
        returns (bytes memory answer)
    {
        bool ok;
        (ok, answer) = target.staticcall(question);
        if (!ok) {
            assembly ("memory-safe") {
                revert(add(answer, 32), mload(answer))
            }
        }
        uint256 expected = ITEMS_OFFSET + itemsBytes;
        if (answer.length != expected) revert CoreAnswerMalformed(expected, answer.length);
    }
}
