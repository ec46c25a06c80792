//! The program that runs the adjusted file: found, asked for its version, and become. It is told paths and names only.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::adjust::Claim;
use super::error::ComposeError;
use crate::sys::here::process::become_program;

/// A program that reads compose files.
pub(super) struct Program {
    path: PathBuf,
    /// What comes before the flags: `compose` for docker.
    verb: Option<&'static str>,
}

impl Program {
    /// The one that is asked for, or the first that is there.
    ///
    /// # Errors
    /// [`ComposeError::NoProgram`].
    pub(super) fn find(asked: Option<&Path>) -> Result<Self, ComposeError> {
        if let Some(path) = asked {
            return Ok(Self::at(path));
        }
        let all = ["docker", "docker-compose", "podman-compose"].map(|name| Self::at(Path::new(name)));
        all.into_iter().find(|program| program.version().is_some()).ok_or(ComposeError::NoProgram)
    }

    fn at(path: &Path) -> Self {
        let is_docker = path.file_name().is_some_and(|name| name == "docker");
        Self { path: path.to_owned(), verb: is_docker.then_some("compose") }
    }

    /// The way to claim a service that it can hand on.
    pub(super) fn claim(&self) -> Claim {
        let name = self.path.file_name().unwrap_or_default();
        let is_dockers = ["docker", "docker-compose"].iter().any(|known| name == *known);
        if is_dockers {
            self.version().map_or(Claim::Device, |version| claim_of_dockers(&version))
        } else {
            Claim::Device
        }
    }

    /// Its version, if it can say one.
    fn version(&self) -> Option<String> {
        let mut command = self.command();
        let output = command.args(["version", "--short"]).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.args(self.verb);
        command
    }

    /// Becomes the program, which runs `files` as `project`; returns only what kept it from that.
    pub(super) fn up(
        &self,
        files: &[PathBuf],
        project: &str,
        env_file: Option<&Path>,
        arguments: &[OsString],
    ) -> ComposeError {
        let mut command = self.command();
        if let Some(env_file) = env_file {
            command.arg("--env-file").arg(env_file);
        }
        for file in files {
            command.arg("-f").arg(file);
        }
        command.args(["-p", project, "up"]).args(arguments);
        ComposeError::Program { program: self.path.display().to_string(), cause: become_program(command) }
    }
}

/// What a version of Docker's program can hand on: 1 knows neither devices of CDI nor annotations, 2 knows annotations,
/// and such devices from 2.30 on.
///
/// Source: docker/compose pull request 12184; tried with 1.29 and 2.26.
fn claim_of_dockers(version: &str) -> Claim {
    let numbers: Vec<u32> =
        version.trim_start_matches('v').split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect();
    match numbers.as_slice() {
        [1, ..] => Claim::RuntimeEnv,
        [2, minor, ..] if *minor < 30 => Claim::Annotation,
        _ => Claim::Device,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_gets_what_it_can_hand_on() {
        for (version, claim) in [
            ("1.29.2", Claim::RuntimeEnv),
            ("2.26.1-4", Claim::Annotation),
            ("v2.29.7", Claim::Annotation),
            ("2.30.0", Claim::Device),
            ("5.0.1+ds", Claim::Device),
            ("unknown", Claim::Device),
        ] {
            assert_eq!(claim_of_dockers(version), claim, "{version}");
        }
    }
}
