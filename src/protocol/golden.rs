//! The examples of `docs/protocol.md` are the golden files: each is read, written and compared.

use serde::{Serialize, de::DeserializeOwned};

use super::{agent, files, hello, operator};

const TEXT: &str = include_str!("../../docs/protocol.md");

/// The lines of the code block under `### heading`.
fn examples(heading: &str) -> Vec<&'static str> {
    let (_, after) = TEXT.split_once(&format!("### {heading}\n```json\n")).expect(heading);
    let (block, _) = after.split_once("```").expect(heading);
    block.lines().collect()
}

fn all_come_back<T: Serialize + DeserializeOwned>(heading: &str) -> usize {
    let examples = examples(heading);
    for example in &examples {
        let message: T =
            serde_json::from_str(example).unwrap_or_else(|error| panic!("{example}: {error}"));
        assert_eq!(serde_json::to_string(&message).unwrap(), **example);
    }
    examples.len()
}

#[test]
fn every_example_is_what_the_code_reads_and_writes() {
    assert_eq!(all_come_back::<hello::Hello>("hello"), 1);
    assert_eq!(all_come_back::<hello::Welcome>("welcome"), 1);
    assert_eq!(all_come_back::<agent::Request>("agent request"), 39);
    assert_eq!(all_come_back::<files::Done>("files done"), 9);
    assert_eq!(all_come_back::<agent::Message>("message"), 6);
    assert_eq!(all_come_back::<operator::Request>("operator request"), 69);
    assert_eq!(all_come_back::<operator::Event>("event"), 13);
}

#[test]
fn what_only_the_operator_may_do_cannot_be_said_by_an_agent() {
    let of_streams = |request: &operator::Request| {
        matches!(request, operator::Request::Ack { .. } | operator::Request::Cancel {})
    };
    for example in examples("operator request") {
        let request: operator::Request = serde_json::from_str(example).unwrap();
        if request.needs_proof() && !of_streams(&request) {
            assert!(serde_json::from_str::<agent::Request>(example).is_err(), "{example}");
        }
    }
}

#[test]
fn unknown_types_and_fields_are_refused() {
    for text in [
        r#"{"type":"approve_me"}"#,
        r#"{"type":"status","operator":true}"#,
        r#"{"type":"wait","id":"x-7k3","wait_ms":null,"as":"uid:0"}"#,
        r#"{}"#,
        r#"[]"#,
    ] {
        assert!(serde_json::from_str::<agent::Request>(text).is_err(), "{text}");
    }
}
