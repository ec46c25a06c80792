//! What a container's start costs: with no hook, with a hook that only exits, and with ours at 1, 10 and 100 secrets, in
//! turn in one run, under runc and crun; and where the time of our hook goes. Run by `make bench`, as root.
//!
//! `RUNSECRETS_TEST_HOOK` names the hook as it is released (static); without it the ordinary build is measured.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a benchmark prints, and may end where it stands
#![allow(dead_code, unreachable_pub)] // what the other benchmark uses of the shared parts

#[path = "bed/apart.rs"]
mod apart;
#[path = "bed/figures.rs"]
mod figures;
#[path = "bed/place.rs"]
mod place;
#[path = "../tests/testbed/mod.rs"]
mod testbed;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use figures::milliseconds;
use place::place;
use serde_json::{Value, json};
use testbed::{Bundle, Rootfs, Runtime};

/// How often each variant is run.
const ROUNDS: usize = 31;
/// How many secrets the variants have.
const COUNTS: [usize; 3] = [1, 10, 100];
/// What the inner time should be, in microseconds, for each of `COUNTS`.
const AIMS: [Option<u64>; 3] = [Some(300), None, Some(3000)];

struct Variant {
    name: String,
    bundle: Bundle,
    trace: Option<PathBuf>,
    times: Vec<Duration>,
}

fn main() {
    // Each runtime in a mount namespace of its own, made ready as in the tests; there, this program is told to measure.
    if let Some(runtime) = std::env::var_os("RUNSECRETS_BENCH_RUNTIME") {
        return measure(if runtime == "runc" { Runtime::Runc } else { Runtime::Crun });
    }
    println!("hook: {}", testbed::hook().display());
    for runtime in [Runtime::Runc, Runtime::Crun] {
        apart::run(runtime.preparation(), ("RUNSECRETS_BENCH_RUNTIME", runtime.name()));
    }
}

fn measure(runtime: Runtime) {
    let place = place();
    let agent = place.start();
    agent.create("s", &testbed::running_agent::base64(&[7; 32]));
    let mut variants = vec![plain("no hook", None), plain("a hook that exits", Some(exits()))];
    for count in COUNTS {
        let secrets: Vec<Value> = (0..count).map(|n| json!({"Source": "s", "Target": format!("t{n}")})).collect();
        let service = format!("n{count}");
        let answer = agent.post("/runsecrets/v1/services/create", &json!({"Name": service, "Secrets": secrets}));
        assert_eq!(answer.status, 201, "{}", answer.body);
        let trace = place.path(&format!("trace{count}"));
        let bundle = Bundle::new(Rootfs::busybox()).hooked_with(&place.run(), &["--trace", trace.to_str().unwrap()]);
        // As most images have it.
        std::fs::create_dir(bundle.rootfs.path("run/secrets")).unwrap();
        let bundle = bundle.claiming(&service).running(&["true"]);
        variants.push(Variant { name: format!("{count} secrets"), bundle, trace: Some(trace), times: Vec::new() });
    }
    for variant in &variants {
        variant.bundle.write();
        // The first run of each is not counted: it warms the page cache.
        run(runtime, variant);
        if let Some(trace) = &variant.trace {
            std::fs::remove_file(trace).unwrap();
        }
    }
    for _ in 0..ROUNDS {
        for variant in &mut variants {
            let time = run(runtime, variant);
            variant.times.push(time);
        }
    }
    report(runtime, &variants);
}

fn plain(name: &str, hooks: Option<Value>) -> Variant {
    let mut bundle = Bundle::new(Rootfs::busybox()).running(&["true"]);
    if let Some(hooks) = hooks {
        bundle.config["hooks"] = hooks;
    }
    Variant { name: name.to_owned(), bundle, trace: None, times: Vec::new() }
}

/// Our own binary, told to say its version: the least that a process can do.
fn exits() -> Value {
    let hook = json!({"path": testbed::hook(), "args": ["runsecrets-hook", "--version"], "env": []});
    json!({"createRuntime": [hook], "poststop": [hook]})
}

/// One container from its creation to its deletion.
fn run(runtime: Runtime, variant: &Variant) -> Duration {
    let root = tempfile::tempdir().unwrap();
    let mut command = Command::new(runtime.path());
    command.args(runtime.own_arguments()).arg("--root").arg(root.path());
    command.args(["run", "--bundle"]).arg(variant.bundle.path()).arg("bench");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let start = Instant::now();
    let output = command.output().unwrap();
    let time = start.elapsed();
    assert!(output.status.success(), "{}", testbed::words(&output));
    time
}

fn report(runtime: Runtime, variants: &[Variant]) {
    println!(
        "\n{}: a container of `true`, created, started, deleted; {ROUNDS} runs of each in turn, medians",
        runtime.name()
    );
    println!("{:>18}  {:>8}  {:>14}  {:>22}", "", "ms", "to no hook", "to a hook that exits");
    let none = milliseconds(&variants[0].times);
    let exits = milliseconds(&variants[1].times);
    for variant in variants {
        let time = milliseconds(&variant.times);
        println!(
            "{:>18}  {time:8.2}  {:>+8.2} ({:.2}x)  {:>+14.2} ({:.2}x)",
            variant.name,
            time - none,
            time / none,
            time - exits,
            time / exits
        );
    }
    println!(
        "\n{}: inside our hook, microseconds, medians (the process's own start and end are not in it)",
        runtime.name()
    );
    for ((variant, count), aim) in variants[2..].iter().zip(COUNTS).zip(AIMS) {
        let steps = inner(variant.trace.as_deref().unwrap());
        let words: Vec<String> = steps.iter().map(|(name, time)| format!("{name} {}", time / 1000)).collect();
        let aim = aim.map(|aim| format!("; aim {aim}")).unwrap_or_default();
        println!("{count:>6} secrets: {}{aim}", words.join(", "));
    }
}

/// The median of each step, in nanoseconds, in the order of the steps.
fn inner(trace: &Path) -> Vec<(String, u64)> {
    let text = std::fs::read_to_string(trace).unwrap();
    let lines: Vec<serde_json::Map<String, Value>> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines[0]
        .keys()
        .map(|step| {
            let mut times: Vec<u64> = lines.iter().map(|line| line[step].as_u64().unwrap()).collect();
            times.sort_unstable();
            (step.clone(), times[times.len() / 2])
        })
        .collect()
}
