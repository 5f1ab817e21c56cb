//! The loop: corpus, then changes of it, with what must hold for each.

use std::collections::HashSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::meter::peak_of;
use crate::mutate::{Random, Shape, change};

/// Seed of every run that names none: a push is repeatable.
const SEED: u64 = 0x5eed_0001;
/// Inputs that a run keeps to change; those of the corpus come first.
const POOL_MAX: usize = 4096;
/// Characters that tell one reason of a refusal from another.
const REASON_CHARACTERS: usize = 60;
/// Executions between two looks at the clock of a timed run.
const CLOCK_EVERY: u64 = 256;

/// What a target made of an input.
#[derive(Debug)]
pub enum Outcome {
    /// Taken; the target has checked that it is canonical.
    Accepted,
    /// Refused, and why.
    Refused(String),
}

impl<T, E: std::fmt::Display> From<Result<T, E>> for Outcome {
    fn from(result: Result<T, E>) -> Self {
        result.map_or_else(|error| Self::Refused(error.to_string()), |_| Self::Accepted)
    }
}

/// One decoder or verifier.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name and that of its corpus.
    pub name: &'static str,
    /// What its inputs are.
    pub shape: Shape,
    /// Executions of an untimed run.
    pub executions: u64,
    /// Most bytes that it may hold: so many at least, and so many for each byte of the input.
    pub memory: (usize, usize),
    /// Mends checksums and lengths after half of the changes.
    pub mend: Option<fn(&mut [u8])>,
}

impl Target {
    /// A target that decodes borsh, whose byte vectors and texts begin with up to 1 MiB for whatever
    /// length the input announces.
    #[must_use]
    pub const fn borsh(self) -> Self {
        Self { memory: ((1 << 20) + (128 << 10), 64), ..self }
    }

    /// A target that may hold 64 KiB, and 64 bytes for each byte of its input.
    #[must_use]
    pub const fn new(name: &'static str, shape: Shape, executions: u64) -> Self {
        Self { name, shape, executions, memory: (64 << 10, 64), mend: None }
    }

    /// Replays the corpus and `seeds`, then changes them.
    pub fn run(self, seeds: Vec<Vec<u8>>, run: impl Fn(&[u8]) -> Outcome) {
        let mut pool = corpus(self.name);
        pool.extend(seeds);
        assert!(!pool.is_empty(), "{} has nothing to start from", self.name);
        let mut known = HashSet::new();
        let mut accepted = 0u64;
        for input in &pool {
            let outcome = self.execute(input, &run);
            accepted += u64::from(matches!(outcome, Outcome::Accepted));
            known.insert(reason(&outcome));
        }
        // Without an accepted seed the changes would explore refusals only.
        assert!(accepted > 0, "{}: nothing of the corpus is accepted: {known:?}", self.name);

        let plan = Plan::of_environment(self.executions);
        let began = Instant::now();
        let mut random = Random::new(plan.seed);
        let mut done = 0u64;
        while plan.goes_on(done, began) {
            let (base, other) = (random.below(pool.len()), random.below(pool.len()));
            let mut input = change(&mut random, self.shape, &pool[base], &pool[other]);
            if let Some(mend) = self.mend.filter(|_| random.below(2) == 0) {
                mend(&mut input);
            }
            let outcome = self.execute(&input, &run);
            done += 1;
            accepted += u64::from(matches!(outcome, Outcome::Accepted));
            if known.insert(reason(&outcome)) && pool.len() < POOL_MAX {
                pool.push(input);
            }
        }
        println!(
            "fuzz {}: {done} executions, {accepted} accepted, {} outcomes, seed {:#x}, {:.1} s",
            self.name,
            known.len(),
            plan.seed,
            began.elapsed().as_secs_f64()
        );
    }

    fn execute(&self, input: &[u8], run: &impl Fn(&[u8]) -> Outcome) -> Outcome {
        let (outcome, peak) = peak_of(|| catch_unwind(AssertUnwindSafe(|| run(input))));
        let most = self.memory.0 + self.memory.1 * input.len();
        match outcome {
            Ok(outcome) if peak <= most => outcome,
            Ok(_) => self.fail(input, &format!("it held {peak} bytes, {most} are its bound")),
            Err(_panic) => self.fail(input, "it panicked; the message is above"),
        }
    }

    fn fail(&self, input: &[u8], problem: &str) -> ! {
        let folder = root().join("target/fuzz").join(self.name);
        let name = format!("{:016x}", fingerprint(input));
        let path = folder.join(&name);
        let kept = fs::create_dir_all(&folder).and_then(|()| fs::write(&path, input));
        let head = hex::encode(&input[..input.len().min(64)]);
        panic!(
            "{}: {problem}. Input of {} bytes ({head}..) kept in {} ({kept:?}); mend the target and \
             move the input to tests/fuzz/corpus/{}/",
            self.name,
            input.len(),
            path.display(),
            self.name
        );
    }
}

/// How long a run is and where it starts.
struct Plan {
    seed: u64,
    executions: u64,
    time: Option<Duration>,
}

impl Plan {
    fn of_environment(executions: u64) -> Self {
        let number = |name: &str| {
            let text = std::env::var(name).ok()?;
            Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text}")))
        };
        let time = number("PROOFGRID_FUZZ_SECONDS").map(Duration::from_secs);
        let fresh = || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::from(now.subsec_nanos()) ^ now.as_secs() << 20
        };
        let seed = number("PROOFGRID_FUZZ_SEED");
        let seed = seed.unwrap_or_else(|| if time.is_some() { fresh() } else { SEED });
        Self { seed, executions, time }
    }

    fn goes_on(&self, done: u64, began: Instant) -> bool {
        match self.time {
            None => done < self.executions,
            Some(_) if !done.is_multiple_of(CLOCK_EVERY.min(self.executions)) => true,
            Some(time) => began.elapsed() < time,
        }
    }
}

/// Two refusals are the same if their texts differ in numbers and digests only.
fn reason(outcome: &Outcome) -> String {
    let Outcome::Refused(text) = outcome else { return String::new() };
    let letters = text.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| {
        let is_hex = word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        !word.is_empty() && !is_hex
    });
    letters.collect::<Vec<_>>().join(" ").chars().take(REASON_CHARACTERS).collect()
}

/// FNV-1a: names a kept input.
fn fingerprint(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// The root of the checkout.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The committed inputs of a target, in the order of their names.
#[must_use]
pub fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = root().join("tests/fuzz/corpus").join(name);
    let Ok(entries) = fs::read_dir(&folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let read = |path: &PathBuf| fs::read(path).expect("a file of the corpus is readable");
    paths.iter().map(read).collect()
}
