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

/// The time of a test is stopped: it moves on when nothing else can.
#[tokio::test(start_paused = true)]
async fn a_read_outlasts_an_object_store_that_is_away_and_no_other_fault() {
    let digest = BlobDigest::ZERO;
    let away =
        || BlobError::Away { action: "read", what: digest.to_string(), problem: String::new() };
    let mut left = 3;
    let back = outlast(|| {
        left -= 1;
        std::future::ready(if left > 0 { Err(away()) } else { Ok(7) })
    });
    assert_eq!(back.await, Ok(7));
    let mut tries = 0;
    let gone = outlast(|| {
        tries += 1;
        std::future::ready(Err::<(), _>(BlobError::Missing { digest }))
    });
    assert_eq!(gone.await, Err(BlobError::Missing { digest }));
    assert_eq!(tries, 1);
    let mut tries = 0;
    let never = outlast(|| {
        tries += 1;
        std::future::ready(Err::<(), _>(away()))
    });
    assert_eq!(never.await, Err(away()));
    assert_eq!(tries, AWAY_TRIES_MAX, "it does not wait for ever");
}
