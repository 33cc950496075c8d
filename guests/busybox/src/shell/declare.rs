//! Builtins about variables: `export`, `readonly`, `local`, `unset`.

use super::escape::quoted;
use super::word::is_name;
use super::{Flow, Outcome, Shell};

impl Shell {
    /// `export` and `readonly`.
    pub async fn builtin_export(&mut self, args: &[String], readonly: bool) -> Outcome {
        let mut remove = false;
        let mut names = Vec::new();
        for arg in args {
            match arg.as_str() {
                "-n" if !readonly => remove = true,
                "-p" | "--" => {}
                name => names.push(name),
            }
        }
        if names.is_empty() {
            let verb = if readonly { "readonly" } else { "export" };
            let mut out = String::new();
            for (name, variable) in self.variables.iter() {
                if !(if readonly { variable.readonly } else { variable.exported }) {
                    continue;
                }
                out.push_str(&[verb, " ", name].concat());
                if let Some(value) = &variable.value {
                    out.push_str(&["=", &quoted(value)].concat());
                }
                out.push('\n');
            }
            self.print(&out).await?;
            return Ok(0);
        }
        for name in names {
            let name = self.declare(name).await?;
            let variable = self.variables.attributes(&name);
            match readonly {
                true => variable.readonly = true,
                false => variable.exported = !remove,
            }
        }
        Ok(0)
    }

    /// Performs `name=value`, or nothing for a plain name; returns the name.
    async fn declare(&mut self, argument: &str) -> Result<String, Flow> {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (argument, None),
        };
        if !is_name(name) {
            return Err(self.report_failure(&format!("{name}: bad variable name")).await.0);
        }
        if let Some(value) = value {
            self.assign(name, value).await.map_err(|f| f.0)?;
        }
        Ok(name.to_string())
    }

    pub async fn builtin_local(&mut self, args: &[String]) -> Outcome {
        for arg in args.iter().filter(|arg| !arg.starts_with('-')) {
            let name = arg.split('=').next().unwrap_or_default();
            if !self.variables.make_local(name) {
                return Err(self.report_failure("local: not in a function").await.0);
            }
            self.declare(arg).await?;
        }
        Ok(0)
    }

    pub async fn builtin_alias(&mut self, args: &[String]) -> Outcome {
        let mut status = 0;
        let mut out = String::new();
        let show = |name: &str, value: &str| [name, "=", &quoted(value), "\n"].concat();
        for arg in args {
            match (arg.split_once('='), self.aliases.get(arg)) {
                (Some((name, value)), _) => {
                    self.aliases.insert(name.into(), value.into());
                }
                (None, Some(value)) => out.push_str(&show(arg, value)),
                (None, None) => {
                    self.print_error(&format!("alias: {arg} not found")).await;
                    status = 1;
                }
            }
        }
        if args.is_empty() {
            out.extend(self.aliases.iter().map(|(name, value)| show(name, value)));
        }
        self.print(&out).await?;
        Ok(status)
    }

    pub async fn builtin_unalias(&mut self, args: &[String]) -> Outcome {
        let mut status = 0;
        for arg in args {
            match arg.as_str() {
                "-a" => self.aliases.clear(),
                name if self.aliases.remove(name).is_some() => {}
                name => {
                    self.print_error(&format!("unalias: {name}: not found")).await;
                    status = 1;
                }
            }
        }
        Ok(status)
    }

    pub async fn builtin_unset(&mut self, args: &[String]) -> Outcome {
        let mut functions = false;
        for arg in args {
            match arg.as_str() {
                "-f" => functions = true,
                "-v" | "--" => functions = false,
                name if functions => {
                    self.functions.remove(name);
                }
                name => {
                    if !is_name(name) {
                        return Err(self.report_failure(&format!("unset: {name}: bad variable name")).await.0);
                    }
                    if let Err(readonly) = self.variables.unset(name) {
                        let message = format!("unset: {readonly}");
                        return Err(self.report_failure(&message).await.0);
                    }
                }
            }
        }
        Ok(0)
    }
}
