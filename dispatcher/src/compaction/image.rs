//! What a snapshot holds: the state, and the events that watchers who come late still hear.

use std::io;

use proofgrid_core::network::State;

use crate::actor::Feeds;

use super::files::Problem;

/// Writes a state and its feeds, one after the other. Equal ones have equal bytes.
pub(super) fn write(state: &State, feeds: &Feeds, writer: &mut impl io::Write) -> io::Result<()> {
    state.write(writer)?;
    feeds.write(writer)
}

/// Reads back exactly what [`write`] wrote.
pub(super) fn read(mut bytes: &[u8]) -> Result<(State, Feeds), Problem> {
    let state = State::read(&mut bytes).map_err(|error| Problem::Image(error.to_string()))?;
    let feeds = Feeds::read(&mut bytes).map_err(|error| Problem::Image(error.to_string()))?;
    if !bytes.is_empty() {
        return Err(Problem::Image(format!("{} bytes too many", bytes.len())));
    }
    Ok((state, feeds))
}
