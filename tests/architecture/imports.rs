//! The paths that a Rust file names, found without a parser of Rust: comments and literals are left out, `use` trees
//! are spread out, and `self` and `super` are followed to the crate's root.

use std::iter::Peekable;
use std::str::Chars;

/// A path of at least two words, or one that is imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Counted from 1.
    pub line: usize,
    /// Its words; a path into our own crate begins with `crate`.
    pub path: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    /// `::`
    Step,
    Sign(char),
}

/// What `source`, the file of the module with this path inside the crate, names.
pub fn imports(source: &str, module: &[String]) -> Vec<Import> {
    let tokens = tokens(source);
    let mut found = Vec::new();
    // The inline modules that are open, each with the depth of its brace, since each is one more step for `super`.
    let mut inline: Vec<(usize, String)> = Vec::new();
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some((_, token)) = tokens.get(at) {
        match token {
            Token::Sign('{') => depth += 1,
            Token::Sign('}') => {
                depth = depth.saturating_sub(1);
                inline.retain(|(opened, _)| *opened <= depth);
            }
            Token::Word(word) if word == "mod" => {
                let name = tokens.get(at + 1).map(|(_, token)| token);
                let brace = tokens.get(at + 2).map(|(_, token)| token);
                if let (Some(Token::Word(name)), Some(Token::Sign('{'))) = (name, brace) {
                    inline.push((depth + 1, name.clone()));
                }
            }
            // No path begins with a keyword, though `::` may follow one.
            Token::Word(word) if ["use", "as", "dyn", "impl", "in", "return"].contains(&word.as_str()) => {}
            Token::Word(_) | Token::Step => {
                let mut here: Vec<String> = module.to_vec();
                here.extend(inline.iter().map(|(_, name)| name.clone()));
                let is_use =
                    at > 0 && matches!(tokens.get(at - 1), Some((_, Token::Word(word))) if word == "use");
                let mut paths = Vec::new();
                at = spread(&tokens, at, &[], &mut paths);
                let named = paths.into_iter().filter(|import| is_use || import.path.len() > 1);
                found.extend(named.map(|import| Import { path: absolute(import.path, &here), ..import }));
                continue;
            }
            Token::Sign(_) => {}
        }
        at += 1;
    }
    found
}

/// Reads one path, or one branch of a `use` tree, that begins at `at`; returns where it ends.
fn spread(tokens: &[(usize, Token)], mut at: usize, before: &[String], found: &mut Vec<Import>) -> usize {
    let line = tokens.get(at).map_or(0, |(line, _)| *line);
    let mut path = before.to_vec();
    loop {
        match tokens.get(at).map(|(_, token)| token) {
            Some(Token::Word(word)) => {
                path.push(word.clone());
                at += 1;
                if !matches!(tokens.get(at), Some((_, Token::Step))) {
                    break;
                }
            }
            Some(Token::Step) => at += 1,
            Some(Token::Sign('{')) if path.len() > before.len() => {
                return branches(tokens, at + 1, &path, found);
            }
            _ => break,
        }
    }
    if path.len() > before.len() {
        found.push(Import { line, path });
    }
    at
}

/// Reads the branches of a `use` tree up to its closing brace.
fn branches(tokens: &[(usize, Token)], mut at: usize, before: &[String], found: &mut Vec<Import>) -> usize {
    loop {
        match tokens.get(at).map(|(_, token)| token) {
            None => return at,
            Some(Token::Sign('}')) => return at + 1,
            Some(Token::Word(word)) if word == "as" => at += 2,
            Some(Token::Word(_) | Token::Step) => at = spread(tokens, at, before, found),
            Some(Token::Sign('*')) => {
                // A glob of its own imports what stands before the brace; one after `::` belongs to that path.
                let ends_a_path = at > 0 && matches!(tokens.get(at - 1), Some((_, Token::Step)));
                if let (Some((line, _)), false) = (tokens.get(at), ends_a_path) {
                    found.push(Import { line: *line, path: before.to_vec() });
                }
                at += 1;
            }
            Some(Token::Sign(_)) => at += 1,
        }
    }
}

fn absolute(path: Vec<String>, here: &[String]) -> Vec<String> {
    let mut base = here.to_vec();
    let mut rest = path.iter().peekable();
    match rest.peek().map(|word| word.as_str()) {
        Some("self") => {
            rest.next();
        }
        Some("super") => {}
        _ => return path,
    }
    while rest.next_if(|word| *word == "super").is_some() {
        base.pop();
    }
    let mut whole = vec!["crate".to_owned()];
    whole.extend(base);
    whole.extend(rest.cloned());
    whole
}

fn tokens(source: &str) -> Vec<(usize, Token)> {
    let mut found = Vec::new();
    let mut line = 1;
    let mut rest = source.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\n' => line += 1,
            '/' if rest.peek() == Some(&'/') => while rest.next_if(|next| *next != '\n').is_some() {},
            '/' if rest.peek() == Some(&'*') => line += skip_comment(&mut rest),
            '"' => line += skip_string(&mut rest),
            '\'' => skip_character(&mut rest),
            ':' if rest.next_if_eq(&':').is_some() => found.push((line, Token::Step)),
            first if first.is_alphabetic() || first == '_' => {
                let mut word = String::from(first);
                while let Some(next) = rest.next_if(|next| next.is_alphanumeric() || *next == '_') {
                    word.push(next);
                }
                let may_be_raw = ["r", "br", "cr"].contains(&word.as_str());
                if may_be_raw && matches!(rest.peek(), Some('"' | '#')) {
                    line += skip_raw_string(&mut rest);
                } else {
                    found.push((line, Token::Word(word)));
                }
            }
            sign if !sign.is_whitespace() => found.push((line, Token::Sign(sign))),
            _ => {}
        }
    }
    found
}

/// Skips a block comment, which may hold others; returns how many lines it had.
fn skip_comment(rest: &mut Peekable<Chars<'_>>) -> usize {
    let (mut lines, mut depth) = (0, 0_usize);
    let mut previous = '/';
    for character in rest.by_ref() {
        lines += usize::from(character == '\n');
        let pair = (previous, character);
        previous = character;
        match pair {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => continue,
        }
        previous = ' ';
        if depth == 0 {
            break;
        }
    }
    lines
}

fn skip_string(rest: &mut Peekable<Chars<'_>>) -> usize {
    let mut lines = 0;
    while let Some(character) = rest.next() {
        match character {
            '"' => break,
            '\n' => lines += 1,
            // A backslash at the end of a line hides the line's end, which still counts.
            '\\' => lines += usize::from(rest.next() == Some('\n')),
            _ => {}
        }
    }
    lines
}

/// Skips `#"…"#` with any number of signs; `r#word` is a word and is left alone but for its sign.
fn skip_raw_string(rest: &mut Peekable<Chars<'_>>) -> usize {
    let mut fence = 0;
    while rest.next_if_eq(&'#').is_some() {
        fence += 1;
    }
    if rest.next_if_eq(&'"').is_none() {
        return 0;
    }
    let mut lines = 0;
    while let Some(character) = rest.next() {
        lines += usize::from(character == '\n');
        if character == '"' && (0..fence).all(|_| rest.next_if_eq(&'#').is_some()) {
            break;
        }
    }
    lines
}

/// Skips a character literal; a lifetime is left as a word.
fn skip_character(rest: &mut Peekable<Chars<'_>>) {
    let mut ahead = rest.clone();
    match (ahead.next(), ahead.next()) {
        (Some('\\'), _) => {
            rest.next();
            rest.next();
            while rest.next_if(|next| *next != '\'').is_some() {}
            rest.next();
        }
        (Some(_), Some('\'')) => {
            rest.next();
            rest.next();
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::imports;

    /// The paths of a file of the module `grants::redis`, in one line.
    fn paths(source: &str) -> Vec<String> {
        let found = imports(source, &["grants".to_owned(), "redis".to_owned()]);
        found.iter().map(|import| format!("{} {}", import.line, import.path.join("::"))).collect()
    }

    #[test]
    fn use_trees_are_spread_out() {
        assert_eq!(
            paths("use crate::{domain::{Scope, Clock as C}, grants::record::*};\nuse std::{env, fs};"),
            [
                "1 crate::domain::Scope",
                "1 crate::domain::Clock",
                "1 crate::grants::record",
                "2 std::env",
                "2 std::fs"
            ],
        );
        assert_eq!(paths("use redis;"), ["1 redis"]);
        assert_eq!(paths("use crate::http::{self, *};"), ["1 crate::http::self", "1 crate::http"]);
        assert_eq!(paths("pub(crate) use ::diesel::prelude::*;"), ["1 diesel::prelude"]);
    }

    #[test]
    fn a_path_in_an_expression_counts_and_a_plain_word_does_not() {
        assert_eq!(
            paths("fn redis() { let env = crate::changes::tail(diesel); }\n#[actix_web::main]"),
            ["1 crate::changes::tail", "2 actix_web::main"]
        );
    }

    #[test]
    fn self_and_super_are_followed_to_the_root() {
        assert_eq!(paths("use super::record::Record;"), ["1 crate::grants::record::Record"]);
        assert_eq!(paths("use super::super::http::Route;"), ["1 crate::http::Route"]);
        assert_eq!(paths("use self::keys::Key;"), ["1 crate::grants::redis::keys::Key"]);
        assert_eq!(
            paths("mod tests { use super::super::Store; } use super::x;"),
            ["1 crate::grants::Store", "1 crate::grants::x"]
        );
    }

    #[test]
    fn comments_and_literals_are_left_out() {
        let source = "// crate::a\n/* crate::b /* \n */ crate::c */ \"crate::\\\"d\" r#\"crate::\"e\"# 'x' '\\'' 'a: \n\
                      b'\"' crate::f::g";
        assert_eq!(paths(source), ["4 crate::f::g"]);
    }
}
