//! Cycles in a graph.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Edges between named nodes, each with what it stands for.
pub struct Graph(pub BTreeMap<(String, String), String>);

impl Graph {
    fn successors<'a>(&'a self, node: &'a str) -> impl Iterator<Item = &'a String> {
        self.0.keys().filter(move |(from, _)| from == node).map(|(_, to)| to)
    }

    fn reachable(&self, from: &str) -> BTreeSet<String> {
        let mut reached = BTreeSet::new();
        let mut waiting = vec![from];
        while let Some(node) = waiting.pop() {
            for next in self.successors(node) {
                if reached.insert(next.clone()) {
                    waiting.push(next);
                }
            }
        }
        reached
    }

    /// The largest sets of nodes in which each reaches all others.
    pub fn cyclic_components(&self) -> Vec<BTreeSet<String>> {
        let nodes: BTreeSet<&String> = self.0.keys().map(|(from, _)| from).collect();
        let reachable: BTreeMap<&String, BTreeSet<String>> =
            nodes.iter().map(|node| (*node, self.reachable(node))).collect();
        let mut components: Vec<BTreeSet<String>> = Vec::new();
        for (node, reached) in &reachable {
            if reached.contains(*node) && !components.iter().any(|component| component.contains(*node)) {
                let back = |other: &&String| reachable.get(other).is_some_and(|others| others.contains(*node));
                components.push(reached.iter().filter(back).cloned().collect());
            }
        }
        components
    }

    /// A shortest cycle inside a component, as its nodes in order.
    pub fn shortest_cycle(&self, component: &BTreeSet<String>) -> Vec<String> {
        let cycles = component.iter().filter_map(|start| {
            let mut before: BTreeMap<&String, &String> = BTreeMap::new();
            let mut waiting = VecDeque::from([start]);
            while let Some(node) = waiting.pop_front() {
                for next in self.successors(node).filter(|next| component.contains(*next)) {
                    if next == start {
                        let mut cycle = vec![node.clone()];
                        while let Some(previous) = cycle.last().filter(|last| *last != start).map(|last| before[last]) {
                            cycle.push(previous.clone());
                        }
                        cycle.reverse();
                        return Some(cycle);
                    }
                    if !before.contains_key(next) {
                        before.insert(next, node);
                        waiting.push_back(next);
                    }
                }
            }
            None
        });
        cycles.min_by_key(Vec::len).expect("a component has a cycle")
    }
}
