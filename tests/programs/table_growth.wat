;; Grows a table by an element again and again.
(module
  (memory (export "memory") 1)
  (table 1 funcref)
  (func (export "_start")
    (loop
      (drop (table.grow 0 (ref.null func) (i32.const 1)))
      (br 0))))
