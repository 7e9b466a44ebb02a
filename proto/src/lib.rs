//! The gRPC interface: messages, client, server trait and descriptors, generated from `isolog/v1/scoring.proto`
//! by `cargo xtask codegen`. By hand is only how messages are read from the wire.

pub mod codec;

/// The package `isolog.v1`.
pub mod v1 {
    #![allow(missing_docs, unused_qualifications, clippy::all)]

    include!("gen/isolog.v1.rs");

    /// The encoded `FileDescriptorSet` of the package and its imports, for reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("gen/isolog.v1.binpb");
}
