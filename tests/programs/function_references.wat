(module (type $f (func (result i32))) (func $a (type $f) (i32.const 3)) (elem declare func $a) (memory (export "memory") 1)
 (func (export "_start") (if (i32.ne (call_ref $f (ref.func $a)) (i32.const 3)) (then unreachable))))
