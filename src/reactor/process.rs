//! What the system says of this process: memory, descriptors, time on processors.
//!
//! Read when somebody asks for numbers, by files that the system makes up on the spot. What a system does not tell, or tells
//! only after counting a million descriptors one by one, is left out.

use super::tables::Tables;
use std::fs;

/// The numbers; `None` where they are not known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Process {
    /// Memory in use that is not swapped out.
    pub(super) resident_bytes: Option<u64>,
    /// Time on processors, in hundredths of seconds.
    pub(super) cpu_ticks: Option<u64>,
    pub(super) open_descriptors: Option<u64>,
    pub(super) max_descriptors: Option<u64>,
}

impl Process {
    /// As it is now, with these descriptor tables beside its first.
    pub(super) fn read(tables: &Tables) -> Process {
        let text = |path| fs::read_to_string(path).ok();
        Process {
            resident_bytes: text("/proc/self/status").as_deref().and_then(resident_bytes),
            cpu_ticks: text("/proc/self/stat").as_deref().and_then(cpu_ticks),
            open_descriptors: tables.open_descriptors(),
            max_descriptors: rlimit::Resource::NOFILE.get_soft().ok().map(|each| each.saturating_mul(1 + tables.count() as u64)),
        }
    }
}

/// `VmRSS:      1234 kB`
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim_end().parse::<u64>().ok()?.checked_mul(1_024)
}

/// The name of the program stands in parentheses and may hold anything; 12 and 13 fields behind it are the times in the
/// program and in the system, a hundredth of a second each.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let (user, system) = (fields.next()?.parse::<u64>().ok()?, fields.next()?.parse::<u64>().ok()?);
    user.checked_add(system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_files_are_read_whatever_the_program_is_called() {
        assert_eq!(resident_bytes("Name:\tx\nVmHWM:\t 9 kB\nVmRSS:\t    1234 kB\n"), Some(1_234 * 1_024));
        assert_eq!(resident_bytes("Name:\tVmRSS\n"), None);
        let stat = "7 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20";
        assert_eq!(cpu_ticks(stat), Some(200));
        for broken in ["", "7 (x", "7 (x) S 1 2", "7 (x) S 1 2 3 4 5 6 7 8 9 10 a 50"] {
            assert_eq!(cpu_ticks(broken), None, "{broken:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory_and_descriptors() {
        let process = Process::read(&Tables::default());
        assert!(process.resident_bytes.is_some_and(|bytes| bytes > 1 << 20));
        assert!(process.open_descriptors.is_none_or(|open| open >= 3));
        assert!(process.max_descriptors >= process.open_descriptors);
    }
}
