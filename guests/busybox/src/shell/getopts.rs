//! `getopts optstring name [args]`.

use super::{Outcome, Shell};

impl Shell {
    pub async fn builtin_getopts(&mut self, args: &[String]) -> Outcome {
        let [optstring, name, rest @ ..] = args else {
            return Err(self.report_failure("getopts: usage: getopts optstring var [arg]").await.0);
        };
        let operands = match rest.is_empty() {
            true => self.positional.clone(),
            false => rest.to_vec(),
        };
        let silent = optstring.starts_with(':');
        let index = self.variables.get("OPTIND").and_then(|n| n.parse::<usize>().ok()).unwrap_or(1);
        let index = index.max(1);
        let current = operands.get(index - 1).cloned().unwrap_or_default();
        if self.option_offset == 0 {
            let ends = !current.starts_with('-') || current.len() < 2;
            if ends || current == "--" {
                let next = if ends { index } else { index + 1 };
                self.assign_option(name, "?", None, next, 0).await?;
                return Ok(1);
            }
            self.option_offset = 1;
        }
        let mut rest = current.chars().skip(self.option_offset);
        let letter = rest.next().unwrap_or('?');
        let attached: String = rest.collect();
        let (next, offset) = match attached.is_empty() {
            true => (index + 1, 0),
            false => (index, self.option_offset + 1),
        };
        let known = optstring.find(letter).filter(|_| letter != ':');
        let wants =
            known.is_some_and(|at| optstring.get(at + letter.len_utf8()..).is_some_and(|rest| rest.starts_with(':')));
        let shown = letter.to_string();
        if known.is_none() {
            let argument = silent.then_some(shown.as_str());
            self.assign_option(name, "?", argument, next, offset).await?;
            if !silent {
                self.print_error(&format!("illegal option -{letter}")).await;
            }
            return Ok(0);
        }
        if !wants {
            self.assign_option(name, &shown, None, next, offset).await?;
            return Ok(0);
        }
        if !attached.is_empty() {
            self.assign_option(name, &shown, Some(&attached), index + 1, 0).await?;
            return Ok(0);
        }
        match operands.get(index) {
            Some(argument) => self.assign_option(name, &shown, Some(argument), index + 2, 0).await?,
            None if silent => self.assign_option(name, ":", Some(&shown), index + 1, 0).await?,
            None => {
                self.assign_option(name, "?", None, index + 1, 0).await?;
                self.print_error(&format!("no arg for -{letter} option")).await;
            }
        }
        Ok(0)
    }

    async fn assign_option(
        &mut self,
        name: &str,
        value: &str,
        argument: Option<&str>,
        next: usize,
        offset: usize,
    ) -> Result<(), super::Flow> {
        self.assign(name, value).await.map_err(|f| f.0)?;
        match argument {
            Some(argument) => self.assign("OPTARG", argument).await.map_err(|f| f.0)?,
            None => drop(self.variables.unset("OPTARG")),
        }
        self.assign("OPTIND", &next.to_string()).await.map_err(|f| f.0)?;
        self.option_offset = offset;
        Ok(())
    }
}
