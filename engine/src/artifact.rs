//! Model to bytes and back: the only room that knows the byte format.

use crate::model::Model;

/// The model as one self-contained artifact.
pub fn to_bytes(_model: &Model) -> Vec<u8> {
    todo!()
}

/// Reads an artifact.
///
/// # Errors
/// Says what is wrong with the bytes; never panics, never allocates by a length that the bytes claim.
pub fn from_bytes(_bytes: &[u8]) -> Result<Model, ArtifactError> {
    todo!()
}

/// What is wrong with an artifact's bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArtifactError {
    /// The bytes do not start as an artifact does.
    #[error("not an Isolog model")]
    NotAModel,
}
