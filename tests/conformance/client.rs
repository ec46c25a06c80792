//! The command line. From docker/cli `cli/command/secret/*_test.go` and what the client (28.2) prints.

use super::Case;
use super::command::Client;
use super::target::Target;

pub(crate) const CASES: &[Case] = &[
    ("client::an_empty_list_is_a_header", an_empty_list_is_a_header),
    ("client::a_table_in_natural_order", a_table_in_natural_order),
    ("client::formats_of_a_list", formats_of_a_list),
    ("client::filters_of_a_list", filters_of_a_list),
    ("client::inspect_is_json", inspect_is_json),
    ("client::inspect_goes_on_after_one_that_is_missing", inspect_goes_on_after_one_that_is_missing),
    ("client::inspect_by_template", inspect_by_template),
    ("client::inspect_pretty", inspect_pretty),
    ("client::rm_goes_on_after_an_error", rm_goes_on_after_an_error),
    ("client::create_from_a_file", create_from_a_file),
    ("client::create_refusals", create_refusals),
    ("client::bad_flags_send_nothing", bad_flags_send_nothing),
    ("client::drivers", drivers),
    ("client::templates_that_are_wrong", templates_that_are_wrong),
    ("client::prune", prune),
];

/// TestSecretList.
fn an_empty_list_is_a_header(target: &Target) {
    assert_eq!(target.secret(&["ls"]).ok(), "ID        NAME      DRIVER    CREATED   UPDATED");
    for arguments in [&["ls", "-q"][..], &["list", "--format", "json"], &["ls", "--format", "{{.ID}}"]] {
        assert_eq!(target.secret(arguments).ok(), "");
    }
}

/// TestSecretList and its golden files: sorted naturally, Docker's column widths, times in words.
fn a_table_in_natural_order(target: &Target) {
    for name in ["10-foo", "foo", "2-foo", "Bar", "1-foo"] {
        target.create(name, &[]);
    }
    let table = target.secret(&["ls"]).ok();
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("ID                          NAME      DRIVER    CREATED"), "{table}");
    let names: Vec<&str> = lines[1..].iter().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(names, ["1-foo", "2-foo", "10-foo", "Bar", "foo"]);
    for line in &lines[1..] {
        assert_eq!(&line[25..28], "   ", "{line}");
        assert!(line[48..].starts_with("Less than a second ago") || line[48..].contains(" second"), "{line}");
        assert_eq!(line.matches(" ago").count(), 2, "{line}");
    }
}

/// TestSecretContextFormatWrite, TestSecretListWithFormat.
fn formats_of_a_list(target: &Target) {
    let id = target.create("a", &["-l", "env=prod", "-l", "x"]);
    target.create("b", &[]);
    let ls = |format: &str| target.secret(&["ls", "--format", format]).ok();
    assert_eq!(ls("{{.Name}}"), "a\nb");
    assert_eq!(target.secret(&["ls", "-q", "--format", "{{.Name}}"]).ok(), "a\nb");
    assert_eq!(ls("raw"), "raw\nraw");
    assert!(ls("table").starts_with("ID                          NAME      DRIVER    CREATED"));
    assert_eq!(
        ls("table {{.Name}}\\t{{.Label \"env\"}}\\t{{.Driver}}"),
        "NAME      env       DRIVER\na         prod      \nb                   "
    );
    assert_eq!(ls("table {{upper .Name}}: {{len .Name}}"), "NAME: 4\nA: 1\nB: 1");
    assert_eq!(
        ls(
            "{{.Name | printf \"%-3s|\"}}{{if .Labels}}L{{else}}-{{end}} {{join (split \"x-y\" \"-\") \"+\"}} {{title .Name}}"
        ),
        "a  |L x+y A\nb  |- x+y B"
    );
    // To an older client `json` is a template like any other.
    let json = if target.client == Client::Before23 { "{{json .}}" } else { "json" };
    for json in [ls(json), ls("{{json .}}")] {
        let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap_or_default()).expect("JSON");
        assert_eq!((&first["ID"], &first["Driver"], &first["Name"]), (&id.clone().into(), &"".into(), &"a".into()));
        // Docker's order of the labels is not fixed.
        assert!(["env=prod,x=", "x=,env=prod"].contains(&first["Labels"].as_str().unwrap_or_default()), "{first}");
        let keys = ["CreatedAt", "Driver", "ID", "Labels", "Name", "UpdatedAt"];
        let order = keys.map(|key| json.find(&format!("\"{key}\":")));
        assert!(order.is_sorted() && order[0].is_some(), "{json}");
    }
}

/// TestSecretList of moby: name and id by prefix, label by key or by key and value.
fn filters_of_a_list(target: &Target) {
    let one = target.create("test-one", &["-l", "type=test", "-l", "n=1"]);
    target.create("test-two", &["-l", "type=production"]);
    target.create("other", &[]);
    let ls = |filters: &[&str]| {
        let flags: Vec<&str> = filters.iter().flat_map(|filter| ["-f", *filter]).collect();
        target.secret(&[&["ls", "--format", "{{.Name}}"], flags.as_slice()].concat()).ok()
    };
    assert_eq!(ls(&["name=test-one"]), "test-one");
    assert_eq!(ls(&["name=test"]), "test-one\ntest-two");
    assert_eq!(ls(&["name=one"]), "");
    assert_eq!(ls(&[&format!("id={one}")]), "test-one");
    assert_eq!(ls(&[&format!("id={}", &one[..10])]), "test-one");
    assert_eq!(ls(&["label=type"]), "test-one\ntest-two");
    assert_eq!(ls(&["label=type=test"]), "test-one");
    assert_eq!(ls(&["label=type", "label=n=1"]), "test-one");
    assert_eq!(ls(&["name=test-one", "name=other"]), "other\ntest-one");
    assert_eq!(ls(&["NAME = test-two"]), "test-two");
    target.secret(&["ls", "-f", "foo=bar"]).fails("invalid filter 'foo'");
}

/// TestSecretInspectWithoutFormat.
fn inspect_is_json(target: &Target) {
    let id = target.create("s", &["-l", "b=2", "-l", "a=1"]);
    let shown = target.secret(&["inspect", "s"]).ok();
    let json: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    let (index, created) = (&json[0]["Version"]["Index"], json[0]["CreatedAt"].as_str().unwrap_or_default());
    let expected = format!(
        r#"[
    {{
        "ID": "{id}",
        "Version": {{
            "Index": {index}
        }},
        "CreatedAt": "{created}",
        "UpdatedAt": "{created}",
        "Spec": {{
            "Name": "s",
            "Labels": {{
                "a": "1",
                "b": "2"
            }}
        }}
    }}
]"#
    );
    assert_eq!(shown, expected);
    if target.client > Client::Before23 {
        let line = target.secret(&["inspect", "-f", "json", "s"]).ok();
        let begins = format!("[{{\"ID\":\"{id}\",\"Version\":{{\"Index\":{index}}},\"CreatedAt\":");
        assert!(line.starts_with(&begins), "{line}");
    }
    target.create("unlabelled", &[]);
    assert_eq!(
        target.secret(&["inspect", "-f", "{{json .Spec}}", "unlabelled"]).ok(),
        r#"{"Name":"unlabelled","Labels":{}}"#
    );
}

fn inspect_goes_on_after_one_that_is_missing(target: &Target) {
    target.create("a", &[]);
    target.create("b", &[]);
    let none = target.secret(&["inspect", "nope"]).fails("Error response from daemon: secret nope not found");
    assert_eq!(none.out, "[]\n");
    let some = target.secret(&["inspect", "-f", "{{.Spec.Name}}", "a", "nope", "b"]).fails("secret nope not found");
    assert_eq!(some.out, "a\nb\n");
}

/// TestSecretInspectWithFormat.
fn inspect_by_template(target: &Target) {
    target.create("s", &["-l", "env=prod"]);
    let inspect = |format: &str| target.secret(&["inspect", "--format", format, "s"]).ok();
    assert_eq!(inspect("{{.Spec.Name}} {{.Spec.Labels}} {{json .Spec.Labels}}"), "s map[env:prod] {\"env\":\"prod\"}");
    assert_eq!(
        inspect("{{index .Spec.Labels \"env\"}}{{range $k, $v := .Spec.Labels}} {{$k}}:{{$v}}{{end}}"),
        "prod env:prod"
    );
    assert!(inspect("{{.CreatedAt}}").ends_with(" +0000 UTC"));
}

/// TestSecretInspectPretty.
fn inspect_pretty(target: &Target) {
    let id = target.create("s", &["-l", "env=prod", "-l", "bare"]);
    let pretty = target.secret(&["inspect", "--pretty", "s"]).ok();
    let expected = format!(
        "ID:              {id}\nName:              s\nLabels:\n - bare\n - env=prod\nDriver:            \nCreated at:        "
    );
    assert!(pretty.starts_with(&expected), "{pretty}");
    assert!(
        pretty
            .lines()
            .last()
            .is_some_and(|line| line.starts_with("Updated at:        ") && line.ends_with(" +0000 utc"))
    );
    let both = target.secret(&["inspect", "--format", "pretty {{.ID}}", "s"]);
    both.fails("cannot supply extra formatting options to the pretty template");
}

/// TestSecretRemoveContinueAfterError.
fn rm_goes_on_after_an_error(target: &Target) {
    target.create("a", &[]);
    target.create("b", &[]);
    let removed = target.secret(&["remove", "nope", "a", "gone", "b"]).fails("secret nope not found");
    assert_eq!(removed.out, "a\nb\n");
    removed.fails("secret gone not found");
    assert_eq!(target.secret(&["ls", "-q"]).ok(), "");
}

/// TestSecretCreateWithName: a file, kept as it is, its line end too.
fn create_from_a_file(target: &Target) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("value");
    std::fs::write(&file, "hunter2\n").expect("a file");
    let id = target.secret(&["create", "-l", "rev=44", "-l", "site=blue", "s", &file.display().to_string()]).ok();
    let (_, json) = target.get(&format!("/secrets/{id}"));
    assert_eq!(json["Spec"]["Labels"], serde_json::json!({"rev": "44", "site": "blue"}));
    // Whether the value is the file's is asked by comparing: only the same data is accepted in an update.
    let update = |data: &str| {
        let index = target.get(&format!("/secrets/{id}")).1["Version"]["Index"].clone();
        target
            .http(
                "POST",
                &format!("/secrets/{id}/update?version={index}"),
                &format!(r#"{{"Name":"s","Data":"{data}"}}"#),
            )
            .0
    };
    assert_eq!(update("aHVudGVyMg=="), 400, "hunter2 without its line end");
    assert_eq!(update("aHVudGVyMgo="), 200, "hunter2 with it");
}

/// TestSecretCreateErrors.
fn create_refusals(target: &Target) {
    target
        .secret(&["create", "x", "/no/such/file"])
        .fails("error reading from /no/such/file: open /no/such/file: no such file or directory");
    target.secret(&["create", "x", "/"]).fails("error reading from /: read /: is a directory");
    target.secret(&["create", "x", "/dev/null"]).fails("error reading from /dev/null: data is empty");
    target.secret(&["create", "x"]).fails("secret file is required");
    assert_eq!(target.secret(&["ls", "-q"]).ok(), "");
}

fn bad_flags_send_nothing(target: &Target) {
    target.secret_with(&["create", "-l", "=x", "s", "-"], b"x").misused("invalid label '=x': empty name");
    target.secret_with(&["create", "-l", "a b=x", "s", "-"], b"x").misused("label 'a b' contains whitespaces");
    target.secret(&["ls", "-f", "bad"]).misused("bad format of filter (expected name=value)");
    target.secret(&["ls", "--bogus"]).misused("--bogus");
    assert_eq!(target.secret(&["ls", "-q"]).ok(), "");
    // Docker's client has 1 for a wrong number of arguments; ours calls that a misuse as well.
    for arguments in [&["rm"][..], &["inspect"], &["create"], &["ls", "extra"]] {
        let ran = target.secret(arguments);
        assert_eq!(ran.code, if target.is_our_cli() { 125 } else { 1 }, "{ran:?}");
    }
}

/// TestSecretCreateWithDriver: a driver keeps the value, so none may come with it. We have no drivers: both sides refuse
/// the name, each with its reason.
fn drivers(target: &Target) {
    target
        .secret_with(&["create", "-d", "foo", "x", "-"], b"x")
        .fails("when using secret driver secret data must be empty");
    let words = if target.is_swarm() { "plugin \"foo\" not found" } else { "foo" };
    target.secret(&["create", "-d", "foo", "x"]).fails(words);
    assert_eq!(target.secret(&["ls", "-q"]).ok(), "");
}

fn templates_that_are_wrong(target: &Target) {
    target.create("s", &[]);
    target.secret(&["ls", "--format", "{{.Name"]).fails("template parsing error: template: :1: unclosed action");
    target
        .secret(&["ls", "--format", "{{.Foo}}"])
        .fails("template parsing error: template: :1:2: executing \"\" at <.Foo>: ");
    target.secret(&["ls", "--format", "{{foo}}"]).fails("function \"foo\" not defined");
    target
        .secret(&["inspect", "-f", "{{.Foo}}", "s"])
        .fails("template parsing error: template: :1:2: executing \"\" at <.Foo>: ");
}

/// Ours alone: Docker has no `secret prune` (moby#38007).
fn prune(target: &Target) {
    target.create("used", &[]);
    target.create("unused", &[]);
    target.service_create("web", &["used"]).ok();
    if !target.is_our_cli() {
        assert_ne!(target.secret(&["prune", "-f"]).code, 0);
        assert_eq!(target.secret(&["ls", "--format", "{{.Name}}"]).ok(), "unused\nused");
        return;
    }
    for answer in [&b""[..], b"n\n", b"no\n"] {
        let asked = target.secret_with(&["prune"], answer).ok();
        assert!(asked.ends_with("Are you sure you want to continue? [y/N] "), "{asked}");
    }
    assert_eq!(target.secret(&["ls", "--format", "{{.Name}}"]).ok(), "unused\nused");
    assert!(target.secret_with(&["prune"], b"y\n").ok().ends_with("Deleted Secrets:\nunused"));
    assert_eq!(target.secret(&["prune", "--force"]).ok(), "");
    assert_eq!(target.secret(&["ls", "--format", "{{.Name}}"]).ok(), "used");
}
