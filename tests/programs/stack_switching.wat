(module (type $f (func)) (type $c (cont $f)) (func $g) (elem declare func $g) (memory (export "memory") 1) (func (export "_start") (drop (cont.new $c (ref.func $g)))))
