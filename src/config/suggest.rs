//! Suggestions for misspelt words.

/// The known word nearest to an unknown one, if it is near enough to be a probable misspelling.
pub fn nearest<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Keys are short. Comparing a much longer text would cost time and find nothing.
    if unknown.len() > 64 {
        return None;
    }
    let unknown = unknown.to_ascii_lowercase();
    let allowed = (unknown.len() / 3).max(2);
    known
        .map(|word| (distance(&unknown, word), word))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// The Damerau-Levenshtein distance: insertions, deletions, replacements and swaps of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before_last = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["server.listen", "postgres.host", "postgres.port", "log.level"];
        assert_eq!(nearest("postgres.hots", known.into_iter()), Some("postgres.host"));
        assert_eq!(nearest("postgres.hostname", known.into_iter()), Some("postgres.host"));
        assert_eq!(nearest("Server.Listen", known.into_iter()), Some("server.listen"));
        assert_eq!(nearest("completely.else", known.into_iter()), None);
        assert_eq!(nearest(&"x".repeat(1000), known.into_iter()), None);
    }
}
