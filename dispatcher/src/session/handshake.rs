//! The login: LOGIN binds the server's identity, both nonces, the role and the network, so that a
//! signature made for one dispatcher, session or chain opens no other.

use std::sync::Arc;

use proofgrid_core::crypto::bls::{BlsMessage, PublicKeyG2, Signature};
use proofgrid_core::crypto::eip712::WalletMessage;
use proofgrid_core::crypto::tags::Login;
use proofgrid_core::ids::{Address, LoginNonce, Role};
use proofgrid_core::units::Millis;
use proofgrid_proto::convert::{
    Challenge, Hello, LoginProof, SESSION_TOKEN_BYTES, SessionToken, Welcome,
};
use tokio_util::sync::CancellationToken;

use super::{Entrant, Open, Protocol, Session};
use crate::error::EdgeError;
use crate::shared::Shared;

fn random<const N: usize>() -> Result<[u8; N], EdgeError> {
    let mut bytes = [0u8; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| EdgeError::Internal(format!("the system gives no randomness: {error}")))?;
    Ok(bytes)
}

impl<P: Protocol> Session<P> {
    async fn next(&mut self) -> Result<P::Message, EdgeError> {
        match self.inbound.message().await {
            Ok(Some(wire)) => Ok(P::Message::try_from(wire)?),
            Ok(None) | Err(_) => Err(EdgeError::Protocol("the stream ended before the login")),
        }
    }

    /// The whole handshake up to the answer that opens the session.
    pub(super) async fn log_in(&mut self) -> Result<(Open<P>, Welcome), EdgeError> {
        let first = self.next().await?;
        let hello = P::hello(first).ok_or(EdgeError::Protocol("the first message is Hello"))?;
        if hello.role != P::ROLE {
            return Err(EdgeError::Protocol("the role in Hello is not this service's"));
        }
        admit(&self.shared, &hello)?;
        let server_nonce = LoginNonce::from_bytes(random()?);
        let network = self.shared.network;
        let server = self.shared.config.server;
        let challenge = Challenge { server, server_nonce, network };
        let sent = self.sender.send(Ok(P::challenge(challenge))).await;
        sent.map_err(|_gone| EdgeError::Protocol("the stream ended before the login"))?;
        let second = self.next().await?;
        let proof = P::login(second).ok_or(EdgeError::Protocol("the second message is Login"))?;
        let login = challenge.login(P::ROLE, hello.operator, hello.client_nonce);
        verify(&self.shared, login, proof).await?;
        self.open(hello)
    }

    fn open(&self, hello: Hello) -> Result<(Open<P>, Welcome), EdgeError> {
        let token = SessionToken::from_bytes(random::<SESSION_TOKEN_BYTES>()?);
        let close = CancellationToken::new();
        let membership = self.shared.directory.enter(Entrant {
            role: P::ROLE,
            address: hello.operator,
            version: hello.version,
            remote: self.remote.clone(),
            outbound: P::outbound(self.sender.clone()),
            close: close.clone(),
            token,
        });
        let welcome = Welcome {
            session: membership.session(),
            token,
            heartbeat_interval: Millis::new(self.shared.config.heartbeat_interval_ms),
            dead_after: Millis::new(self.shared.config.dead_after_ms),
            now: self.shared.clock.now(),
        };
        let open = Open {
            shared: Arc::clone(&self.shared),
            address: hello.operator,
            membership,
            sender: self.sender.clone(),
            close,
        };
        // A half-dead connection must not sit beside its successor.
        let (role, address, newest) = (P::ROLE, open.address, open.session());
        for older in self.shared.directory.older_sessions(role, address, newest) {
            self.shared.directory.close_replaced(older);
        }
        Ok((open, welcome))
    }
}

/// Who may try at all; asked before any signature is checked.
fn admit(shared: &Shared, hello: &Hello) -> Result<(), EdgeError> {
    let address = hello.operator;
    match hello.role {
        Role::Prover => match &shared.config.prover_allow_list {
            Some(allowed) if !allowed.contains(&address) => {
                Err(EdgeError::NotAllowed(format!("{address} is not on the list of provers")))
            }
            _ => Ok(()),
        },
        Role::Oracle if shared.config.chains_of_oracle(address).next().is_none() => {
            Err(EdgeError::NotAllowed(format!("{address} is not on the list of oracles")))
        }
        Role::Oracle => Ok(()),
        Role::Verifier => verifier_key(shared, address).map(|_| ()),
    }
}

/// The key of an operator in the newest live epoch that has it.
fn verifier_key(shared: &Shared, operator: Address) -> Result<PublicKeyG2, EdgeError> {
    let epochs = shared.epochs.borrow().clone();
    if epochs.is_empty() {
        return Err(EdgeError::NoEpochYet);
    }
    let of_epoch = |keys: &Arc<proofgrid_core::epoch::EpochKeys>| {
        keys.key(keys.table().index_of(operator)?).copied()
    };
    epochs.values().rev().find_map(of_epoch).ok_or(EdgeError::NotInEpoch(operator))
}

async fn verify(shared: &Arc<Shared>, login: Login, proof: LoginProof) -> Result<(), EdgeError> {
    let network = shared.network;
    match (login.role, proof) {
        (Role::Prover | Role::Oracle, LoginProof::Wallet(signature)) => {
            let message = WalletMessage::Login { network, login };
            Ok(signature.verify(&message, login.operator)?)
        }
        (Role::Verifier, LoginProof::Bls(signature)) => {
            let key = verifier_key(shared, login.operator)?;
            let message = BlsMessage::Login { network, login };
            verify_bls(shared, key, message, signature).await
        }
        (Role::Prover | Role::Oracle, LoginProof::Bls(_)) => {
            Err(EdgeError::Protocol("this role logs in with a wallet signature"))
        }
        (Role::Verifier, LoginProof::Wallet(_)) => {
            Err(EdgeError::Protocol("a verifier logs in with a BLS signature"))
        }
    }
}

async fn verify_bls(
    shared: &Arc<Shared>,
    key: PublicKeyG2,
    message: BlsMessage,
    signature: Signature,
) -> Result<(), EdgeError> {
    shared.on_worker(move || Ok(key.verify(&message, &signature)?)).await
}
