//! Calls of functions, the program's and awk's own.

use super::super::error::Problem;
use super::super::program::{Argument, Operation, Place, Slot};
use super::super::syntax::{Builtin, Expr};
use super::super::value::Value;
use super::{Compiled, Compiler};

impl Compiler<'_> {
    pub(super) fn compile_call(&mut self, name: &str, arguments: &[Expr]) -> Compiled {
        let function = self.tree.functions.iter().position(|f| f.name == name).ok_or(Problem::UndefinedFunction)?;
        if arguments.len() > self.program.functions[function].parameters.len() {
            return Err(Problem::UnexpectedToken);
        }
        let mut passed = Vec::new();
        for (index, argument) in arguments.iter().enumerate() {
            passed.push(match argument {
                Expr::Variable(name) if self.arrays.has_parameter(function, index) => {
                    Argument::Array(self.array(name)?)
                }
                _ if self.arrays.has_parameter(function, index) => return Err(Problem::NotAnArray),
                value => {
                    self.compile(value)?;
                    Argument::Value
                }
            });
        }
        self.emit(Operation::Call { function, arguments: passed });
        Ok(())
    }

    pub(super) fn compile_builtin(&mut self, builtin: Builtin, arguments: &[Expr]) -> Compiled {
        match (builtin, arguments) {
            (Builtin::Length, [Expr::Variable(name)]) if self.slot(name).1 => {
                let slot = self.array(name)?;
                self.emit(Operation::ArrayLength(slot));
            }
            (Builtin::Length, []) => {
                self.constant(Value::Number(0.0));
                self.emit(Operation::Load(Place::Field));
                self.emit(Operation::Builtin(builtin, 1));
            }
            (Builtin::Split, [text, Expr::Variable(array), rest @ ..]) => {
                let array = self.array(array)?;
                self.compile(text)?;
                rest.iter().try_for_each(|separator| self.compile_regex(separator))?;
                self.emit(Operation::Split { array, has_separator: !rest.is_empty() });
            }
            (Builtin::Split, _) => return Err(Problem::NotAnArray),
            (Builtin::Sub | Builtin::Gsub, [regex, replacement, target @ ..]) => {
                self.compile_regex(regex)?;
                self.compile(replacement)?;
                let place = match target.first() {
                    None => {
                        self.constant(Value::Number(0.0));
                        Place::Field
                    }
                    Some(target @ (Expr::Variable(_) | Expr::Field(_) | Expr::Element(..))) => self.place(target)?,
                    Some(value) => {
                        // Not a place: only the count matters. No name is empty.
                        self.compile(value)?;
                        let scratch = Place::Variable(Slot::Global(self.global("")));
                        self.emit(Operation::Store(scratch));
                        self.emit(Operation::Pop);
                        scratch
                    }
                };
                self.emit(Operation::Substitute { place, global: builtin == Builtin::Gsub });
            }
            (Builtin::Strftime, [] | [_]) => {
                match arguments.first() {
                    Some(format) => self.compile(format)?,
                    None => self.constant(Value::text("%a %b %e %H:%M:%S %Z %Y")),
                }
                self.emit(Operation::Builtin(Builtin::Systime, 0));
                self.emit(Operation::Builtin(builtin, 2));
            }
            (Builtin::Match, [text, regex]) => {
                self.compile(text)?;
                self.compile_regex(regex)?;
                self.emit(Operation::Builtin(builtin, 2));
            }
            (Builtin::Gensub, [regex, rest @ ..]) => {
                self.compile_regex(regex)?;
                self.compile_all(rest)?;
                self.emit(Operation::Builtin(builtin, arguments.len()));
            }
            _ => self.compile_with(arguments, Operation::Builtin(builtin, arguments.len()))?,
        }
        Ok(())
    }
}
