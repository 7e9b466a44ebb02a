//! Artifacts: what was saved is what is loaded, and damaged bytes are refused with a reason.

use std::sync::LazyLock;

use engine::artifact::{self, ArtifactError};
use engine::model::Scratch;
use proptest::prelude::*;

use crate::events::{odd, params, train, usual};

static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let params = engine::model::train::TrainParams { n_estimators: 3, max_samples: 32, ..params() };
    artifact::to_bytes(&train(&usual(60), params)).unwrap()
});

#[test]
fn a_loaded_model_scores_to_the_bit_as_the_saved_one() {
    let lines = usual(800);
    let saved = train(&lines, params());
    let bytes = artifact::to_bytes(&saved).unwrap();
    let loaded = artifact::from_bytes(&bytes).unwrap();
    assert_eq!(loaded.digest(), saved.digest());
    assert_eq!(loaded.digest().len(), 32);
    assert_eq!(artifact::to_bytes(&loaded).unwrap(), bytes);
    let (mut a, mut b) = (Scratch::default(), Scratch::default());
    for line in lines.iter().chain([&odd()]) {
        let (before, after) = (saved.score(line, &mut a), loaded.score(line, &mut b));
        assert_eq!(before.score.to_bits(), after.score.to_bits());
        assert_eq!(before, after);
        assert_eq!(saved.explain(line, &mut a), loaded.explain(line, &mut b));
    }
}

#[test]
fn a_model_cut_at_any_length_is_refused() {
    for length in 0..BYTES.len() {
        let error = artifact::from_bytes(&BYTES[..length]).unwrap_err();
        match length {
            0 => assert_eq!(error, ArtifactError::NotAModel),
            _ => assert!(matches!(error, ArtifactError::CutShort { .. }), "{length}: {error}"),
        }
    }
}

#[test]
fn every_flipped_bit_of_the_header_is_noticed() {
    for bit in 0..64 * 8 {
        let mut bytes = BYTES.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let error = artifact::from_bytes(&bytes).unwrap_err();
        let expected = if bit < 64 { ArtifactError::NotAModel } else { ArtifactError::HeaderDamaged };
        assert_eq!(error, expected, "bit {bit}");
    }
}

/// A header that is in order but for what `change` did to it.
fn forged(mut bytes: Vec<u8>, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    change(&mut bytes);
    let digest = *blake3::hash(&bytes[64..]).as_bytes();
    bytes[24..56].copy_from_slice(&digest);
    let checksum = crc32c::crc32c(&bytes[..60]);
    bytes[60..64].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

#[test]
fn another_version_asks_to_train_again() {
    let bytes = forged(BYTES.clone(), |bytes| bytes[8] = 9);
    let error = artifact::from_bytes(&bytes).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the model has format version 9, this program reads 3 to 5 (with sessions 5 alone): train it again \
         with this program"
    );
}

#[test]
fn a_model_of_the_version_before_is_read_and_written_as_it_was() {
    let mut bytes = BYTES[..BYTES.len() - 8].to_vec();
    let length = bytes.len() as u64 - 64;
    bytes[16..24].copy_from_slice(&length.to_le_bytes());
    let bytes = forged(bytes, |bytes| bytes[8] = 3);
    let (old, new) = (artifact::from_bytes(&bytes).unwrap(), artifact::from_bytes(&BYTES).unwrap());
    assert_eq!((old.unseen_word_share(), new.unseen_word_share().is_some()), (None, true));
    assert_eq!(artifact::to_bytes(&old).unwrap(), bytes);
    let (mut a, mut b) = (Scratch::default(), Scratch::default());
    for line in usual(40).iter().chain([&odd()]) {
        assert_eq!(old.score(line, &mut a), new.score(line, &mut b));
    }
}

#[test]
fn a_share_of_words_that_is_none_is_refused() {
    for share in [f64::NAN, -0.1, 1.1, f64::INFINITY] {
        let end = BYTES.len() - 8;
        let bytes = forged(BYTES.clone(), |bytes| bytes[end..].copy_from_slice(&share.to_le_bytes()));
        let error = artifact::from_bytes(&bytes).unwrap_err().to_string();
        assert!(error.contains("is not in [0, 1]"), "{error}");
    }
}

#[test]
fn a_length_of_exabytes_is_refused_without_an_allocation() {
    let bytes = forged(BYTES.clone(), |bytes| bytes[16..24].fill(0xff));
    assert!(matches!(artifact::from_bytes(&bytes), Err(ArtifactError::TooLarge { .. })));
}

#[test]
fn bytes_after_the_end_are_refused() {
    let mut bytes = BYTES.clone();
    bytes.push(0);
    assert_eq!(artifact::from_bytes(&bytes).unwrap_err(), ArtifactError::TooLong { extra: 1 });
}

#[test]
fn a_flipped_bit_of_the_content_is_noticed() {
    for at in (64..BYTES.len()).step_by(97) {
        let mut bytes = BYTES.clone();
        bytes[at] ^= 0x10;
        assert_eq!(artifact::from_bytes(&bytes).unwrap_err(), ArtifactError::ContentDamaged);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes_are_refused(bytes: Vec<u8>) {
        prop_assert!(artifact::from_bytes(&bytes).is_err());
    }

    /// Whoever forges the checksums too gets an error or a model that scores in range, never a panic.
    #[test]
    fn forged_content_never_panics(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        wide: bool,
    ) {
        let bytes = forged(BYTES.clone(), |bytes| {
            for (index, value) in changes {
                let at = 64 + index.index(bytes.len() - 72);
                bytes[at..at + if wide { 8 } else { 1 }].fill(value);
            }
        });
        if let Ok(model) = artifact::from_bytes(&bytes) {
            let mut scratch = Scratch::default();
            for line in usual(5).iter().chain([&odd()]) {
                let score = model.score(line, &mut scratch);
                prop_assert!((0.0..=1.0).contains(&score.score), "{:?}", score);
                prop_assert!((0.0..=1.0).contains(&score.forest));
                model.explain(line, &mut scratch);
            }
        }
    }
}
