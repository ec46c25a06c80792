//! Figures: medians, and what the kernel says of a process.

use std::time::Duration;

/// The median, in milliseconds.
pub fn milliseconds(times: &[Duration]) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1000.0
}

/// The resident memory of the process `pid`, in KiB.
pub fn resident(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    field(&status, "VmRSS:")
}

/// How many descriptors the process `pid` has.
pub fn descriptors(pid: i32) -> u64 {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() as u64
}

/// What all file systems in RAM and all shared memory of the machine take, in KiB.
pub fn shared_memory() -> u64 {
    field(&std::fs::read_to_string("/proc/meminfo").unwrap(), "Shmem:")
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
