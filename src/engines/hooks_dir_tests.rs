//! Tests of the file of the same name.
