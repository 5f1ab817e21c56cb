// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

// The proxies of a development network's restaking core. They are imported to be compiled: nothing
// of ours stands behind one.
import {UpgradeableBeacon} from "@openzeppelin/contracts/proxy/beacon/UpgradeableBeacon.sol";
import {ProxyAdmin} from "@openzeppelin/contracts/proxy/transparent/ProxyAdmin.sol";
import {
    TransparentUpgradeableProxy
} from "@openzeppelin/contracts/proxy/transparent/TransparentUpgradeableProxy.sol";

/// @title What such a proxy points at before its implementation exists
/// @notice The contracts of a restaking core name each other's proxies in their constructors, so
/// the proxies come first.
contract DevPlaceholder {
    /// @notice Does nothing: a proxy wants to call something when it is created.
    function nothing() external {}
}
