(module (memory (export "memory") 1) (memory $b 1) (func (export "_start") (i32.store $b (i32.const 0) (i32.const 1))))
