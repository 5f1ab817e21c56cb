// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IOperatorRegistrar} from "../src/interfaces/IOperatorRegistrar.sol";
import {RestakedNetwork} from "./eigenlayer/RestakedNetwork.sol";
import {TestBase} from "./helpers/TestBase.sol";

/// @title Random comings and goings of six operators on the real core
/// @dev Leaving, an ejection that is due and a cancellation in time must work; the rest is tried.
/// Keeps its own account of versions.
contract RosterHandler is RestakedNetwork {
    uint256 private constant OPERATORS = 6;

    /// @dev The roster that each version stood for.
    mapping(uint64 version => bytes32 roster) private _rosterOf;
    mapping(address operator => uint256 scalar) private _scalarOf;
    uint256 private _numKeys;
    uint256 public versionsReused;

    constructor() {
        deployNetwork();
        for (uint256 i = 0; i < OPERATORS; ++i) {
            newVerifier(operatorAt(i), 40 ether);
        }
        _rosterOf[0] = roster();
    }

    /// @dev One roster per version, ever.
    modifier versioned() {
        _;
        (uint64 version, bytes32 now_) = (registrar.version(), roster());
        if (_rosterOf[version] == 0) _rosterOf[version] = now_;
        if (_rosterOf[version] != now_) ++versionsReused;
    }

    function join(uint256 who) external versioned {
        address operator = _operator(who);
        uint256 scalar = 1000 + ++_numKeys;
        try this.joinExternally(operator, keyData(operator, scalar)) {
            _scalarOf[operator] = scalar;
        } catch {}
    }

    function joinWithAnOldKey(uint256 who, uint256 key) external versioned {
        if (_numKeys == 0) return;
        address operator = _operator(who);
        uint256 scalar = 1001 + key % _numKeys;
        try this.joinExternally(operator, keyData(operator, scalar)) {
            // A key whose first registration was refused was never registered.
            _scalarOf[operator] = scalar;
        } catch {}
    }

    function depart(uint256 who) external versioned {
        address operator = _operator(who);
        if (registrar.isRegistered(operator)) leaveSet(operator, verifiers());
    }

    function reallocate(uint256 who, uint64 magnitude) external versioned {
        address operator = _operator(who);
        magnitude = uint64(bound(magnitude, 0, MAGNITUDE));
        try this.allocateExternally(operator, magnitude) {} catch {}
    }

    function slash(uint256 who, uint256 wad) external versioned {
        wad = bound(wad, 1, 1e18);
        vm.prank(COURT);
        try avs.slash(_operator(who), 0, wad, "random") {} catch {}
    }

    function remove(uint256 who) external versioned {
        try registrar.remove(_operator(who), 0) {} catch {}
    }

    function propose(uint256 who) external versioned {
        try registrar.proposeEjection(_operator(who)) {} catch {}
    }

    function cancel(uint256 who) external versioned {
        address operator = _operator(who);
        IOperatorRegistrar.Ejection memory ejection = registrar.ejectionOf(operator);
        if (ejection.executableAt <= block.timestamp) return;
        bytes32 message = registrar.ejectCancelMessage(operator, ejection.nonce);
        registrar.cancelEjection(operator, signWith(_scalarOf[operator], message));
    }

    function execute(uint256 who) external versioned {
        uint64 executableAt = registrar.ejectionOf(_operator(who)).executableAt;
        if (executableAt == 0 || block.timestamp < executableAt) return;
        registrar.executeEjection(_operator(who));
    }

    function pass(uint256 blocks, uint256 time) external versioned {
        vm.roll(block.number + bound(blocks, 1, 60));
        vm.warp(block.timestamp + bound(time, 1, 2 days));
    }

    // What is tried, as one call each; no actions.

    function joinExternally(address operator, bytes calldata data) external {
        joinSet(operator, verifiers(), data);
    }

    function allocateExternally(address operator, uint64 magnitude) external {
        allocate(operator, verifiers(), magnitude);
    }

    /// @dev The set and its keys, whatever the order of the list.
    function roster() public view returns (bytes32) {
        bytes memory all = "";
        for (uint256 i = 0; i < OPERATORS; ++i) {
            if (!registrar.isRegistered(operatorAt(i))) continue;
            all = bytes.concat(
                all, abi.encode(operatorAt(i), registrar.registeredKey1(operatorAt(i)))
            );
        }
        return keccak256(all);
    }

    function operatorAt(uint256 index) public pure returns (address) {
        return address(uint160(0x30000 + index));
    }

    // What the invariants hold against each other

    function isMemberAtTheCore(address operator) external view returns (bool) {
        return allocations.isMemberOfOperatorSet(operator, verifiers());
    }

    function membersAtTheCore() external view returns (uint256) {
        return allocations.getMemberCount(verifiers());
    }

    function membersHere() external view returns (address[] memory) {
        return registrar.operators();
    }

    function ownerOfKey(address operator) external view returns (address) {
        return registrar.operatorOfKey(keccak256(abi.encode(registrar.registeredKey1(operator))));
    }

    function isBeingEjectedFromOutside(address operator) external view returns (bool) {
        return registrar.ejectionOf(operator).executableAt != 0 && !registrar.isRegistered(operator);
    }

    function _operator(uint256 who) private pure returns (address) {
        return operatorAt(who % OPERATORS);
    }
}

/// @title What the registrar's roster always is
contract RosterInvariantsTest is TestBase {
    /// @dev What forge asks for: a contract and its functions.
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    RosterHandler private _handler;

    function setUp() external {
        _handler = new RosterHandler();
    }

    /// @dev Only this one's actions are called at random.
    function targetContracts() external view returns (address[] memory list) {
        list = new address[](1);
        list[0] = address(_handler);
    }

    function targetSelectors() external view returns (FuzzSelector[] memory list) {
        bytes4[] memory actions = new bytes4[](10);
        actions[0] = RosterHandler.join.selector;
        actions[1] = RosterHandler.joinWithAnOldKey.selector;
        actions[2] = RosterHandler.depart.selector;
        actions[3] = RosterHandler.reallocate.selector;
        actions[4] = RosterHandler.slash.selector;
        actions[5] = RosterHandler.remove.selector;
        actions[6] = RosterHandler.propose.selector;
        actions[7] = RosterHandler.cancel.selector;
        actions[8] = RosterHandler.execute.selector;
        actions[9] = RosterHandler.pass.selector;
        list = new FuzzSelector[](1);
        list[0] = FuzzSelector(address(_handler), actions);
    }

    function invariant_TheRosterIsTheCoresSet() external view {
        address[] memory members = _handler.membersHere();
        assertEq(members.length, _handler.membersAtTheCore(), "as many");
        for (uint256 i = 0; i < members.length; ++i) {
            assertTrue(_handler.isMemberAtTheCore(members[i]), "the same");
        }
    }

    function invariant_AVersionIsOneRoster() external view {
        assertEq(_handler.versionsReused(), 0, "a change without a new version");
    }

    function invariant_AKeyHasOneOperator() external view {
        address[] memory members = _handler.membersHere();
        for (uint256 i = 0; i < members.length; ++i) {
            assertEq(_handler.ownerOfKey(members[i]), members[i], "another's key");
        }
    }

    function invariant_NobodyOutsideIsBeingEjected() external view {
        for (uint256 i = 0; i < 6; ++i) {
            assertTrue(!_handler.isBeingEjectedFromOutside(_handler.operatorAt(i)), "ejection");
        }
    }
}
