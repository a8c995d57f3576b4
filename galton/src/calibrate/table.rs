//! A profile as a table for people.

use galton_core::profile::{Delay, Profile};

/// The columns behind the name: which share of the values lies at or below.
const COLUMNS: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)];

/// Every delay in microseconds; with the sizes of the samples where they are known.
pub(super) fn table(profile: &Profile, sizes: Option<[usize; 12]>) -> String {
    let mut text = format!("{:16}", "µs");
    text.extend(COLUMNS.map(|(name, _)| format!("{name:>10}")));
    text.push_str(if sizes.is_some() { "         n" } else { "" });
    for (i, (name, delay)) in profile.delays().into_iter().enumerate() {
        text.push_str(&format!("\n{name:16}"));
        text.extend(COLUMNS.map(|(_, share)| value(delay, share)));
        text.extend(sizes.map(|sizes| format!("{:10}", sizes[i])));
    }
    text
}

fn value(delay: &Delay, share: f64) -> String {
    if delay.is_empty() { format!("{:>10}", "-") } else { format!("{:10.1}", delay.at(share, 1.0).0 as f64 / 1e3) }
}

#[cfg(test)]
mod tests {
    use galton_core::profile::Profile;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_delay_has_a_line() {
        let mut value = json!({"schema_version": 1, "machine": "", "measured_unix_ns": 0});
        for name in ["send_lag", "client_to_proxy", "pick", "proxy_to_target", "hold_over", "target_to_proxy"] {
            value[name] = json!([1000, 2000, 3500]);
        }
        for name in ["proxy_to_client", "refusal", "wait_over", "ask", "push", "spawn"] {
            value[name] = json!([]);
        }
        let profile = Profile::from_value(&value).unwrap();
        let text = table(&profile, Some([3; 12]));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 13);
        assert_eq!(lines[0], "µs                     p50       p90       p99       max         n");
        assert_eq!(lines[1], "send_lag               2.0       3.2       3.5       3.5         3");
        assert_eq!(lines[12], "spawn                    -         -         -         -         3");
        assert!(table(&profile, None).lines().all(|line| line.chars().count() == 56));
    }
}
