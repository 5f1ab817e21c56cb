//! What is drawn: mostly what may happen next, now and then what nobody may.

use proptest::prelude::*;
use proptest::sample::select;
use proptest_state_machine::ReferenceStateMachine;

use super::super::weighted;
use super::*;

pub(super) struct LeaseModel;

impl ReferenceStateMachine for LeaseModel {
    type State = Leases;
    type Transition = Do;

    fn init_state() -> BoxedStrategy<Leases> {
        Just(Leases::start()).boxed()
    }

    fn transitions(leases: &Leases) -> BoxedStrategy<Do> {
        let who = || 0..PROVERS;
        let stale = || prop::bool::weighted(0.2);
        let ms = select(vec![100, 9_000, 25_000, 30_000, 71_000]);
        // Mostly what was granted once, current or not; now and then what never was.
        let mut known = leases.tries();
        known.push((0, 7));
        let claimed = || {
            let thief = prop_oneof![9 => Just(0u8), 1 => 1u8..PROVERS];
            let drawn = (select(known.clone()), thief, prop::bool::weighted(0.05));
            drawn.prop_map(|((task, attempt), thief, forged)| Claimed {
                task,
                attempt,
                thief,
                forged,
            })
        };
        let delivery = prop_oneof![
            8 => Just(Delivery::Proof),
            1 => Just(Delivery::Other),
            1 => Just(Delivery::TooLarge),
        ];
        let verdict = prop_oneof![
            4 => Just(Verdict::Accept),
            2 => Just(Verdict::Refuse),
            1 => Just(Verdict::PaysAnother),
            1 => Just(Verdict::Unjudged),
        ];
        let mut judged = leases.at_intake();
        let weight = if judged.is_empty() { 1 } else { 6 };
        judged.push((1, 0));
        let judge = (select(judged), verdict).prop_map(|((task, attempt), verdict)| Do::Judge {
            task,
            attempt,
            verdict,
        });
        let connect = (who(), any::<bool>())
            .prop_map(|(prover, remembers)| Do::Connect { prover, remembers });
        let disconnect =
            (who(), stale()).prop_map(|(prover, stale)| Do::Disconnect { prover, stale });
        let heartbeat =
            (who(), stale()).prop_map(|(prover, stale)| Do::Heartbeat { prover, stale });
        let progress =
            (who(), claimed()).prop_map(|(prover, lease)| Do::Progress { prover, lease });
        let complete =
            (claimed(), delivery).prop_map(|(lease, delivery)| Do::Complete { lease, delivery });
        let fail =
            (claimed(), any::<bool>()).prop_map(|(lease, blamed)| Do::Fail { lease, blamed });
        weighted(vec![
            (5, connect.boxed()),
            (1, disconnect.boxed()),
            (3, heartbeat.boxed()),
            (1, who().prop_map(|prover| Do::Drain { prover }).boxed()),
            (1, progress.boxed()),
            (6, complete.boxed()),
            (weight, judge.boxed()),
            (2, fail.boxed()),
            (1, (0..TASKS).prop_map(|task| Do::Requeue { task }).boxed()),
            (4, ms.prop_map(|ms| Do::Pass { ms }).boxed()),
        ])
    }

    fn apply(mut leases: Leases, input: &Do) -> Leases {
        leases.said = leases.advance(input);
        leases.settle();
        leases
    }
}
