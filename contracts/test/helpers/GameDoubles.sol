// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IAvsManager} from "../../src/interfaces/IAvsManager.sol";
import {IProofVerifier} from "../../src/interfaces/IProofVerifier.sol";
import {IRefutationVerifier} from "../../src/interfaces/IRefutationVerifier.sol";
import {IReserve} from "../../src/interfaces/IReserve.sol";
import {ManifestDigest, ProgramId} from "../../src/types/Ids.sol";

/// @title A restaking core of one number per operator
contract AvsManagerDouble is IAvsManager {
    address public court;
    mapping(address operator => uint128 stake) public stakeOf;
    mapping(address operator => uint256 times) public slashes;

    event Slashed(address indexed operator, uint256 wad, string description);

    error NotCourt(address caller);
    error WadInvalid(uint256 wad);

    function setCourt(address court_) external {
        court = court_;
    }

    function setStake(address operator, uint128 stake) external {
        stakeOf[operator] = stake;
    }

    function slash(address operator, uint32 set, uint256 wad, string calldata description)
        external
    {
        if (msg.sender != court) revert NotCourt(msg.sender);
        if (set != 0 || wad == 0 || wad > 1e18) revert WadInvalid(wad);
        stakeOf[operator] -= uint128(uint256(stakeOf[operator]) * wad / 1e18);
        ++slashes[operator];
        emit Slashed(operator, wad, description);
    }

    function slashableStakes(address[] calldata operators, uint32)
        external
        view
        returns (uint128[] memory stakes)
    {
        stakes = new uint128[](operators.length);
        for (uint256 i = 0; i < operators.length; ++i) {
            stakes[i] = stakeOf[operators[i]];
        }
    }

    function rewardOperators(
        IERC20,
        address[] calldata,
        uint256[] calldata,
        uint32,
        uint32,
        string calldata
    ) external {}

    function removeOperator(address operator, uint32 set) external {}

    function deallocationDelayBlocks() external pure returns (uint32) {
        return 15_000;
    }

    function withdrawalDelayBlocks() external pure returns (uint32) {
        return 15_000;
    }
}

/// @title A reserve that only takes
contract ReserveDouble is IReserve {
    function fundReserve() external payable {}
}

/// @title A judge that takes exactly the bytes that begin with "valid", or misbehaves
contract JudgeDouble is IProofVerifier, IRefutationVerifier {
    enum Mode {
        Judges,
        Reverts,
        BurnsAllGas,
        AnswersTwo,
        AnswersNothing,
        AnswersMegabytes,
        IsGreedy
    }

    uint256 public constant GAS = 60_000;
    /// @dev At most this is used up before an answer begins.
    uint256 private constant DECODING_GAS = 10_000;
    Mode public mode;
    /// @dev Gas that an honest answer uses up, for measuring.
    uint256 public work;

    error Failed();

    function set(Mode mode_) external {
        mode = mode_;
    }

    function setWork(uint256 work_) external {
        work = work_;
    }

    function verify(ProgramId, bytes32, bytes32, bytes32, bytes calldata envelope)
        external
        view
        returns (bool)
    {
        return _answer(envelope);
    }

    function refutes(
        ProgramId,
        ManifestDigest,
        bytes32,
        bytes32,
        bytes32,
        bytes32,
        bytes calldata refutation
    ) external view returns (bool) {
        return _answer(refutation);
    }

    function gasNeeded(bytes calldata)
        external
        view
        override(IProofVerifier, IRefutationVerifier)
        returns (uint256)
    {
        return mode == Mode.IsGreedy ? type(uint256).max : GAS + work;
    }

    function _answer(bytes calldata shown) private view returns (bool) {
        uint256 gasAtStart = gasleft();
        if (mode == Mode.Reverts) revert Failed();
        if (mode == Mode.BurnsAllGas) {
            assembly {
                invalid()
            }
        }
        if (mode == Mode.AnswersTwo) {
            assembly {
                mstore(0, 2)
                return(0, 32)
            }
        }
        if (mode == Mode.AnswersNothing) {
            assembly {
                return(0, 0)
            }
        }
        if (mode == Mode.AnswersMegabytes) {
            assembly {
                return(0, 10000)
            }
        }
        // Like a pairing that runs out of gas: what is short of it looks refused.
        if (gasAtStart + DECODING_GAS < GAS + work) return false;
        while (gasAtStart - gasleft() < work) {}
        return shown.length >= 5 && bytes5(shown[:5]) == "valid";
    }
}
