//! A figure with its goal and its yardstick, and the table and the file of all figures.

use serde::{Deserialize, Serialize};

/// A measured value.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Figure {
    pub name: String,
    pub value: f64,
    pub unit: String,
    /// The maximum, or with `at_least` the minimum. `None` if the figure has no goal.
    pub goal: Option<f64>,
    /// Whether larger is better.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub at_least: bool,
    /// The value of native processes, or of a handler that serves prepared bytes, in the same run.
    pub yardstick: Option<f64>,
    pub ratio: Option<f64>,
    pub holds: Option<bool>,
    /// The percentage of the machine's processor time that other processes took meanwhile.
    #[serde(default)]
    pub other_work: Option<f64>,
}

impl Figure {
    pub fn new(name: &str, value: f64, unit: &str) -> Figure {
        let (name, unit) = (name.to_string(), unit.to_string());
        let (goal, yardstick, ratio, holds, other_work) = (None, None, None, None, None);
        Figure { name, value, unit, goal, at_least: false, yardstick, ratio, holds, other_work }
    }

    /// Sets the maximum.
    pub fn at_most(mut self, goal: f64) -> Figure {
        self.holds = Some(self.value <= goal);
        self.goal = Some(goal);
        self
    }

    /// Sets the minimum.
    pub fn at_least(mut self, goal: f64) -> Figure {
        self.holds = Some(self.value >= goal);
        self.goal = Some(goal);
        self.at_least = true;
        self
    }

    /// Sets the yardstick, and a `part` of it as the minimum.
    pub fn at_least_part_of(self, part: f64, yardstick: f64) -> Figure {
        self.at_least((part * yardstick).round()).beside(yardstick)
    }

    /// Sets the yardstick.
    pub fn beside(mut self, yardstick: f64) -> Figure {
        self.yardstick = Some(yardstick);
        self.ratio = (yardstick > 0.0).then(|| self.value / yardstick);
        self
    }
}

pub fn print(figures: &[Figure]) {
    println!(
        "{:<28} {:>12} {:<7} {:>12} {:>12} {:>8}  {:<5}  other work",
        "figure", "value", "unit", "goal", "native", "ratio", "holds"
    );
    for f in figures {
        let number = |value: Option<f64>| value.map_or("–".into(), |v| format!("{v:.2}"));
        let goal = f.goal.map_or("–".into(), |goal| format!("{} {goal}", if f.at_least { "≥" } else { "≤" }));
        let holds = f.holds.map_or("–", |holds| if holds { "yes" } else { "NO" });
        let other_work = f.other_work.map_or("–".into(), |percent| format!("{percent} %"));
        println!(
            "{:<28} {:>12.2} {:<7} {goal:>12} {:>12} {:>8}  {holds:<5}  {other_work}",
            f.name,
            f.value,
            f.unit,
            number(f.yardstick),
            number(f.ratio)
        );
    }
}

pub fn write(figures: &[Figure]) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench.json");
    let json = serde_json::to_string_pretty(figures).expect("figures encode");
    std::fs::write(&path, json).expect("target/bench.json can be written");
}

/// Returns the value below which a `part` (0 to 1) of the values lies.
pub fn percentile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values[((last as f64) * part).round() as usize]
}
