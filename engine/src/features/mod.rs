//! A log event becomes masked words, shape words and hashed columns.
