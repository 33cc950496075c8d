(module (type $p (struct (field (mut i32)) (field (ref null $p))))
 (memory (export "memory") 1)
 (func (export "_start") (local $l (ref null $p)) 
  (loop $n (local.set $l (struct.new $p (i32.const 1) (local.get $l))) (br $n))))
