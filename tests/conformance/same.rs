//! Our client beside Docker's, at one socket: what must be the same is the same to the byte.

use super::Case;
use super::command::Client;
use super::target::Target;

pub(crate) const CASES: &[Case] =
    &[("same::our_client_prints_what_dockers_prints", our_client_prints_what_dockers_prints)];

/// Commands whose every byte and status must be the same from Docker's client and from ours.
const SAME: &[&[&str]] = &[
    &["secret", "ls"],
    &["secret", "list", "-q"],
    &["secret", "ls", "-f", "name=s"],
    &["secret", "ls", "-f", "label=env=prod", "--format", "json"],
    &["secret", "ls", "-f", "foo=bar"],
    &[
        "secret",
        "ls",
        "--format",
        "table {{.ID}}\\t{{.Name}}\\t{{.Label \"env\"}}\\t{{.Label \"a-b.c_d\"}}\\t{{.Labels}}",
    ],
    &[
        "secret",
        "ls",
        "--format",
        "table {{upper .Name}}: {{.CreatedAt}} {{json .ID}} {{join (split .Name \"\") \",\"}}",
    ],
    &["secret", "ls", "--format", "table {{if .Labels}}{{.Name}}\\t{{end}}{{.ID}}\\tx"],
    &["secret", "ls", "--format", "{{printf \"%q %5s|%-8.2s|%v %d %x\" .Name .ID .Name .Labels 7 255}}"],
    &[
        "secret",
        "ls",
        "--format",
        "{{eq .Name \"s2\" \"s10\"}} {{slice .Name 1}} {{index (split .Name \"1\") 0}}{{/* c */}} {{- with .Labels}} {{.}}{{else}} none{{end}}",
    ],
    &[
        "secret",
        "ls",
        "--format",
        "{{and .Labels .Name}} {{or .Driver .Name}} {{not .Driver}} {{len .ID}} {{lt 1 2}} {{print 1 2 \"x\" 3}} {{println .Name}}",
    ],
    &[
        "secret",
        "ls",
        "--format",
        "{{$n := .Name}}{{range $i, $c := split $n \"\"}}{{$i}}{{$c}}{{if eq $c \"1\"}}{{break}}{{end}}{{end}} {{truncate $n 2}} {{pad $n 1 2}} {{title $n}} {{`raw`}}",
    ],
    &["secret", "ls", "--format", "{{.Name"],
    &["secret", "ls", "--format", "{{nope}}"],
    &["secret", "inspect", "s10", "s2"],
    &["secret", "inspect", "nope"],
    &["secret", "inspect", "s2", "nope", "s10"],
    &["secret", "inspect", "--pretty", "s10", "s2"],
    &["secret", "inspect", "-f", "json", "s10"],
    &[
        "secret",
        "inspect",
        "-f",
        "{{.Spec.Labels}} {{.CreatedAt}} {{json .UpdatedAt}} {{.Version.Index}} {{index .Spec.Labels \"nope\"}}|",
        "s10",
        "s2",
    ],
    &["secret", "inspect", "-f", "{{range $k, $v := .Spec.Labels}}{{$k}}={{$v}};{{end}}{{json .}}", "s10"],
    &["secret", "inspect", "-f", "pretty {{.ID}}", "s10"],
    &["secret", "inspect", ""],
    &["secret", "rm", "nope", "gone"],
    &["secret", "create", "s2", "/etc/hostname"],
    &["secret", "create", "a/b", "/etc/hostname"],
    &["secret", "create", "x", "/no/such/file"],
    &["secret", "create", "x", "-"],
    &["secret", "create", "x"],
    &["events", "--since", "0", "--until", "1", "--filter", "type=secret"],
    &["version", "--format", "{{.Server.Version}} {{.Server.APIVersion}}"],
];

/// Both clients at one socket; what each of [`SAME`] prints on both streams, and the status.
fn our_client_prints_what_dockers_prints(target: &Target) {
    if target.is_our_cli() {
        // This target needs no Docker; the other two make the comparison.
        return;
    }
    if target.client < Client::Current {
        super::say(
            "  our client has the words of Docker's from 28 on; the one installed is older and is not compared with",
        );
        return;
    }
    target.create("s10", &["-l", "env=prod"]);
    target.create("s2", &[]);
    target.create("Alpha", &[]);
    for arguments in SAME {
        // "3 seconds ago" may become 4 between the two; an attempt that falls into one second decides.
        let mut attempts = (0..5).map(|_| target.both(arguments));
        let last = attempts.find(|(docker, ours)| docker == ours);
        if last.is_none() {
            let (docker, ours) = target.both(arguments);
            assert_eq!(docker, ours, "{arguments:?}");
        }
    }
}
