//! Watches: changes of objects, one JSON value per line.

use serde::Deserialize;
use serde_json::Value;

use super::{Client, StreamingResponse};
use crate::cli::exit::RequestFailed;

/// The changes of a list, as they arrive.
pub struct Watch {
    response: StreamingResponse,
    /// Bytes received after the last complete line.
    buffer: Vec<u8>,
}

/// A change of an object.
#[derive(Deserialize)]
pub struct WatchEvent {
    /// `ADDED`, `MODIFIED` or `DELETED`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The object, in the requested form.
    pub object: Value,
}

impl Client {
    /// Watches a list after `resource_version`. `field_selector` selects objects; empty for all.
    pub async fn watch(
        &self,
        list_path: &str,
        resource_version: &str,
        field_selector: &str,
        accept: &str,
    ) -> anyhow::Result<Watch> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("watch", "true").append_pair("resourceVersion", resource_version);
        if !field_selector.is_empty() {
            query.append_pair("fieldSelector", field_selector);
        }
        let response = self.stream(&format!("{list_path}?{}", query.finish()), accept).await?;
        Ok(Watch { response, buffer: Vec::new() })
    }
}

impl Watch {
    /// Returns the next change, or `None` once the server has closed the watch, which it does from time to time.
    pub async fn next(&mut self) -> anyhow::Result<Option<WatchEvent>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let event: WatchEvent = serde_json::from_slice(&line)?;
                if event.kind == "ERROR" {
                    let message = event.object.get("message").and_then(Value::as_str);
                    return Err(RequestFailed(message.unwrap_or("the watch failed").into()).into());
                }
                return Ok(Some(event));
            }
            match self.response.next_chunk().await? {
                Some(bytes) => self.buffer.extend_from_slice(&bytes),
                None => return Ok(None),
            }
        }
    }
}
