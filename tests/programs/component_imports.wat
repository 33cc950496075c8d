;; Drafts, a later version, an unknown interface and a function by itself; wasi:http is provided.
(component
  (import "wasi:keyvalue/store@0.2.0-draft" (instance
    (export "bucket" (type (sub resource)))
    (export "open" (func))))
  (import "wasi:http/outgoing-handler@0.2.3" (instance (export "handle" (func))))
  (import "wasi:cli/stdout@0.2.0-rc-2023-12-05" (instance (export "get-stdout" (func))))
  (import "wasi:cli/exit@0.2.13" (instance
    (export "exit-nicely" (func))
    (export "exit" (func (param "status" (result))))))
  (import "my:own/thing" (instance (export "do" (func))))
  (import "plain" (func)))
