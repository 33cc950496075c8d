//! Variables, fields and elements.

use std::rc::Rc;

use super::super::error::Problem;
use super::super::program::{
    ARGV, CONVFMT, FILENAME, FS, IGNORECASE, NF, OFMT, OFS, ORS, Place, RLENGTH, RS, RSTART, SUBSEP, Slot,
};
use super::super::record::{Separator, split};
use super::super::value::{Bytes, Value};
use super::{Machine, SharedArray, Variable};
use crate::applets::pattern::Pattern;

impl Machine {
    pub(super) fn set_defaults(&mut self) {
        for (index, text) in
            [(FS, " "), (OFS, " "), (ORS, "\n"), (RS, "\n"), (CONVFMT, "%.6g"), (OFMT, "%.6g"), (SUBSEP, "\x1c")]
        {
            self.set_global(index, Value::text(text));
        }
        self.set_global(RSTART, Value::Number(0.0));
        self.set_global(RLENGTH, Value::Number(-1.0));
    }

    /// Assigns to a variable of the program, as `-v` and operands do; the value's escapes are expanded already.
    pub fn assign(&mut self, name: &str, value: &[u8]) -> Result<(), Problem> {
        match self.program.globals.get(name) {
            Some(index) => self.store(Place::Variable(Slot::Global(*index)), None, Value::from_input(value)),
            // The program does not use it.
            None => Ok(()),
        }
    }

    pub fn set_argv(&mut self, arguments: &[Vec<u8>]) {
        if let Ok(array) = self.array(Slot::Global(ARGV)) {
            for (index, argument) in arguments.iter().enumerate() {
                let key = Bytes::from(index.to_string().as_bytes());
                array.borrow_mut().insert(&key, Value::from_input(argument));
            }
        }
        let count = arguments.len().to_string();
        // ARGC is an ordinary variable otherwise.
        let _ = self.assign("ARGC", count.as_bytes());
    }

    /// Returns an element of ARGV; `None` if the program deleted it.
    pub fn argv(&self, index: usize) -> Option<Bytes> {
        let array = self.array(Slot::Global(ARGV)).ok()?;
        let element = array.borrow().get(index.to_string().as_bytes()).cloned()?;
        Some(self.text(&element))
    }

    /// Returns ARGC, if the program uses it.
    pub fn argc(&self) -> Option<usize> {
        let index = self.program.globals.get("ARGC")?;
        Some(self.global(*index).number() as usize)
    }

    pub fn set_file_name(&mut self, name: &[u8]) {
        self.set_global(FILENAME, Value::text(name));
        self.set_global(super::FNR, Value::Number(0.0));
    }

    /// Returns RS.
    pub fn record_separator(&self) -> Bytes {
        self.global_text(RS)
    }

    pub(super) fn global(&self, index: usize) -> &Value {
        const UNSET: &Value = &Value::Unset;
        match self.globals.get(index) {
            Some(Variable::Value(value)) => value,
            _ => UNSET,
        }
    }

    pub(super) fn global_text(&self, index: usize) -> Bytes {
        self.global(index).bytes(b"%.6g")
    }

    /// Sets a variable without the effects of a store.
    pub(super) fn set_global(&mut self, index: usize, value: Value) {
        if let Some(variable) = self.globals.get_mut(index) {
            *variable = Variable::Value(value);
        }
    }

    pub(super) fn array(&self, slot: Slot) -> Result<SharedArray, Problem> {
        let variable = match slot {
            Slot::Global(index) => self.globals.get(index),
            Slot::Local(index) => self.frames.last().and_then(|frame| frame.locals.get(index)),
        };
        match variable {
            Some(Variable::Array(array)) => Ok(array.clone()),
            _ => Err(Problem::NotAnArray),
        }
    }

    pub(super) fn load(&mut self, place: Place, key: Option<&Value>) -> Result<Value, Problem> {
        match place {
            Place::Variable(Slot::Global(NF)) => {
                self.split_record()?;
                Ok(Value::Number(self.record.count() as f64))
            }
            Place::Variable(Slot::Global(index)) => Ok(self.global(index).clone()),
            Place::Variable(Slot::Local(index)) => match self.frames.last().and_then(|frame| frame.locals.get(index)) {
                Some(Variable::Value(value)) => Ok(value.clone()),
                _ => Ok(Value::Unset),
            },
            Place::Field => match field_number(key)? {
                0 => {
                    let (ofs, convfmt) = (self.global_text(OFS), self.global_text(CONVFMT));
                    Ok(self.record.whole(&ofs, &convfmt))
                }
                number => {
                    self.split_record()?;
                    Ok(self.record.field(number))
                }
            },
            Place::Element(slot) => {
                let key = self.text(key.unwrap_or(&Value::Unset));
                Ok(self.array(slot)?.borrow_mut().element(&key).clone())
            }
        }
    }

    pub(super) fn store(&mut self, place: Place, key: Option<&Value>, value: Value) -> Result<(), Problem> {
        match place {
            Place::Variable(Slot::Global(NF)) => {
                self.split_record()?;
                self.record.set_count(count(value.number())?)?;
            }
            Place::Variable(Slot::Global(index)) => {
                if index == FS {
                    // The current record is split by the old separator.
                    self.split_record()?;
                }
                self.set_global(index, value);
            }
            Place::Variable(Slot::Local(index)) => {
                let local = self.frames.last_mut().and_then(|frame| frame.locals.get_mut(index));
                if let Some(local) = local {
                    *local = Variable::Value(value);
                }
            }
            Place::Field => match field_number(key)? {
                0 => {
                    let text = self.text(&value);
                    self.record.set(Value::from_input(text));
                }
                number => {
                    self.split_record()?;
                    self.record.set_field(number, value)?;
                }
            },
            Place::Element(slot) => {
                let key = self.text(key.unwrap_or(&Value::Unset));
                self.array(slot)?.borrow_mut().insert(&key, value);
            }
        }
        Ok(())
    }

    fn split_record(&mut self) -> Result<(), Problem> {
        if !self.record.is_split() {
            let whole = self.record.whole(b" ", b"%.6g").bytes(b"");
            let separator = self.separator(self.global_text(FS), self.record_separator().is_empty());
            let fields = split(&whole, &separator, &mut self.regexes)?;
            self.record.set_fields(fields);
        }
        Ok(())
    }

    pub(super) fn ignores_case(&self) -> bool {
        self.global(IGNORECASE).is_true()
    }

    pub(super) fn separator(&self, text: Bytes, lines: bool) -> Separator {
        Separator { text, ignore_case: self.ignores_case(), lines }
    }

    pub(super) fn regex(&mut self, text: &Bytes) -> Result<Rc<Pattern>, Problem> {
        let ignore_case = self.ignores_case();
        self.regexes.get(text, ignore_case)
    }
}

fn field_number(key: Option<&Value>) -> Result<usize, Problem> {
    count(key.map_or(0.0, Value::number))
}

fn count(number: f64) -> Result<usize, Problem> {
    if number > -1.0 { Ok(number as usize) } else { Err(Problem::NegativeField) }
}
