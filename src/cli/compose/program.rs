//! The program that runs the adjusted file: found, asked for its version, and become. It is told paths and names only.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::ComposeError;

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

    /// Whether it is docker-compose 1, which knows neither CDI devices nor annotations.
    pub(super) fn is_first_compose(&self) -> bool {
        self.path.file_name().is_some_and(|name| name == "docker-compose")
            && self.version().is_some_and(|version| version.starts_with("1."))
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

    /// Becomes the program, which runs `file` as `project`; returns only what kept it from that.
    pub(super) fn up(
        &self,
        file: &Path,
        project: &str,
        env_file: Option<&Path>,
        arguments: &[OsString],
    ) -> ComposeError {
        let mut command = self.command();
        if let Some(env_file) = env_file {
            command.arg("--env-file").arg(env_file);
        }
        command.arg("-f").arg(file).args(["-p", project, "up"]).args(arguments);
        ComposeError::Program { program: self.path.display().to_string(), cause: command.exec() }
    }
}
