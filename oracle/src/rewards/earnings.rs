//! What every account has earned since the beginning, as the core's rewards updater publishes it, and
//! the Merkle tree over it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use alloy::primitives::{B256, Bytes, U256};
use proofgrid_core::crypto::hash::keccak256_concat;
use proofgrid_core::ids::Address;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::tree::{Node, prove};
use crate::contracts::evm;
use crate::eigenlayer::abi::{EarnerLeaf, RewardsClaim, TokenLeaf};

/// First byte of what is hashed to an earner's leaf.
const EARNER_LEAF_SALT: [u8; 1] = [0];
/// First byte of what is hashed to the leaf of an earner's token.
const TOKEN_LEAF_SALT: [u8; 1] = [1];
/// Most lines of a file; each is kept in memory. EigenLayer's main network has some hundred thousand.
const LINES_MAX: usize = 8_000_000;
/// Longest line: two addresses and two numbers are well below.
const LINE_BYTES_MAX: u64 = 1_024;

/// Why a distribution cannot be used.
#[derive(Debug, Error)]
pub enum EarningsError {
    /// The file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A line is not what it should be.
    #[error(
        "{path}, line {line}: {why}; every line must be a JSON object such as {{\"earner\":\"0x..\",\
         \"token\":\"0x..\",\"snapshot\":1735689600,\"cumulative_amount\":\"1\"}}"
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// There are too many lines.
    #[error("{path} has more than {LINES_MAX} lines; is it a distribution?")]
    TooManyLines {
        /// The file.
        path: PathBuf,
    },
    /// An amount does not fit a token's numbers.
    #[error("what {earner} has earned in {token} is more than 256 bits hold")]
    Overflow {
        /// The account.
        earner: Address,
        /// The token.
        token: Address,
    },
}

/// A line of a file. EigenLayer's sidecar calls the amount `amount` and writes the snapshot as a date;
/// what it is plays no part in the tree.
#[derive(Deserialize)]
struct LineIn {
    earner: String,
    token: String,
    #[serde(alias = "amount")]
    cumulative_amount: String,
}

#[derive(Serialize)]
struct LineOut {
    earner: String,
    token: String,
    snapshot: u64,
    cumulative_amount: String,
}

/// All that every account ever earned, by token. Accounts and tokens ascend, as they do in the tree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Earnings {
    amounts: BTreeMap<Address, BTreeMap<Address, U256>>,
}

impl Earnings {
    /// Adds to what an account has earned.
    ///
    /// # Errors
    /// [`EarningsError::Overflow`].
    pub fn add(
        &mut self,
        earner: Address,
        token: Address,
        amount: U256,
    ) -> Result<(), EarningsError> {
        let sum = self.amounts.entry(earner).or_default().entry(token).or_default();
        *sum = sum.checked_add(amount).ok_or(EarningsError::Overflow { earner, token })?;
        Ok(())
    }

    /// What an account has earned in a token; `None` if it is not in the tree.
    #[must_use]
    pub fn of(&self, earner: Address, token: Address) -> Option<U256> {
        self.amounts.get(&earner)?.get(&token).copied()
    }

    /// Who has earned how much in a token.
    pub fn in_token(&self, token: Address) -> impl Iterator<Item = (Address, U256)> + '_ {
        let amounts = self.amounts.iter();
        amounts.filter_map(move |(earner, tokens)| Some((*earner, *tokens.get(&token)?)))
    }

    /// The root that the core is given; `None` when nobody has earned anything.
    #[must_use]
    pub fn root(&self) -> Option<B256> {
        (!self.amounts.is_empty()).then(|| B256::from(prove(self.earner_leaves(), 0).0))
    }

    /// An account's claim to one token under the root at an index; `None` if it is not in the tree.
    #[must_use]
    pub fn claim(&self, earner: Address, token: Address, root_index: u32) -> Option<RewardsClaim> {
        let tokens = self.amounts.get(&earner)?;
        let cumulative = *tokens.get(&token)?;
        let earner_index = self.amounts.range(..earner).count();
        let token_index = tokens.range(..token).count();
        let (_, earner_path) = prove(self.earner_leaves(), earner_index);
        let (token_root, token_path) = prove(token_leaves(tokens), token_index);
        Some(RewardsClaim {
            rootIndex: root_index,
            earnerIndex: u32::try_from(earner_index).ok()?,
            earnerTreeProof: Bytes::from(earner_path.as_flattened().to_vec()),
            earnerLeaf: EarnerLeaf { earner: evm(earner), earnerTokenRoot: token_root.into() },
            tokenIndices: vec![u32::try_from(token_index).ok()?],
            tokenTreeProofs: vec![Bytes::from(token_path.as_flattened().to_vec())],
            tokenLeaves: vec![TokenLeaf { token: evm(token), cumulativeEarnings: cumulative }],
        })
    }

    fn earner_leaves(&self) -> Vec<Node> {
        let leaf = |(earner, tokens): (&Address, &BTreeMap<Address, U256>)| {
            let (root, _) = prove(token_leaves(tokens), 0);
            keccak256_concat(&[&EARNER_LEAF_SALT, earner.as_bytes(), &root])
        };
        self.amounts.iter().map(leaf).collect()
    }

    /// Reads a file of JSON lines. O(lines) memory.
    ///
    /// # Errors
    /// See [`EarningsError`].
    pub fn read(path: &Path) -> Result<Self, EarningsError> {
        let failed = |source| EarningsError::File { path: path.to_owned(), source };
        let mut reader = BufReader::new(File::open(path).map_err(failed)?);
        let mut earnings = Self::default();
        let mut text = String::new();
        for line in 1..=LINES_MAX {
            text.clear();
            let read = (&mut reader).take(LINE_BYTES_MAX).read_line(&mut text).map_err(failed)?;
            if read == 0 {
                return Ok(earnings);
            }
            let wrong = |why| EarningsError::Line { path: path.to_owned(), line, why };
            if !text.trim().is_empty() {
                earnings.take_line(&text).map_err(wrong)?;
            }
        }
        Err(EarningsError::TooManyLines { path: path.to_owned() })
    }

    fn take_line(&mut self, text: &str) -> Result<(), String> {
        let line: LineIn = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let earner: Address = line.earner.parse().map_err(|error| format!("earner: {error}"))?;
        let token: Address = line.token.parse().map_err(|error| format!("token: {error}"))?;
        let amount = U256::from_str_radix(&line.cumulative_amount, 10)
            .map_err(|error| format!("cumulative_amount: {error}"))?;
        match self.amounts.entry(earner).or_default().insert(token, amount) {
            None => Ok(()),
            Some(_) => Err(format!("{earner} has a second line for {token}")),
        }
    }

    /// Writes a file of JSON lines, as [`Self::read`] takes them. `snapshot` is the end of the time that
    /// was worked out, Unix seconds.
    ///
    /// # Errors
    /// [`EarningsError::File`].
    pub fn write(&self, path: &Path, snapshot: u64) -> Result<(), EarningsError> {
        let failed = |source| EarningsError::File { path: path.to_owned(), source };
        let mut writer = BufWriter::new(File::create(path).map_err(failed)?);
        for (earner, tokens) in &self.amounts {
            for (token, amount) in tokens {
                let line = LineOut {
                    earner: earner.to_string(),
                    token: token.to_string(),
                    snapshot,
                    cumulative_amount: amount.to_string(),
                };
                serde_json::to_writer(&mut writer, &line).map_err(|e| failed(e.into()))?;
                writer.write_all(b"\n").map_err(failed)?;
            }
        }
        writer.flush().map_err(failed)
    }
}

fn token_leaves(tokens: &BTreeMap<Address, U256>) -> Vec<Node> {
    let leaf = |(token, amount): (&Address, &U256)| {
        keccak256_concat(&[&TOKEN_LEAF_SALT, token.as_bytes(), &amount.to_be_bytes::<32>()])
    };
    tokens.iter().map(leaf).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: Address = Address::from_bytes([9; 20]);

    fn account(tag: u8) -> Address {
        Address::from_bytes([tag; 20])
    }

    fn some() -> Earnings {
        let mut earnings = Earnings::default();
        for tag in [3, 1, 2] {
            earnings.add(account(tag), TOKEN, U256::from(u64::from(tag) * 10)).unwrap();
        }
        earnings.add(account(2), account(1), U256::MAX).unwrap();
        earnings
    }

    fn read(text: &str) -> Result<Earnings, EarningsError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("claims.jsonl");
        std::fs::write(&path, text).unwrap();
        Earnings::read(&path)
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("claims.jsonl");
        some().write(&path, 1_735_689_600).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let first = "{\"earner\":\"0x0101010101010101010101010101010101010101\",\
                     \"token\":\"0x0909090909090909090909090909090909090909\",\
                     \"snapshot\":1735689600,\"cumulative_amount\":\"10\"}";
        assert_eq!(text.lines().next(), Some(first));
        assert_eq!(Earnings::read(&path).unwrap(), some());
    }

    #[test]
    fn the_order_of_lines_and_the_sidecars_words_make_no_difference() {
        let line = |tag: &str, amount| {
            let (earner, token) = (tag.repeat(20), "09".repeat(20));
            format!(
                "{{\"earner\":\"0x{earner}\",\"token\":\"0x{token}\",\
                 \"snapshot\":\"2025-02-22T00:00:00Z\",\"amount\":\"{amount}\"}}\n"
            )
        };
        let (one, two) = (line("01", 5), line("02", 6));
        let (forwards, backwards) = (read(&format!("{one}{two}")), read(&format!("{two}\n{one}")));
        let forwards = forwards.unwrap();
        assert_eq!(forwards, backwards.unwrap());
        assert_eq!(forwards.of(account(2), TOKEN), Some(U256::from(6)));
    }

    #[test]
    fn lines_that_are_none_are_refused_with_their_number() {
        let good = "{\"earner\":\"0x0101010101010101010101010101010101010101\",\"token\":\
                    \"0x0909090909090909090909090909090909090909\",\"cumulative_amount\":\"1\"}\n";
        let overlong = format!("{good}{}", "x".repeat(5_000));
        let cases = [
            (format!("{good}{good}"), "line 2: 0x01", "second line"),
            (good.replace("\"1\"", "\"-1\""), "line 1", "cumulative_amount"),
            (good.replace("0x01", "0x"), "line 1", "earner"),
            (overlong, "line 2", "expected"),
            ("[]".to_owned(), "line 1", "JSON object"),
        ];
        for (text, place, why) in cases {
            let error = read(&text).unwrap_err().to_string();
            assert!(error.contains(place) && error.contains(why), "{error}");
        }
        assert!(matches!(Earnings::read(Path::new("/none")), Err(EarningsError::File { .. })));
    }

    #[test]
    fn nobody_has_a_root_or_claim_of_nothing_and_sums_must_fit() {
        assert_eq!(Earnings::default().root(), None);
        assert_eq!(some().claim(account(8), TOKEN, 0), None);
        assert_eq!(some().claim(account(1), account(1), 0), None);
        let full = some().add(account(2), account(1), U256::from(1)).unwrap_err();
        assert!(matches!(full, EarningsError::Overflow { .. }), "{full}");
    }
}
