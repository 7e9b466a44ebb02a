//! The Isolation Forest (Liu, Ting and Zhou, ICDM 2008) on sparse hashed columns, as a linfa algorithm.
