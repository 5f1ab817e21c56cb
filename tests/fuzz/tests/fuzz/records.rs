//! What the journal holds.

use proofgrid_core::network::Fact;

use proofgrid_fuzz::{Outcome, Shape, Target};

/// The corpus has a fact of every kind.
#[test]
fn facts() {
    Target::new("fact", Shape::Bytes, 60_000).borsh().run(Vec::new(), |input| {
        let decoded = Fact::decode(input);
        if let Ok(fact) = &decoded {
            assert_eq!(fact.encode(), input, "accepted, but it is not canonical");
        }
        Outcome::from(decoded)
    });
}
