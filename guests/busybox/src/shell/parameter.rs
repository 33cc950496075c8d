//! Parameters by name: positional, special and variables.

use super::Shell;

impl Shell {
    /// Returns the value of `$name`, if it is set.
    pub fn parameter(&self, name: &str) -> Option<String> {
        match name {
            "?" => Some(self.status.to_string()),
            "#" => Some(self.positional.len().to_string()),
            "$" => Some(self.pid.to_string()),
            "!" => Some(self.jobs.last().map_or_else(String::new, |pid| pid.to_string())),
            "-" => Some(self.options.letters()),
            "0" => Some(self.name.clone()),
            "@" | "*" => {
                let separator = self.ifs().chars().next().map(String::from).unwrap_or_default();
                match self.positional.is_empty() {
                    true => None,
                    false => Some(self.positional.join(&separator)),
                }
            }
            "RANDOM" => Some((random() & 0x7fff).to_string()),
            "SECONDS" | "LINENO" if self.variables.get(name).is_none() => Some("0".into()),
            _ => match name.parse::<usize>() {
                Ok(number) => self.positional.get(number.checked_sub(1)?).cloned(),
                Err(_) => self.variables.get(name).map(str::to_string),
            },
        }
    }
}

fn random() -> u64 {
    wasip2::random::insecure::get_insecure_random_u64()
}
