//! What a snapshot holds: the state, and the events that watchers who come late still hear.

use borsh::{BorshDeserialize, BorshSerialize};
use proofgrid_core::network::State;

use crate::actor::{Feeds, FeedsImage};

use super::files::Problem;

/// The two parts, each with a version of its own.
#[derive(BorshSerialize, BorshDeserialize)]
struct Image {
    state: Vec<u8>,
    feeds: FeedsImage,
}

/// The bytes of a state and its feeds. Equal ones have equal bytes.
pub(super) fn encode(state: &State, feeds: &Feeds) -> Vec<u8> {
    let mut bytes = Vec::new();
    let image = Image { state: state.encode(), feeds: feeds.image() };
    #[expect(clippy::expect_used, reason = "writing to a Vec cannot fail")]
    image.serialize(&mut bytes).expect("a Vec takes every write");
    bytes
}

/// Reads back exactly what [`encode`] wrote.
pub(super) fn decode(bytes: &[u8]) -> Result<(State, Feeds), Problem> {
    let image = Image::try_from_slice(bytes).map_err(|error| Problem::Image(error.to_string()))?;
    let state = State::decode(&image.state).map_err(|error| Problem::Image(error.to_string()))?;
    Ok((state, Feeds::restored(image.feeds)))
}
