//! Variables: values, the export and readonly attributes, and the values that `local` restores.

use std::collections::BTreeMap;
use std::fmt;

/// One variable; exported or readonly ones may have no value.
#[derive(Debug, Clone, Default)]
pub struct Variable {
    pub value: Option<String>,
    pub exported: bool,
    pub readonly: bool,
}

/// A readonly variable cannot be changed: its name.
#[derive(Debug)]
pub struct ReadonlyError(String);

impl fmt::Display for ReadonlyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: is read only", self.0)
    }
}

#[derive(Debug, Clone, Default)]
pub struct Variables {
    all: BTreeMap<String, Variable>,
    /// The previous `local` variables of each running function.
    scopes: Vec<Vec<(String, Option<Variable>)>>,
}

impl Variables {
    /// Creates variables from the environment; skips names that are not valid.
    pub fn from_environment(env: &BTreeMap<String, String>) -> Variables {
        let variable = |value: &String| Variable { value: Some(value.clone()), exported: true, readonly: false };
        let named = env.iter().filter(|(name, _)| super::word::is_name(name));
        let all = named.map(|(name, value)| (name.clone(), variable(value))).collect();
        Variables { all, scopes: Vec::new() }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.all.get(name)?.value.as_deref()
    }

    pub fn variable(&self, name: &str) -> Option<&Variable> {
        self.all.get(name)
    }

    /// Returns all variables, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Variable)> {
        self.all.iter()
    }

    pub fn set(&mut self, name: &str, value: impl Into<String>) -> Result<(), ReadonlyError> {
        self.change(name)?.value = Some(value.into());
        Ok(())
    }

    /// Returns a variable whose value may be changed; creates it if necessary.
    fn change(&mut self, name: &str) -> Result<&mut Variable, ReadonlyError> {
        let variable = self.all.entry(name.to_string()).or_default();
        match variable.readonly {
            true => Err(ReadonlyError(name.to_string())),
            false => Ok(variable),
        }
    }

    /// Returns a variable whose attributes may be changed; creates it if necessary.
    pub fn attributes(&mut self, name: &str) -> &mut Variable {
        self.all.entry(name.to_string()).or_default()
    }

    pub fn unset(&mut self, name: &str) -> Result<(), ReadonlyError> {
        self.change(name)?;
        self.all.remove(name);
        Ok(())
    }

    /// Restores a variable that [`Variables::variable`] returned.
    pub fn restore(&mut self, name: String, before: Option<Variable>) {
        match before {
            Some(variable) => self.all.insert(name, variable),
            None => self.all.remove(&name),
        };
    }

    pub fn enter_function(&mut self) {
        self.scopes.push(Vec::new());
    }

    pub fn leave_function(&mut self) {
        for (name, before) in self.scopes.pop().unwrap_or_default().into_iter().rev() {
            self.restore(name, before);
        }
    }

    /// Makes a variable local to the running function; it keeps its value, as in ash. False outside of functions.
    pub fn make_local(&mut self, name: &str) -> bool {
        let before = self.all.get(name).cloned();
        let Some(scope) = self.scopes.last_mut() else {
            return false;
        };
        if !scope.iter().any(|(known, _)| known == name) {
            scope.push((name.to_string(), before));
        }
        true
    }

    /// Returns the environment of commands.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let exported = |(name, variable): (&String, &Variable)| {
            let value = variable.value.clone().filter(|_| variable.exported)?;
            Some((name.clone(), value))
        };
        self.all.iter().filter_map(exported).collect()
    }
}
