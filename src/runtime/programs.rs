//! The two programs that the wrapper names: the real runtime, and our hook. Both will run as root.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use super::arguments::Dialect;
use super::error::WrapperError;
use super::options::Options;

/// Where runtimes are looked for: not in `PATH`, which an engine may have from anywhere.
const SEARCH: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// The runtimes that are looked for, best first.
const RUNTIMES: [&str; 2] = ["runc", "crun"];
/// Where the hook is when it is not beside the wrapper.
const INSTALLED_HOOK: &str = "/usr/libexec/runsecrets/runsecrets-hook";
const HOOK_NAME: &str = "runsecrets-hook";

/// The real runtime: as told, by the name under which we were called, or the first that is installed.
pub(super) fn runtime(own_name: &OsString, options: &Options) -> Result<PathBuf, WrapperError> {
    let told = options.real_runtime.clone().or_else(|| std::env::var_os("RUNSECRETS_RUNTIME").map(PathBuf::from));
    let called = Path::new(own_name).file_name().and_then(|name| name.to_str());
    let named = called.and_then(|name| name.strip_prefix("runsecrets-")).filter(|name| RUNTIMES.contains(name));
    let candidates: Vec<String> = match (&told, named) {
        (Some(path), _) if path.components().count() > 1 => return not_itself(path.clone()),
        (Some(name), _) => vec![name.to_string_lossy().into_owned()],
        (None, Some(name)) => vec![name.to_owned()],
        (None, None) => RUNTIMES.map(str::to_owned).to_vec(),
    };
    for name in &candidates {
        for path in SEARCH.iter().map(|directory| Path::new(directory).join(name)) {
            if is_executable(&path) && not_itself(path.clone()).is_ok() {
                return Ok(path);
            }
        }
    }
    Err(WrapperError::NoRuntime { looked_for: candidates.join(", ") })
}

/// A wrapper that starts itself would never end.
fn not_itself(path: PathBuf) -> Result<PathBuf, WrapperError> {
    let identity = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    match (identity(&path), identity(Path::new("/proc/self/exe"))) {
        (Ok(other), Ok(own)) if other == own => Err(WrapperError::Itself { path }),
        _ => Ok(path),
    }
}

/// Whether `runtime` is crun, by its name or by that of what it is a link to.
pub(super) fn is_crun(runtime: &Path) -> bool {
    let named = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().contains("crun"));
    named(runtime) || fs::canonicalize(runtime).is_ok_and(|real| named(&real))
}

/// Whether what stands as standard error can be opened by its path, as crun does it: a socket cannot (a unit's that logs
/// to the journal), nor a pipe that nobody reads.
pub(super) fn stderr_opens() -> bool {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    fs::OpenOptions::new().append(true).custom_flags(flags).open("/dev/stderr").is_ok()
}

/// The hook, if nobody but root could have changed it.
pub(super) fn hook(options: &Options) -> Result<PathBuf, WrapperError> {
    let told = options.hook.clone().or_else(|| std::env::var_os("RUNSECRETS_HOOK").map(PathBuf::from));
    let beside = || std::env::current_exe().ok()?.parent().map(|directory| directory.join(HOOK_NAME));
    let path = told.or_else(|| beside().filter(|path| path.exists())).unwrap_or_else(|| INSTALLED_HOOK.into());
    let missing = |cause| WrapperError::NoHook { path: path.clone(), cause };
    let real = fs::canonicalize(&path).map_err(missing)?;
    if !is_executable(&real) {
        return Err(missing(io::Error::from(io::ErrorKind::PermissionDenied)));
    }
    if geteuid().is_root() {
        for place in real.ancestors() {
            let found = fs::metadata(place).map_err(missing)?;
            // A directory like /tmp, where everybody may make files but nobody replace another's, is no danger.
            let sticky = found.is_dir() && found.mode() & 0o1000 != 0;
            if found.uid() != 0 {
                return Err(WrapperError::UnsafeHook { path, why: "it, or a directory above it, is not root's" });
            }
            if found.mode() & 0o022 != 0 && !sticky {
                return Err(WrapperError::UnsafeHook { path, why: "others may write it, or a directory above it" });
            }
        }
    }
    Ok(real)
}

/// How `runtime` reads its command line.
pub(super) fn dialect(runtime: &Path) -> Dialect {
    if is_crun(runtime) { Dialect::Argp } else { Dialect::Go }
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crun_is_known_under_another_name() {
        let place = tempfile::tempdir().unwrap();
        let (crun, link, other) = (place.path().join("crun-1.2"), place.path().join("oci"), place.path().join("runc"));
        fs::write(&crun, "").unwrap();
        std::os::unix::fs::symlink(&crun, &link).unwrap();
        fs::write(&other, "").unwrap();
        assert!(is_crun(&crun) && dialect(&link) == Dialect::Argp && dialect(&other) == Dialect::Go);
    }
}
