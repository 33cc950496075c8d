(module (tag $e (param i32))
 (func (export "_start")
  (block $h (result i32) (try_table (catch $e $h) (throw $e (i32.const 7))) unreachable) (i32.const 7) (i32.ne) (if (then unreachable))) (memory (export "memory") 1))
