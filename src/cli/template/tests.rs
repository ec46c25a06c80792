//! Templates against what the Docker client printed for the same ones (client 28.2, pinned).

use super::*;

fn secret() -> Value {
    let json = r#"{"ID":"ej7navusj2oiqqiqoep6b9ucf","Version":{"Index":11},"CreatedAt":"2026-11-24T08:50:50.636793563Z",
        "Spec":{"Name":"s10","Labels":{"env":"prod","tier":"1"}},"List":["a","b"]}"#;
    serde_json::from_str::<Value>(json).unwrap().typed()
}

fn rendered(template: &str) -> String {
    Template::parse(template).unwrap().render(&secret()).unwrap()
}

fn refused(template: &str) -> String {
    match Template::parse(template) {
        Err(error) => error.to_string(),
        Ok(template) => template.render(&secret()).unwrap_err().to_string(),
    }
}

#[test]
fn fields_maps_and_json_print_as_go_prints_them() {
    assert_eq!(
        rendered("{{.Spec.Name}} {{.Spec.Labels}} {{json .Spec.Labels}}"),
        "s10 map[env:prod tier:1] {\"env\":\"prod\",\"tier\":\"1\"}"
    );
    assert_eq!(
        rendered("{{index .Spec.Labels \"env\"}}|{{index .Spec.Labels \"nope\"}}|{{.Spec.Labels.nope}}"),
        "prod||<no value>"
    );
    assert_eq!(
        rendered("{{range $k,$v := .Spec.Labels}}{{$k}}={{$v}};{{end}} {{.Version.Index}}"),
        "env=prod;tier=1; 11"
    );
    assert_eq!(rendered("{{json .Version}} {{.Version}} {{.List}}"), "{\"Index\":11} {11} [a b]");
    assert_eq!(
        rendered("{{.CreatedAt}}|{{json .CreatedAt}}"),
        "2026-11-24 08:50:50.636793563 +0000 UTC|\"2026-11-24T08:50:50.636793563Z\""
    );
}

#[test]
fn pipelines_and_dockers_functions() {
    assert_eq!(rendered("{{.Spec.Name | printf \"%-10s|\"}} {{len .Spec.Name}}"), "s10       | 3");
    assert_eq!(
        rendered(
            "{{join (split .Spec.Name \"\") \"-\"}} {{title .Spec.Name}} {{truncate .Spec.Name 2}} [{{pad .Spec.Name 1 2}}]"
        ),
        "s-1-0 S10 s1 [ s10  ]"
    );
    assert_eq!(
        rendered("{{upper \"a\"}}{{lower \"B\"}} {{join .List \", \"}} {{index .List 1}} {{slice .Spec.Name 1}}"),
        "Ab a, b b 10"
    );
    assert_eq!(
        rendered("{{println \"x\" 1}}{{print 1 2 \"x\"}} {{printf \"%q %d %v %5.1s\" \"a\" 3 true \"xyz\"}}"),
        "x 1\n1 2x \"a\" 3 true     x"
    );
}

#[test]
fn branches_loops_and_variables() {
    assert_eq!(
        rendered(
            "{{if .Spec.Labels}}L{{else}}-{{end}}{{if not .List}}1{{else if eq .Spec.Name \"s1\" \"s10\"}}2{{else}}3{{end}}"
        ),
        "L2"
    );
    assert_eq!(rendered("{{with .Spec}}{{.Name}} {{$.ID}}{{end}}"), "s10 ej7navusj2oiqqiqoep6b9ucf");
    assert_eq!(
        rendered(
            "{{range .List}}{{if eq . \"b\"}}{{break}}{{end}}{{.}}{{end}}{{range .Spec.Labels.nope}}x{{else}}none{{end}}"
        ),
        "anone"
    );
    assert_eq!(rendered("{{$x := 1}}{{range .List}}{{$x = 2}}{{end}}{{$x}} {{(index .List 0) | upper}}"), "2 A");
    assert_eq!(rendered("a  {{- /* gone */ -}}  b {{- 1 -}} c{{ \"}}\" }}"), "ab1c}}");
    assert_eq!(rendered("{{if and .ID (gt .Version.Index 10) (or false true)}}y{{end}}{{if and 1 0}}n{{end}}"), "y");
}

#[test]
fn faults_are_told_in_gos_words() {
    assert_eq!(refused("{{.Name"), "template parsing error: template: :1: unclosed action");
    assert_eq!(
        refused("{{.Foo}}"),
        "template parsing error: template: :1:2: executing \"\" at <.Foo>: can't evaluate field Foo"
    );
    assert_eq!(refused("x\n{{nope 1}}"), "template parsing error: template: :2: function \"nope\" not defined");
    for bad in [
        "{{}}",
        "{{if .ID}}",
        "{{end}}",
        "{{else}}",
        "{{.ID |}}",
        "{{\"x}}",
        "{{(.ID}}",
        "{{.ID)}}",
        "{{define \"x\"}}{{end}}",
        "{{$x}}",
        "{{.ID 1}}",
        "{{range 3.5}}{{end}}",
        "{{/* x",
    ] {
        assert!(refused(bad).starts_with("template parsing error: template: "), "{bad}");
    }
}

#[test]
fn deep_nesting_is_refused_and_not_a_crash() {
    assert!(refused(&format!("{{{{{}1{}}}}}", "(".repeat(5000), ")".repeat(5000))).contains("too deep"));
    assert!(refused(&"{{if 1}}".repeat(5000)).contains("too deep"));
}
