//! `getline` in its forms.

use super::super::error::Problem;
use super::super::program::{FNR, Input, NR, Place};
use super::super::value::{Bytes, Value};
use super::{Machine, Pending, Reply, Request};

impl Machine {
    pub(super) fn getline(&mut self, from: Input, target: Option<Place>) -> Request {
        // The source is below the key of the target.
        let key = target.and_then(|place| self.pop_key(place));
        let source = match from {
            Input::Main => Bytes::from(&[][..]),
            Input::File | Input::Command => self.pop_bytes(),
        };
        self.stack.extend(key);
        self.pending = Pending::Getline { from, target };
        Request::Read(from, source)
    }

    pub(super) fn finish_getline(&mut self, from: Input, target: Option<Place>, reply: Reply) -> Result<(), Problem> {
        let key = match target {
            Some(place) if place.has_key() => Some(self.pop()),
            _ => None,
        };
        let status = match reply {
            Reply::Record(Some(record)) => {
                match from {
                    Input::Main => self.count_record(true),
                    Input::Command => self.count_record(false),
                    Input::File => {}
                }
                let value = Value::from_input(record);
                match target {
                    Some(place) => self.store(place, key.as_ref(), value)?,
                    None => self.record.set(value),
                }
                1.0
            }
            Reply::Record(None) => 0.0,
            _ => -1.0,
        };
        self.push_number(status);
        Ok(())
    }

    pub(super) fn count_record(&mut self, in_file: bool) {
        self.set_global(NR, Value::Number(self.global(NR).number() + 1.0));
        if in_file {
            self.set_global(FNR, Value::Number(self.global(FNR).number() + 1.0));
        }
    }

    // ------------------------------------------------------------ stack
}
