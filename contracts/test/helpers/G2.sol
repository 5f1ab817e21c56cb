// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Bn254, G2Point} from "../../src/libraries/Bn254.sol";

/// @title Multiples of the generator of G2, so that tests can make keys of any scalar
/// @notice Slow, affine, not constant in time: for tests only. An element `a + b * u` of the
/// extension field, `u^2 = -1`, is (a, b).
library G2 {
    uint256 private constant P = Bn254.P;

    struct Fp2 {
        uint256 a;
        uint256 b;
    }

    struct Point {
        Fp2 x;
        Fp2 y;
        bool isIdentity;
    }

    /// @dev `scalar` times the generator; the scalar must not be a multiple of the order.
    function key(uint256 scalar) internal view returns (G2Point memory) {
        Point memory p = mul(generator(), scalar % Bn254.R);
        return G2Point(p.x.b, p.x.a, p.y.b, p.y.a);
    }

    function generator() internal pure returns (Point memory) {
        return Point(
            Fp2(
                10857046999023057135944570762232829481370756359578518086990519993285655852781,
                11559732032986387107991004021392285783925812861821192530917403151452391805634
            ),
            Fp2(
                8495653923123431417604973247489272438418190587263600148770280649306958101930,
                4082367875863433681332203403145435568316851327593401208105741076214120093531
            ),
            false
        );
    }

    /// @dev Frees the memory of each step: hundreds of them would not fit a test otherwise.
    function mul(Point memory base, uint256 scalar) internal view returns (Point memory sum) {
        sum = Point(Fp2(0, 0), Fp2(0, 0), true);
        Point memory power = Point(Fp2(0, 0), Fp2(0, 0), true);
        _copy(power, base);
        uint256 free;
        assembly ("memory-safe") {
            free := mload(0x40)
        }
        while (scalar != 0) {
            if (scalar & 1 == 1) _copy(sum, add(sum, power));
            _copy(power, add(power, power));
            scalar >>= 1;
            assembly ("memory-safe") {
                mstore(0x40, free)
            }
        }
    }

    function _copy(Point memory target, Point memory source) private pure {
        (target.x.a, target.x.b) = (source.x.a, source.x.b);
        (target.y.a, target.y.b) = (source.y.a, source.y.b);
        target.isIdentity = source.isIdentity;
    }

    function add(Point memory p, Point memory q) internal view returns (Point memory) {
        if (p.isIdentity) return q;
        if (q.isIdentity) return p;
        Fp2 memory slope;
        if (p.x.a == q.x.a && p.x.b == q.x.b) {
            if (p.y.a != q.y.a || p.y.b != q.y.b) return Point(Fp2(0, 0), Fp2(0, 0), true);
            Fp2 memory square = times(p.x, p.x);
            slope = times(plus(plus(square, square), square), inverse(plus(p.y, p.y)));
        } else {
            slope = times(minus(q.y, p.y), inverse(minus(q.x, p.x)));
        }
        Fp2 memory x = minus(minus(times(slope, slope), p.x), q.x);
        return Point(x, minus(times(slope, minus(p.x, x)), p.y), false);
    }

    function plus(Fp2 memory l, Fp2 memory r) private pure returns (Fp2 memory) {
        return Fp2(addmod(l.a, r.a, P), addmod(l.b, r.b, P));
    }

    function minus(Fp2 memory l, Fp2 memory r) private pure returns (Fp2 memory) {
        return Fp2(addmod(l.a, P - r.a, P), addmod(l.b, P - r.b, P));
    }

    function times(Fp2 memory l, Fp2 memory r) private pure returns (Fp2 memory) {
        uint256 a = addmod(mulmod(l.a, r.a, P), P - mulmod(l.b, r.b, P), P);
        return Fp2(a, addmod(mulmod(l.a, r.b, P), mulmod(l.b, r.a, P), P));
    }

    function inverse(Fp2 memory v) private view returns (Fp2 memory) {
        uint256 norm = addmod(mulmod(v.a, v.a, P), mulmod(v.b, v.b, P), P);
        bytes memory input = abi.encode(uint256(32), uint256(32), uint256(32), norm, P - 2, P);
        (bool ok, bytes memory output) = address(5).staticcall(input);
        require(ok);
        uint256 factor = abi.decode(output, (uint256));
        return Fp2(mulmod(v.a, factor, P), mulmod(P - v.b, factor, P));
    }
}
