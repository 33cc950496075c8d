//! Which processes pgrep and pkill choose.

use processes::Process;

use super::super::pattern::{Extent, Pattern};

/// Returns the program's name without its directory.
pub fn short_name(process: &Process) -> &str {
    let program = process.command.first().map_or("", String::as_str);
    program.rsplit('/').next().unwrap_or(program)
}

pub struct Selection {
    pattern: Pattern,
    /// `-f`: the arguments count as well.
    whole: bool,
    /// `-v`.
    inverted: bool,
}

impl Selection {
    /// # Errors
    /// The expression is not valid.
    pub fn new(pattern: &str, whole: bool, exact: bool, inverted: bool) -> Result<Selection, &'static str> {
        let extent = if exact { Extent::Line } else { Extent::Any };
        Ok(Selection { pattern: Pattern::new(pattern.as_bytes(), true, false, extent)?, whole, inverted })
    }

    pub fn matches(&self, process: &Process) -> bool {
        let matches = match self.whole {
            true => self.pattern.is_match(process.command.join(" ").as_bytes()),
            false => self.pattern.is_match(short_name(process).as_bytes()),
        };
        matches != self.inverted
    }
}

#[cfg(test)]
mod tests {
    use super::super::process;
    use super::*;

    #[test]
    fn names_match_without_directory_and_arguments() {
        let server = process(1, &["/usr/sbin/httpd", "-f", "www"], 1);
        let matches = |pattern: &str, whole: bool, exact: bool, inverted: bool| {
            Selection::new(pattern, whole, exact, inverted).expect("a valid expression").matches(&server)
        };
        assert!(matches("http", false, false, false) && !matches("www", false, false, false));
        assert!(matches("www", true, false, false) && !matches("http", false, true, false));
        assert!(matches("httpd|nginx", false, true, false) && !matches("httpd", false, false, true));
    }
}
