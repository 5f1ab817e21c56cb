//! The long checks of the journal's engines: `make soak`.
//!
//! For sled and redb in turn a child process appends a million records while it truncates all but
//! the newest, so that memory and disk should stop growing; then it is killed and the journal is
//! opened again. If `fiu-run` (Debian's fiu-utils) is installed, more children append while system
//! calls on files fail at random. The end is a table; the exit code is 1 if the default engine
//! misses a line of it.

#![allow(clippy::expect_used, reason = "a check that cannot run says why and stops")]

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use proofgrid_store::journal::{EngineKind, Journal, JournalConfig, JournalError, Sequence};

/// Records that are appended unless the command line says another number.
const RECORDS: u64 = 1_000_000;
/// Bytes of a record: a large fact.
const RECORD_BYTES: usize = 300;
/// Newest records that a truncation keeps: the live part of the journal.
const KEPT: u64 = 100_000;
/// Records between two truncations.
const TRUNCATE_EVERY: u64 = 20_000;
/// Records of one append, and appends in flight: group commits of 128 records.
const APPEND_RECORDS: u64 = 2;
const IN_FLIGHT: usize = 64;
/// Records between two looks at memory and disk.
const SAMPLE_EVERY: u64 = 10_000;
/// Most resident memory; the engine's cache is 32 MiB.
const MEMORY_MIB_MAX: u64 = 256;
/// Most that memory may grow over the second half.
const MEMORY_GROWTH_MIB_MAX: u64 = 32;
/// Most disk for each byte that is kept.
const DISK_PER_LIVE_BYTE_MAX: f64 = 8.0;
/// Most disk at the end for each byte at half-time.
const DISK_GROWTH_MAX: f64 = 1.25;
/// Longest time to open after a kill.
const REOPEN_MAX: Duration = Duration::from_secs(1);
/// Children per engine and fault.
const FAULT_ROUNDS: u64 = 20;
/// Records that a child appends at most while calls fail.
const FAULT_RECORDS: u64 = 20_000;
/// System calls that fail, how often, and with which code.
const FAULTS: [(&str, &str); 4] = [
    ("EIO of fsync", "posix/io/sync/*,probability=0.01,failinfo=5"),
    ("EIO of write", "posix/io/rw/pwrite,probability=0.002,failinfo=5"),
    ("ENOSPC of write", "posix/io/rw/pwrite,probability=0.002,failinfo=28"),
    ("EIO of read", "posix/io/rw/pread,probability=0.02,failinfo=5"),
];

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["child", engine, directory, records] => child(engine, directory, records),
        [] => soak(RECORDS),
        [records] => records.parse().map_err(Failure::from).and_then(soak),
        _ => Err("use: soak [RECORDS]".into()),
    };
    result.unwrap_or_else(|error| {
        println!("failed {error}");
        ExitCode::from(5)
    })
}

fn payload(sequence: u64) -> Vec<u8> {
    // Half of it repeats, as in facts; the rest does not compress.
    let mut state = sequence;
    let noise = std::iter::repeat_with(move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    });
    noise.take(RECORD_BYTES / 2).chain(std::iter::repeat_n(0x5a, RECORD_BYTES / 2)).collect()
}

fn config(engine: EngineKind, directory: &Path) -> JournalConfig {
    JournalConfig { engine, ..JournalConfig::new(directory) }
}

/// Appends and truncates; says `durable N`, `sample RECORDS RSS DISK` and at the end the median and
/// the slowest hundredth of its commits in microseconds, then waits to be killed.
fn child(engine: &str, directory: &str, records: &str) -> Result<ExitCode, Failure> {
    let (engine, directory, records) = (engine.parse()?, Path::new(directory), records.parse()?);
    let journal = Journal::open(&config(engine, directory))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
    let mut commits = runtime.block_on(append(&journal, directory, records))?;
    commits.sort_unstable();
    let quantile = |hundredths| commits.get(commits.len() * hundredths / 100).unwrap_or(&0);
    println!("done {} {}", quantile(50), quantile(99));
    // The parent kills; at its own end the pipe closes.
    std::io::stdin().read_line(&mut String::new())?;
    std::process::exit(0)
}

/// Returns how long commits took, in microseconds.
async fn append(journal: &Journal, directory: &Path, records: u64) -> Result<Vec<u64>, Failure> {
    let (mut acks, mut commits) = (VecDeque::new(), Vec::new());
    let mut next = journal.stats().last_sequence + 1;
    let last = next + records;
    while next < last || !acks.is_empty() {
        if next < last && acks.len() < IN_FLIGHT {
            let group = (next..next + APPEND_RECORDS).map(payload).collect();
            next += APPEND_RECORDS;
            acks.push_back(journal.append(group).await?);
            continue;
        }
        let Some(ack) = acks.pop_front() else { break };
        let durable = ack.await?.last.get();
        println!("durable {durable}");
        commits.push(journal.stats().last_commit_micros);
        if durable.is_multiple_of(TRUNCATE_EVERY) {
            journal.truncate_before(Sequence::new(durable.saturating_sub(KEPT).max(1))).await?;
        }
        if durable.is_multiple_of(SAMPLE_EVERY) {
            println!("sample {durable} {} {}", resident_mib()?, disk_bytes(directory)?);
        }
    }
    Ok(commits)
}

fn resident_mib() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib >> 10)
}

/// What the directory occupies, not how long its files claim to be.
fn disk_bytes(directory: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        bytes += match entry.metadata() {
            Ok(meta) if meta.is_dir() => disk_bytes(&entry.path())?,
            Ok(meta) => meta.blocks() * 512,
            // Removed by the engine between the listing and the look.
            Err(_gone) => 0,
        };
    }
    Ok(bytes)
}

#[derive(Clone, Copy, Default)]
struct Sample {
    records: u64,
    memory_mib: u64,
    disk_bytes: u64,
}

#[derive(Default)]
struct Heard {
    durable: u64,
    samples: Vec<Sample>,
    failed: Option<String>,
    /// Median and slowest hundredth of the commits, in microseconds.
    done: Option<[u64; 2]>,
}

/// Runs a child until it has nothing more to say, and kills it.
fn run(mut command: Command, arguments: [&str; 3]) -> Result<Heard, Failure> {
    let mut child = command
        .arg("child")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut heard = Heard::default();
    for line in BufReader::new(child.stdout.take().expect("a pipe")).lines() {
        let line = line?;
        let numbers: Vec<u64> = line.split(' ').skip(1).map_while(|n| n.parse().ok()).collect();
        match (line.split(' ').next(), numbers.as_slice()) {
            (Some("durable"), [durable]) => heard.durable = *durable,
            (Some("sample"), [records, memory_mib, disk_bytes]) => heard.samples.push(Sample {
                records: *records,
                memory_mib: *memory_mib,
                disk_bytes: *disk_bytes,
            }),
            // It may hang at its end, as an engine on a failed disk does: it is killed as well.
            (Some("failed"), _) => {
                heard.failed = Some(line);
                break;
            }
            (Some("done"), [median, slow]) => {
                heard.done = Some([*median, *slow]);
                break;
            }
            _ => {}
        }
    }
    child.kill()?;
    child.wait()?;
    Ok(heard)
}

/// One line of the table.
struct Line {
    what: String,
    found: String,
    limit: String,
    is_met: bool,
}

impl Line {
    fn new(what: &str, found: String, limit: impl Into<String>, is_met: bool) -> Self {
        Self { what: what.to_owned(), found, limit: limit.into(), is_met }
    }
}

fn soak(records: u64) -> Result<ExitCode, Failure> {
    let mut is_default_good = true;
    for engine in [EngineKind::Sled, EngineKind::Redb] {
        println!("\n{}: {records} records of {RECORD_BYTES} bytes, {KEPT} kept", engine.name());
        for part in [fill, faults] {
            for Line { what, found, limit, is_met } in part(engine, records)? {
                let verdict = if is_met { "ok" } else { "MISSED" };
                println!("  {what:<28} {found:>32}   {limit:<40} {verdict}");
                is_default_good &= is_met || engine != EngineKind::DEFAULT;
            }
        }
    }
    Ok(if is_default_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn fill(engine: EngineKind, records: u64) -> Result<Vec<Line>, Failure> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().to_string_lossy().into_owned();
    let begin = Instant::now();
    let command = Command::new(std::env::current_exe()?);
    let heard = run(command, [engine.name(), &path, &records.to_string()])?;
    let seconds = begin.elapsed().as_secs_f64();
    let Some(commits) = heard.done else {
        return Err(format!("{} ended early: {:?}", engine.name(), heard.failed).into());
    };
    let begin = Instant::now();
    let journal = Journal::open(&config(engine, directory.path()))?;
    let reopen = begin.elapsed();
    let found = replay(&journal)?;
    Ok(lines(&heard, found, seconds, commits, reopen))
}

/// The newest record of a journal whose every record is whole and as it was written.
fn replay(journal: &Journal) -> Result<u64, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let last = runtime.block_on(journal.replay(journal.first_sequence()).try_fold(
        0,
        |_, record| async move {
            let place = record.sequence.get();
            // A record that is whole but other than written is the worst of all outcomes.
            assert_eq!(record.payload, payload(place), "{place}");
            Ok::<_, JournalError>(place)
        },
    ))?;
    Ok(last)
}

/// What was measured against its limits.
fn lines(
    heard: &Heard,
    found: u64,
    seconds: f64,
    [median, slow]: [u64; 2],
    reopen: Duration,
) -> Vec<Line> {
    let half = heard.samples.get(heard.samples.len() / 2).copied().unwrap_or_default();
    let last = heard.samples.last().copied().unwrap_or_default();
    let memory = heard.samples.iter().map(|sample| sample.memory_mib).max().unwrap_or(0);
    let disk = heard.samples.iter().map(|sample| sample.disk_bytes).max().unwrap_or(0);
    let memory_growth = last.memory_mib.saturating_sub(half.memory_mib);
    let live = (KEPT + TRUNCATE_EVERY).min(last.records.max(1)) * RECORD_BYTES as u64;
    let disk_ratio = disk as f64 / live as f64;
    let disk_growth = last.disk_bytes as f64 / half.disk_bytes.max(1) as f64;
    let lost = heard.durable.saturating_sub(found);
    let rate = last.records as f64 / seconds;
    vec![
        Line::new("records per second", format!("{rate:.0}"), "", true),
        Line::new("commit, median and p99", format!("{median} us, {slow} us"), "", true),
        Line::new(
            "memory, most",
            format!("{memory} MiB"),
            format!("<= {MEMORY_MIB_MAX} MiB"),
            memory <= MEMORY_MIB_MAX,
        ),
        Line::new(
            "memory, second half",
            format!("+{memory_growth} MiB"),
            format!("<= +{MEMORY_GROWTH_MIB_MAX} MiB"),
            memory_growth <= MEMORY_GROWTH_MIB_MAX,
        ),
        Line::new(
            "disk, most",
            format!("{} MiB = {disk_ratio:.1} x live", disk >> 20),
            format!("<= {DISK_PER_LIVE_BYTE_MAX} x live"),
            disk_ratio <= DISK_PER_LIVE_BYTE_MAX,
        ),
        Line::new(
            "disk, end against half-time",
            format!("{disk_growth:.2} x"),
            format!("<= {DISK_GROWTH_MAX} x"),
            disk_growth <= DISK_GROWTH_MAX,
        ),
        Line::new(
            "open after kill -9",
            format!("{} ms", reopen.as_millis()),
            format!("<= {} ms", REOPEN_MAX.as_millis()),
            reopen <= REOPEN_MAX,
        ),
        Line::new("acknowledged and lost", lost.to_string(), "0", lost == 0),
    ]
}

/// Children whose system calls fail; each must lose nothing that it acknowledged.
fn faults(engine: EngineKind, records: u64) -> Result<Vec<Line>, Failure> {
    if Command::new("fiu-run")
        .arg("-h")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_err()
    {
        println!(
            "  fiu-run is not installed: no system calls were made to fail (Debian: fiu-utils)"
        );
        return Ok(Vec::new());
    }
    let records = records.min(FAULT_RECORDS);
    let mut lines = Vec::new();
    for (what, points) in FAULTS {
        let (mut acknowledged, mut lost, mut silent, mut refused) = (0, 0, 0, 0);
        for _ in 0..FAULT_ROUNDS {
            let directory = tempfile::tempdir()?;
            let path = directory.path().to_string_lossy().into_owned();
            let mut command = Command::new("fiu-run");
            command.args(["-x", "-c", &format!("enable_random name={points}")]);
            command.arg(std::env::current_exe()?);
            let heard = run(command, [engine.name(), &path, &records.to_string()])?;
            acknowledged += heard.durable;
            silent += u64::from(heard.done.is_none() && heard.failed.is_none());
            match Journal::open(&config(engine, directory.path())).map_err(Failure::from) {
                Ok(journal) => match replay(&journal) {
                    Ok(found) => lost += heard.durable.saturating_sub(found),
                    Err(_damaged) => refused += 1,
                },
                Err(_refused) => refused += 1,
            }
        }
        lines.push(Line::new(
            what,
            format!("{acknowledged} acknowledged, {lost} lost"),
            format!("0 lost; {refused} unreadable, {silent} died unsaid"),
            lost == 0 && refused == 0 && silent == 0,
        ));
    }
    Ok(lines)
}
