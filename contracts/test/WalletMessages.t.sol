// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {Digests} from "../src/libraries/Digests.sol";
import {WalletMessages} from "../src/libraries/WalletMessages.sol";
import {JobId} from "../src/types/Ids.sol";
import {VectorFile} from "./helpers/VectorFile.sol";

/// @title The Rust core's wallets sign what these contracts check
contract WalletMessagesTest is VectorFile {
    /// @dev The core's message is about segment 0 of its first job, that job's input and deadline,
    /// and 12345 wei.
    function test_LeaseAcceptance_IsTheCoresVector() external {
        open("digests.json");
        string memory key = _leaseAccept();
        JobId job = JobId.wrap(wordAt(".jobs[0].jobId"));
        bytes32 digest = WalletMessages.leaseAcceptDigest(
            uintAt(string.concat(key, ".chainId")),
            addressAt(string.concat(key, ".contract")),
            job,
            Digests.taskId(job, 1, 0),
            wordAt(".jobs[0].inputDigest"),
            uint64(uintAt(".jobs[0].deadline")),
            12_345
        );
        assertEq(digest, wordAt(string.concat(key, ".digest")), "digest");
        address signer = ECDSA.recover(digest, bytesAt(string.concat(key, ".signature")));
        assertEq(signer, addressAt(string.concat(key, ".signer")), "signer");
        assertEq(WalletMessages.LEASE_ACCEPT_TAG, wordAt(string.concat(key, ".tag")), "tag");
    }

    function _leaseAccept() private view returns (string memory key) {
        for (uint256 i = 0; i < lengthOf(".wallet"); ++i) {
            key = item(".wallet", i, "");
            if (wordAt(string.concat(key, ".tag")) == WalletMessages.LEASE_ACCEPT_TAG) return key;
        }
        assertTrue(false, "no lease acceptance among the vectors");
    }
}
