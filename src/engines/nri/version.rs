//! What a runtime can do, by what it says of itself when it configures the plugin. A runtime closes the connection of a
//! plugin that subscribes to what it does not know, so nothing is taken for granted.

use super::message::ConfigureRequest;

/// The first NRI that lets plugins judge what is about to be created, and can require plugins.
const NRI: (u32, u32) = (0, 10);
/// The first versions of runtimes with that NRI; those before NRI 0.11 do not say which one they have.
const RUNTIMES: [(&str, (u32, u32)); 2] = [("containerd", (2, 2)), ("cri-o", (1, 34))];

/// Whether the runtime asks plugins to validate adjustments.
pub(super) fn validates(runtime: &ConfigureRequest) -> bool {
    if let Some(nri) = major_and_minor(&runtime.nri_version) {
        return nri >= NRI;
    }
    let first = RUNTIMES.iter().find(|(name, _)| *name == runtime.runtime_name).map(|(_, first)| *first);
    first.zip(major_and_minor(&runtime.runtime_version)).is_some_and(|(first, version)| version >= first)
}

/// The beginning of `v2.1.9+unknown`, `1.7.24~ds1` and the like.
fn major_and_minor(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.strip_prefix('v').unwrap_or(version).split('.');
    let digits = |text: &str| text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok();
    Some((digits(numbers.next()?)?, digits(numbers.next()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_runtimes_that_are_known_to_validate_do() {
        let validates = |name: &str, version: &str, nri: &str| {
            let [runtime_name, runtime_version, nri_version] = [name, version, nri].map(str::to_owned);
            super::validates(&ConfigureRequest { runtime_name, runtime_version, nri_version })
        };
        for (name, version, nri) in [
            ("containerd", "v2.2.0", ""),
            ("containerd", "2.10.0-rc.1", ""),
            ("containerd", "v3.0", ""),
            ("cri-o", "1.34.1", "unknown"),
            ("dockerd", "29.2.0", "v0.11.0"),
            ("containerd", "devel", "v1.0.0"),
        ] {
            assert!(validates(name, version, nri), "{name} {version} {nri}");
        }
        for (name, version, nri) in [
            ("containerd", "1.7.24~ds1", ""),
            ("containerd", "2.1.9+unknown", ""),
            ("containerd", "v2.2.0", "v0.9.0"),
            ("containerd", "", ""),
            ("containerd", "v2", ""),
            ("containerd", "99999999999.1", ""),
            ("cri-o", "1.33.9", ""),
            ("other", "9.9", ""),
        ] {
            assert!(!validates(name, version, nri), "{name} {version} {nri}");
        }
    }
}
