//! What comes in pieces, what is too long, and what is not understood.

use super::super::message::Empty;
use super::*;

const SERVICE: &str = "a.Service";

fn messages<'p>(incoming: &mut Incoming, parts: impl IntoIterator<Item = &'p [u8]>) -> Vec<Message> {
    let mut whole = Vec::new();
    parts.into_iter().for_each(|part| incoming.add(part, |message| whole.push(message)));
    whole
}

fn message(bytes: &[u8]) -> Message {
    messages(&mut Incoming::default(), [bytes]).pop().unwrap()
}

/// What the caller reads of the answer to `bytes`.
fn answered(bytes: &[u8]) -> Result<Vec<u8>, Status> {
    let asked = message(bytes);
    let answer = answer(&asked, SERVICE, |method, payload| Ok([method.as_bytes(), payload].concat()));
    outcome(&message(&answer.unwrap()), asked.head.stream).unwrap()
}

#[test]
fn a_call_is_answered() {
    let asked = Request { method: "Do".into(), ..Request::default() };
    let bytes = call(3, SERVICE, "Do", &asked);
    assert_eq!(bytes[4..10], [0, 0, 0, 3, REQUEST, 0]);
    assert_eq!(answered(&bytes).unwrap(), [b"Do", asked.encode_to_vec().as_slice()].concat());
}

#[test]
fn messages_are_put_together_wherever_they_are_cut() {
    let bytes = [call(1, SERVICE, "One", &Empty {}), packed(5, RESPONSE, b""), call(3, SERVICE, "Two", &Empty {})];
    let bytes = bytes.concat();
    let expected = messages(&mut Incoming::default(), [&bytes[..]]);
    assert_eq!(expected.iter().map(|message| message.head.stream).collect::<Vec<_>>(), [1, 5, 3]);
    for size in 1..bytes.len() {
        assert_eq!(messages(&mut Incoming::default(), bytes.chunks(size)), expected, "in pieces of {size}");
    }
}

#[test]
fn a_message_that_is_too_long_is_answered_and_passed_over() {
    let head = |length: usize| [&u32::try_from(length).unwrap().to_be_bytes()[..], &[0, 0, 0, 1, REQUEST, 0]].concat();
    let mut incoming = Incoming::default();
    let first = messages(&mut incoming, [head(MAX_MESSAGE + 1).as_slice()]);
    assert_eq!(first.len(), 1);
    let response = answer(&first[0], SERVICE, |_, _| panic!("it was served")).unwrap();
    let said = outcome(&message(&response), 1).unwrap().unwrap_err();
    assert_eq!(said.code, RESOURCE_EXHAUSTED);
    let next = [vec![9; MAX_MESSAGE + 1], call(3, SERVICE, "Next", &Empty {})].concat();
    let after = messages(&mut incoming, next.chunks(4096));
    assert_eq!(after.iter().map(|message| message.head.stream).collect::<Vec<_>>(), [3]);
    assert!(incoming.bytes.capacity() <= HEADER, "nothing of it was kept");
    // The length alone makes no room.
    messages(&mut incoming, [head(MAX_MESSAGE).as_slice()]);
    assert!(incoming.bytes.capacity() <= HEADER);
    messages(&mut incoming, [head(u32::MAX as usize).as_slice()]);
}

#[test]
fn what_is_not_understood_is_answered_with_an_error() {
    let garbage = packed(1, REQUEST, &[0xff; 7]);
    let even = call(2, SERVICE, "Do", &Empty {});
    let data = packed(1, 3, b"");
    let unknown = packed(1, 200, b"");
    for bytes in [garbage, even, data, unknown] {
        assert_eq!(answered(&bytes).unwrap_err().code, INVALID_ARGUMENT, "{bytes:?}");
    }
    let mut stream = call(1, SERVICE, "Do", &Empty {});
    stream[9] = REMOTE_OPEN;
    let elsewhere = call(1, "another\n.Service", "Do", &Empty {});
    for bytes in [stream, elsewhere] {
        let said = answered(&bytes).unwrap_err();
        assert!(said.code == UNIMPLEMENTED && !said.message.contains('\n'), "{said:?}");
    }
    assert_eq!(answer(&message(&packed(1, RESPONSE, b"")), SERVICE, |_, _| panic!("served")), None);
}

#[test]
fn an_answer_is_the_outcome_of_its_own_call() {
    let failed = Response { status: Some(status(FAILED_PRECONDITION, "no")), payload: vec![] };
    let failed = message(&packed(1, RESPONSE, &failed.encode_to_vec()));
    assert_eq!(outcome(&failed, 1).unwrap().unwrap_err().message, "no");
    assert_eq!(outcome(&failed, 3), None);
    let garbage = message(&packed(1, RESPONSE, &[0xff]));
    assert!(outcome(&garbage, 1).unwrap().is_err());
    let fine = Response { status: Some(status(0, "")), payload: b"x".to_vec() };
    assert_eq!(outcome(&message(&packed(1, RESPONSE, &fine.encode_to_vec())), 1).unwrap().unwrap(), b"x");
}
