//! Creations and calls of one account that build on each other, all in flight at once: the address of
//! each contract is known before it is there, and an account's transactions keep their order.

use std::collections::BTreeMap;

use alloy::primitives::{Address as EvmAddress, Bytes, TxKind, U256};
use alloy::sol_types::{SolCall, SolConstructor};
use proofgrid_core::ids::{Address, BlockNumber};

use crate::contracts::{core_address, evm};
use crate::deploy::{DeployError, queue};
use crate::sender::{Gas, Pending, SendError, Sender};

/// Gas limit of a contract creation: the largest is below 24 576 bytes at 200 gas each, plus its
/// init code.
const CREATE_GAS: u64 = 7_000_000;

/// A committed artifact: its name and its text.
macro_rules! artifact {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../contracts/abi/", $name, ".json")),
        )
    };
}
pub(crate) use artifact;

/// Gas limit of a call that sets a contract up.
const CALL_GAS: u64 = 500_000;

/// One after the other.
pub(crate) struct Creations<'a> {
    sender: &'a mut Sender,
    created: Vec<(&'static str, Pending)>,
    called: Vec<Pending>,
}

impl<'a> Creations<'a> {
    pub(crate) const fn new(sender: &'a mut Sender) -> Self {
        Self { sender, created: Vec::new(), called: Vec::new() }
    }

    /// Who creates.
    pub(crate) fn owner(&self) -> EvmAddress {
        evm(self.sender.address())
    }

    /// The address of the creation that follows after `skipped` others.
    pub(crate) async fn upcoming(&mut self, skipped: u64) -> Result<Address, SendError> {
        let nonce = self.sender.nonce().await?.saturating_add(skipped);
        Ok(core_address(evm(self.sender.address()).create(nonce)))
    }

    /// Creates a contract whose artifact is committed.
    pub(crate) async fn create<C: SolConstructor>(
        &mut self,
        (name, json): (&'static str, &str),
        arguments: C,
    ) -> Result<Address, DeployError> {
        let code = init_code(json).map_err(|why| DeployError::Artifact { name, why })?;
        self.create_from(name, code, arguments).await
    }

    /// Creates a contract from its init code.
    pub(crate) async fn create_from<C: SolConstructor>(
        &mut self,
        name: &'static str,
        mut code: Vec<u8>,
        arguments: C,
    ) -> Result<Address, DeployError> {
        code.extend(arguments.abi_encode());
        let (gas, input) = (Gas::Limit(CREATE_GAS), Bytes::from(code));
        let pending = self.sender.send(name, TxKind::Create, U256::ZERO, input, gas).await?;
        self.created.push((name, pending));
        Ok(core_address(evm(self.sender.address()).create(pending.nonce)))
    }

    /// Calls a contract, which may be on its way itself.
    pub(crate) async fn call<C: SolCall>(
        &mut self,
        contract: Address,
        call: &C,
    ) -> Result<(), DeployError> {
        self.called.push(queue(self.sender, contract, call, CALL_GAS).await?);
        Ok(())
    }

    /// Waits for all; the addresses were computed, so they are compared.
    pub(crate) async fn finish(self) -> Result<BTreeMap<&'static str, BlockNumber>, DeployError> {
        let mut blocks = BTreeMap::new();
        for (name, pending) in self.created {
            let receipt = self.sender.wait(pending).await?;
            let expected = evm(self.sender.address()).create(pending.nonce);
            if receipt.contract_address != Some(expected) {
                let missing = "the contract at its computed address";
                return Err(DeployError::Result { what: name, missing });
            }
            let number = receipt
                .block_number
                .ok_or(SendError::Receipt { what: name, missing: "its block" })?;
            blocks.insert(name, BlockNumber::new(number));
        }
        for pending in self.called {
            self.sender.wait(pending).await?;
        }
        Ok(blocks)
    }
}

/// The init code in an artifact, or what is wrong with the artifact.
pub(crate) fn init_code(json: &str) -> Result<Vec<u8>, String> {
    let value: serde_json::Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let code = value.get("bytecode").and_then(|code| code.as_str());
    let code = code.ok_or("it has no bytecode")?;
    alloy::hex::decode(code).map_err(|_| "its bytecode is not hexadecimal".to_owned())
}
