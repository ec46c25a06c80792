//! Whether anything can be swapped, and whether a value could be among it.

use super::agent::Status;
use crate::finding::Finding;

const SUBJECT: &str = "swap";
/// One line a swap area, after a line of titles. Source: proc(5).
const SWAPS: &str = "/proc/swaps";

/// Looks and judges.
pub(super) fn check(status: Option<&Status>) -> Vec<Finding> {
    match std::fs::read_to_string(SWAPS) {
        Ok(text) => judge(&areas(&text), status),
        Err(cause) => vec![Finding::unchecked(SUBJECT, format!("cannot read {SWAPS}: {cause}"))],
    }
}

/// The swap areas of `text`.
fn areas(text: &str) -> Vec<&str> {
    text.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect()
}

fn judge(areas: &[&str], status: Option<&Status>) -> Vec<Finding> {
    if areas.is_empty() {
        return vec![Finding::ok(SUBJECT, "there is none")];
    }
    let on = format!("is on ({})", areas.join(", "));
    let Some(status) = status else {
        return vec![Finding::unchecked(SUBJECT, format!("{on}; whether values can get there only the agent knows"))];
    };
    let mut findings = Vec::new();
    if status.protection == "swappable" {
        findings.push(Finding::warning(
            SUBJECT,
            format!("{on}, and the file systems of containers may be swapped: values can be written to it"),
            "swapoff -a, or encrypt it with a key of this boot; allow-swap = false refuses such containers",
        ));
    }
    if !(status.memory.arena_locked && status.memory.all_locked) {
        let what = if status.memory.arena_locked { "memory that requests pass through" } else { "memory with values" };
        findings.push(Finding::warning(
            SUBJECT,
            format!("{on}, and {what} of the agent is not locked: values can be written to it"),
            "give the agent CAP_IPC_LOCK and LimitMEMLOCK=infinity, as the unit file that comes with it does",
        ));
    }
    if findings.is_empty() {
        let text = format!(
            "{on}, and no value gets there: containers have {}, the agent's memory is locked",
            status.protection
        );
        findings.push(Finding::ok(SUBJECT, text));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::agent::tests::status;
    use super::*;
    use crate::finding::Level;

    const ONE: &str = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/zram0 partition\t8388604\t0\t-2\n";

    fn levels(text: &str, status: Option<&Status>) -> Vec<Level> {
        judge(&areas(text), status).iter().map(Finding::level).collect()
    }

    #[test]
    fn swap_matters_where_something_of_ours_can_be_swapped() {
        let mut told = status();
        assert_eq!(areas(ONE), ["/dev/zram0"]);
        assert_eq!(levels(ONE, Some(&told)), [Level::Ok]);
        told.memory.all_locked = false;
        assert_eq!(levels(ONE, Some(&told)), [Level::Warning]);
        told.protection = "swappable".to_owned();
        assert_eq!(levels(ONE, Some(&told)), [Level::Warning, Level::Warning]);
        assert_eq!(levels(ONE, None), [Level::Unchecked]);
        // Without swap nothing of it matters.
        assert_eq!(levels("Filename Type\n", Some(&told)), [Level::Ok]);
        assert_eq!(levels("", None), [Level::Ok]);
    }
}
