//! The bytes between a judge and its child, in both directions.

use proofgrid_core::ids::{Address, JobId, ProgramId, VkDigest};
use proofgrid_core::units::WorkUnits;
use proofgrid_judge::wire::{Header, Reply, Request};

use proofgrid_fuzz::{Outcome, Shape, Target};

#[test]
fn judge_replies() {
    let replies = [
        Reply::Verified {
            public_values: vec![7; 40],
            vk_digest: VkDigest::from_bytes([1; 32]),
            work_units: WorkUnits::new(9),
        },
        Reply::Refused { code: 4, detail: "too short".into() },
        Reply::Panicked { message: "out of range".into() },
        Reply::UnknownProgram,
    ];
    let bytes = |reply: &Reply| {
        let mut out = Vec::new();
        reply.write(&mut out).expect("a vector takes bytes");
        out
    };
    let target = Target {
        mend: Some(mend_length),
        ..Target::new("judge-reply", Shape::Bytes, 80_000).borsh()
    };
    target.run(replies.iter().map(bytes).collect(), |input| {
        let parsed = Reply::parse(input);
        if let Ok(reply) = &parsed {
            assert_eq!(bytes(reply), input, "accepted, but it is not canonical");
        }
        Outcome::from(parsed)
    });
}

/// Makes the announced length true.
fn mend_length(bytes: &mut [u8]) {
    let length = bytes.len().saturating_sub(8) as u64;
    if let Some(head) = bytes.first_chunk_mut::<8>() {
        *head = length.to_be_bytes();
    }
}

#[test]
fn judge_requests() {
    let request = Request {
        program: ProgramId::from_bytes([1; 32]),
        job: JobId::from_bytes([2; 32]),
        bound_program: ProgramId::from_bytes([1; 32]),
        prover: Address::from_bytes([3; 20]),
        segment_index: 4,
        first: 5,
        count: 6,
        proof: vec![7; 50],
    };
    let body = borsh::to_vec(&request).expect("a vector takes bytes");
    let header = Header { memory_bytes: 1 << 30, cpu_seconds: 9, body_bytes: body.len() as u64 };
    let seed = [&header.to_bytes()[..], &body].concat();
    Target::new("judge-request", Shape::Bytes, 80_000).borsh().run(vec![seed], |input| {
        let mut rest = input;
        let read = Header::read(&mut rest)
            .and_then(|header| Ok((header, Request::read(&mut rest, header)?)));
        if let Ok((header, request)) = &read {
            let body = borsh::to_vec(request).expect("a vector takes bytes");
            let again = [&header.to_bytes()[..], &body].concat();
            assert!(input.starts_with(&again), "accepted, but it is not canonical");
        }
        Outcome::from(read)
    });
}
