(component (component $c (core module $m (func (export "run") (result i32) i32.const 0)) (core instance $i (instantiate $m)) (func (export "run") (result (result)) (canon lift (core func $i "run"))))
 (instance $x (instantiate $c)) (export "wasi:cli/run@0.2.0" (instance $x)))
