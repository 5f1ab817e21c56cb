// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @dev A point of G1, affine; the identity is (0, 0) and is refused as key and as signature.
struct G1Point {
    uint256 x;
    uint256 y;
}

/// @dev A point of G2, affine, in the precompile's order: imaginary part first.
struct G2Point {
    uint256 x1;
    uint256 x0;
    uint256 y1;
    uint256 y0;
}

/// @title BN254 for BLS signatures in G1, over the EVM's precompiles
/// @notice Specified in docs/protocol.md section 2. Refuses the identity, points off the curve, G2
/// points outside the subgroup and coordinates that are not reduced.
library Bn254 {
    /// @dev Field modulus.
    uint256 internal constant P =
        21888242871839275222246405745257275088696311157297823662689037894645226208583;
    /// @dev Group order.
    uint256 internal constant R =
        21888242871839275222246405745257275088548364400416034343698204186575808495617;
    /// @dev (P + 1) / 4: the exponent of a square root, as P = 3 mod 4.
    uint256 internal constant SQRT_EXPONENT = (P + 1) / 4;
    /// @dev Tries of the map to the curve; each fails with probability 1/2, so 256 never all do.
    uint256 internal constant HASH_TO_CURVE_TRIES_MAX = 256;

    /// @dev The negated generator of G2.
    uint256 private constant NEG_G2_X1 =
        11559732032986387107991004021392285783925812861821192530917403151452391805634;
    uint256 private constant NEG_G2_X0 =
        10857046999023057135944570762232829481370756359578518086990519993285655852781;
    uint256 private constant NEG_G2_Y1 =
        17805874995975841540914202342111839520379459829704422454583296818431106115052;
    uint256 private constant NEG_G2_Y0 =
        13392588948715843804641432497768002650278120570034223513918757245338268106653;

    /// @notice A coordinate is not below the field modulus.
    error CoordinateNotReduced(uint256 coordinate);
    /// @notice The point does not lie on the curve.
    error PointOffCurve(uint256 x, uint256 y);
    /// @notice The identity is no key and no signature.
    error PointIsIdentity();
    /// @notice No try of the map to the curve hit a square.
    error HashToCurveExhausted(bytes32 message);
    /// @notice A precompile refused its input or ran out of gas.
    error PrecompileFailed(uint256 precompile);

    /// @notice Refuses everything but a reduced point of the curve other than the identity.
    function requireG1(G1Point memory point) internal pure {
        (uint256 x, uint256 y) = (point.x, point.y);
        if (x >= P) revert CoordinateNotReduced(x);
        if (y >= P) revert CoordinateNotReduced(y);
        if (x == 0 && y == 0) revert PointIsIdentity();
        if (mulmod(y, y, P) != _curve(x)) revert PointOffCurve(x, y);
    }

    /// @notice Refuses unreduced coordinates and the identity. Curve and subgroup are checked by
    /// the pairing precompile, without which no key is ever used.
    function requireG2(G2Point memory point) internal pure {
        if (point.x1 >= P) revert CoordinateNotReduced(point.x1);
        if (point.x0 >= P) revert CoordinateNotReduced(point.x0);
        if (point.y1 >= P) revert CoordinateNotReduced(point.y1);
        if (point.y0 >= P) revert CoordinateNotReduced(point.y0);
        if (isZero(point)) revert PointIsIdentity();
    }

    /// @notice Sum of two points; the identity is allowed here.
    function add(G1Point memory a, G1Point memory b) internal view returns (G1Point memory sum) {
        sum = G1Point(a.x, a.y);
        addTo(sum, b);
    }

    /// @notice Adds `point` to `sum` in place; the identity is allowed here.
    function addTo(G1Point memory sum, G1Point memory point) internal view {
        bool ok;
        assembly ("memory-safe") {
            let m := mload(0x40)
            mcopy(m, sum, 64)
            mcopy(add(m, 64), point, 64)
            ok := staticcall(gas(), 6, m, 128, sum, 64)
        }
        if (!ok) revert PrecompileFailed(6);
    }

    /// @notice `scalar` times a point.
    function mul(G1Point memory point, uint256 scalar)
        internal
        view
        returns (G1Point memory product)
    {
        bool ok;
        assembly ("memory-safe") {
            let m := mload(0x40)
            mcopy(m, point, 64)
            mstore(add(m, 64), scalar)
            ok := staticcall(gas(), 7, m, 96, product, 64)
        }
        if (!ok) revert PrecompileFailed(7);
    }

    /// @notice The inverse of a reduced point.
    function negate(G1Point memory point) internal pure returns (G1Point memory) {
        return G1Point(point.x, point.y == 0 ? 0 : P - point.y);
    }

    /// @notice Try-and-increment: the first `x` from `message mod P` on whose curve value is a
    /// square, with the root `(x^3 + 3)^((P + 1) / 4)` taken as it is.
    function hashToG1(bytes32 message) internal view returns (G1Point memory) {
        uint256 x = uint256(message) % P;
        for (uint256 i = 0; i < HASH_TO_CURVE_TRIES_MAX; ++i) {
            uint256 square = _curve(x);
            uint256 y = _rootCandidate(square);
            if (mulmod(y, y, P) == square) return G1Point(x, y);
            x = addmod(x, 1, P);
        }
        revert HashToCurveExhausted(message);
    }

    /// @notice Whether `signature` on `message` verifies under one key given in both groups, and
    /// whether the two forms are the same key, in one pairing check:
    /// `e(sig + g * key1, -G2) * e(H(message) + g * G1, key2) == 1` with `g` bound to all of them.
    /// @dev Reverts on a malformed signature, G1 key or G2 coordinate; a G2 point off the curve or
    /// outside the subgroup makes it false.
    function verify(
        bytes32 message,
        G1Point memory signature,
        G1Point memory key1,
        G2Point memory key2
    ) internal view returns (bool) {
        requireG1(signature);
        requireG1(key1);
        requireG2(key2);
        uint256 g = _binder(message, signature, key1, key2);
        G1Point memory left = mul(key1, g);
        addTo(left, signature);
        G1Point memory right = mul(G1Point(1, 2), g);
        addTo(right, hashToG1(message));
        return _pairsToOne(left, right, key2);
    }

    /// @notice Whether `signature` on `message` verifies under a key in G2 that is known to be one:
    /// `e(signature, -G2) * e(H(message), key2) == 1`. A fifteenth cheaper than `verify`.
    /// @dev WARNING: for a key that `isSameKey` bound to keys with a proof of possession only. A key
    /// that the caller chooses verifies whatever the caller signs. Reverts on a malformed signature.
    function verifyBound(bytes32 message, G1Point memory signature, G2Point memory key2)
        internal
        view
        returns (bool)
    {
        requireG1(signature);
        return _pairsToOne(signature, hashToG1(message), key2);
    }

    /// @notice Whether two points are one key in both groups: `e(key1, -G2) * e(G1, key2) == 1`.
    /// @dev Reverts on a malformed G1 key or G2 coordinate; a G2 point off the curve or outside the
    /// subgroup makes it false. As the pairing is not degenerate, one `key2` fits one `key1`.
    function isSameKey(G1Point memory key1, G2Point memory key2) internal view returns (bool) {
        requireG1(key1);
        requireG2(key2);
        return _pairsToOne(key1, G1Point(1, 2), key2);
    }

    /// @notice Whether the point is the all-zero encoding, which stands for no key.
    function isZero(G2Point memory point) internal pure returns (bool) {
        return point.x1 | point.x0 | point.y1 | point.y0 == 0;
    }

    /// @dev `keccak256(message || key1 || key2 || signature) mod R`.
    function _binder(
        bytes32 message,
        G1Point memory signature,
        G1Point memory key1,
        G2Point memory key2
    ) private pure returns (uint256 g) {
        assembly ("memory-safe") {
            let m := mload(0x40)
            mstore(m, message)
            mcopy(add(m, 32), key1, 64)
            mcopy(add(m, 96), key2, 128)
            mcopy(add(m, 224), signature, 64)
            g := mod(keccak256(m, 288), R)
        }
    }

    /// @dev Whether `e(left, -G2) * e(right, key2) == 1`.
    function _pairsToOne(G1Point memory left, G1Point memory right, G2Point memory key2)
        private
        view
        returns (bool one)
    {
        assembly ("memory-safe") {
            let m := mload(0x40)
            mcopy(m, left, 64)
            mstore(add(m, 64), NEG_G2_X1)
            mstore(add(m, 96), NEG_G2_X0)
            mstore(add(m, 128), NEG_G2_Y1)
            mstore(add(m, 160), NEG_G2_Y0)
            mcopy(add(m, 192), right, 64)
            mcopy(add(m, 256), key2, 128)
            one := staticcall(gas(), 8, m, 384, m, 32)
            one := and(one, eq(mload(m), 1))
        }
    }

    /// @dev The right side of the curve equation at `x`.
    function _curve(uint256 x) private pure returns (uint256) {
        return addmod(mulmod(mulmod(x, x, P), x, P), 3, P);
    }

    /// @dev `value^((P + 1) / 4)`: a square root of `value`, if there is one.
    function _rootCandidate(uint256 value) private view returns (uint256 root) {
        uint256 exponent = SQRT_EXPONENT;
        bool ok;
        assembly ("memory-safe") {
            let m := mload(0x40)
            mstore(m, 32)
            mstore(add(m, 32), 32)
            mstore(add(m, 64), 32)
            mstore(add(m, 96), value)
            mstore(add(m, 128), exponent)
            mstore(add(m, 160), P)
            ok := staticcall(gas(), 5, m, 192, m, 32)
            root := mload(m)
        }
        if (!ok) revert PrecompileFailed(5);
    }
}
