(module (type $a (array (mut i8)))
 (memory (export "memory") 1)
 (func (export "_start") (local $i i32)
  (loop $n (drop (array.new $a (i32.const 1) (i32.const 10000)))  (local.set $i (i32.add (local.get $i) (i32.const 1))) (br_if $n (i32.lt_u (local.get $i) (i32.const 100000))))))
