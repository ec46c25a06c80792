//! Our NRI plugin beside a real containerd, whose pods claim services by annotations. Debian 12's containerd (1.6) has no
//! NRI: there every test shows that the plugin says so and that a claim is not met.
#![allow(clippy::unwrap_used)] // a test may end where it stands

#[path = "engines/containerd.rs"]
mod containerd;
#[path = "engines/cri.rs"]
mod cri;
#[path = "engines/image.rs"]
mod image;
#[path = "engines/nri.rs"]
mod nri;
mod testbed;

use cri::{APP, ContainerSpec};
use nix::sys::signal::Signal;
use nri::{Able, SECRET, Scene};
use testbed::running_agent::write_program;
use testbed::{CLI, hook};

const CLAIM: (&str, &str) = ("io.runsecrets.service", "web");

/// A scene whose engine has NRI; none where it has none, once that has been shown: the plugin finds no socket, says what
/// to do, and a container starts without what its pod claims.
fn scene() -> Option<Scene> {
    let scene = Scene::new();
    if scene.able > Able::Nothing {
        return Some(scene);
    }
    assert!(!scene.places.socket().exists(), "an engine without NRI has made its socket");
    let pod = scene.pod(&[CLAIM]);
    scene.has_nothing(&pod.run(&APP).unwrap());
    let said = scene.plugin.as_ref().unwrap().said();
    assert!(said.contains("containerd before 1.7 has none") && !said.contains("registered"), "{said}");
    None
}

mod a_claim_is_met_where_the_engine_has_nri_and_elsewhere_the_plugin_says_that_it_has_none {
    use super::*;

    #[test]
    fn the_pods_annotation_is_the_claim_of_its_containers() {
        let Some(scene) = scene() else { return };
        let pod = scene.pod(&[CLAIM]);
        scene.bed.holds_nothing();
        let id = pod.run(&APP).unwrap();
        scene.has_its_secret(&id);
        let listed = ["service", "ps", "--no-trunc", "web"];
        scene.bed.ps_until(&listed, |said| said.contains(&id) && said.contains("key"));
        scene.value_is_nowhere();
        scene.cri.stop(&id);
        scene.cri.remove(&id);
        scene.bed.holds_nothing();
        let plain = scene.pod(&[("io.runsecrets.services", "web")]);
        scene.has_nothing(&plain.run(&APP).unwrap());
        scene.value_is_nowhere();
    }

    #[test]
    fn a_claim_for_one_container_wins_and_one_for_nobody_does_nothing() {
        let Some(scene) = scene() else { return };
        scene.bed.secret("other", b"another value");
        scene.bed.service("db", &["source=other,target=key"]);
        let pod = scene.pod(&[CLAIM, ("io.runsecrets.service/db", "db"), ("io.runsecrets.service/nobody", "../x")]);
        let [app, db] = ["app", "db"].map(|name| pod.run(&ContainerSpec { name, ..APP }).unwrap());
        scene.has_its_secret(&app);
        assert_eq!(scene.cri.exec(&db, &["cat", SECRET]).unwrap(), "another value");
        let one = scene.pod(&[("io.runsecrets.service/app", "web")]);
        let [app, side] = ["app", "side"].map(|name| one.run(&ContainerSpec { name, ..APP }).unwrap());
        scene.has_its_secret(&app);
        scene.has_nothing(&side);
        scene.value_is_nowhere();
    }

    #[test]
    fn a_service_that_asks_for_a_token_wants_it_from_the_pod() {
        let Some(scene) = scene() else { return };
        let create = ["service", "create", "--name", "guarded", "--secret", "key", "--require-claim"];
        let printed = scene.bed.cli_ok(&create);
        let token = printed.lines().find_map(|line| line.strip_prefix("io.runsecrets.claim=")).unwrap();
        let claim = ("io.runsecrets.service", "guarded");
        let refused = scene.pod(&[claim]).run(&APP).unwrap_err();
        assert!(refused.contains("requires a claim token"), "{refused}");
        let pod = scene.pod(&[claim, ("io.runsecrets.claim", token)]);
        scene.has_its_secret(&pod.run(&APP).unwrap());
        // Two plugins do no more than one.
        let _second = scene.second_plugin();
        scene.has_its_secret(&pod.run(&ContainerSpec { name: "other", ..APP }).unwrap());
        assert!(!scene.plugin.as_ref().unwrap().said().contains(token), "the plugin tells the token");
    }

    #[test]
    fn what_cannot_be_met_keeps_the_container_from_starting() {
        let Some(mut scene) = scene() else { return };
        let no_name = scene.pod(&[("io.runsecrets.service", "../x")]).create(&APP).unwrap_err();
        assert!(no_name.contains("container app of pod shop/pod claims a service"), "{no_name}");
        let unknown = scene.pod(&[("io.runsecrets.service", "unknown")]).run(&APP).unwrap_err();
        assert!(unknown.contains("unknown"), "{unknown}");
        scene.bed.holds_nothing();
        scene.bed.agent.stop();
        let down = scene.pod(&[CLAIM]).run(&APP).unwrap_err();
        assert!(down.contains("cannot reach the agent"), "{down}");
    }

    #[test]
    fn while_the_plugin_is_away_a_claim_is_refused_if_the_engine_can_and_told_of_later_if_not() {
        let Some(mut scene) = scene() else { return };
        let plugin = scene.plugin.as_ref().unwrap().said();
        scene.end_plugin();
        let pod = scene.pod(&[CLAIM]);
        if scene.able == Able::Require {
            let refused = pod.create(&APP).unwrap_err();
            assert!(refused.contains("required plugin \"runsecrets\" not present"), "{refused}");
            scene.restart_plugin();
        } else {
            assert!(plugin.contains("warning: containerd") && plugin.contains("cannot require a plugin"), "{plugin}");
            scene.has_nothing(&pod.run(&APP).unwrap());
            let plugin = scene.restart_plugin();
            plugin.says("container app of pod shop/pod claims service web and was created without this plugin");
        }
        // One that was made with the plugin is no reason for a warning.
        let other = scene.pod(&[CLAIM]);
        scene.has_its_secret(&other.run(&ContainerSpec { name: "second", ..APP }).unwrap());
        scene.end_plugin();
        let said = scene.restart_plugin().said();
        assert!(!said.contains("container second"), "{said}");
    }

    #[test]
    fn a_plugin_that_does_not_answer_in_time_is_as_one_that_is_away() {
        let Some(scene) = scene() else { return };
        let plugin = scene.plugin.as_ref().unwrap();
        let pod = scene.pod(&[CLAIM]);
        plugin.signal(Signal::SIGSTOP);
        let created = pod.create(&APP);
        plugin.signal(Signal::SIGCONT);
        if scene.able == Able::Require {
            // It was there when it was asked, so the engine's own check is content: the plugin's is not.
            let refused = created.unwrap_err();
            assert!(refused.contains("validator plugin 90-runsecrets failed"), "{refused}");
        } else {
            let id = created.unwrap();
            pod.start(&id).unwrap();
            scene.has_nothing(&id);
            plugin.says("container app of pod shop/pod claims service web and was created without this plugin");
        }
        plugin.says("warning: the connection to the runtime is lost");
        scene.bed.eventually("the plugin is back", || plugin.said().matches("registered with").count() == 2);
        scene.has_its_secret(&scene.pod(&[CLAIM]).run(&ContainerSpec { name: "second", ..APP }).unwrap());
    }

    #[test]
    fn the_engine_can_start_the_plugin_itself() {
        let scene = Scene::with(|bed, places| {
            let program = places.plugins().join("10-runsecrets");
            let (run_dir, hook) = (bed.place.run(), hook());
            let script =
                format!("#!/bin/sh\nexec {CLI} --run-dir {} nri --hook {}\n", run_dir.display(), hook.display());
            write_program(&program, &script);
            None
        });
        let pod = scene.pod(&[CLAIM]);
        let id = pod.run(&APP).unwrap();
        if scene.able == Able::Nothing {
            scene.has_nothing(&id);
        } else {
            scene.has_its_secret(&id);
        }
    }
}
