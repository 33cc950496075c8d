//! Simple commands: expansion of words, assignments, redirections, and the lookup of the first word: a special builtin,
//! a function, a builtin or an external command.

use std::rc::Rc;

use brush_parser::ast::{self, AssignmentName, AssignmentValue, CommandPrefixOrSuffixItem as Item};

use super::builtins::{self, Builtin};
use super::escape::quoted_if_needed;
use super::expand::Expansion;
use super::variables::Variable;
use super::word::Context;
use super::{Flow, Outcome, Shell};

/// A simple command after expansion.
struct Expanded<'a> {
    words: Vec<String>,
    assignments: Vec<(String, String)>,
    redirects: Vec<&'a ast::IoRedirect>,
}

impl Shell {
    pub async fn run_simple(&mut self, command: &ast::SimpleCommand) -> Outcome {
        self.context.substitution_status = None;
        let expanded = match self.expand_simple(command).await {
            Ok(expanded) => expanded,
            Err(failure) => return Err(failure.0),
        };
        if self.options.xtrace {
            self.trace(&expanded).await;
        }
        let before = self.descriptors.clone();
        let Some(name) = expanded.words.first() else {
            let redirected = self.redirect_all(expanded.redirects.iter().copied()).await;
            self.descriptors = before;
            if !redirected? {
                return Ok(1);
            }
            for (name, value) in &expanded.assignments {
                self.assign(name, value).await.map_err(|f| f.0)?;
            }
            return Ok(self.context.substitution_status.unwrap_or(0));
        };
        let builtin = builtins::find(name);
        let special = builtin.is_some_and(|b| b.special);
        let function = match special {
            true => None,
            false => self.functions.get(name).cloned(),
        };
        let keeps_descriptors = name == "exec" && function.is_none();
        let outcome = match self.redirect_all(expanded.redirects.iter().copied()).await {
            Err(flow) => Err(flow),
            Ok(false) if special && !self.options.interactive => Err(Flow::Exit(1)),
            Ok(false) => Ok(1),
            Ok(true) => {
                let Expanded { words, assignments, .. } = expanded;
                self.run_words(words, assignments, function, builtin).await
            }
        };
        if !(keeps_descriptors && outcome == Ok(0)) {
            self.descriptors = before;
        }
        outcome
    }

    async fn run_words(
        &mut self,
        words: Vec<String>,
        assignments: Vec<(String, String)>,
        function: Option<Rc<ast::FunctionBody>>,
        builtin: Option<Builtin>,
    ) -> Outcome {
        if function.is_none() && builtin.is_none() {
            return self.run_external(words, assignments).await;
        }
        let persists = function.is_none() && builtin.is_some_and(|b| b.special);
        let mut saved: Vec<(String, Option<Variable>)> = Vec::new();
        for (name, value) in &assignments {
            if !persists {
                saved.push((name.clone(), self.variables.variable(name).cloned()));
            }
            self.assign(name, value).await.map_err(|f| f.0)?;
            if !persists {
                self.variables.attributes(name).exported = true;
            }
        }
        let outcome = match (function, builtin) {
            (Some(body), _) => self.call_function(&body, words).await,
            (None, Some(builtin)) => {
                // `eval`, `.` and `command` run commands themselves.
                self.context.nesting += 2;
                let outcome = self.run_builtin(builtin, words).await;
                self.context.nesting -= 2;
                outcome
            }
            (None, None) => Ok(0),
        };
        for (name, before) in saved.into_iter().rev() {
            self.variables.restore(name, before);
        }
        outcome
    }

    /// Calls a function.
    pub async fn call_function(&mut self, body: &ast::FunctionBody, mut words: Vec<String>) -> Outcome {
        words.remove(0);
        let caller = std::mem::replace(&mut self.positional, words);
        let loops = std::mem::take(&mut self.context.loops);
        self.context.nesting += 1;
        self.variables.enter_function();
        let outcome = Box::pin(self.run_redirected(&body.0, body.1.as_ref())).await;
        self.variables.leave_function();
        self.context.nesting -= 1;
        self.context.loops = loops;
        self.positional = caller;
        match outcome {
            Err(Flow::Return(status)) => Ok(status),
            other => other,
        }
    }

    async fn expand_simple<'a>(&mut self, command: &'a ast::SimpleCommand) -> Expansion<Expanded<'a>> {
        let mut assigned = Vec::new();
        let mut redirects = Vec::new();
        let mut words = Vec::new();
        for item in command.prefix.iter().flat_map(|prefix| &prefix.0) {
            match item {
                Item::IoRedirect(redirect) => redirects.push(redirect),
                Item::AssignmentWord(assignment, _) => assigned.push(assignment),
                Item::Word(_) | Item::ProcessSubstitution(..) => {}
            }
        }
        if let Some(word) = &command.word_or_name {
            self.expand_word(&word.value, &mut words).await?;
        }
        let declares = words.first().is_some_and(|name| builtins::declares(name));
        for item in command.suffix.iter().flat_map(|suffix| &suffix.0) {
            match item {
                Item::IoRedirect(redirect) => redirects.push(redirect),
                Item::Word(word) => self.expand_word(&word.value, &mut words).await?,
                Item::AssignmentWord(_, word) => match word.value.split_once('=') {
                    Some((name, value)) if declares => {
                        let value = self.expand_text(value, Context::Assignment).await?;
                        words.push([name, "=", &value].concat());
                    }
                    _ => self.expand_word(&word.value, &mut words).await?,
                },
                Item::ProcessSubstitution(..) => {
                    return Err(self.report_failure("process substitution is not supported").await);
                }
            }
        }
        let mut assignments = Vec::new();
        for assignment in assigned {
            let assigned = self.expand_assignment(assignment).await?;
            // Later assignments see earlier ones only without a command.
            if words.is_empty() {
                self.assign(&assigned.0, &assigned.1).await?;
            }
            assignments.push(assigned);
        }
        Ok(Expanded { words, assignments, redirects })
    }

    async fn expand_assignment(&mut self, assignment: &ast::Assignment) -> Expansion<(String, String)> {
        let (AssignmentName::VariableName(name), AssignmentValue::Scalar(word)) = (&assignment.name, &assignment.value)
        else {
            return Err(self.report_failure("syntax error: arrays are not supported").await);
        };
        let mut value = self.expand_text(&word.value, Context::Assignment).await?;
        if assignment.append {
            value = self.parameter(name).unwrap_or_default() + &value;
        }
        Ok((name.clone(), value))
    }

    /// `set -x`.
    async fn trace(&mut self, command: &Expanded<'_>) {
        let mut line = self.variables.get("PS4").unwrap_or("+ ").to_string();
        let mut parts = Vec::new();
        for (name, value) in &command.assignments {
            parts.push([name, "=", &quoted_if_needed(value)].concat());
        }
        parts.extend(command.words.iter().map(|word| quoted_if_needed(word)));
        line.push_str(&parts.join(" "));
        line.push('\n');
        let _ = self.descriptors.writer(2).write_all(line.as_bytes()).await;
    }
}
