//! The whole flow on one page: batches are decoded and scored, findings delivered, positions acknowledged.
