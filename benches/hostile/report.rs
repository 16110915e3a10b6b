//! The table of what was measured beside its limits.

use std::time::Duration;

/// One line of the table.
#[derive(Debug)]
pub struct Check {
    name: String,
    measured: String,
    limit: String,
    is_met: bool,
}

impl Check {
    /// Something that was measured, its limit, and whether it is met.
    pub fn new(name: &str, measured: impl Into<String>, limit: impl Into<String>, is_met: bool) -> Self {
        Self { name: name.to_owned(), measured: measured.into(), limit: limit.into(), is_met }
    }

    /// A time that must not be longer than `limit`.
    pub fn time(name: &str, measured: Duration, limit: Duration) -> Self {
        let text = format!("{:.0} ms", measured.as_secs_f64() * 1000.0);
        Self::new(name, text, format!("≤ {} ms", limit.as_millis()), measured <= limit)
    }

    /// A number that must not be above `limit`.
    pub fn at_most(name: &str, measured: u64, limit: u64) -> Self {
        Self::new(name, measured.to_string(), format!("≤ {limit}"), measured <= limit)
    }

    /// A growth of memory, in bytes, that must not be above `limit` megabytes.
    pub fn memory(measured: u64, limit: u64) -> Self {
        let megabytes = measured as f64 / 1e6;
        Self::new("memory", format!("+{megabytes:.0} MB"), format!("≤ +{limit} MB"), megabytes <= limit as f64)
    }
}

/// The lines of all attacks.
#[derive(Debug, Default)]
pub struct Table {
    exceeded: usize,
    has_begun: bool,
}

impl Table {
    /// Prints the lines of one attack.
    pub fn add(&mut self, attack: &str, checks: &[Check]) {
        if !std::mem::replace(&mut self.has_begun, true) {
            println!("{:<70} {:>34}  {:<22}", "attack", "measured", "limit");
        }
        println!("{attack}");
        for Check { name, measured, limit, is_met } in checks {
            let result = if *is_met { "" } else { "EXCEEDED" };
            println!("  {name:<68} {measured:>34}  {limit:<22} {result}");
            self.exceeded += usize::from(!is_met);
        }
    }

    /// How many limits were exceeded.
    pub fn exceeded(&self) -> usize {
        self.exceeded
    }
}
