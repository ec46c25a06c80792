//! What every case plays on: an agent with failpoints, two secrets, a service, and what must hold after a kill.

use std::cell::RefCell;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use runsecrets::failpoint::Point;

use crate::control::{Control, VARIABLE, descendants, is_running, kill_9, naming};
use crate::ground::Ground;
use crate::shown::{FileSystems, Files, in_container, is_empty_mount_point, is_single, mounts_of, names, seen};
use crate::testbed::running_agent::Place;
use crate::testbed::{Bed, Bundle, CLI, Canary, Container, HOOK, Runtime, User};

/// What the service grants at first: both kinds of target of both secrets.
pub(crate) const GRANTS: [&str; 4] =
    ["key", "other", "source=key,target=/etc/app/key", "source=other,target=/etc/other"];
/// What may be in an idle agent's state directory.
const STATE_FILES: [&str; 5] = ["lock", "root.key", "store.lock", "store.redb", "store.revision"];
/// How long a case waits for what a new agent has to put in order.
const PATIENCE: Duration = Duration::from_secs(15);
static NUMBER: AtomicU32 = AtomicU32::new(0);

pub(crate) struct Scene {
    pub(crate) bed: Bed,
    pub(crate) control: Control,
    pub(crate) canary: Canary,
    pub(crate) bundle: Bundle,
    ground: Ground,
    /// Whose the containers are, if not root's.
    user: Option<Rc<User>>,
    /// The single files that the last container was started with.
    singles: RefCell<Files>,
    /// Whether whoever would have removed the mount points, or known of them, was killed.
    pub(crate) may_leave_mount_points: bool,
    /// What was in the root file system before the container was.
    before: Vec<String>,
}

impl Scene {
    pub(crate) fn new(runtime: Runtime, ground: Ground, generations: bool) -> Self {
        let place = Place::new();
        place.configure(&ground.configuration(generations));
        let control = Control::new();
        let user = ground.user(runtime);
        let agent = place.start_with(&mut ground.agent(&place, &control));
        let bed = Bed { runtime, place, agent };
        let bundle = bundle(&bed, ground, &control);
        let before = bundle.listing();
        let scene = Self {
            bed,
            control,
            canary: Canary::new(),
            bundle,
            ground,
            user,
            singles: RefCell::default(),
            may_leave_mount_points: false,
            before,
        };
        for name in ["key", "other"] {
            scene.bed.secret(name, scene.value(name, 1).as_bytes());
        }
        scene.bed.service("web", &GRANTS);
        if let Some(user) = &scene.user {
            scene.bed.cli_ok(&["service", "update", "--user-add", &user.uid.to_string(), "web"]);
        }
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
        let granted = self.granted();
        *self.singles.borrow_mut() = granted.into_iter().filter(|(target, _)| is_single(target)).collect();
        match &self.user {
            None => Container::begin(self.bed.runtime, &self.bed.runtime.path(), bundle, &id),
            Some(user) => Container::begin_of(user, bundle, &id),
        }
    }

    /// The runtime itself, which works as `child`, or for a user as a child of that.
    pub(crate) fn runtime_of(&self, child: &Child) -> i32 {
        let own = i32::try_from(child.id()).unwrap();
        let below = || descendants(own).first().copied();
        self.user.as_ref().and_then(|_| below()).unwrap_or(own)
    }

    /// A container that runs and has what it is granted.
    pub(crate) fn start(&self) -> Container {
        self.start_from(&self.bundle)
    }

    /// Another one, from a bundle of its own.
    pub(crate) fn start_another(&self) -> Container {
        self.start_from(&bundle(&self.bed, self.ground, &self.control))
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
        self.bed.agent = self.bed.place.start_with(&mut self.agent());
    }

    fn agent(&self) -> Command {
        self.ground.agent(&self.bed.place, &self.control)
    }

    /// Starts another one that is stopped on its way.
    pub(crate) fn stop_next_agent_at(&self, point: Point) -> Child {
        self.control.arm(point, 1);
        let mut child = self.agent().stderr(Stdio::null()).spawn().unwrap();
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

    /// What a container that runs is to show: what it is granted. Into a user's the agent does not go, and there a single
    /// file has the value that it was started with, or none when it is revoked.
    pub(crate) fn expected(&self) -> Files {
        let mut files = self.granted();
        if !self.ground.is_entered() {
            let stays =
                |target: &str, value: &str| if files.contains_key(target) { value.to_owned() } else { String::new() };
            let singles = self.singles.borrow();
            let singles: Files = singles.iter().map(|(at, value)| (at.clone(), stays(at, value))).collect();
            files.retain(|target, _| !is_single(target));
            files.extend(singles);
        }
        files
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
                let output = self.update(name, &value);
                // Of a user's container it says that the single files have to wait.
                assert!(!self.ground.is_entered() || !output.contains("ailure"), "{output}");
            }
            let expected = self.expected();
            assert_eq!(self.seen(pid), expected, "the values after another rotation");
            self.has_its_mounts(pid, &expected).unwrap();
            self.shows_nothing_else(pid, &expected);
        }
        self.ends_well(container, pid);
    }

    /// What the CLI says of a new value.
    fn update(&self, name: &str, value: &str) -> String {
        if self.ground.is_entered() {
            return self.bed.cli_given(&["secret", "update", name, "-"], value.as_bytes());
        }
        success(self.ask(&["secret", "update", name, "-"], value));
        String::new()
    }

    /// The container runs and has, soon, what the catalog says, all of it and nothing else; its process, and what that is.
    pub(crate) fn has_what_is_granted(&self, container: &Container) -> (i32, Files) {
        let pid = container.pid();
        assert!(is_running(pid), "the container does not run");
        let uid = self.user.as_ref().map_or(0, |user| user.uid);
        self.bed.eventually("the container is among those that hold secrets", || {
            let is_it = |it: &serde_json::Value| it["Container"] == container.id.as_str() && it["Pid"] == pid;
            self.listed().iter().any(|it| is_it(it) && it["User"].as_u64().unwrap_or(0) == u64::from(uid))
        });
        let expected = self.expected();
        self.eventually("it has what it is granted", || {
            let seen = self.seen(pid);
            if seen == expected { Ok(()) } else { Err(format!("{seen:?}, not {expected:?}")) }
        });
        self.eventually("it has our mounts and no more", || self.has_its_mounts(pid, &expected));
        self.shows_nothing_else(pid, &expected);
        (pid, self.granted())
    }

    /// Whether a container that shows `files` has the mounts for them and no more. The directory stays when nothing is in it
    /// any more; where old single files stay below new ones, there are some at one place.
    fn has_its_mounts(&self, pid: i32, files: &Files) -> Result<(), String> {
        let mut mounts = mounts_of(pid);
        if self.ground.stacks() {
            mounts.iter_mut().filter(|(at, _)| is_single(at)).for_each(|(_, count)| *count = 1);
        }
        let single = files.keys().filter(|target| is_single(target));
        let wanted = single.cloned().chain(["/run/secrets".to_owned()]).map(|at| (at, 1)).collect();
        if mounts == wanted { Ok(()) } else { Err(format!("{mounts:?}")) }
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
        let own = [run, self.bed.place.state(), self.bundle.path(), self.bundle.rootfs.path("")];
        let users = self.user.as_ref().map_or_else(Vec::new, |user| user.places());
        self.canary.is_nowhere_in(&[&own[..], &users].concat());
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mounts = mounts + &self.user.as_ref().map_or_else(String::new, |user| user.mounts());
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

/// A bundle whose hooks can be stopped.
fn bundle(bed: &Bed, ground: Ground, control: &Control) -> Bundle {
    let mut bundle = bed.bundle("web");
    if ground == Ground::UserNamespace {
        bundle = bundle.in_user_namespace();
    }
    for hooks in ["createRuntime", "poststop"] {
        bundle.config["hooks"][hooks][0]["path"] = HOOK.into();
        let environment = bundle.config["hooks"][hooks][0]["env"].as_array_mut().unwrap();
        environment.push(format!("{VARIABLE}={}", control.name).into());
    }
    bundle
}

/// The end of a program that was started; whether it was a success.
pub(crate) fn success(mut child: Child) -> bool {
    child.wait().unwrap().success()
}
