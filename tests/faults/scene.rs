//! What every case plays on: an agent with failpoints, two secrets, a service, and what must hold after a kill.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use runsecrets::failpoint::Point;

use crate::control::{Control, VARIABLE, is_running, kill_9, naming, wait_for};
use crate::testbed::running_agent::Place;
use crate::testbed::{Bed, Bundle, CLI, Canary, Container, HOOK, Runtime};

/// What the service grants at first: both kinds of target of both secrets.
pub(crate) const GRANTS: [&str; 4] =
    ["key", "other", "source=key,target=/etc/app/key", "source=other,target=/etc/other"];
/// What may be in an idle agent's state directory.
const STATE_FILES: [&str; 5] = ["lock", "root.key", "store.lock", "store.redb", "store.revision"];
/// How long a case waits for what a new agent has to put in order.
const PATIENCE: Duration = Duration::from_secs(15);
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Files at targets, by target.
pub(crate) type Files = BTreeMap<String, String>;

pub(crate) struct Scene {
    pub(crate) bed: Bed,
    pub(crate) control: Control,
    pub(crate) canary: Canary,
    pub(crate) bundle: Bundle,
    /// Whether whoever would have removed the mount points, or known of them, was killed.
    pub(crate) may_leave_mount_points: bool,
    /// What was in the root file system before the container was.
    before: Vec<String>,
}

/// What a container shows of its file systems: the kernel says when no mount and no descriptor holds it any more.
pub(crate) struct FileSystems {
    inotify: Inotify,
    count: usize,
}

impl Scene {
    pub(crate) fn new(runtime: Runtime, generations: bool) -> Self {
        let place = Place::new();
        place.configure(&format!("[delivery]\ngenerations = {generations}\n"));
        let control = Control::new();
        let agent = place.start_with(place.command().env(VARIABLE, &control.name));
        let bed = Bed { runtime, place, agent };
        let bundle = bundle(&bed, &control);
        let before = bundle.listing();
        let scene = Self { bed, control, canary: Canary::new(), bundle, may_leave_mount_points: false, before };
        for name in ["key", "other"] {
            scene.bed.secret(name, scene.value(name, 1).as_bytes());
        }
        scene.bed.service("web", &GRANTS);
        scene
    }

    /// The value of a version of a secret.
    pub(crate) fn value(&self, name: &str, version: u64) -> String {
        format!("{}-{name}-{version}", self.canary.value())
    }

    /// The runtime at work, and the container to be.
    pub(crate) fn begin(&self) -> (Container, Child) {
        self.begin_from(&self.bundle)
    }

    fn begin_from(&self, bundle: &Bundle) -> (Container, Child) {
        let id = format!("faults-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::SeqCst));
        Container::begin(self.bed.runtime, &self.bed.runtime.path(), bundle, &id)
    }

    /// A container that runs and has what it is granted.
    pub(crate) fn start(&self) -> Container {
        self.start_from(&self.bundle)
    }

    /// Another one, from a bundle of its own.
    pub(crate) fn start_another(&self) -> Container {
        self.start_from(&bundle(&self.bed, &self.control))
    }

    fn start_from(&self, bundle: &Bundle) -> Container {
        let (container, mut runtime) = self.begin_from(bundle);
        assert!(runtime.wait().unwrap().success(), "{}{}", container.words_of_start(), self.bed.agent.log.text());
        let pid = container.pid();
        self.bed.eventually("the delivery is listed", || !self.listed().is_empty());
        assert_eq!(seen(pid), self.granted());
        container
    }

    /// The CLI at work, with this on its standard input.
    pub(crate) fn ask(&self, arguments: &[&str], input: &str) -> Child {
        use std::io::Write;
        let mut command = Command::new(CLI);
        command.arg("--run-dir").arg(self.bed.place.run()).args(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // One that wants no input may have ended.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child
    }

    /// Kills the agent, wherever it is.
    pub(crate) fn kill_agent(&mut self) {
        kill_9(self.bed.agent.pid().as_raw());
        self.bed.agent.child.wait().unwrap();
    }

    /// Starts another one, which must come up.
    pub(crate) fn start_agent(&mut self) {
        self.bed.agent = self.bed.place.start_with(self.bed.place.command().env(VARIABLE, &self.control.name));
    }

    /// Starts another one that is stopped on its way.
    pub(crate) fn stop_next_agent_at(&self, point: Point) -> Child {
        self.control.arm(point, 1);
        let mut command = self.bed.place.command();
        let mut child = command.env(VARIABLE, &self.control.name).stderr(Stdio::null()).spawn().unwrap();
        let ended = || child.try_wait().unwrap().is_some();
        self.control.wait(ended);
        child
    }

    /// What the API lists.
    pub(crate) fn listed(&self) -> Vec<serde_json::Value> {
        self.bed.agent.get("/runsecrets/v1/ps").json().as_array().unwrap().clone()
    }

    /// What the catalog says that a container of the service has.
    pub(crate) fn granted(&self) -> Files {
        let services = self.bed.agent.get("/runsecrets/v1/services").json();
        let Some(service) = services.as_array().unwrap().first() else { return Files::new() };
        let file = |grant: &serde_json::Value| {
            let (source, target) = (grant["Source"].as_str().unwrap(), grant["Target"].as_str().unwrap());
            let target = if target.starts_with('/') { target.to_owned() } else { format!("/run/secrets/{target}") };
            (target, self.value(source, self.version(source)))
        };
        service["Secrets"].as_array().unwrap().iter().map(file).collect()
    }

    /// The current version of a secret.
    pub(crate) fn version(&self, name: &str) -> u64 {
        let history = self.bed.agent.get(&format!("/runsecrets/v1/secrets/{name}/history")).json();
        let current = history.as_array().unwrap().iter().find(|version| version["Current"] == true);
        current.unwrap()["Version"].as_u64().unwrap()
    }

    /// Whether there is such a secret.
    pub(crate) fn has_secret(&self, name: &str) -> bool {
        self.bed.agent.get(&format!("/runsecrets/v1/secrets/{name}/history")).status == 200
    }

    /// A container that runs, whatever was killed: it has what it is granted and nothing else, it can be given new values,
    /// and when it ends nothing is left.
    pub(crate) fn runs_well(&self, container: Container) {
        let (pid, granted) = self.has_what_is_granted(&container);
        if !granted.is_empty() {
            for name in ["key", "other"] {
                let value = self.value(name, self.version(name) + 1);
                let said = self.bed.cli_given(&["secret", "update", name, "-"], value.as_bytes());
                assert!(!said.contains("ailure"), "{said}");
            }
            assert_eq!(self.seen(pid), self.granted(), "the values after another rotation");
            assert_eq!(mounts_of(pid), mounts_for(&granted), "the mounts after another rotation");
            self.shows_nothing_else(pid, &granted);
        }
        self.ends_well(container, pid);
    }

    /// The container runs and has, soon, what the catalog says, all of it and nothing else; its process, and what that is.
    pub(crate) fn has_what_is_granted(&self, container: &Container) -> (i32, Files) {
        let pid = container.pid();
        assert!(is_running(pid), "the container does not run");
        self.bed.eventually("the container is among those that hold secrets", || {
            self.listed().iter().any(|it| it["Container"] == container.id.as_str() && it["Pid"] == pid)
        });
        let granted = self.granted();
        self.eventually("it has what it is granted", || {
            let seen = self.seen(pid);
            if seen == granted { Ok(()) } else { Err(format!("{seen:?}, not {granted:?}")) }
        });
        self.eventually("it has our mounts and no more", || {
            let mounts = mounts_of(pid);
            if mounts == mounts_for(&granted) { Ok(()) } else { Err(format!("{mounts:?}")) }
        });
        self.shows_nothing_else(pid, &granted);
        (pid, granted)
    }

    /// Its process ends: what was open is empty, the file systems are gone.
    fn ends_well(&self, container: Container, pid: i32) {
        let open: Vec<File> = self.seen(pid).keys().map(|at| File::open(in_container(pid, at)).unwrap()).collect();
        let file_systems = FileSystems::of(pid);
        kill_9(pid);
        self.bed.eventually("open files are emptied", || open.iter().all(|file| file.metadata().unwrap().len() == 0));
        drop(open);
        self.bed.holds_nothing();
        file_systems.are_gone();
        container.delete();
        self.is_clean();
    }

    /// A container that does not run any more, or never has, and of which `file_systems` was seen.
    pub(crate) fn is_over(&self, container: Container, file_systems: Option<FileSystems>) {
        self.bed.holds_nothing();
        if let Some(file_systems) = file_systems {
            file_systems.are_gone();
        }
        // As an engine does, whatever is left.
        drop(container);
        self.is_clean();
    }

    /// The bundle can be started as if nothing had been.
    pub(crate) fn can_start_again(&self) {
        self.runs_well(self.start());
    }

    /// No file, process or descriptor is left of what is over, and the value is nowhere.
    pub(crate) fn is_clean(&self) {
        let run = self.bed.place.run();
        self.bed.eventually("all files in the run directory are as in an idle agent's", || {
            names(&run).iter().all(|name| !name.ends_with(".new") && !name.starts_with("change"))
                && names(&run.join("stage")).is_empty()
                && names(&run.join("containers")).is_empty()
        });
        let state = names(&self.bed.place.state());
        let strange: Vec<&String> = state.iter().filter(|name| !STATE_FILES.contains(&name.as_str())).collect();
        assert!(strange.is_empty(), "in the state directory: {strange:?}");
        // What the hook's command line names. The agent's own is there too.
        self.bed.eventually("no process is left", || naming(&run).len() == 1);
        self.eventually("the agent holds no file system and no process", || {
            let files = self.agents_strange_files();
            if files.is_empty() { Ok(()) } else { Err(format!("{files:?}")) }
        });
        let mut strange = self.bundle.listing();
        strange.retain(|path| !self.before.contains(path));
        if self.may_leave_mount_points {
            let root = self.bundle.rootfs.path("");
            strange.retain(|path| !is_empty_mount_point(Path::new(path), &root));
        }
        assert!(strange.is_empty(), "in the root file system: {strange:?}");
        let places = [run, self.bed.place.state(), self.bundle.path(), self.bundle.rootfs.path("")];
        self.canary.is_nowhere_in(&places);
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let place = self.bed.place.path("");
        assert!(!mounts.contains(place.to_str().unwrap()) && !mounts.contains(" runsecrets "), "{mounts}");
    }

    /// Waits until `holds`; fails with what it says otherwise.
    fn eventually(&self, what: &str, holds: impl Fn() -> Result<(), String>) {
        let start = std::time::Instant::now();
        while let Err(instead) = holds() {
            assert!(start.elapsed() < PATIENCE, "never: {what}; but {instead}; agent: {}", self.bed.agent.log.text());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// The agent's descriptors of processes, and of places that no path leads to.
    fn agents_strange_files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.bed.agent.pid())).unwrap();
        // But for the standard streams, which are ours.
        let others = entries.flatten().filter(|it| !["0", "1", "2"].contains(&it.file_name().to_str().unwrap()));
        let links = others.filter_map(|entry| fs::read_link(entry.path()).ok());
        let own = self.bed.place.path("");
        let strange = |link: &PathBuf| {
            let text = link.to_str().unwrap();
            text.contains("pidfd") || (text.starts_with('/') && !link.starts_with(&own) && !text.starts_with("/dev/"))
        };
        links.filter(strange).collect()
    }

    /// How the old generations are called that the agent keeps for a moment, where it has taken the container over.
    fn old_generations(&self) -> String {
        format!("..old-{}-", self.bed.agent.pid())
    }

    /// What a container has at every place where it may have a secret.
    fn seen(&self, pid: i32) -> Files {
        let old = format!("/run/secrets/{}", self.old_generations());
        seen(pid).into_iter().filter(|(target, _)| !target.starts_with(&old)).collect()
    }

    /// Nothing but what is granted is below /run/secrets.
    fn shows_nothing_else(&self, pid: i32, granted: &Files) {
        let root = in_container(pid, "/run/secrets");
        let own = self.old_generations();
        let is_file = |name: &String| name != "..current" && !name.starts_with(&own);
        let found = names(&root).into_iter().filter(is_file).collect::<Vec<_>>();
        let below = granted.keys().filter_map(|target| target.strip_prefix("/run/secrets/"));
        assert_eq!(found, below.collect::<Vec<_>>(), "in /run/secrets");
        let current = root.join("..current");
        if current.exists() && !granted.is_empty() {
            for name in found {
                let (plain, grouped) = (fs::read(root.join(&name)).unwrap(), fs::read(current.join(&name)).unwrap());
                assert!(plain == grouped, "{name} is another one in the generation directory");
            }
        }
    }
}

impl FileSystems {
    /// Those that a running container shows.
    pub(crate) fn of(pid: i32) -> Self {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).unwrap();
        let mut count = 0;
        for at in mounts_of(pid).keys() {
            inotify.add_watch(&in_container(pid, at), AddWatchFlags::IN_UNMOUNT).unwrap();
            count += 1;
        }
        Self { inotify, count }
    }

    /// Waits until nobody in the machine holds one of them any more.
    pub(crate) fn are_gone(self) {
        let mut gone = 0;
        wait_for("the file systems are gone", || {
            match self.inotify.read_events() {
                Ok(events) => gone += events.iter().filter(|it| it.mask.contains(AddWatchFlags::IN_IGNORED)).count(),
                Err(error) => assert_eq!(error, Errno::EAGAIN),
            }
            gone >= self.count
        });
    }
}

/// A bundle whose hooks can be stopped.
fn bundle(bed: &Bed, control: &Control) -> Bundle {
    let mut bundle = bed.bundle("web");
    for hooks in ["createRuntime", "poststop"] {
        bundle.config["hooks"][hooks][0]["path"] = HOOK.into();
        let environment = bundle.config["hooks"][hooks][0]["env"].as_array_mut().unwrap();
        environment.push(format!("{VARIABLE}={}", control.name).into());
    }
    bundle
}

/// Whether `path` is a place of ours in the root file system, with nothing in it.
fn is_empty_mount_point(path: &Path, root: &Path) -> bool {
    let places = ["run/secrets", "etc/app", "etc/app/key", "etc/app/third", "etc/other", "etc/third"];
    let is_empty = match fs::symlink_metadata(path) {
        Ok(data) if data.is_file() => data.len() == 0,
        Ok(data) => data.is_dir(),
        Err(_) => false,
    };
    is_empty && path.strip_prefix(root).is_ok_and(|below| places.iter().any(|place| below == Path::new(place)))
}

/// A path in a container, from outside.
pub(crate) fn in_container(pid: i32, path: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/root{path}"))
}

/// What a container has at every place where it may have a secret.
pub(crate) fn seen(pid: i32) -> Files {
    let mut found = Files::new();
    for name in names(&in_container(pid, "/run/secrets")).iter().filter(|name| *name != "..current") {
        found.insert(format!("/run/secrets/{name}"), String::new());
    }
    for target in ["/etc/app/key", "/etc/other", "/etc/third", "/etc/app/third"] {
        if in_container(pid, target).exists() {
            found.insert(target.to_owned(), String::new());
        }
    }
    for (target, value) in &mut found {
        *value = fs::read_to_string(in_container(pid, target)).unwrap_or_else(|error| format!("({error})"));
    }
    found
}

/// How many mounts of ours a container has at each place.
fn mounts_of(pid: i32) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    let text = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    for line in text.lines().filter(|line| line.contains(" runsecrets ")) {
        *found.entry(line.split(' ').nth(4).unwrap().to_owned()).or_default() += 1;
    }
    found
}

/// The mounts that it has to have. The directory stays when nothing is in it any more.
fn mounts_for(granted: &Files) -> BTreeMap<String, usize> {
    let single = granted.keys().filter(|target| !target.starts_with("/run/secrets/"));
    single.cloned().chain(["/run/secrets".to_owned()]).map(|at| (at, 1)).collect()
}

/// The names in a directory, in order; none where there is none.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The end of a program that was started; whether it was a success.
pub(crate) fn success(mut child: Child) -> bool {
    child.wait().unwrap().success()
}
