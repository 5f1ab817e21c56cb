//! An engine without a disk.

use std::collections::BTreeMap;

use super::engine::{Engine, EngineError};
use super::record::Sequence;

/// Keeps records in a map; they are gone with the value.
#[derive(Debug, Default)]
pub struct MemoryEngine {
    values: BTreeMap<Sequence, Vec<u8>>,
}

impl Engine for MemoryEngine {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn last(&self) -> Result<Option<Sequence>, EngineError> {
        Ok(self.values.last_key_value().map(|(sequence, _)| *sequence))
    }

    fn read(&self, from: Sequence, limit: usize) -> Result<Vec<(Sequence, Vec<u8>)>, EngineError> {
        let values = self.values.range(from..).take(limit);
        Ok(values.map(|(sequence, value)| (*sequence, value.clone())).collect())
    }

    fn commit(&mut self, values: Vec<(Sequence, Vec<u8>)>) -> Result<(), EngineError> {
        self.values.extend(values);
        Ok(())
    }

    fn truncate_before(&mut self, first: Sequence, start: Vec<u8>) -> Result<(), EngineError> {
        while self.values.first_key_value().is_some_and(|(sequence, _)| *sequence < first) {
            self.values.pop_first();
        }
        self.values.insert(Sequence::START, start);
        Ok(())
    }
}
