(module (memory (export "memory") 1) (tag $e) (func (export "_start") try  throw $e catch $e end))
