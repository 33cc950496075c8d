//! Compiles syntax trees to operations.

mod calls;

use super::arrays::Arrays;
use super::error::{Error, Position, Problem};
use super::program::{FunctionEntry, Input, Operation, Place, Program, SPECIAL, Slot};
use super::syntax::{Expr, Function, Redirect, Source, Statement, StatementKind, Tree, Trigger};
use super::value::{Bytes, Value};

/// Compiles a program.
///
/// # Errors
/// `UndefinedFunction` and `NotAnArray`.
pub fn compile(tree: &Tree) -> Result<Program, Error> {
    let mut compiler = Compiler {
        tree,
        arrays: Arrays::find(tree),
        program: Program::default(),
        at: Position::default(),
        function: None,
        loops: vec![],
    };
    for name in SPECIAL {
        compiler.global(name);
    }
    match compiler.compile_tree() {
        Ok(()) => Ok(compiler.program),
        Err(problem) => Err(Error { at: compiler.at, problem }),
    }
}

struct Compiler<'a> {
    tree: &'a Tree,
    arrays: Arrays,
    program: Program,
    at: Position,
    /// The function that is compiled.
    function: Option<(usize, &'a Function)>,
    /// The enclosing loops, from the outermost.
    loops: Vec<Loop>,
}

#[derive(Default)]
struct Loop {
    /// The jumps of `break` and `continue`.
    breaks: Vec<usize>,
    continues: Vec<usize>,
}

type Compiled = Result<(), Problem>;

impl<'a> Compiler<'a> {
    fn compile_tree(&mut self) -> Compiled {
        let tree = self.tree;
        for (index, function) in tree.functions.iter().enumerate() {
            let count = function.parameters.len();
            let parameters = (0..count).map(|parameter| self.arrays.has_parameter(index, parameter)).collect();
            self.program.functions.push(FunctionEntry { start: 0, parameters });
        }
        for (index, function) in tree.functions.iter().enumerate() {
            self.program.functions[index].start = self.here();
            self.function = Some((index, function));
            self.compile_statement(&function.body)?;
            self.constant(Value::Unset);
            self.emit(Operation::Return);
        }
        self.function = None;
        self.program.begin = self.here();
        self.compile_rules(|trigger| matches!(trigger, Trigger::Begin))?;
        self.program.main = self.here();
        self.compile_rules(|trigger| !matches!(trigger, Trigger::Begin | Trigger::End))?;
        self.program.end = self.here();
        self.compile_rules(|trigger| matches!(trigger, Trigger::End))?;
        self.program.reads_input = tree.rules.iter().any(|rule| !matches!(rule.trigger, Trigger::Begin));
        Ok(())
    }

    fn compile_rules(&mut self, belongs: fn(&Trigger) -> bool) -> Compiled {
        for rule in self.tree.rules.iter().filter(|rule| belongs(&rule.trigger)) {
            self.at = rule.at;
            let skip = match &rule.trigger {
                Trigger::Begin | Trigger::End | Trigger::Always => None,
                Trigger::When(condition) => {
                    self.compile(condition)?;
                    Some(self.emit(Operation::JumpIfFalse(0)))
                }
                Trigger::Range(bounds) => Some(self.compile_range(&bounds[0], &bounds[1])?),
            };
            match &rule.body {
                Some(body) => self.compile_statement(body)?,
                None => {
                    self.emit(Operation::Print { values: 0, format: false, redirect: None });
                }
            }
            skip.into_iter().for_each(|at| self.land(at));
        }
        self.emit(Operation::EndSection);
        Ok(())
    }

    /// Compiles the test of a range; returns the jump for records outside of it.
    fn compile_range(&mut self, first: &Expr, last: &Expr) -> Result<usize, Problem> {
        let range = self.program.ranges;
        self.program.ranges += 1;
        let inside = self.emit(Operation::JumpInRange(range, 0));
        self.compile(first)?;
        let skip = self.emit(Operation::JumpIfFalse(0));
        self.emit(Operation::SetInRange(range, true));
        self.land(inside);
        self.compile(last)?;
        let stays = self.emit(Operation::JumpIfFalse(0));
        self.emit(Operation::SetInRange(range, false));
        self.land(stays);
        Ok(skip)
    }

    fn here(&self) -> usize {
        self.program.code.len()
    }

    fn emit(&mut self, operation: Operation) -> usize {
        self.program.code.push(operation);
        self.program.positions.push(self.at);
        self.here() - 1
    }

    /// Sets the target of a jump.
    fn aim(&mut self, jump: usize, target: usize) {
        match self.program.code.get_mut(jump) {
            Some(
                Operation::Jump(to)
                | Operation::JumpIfFalse(to)
                | Operation::JumpIfTrue(to)
                | Operation::JumpInRange(_, to)
                | Operation::NextKey(_, to),
            ) => *to = target,
            _ => unreachable!("only jumps have a target"),
        }
    }

    fn land(&mut self, jump: usize) {
        self.aim(jump, self.here());
    }

    fn constant(&mut self, value: Value) {
        self.program.constants.push(value);
        self.emit(Operation::Constant(self.program.constants.len() - 1));
    }

    fn text(&mut self, text: &Bytes) {
        self.constant(Value::Text(text.clone()));
    }

    // ------------------------------------------------------------ names

    fn global(&mut self, name: &str) -> usize {
        if let Some(index) = self.program.globals.get(name) {
            return *index;
        }
        let index = self.program.global_arrays.len();
        self.program.globals.insert(name.to_string(), index);
        self.program.global_arrays.push(self.arrays.has_global(name));
        index
    }

    /// Returns the slot of a name, and whether it is an array.
    fn slot(&mut self, name: &str) -> (Slot, bool) {
        if let Some((index, function)) = self.function
            && let Some(parameter) = function.parameters.iter().position(|parameter| parameter == name)
        {
            return (Slot::Local(parameter), self.arrays.has_parameter(index, parameter));
        }
        (Slot::Global(self.global(name)), self.arrays.has_global(name))
    }

    fn array(&mut self, name: &str) -> Result<Slot, Problem> {
        match self.slot(name) {
            (slot, true) => Ok(slot),
            _ => Err(Problem::NotAnArray),
        }
    }

    fn variable(&mut self, name: &str) -> Result<Slot, Problem> {
        match self.slot(name) {
            (slot, false) => Ok(slot),
            _ => Err(Problem::UnexpectedToken),
        }
    }

    /// Compiles the key of a place.
    fn place(&mut self, target: &Expr) -> Result<Place, Problem> {
        match target {
            Expr::Variable(name) => Ok(Place::Variable(self.variable(name)?)),
            Expr::Field(number) => {
                self.compile(number)?;
                Ok(Place::Field)
            }
            Expr::Element(array, key) => {
                let slot = self.array(array)?;
                self.compile_key(key)?;
                Ok(Place::Element(slot))
            }
            _ => Err(Problem::UnexpectedToken),
        }
    }

    fn compile_key(&mut self, key: &[Expr]) -> Compiled {
        self.compile_all(key)?;
        if key.len() > 1 {
            self.emit(Operation::JoinKey(key.len()));
        }
        Ok(())
    }

    // ------------------------------------------------------------ statements

    fn compile_statement(&mut self, statement: &Statement) -> Compiled {
        self.at = statement.at;
        match &statement.kind {
            StatementKind::Expr(value) => {
                self.compile(value)?;
                self.emit(Operation::Pop);
            }
            StatementKind::Print { format, values, redirect } => {
                self.compile_print(*format, values, redirect.as_ref())?
            }
            StatementKind::Block(statements) => {
                for statement in statements {
                    self.compile_statement(statement)?;
                }
            }
            StatementKind::If(condition, then, otherwise) => {
                self.compile(condition)?;
                let skip = self.emit(Operation::JumpIfFalse(0));
                self.compile_statement(then)?;
                if let Some(otherwise) = otherwise {
                    let end = self.emit(Operation::Jump(0));
                    self.land(skip);
                    self.compile_statement(otherwise)?;
                    self.land(end);
                } else {
                    self.land(skip);
                }
            }
            StatementKind::While(condition, body) => self.compile_loop(Some(condition), None, body)?,
            StatementKind::DoWhile(body, condition) => {
                let start = self.here();
                self.loops.push(Loop::default());
                self.compile_statement(body)?;
                let test = self.here();
                self.compile(condition)?;
                self.emit(Operation::JumpIfTrue(start));
                self.end_loop(test);
            }
            StatementKind::For { first, condition, step, body } => {
                if let Some(first) = first {
                    self.compile_statement(first)?;
                }
                self.compile_loop(condition.as_ref(), step.as_deref(), body)?;
            }
            StatementKind::ForIn { variable, array, body } => {
                let (array, variable) = (self.array(array)?, self.variable(variable)?);
                self.emit(Operation::Keys(array));
                let start = self.emit(Operation::NextKey(variable, 0));
                self.loops.push(Loop::default());
                self.compile_statement(body)?;
                self.emit(Operation::Jump(start));
                self.end_loop(start);
                self.emit(Operation::EndKeys);
                // The last key jumps to the same place.
                self.aim(start, self.here() - 1);
            }
            StatementKind::Delete(array, key) => {
                let slot = self.array(array)?;
                self.compile_key(key)?;
                self.emit(if key.is_empty() { Operation::Clear(slot) } else { Operation::Delete(slot) });
            }
            StatementKind::Break => {
                let jump = self.emit(Operation::Jump(0));
                self.loops.last_mut().ok_or(Problem::UnexpectedToken)?.breaks.push(jump);
            }
            StatementKind::Continue => {
                let jump = self.emit(Operation::Jump(0));
                self.loops.last_mut().ok_or(Problem::UnexpectedToken)?.continues.push(jump);
            }
            StatementKind::Next => {
                self.emit(Operation::Next);
            }
            StatementKind::NextFile => {
                self.emit(Operation::NextFile);
            }
            StatementKind::Exit(code) => {
                code.iter().try_for_each(|code| self.compile(code))?;
                self.emit(Operation::Exit { has_code: code.is_some() });
            }
            StatementKind::Return(value) => {
                if self.function.is_none() {
                    return Err(Problem::UnexpectedToken);
                }
                match value {
                    Some(value) => self.compile(value)?,
                    None => self.constant(Value::Unset),
                }
                self.emit(Operation::Return);
            }
        }
        Ok(())
    }

    fn compile_print(&mut self, format: bool, values: &[Expr], redirect: Option<&(Redirect, Expr)>) -> Compiled {
        self.compile_all(values)?;
        if let Some((_, target)) = redirect {
            self.compile(target)?;
        }
        let redirect = redirect.map(|(kind, _)| *kind);
        self.emit(Operation::Print { values: values.len(), format, redirect });
        Ok(())
    }

    fn compile_loop(&mut self, condition: Option<&Expr>, step: Option<&Statement>, body: &Statement) -> Compiled {
        let start = self.here();
        let exit = match condition {
            None => None,
            Some(condition) => {
                self.compile(condition)?;
                Some(self.emit(Operation::JumpIfFalse(0)))
            }
        };
        self.loops.push(Loop::default());
        self.compile_statement(body)?;
        let next = self.here();
        if let Some(step) = step {
            self.compile_statement(step)?;
        }
        self.emit(Operation::Jump(start));
        exit.into_iter().for_each(|exit| self.land(exit));
        self.end_loop(if step.is_some() { next } else { start });
        Ok(())
    }

    /// Ends the innermost loop here.
    fn end_loop(&mut self, continues_at: usize) {
        let ended = self.loops.pop().unwrap_or_default();
        ended.breaks.into_iter().for_each(|jump| self.land(jump));
        ended.continues.into_iter().for_each(|jump| self.aim(jump, continues_at));
    }

    // ------------------------------------------------------------ expressions

    fn compile_all(&mut self, all: &[Expr]) -> Compiled {
        all.iter().try_for_each(|e| self.compile(e))
    }

    fn compile_with(&mut self, operands: &[Expr], operation: Operation) -> Compiled {
        self.compile_all(operands)?;
        self.emit(operation);
        Ok(())
    }

    /// Compiles an expression, which leaves its value on the stack.
    fn compile(&mut self, expr: &Expr) -> Compiled {
        match expr {
            Expr::Number(number) => self.constant(Value::Number(*number)),
            Expr::Text(text) => self.text(text),
            Expr::Regex(text) => {
                self.constant(Value::Number(0.0));
                self.emit(Operation::Load(Place::Field));
                self.text(text);
                self.emit(Operation::Match { negated: false });
            }
            Expr::Variable(_) | Expr::Field(_) | Expr::Element(..) => {
                let place = self.place(expr)?;
                self.emit(Operation::Load(place));
            }
            Expr::List(_) => return Err(Problem::UnexpectedToken),
            Expr::Assign(target, operator, value) => {
                let place = self.place(target)?;
                self.compile(value)?;
                self.emit(match operator {
                    None => Operation::Store(place),
                    Some(operator) => Operation::Update(place, *operator),
                });
            }
            Expr::Step { target, by, prefix } => {
                let place = self.place(target)?;
                self.emit(Operation::Step { place, by: *by, leaves_new: *prefix });
            }
            Expr::Conditional(operands) => {
                let [condition, then, otherwise] = &**operands;
                self.compile(condition)?;
                let skip = self.emit(Operation::JumpIfFalse(0));
                self.compile(then)?;
                let end = self.emit(Operation::Jump(0));
                self.land(skip);
                self.compile(otherwise)?;
                self.land(end);
            }
            Expr::And(operands) => self.compile_logical(operands, false)?,
            Expr::Or(operands) => self.compile_logical(operands, true)?,
            Expr::Not(operand) => self.compile_with(std::slice::from_ref(operand), Operation::Not)?,
            Expr::Negative(operand) => self.compile_with(std::slice::from_ref(operand), Operation::Negate)?,
            Expr::Positive(operand) => self.compile_with(std::slice::from_ref(operand), Operation::ToNumber)?,
            Expr::Arithmetic(operator, operands) => {
                self.compile_with(&operands[..], Operation::Arithmetic(*operator))?;
            }
            Expr::Concat(operands) => self.compile_with(operands, Operation::Concat(operands.len()))?,
            Expr::Compare(comparison, operands) => {
                self.compile_with(&operands[..], Operation::Compare(*comparison))?;
            }
            Expr::Match { negated, operands } => {
                self.compile(&operands[0])?;
                self.compile_regex(&operands[1])?;
                self.emit(Operation::Match { negated: *negated });
            }
            Expr::In(key, array) => {
                let slot = self.array(array)?;
                self.compile_key(key)?;
                self.emit(Operation::Has(slot));
            }
            Expr::Call(name, arguments) => self.compile_call(name, arguments)?,
            Expr::Builtin(builtin, arguments) => self.compile_builtin(*builtin, arguments)?,
            Expr::Getline(source, target) => {
                let from = match source {
                    Source::Main => Input::Main,
                    Source::File(name) => {
                        self.compile(name)?;
                        Input::File
                    }
                    Source::Command(command) => {
                        self.compile(command)?;
                        Input::Command
                    }
                };
                let target = target.as_ref().map(|target| self.place(target)).transpose()?;
                self.emit(Operation::Getline { from, target });
            }
        }
        Ok(())
    }

    /// Compiles `&&`, or `||` if the first operand `decides` when it is true.
    fn compile_logical(&mut self, operands: &[Expr; 2], decides: bool) -> Compiled {
        self.compile(&operands[0])?;
        let skip = self.emit(if decides { Operation::JumpIfTrue(0) } else { Operation::JumpIfFalse(0) });
        self.compile(&operands[1])?;
        self.emit(Operation::ToBool);
        let end = self.emit(Operation::Jump(0));
        self.land(skip);
        self.constant(Value::bool(decides));
        self.land(end);
        Ok(())
    }

    /// Compiles an operand that is an expression to match, not one to match with the record.
    fn compile_regex(&mut self, expr: &Expr) -> Compiled {
        match expr {
            Expr::Regex(text) => {
                self.text(text);
                Ok(())
            }
            other => self.compile(other),
        }
    }
}
