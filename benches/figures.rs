//! A figure, its goal and its yardstick; the table and the file.

use serde::{Deserialize, Serialize};

/// One measured value.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Figure {
    pub name: String,
    pub value: f64,
    pub unit: String,
    /// The most (or, with `at_least`, the least) that is wanted; `None` for what is only shown.
    pub goal: Option<f64>,
    /// Whether larger is better.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub at_least: bool,
    /// The same done natively, in the same run: by processes, or by a handler that serves prepared bytes.
    pub yardstick: Option<f64>,
    pub ratio: Option<f64>,
    pub holds: Option<bool>,
}

impl Figure {
    pub fn new(name: &str, value: f64, unit: &str) -> Figure {
        let (name, unit) = (name.to_string(), unit.to_string());
        Figure { name, value, unit, goal: None, at_least: false, yardstick: None, ratio: None, holds: None }
    }

    pub fn at_most(mut self, goal: f64) -> Figure {
        self.holds = Some(self.value <= goal);
        self.goal = Some(goal);
        self
    }

    pub fn at_least(mut self, goal: f64) -> Figure {
        self.holds = Some(self.value >= goal);
        self.goal = Some(goal);
        self.at_least = true;
        self
    }

    /// Beside `yardstick`, of which it must reach `part`.
    pub fn at_least_part_of(self, part: f64, yardstick: f64) -> Figure {
        self.at_least((part * yardstick).round()).beside(yardstick)
    }

    pub fn beside(mut self, yardstick: f64) -> Figure {
        self.yardstick = Some(yardstick);
        self.ratio = (yardstick > 0.0).then(|| self.value / yardstick);
        self
    }
}

pub fn print(figures: &[Figure]) {
    println!("{:<28} {:>12} {:<7} {:>12} {:>12} {:>8}  holds", "figure", "value", "unit", "goal", "native", "ratio");
    for f in figures {
        let number = |value: Option<f64>| value.map_or("–".into(), |v| format!("{v:.2}"));
        let goal = f.goal.map_or("–".into(), |goal| format!("{} {goal}", if f.at_least { "≥" } else { "≤" }));
        let holds = f.holds.map_or("–", |holds| if holds { "yes" } else { "NO" });
        println!(
            "{:<28} {:>12.2} {:<7} {goal:>12} {:>12} {:>8}  {holds}",
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
    std::fs::write(&path, json).expect("target/bench.json is written");
}

/// The value below which `part` (0 to 1) of `values` lie.
pub fn percentile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values[((last as f64) * part).round() as usize]
}
