// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {JobId} from "../types/Ids.sol";

/// @title What wallets sign and a contract checks (docs/protocol.md section 2)
/// @notice EIP-712 with one rule of our own: the domain's salt is the type tag, so the domain
/// separator carries tag, chain and contract.
library WalletMessages {
    bytes32 internal constant LEASE_ACCEPT_TAG = keccak256("PROOFGRID_LEASE_ACCEPT_V1");
    bytes32 internal constant DOMAIN_TYPEHASH = keccak256(
        "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)"
    );
    bytes32 internal constant LEASE_ACCEPT_TYPEHASH = keccak256(
        "LeaseAccept(bytes32 job,bytes32 task,bytes32 inputDigest,uint64 deadline,uint256 amount)"
    );
    bytes32 private constant NAME_DIGEST = keccak256("Proofgrid");
    bytes32 private constant VERSION_DIGEST = keccak256("1");

    /// @notice What a prover signs to accept a lease. It names no prover: whose it is, is whose
    /// signature it bears.
    function leaseAcceptDigest(
        uint256 chainId,
        address taskManager,
        JobId job,
        bytes32 task,
        bytes32 inputDigest,
        uint64 deadline,
        uint256 amount
    ) internal pure returns (bytes32) {
        bytes32 separator = keccak256(
            abi.encode(
                DOMAIN_TYPEHASH, NAME_DIGEST, VERSION_DIGEST, chainId, taskManager, LEASE_ACCEPT_TAG
            )
        );
        bytes32 content =
            keccak256(abi.encode(LEASE_ACCEPT_TYPEHASH, job, task, inputDigest, deadline, amount));
        return keccak256(abi.encodePacked(hex"1901", separator, content));
    }
}
