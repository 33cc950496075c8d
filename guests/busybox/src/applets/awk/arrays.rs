//! Finds out which names are arrays: those that the program uses as one, directly or as the argument of a function that
//! does.

use std::collections::BTreeSet;

use super::syntax::{Builtin, Expr, Function, Source, Statement, StatementKind, Tree, Trigger};

#[derive(Default)]
pub struct Arrays {
    globals: BTreeSet<String>,
    /// Indices of function and parameter.
    parameters: BTreeSet<(usize, usize)>,
}

impl Arrays {
    pub fn find(tree: &Tree) -> Arrays {
        let mut found = Finder { tree, function: None, arrays: Arrays::default() };
        found.arrays.globals.extend(["ENVIRON".to_string(), "ARGV".to_string()]);
        // An argument is an array if the parameter is one, which may be known only later.
        loop {
            let before = found.arrays.count();
            found.visit_tree();
            if found.arrays.count() == before {
                return found.arrays;
            }
        }
    }

    fn count(&self) -> usize {
        self.globals.len() + self.parameters.len()
    }

    pub fn has_global(&self, name: &str) -> bool {
        self.globals.contains(name)
    }

    pub fn has_parameter(&self, function: usize, parameter: usize) -> bool {
        self.parameters.contains(&(function, parameter))
    }
}

struct Finder<'a> {
    tree: &'a Tree,
    /// The function that is visited.
    function: Option<(usize, &'a Function)>,
    arrays: Arrays,
}

impl<'a> Finder<'a> {
    fn visit_tree(&mut self) {
        let tree = self.tree;
        for rule in &tree.rules {
            match &rule.trigger {
                Trigger::When(condition) => self.visit(condition),
                Trigger::Range(bounds) => bounds.iter().for_each(|bound| self.visit(bound)),
                Trigger::Begin | Trigger::End | Trigger::Always => {}
            }
            rule.body.iter().for_each(|body| self.visit_statement(body));
        }
        for (index, function) in tree.functions.iter().enumerate() {
            self.function = Some((index, function));
            self.visit_statement(&function.body);
        }
        self.function = None;
    }

    fn mark(&mut self, name: &str) {
        let parameter = self.function.and_then(|(index, function)| {
            Some((index, function.parameters.iter().position(|parameter| parameter == name)?))
        });
        match parameter {
            Some(parameter) => {
                self.arrays.parameters.insert(parameter);
            }
            None => {
                self.arrays.globals.insert(name.to_string());
            }
        }
    }

    fn visit_statement(&mut self, statement: &Statement) {
        match &statement.kind {
            StatementKind::Expr(value) => self.visit(value),
            StatementKind::Print { values, redirect, .. } => {
                self.visit_all(values);
                redirect.iter().for_each(|(_, target)| self.visit(target));
            }
            StatementKind::Block(statements) => statements.iter().for_each(|s| self.visit_statement(s)),
            StatementKind::If(condition, then, otherwise) => {
                self.visit(condition);
                self.visit_statement(then);
                otherwise.iter().for_each(|s| self.visit_statement(s));
            }
            StatementKind::While(condition, body) | StatementKind::DoWhile(body, condition) => {
                self.visit(condition);
                self.visit_statement(body);
            }
            StatementKind::For { first, condition, step, body } => {
                first.iter().chain(step).for_each(|s| self.visit_statement(s));
                condition.iter().for_each(|c| self.visit(c));
                self.visit_statement(body);
            }
            StatementKind::ForIn { array, body, .. } => {
                self.mark(array);
                self.visit_statement(body);
            }
            StatementKind::Delete(array, key) => {
                self.mark(array);
                self.visit_all(key);
            }
            StatementKind::Exit(value) | StatementKind::Return(value) => value.iter().for_each(|v| self.visit(v)),
            StatementKind::Break | StatementKind::Continue | StatementKind::Next | StatementKind::NextFile => {}
        }
    }

    fn visit_all(&mut self, all: &[Expr]) {
        all.iter().for_each(|e| self.visit(e));
    }

    fn visit(&mut self, expr: &Expr) {
        match expr {
            Expr::Number(_) | Expr::Text(_) | Expr::Regex(_) | Expr::Variable(_) => {}
            Expr::Element(array, key) | Expr::In(key, array) => {
                self.mark(array);
                self.visit_all(key);
            }
            Expr::List(list) | Expr::Concat(list) => self.visit_all(list),
            Expr::Assign(target, _, value) => {
                self.visit(target);
                self.visit(value);
            }
            Expr::Field(inner) | Expr::Not(inner) | Expr::Negative(inner) | Expr::Positive(inner) => self.visit(inner),
            Expr::Step { target, .. } => self.visit(target),
            Expr::Conditional(operands) => self.visit_all(&operands[..]),
            Expr::And(operands) | Expr::Or(operands) => self.visit_all(&operands[..]),
            Expr::Arithmetic(_, operands) | Expr::Compare(_, operands) | Expr::Match { operands, .. } => {
                self.visit_all(&operands[..]);
            }
            Expr::Call(name, arguments) => {
                self.visit_all(arguments);
                let Some(function) = self.tree.functions.iter().position(|f| f.name == *name) else { return };
                for (index, argument) in arguments.iter().enumerate() {
                    if let Expr::Variable(name) = argument
                        && self.arrays.has_parameter(function, index)
                    {
                        self.mark(name);
                    }
                }
            }
            Expr::Builtin(builtin, arguments) => {
                self.visit_all(arguments);
                if let (Builtin::Split, Some(Expr::Variable(name))) = (builtin, arguments.get(1)) {
                    self.mark(name);
                }
            }
            Expr::Getline(source, target) => {
                if let Source::File(inner) | Source::Command(inner) = source {
                    self.visit(inner);
                }
                target.iter().for_each(|t| self.visit(t));
            }
        }
    }
}
