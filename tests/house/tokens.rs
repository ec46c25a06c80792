//! Rust source as words and signs: comments, strings and characters are left out, so that only code is judged.

/// One word or sign of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// An identifier, a keyword or a number.
    Word(String),
    /// Any other character that is not white space.
    Sign(char),
}

impl Token {
    pub(crate) fn is_word(&self, word: &str) -> bool {
        matches!(self, Self::Word(own) if own == word)
    }

    pub(crate) fn is_sign(&self, sign: char) -> bool {
        *self == Self::Sign(sign)
    }
}

/// The tokens of `source`.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let text: Vec<char> = source.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        at += match rest {
            [c, ..] if c.is_whitespace() => 1,
            ['/', '/', ..] => rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
            ['/', '*', ..] => block_comment(rest),
            ['"', ..] => string(rest),
            ['\'', ..] => character(rest),
            [c, ..] if is_word(*c) => {
                let length = rest.iter().position(|c| !is_word(*c)).unwrap_or(rest.len());
                let word: String = rest[..length].iter().collect();
                match literal_after_prefix(&word, &rest[length..]) {
                    Some(literal) => length + literal,
                    None => {
                        tokens.push(Token::Word(word));
                        length
                    }
                }
            }
            [c, ..] => {
                tokens.push(Token::Sign(*c));
                1
            }
            [] => break,
        };
    }
    tokens
}

/// `tokens` without the items behind `#[cfg(test)]`.
pub(crate) fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let marker: Vec<Token> = self::tokens("#[cfg(test)]");
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at..].starts_with(&marker) {
            at += marker.len() + item(&tokens[at + marker.len()..]);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// The length of the item at the start: to its `;`, or to the end of its braces.
fn item(tokens: &[Token]) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Sign('{' | '(' | '[') => depth += 1,
            Token::Sign('}' | ')' | ']') => depth -= 1,
            _ => {}
        }
        if depth == 0 && (token.is_sign(';') || token.is_sign('}')) {
            return at + 1;
        }
    }
    tokens.len()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn block_comment(text: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match text[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn string(text: &[char]) -> usize {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// A character, or the quote of a lifetime.
fn character(text: &[char]) -> usize {
    match text {
        ['\'', '\\', _, rest @ ..] => 3 + rest.iter().position(|c| *c == '\'').unwrap_or(0) + 1,
        ['\'', _, '\'', ..] => 3,
        _ => 1,
    }
}

/// The length of the literal after a prefix like `b`, `c` or `r`, if there is one.
fn literal_after_prefix(prefix: &str, text: &[char]) -> Option<usize> {
    match (prefix, text) {
        ("b" | "c", ['"', ..]) => Some(string(text)),
        ("b", ['\'', ..]) => Some(character(text)),
        ("r" | "br" | "cr", ['"' | '#', ..]) => {
            let hashes = text.iter().take_while(|c| **c == '#').count();
            if text.get(hashes) != Some(&'"') {
                return None; // a raw identifier
            }
            let mut end = vec!['"'];
            end.resize(hashes + 1, '#');
            let body = &text[hashes + 1..];
            let length = body.windows(end.len()).position(|window| window == end).unwrap_or(body.len());
            Some(hashes + 1 + length + end.len())
        }
        _ => None,
    }
}
