//! `print` and `printf`.

use super::super::error::Problem;
use super::super::format::format_values;
use super::super::program::{CONVFMT, OFMT, OFS, ORS, Place};
use super::super::syntax::Redirect;
use super::super::value::{Bytes, Value};
use super::{MAX_OUTPUT, Machine, Request};

impl Machine {
    pub(super) fn print(
        &mut self,
        count: usize,
        format: bool,
        redirect: Option<Redirect>,
    ) -> Result<Option<Request>, Problem> {
        let target = redirect.map(|kind| (kind, self.pop_bytes()));
        let mut values = self.pop_many(count);
        if values.is_empty() {
            values.push(self.load(Place::Field, Some(&Value::Number(0.0)))?);
        }
        let mut bytes = match &target {
            Some(_) => Vec::new(),
            None => std::mem::take(&mut self.output),
        };
        if format {
            let (template, values) =
                values.split_first().map_or((Bytes::default(), &[][..]), |(t, v)| (self.text(t), v));
            bytes.extend(format_values(&template, values, &self.global_text(CONVFMT))?);
        } else {
            let numbers = self.global_text(OFMT);
            let separator = self.global_text(OFS);
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    bytes.extend_from_slice(&separator);
                }
                bytes.extend_from_slice(&value.bytes(&numbers));
            }
            bytes.extend_from_slice(&self.global_text(ORS));
        }
        match target {
            Some((kind, target)) => Ok(Some(Request::Write { kind, target, bytes })),
            None => {
                self.output = bytes;
                Ok((self.output.len() >= MAX_OUTPUT).then_some(Request::Yield))
            }
        }
    }
}
