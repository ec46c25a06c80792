//! Verbs that other modules bring, beside those of this one: one command line, read in one place.

use clap::{CommandFactory, FromArgMatches};

use super::Arguments;

/// Runs a verb with its arguments; the second one shows a text.
pub type RunVerb = fn(&clap::ArgMatches, &mut dyn FnMut(&str)) -> Result<(), Box<dyn std::error::Error>>;

/// A verb that another module brings: the two know each other only by the program's entry point.
#[derive(Debug, Clone, Copy)]
pub struct Verb {
    /// Its command line.
    pub command: fn() -> clap::Command,
    /// Runs it.
    pub run: RunVerb,
}

/// What a command line asks for.
pub(in crate::cli) enum Asked {
    /// One of this module's verbs.
    Own(Arguments),
    /// One that was brought, with its arguments.
    Brought(Verb, clap::ArgMatches),
}

/// Reads the command line.
pub(in crate::cli) fn parse(verbs: &[Verb]) -> Result<Asked, clap::Error> {
    understand(definition(verbs).try_get_matches()?, verbs)
}

fn understand(mut matches: clap::ArgMatches, verbs: &[Verb]) -> Result<Asked, clap::Error> {
    let brought = |name: &str| verbs.iter().find(|verb| (verb.command)().get_name() == name).copied();
    if let Some(verb) = matches.subcommand_name().and_then(brought)
        && let Some((_, matches)) = matches.remove_subcommand()
    {
        return Ok(Asked::Brought(verb, matches));
    }
    Arguments::from_arg_matches_mut(&mut matches).map(Asked::Own)
}

/// The definition of the command line, for man pages and completions.
pub fn definition(verbs: &[Verb]) -> clap::Command {
    Arguments::command().subcommands(verbs.iter().map(|verb| (verb.command)()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verb_that_is_brought_stands_beside_the_own_ones() {
        let verb = Verb {
            command: || clap::Command::new("extra").arg(clap::Arg::new("what")),
            run: |matches, show| {
                show(matches.get_one::<String>("what").map_or("", String::as_str));
                Ok(())
            },
        };
        let read = |line: &str| {
            let words = ["runsecrets"].into_iter().chain(line.split(' '));
            understand(definition(&[verb]).try_get_matches_from(words).unwrap(), &[verb]).unwrap()
        };
        let Asked::Brought(verb, matches) = read("extra this") else { panic!("the verb is not known") };
        let mut shown = String::new();
        (verb.run)(&matches, &mut |text| shown.push_str(text)).unwrap();
        assert_eq!(shown, "this");
        assert!(matches!(read("secret ls"), Asked::Own(_)));
    }
}
