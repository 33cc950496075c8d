//! OpenAPI v2 documents in the protobuf form that Kubernetes' clients ask for.
//!
//! The form is gnostic's message `Document`. Objects with arbitrary keys are lists of named values there, values of
//! several types are messages with one field for each type, and extensions (`x-…`) are YAML text.

mod table;

use serde_json::{Map, Value};

use self::table::{Field, FieldType, Message, Table};
use super::emit::to_yaml;
use super::protobuf::wire_writer::{insert_length, write_bytes, write_bytes_tag, write_double, write_integer};

/// The media type of the form.
pub const MEDIA_TYPE: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// The error of a document that is not OpenAPI v2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenApiError {
    /// A value has another type than OpenAPI defines.
    #[error("{message}.{field}: the value must be {wanted}")]
    WrongType {
        /// The name of the message around the value.
        message: &'static str,
        /// The name of the field in JSON.
        field: &'static str,
        /// The type.
        wanted: &'static str,
    },
    /// A value is none of those that OpenAPI defines.
    #[error("{0}: the value is not one of those that OpenAPI v2 defines")]
    UnknownVariant(&'static str),
}

/// Returns a document as a message, given its JSON form. Keys that OpenAPI does not define are ignored.
///
/// # Errors
/// Returns an error if a value is not what OpenAPI defines for its key.
pub fn encode_document(document: &Value) -> Result<Vec<u8>, OpenApiError> {
    // A client asks for the document once; the table is small and parsed quickly.
    let table = Table::new();
    let mut writer = DocumentWriter { table: &table, out: Vec::new() };
    if let Some(root) = table.message("Document") {
        writer.write_content(root, document)?;
    }
    Ok(writer.out)
}

/// Writes the message of a document.
struct DocumentWriter<'t> {
    table: &'t Table,
    out: Vec<u8>,
}

impl DocumentWriter<'_> {
    /// Writes the fields of a message.
    fn write_content(&mut self, message: &Message, value: &Value) -> Result<(), OpenApiError> {
        if message.name == "Any" {
            write_bytes(&mut self.out, ANY_YAML, to_yaml(value).as_bytes());
            return Ok(());
        }
        if let Some(variant) = variant(message.name, value) {
            let field = message.fields.iter().find(|field| field.name == variant);
            return self.write_field(message, field.ok_or(OpenApiError::UnknownVariant(message.name))?, value);
        }
        let Value::Object(object) = value else { return Err(wrong_type(message, "", "an object")) };
        let has_extensions = message.fields.iter().any(|field| field.name == EXTENSIONS);
        for field in &message.fields {
            match (field.named_value(), object.get(field.name)) {
                (Some(named), _) if field.name == EXTENSIONS => {
                    self.write_entries(field, named, object, |key| key.starts_with("x-"))?;
                }
                (Some(named), _) => {
                    self.write_entries(field, named, object, |key| !has_extensions || !key.starts_with("x-"))?;
                }
                (None, Some(value)) => self.write_field(message, field, value)?,
                (None, None) => {}
            }
        }
        Ok(())
    }

    /// Writes the entries of an object as messages of name and value.
    fn write_entries(
        &mut self,
        field: &Field,
        named: &'static str,
        object: &Map<String, Value>,
        includes: impl Fn(&str) -> bool,
    ) -> Result<(), OpenApiError> {
        let Some(named) = self.table.message(named) else { return Ok(()) };
        let value_field = named.fields.iter().find(|field| field.name == "value");
        for (name, value) in object.iter().filter(|(name, _)| includes(name)) {
            let start = self.begin_message(field.number);
            write_bytes(&mut self.out, NAMED_NAME, name.as_bytes());
            if let Some(value_field) = value_field {
                self.write_field(named, value_field, value)?;
            }
            insert_length(&mut self.out, start);
        }
        Ok(())
    }

    /// Writes a field. Where OpenAPI allows a value or a list, a value is a list of one.
    fn write_field(&mut self, message: &Message, field: &Field, value: &Value) -> Result<(), OpenApiError> {
        match value {
            Value::Array(items) if field.is_list => {
                items.iter().try_for_each(|item| self.write_value(message, field, item))
            }
            value => self.write_value(message, field, value),
        }
    }

    /// Writes one value of a field. Zero is not written: it is what readers assume.
    fn write_value(&mut self, message: &Message, field: &Field, value: &Value) -> Result<(), OpenApiError> {
        let number = field.number;
        let wrong = |wanted| wrong_type(message, field.name, wanted);
        match field.field_type {
            FieldType::String => {
                let text = value.as_str().ok_or_else(|| wrong("a string"))?;
                if field.is_list || !text.is_empty() {
                    write_bytes(&mut self.out, number, text.as_bytes());
                }
            }
            FieldType::Bool if message.name == "AdditionalPropertiesItem" => {
                // One of several fields is written even if it is zero.
                write_integer(&mut self.out, number, value.as_bool().ok_or_else(|| wrong("a boolean"))?.into());
            }
            FieldType::Bool => {
                if value.as_bool().ok_or_else(|| wrong("a boolean"))? {
                    write_integer(&mut self.out, number, 1);
                }
            }
            FieldType::Int64 => match value.as_i64().ok_or_else(|| wrong("an integer"))? {
                0 => {}
                integer => write_integer(&mut self.out, number, integer),
            },
            FieldType::Double => {
                let double = value.as_f64().ok_or_else(|| wrong("a number"))?;
                if double != 0.0 {
                    write_double(&mut self.out, number, double);
                }
            }
            FieldType::Message(name) => {
                let inner = self.table.message(name).ok_or(OpenApiError::UnknownVariant(name))?;
                let start = self.begin_message(number);
                self.write_content(inner, value)?;
                insert_length(&mut self.out, start);
            }
        }
        Ok(())
    }

    /// Writes the tag of a message and returns where its length goes.
    fn begin_message(&mut self, number: u16) -> usize {
        write_bytes_tag(&mut self.out, number);
        self.out.len()
    }
}

/// The field of `Any` with a value as YAML.
const ANY_YAML: u16 = 2;
/// The field of each named value with its name.
const NAMED_NAME: u16 = 1;
/// The field with the entries whose keys begin with `x-`.
const EXTENSIONS: &str = "vendorExtension";

fn wrong_type(message: &Message, field: &'static str, wanted: &'static str) -> OpenApiError {
    OpenApiError::WrongType { message: message.name, field, wanted }
}

/// Returns which field of a message a value is, if the message stands for a value of several types; an empty name if it
/// is none of them.
fn variant(message: &str, value: &Value) -> Option<&'static str> {
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    let is_reference = value.get("$ref").is_some();
    Some(match message {
        "StringArray" | "TypeItem" => "value",
        "ItemsItem" => "schema",
        "AdditionalPropertiesItem" if value.is_boolean() => "boolean",
        "AdditionalPropertiesItem" => "schema",
        "ParametersItem" | "ResponseValue" if is_reference => "jsonReference",
        "ParametersItem" => "parameter",
        "ResponseValue" => "response",
        "SchemaItem" if text("type") == "file" => "fileSchema",
        "SchemaItem" => "schema",
        "Parameter" if text("in") == "body" => "bodyParameter",
        "Parameter" => "nonBodyParameter",
        "NonBodyParameter" => match text("in") {
            "header" => "headerParameterSubSchema",
            "formData" => "formDataParameterSubSchema",
            "query" => "queryParameterSubSchema",
            "path" => "pathParameterSubSchema",
            _ => "",
        },
        "SecurityDefinitionsItem" => match (text("type"), text("flow")) {
            ("basic", _) => "basicAuthenticationSecurity",
            ("apiKey", _) => "apiKeySecurity",
            ("oauth2", "implicit") => "oauth2ImplicitSecurity",
            ("oauth2", "password") => "oauth2PasswordSecurity",
            ("oauth2", "application") => "oauth2ApplicationSecurity",
            ("oauth2", "accessCode") => "oauth2AccessCodeSecurity",
            _ => "",
        },
        _ => return None,
    })
}
