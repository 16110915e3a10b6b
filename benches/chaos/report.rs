//! What a run has found.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::disruption::Disruption;
use crate::ledger::Ledger;

/// The results of all rounds.
#[derive(Default)]
pub struct Report {
    recoveries: BTreeMap<(&'static str, Disruption), Vec<Duration>>,
    answers: Vec<String>,
    violation_count: usize,
    violations: Vec<String>,
}

impl Report {
    /// Notes how long a deployment took to serve again.
    pub fn recovered(&mut self, deployment: &'static str, disruption: Disruption, time: Duration) {
        self.recoveries.entry((deployment, disruption)).or_default().push(time);
    }

    /// Notes a violation that is not about a record.
    pub fn violation(&mut self, text: String) {
        self.violation_count += 1;
        self.violations.push(text);
    }

    /// Adds what is in the ledger of a deployment.
    pub fn add_ledger(&mut self, deployment: &str, ledger: &Ledger) {
        for ((purpose, answer), count) in ledger.answers() {
            self.answers.push(format!("{deployment:<10} {purpose:<16} {answer:<12} {count:>9}"));
        }
        let (count, examples) = ledger.violations();
        self.violation_count += count;
        self.violations.extend(examples.into_iter().map(|text| format!("{deployment}: {text}")));
    }

    /// Prints the tables; returns whether there was no violation.
    pub fn print(mut self, seed: u64) -> bool {
        println!("\n{:<46} {:>6} {:>12} {:>12}", "served again after", "rounds", "median", "longest");
        let mut all = Vec::new();
        for ((deployment, disruption), times) in &mut self.recoveries {
            print_times(&format!("{deployment}: {disruption}"), times);
            all.append(times);
        }
        print_times("all", &mut all);
        println!("\n{:<10} {:<16} {:<12} {:>9}", "deployment", "request", "answer", "number");
        self.answers.iter().for_each(|line| println!("{line}"));
        println!("\n{} violations (seed {seed})", self.violation_count);
        self.violations.iter().for_each(|text| println!("  {text}"));
        self.violation_count == 0
    }
}

fn print_times(name: &str, times: &mut [Duration]) {
    times.sort();
    let (Some(median), Some(longest)) = (times.get(times.len() / 2), times.last()) else { return };
    println!("{name:<46} {:>6} {:>9} ms {:>9} ms", times.len(), median.as_millis(), longest.as_millis());
}
