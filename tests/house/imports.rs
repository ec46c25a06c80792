//! Which modules of the crate's root a file names.

use super::tokens::{Token, tokens, without_tests};

/// The names that follow the crate's root in paths of non-test code: `crate::x`, `crate::{x::…, y}`, and as many
/// `super::` as lead there from a module `depth` below the root.
pub(crate) fn imports(source: &str, depth: usize) -> Vec<String> {
    let tokens = without_tests(&tokens(source));
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        if let Some(rest) = after_root(&tokens, at, depth) {
            found.extend(names(rest));
        }
    }
    found.sort();
    found.dedup();
    found
}

/// What follows a way to the crate's root that begins at `at`.
fn after_root(tokens: &[Token], at: usize, depth: usize) -> Option<&[Token]> {
    let after_colons = |tail: &[Token]| tail.starts_with(&[Token::Sign(':'), Token::Sign(':')]);
    if tokens[at].is_word("crate") {
        return after_colons(&tokens[at + 1..]).then(|| &tokens[at + 3..]);
    }
    if depth == 0 || !tokens[at].is_word("super") || (at > 0 && tokens[at - 1].is_sign(':')) {
        return None;
    }
    let mut rest = &tokens[at..];
    for _ in 0..depth {
        let is_step = rest.first().is_some_and(|token| token.is_word("super")) && after_colons(&rest[1..]);
        if !is_step {
            return None;
        }
        rest = &rest[3..];
    }
    Some(rest)
}

/// The first names of a path or of a group of paths.
fn names(tokens: &[Token]) -> Vec<String> {
    match tokens.first() {
        Some(Token::Word(name)) => vec![name.clone()],
        Some(Token::Sign('{')) => {
            let (mut found, mut depth, mut begins) = (Vec::new(), 0, true);
            for token in tokens {
                match token {
                    Token::Sign('{') => depth += 1,
                    Token::Sign('}') => depth -= 1,
                    Token::Sign(',') if depth == 1 => begins = true,
                    Token::Word(name) if depth == 1 && begins => {
                        found.push(name.clone());
                        begins = false;
                    }
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
            found
        }
        // `crate::*`: nobody can say what it names.
        Some(Token::Sign(sign)) => vec![sign.to_string()],
        None => Vec::new(),
    }
}
