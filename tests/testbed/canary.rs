//! A value that is unlike any other, and the search for it in places where it must not be.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use memchr::memmem;

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
        let bytes = value.as_bytes();
        let mut forms = vec![bytes.to_vec(), hex(bytes).into_bytes(), hex(bytes).to_uppercase().into_bytes()];
        for engine in [STANDARD, URL_SAFE] {
            // Inside a longer text the value begins at any of three places of a group of base64: the digits that its
            // neighbours have a part in are left out.
            for lead in 0..3 {
                let text = engine.encode([&vec![0; lead], bytes].concat());
                let first = [0, 2, 3][lead];
                let last = text.trim_end_matches('=').len() - usize::from(!(lead + bytes.len()).is_multiple_of(3));
                forms.push(text.as_bytes()[first..last].to_vec());
            }
        }
        Self { value: value.to_owned(), forms }
    }

    pub fn value(&self) -> &str {
        &self.value
    }

    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.forms.iter().any(|form| memmem::find(bytes, form).is_some())
    }

    /// Fails if any file below `directories` holds it, or is called like it; links are not followed.
    pub fn is_nowhere_in(&self, directories: &[PathBuf]) {
        let found: Vec<PathBuf> = directories.iter().flat_map(|directory| self.search(directory)).collect();
        assert!(found.is_empty(), "the value is in {found:?}");
    }

    /// Every file at and below `path` that has it in its contents, its name or the target of its link.
    pub fn search(&self, path: &Path) -> Vec<PathBuf> {
        let mut found = self.holders(path);
        self.search_names(path, &mut found);
        found.sort();
        found.dedup();
        found
    }

    /// The files that have it in their contents. By grep: engines keep hundreds of megabytes.
    fn holders(&self, path: &Path) -> Vec<PathBuf> {
        if path.is_symlink() {
            return Vec::new();
        }
        let mut command = Command::new("grep");
        command.env("LC_ALL", "C").args(["-rlasF", "--null", "--devices=skip", "-f", "-", "--"]).arg(path);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&self.forms.join(&b'\n')).unwrap();
        let output = child.wait_with_output().unwrap();
        // A file may go away while it looks, which is status 2 without a word; the others are listed all the same.
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        let paths = output.stdout.split(|byte| *byte == 0).filter(|path| !path.is_empty());
        paths.map(|path| PathBuf::from(OsStr::from_bytes(path))).collect()
    }

    fn search_names(&self, path: &Path, found: &mut Vec<PathBuf>) {
        let Ok(metadata) = fs::symlink_metadata(path) else { return };
        if metadata.is_dir() {
            for entry in fs::read_dir(path).into_iter().flatten().flatten() {
                self.search_names(&entry.path(), found);
            }
        }
        let leads =
            metadata.is_symlink() && fs::read_link(path).is_ok_and(|target| self.is_in(target.as_os_str().as_bytes()));
        if leads || path.file_name().is_some_and(|name| self.is_in(name.as_bytes())) {
            found.push(path.to_owned());
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
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
