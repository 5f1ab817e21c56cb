// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Bytes as the code of a contract that does nothing
/// @notice A word read from code costs a fiftieth of a word read from storage. The code is one STOP
/// byte and then the data, so nobody can run it.
library DataContract {
    /// @dev EIP-170's limit without the STOP byte.
    uint256 internal constant BYTES_MAX = 24_575;
    /// @dev Where the data starts in the code.
    uint256 internal constant CODE_OFFSET = 1;

    /// @notice The data contract could not be created.
    error DataNotStored(uint256 dataBytes);

    /// @notice Creates the contract whose code is STOP and then `data`.
    function store(bytes memory data) internal returns (address pointer) {
        if (data.length > BYTES_MAX) revert DataNotStored(data.length);
        // casting to 'uint16' is safe because the code is at most 24576 bytes
        // forge-lint: disable-next-line(unsafe-typecast)
        uint16 codeBytes = uint16(data.length + CODE_OFFSET);
        // PUSH2 size DUP1 PUSH1 10 RETURNDATASIZE CODECOPY RETURNDATASIZE RETURN, then the code.
        bytes memory init = abi.encodePacked(hex"61", codeBytes, hex"80600a3d393df3", hex"00", data);
        assembly ("memory-safe") {
            pointer := create(0, add(init, 32), mload(init))
        }
        if (pointer == address(0)) revert DataNotStored(data.length);
    }

    /// @notice All data of a contract that `store` created.
    function read(address pointer) internal view returns (bytes memory data) {
        return read(pointer, 0, pointer.code.length - CODE_OFFSET);
    }

    /// @notice `length` bytes from `offset` on; zeros beyond the end.
    function read(address pointer, uint256 offset, uint256 length)
        internal
        view
        returns (bytes memory data)
    {
        data = new bytes(length);
        assembly ("memory-safe") {
            extcodecopy(pointer, add(data, 32), add(offset, CODE_OFFSET), length)
        }
    }

    /// @notice The 32 bytes from `offset` on. What lies behind the end of the data is not zero:
    /// callers shift it out.
    function wordAt(bytes memory data, uint256 offset) internal pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(add(add(data, 32), offset))
        }
    }
}
