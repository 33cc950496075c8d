//! `wasi:http` without a network: programs can import it and build requests, but every request is denied.
//!
//! Toolchains add the imports to programs that never send a request, among them every JavaScript component.

use std::future::Future;

use hyper::{Request, Response};
use wasmtime::component::Linker;
use wasmtime_wasi_http::{
    Error, RequestOptions, Result, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use super::host::Host;

/// State of `wasi:http` of one instance.
#[derive(Default)]
pub struct DeniedHttp {
    context: WasiHttpCtx,
    hooks: DenyRequests,
}

#[derive(Default)]
struct DenyRequests;

/// What becomes of a request's or a response's body.
type Transmission = Box<dyn Future<Output = Result<()>> + Send>;

impl WasiHttpHooks for DenyRequests {
    fn send_request(
        &mut self,
        _request: Request<WasiBody>,
        _options: Option<RequestOptions>,
        _processed: Transmission,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Transmission)>> + Send> {
        Box::new(std::future::ready(Err(Error::HttpRequestDenied)))
    }
}

impl WasiHttpView for Host {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.http.hooks, table: &mut self.table, ctx: &mut self.http.context }
    }
}

/// Adds the interfaces that programs import, of WASI 0.2 and 0.3.
pub fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    wasmtime_wasi_http::p3::add_to_linker(linker)
}
