//! The lies that the hostile node tells.

use proofgrid_core::ids::JobId;

/// One way to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// A prover proves other messages of the same lengths, correctly.
    OtherMessages,
    /// A verifier refuses every proof of jobs whose id is odd.
    RefuseOdd,
    /// A verifier refuses every proof of jobs whose id is even.
    RefuseEven,
}

impl Lie {
    /// The word on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OtherMessages => "other-messages",
            Self::RefuseOdd => "refuse-odd",
            Self::RefuseEven => "refuse-even",
        }
    }

    /// The lie of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::OtherMessages, Self::RefuseOdd, Self::RefuseEven]
            .into_iter()
            .find(|lie| lie.name() == name)
    }

    /// Whether a verifier with this lie refuses the job's proofs.
    #[must_use]
    pub fn refuses(self, job: &JobId) -> bool {
        match self {
            Self::OtherMessages => false,
            Self::RefuseOdd => is_odd(job),
            Self::RefuseEven => !is_odd(job),
        }
    }
}

/// Whether a job's id is an odd number.
#[must_use]
pub fn is_odd(job: &JobId) -> bool {
    job.as_bytes()[JobId::LEN - 1] % 2 == 1
}

/// The same number of messages of the same lengths, each with another first digit.
#[must_use]
pub fn changed_messages(input: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(input);
    let change = |line: &str| {
        let mut digits: Vec<char> = line.chars().collect();
        if let Some(first) = digits.first_mut() {
            *first = if *first == '0' { '1' } else { '0' };
        }
        digits.into_iter().collect::<String>()
    };
    let lines: Vec<String> = text.lines().map(change).collect();
    (lines.join("\n") + "\n").into_bytes()
}
