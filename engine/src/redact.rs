//! Secrets are taken out of a line before anything of it is kept.
