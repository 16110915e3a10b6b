//! The order of Java's hash tables, which decides about the order of messages and of evaluation in Liquibase.

/// Orders items as a `HashMap` or `HashSet` of Java with `count` entries does, by the text of each. Items must come in the order of
/// their insertion.
pub(crate) fn sort_in_hash_order<T>(items: &mut [T], count: usize, text: impl Fn(&T) -> &str) {
    // The table grows when it is more than three quarters full.
    let mut buckets: usize = 16;
    while count > buckets / 4 * 3 {
        buckets *= 2;
    }
    items.sort_by_key(|item| {
        let units = text(item).encode_utf16();
        let hash = units.fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()));
        (hash ^ (hash >> 16)) as usize & (buckets - 1)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_depends_on_the_number_of_entries() {
        let sorted = |mut names: Vec<&'static str>, count| {
            sort_in_hash_order(&mut names, count, |name| name);
            names
        };
        let lookup = ["newTableName", "newColumnName", "existingTableName", "existingColumnName"];
        let mut alphabetical = lookup.to_vec();
        alphabetical.sort_unstable();
        assert_eq!(sorted(alphabetical, 10), lookup);
        let key =
            ["baseColumnNames", "constraintName", "referencedTableName", "referencedColumnNames", "baseTableName"];
        let mut alphabetical = key.to_vec();
        alphabetical.sort_unstable();
        assert_eq!(sorted(alphabetical.clone(), 16), key);
        assert_ne!(sorted(alphabetical, 10), key);
    }
}
