//! A value that occurs nowhere else, and a search for it: raw, in base64 and in hex, in files, their names, and every
//! process's arguments and environment.

use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// How many random bytes a canary is made of.
const ENTROPY: usize = 18;

/// A secret's value to look for afterwards.
pub struct Canary {
    value: String,
    forms: Vec<Vec<u8>>,
}

impl Canary {
    /// A new value: printable, one word.
    pub fn new() -> Self {
        let mut random = [0; ENTROPY];
        fs::File::open("/dev/urandom").unwrap().read_exact(&mut random).unwrap();
        Self::of(&format!("canary-{}", URL_SAFE.encode(random)))
    }

    /// The same for a value that is given.
    pub fn of(value: &str) -> Self {
        let bytes = value.as_bytes();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut forms = vec![bytes.to_vec(), hex.to_uppercase().into_bytes(), hex.into_bytes()];
        for engine in [STANDARD, URL_SAFE] {
            // Inside a longer text the value starts at any of three places of a base64 group: leave out the characters
            // that its neighbours have a part in.
            for lead in 0..3 {
                let text = engine.encode([&vec![0; lead], bytes].concat());
                let first = [0, 2, 3][lead];
                let last = text.trim_end_matches('=').len() - usize::from(!(lead + bytes.len()).is_multiple_of(3));
                forms.push(text.as_bytes()[first..last].to_vec());
            }
        }
        Self { value: value.to_owned(), forms }
    }

    /// The value.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Where the value is in `bytes`, in any form.
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.forms.iter().any(|form| bytes.windows(form.len()).any(|window| window == form))
    }

    /// The files below `places` (directories or files; links are not followed) that have the value in them or in
    /// their name.
    pub fn search(&self, places: &[&Path]) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut pending: Vec<PathBuf> = places.iter().map(|&place| place.to_owned()).collect();
        for place in places {
            assert!(place.symlink_metadata().is_ok(), "nothing to search: {}", place.display());
        }
        while let Some(path) = pending.pop() {
            // A file may go away while we look.
            let Ok(metadata) = path.symlink_metadata() else { continue };
            let name = path.file_name().is_some_and(|name| self.is_in(name.as_bytes()));
            let content = if metadata.is_dir() {
                pending.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
                false
            } else if metadata.is_symlink() {
                fs::read_link(&path).is_ok_and(|target| self.is_in(target.as_os_str().as_bytes()))
            } else {
                metadata.is_file() && fs::read(&path).is_ok_and(|bytes| self.is_in(&bytes))
            };
            if name || content {
                found.push(path);
            }
        }
        found
    }

    /// The `/proc/PID/environ` and `/proc/PID/cmdline` of all processes, those in containers too, that have the value.
    pub fn search_processes(&self) -> Vec<PathBuf> {
        let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        let processes = processes.filter(|path| path.file_name().unwrap().as_bytes().iter().all(u8::is_ascii_digit));
        let files = processes.flat_map(|path| [path.join("environ"), path.join("cmdline")]);
        files.filter(|file| fs::read(file).is_ok_and(|bytes| self.is_in(&bytes))).collect()
    }

    /// Fails if the value is in any file below `places` or in the arguments or environment of any process.
    #[track_caller]
    pub fn must_be_nowhere(&self, places: &[&Path]) {
        let found = [self.search(places), self.search_processes()].concat();
        assert!(found.is_empty(), "the value of a secret is in {found:?}");
    }
}
