//! What the state of a volume means for values written to it: on, off, or unknown, which never counts as on. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What WMI says of a volume.
///
/// Source: `Win32_EncryptableVolume` in `ROOT\CIMV2\Security\MicrosoftVolumeEncryption` (Microsoft Learn).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WmiReport {
    /// The volume is listed.
    Volume {
        /// `ProtectionStatus`: 0 unprotected, 1 protected, 2 unknown (locked).
        protection: u32,
        /// `ConversionStatus`: 0 decrypted, 1 encrypted, 2 encrypting, 3 decrypting, 4 and 5 the same, paused. Older systems
        /// have no such property.
        conversion: Option<u32>,
    },
    /// It could not be asked, or does not know the volume.
    Silent {
        /// Why.
        why: String,
    },
}

/// What the Shell's property `System.Volume.BitLockerProtection` says: 1 is on. Its other values are not documented, so none
/// of them decides anything but that it is not on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShellReport {
    /// The value.
    Value(u32),
    /// It could not be asked.
    Silent {
        /// Why.
        why: String,
    },
}

/// Why a volume does not protect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Why {
    /// BitLocker is not on at all.
    Decrypted,
    /// It is being encrypted: what is written now may be in the clear for a while.
    Encrypting,
    /// The same, and somebody has paused it.
    Paused,
    /// It is being decrypted.
    Decrypting,
    /// Encrypted, with its key on the disk in the clear.
    Suspended,
}

/// Whether what is written to a volume is encrypted on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum VolumeState {
    /// Encrypted, and the key is not on the disk in the clear.
    On,
    /// Not so.
    Off {
        /// Why.
        why: Why,
        /// The volume as commands name it, `C:`.
        volume: String,
    },
    /// Nobody could say. It never counts as on.
    Unknown {
        /// Why.
        why: String,
        /// The volume as commands name it.
        volume: String,
    },
}

/// How well values are kept from a disk that is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protection {
    /// BitLocker protects the volume.
    Bitlocker,
    /// It does not.
    Unprotected,
    /// Nobody can say.
    Unknown,
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bitlocker => "bitlocker",
            Self::Unprotected => "unprotected",
            Self::Unknown => "unknown",
        })
    }
}

impl VolumeState {
    /// What that is worth.
    pub fn protection(&self) -> Protection {
        match self {
            Self::On => Protection::Bitlocker,
            Self::Off { .. } => Protection::Unprotected,
            Self::Unknown { .. } => Protection::Unknown,
        }
    }

    /// The word for logs and JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off { .. } => "off",
            Self::Unknown { .. } => "unknown",
        }
    }
}

impl fmt::Display for VolumeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On => f.write_str("BitLocker is on"),
            Self::Off { why: Why::Decrypted, volume } => write!(
                f,
                "BitLocker is off; switch it on with `manage-bde -on {volume} -RecoveryPassword` and wait for `manage-bde -status {volume}` to say 100%"
            ),
            Self::Off { why: Why::Encrypting, volume } => write!(
                f,
                "BitLocker is still encrypting it; wait until `manage-bde -status {volume}` says 100% and Protection On"
            ),
            Self::Off { why: Why::Paused, volume } => {
                write!(f, "BitLocker's encryption is paused; go on with `manage-bde -resume {volume}`")
            }
            Self::Off { why: Why::Decrypting, volume } => {
                write!(
                    f,
                    "BitLocker is being taken off; switch it on again with `manage-bde -on {volume} -RecoveryPassword`"
                )
            }
            Self::Off { why: Why::Suspended, volume } => write!(
                f,
                "BitLocker's protection is suspended, with the key on the disk in the clear; end that with `Resume-BitLocker -MountPoint {volume}`"
            ),
            Self::Unknown { why, volume } => write!(
                f,
                "nobody could say whether BitLocker is on ({why}); see `manage-bde -status {volume}` (on a server, first: `Install-WindowsFeature BitLocker -Restart`)"
            ),
        }
    }
}

/// What the configuration demands of the volume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Demand {
    /// Nothing is written unless the volume is known to be encrypted.
    #[default]
    Require,
    /// It is written, and said.
    Warn,
}

/// Whether values may be written to a volume of `state`.
pub fn admits(demand: Demand, state: &VolumeState) -> bool {
    *state == VolumeState::On || demand == Demand::Warn
}

/// What both reports make of `volume`. WMI's word counts where it has one; the Shell is asked only where it has none.
pub fn judge(volume: &str, wmi: &WmiReport, shell: impl FnOnce() -> ShellReport) -> VolumeState {
    let off = |why| VolumeState::Off { why, volume: volume.to_owned() };
    let unknown = |why: String| VolumeState::Unknown { why, volume: volume.to_owned() };
    match wmi {
        WmiReport::Volume { protection: 1, conversion: None | Some(1) } => VolumeState::On,
        WmiReport::Volume { protection: 0 | 1, conversion } => match conversion {
            Some(0) | None => off(Why::Decrypted),
            Some(1) => off(Why::Suspended),
            Some(2) => off(Why::Encrypting),
            Some(3 | 5) => off(Why::Decrypting),
            Some(4) => off(Why::Paused),
            Some(other) => unknown(format!("WMI reports the conversion status {other}")),
        },
        WmiReport::Volume { protection: 2, .. } => unknown("WMI says that the volume is locked".to_owned()),
        WmiReport::Volume { protection, .. } => unknown(format!("WMI reports the protection status {protection}")),
        WmiReport::Silent { why } => match shell() {
            ShellReport::Value(1) => VolumeState::On,
            ShellReport::Value(value) => unknown(format!("{why}; the Shell's property is {value}, not 1")),
            ShellReport::Silent { why: also } => unknown(format!("{why}; {also}")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wmi(protection: u32, conversion: Option<u32>) -> VolumeState {
        judge("C:", &WmiReport::Volume { protection, conversion }, || panic!("the Shell was asked"))
    }

    fn shell(report: ShellReport) -> VolumeState {
        judge("C:", &WmiReport::Silent { why: "WMI: no answer".to_owned() }, || report)
    }

    #[test]
    fn only_a_whole_encryption_with_its_key_put_away_is_on() {
        let mut on = Vec::new();
        for protection in 0..5 {
            for conversion in [None, Some(0), Some(1), Some(2), Some(3), Some(4), Some(5), Some(6)] {
                if wmi(protection, conversion) == VolumeState::On {
                    on.push((protection, conversion));
                }
            }
        }
        assert_eq!(on, [(1, None), (1, Some(1))]);
    }

    #[test]
    fn every_other_state_says_what_ends_it() {
        for (protection, conversion, word, command) in [
            (0, Some(0), "off", "manage-bde -on C:"),
            (0, None, "off", "manage-bde -on C:"),
            (0, Some(1), "off", "Resume-BitLocker -MountPoint C:"),
            (0, Some(2), "off", "manage-bde -status C:"),
            (1, Some(2), "off", "manage-bde -status C:"),
            (0, Some(3), "off", "manage-bde -on C:"),
            (0, Some(4), "off", "manage-bde -resume C:"),
            (2, Some(1), "unknown", "manage-bde -status C:"),
            (7, None, "unknown", "manage-bde -status C:"),
            (0, Some(9), "unknown", "manage-bde -status C:"),
        ] {
            let state = wmi(protection, conversion);
            assert_eq!(state.word(), word, "{protection} {conversion:?}");
            assert!(state.to_string().contains(command), "{protection} {conversion:?}: {state}");
        }
    }

    #[test]
    fn the_shell_is_asked_second_and_only_one_is_on() {
        assert_eq!(shell(ShellReport::Value(1)), VolumeState::On);
        for value in [0, 2, 3, 4, 5, 6, 7, 8] {
            assert_eq!(shell(ShellReport::Value(value)).word(), "unknown", "{value}");
        }
        let silent = shell(ShellReport::Silent { why: "the Shell: Not implemented".to_owned() });
        assert!(silent.to_string().contains("WMI: no answer; the Shell: Not implemented"), "{silent}");
    }

    #[test]
    fn unknown_is_admitted_only_where_a_warning_is_enough() {
        let unknown = shell(ShellReport::Value(2));
        assert!(!admits(Demand::default(), &unknown) && admits(Demand::Warn, &unknown));
        assert!(!admits(Demand::Require, &wmi(0, Some(1))) && admits(Demand::Require, &VolumeState::On));
    }
}
