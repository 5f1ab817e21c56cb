use proofgrid_core::ids::{Role, StatementDigest};
use proofgrid_proto::convert::SessionToken;
use tokio::sync::mpsc;

use super::*;
use crate::session::directory::{Entrant, Outbound};
use crate::testing::{address, effect_parts, machine};

#[tokio::test]
async fn a_withdrawn_statement_is_told_to_those_who_judge_it_and_to_nobody_else() {
    let (parts, _inbox, _directory) = effect_parts();
    let effects = Effects::start(&parts, &TaskTracker::new(), &CancellationToken::new());
    let connect = |byte: u8| {
        let (sender, orders) = mpsc::channel(4);
        let place = parts.directory.enter(Entrant {
            role: Role::Verifier,
            address: address(byte),
            version: String::new(),
            remote: String::new(),
            outbound: Outbound::Verifier(sender),
            close: CancellationToken::new(),
            token: SessionToken::from_bytes([byte; 32]),
        });
        (place, orders)
    };
    let ((judges, mut told), (_idle, mut other)) = (connect(1), connect(2));
    let statement = StatementDigest::from_bytes([3; 32]);
    let withdraw = Effect::WithdrawStatement {
        verifiers: vec![Peer { address: address(1), session: judges.session() }],
        statement,
        reason: "its job ended".to_owned(),
    };
    effects.run(vec![withdraw], &Network::new(machine()));
    let text = "its job ended".to_owned();
    let order = told.try_recv().unwrap().unwrap();
    assert_eq!(order, VerifierOrder::Withdrawn { statement, text });
    assert!(told.try_recv().is_err() && other.try_recv().is_err());
}
