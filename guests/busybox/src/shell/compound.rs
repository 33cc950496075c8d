//! Compound commands: groups, subshells, `if`, `for`, `case`, `while`, `until`, `((`, `[[`.

use brush_parser::ast::{self, BinaryPredicate, ExtendedTestExpr, UnaryPredicate};

use super::expand::Failure;
use super::pattern;
use super::redirect::RedirectError;
use super::test;
use super::word::Context;
use super::{Flow, Outcome, Shell};

impl Shell {
    /// Runs a compound command with its redirections.
    pub async fn run_redirected(
        &mut self,
        command: &ast::CompoundCommand,
        redirects: Option<&ast::RedirectList>,
    ) -> Outcome {
        let Some(redirects) = redirects else {
            return self.run_compound(command).await;
        };
        let before = self.descriptors.clone();
        let outcome = match self.redirect_all(redirects.0.iter()).await {
            Ok(true) => self.run_compound(command).await,
            Ok(false) => Ok(1),
            Err(flow) => Err(flow),
        };
        self.descriptors = before;
        outcome
    }

    /// Performs redirections; prints a message and returns false if one fails.
    pub async fn redirect_all<'a>(
        &mut self,
        redirects: impl Iterator<Item = &'a ast::IoRedirect>,
    ) -> Result<bool, Flow> {
        for redirect in redirects {
            match self.redirect(redirect).await {
                Ok(()) => {}
                Err(RedirectError::Message(message)) => {
                    self.print_error(&message).await;
                    return Ok(false);
                }
                Err(RedirectError::Flow(flow)) => return Err(flow),
            }
        }
        Ok(true)
    }

    pub async fn run_compound(&mut self, command: &ast::CompoundCommand) -> Outcome {
        match command {
            ast::CompoundCommand::BraceGroup(group) => self.run_list(&group.list).await,
            ast::CompoundCommand::Subshell(subshell) => self.run_subshell(&subshell.list).await,
            ast::CompoundCommand::ForClause(clause) => self.for_clause(clause).await,
            ast::CompoundCommand::CaseClause(clause) => self.case_clause(clause).await,
            ast::CompoundCommand::IfClause(clause) => self.if_clause(clause).await,
            ast::CompoundCommand::WhileClause(clause) => self.while_clause(clause, true).await,
            ast::CompoundCommand::UntilClause(clause) => self.while_clause(clause, false).await,
            ast::CompoundCommand::Arithmetic(command) => {
                let value = self.evaluate_arithmetic_text(&command.expr.value).await.map_err(|f| f.0)?;
                Ok(i32::from(value == 0))
            }
            ast::CompoundCommand::ArithmeticForClause(clause) => self.arithmetic_for_clause(clause).await,
            ast::CompoundCommand::Coprocess(_) => {
                Err(self.report_failure("syntax error: coproc is not supported").await.0)
            }
        }
    }

    /// Runs a list whose status is a condition, so that `set -e` ignores it.
    async fn run_condition(&mut self, list: &ast::CompoundList) -> Result<bool, Flow> {
        self.context.tested += 1;
        let outcome = self.run_list(list).await;
        self.context.tested -= 1;
        Ok(outcome? == 0)
    }

    async fn if_clause(&mut self, clause: &ast::IfClauseCommand) -> Outcome {
        if self.run_condition(&clause.condition).await? {
            return self.run_list(&clause.then).await;
        }
        for part in clause.elses.iter().flatten() {
            let taken = match &part.condition {
                Some(condition) => self.run_condition(condition).await?,
                None => true,
            };
            if taken {
                return self.run_list(&part.body).await;
            }
        }
        Ok(0)
    }

    /// Runs the body of a loop once; returns whether the loop continues. The error is for outer loops.
    async fn run_loop_body(&mut self, body: &ast::CompoundList) -> Result<bool, Flow> {
        self.context.loops += 1;
        let outcome = self.run_list(body).await;
        self.context.loops -= 1;
        loop_continues(outcome)
    }

    async fn while_clause(
        &mut self,
        ast::WhileOrUntilClauseCommand(condition, body, _): &ast::WhileOrUntilClauseCommand,
        wanted: bool,
    ) -> Outcome {
        let mut status = 0;
        loop {
            self.context.loops += 1;
            let held = self.run_condition(condition).await;
            self.context.loops -= 1;
            match held {
                Ok(held) if held == wanted => {}
                Ok(_) => return Ok(status),
                Err(flow) => match loop_continues(Err(flow))? {
                    true => continue,
                    false => return Ok(0),
                },
            }
            if !self.run_loop_body(&body.list).await? {
                return Ok(0);
            }
            status = self.status;
        }
    }

    async fn for_clause(&mut self, clause: &ast::ForClauseCommand) -> Outcome {
        let mut values = Vec::new();
        match &clause.values {
            Some(words) => {
                for word in words {
                    self.expand_word(&word.value, &mut values).await.map_err(|f| f.0)?;
                }
            }
            None => values.clone_from(&self.positional),
        }
        let mut status = 0;
        for value in values {
            self.assign(&clause.variable_name, &value).await.map_err(|f| f.0)?;
            if !self.run_loop_body(&clause.body.list).await? {
                return Ok(0);
            }
            status = self.status;
        }
        Ok(status)
    }

    async fn arithmetic_for_clause(&mut self, clause: &ast::ArithmeticForClauseCommand) -> Outcome {
        let run = |part: &Option<ast::UnexpandedArithmeticExpr>| {
            part.as_ref().map_or_else(|| "1".to_string(), |part| part.value.clone())
        };
        let (first, test, step) = (run(&clause.initializer), run(&clause.condition), run(&clause.updater));
        self.evaluate_arithmetic_text(&first).await.map_err(|f| f.0)?;
        let test = if test.is_empty() { "1".to_string() } else { test };
        while self.evaluate_arithmetic_text(&test).await.map_err(|f| f.0)? != 0 {
            if !self.run_loop_body(&clause.body.list).await? {
                return Ok(0);
            }
            self.evaluate_arithmetic_text(&step).await.map_err(|f| f.0)?;
        }
        Ok(0)
    }

    async fn case_clause(&mut self, clause: &ast::CaseClauseCommand) -> Outcome {
        let value = self.expand_text(&clause.value.value, Context::Word).await.map_err(|f| f.0)?;
        let value: Vec<char> = value.chars().collect();
        let mut status = 0;
        let mut fell_through = false;
        for item in &clause.cases {
            let mut taken = fell_through;
            for word in &item.patterns {
                if taken {
                    break;
                }
                let pattern = self.expand_chars(&word.value, Context::Word).await;
                taken = pattern::matches(&pattern.map_err(|f| f.0)?, &value);
            }
            if !taken {
                continue;
            }
            status = match &item.cmd {
                Some(list) => self.run_list(list).await?,
                None => 0,
            };
            match item.post_action {
                ast::CaseItemPostAction::ExitCase => return Ok(status),
                ast::CaseItemPostAction::UnconditionallyExecuteNextCaseItem => fell_through = true,
                ast::CaseItemPostAction::ContinueEvaluatingCases => fell_through = false,
            }
        }
        Ok(status)
    }

    /// `[[ expression ]]`.
    pub async fn extended_test(
        &mut self,
        expression: &ExtendedTestExpr,
        redirects: Option<&ast::RedirectList>,
    ) -> Outcome {
        let before = self.descriptors.clone();
        let outcome = match self.redirect_all(redirects.iter().flat_map(|list| list.0.iter())).await {
            Ok(true) => match Box::pin(self.evaluate_extended_test(expression)).await {
                Ok(held) => Ok(i32::from(!held)),
                Err(failure) => Err(failure.0),
            },
            Ok(false) => Ok(1),
            Err(flow) => Err(flow),
        };
        self.descriptors = before;
        outcome
    }

    async fn evaluate_extended_test(&mut self, expression: &ExtendedTestExpr) -> Result<bool, Failure> {
        Ok(match expression {
            ExtendedTestExpr::And(a, b) => {
                Box::pin(self.evaluate_extended_test(a)).await? && Box::pin(self.evaluate_extended_test(b)).await?
            }
            ExtendedTestExpr::Or(a, b) => {
                Box::pin(self.evaluate_extended_test(a)).await? || Box::pin(self.evaluate_extended_test(b)).await?
            }
            ExtendedTestExpr::Not(inner) => !Box::pin(self.evaluate_extended_test(inner)).await?,
            ExtendedTestExpr::Parenthesized(inner) => Box::pin(self.evaluate_extended_test(inner)).await?,
            ExtendedTestExpr::UnaryTest(predicate, word) => {
                let operand = self.expand_text(&word.value, Context::Word).await?;
                match predicate {
                    UnaryPredicate::StringHasNonZeroLength => !operand.is_empty(),
                    UnaryPredicate::StringHasZeroLength => operand.is_empty(),
                    UnaryPredicate::ShellVariableIsSetAndAssigned => self.parameter(&operand).is_some(),
                    predicate => {
                        let operator = predicate.to_string();
                        test::evaluate_unary(&operator, &operand, self).unwrap_or(false)
                    }
                }
            }
            ExtendedTestExpr::BinaryTest(predicate, left, right) => {
                let left = self.expand_text(&left.value, Context::Word).await?;
                let pattern = self.expand_chars(&right.value, Context::Word).await?;
                let right = pattern::text(&pattern);
                let chars = || left.chars().collect::<Vec<char>>();
                match predicate {
                    BinaryPredicate::StringExactlyMatchesPattern => pattern::matches(&pattern, &chars()),
                    BinaryPredicate::StringDoesNotExactlyMatchPattern => !pattern::matches(&pattern, &chars()),
                    BinaryPredicate::StringContainsSubstring => left.contains(&right),
                    BinaryPredicate::StringMatchesRegex => {
                        return Err(self.report_failure("[[: =~ is not supported").await);
                    }
                    predicate => match test::evaluate_binary(&left, &predicate.to_string(), &right, self) {
                        Ok(held) => held.unwrap_or(false),
                        Err(error) => return Err(self.report_failure(&error.to_string()).await),
                    },
                }
            }
        })
    }
}

/// Whether a loop continues after its body; the error is for outer loops.
fn loop_continues(outcome: Outcome) -> Result<bool, Flow> {
    match outcome {
        Ok(_) | Err(Flow::Continue(0 | 1)) => Ok(true),
        Err(Flow::Break(0 | 1)) => Ok(false),
        Err(Flow::Break(n)) => Err(Flow::Break(n - 1)),
        Err(Flow::Continue(n)) => Err(Flow::Continue(n - 1)),
        Err(flow) => Err(flow),
    }
}
