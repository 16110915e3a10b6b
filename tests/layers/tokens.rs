//! Splits Rust source into words and signs.

pub fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// The words and signs of a source with their lines; comments and literals are left out.
pub fn tokens(source: &str) -> Vec<(String, usize)> {
    let text: Vec<char> = source.chars().collect();
    let at = |index: usize| text.get(index).copied().unwrap_or('\0');
    let (mut tokens, mut index, mut line) = (Vec::new(), 0, 1);
    while index < text.len() {
        let begin = index;
        match text[index] {
            '/' if at(index + 1) == '/' => {
                while index < text.len() && text[index] != '\n' {
                    index += 1;
                }
            }
            '/' if at(index + 1) == '*' => {
                index += 2;
                while index < text.len() && !(text[index] == '*' && at(index + 1) == '/') {
                    index += 1;
                }
                index += 2;
            }
            '"' => index = end_of_string(&text, index),
            '\'' if at(index + 1) == '\\' || at(index + 2) == '\'' => {
                index += if at(index + 1) == '\\' { 3 } else { 2 };
                while index < text.len() && text[index] != '\'' {
                    index += 1;
                }
                index += 1;
            }
            'r' | 'b' | 'c' if raw_string(&text, index).is_some() => index = raw_string(&text, index).unwrap_or(index),
            c if c.is_alphanumeric() || c == '_' => {
                while at(index).is_alphanumeric() || at(index) == '_' {
                    index += 1;
                }
                tokens.push((text[begin..index].iter().collect(), line));
            }
            ':' if at(index + 1) == ':' => {
                index += 2;
                tokens.push(("::".to_owned(), line));
            }
            c => {
                index += 1;
                if !c.is_whitespace() {
                    tokens.push((c.to_string(), line));
                }
            }
        }
        line += text[begin..index.min(text.len())].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

/// The index behind a string that begins with a quote at `index`.
fn end_of_string(text: &[char], mut index: usize) -> usize {
    index += 1;
    while index < text.len() && text[index] != '"' {
        index += if text[index] == '\\' { 2 } else { 1 };
    }
    index + 1
}

/// The index behind a raw string that begins at `index`, if one does.
fn raw_string(text: &[char], index: usize) -> Option<usize> {
    let prefix: usize = text[index..].iter().take(2).take_while(|c| matches!(c, 'r' | 'b' | 'c')).count();
    let hashes = text.get(index + prefix..)?.iter().take_while(|c| **c == '#').count();
    let begin = index + prefix + hashes;
    if text.get(begin) != Some(&'"') || (index > 0 && (text[index - 1].is_alphanumeric() || text[index - 1] == '_')) {
        return None;
    }
    if !text[index..index + prefix].contains(&'r') {
        return Some(end_of_string(text, begin));
    }
    let closes =
        |at: &usize| text[*at] == '"' && text[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
    Some((begin + 1..text.len()).find(closes)? + 1 + hashes)
}
