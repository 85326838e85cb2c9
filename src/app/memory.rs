//! The memory of this machine, or of its container.

const LEAST: u64 = 256 << 20;

/// A quarter of the memory, at least 256 MiB; `None` where the kernel does not say how much there is.
pub(crate) fn quarter_of_machine() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let machine = total_of(&read("/proc/meminfo")?)?;
    // A container's limit; the text is `max` where there is none.
    let container = read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse().ok());
    Some((container.map_or(machine, |limit: u64| limit.min(machine)) / 4).max(LEAST))
}

/// MemTotal of /proc/meminfo, in bytes.
fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_read_in_bytes() {
        assert_eq!(total_of("MemTotal:       24632680 kB\nMemFree: 1 kB\n"), Some(24_632_680 * 1024));
        assert_eq!(total_of("MemFree: 1 kB\n"), None);
        assert_eq!(total_of("MemTotal: many\n"), None);
    }
}
