//! The bytes between parent and child.
//!
//! A request is a fixed header, so that the child can limit itself before it reads anything a
//! stranger made, then a borsh body. A reply is a length and a borsh body. Both ends are the same
//! build; the version is checked all the same, because a wrong `command` is an easy mistake.

use std::io::{self, Read, Write};

use borsh::{BorshDeserialize, BorshSerialize};
use proofgrid_core::ids::{Address, JobId, ProgramId, VkDigest};
use proofgrid_core::limits::PROOF_BYTES_MAX;
use proofgrid_core::units::WorkUnits;
use proofgrid_proofs::program::Binding;

/// Starts every request: `PGJC` and the version of this layout.
const MAGIC: [u8; 8] = *b"PGJC\0\0\0\x01";
/// Bytes of the header: magic, memory, processor seconds, body length.
const HEADER_BYTES: usize = 32;
/// Room in a body for everything but the proof.
const BODY_OVERHEAD_BYTES: u64 = 1 << 10;
/// Room in a reply for everything but the public values.
pub(crate) const REPLY_OVERHEAD_BYTES: u64 = 16 << 10;
/// Most bytes of a text in a reply.
pub(crate) const TEXT_BYTES_MAX: usize = 4 << 10;

/// What the child limits itself to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Address space beyond what the process has when it starts.
    pub memory_bytes: u64,
    /// Processor time.
    pub cpu_seconds: u64,
    /// Length of the body that follows.
    pub body_bytes: u64,
}

impl Header {
    /// The bytes of the header.
    #[must_use]
    pub fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let words = [self.memory_bytes, self.cpu_seconds, self.body_bytes];
        let parts = [MAGIC, words[0].to_be_bytes(), words[1].to_be_bytes(), words[2].to_be_bytes()];
        for (place, part) in bytes.chunks_exact_mut(8).zip(parts) {
            place.copy_from_slice(&part);
        }
        bytes
    }

    /// Reads a header.
    ///
    /// # Errors
    /// When the input fails or ends, is of another build, or announces more than any proof has.
    pub fn read(input: &mut impl Read) -> io::Result<Self> {
        let mut magic = [0; 8];
        input.read_exact(&mut magic)?;
        if magic != MAGIC {
            return Err(io::Error::other("this is no request of the same build"));
        }
        let header = Self {
            memory_bytes: read_u64(input)?,
            cpu_seconds: read_u64(input)?,
            body_bytes: read_u64(input)?,
        };
        if header.body_bytes > PROOF_BYTES_MAX + BODY_OVERHEAD_BYTES {
            return Err(io::Error::other("the request is longer than any proof"));
        }
        Ok(header)
    }
}

fn read_u64(input: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    input.read_exact(&mut bytes)?;
    Ok(u64::from_be_bytes(bytes))
}

/// What is to be judged.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Request {
    /// The program whose verifier is asked.
    pub program: ProgramId,
    /// The job that the proof must be bound to.
    pub job: JobId,
    /// The program that the proof must be bound to.
    pub bound_program: ProgramId,
    /// The prover that the proof must be bound to.
    pub prover: Address,
    /// The segment that the proof must be bound to.
    pub segment_index: u32,
    /// The segment's first item.
    pub first: u64,
    /// The segment's items.
    pub count: u64,
    /// The envelope.
    pub proof: Vec<u8>,
}

impl Request {
    /// What the proof must be bound to.
    #[must_use]
    pub fn binding(&self) -> Binding {
        Binding {
            job: self.job,
            program: self.bound_program,
            prover: self.prover,
            segment_index: self.segment_index,
            first: self.first,
            count: self.count,
        }
    }

    /// Reads a body of exactly the header's length.
    ///
    /// # Errors
    /// When the input fails or ends early, or the body is no request.
    pub fn read(input: &mut impl Read, header: Header) -> io::Result<Self> {
        let mut body = Vec::new();
        input.take(header.body_bytes).read_to_end(&mut body)?;
        if body.len() as u64 != header.body_bytes {
            return Err(io::Error::other("the request ends early"));
        }
        borsh::from_slice(&body)
    }
}

/// How the child answers.
#[derive(Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Reply {
    /// The proof holds.
    Verified {
        /// What it says, in the program's own layout.
        public_values: Vec<u8>,
        /// The key that it holds under.
        vk_digest: VkDigest,
        /// What its prover is paid for.
        work_units: WorkUnits,
    },
    /// A completed refusal.
    Refused {
        /// Code of the refusal.
        code: u8,
        /// What is wrong, shortened.
        detail: String,
    },
    /// The verification panicked.
    Panicked {
        /// What the panic said, shortened.
        message: String,
    },
    /// The child has no such program.
    UnknownProgram,
}

impl Reply {
    /// Writes the reply with its length.
    ///
    /// # Errors
    /// When the output fails.
    pub fn write(&self, output: &mut impl Write) -> io::Result<()> {
        let body = borsh::to_vec(self)?;
        output.write_all(&(body.len() as u64).to_be_bytes())?;
        output.write_all(&body)?;
        output.flush()
    }

    /// Reads a whole reply; bytes after it make it invalid.
    ///
    /// # Errors
    /// When the bytes are not exactly one reply.
    pub fn parse(bytes: &[u8]) -> io::Result<Self> {
        let Some((length, body)) = bytes.split_first_chunk::<8>() else {
            return Err(io::Error::other("the reply ends before its length"));
        };
        if u64::from_be_bytes(*length) != body.len() as u64 {
            return Err(io::Error::other("the reply has another length than it says"));
        }
        borsh::from_slice(body)
    }
}

/// The first part of a text, cut at a character's border.
pub(crate) fn shorten(text: &str) -> String {
    text.chars().take(TEXT_BYTES_MAX / 4).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_round_trips_and_refuses_other_builds_and_lengths() {
        let header = Header { memory_bytes: 1 << 30, cpu_seconds: 7, body_bytes: 99 };
        assert_eq!(Header::read(&mut header.to_bytes().as_slice()).expect("own bytes"), header);
        let mut other = header.to_bytes();
        other[7] = 2;
        assert!(Header::read(&mut other.as_slice()).is_err());
        let long = Header { body_bytes: PROOF_BYTES_MAX + BODY_OVERHEAD_BYTES + 1, ..header };
        assert!(Header::read(&mut long.to_bytes().as_slice()).is_err());
    }

    #[test]
    fn reply_refuses_cut_and_trailing_bytes() {
        let reply = Reply::Refused { code: 4, detail: "short".into() };
        let mut bytes = Vec::new();
        reply.write(&mut bytes).expect("a vector takes bytes");
        assert_eq!(Reply::parse(&bytes).expect("own bytes"), reply);
        for length in 0..bytes.len() {
            assert!(Reply::parse(&bytes[..length]).is_err(), "{length}");
        }
        bytes.push(0);
        assert!(Reply::parse(&bytes).is_err());
    }
}
