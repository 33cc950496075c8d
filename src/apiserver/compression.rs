//! Compression of large responses, as with kube-apiserver's feature `APIResponseCompression`.

use axum::http::Response;
use http_body::Body;
use tower_http::CompressionLevel;
use tower_http::compression::{CompressionLayer, Predicate};

use super::proxy::ProxiedResponse;

/// Minimum size of a body that is compressed (Kubernetes' `defaultGzipThresholdBytes`).
pub const MIN_COMPRESSED_BYTES: u64 = 128 * 1024;

/// Returns the layer that compresses large responses with gzip for clients that accept it.
pub fn layer() -> CompressionLayer<LargeBody> {
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(LargeBody)
}

/// Selects responses whose body is large. Watches, logs and other streams have no exact size, and the responses of pods
/// are passed on unchanged.
#[derive(Clone, Copy)]
pub struct LargeBody;

impl Predicate for LargeBody {
    fn should_compress<B: Body>(&self, response: &Response<B>) -> bool {
        let is_large = response.body().size_hint().exact().is_some_and(|bytes| bytes >= MIN_COMPRESSED_BYTES);
        is_large && response.extensions().get::<ProxiedResponse>().is_none()
    }
}
