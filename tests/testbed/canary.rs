//! A value that is unlike any other, and the search for it in places where it must not be.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A secret value that can be recognised anywhere.
pub struct Canary {
    value: String,
    forms: Vec<Vec<u8>>,
}

impl Canary {
    pub fn new() -> Self {
        let mut bytes = [0u8; 24];
        fs::File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
        Self::of(&format!("canary-{}", hex(&bytes)))
    }

    /// A text that is not in any other file, such as a line of a key.
    pub fn of(value: &str) -> Self {
        let value = value.to_owned();
        let mut forms = vec![value.as_bytes().to_vec(), hex(value.as_bytes()).into_bytes()];
        // Base64 of a text has three forms, by where in its three bytes the value begins; the ends differ.
        for shift in 0..3 {
            let text = super::running_agent::base64(&[&b"xx"[..shift], value.as_bytes()].concat());
            forms.push(text.as_bytes()[4..text.len() - 4].to_vec());
        }
        Self { value, forms }
    }

    pub fn value(&self) -> &str {
        &self.value
    }

    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.forms.iter().any(|form| bytes.windows(form.len()).any(|window| window == form))
    }

    /// Fails if any file below `directories` holds it.
    pub fn is_nowhere_in(&self, directories: &[PathBuf]) {
        for directory in directories {
            self.search(directory);
        }
    }

    /// Fails if any process has it in its environment or its command line.
    pub fn is_in_no_process(&self) {
        assert_eq!(self.processes(), [""; 0], "processes have the value");
    }

    /// What processes have it in their environment or their command line, as `PID/environ` and `PID/cmdline`.
    pub fn processes(&self) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let pid = entry.file_name().into_string().unwrap();
            if !pid.bytes().all(|byte| byte.is_ascii_digit()) {
                continue; // "self" would count twice, and some other files may not be read at all
            }
            for name in ["environ", "cmdline"] {
                let bytes = fs::read(entry.path().join(name)).unwrap_or_default();
                if self.is_in(&bytes) {
                    found.push(format!("{pid}/{name}"));
                }
            }
        }
        found
    }

    fn search(&self, path: &Path) {
        let Ok(metadata) = fs::symlink_metadata(path) else { return };
        if metadata.is_dir() {
            for entry in fs::read_dir(path).into_iter().flatten().flatten() {
                self.search(&entry.path());
            }
        } else if metadata.is_file() {
            let bytes = fs::read(path).unwrap_or_default();
            assert!(!self.is_in(&bytes), "the value is in {}", path.display());
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
