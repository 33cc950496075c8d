//! The whole of wasmpod, spoken to as its users do.

mod kill;
