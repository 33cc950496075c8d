//! awk's associative arrays, which keep the order of insertion.

use std::collections::HashMap;

use super::value::{Bytes, Value};

#[derive(Debug, Default)]
pub struct Array {
    places: HashMap<Bytes, usize>,
    /// The elements in order; deleted ones leave a gap.
    elements: Vec<Option<(Bytes, Value)>>,
}

impl Array {
    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn has(&self, key: &[u8]) -> bool {
        self.places.contains_key(key)
    }

    pub fn get(&self, key: &[u8]) -> Option<&Value> {
        let place = self.places.get(key)?;
        self.elements.get(*place)?.as_ref().map(|(_, value)| value)
    }

    /// Returns the element, which it creates if necessary.
    pub fn element(&mut self, key: &Bytes) -> &mut Value {
        let place = match self.places.get(key) {
            Some(place) => *place,
            None => {
                self.places.insert(key.clone(), self.elements.len());
                self.elements.push(None);
                self.elements.len() - 1
            }
        };
        &mut self.elements[place].get_or_insert_with(|| (key.clone(), Value::Unset)).1
    }

    pub fn insert(&mut self, key: &Bytes, value: Value) {
        *self.element(key) = value;
    }

    pub fn remove(&mut self, key: &[u8]) {
        let Some(place) = self.places.remove(key) else { return };
        if let Some(element) = self.elements.get_mut(place) {
            *element = None;
        }
        // An array that is used as a queue must not grow.
        if self.elements.len() > 32 && self.elements.len() > 2 * self.places.len() {
            self.elements.retain(Option::is_some);
            for (at, element) in self.elements.iter().enumerate() {
                if let Some((key, _)) = element {
                    self.places.insert(key.clone(), at);
                }
            }
        }
    }

    pub fn clear(&mut self) {
        *self = Array::default();
    }

    pub fn keys(&self) -> Vec<Bytes> {
        self.elements.iter().flatten().map(|(key, _)| key.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> Bytes {
        Bytes::from(number.to_string().as_bytes())
    }

    #[test]
    fn keys_keep_their_order_through_deletions() {
        let mut array = Array::default();
        for number in 0..100 {
            array.insert(&key(number), Value::Number(number as f64));
        }
        for number in 0..90 {
            array.remove(&key(number));
        }
        array.insert(&key(5), Value::Number(5.0));
        let expected: Vec<Bytes> = (90..100).chain([5]).map(key).collect();
        assert_eq!(array.keys(), expected);
        assert_eq!(array.len(), 11);
        assert_eq!(array.get(b"95").map(Value::number), Some(95.0));
        assert!(!array.has(b"6") && array.elements.len() < 64);
    }
}
