(module (import "wasi_unstable" "fd_write" (func (param i32 i32 i32 i32) (result i32))) (import "wasi_unstable" "proc_exit" (func (param i32))) (memory (export "memory") 1) (func (export "_start")))
