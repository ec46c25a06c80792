//! The plugin with a runtime at the other end of its socket: what it registers as, and what it answers.

use std::collections::HashMap;

use super::super::message::{Container, ContainerAdjustment, Hooks, PodSandbox, RegisterPluginRequest};
use super::*;

/// The runtime's end.
struct Runtime {
    stream: UnixStream,
    from_plugin: Incoming,
    next: u32,
}

impl Runtime {
    /// The next message on `connection`.
    fn receive(&mut self, connection: u32) -> ttrpc::Message {
        let mut messages = Vec::new();
        while messages.is_empty() {
            mux::read(&mut &self.stream, |number, part| {
                assert_eq!(number, connection);
                self.from_plugin.add(part, |message| messages.push(message));
            })
            .unwrap();
        }
        assert_eq!(messages.len(), 1);
        messages.remove(0)
    }

    /// Takes the registration, with this outcome.
    fn register(&mut self, outcome: Result<(), &str>) -> RegisterPluginRequest {
        let call = self.receive(mux::RUNTIME);
        let mut request = None;
        let answer = ttrpc::answer(&call, RUNTIME_SERVICE, |method, payload| {
            assert_eq!(method, "RegisterPlugin");
            request = Some(RegisterPluginRequest::decode(payload).unwrap());
            outcome.map(|()| Vec::new()).map_err(|words| status(INVALID_ARGUMENT, words))
        });
        mux::write(&mut &self.stream, mux::RUNTIME, &answer.unwrap()).unwrap();
        request.unwrap()
    }

    /// A call of the plugin.
    fn call<A: Message + Default>(&mut self, method: &str, message: &impl Message) -> Result<A, Status> {
        self.next += 2;
        let call = ttrpc::call(self.next, PLUGIN_SERVICE, method, message);
        mux::write(&mut &self.stream, mux::PLUGIN, &call).unwrap();
        let answer = self.receive(mux::PLUGIN);
        ttrpc::outcome(&answer, self.next).unwrap().map(|payload| A::decode(payload.as_slice()).unwrap())
    }
}

/// What `runtime` sees of a plugin, how that one ended, and what it said.
fn with_plugin(runtime: impl FnOnce(&mut Runtime) + Send) -> (String, bool, Vec<String>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            theirs.set_read_timeout(Some(PATIENCE)).unwrap();
            runtime(&mut Runtime { stream: theirs, from_plugin: Incoming::default(), next: 1 });
        });
        let wiring = Wiring { hook: "/h".to_owned(), arguments: vec![] };
        let mut said = Vec::new();
        let mut say = |line: &str| said.push(line.to_owned());
        let mut plugin = Plugin::new(&wiring, "ours", &mut say);
        let identity = Identity { name: "ours".to_owned(), index: "07".to_owned() };
        let Err(ended) = plugin.serve(&ours, &identity);
        (ended.to_string(), plugin.configured, said)
    })
}

fn containerd(version: &str) -> ConfigureRequest {
    ConfigureRequest { runtime_name: "containerd".into(), runtime_version: version.into(), nri_version: String::new() }
}

fn pod(service: &str) -> PodSandbox {
    let annotations = HashMap::from([("io.runsecrets.service".to_owned(), service.to_owned())]);
    PodSandbox { id: "p1".into(), name: "p".into(), namespace: "shop".into(), annotations }
}

fn create(service: &str) -> CreateContainerRequest {
    let container = Container { name: "app".into(), pod_sandbox_id: "p1".into(), ..Container::default() };
    CreateContainerRequest { pod: Some(pod(service)), container: Some(container) }
}

#[test]
fn it_registers_subscribes_and_adjusts() {
    let (ended, configured, said) = with_plugin(|runtime| {
        let registered = runtime.register(Ok(()));
        assert_eq!((registered.plugin_name.as_str(), registered.plugin_idx.as_str()), ("ours", "07"));
        let subscribed: ConfigureResponse = runtime.call("Configure", &containerd("1.7.24~ds1")).unwrap();
        assert_eq!(subscribed.events, CREATE_CONTAINER);
        let part = SynchronizeRequest { more: true, ..SynchronizeRequest::default() };
        let more: SynchronizeResponse = runtime.call("Synchronize", &part).unwrap();
        assert!(more.more);
        let made: CreateContainerResponse = runtime.call("CreateContainer", &create("web")).unwrap();
        assert_eq!(made.adjust.unwrap().hooks.unwrap().create_runtime[0].args[2..], ["--service", "web"]);
        let mut plain = create("web");
        plain.pod.as_mut().unwrap().annotations.clear();
        let made: CreateContainerResponse = runtime.call("CreateContainer", &plain).unwrap();
        assert_eq!(made.adjust, None);
        let _: Empty = runtime.call("Shutdown", &Empty {}).unwrap();
    });
    assert_eq!((ended.as_str(), configured), ("the runtime has closed the connection", true));
    assert_eq!(said[0], "registered with containerd 1.7.24~ds1");
    assert!(said[1].starts_with("warning: containerd 1.7.24~ds1 cannot require a plugin"), "{said:?}");
}

#[test]
fn where_the_runtime_can_it_refuses_what_would_start_without_secrets() {
    let (_, _, said) = with_plugin(|runtime| {
        runtime.register(Ok(()));
        let subscribed: ConfigureResponse = runtime.call("Configure", &containerd("v2.2.0")).unwrap();
        assert_eq!(subscribed.events, CREATE_CONTAINER | VALIDATE_ADJUSTMENT);
        let made: CreateContainerResponse = runtime.call("CreateContainer", &create("web")).unwrap();
        let CreateContainerRequest { pod, container } = create("web");
        let mut asked = ValidateRequest { pod, container, adjust: made.adjust };
        let judged: ValidateResponse = runtime.call("ValidateContainerAdjustment", &asked).unwrap();
        assert_eq!(judged, ValidateResponse::default());
        let empty = ContainerAdjustment { hooks: Some(Hooks::default()), ..ContainerAdjustment::default() };
        for adjust in [None, Some(empty)] {
            asked.adjust = adjust;
            let judged: ValidateResponse = runtime.call("ValidateContainerAdjustment", &asked).unwrap();
            assert!(judged.reject && judged.reason.contains("claims service web"), "{judged:?}");
        }
    });
    assert!(said[1].contains("required_plugins = [\"ours\"]"), "{said:?}");
}

#[test]
fn what_it_cannot_do_is_an_error_and_no_end() {
    let (_, _, said) = with_plugin(|runtime| {
        runtime.register(Ok(()));
        let none = runtime.call::<Empty>("NoSuchCall", &Empty {}).unwrap_err();
        assert_eq!(none.code, UNIMPLEMENTED);
        let bad = runtime.call::<Empty>("CreateContainer", &create("../x")).unwrap_err();
        assert!(bad.code == FAILED_PRECONDITION && bad.message.contains("container app of pod shop/p"), "{bad:?}");
        let empty = runtime.call::<Empty>("CreateContainer", &Empty {}).unwrap_err();
        assert_eq!((empty.code, empty.message.as_str()), (INVALID_ARGUMENT, "the message has no pod"));
        // A string in the place of the pod; bytes of a connection that is nobody's.
        let strange = RegisterPluginRequest { plugin_name: "\u{ff}".into(), plugin_idx: String::new() };
        assert_eq!(runtime.call::<Empty>("CreateContainer", &strange).unwrap_err().code, INVALID_ARGUMENT);
        mux::write(&mut &runtime.stream, 77, b"who is there?").unwrap();
        assert!(runtime.call::<CreateContainerResponse>("CreateContainer", &create("web")).is_ok());
    });
    assert!(said.iter().any(|line| line.contains("invalid service name")), "{said:?}");
}

#[test]
fn a_runtime_that_does_not_want_it_is_quoted_without_its_control_characters() {
    let (ended, configured, _) = with_plugin(|runtime| {
        runtime.register(Err("no\nplace"));
    });
    assert!(ended.contains("refuses the plugin: no\\nplace") && !configured, "{ended}");
    let (ended, configured, _) = with_plugin(|runtime| {
        runtime.receive(mux::RUNTIME);
        std::io::Write::write_all(&mut &runtime.stream, &[0, 0, 0, 1, 255, 255, 255, 255]).unwrap();
    });
    assert!(ended.contains("a frame of 4294967295 bytes") && !configured, "{ended}");
}

#[test]
fn no_wrong_byte_brings_it_down() {
    let wiring = Wiring { hook: "/h".to_owned(), arguments: vec![] };
    let mut say = |_: &str| {};
    let mut plugin = Plugin::new(&wiring, "ours", &mut say);
    let call = ttrpc::call(1, PLUGIN_SERVICE, "CreateContainer", &create("web"));
    let mut answered = 0;
    for place in 0..call.len() {
        for value in 0..=u8::MAX {
            let mut bytes = call.clone();
            bytes[place] = value;
            // What is missing of a message that has become longer.
            bytes.extend([0; 16]);
            Incoming::default().add(&bytes, |message| {
                let answer = ttrpc::answer(&message, PLUGIN_SERVICE, |method, payload| plugin.call(method, payload));
                answered += usize::from(answer.is_some());
            });
        }
    }
    assert!(answered > call.len() * 200, "{answered} answers to {} bytes", call.len());
}
