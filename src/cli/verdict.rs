//! What `doctor` makes of its findings: how they are shown, and the exit status.

use std::process::ExitCode;

use super::args::DoctorFormat;
use super::format::aligned;
use super::report::Report;
use crate::finding::{Finding, Level};

/// Errors were found.
const BROKEN: u8 = 1;
/// Warnings were found, and no errors.
const DOUBTFUL: u8 = 2;

/// Shows `findings` and concludes.
pub(super) fn conclude(format: DoctorFormat, findings: &[Finding], report: &mut Report) {
    show(format, findings, report);
    report.conclude(verdict(findings));
}

fn show(format: DoctorFormat, findings: &[Finding], report: &mut Report) {
    let text = match format {
        DoctorFormat::Json => serde_json::to_string_pretty(findings).unwrap_or_default() + "\n",
        DoctorFormat::Text => {
            let row = |finding: &Finding| format!("{}\t{}\t{finding}\n", finding.level(), finding.subject());
            aligned(&findings.iter().map(row).collect::<String>())
        }
    };
    report.text(&text);
}

/// The exit status by the worst finding.
fn verdict(findings: &[Finding]) -> ExitCode {
    match findings.iter().map(Finding::level).max() {
        Some(Level::Error) => ExitCode::from(BROKEN),
        Some(Level::Warning) => ExitCode::from(DOUBTFUL),
        _ => ExitCode::SUCCESS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_decides() {
        let code = |findings: &[Finding]| format!("{:?}", verdict(findings));
        let (note, warning, error) =
            (Finding::note("a", ""), Finding::warning("a", "", ""), Finding::error("a", "", ""));
        let same = |code: u8| format!("{:?}", ExitCode::from(code));
        assert_eq!(code(&[]), same(0));
        assert_eq!(code(&[note.clone(), Finding::unchecked("a", "")]), same(0));
        assert_eq!(code(&[warning.clone(), note]), same(2));
        assert_eq!(code(&[error, warning]), same(1));
    }
}
