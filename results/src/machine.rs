//! What the conductor knows of the machine and of the calendar.

use galton_report::HostInfo;
use jiff::Timestamp;

/// The machine, for the report.
pub fn host_info() -> HostInfo {
    let uname = rustix::system::uname();
    let kernel = format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy());
    let cpus = std::thread::available_parallelism().map_or(0, |n| n.get() as u32);
    HostInfo { cpus, kernel, cpu_model: cpu_model().unwrap_or_default() }
}

/// The machine in a line, for people and for a comparison.
pub fn description() -> String {
    let HostInfo { cpus, kernel, cpu_model } = host_info();
    let model = if cpu_model.is_empty() { "unknown processor" } else { &cpu_model };
    format!("{model}, {cpus} {}, {kernel}", if cpus == 1 { "cpu" } else { "cpus" })
}

fn cpu_model() -> Option<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Wall-clock time.
pub fn wall_clock() -> Timestamp {
    Timestamp::now()
}

/// Nanoseconds since 1970.
pub fn unix_ns(at: Timestamp) -> u64 {
    at.as_nanosecond().try_into().unwrap_or(0)
}

/// `2026-11-21T03:15:00Z`, of nanoseconds since 1970.
pub fn time_of(unix_ns: u64) -> String {
    let at = Timestamp::from_nanosecond(unix_ns.into()).unwrap_or(Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `20261121T031500Z`: sorts by time, and is a file name everywhere.
pub fn file_name(at: Timestamp) -> String {
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_make_file_names() {
        assert_eq!(file_name(Timestamp::from_second(951_782_400).unwrap()), "20000229T000000Z");
    }
}
