//! Runs compiled programs. Reads and writes nothing: the machine runs until it needs something from outside, returns a
//! [`Request`], and continues with the [`Reply`].

mod builtins;
mod getline;
mod print;
mod substitute;
mod variables;

use std::cell::RefCell;
use std::rc::Rc;

use super::array::Array;
use super::error::{Error, Problem};
use super::program::{Argument, CONVFMT, ENVIRON, FNR, Input, Operation, Place, Program, SUBSEP, Slot};
use super::record::Record;
use super::regex::Regexes;
use super::syntax::{Arithmetic, Comparison, Redirect};
use super::value::{Bytes, Value};

/// The most calls within each other.
const MAX_CALLS: usize = 20_000;

/// Operations after which the other tasks run.
const OPERATIONS_PER_TURN: usize = 20_000;

/// Output that is written before the program continues.
const MAX_OUTPUT: usize = 32 * 1024;

/// What the machine needs next.
#[derive(Debug, PartialEq)]
pub enum Request {
    /// Nothing; lets other tasks run.
    Yield,
    /// Replied with a record.
    Read(Input, Bytes),
    /// Standard output that is not redirected is in [`Machine::output`] instead. No reply.
    Write {
        kind: Redirect,
        target: Bytes,
        bytes: Vec<u8>,
    },
    /// Replied with a number.
    System(Bytes),
    Close(Bytes),
    /// Replied with a number; `None` flushes all.
    Flush(Option<Bytes>),
    /// Replied with a number, in seconds.
    Time,
    /// The section has ended; `next` has the same effect.
    SectionEnd,
    NextFile,
    Exit,
}

#[derive(Debug)]
pub enum Reply {
    None,
    /// `None` at the end of the input.
    Record(Option<Vec<u8>>),
    /// The source cannot be read.
    Unreadable,
    Number(f64),
}

/// A part of the program.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Section {
    Begin,
    Main,
    End,
}

type SharedArray = Rc<RefCell<Array>>;

#[derive(Clone)]
enum Variable {
    Value(Value),
    Array(SharedArray),
}

/// A running function.
struct Frame {
    locals: Vec<Variable>,
    returns_to: usize,
    /// Number of loops over keys at the call.
    loops: usize,
}

/// The operation that a reply completes.
enum Pending {
    Nothing,
    Getline {
        from: Input,
        target: Option<Place>,
    },
    Number,
    /// `srand()`, which the time seeds.
    Seed,
}

pub struct Machine {
    program: Rc<Program>,
    /// The index of the next operation.
    next: usize,
    stack: Vec<Value>,
    frames: Vec<Frame>,
    globals: Vec<Variable>,
    record: Record,
    /// The remaining keys of the loops, each list reversed.
    loops: Vec<Vec<Bytes>>,
    /// Whether each range is open.
    ranges: Vec<bool>,
    regexes: Regexes,
    pending: Pending,
    random: builtins::Random,
    /// Standard output, for the performer to write.
    pub output: Vec<u8>,
    /// The code of `exit`.
    pub exit_code: i32,
}

impl Machine {
    pub fn new(program: Rc<Program>, environment: impl Iterator<Item = (String, String)>) -> Machine {
        let variable = |is_array: &bool| match is_array {
            true => Variable::Array(SharedArray::default()),
            false => Variable::Value(Value::Unset),
        };
        let mut machine = Machine {
            globals: program.global_arrays.iter().map(variable).collect(),
            ranges: vec![false; program.ranges],
            program,
            next: 0,
            stack: vec![],
            frames: vec![],
            record: Record::default(),
            loops: vec![],
            regexes: Regexes::default(),
            pending: Pending::Nothing,
            random: builtins::Random::default(),
            output: vec![],
            exit_code: 0,
        };
        machine.record.set(Value::Unset);
        machine.set_defaults();
        if let Ok(array) = machine.array(Slot::Global(ENVIRON)) {
            for (name, value) in environment {
                array.borrow_mut().insert(&Bytes::from(name.as_bytes()), Value::from_input(value));
            }
        }
        machine
    }

    /// Prepares to run a section.
    pub fn enter(&mut self, section: Section) {
        self.next = match section {
            Section::Begin => self.program.begin,
            Section::Main => self.program.main,
            Section::End => self.program.end,
        };
        self.stack.clear();
        self.frames.clear();
        self.loops.clear();
        self.pending = Pending::Nothing;
    }

    /// Counts a record of the main input and makes it the current one.
    pub fn set_main_record(&mut self, record: Vec<u8>) {
        self.count_record(true);
        self.record.set(Value::from_input(record));
    }

    /// Continues with the reply to the last request, until the next one.
    ///
    /// # Errors
    /// An operation that failed ends the program.
    pub fn run(&mut self, reply: Reply) -> Result<Request, Error> {
        let run = self.resume(reply).and_then(|()| self.run_turn());
        run.map_err(|problem| {
            let at = self.program.positions.get(self.next.saturating_sub(1));
            Error { at: at.copied().unwrap_or_default(), problem }
        })
    }

    fn run_turn(&mut self) -> Result<Request, Problem> {
        let program = self.program.clone();
        for _ in 0..OPERATIONS_PER_TURN {
            let Some(operation) = program.code.get(self.next) else { return Ok(Request::SectionEnd) };
            self.next += 1;
            if let Some(request) = self.perform(operation)? {
                return Ok(request);
            }
        }
        Ok(Request::Yield)
    }

    /// Completes the operation that made the last request.
    fn resume(&mut self, reply: Reply) -> Result<(), Problem> {
        match (std::mem::replace(&mut self.pending, Pending::Nothing), reply) {
            (Pending::Getline { from, target }, reply) => self.finish_getline(from, target, reply)?,
            (Pending::Number, Reply::Number(number)) => self.push_number(number),
            (Pending::Seed, Reply::Number(number)) => {
                let before = self.random.seed(number);
                self.push_number(before);
            }
            _ => {}
        }
        Ok(())
    }

    fn pop(&mut self) -> Value {
        self.stack.pop().unwrap_or_default()
    }

    fn push(&mut self, value: Value) {
        self.stack.push(value);
    }

    fn push_number(&mut self, number: f64) {
        self.push(Value::Number(number));
    }

    fn push_bool(&mut self, holds: bool) {
        self.push(Value::bool(holds));
    }

    fn pop_number(&mut self) -> f64 {
        self.pop().number()
    }

    fn pop_bytes(&mut self) -> Bytes {
        let value = self.pop();
        self.text(&value)
    }

    /// Pops this many values, the last one on top.
    fn pop_many(&mut self, count: usize) -> Vec<Value> {
        self.stack.split_off(self.stack.len().saturating_sub(count))
    }

    fn pop_key(&mut self, place: Place) -> Option<Value> {
        place.has_key().then(|| self.pop())
    }

    /// Returns a value as text.
    fn text(&self, value: &Value) -> Bytes {
        match value {
            Value::Number(_) => value.bytes(&self.global_text(CONVFMT)),
            other => other.bytes(b""),
        }
    }

    // ------------------------------------------------------------ operations

    fn perform(&mut self, operation: &Operation) -> Result<Option<Request>, Problem> {
        match operation {
            Operation::Constant(index) => {
                let value = self.program.constants.get(*index).cloned().unwrap_or_default();
                self.push(value);
            }
            Operation::Load(place) => {
                let key = self.pop_key(*place);
                let value = self.load(*place, key.as_ref())?;
                self.push(value);
            }
            Operation::Store(place) => {
                let value = self.pop();
                let key = self.pop_key(*place);
                self.store(*place, key.as_ref(), value.clone())?;
                self.push(value);
            }
            Operation::Update(place, operator) => {
                let operand = self.pop_number();
                let key = self.pop_key(*place);
                let before = self.load(*place, key.as_ref())?.number();
                let value = Value::Number(calculate(*operator, before, operand)?);
                self.store(*place, key.as_ref(), value.clone())?;
                self.push(value);
            }
            Operation::Step { place, by, leaves_new } => {
                let key = self.pop_key(*place);
                let before = self.load(*place, key.as_ref())?.number();
                self.store(*place, key.as_ref(), Value::Number(before + by))?;
                self.push_number(if *leaves_new { before + by } else { before });
            }
            Operation::Pop => {
                self.pop();
            }
            Operation::Arithmetic(operator) => {
                let right = self.pop_number();
                let left = self.pop_number();
                self.push_number(calculate(*operator, left, right)?);
            }
            Operation::Concat(count) => {
                let parts: Vec<Bytes> = self.pop_many(*count).iter().map(|part| self.text(part)).collect();
                self.push(Value::Text(Bytes::from(parts.concat())));
            }
            Operation::Compare(comparison) => {
                let right = self.pop();
                let left = self.pop();
                let order = left.compare(&right, &self.global_text(CONVFMT));
                self.push_bool(match comparison {
                    Comparison::Less => order.is_some_and(std::cmp::Ordering::is_lt),
                    Comparison::LessOrEqual => order.is_some_and(std::cmp::Ordering::is_le),
                    Comparison::Equal => order.is_some_and(std::cmp::Ordering::is_eq),
                    Comparison::NotEqual => !order.is_some_and(std::cmp::Ordering::is_eq),
                    Comparison::GreaterOrEqual => order.is_some_and(std::cmp::Ordering::is_ge),
                    Comparison::Greater => order.is_some_and(std::cmp::Ordering::is_gt),
                });
            }
            Operation::Match { negated } => {
                let regex = self.pop_bytes();
                let text = self.pop_bytes();
                let matches = self.regex(&regex)?.is_match(&text);
                self.push_bool(matches != *negated);
            }
            Operation::Not => {
                let holds = self.pop().is_true();
                self.push_bool(!holds);
            }
            Operation::Negate => {
                let number = self.pop_number();
                self.push_number(-number);
            }
            Operation::ToNumber => {
                let number = self.pop_number();
                self.push_number(number);
            }
            Operation::ToBool => {
                let holds = self.pop().is_true();
                self.push_bool(holds);
            }
            Operation::JoinKey(count) => {
                let parts: Vec<Bytes> = self.pop_many(*count).iter().map(|part| self.text(part)).collect();
                let separator = self.global_text(SUBSEP);
                self.push(Value::Text(Bytes::from(parts.join(&*separator))));
            }
            Operation::Has(slot) => {
                let key = self.pop_bytes();
                let has = self.array(*slot)?.borrow().has(&key);
                self.push_bool(has);
            }
            Operation::Delete(slot) => {
                let key = self.pop_bytes();
                self.array(*slot)?.borrow_mut().remove(&key);
            }
            Operation::Clear(slot) => self.array(*slot)?.borrow_mut().clear(),
            Operation::ArrayLength(slot) => {
                let length = self.array(*slot)?.borrow().len();
                self.push_number(length as f64);
            }
            Operation::Jump(target) => self.next = *target,
            Operation::JumpIfFalse(target) => {
                if !self.pop().is_true() {
                    self.next = *target;
                }
            }
            Operation::JumpIfTrue(target) => {
                if self.pop().is_true() {
                    self.next = *target;
                }
            }
            Operation::JumpInRange(range, target) => {
                if self.ranges.get(*range) == Some(&true) {
                    self.next = *target;
                }
            }
            Operation::SetInRange(range, open) => {
                if let Some(range) = self.ranges.get_mut(*range) {
                    *range = *open;
                }
            }
            Operation::Call { function, arguments } => self.call(*function, arguments)?,
            Operation::Return => {
                if let Some(frame) = self.frames.pop() {
                    self.next = frame.returns_to;
                    self.loops.truncate(frame.loops);
                }
            }
            Operation::Builtin(builtin, count) => return self.call_builtin(*builtin, *count),
            Operation::Split { array, has_separator } => self.split(*array, *has_separator)?,
            Operation::Substitute { place, global } => self.substitute(*place, *global)?,
            Operation::Getline { from, target } => return Ok(Some(self.getline(*from, *target))),
            Operation::Print { values, format, redirect } => return self.print(*values, *format, *redirect),
            Operation::Keys(slot) => {
                let mut keys = self.array(*slot)?.borrow().keys();
                keys.reverse();
                self.loops.push(keys);
            }
            Operation::NextKey(variable, end) => match self.loops.last_mut().and_then(Vec::pop) {
                Some(key) => self.store(Place::Variable(*variable), None, Value::from_input(key))?,
                None => self.next = *end,
            },
            Operation::EndKeys => {
                self.loops.pop();
            }
            Operation::Next | Operation::EndSection => return Ok(Some(Request::SectionEnd)),
            Operation::NextFile => return Ok(Some(Request::NextFile)),
            Operation::Exit { has_code } => {
                if *has_code {
                    self.exit_code = self.pop_number() as i64 as i32 & 0xff;
                }
                return Ok(Some(Request::Exit));
            }
        }
        Ok(None)
    }

    fn call(&mut self, function: usize, arguments: &[Argument]) -> Result<(), Problem> {
        if self.frames.len() >= MAX_CALLS {
            return Err(Problem::TooDeep);
        }
        let values = arguments.iter().filter(|argument| **argument == Argument::Value).count();
        let mut values = self.pop_many(values).into_iter();
        let mut locals = Vec::new();
        for argument in arguments {
            locals.push(match argument {
                Argument::Value => Variable::Value(values.next().unwrap_or_default()),
                Argument::Array(slot) => Variable::Array(self.array(*slot)?),
            });
        }
        let program = self.program.clone();
        let Some(entry) = program.functions.get(function) else { return Err(Problem::UndefinedFunction) };
        for is_array in entry.parameters.iter().skip(locals.len()) {
            locals.push(match is_array {
                true => Variable::Array(SharedArray::default()),
                false => Variable::Value(Value::Unset),
            });
        }
        self.frames.push(Frame { locals, returns_to: self.next, loops: self.loops.len() });
        self.next = entry.start;
        Ok(())
    }

    /// Requests something whose reply is a number.
    fn ask(&mut self, request: Request) -> Option<Request> {
        self.pending = Pending::Number;
        Some(request)
    }
}

fn calculate(operator: Arithmetic, left: f64, right: f64) -> Result<f64, Problem> {
    Ok(match operator {
        Arithmetic::Add => left + right,
        Arithmetic::Subtract => left - right,
        Arithmetic::Multiply => left * right,
        Arithmetic::Divide | Arithmetic::Remainder if right == 0.0 => return Err(Problem::DivisionByZero),
        Arithmetic::Divide => left / right,
        Arithmetic::Remainder => left % right,
        Arithmetic::Power => left.powf(right),
    })
}

#[cfg(test)]
mod tests;
