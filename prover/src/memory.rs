//! What memory a proof may take, so that the worker never dies of it mid-job.
//!
//! Three bounds count: the container's limit (cgroup v1 or v2, the tightest of all ancestors), what
//! the machine says is available, and the owner's own setting. A running proof has reserved its
//! plan's memory and has allocated a part of it; only the part that is still to come is taken off
//! what is free now. What the process holds beyond its reservations is what the allocator kept of an
//! earlier proof for the next one, and is free for it.

use std::fs;
use std::path::{Path, PathBuf};

use proofgrid_core::units::ByteCount;
use thiserror::Error;

/// Why a task was not admitted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "the task needs {needed}, {free} are free for proofs of {capacity}; \
     raise memory_bytes_max, or give the machine more memory"
)]
pub struct DoesNotFit {
    /// Memory of the task's plan and input.
    pub needed: ByteCount,
    /// What is free for it now.
    pub free: ByteCount,
    /// What is free when nothing runs.
    pub capacity: ByteCount,
}

/// Why the machine's memory could not be read.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// A file of the kernel is missing.
    #[error("cannot read {path}: {source}; the worker needs Linux's /proc")]
    Read {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: std::io::Error,
    },
    /// A file of the kernel has another form than documented.
    #[error("{path} has no {field}; this kernel is not supported")]
    Field {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        field: &'static str,
    },
}

/// The machine's memory at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// What this process could ever have: the machine's or the container's.
    pub total: ByteCount,
    /// What can be allocated now without reclaiming anybody's pages.
    pub available: ByteCount,
    /// What this process holds.
    pub resident: ByteCount,
}

/// Where the kernel's files lie.
#[derive(Debug, Clone)]
pub struct Probe {
    proc_dir: PathBuf,
    cgroup_dir: PathBuf,
}

impl Default for Probe {
    fn default() -> Self {
        Self::new("/proc".into(), "/sys/fs/cgroup".into())
    }
}

impl Probe {
    /// A probe of these mount points.
    #[must_use]
    pub const fn new(proc_dir: PathBuf, cgroup_dir: PathBuf) -> Self {
        Self { proc_dir, cgroup_dir }
    }

    /// Reads the machine's memory and the container's limits.
    ///
    /// # Errors
    /// [`ProbeError`] if `/proc` is missing or has another form; a missing cgroup is no error.
    pub fn read(&self) -> Result<Reading, ProbeError> {
        let meminfo = self.proc_dir.join("meminfo");
        let text = read(&meminfo)?;
        let mut total = kib_field(&text, "MemTotal:", &meminfo)?;
        let mut available = kib_field(&text, "MemAvailable:", &meminfo)?;
        let status = self.proc_dir.join("self/status");
        let resident = kib_field(&read(&status)?, "VmRSS:", &status)?;
        for (limit, used) in self.cgroups() {
            total = total.min(limit);
            available = available.min(limit.saturating_sub(used));
        }
        Ok(Reading { total, available, resident })
    }

    /// Limit and use of every cgroup that this process lies in and that has a limit.
    fn cgroups(&self) -> Vec<(ByteCount, ByteCount)> {
        let Ok(list) = fs::read_to_string(self.proc_dir.join("self/cgroup")) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for line in list.lines() {
            let mut fields = line.splitn(3, ':');
            let (_, Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let path = path.trim_start_matches('/');
            if controllers.is_empty() {
                let files = ["memory.max", "memory.current"];
                found.extend(limits_above(&self.cgroup_dir, path, files));
            } else if controllers.split(',').any(|name| name == "memory") {
                let root = self.cgroup_dir.join("memory");
                let files = ["memory.limit_in_bytes", "memory.usage_in_bytes"];
                found.extend(limits_above(&root, path, files));
            }
        }
        found
    }
}

/// Limit and use of a cgroup and all its ancestors. Inside a container the path may not exist below
/// the mount; the mount itself then is the container's own group.
fn limits_above(
    root: &Path,
    path: &str,
    [limit_file, used_file]: [&str; 2],
) -> Vec<(ByteCount, ByteCount)> {
    let leaf = root.join(path);
    let limits = leaf.ancestors().take_while(|dir| dir.starts_with(root)).filter_map(|dir| {
        // "max" does not parse: no limit at this level.
        let number = |file| fs::read_to_string(dir.join(file)).ok()?.trim().parse::<u64>().ok();
        let (limit, used) = (number(limit_file)?, number(used_file)?);
        let used = used.saturating_sub(reclaimable(&dir.join("memory.stat")));
        Some((ByteCount::new(limit), ByteCount::new(used)))
    });
    limits.collect()
}

/// File pages that the kernel gives up first; they count as used but are free to take.
fn reclaimable(stat: &Path) -> u64 {
    let text = fs::read_to_string(stat).unwrap_or_default();
    let field = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok())
    };
    field("total_inactive_file ").or_else(|| field("inactive_file ")).unwrap_or(0)
}

fn read(path: &Path) -> Result<String, ProbeError> {
    fs::read_to_string(path).map_err(|source| ProbeError::Read { path: path.into(), source })
}

fn kib_field(text: &str, field: &'static str, path: &Path) -> Result<ByteCount, ProbeError> {
    text.lines()
        .find_map(|line| line.strip_prefix(field)?.trim().strip_suffix("kB"))
        .and_then(|number| number.trim().parse::<u64>().ok())
        .map(|kib| ByteCount::new(kib.saturating_mul(1024)))
        .ok_or(ProbeError::Field { path: path.into(), field })
}

/// Decides which tasks fit. One owner; reservations are returned by [`MemoryGate::release`].
#[derive(Debug)]
pub struct MemoryGate {
    probe: Probe,
    reserve: ByteCount,
    /// What the process held before the first proof.
    baseline: ByteCount,
    capacity: ByteCount,
    reserved: ByteCount,
}

impl MemoryGate {
    /// A gate over this machine.
    ///
    /// # Errors
    /// [`ProbeError`] if the machine's memory cannot be read.
    pub fn new(
        probe: Probe,
        max: Option<ByteCount>,
        reserve: ByteCount,
    ) -> Result<Self, ProbeError> {
        let reading = probe.read()?;
        let whole = reading.total.saturating_sub(reserve).saturating_sub(reading.resident);
        Ok(Self {
            probe,
            reserve,
            baseline: reading.resident,
            capacity: max.map_or(whole, |max| whole.min(max)),
            reserved: ByteCount::ZERO,
        })
    }

    /// Memory for proofs when nothing runs.
    #[must_use]
    pub const fn capacity(&self) -> ByteCount {
        self.capacity
    }

    /// Reserves memory for a task.
    ///
    /// # Errors
    /// [`DoesNotFit`] if the task's plan is above what is free. If the machine cannot be read
    /// any more, nothing is free.
    pub fn admit(&mut self, needed: ByteCount) -> Result<(), DoesNotFit> {
        let free = self.free_now();
        if needed > free {
            return Err(DoesNotFit { needed, free, capacity: self.capacity });
        }
        self.reserved = self.reserved.saturating_add(needed);
        Ok(())
    }

    /// Gives a reservation back.
    pub fn release(&mut self, reserved: ByteCount) {
        self.reserved = self.reserved.saturating_sub(reserved);
    }

    /// Memory for one more task now; nothing if the machine cannot be read any more.
    #[must_use]
    pub fn free_now(&self) -> ByteCount {
        match self.probe.read() {
            Ok(reading) => self.free(&reading),
            Err(error) => {
                tracing::error!(%error, "the machine's memory cannot be read");
                ByteCount::ZERO
            }
        }
    }

    fn free(&self, reading: &Reading) -> ByteCount {
        let allocated = reading.resident.saturating_sub(self.baseline);
        let now = reading.available.saturating_add(allocated);
        let now = now.saturating_sub(self.reserve).saturating_sub(self.reserved);
        now.min(self.capacity.saturating_sub(self.reserved))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    struct Machine {
        dir: tempfile::TempDir,
    }

    impl Machine {
        fn new(total: u64, available: u64, resident: u64, cgroup: &str) -> Self {
            let dir = tempfile::tempdir().expect("a directory");
            fs::create_dir_all(dir.path().join("proc/self")).expect("proc");
            let machine = Self { dir };
            machine.set(total, available, resident);
            machine.write("proc/self/cgroup", cgroup);
            machine
        }

        fn set(&self, total: u64, available: u64, resident: u64) {
            let meminfo = format!(
                "MemTotal: {} kB\nMemFree: 1 kB\nMemAvailable: {} kB\n",
                total / 1024,
                available / 1024
            );
            self.write("proc/meminfo", &meminfo);
            self.write("proc/self/status", &format!("Name: x\nVmRSS:\t{} kB\n", resident / 1024));
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.dir.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
            fs::write(path, text).expect("written");
        }

        fn probe(&self) -> Probe {
            Probe::new(self.dir.path().join("proc"), self.dir.path().join("cgroup"))
        }
    }

    fn gib(count: u64) -> ByteCount {
        ByteCount::new(count * GIB)
    }

    #[test]
    fn the_real_machine_can_be_read() {
        let reading = Probe::default().read().expect("this machine");
        assert!(reading.resident > ByteCount::ZERO);
        assert!(reading.total >= reading.available);
    }

    #[test]
    fn without_limits_the_machine_counts() {
        let machine = Machine::new(16 * GIB, 12 * GIB, 0, "0::/\n");
        let reading = machine.probe().read().expect("a reading");
        assert_eq!((reading.total, reading.available), (gib(16), gib(12)));
    }

    #[test]
    fn the_tightest_ancestor_of_a_v2_group_counts_and_file_pages_do_not() {
        let machine = Machine::new(64 * GIB, 60 * GIB, 0, "0::/pod/worker\n");
        machine.write("cgroup/pod/memory.max", &format!("{}\n", 8 * GIB));
        machine.write("cgroup/pod/memory.current", &format!("{}\n", 5 * GIB));
        machine.write("cgroup/pod/memory.stat", &format!("anon 1\ninactive_file {GIB}\n"));
        machine.write("cgroup/pod/worker/memory.max", "max\n");
        machine.write("cgroup/pod/worker/memory.current", "1\n");
        let reading = machine.probe().read().expect("a reading");
        assert_eq!((reading.total, reading.available), (gib(8), gib(4)));
    }

    #[test]
    fn a_v1_group_counts_also_when_its_path_is_not_mounted() {
        let machine = Machine::new(64 * GIB, 60 * GIB, 0, "4:cpu:/x\n5:memory:/docker/abc\n");
        machine.write("cgroup/memory/memory.limit_in_bytes", &format!("{}\n", 6 * GIB));
        machine.write("cgroup/memory/memory.usage_in_bytes", &format!("{GIB}\n"));
        let reading = machine.probe().read().expect("a reading");
        assert_eq!((reading.total, reading.available), (gib(6), gib(5)));
    }

    #[test]
    fn a_task_above_what_is_free_is_refused_with_the_figures() {
        let machine = Machine::new(16 * GIB, 8 * GIB, GIB, "0::/\n");
        let mut gate = MemoryGate::new(machine.probe(), None, gib(1)).expect("a gate");
        assert_eq!(gate.capacity(), gib(14));
        assert_eq!(
            gate.admit(gib(8)),
            Err(DoesNotFit { needed: gib(8), free: gib(7), capacity: gib(14) })
        );
        assert_eq!(gate.admit(gib(7)), Ok(()));
    }

    #[test]
    fn what_a_running_proof_has_still_to_take_is_not_free() {
        let machine = Machine::new(16 * GIB, 12 * GIB, 0, "0::/\n");
        let mut gate = MemoryGate::new(machine.probe(), None, ByteCount::ZERO).expect("a gate");
        assert_eq!(gate.admit(gib(6)), Ok(()));
        assert_eq!(gate.admit(gib(7)).expect_err("six are spoken for").free, gib(6));
        // Four of the six are allocated now: they left `available` and stay counted once.
        machine.set(16 * GIB, 8 * GIB, 4 * GIB);
        assert_eq!(gate.admit(gib(7)).expect_err("still six").free, gib(6));
        gate.release(gib(6));
        machine.set(16 * GIB, 12 * GIB, 0);
        assert_eq!(gate.admit(gib(12)), Ok(()));
    }

    #[test]
    fn what_the_allocator_kept_of_an_earlier_proof_is_free_for_the_next() {
        let machine = Machine::new(16 * GIB, 12 * GIB, 0, "0::/\n");
        let mut gate = MemoryGate::new(machine.probe(), None, ByteCount::ZERO).expect("a gate");
        assert_eq!(gate.admit(gib(8)), Ok(()));
        machine.set(16 * GIB, 4 * GIB, 8 * GIB);
        gate.release(gib(8));
        assert_eq!(gate.admit(gib(12)), Ok(()));
        assert_eq!(gate.free_now(), ByteCount::ZERO);
    }

    #[test]
    fn the_owners_bound_counts_all_running_tasks_together() {
        let machine = Machine::new(64 * GIB, 60 * GIB, 0, "0::/\n");
        let mut gate =
            MemoryGate::new(machine.probe(), Some(gib(4)), ByteCount::ZERO).expect("a gate");
        assert_eq!(gate.admit(gib(3)), Ok(()));
        assert_eq!(gate.admit(gib(2)).expect_err("one is left").free, gib(1));
    }

    #[test]
    fn a_machine_that_cannot_be_read_admits_nothing() {
        let machine = Machine::new(16 * GIB, 8 * GIB, 0, "0::/\n");
        let mut gate = MemoryGate::new(machine.probe(), None, ByteCount::ZERO).expect("a gate");
        fs::remove_file(machine.dir.path().join("proc/meminfo")).expect("removed");
        assert!(gate.admit(ByteCount::new(1)).is_err());
    }
}
