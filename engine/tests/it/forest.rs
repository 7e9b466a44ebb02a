//! The forest: sparse and dense rows, masks and walks, one thread and eight all give the same forest and scores.

use engine::forest::{
    Forest, ForestError, IsolationForestParams, PathScratch, PlainForest, SparseRows, TreeArrays,
};
use linfa::ParamGuard;
use linfa::dataset::DatasetBase;
use linfa::traits::{Fit, Predict};
use ndarray::{Array1, Array2};
use proptest::prelude::*;

/// Rows of which most values are zero; some are negative, some repeat.
fn matrix(rows: usize, columns: usize, seed: u64) -> Array2<f64> {
    Array2::from_shape_fn((rows, columns), |(row, column)| {
        let mut mixed = (row as u64 * 1_000_003 + column as u64 + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^= mixed >> 29;
        match mixed % 11 {
            0 => (mixed >> 8) as f64 % 7.0 - 2.0,
            1 => (mixed >> 16) as f64 / 2_f64.powi(46) - 1.5,
            _ => 0.0,
        }
    })
}

fn sparse(matrix: &Array2<f64>) -> SparseRows {
    SparseRows::from_dense(matrix.ncols(), matrix.rows().into_iter().map(|row| row.to_vec())).unwrap()
}

fn params(trees: usize, samples: usize) -> IsolationForestParams {
    IsolationForestParams::new().n_estimators(trees).max_samples(samples).seed(11)
}

fn fit(matrix: &Array2<f64>, trees: usize, samples: usize) -> Forest {
    params(trees, samples).fit(&DatasetBase::new(matrix.clone(), ())).unwrap()
}

#[test]
fn sparse_rows_and_dense_rows_grow_the_same_forest_and_score_alike() {
    let dense = matrix(700, 40, 1);
    let rows = sparse(&dense);
    let forest = fit(&dense, 60, 256);
    let by_rows: Forest = params(60, 256).fit(&DatasetBase::new(rows.clone(), ())).unwrap();
    assert_eq!(forest.data(), by_rows.data());
    let scores: Array1<f64> = forest.predict(&dense);
    let sparse_scores: Array1<f64> = forest.predict(&rows);
    assert_eq!(scores, sparse_scores);
    assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)));
}

#[test]
fn a_compressed_matrix_of_sprs_is_taken() {
    let dense = matrix(50, 12, 2);
    let mut triplets = sprs::TriMat::new((50, 12));
    for ((row, column), value) in dense.indexed_iter().filter(|(_, value)| **value != 0.0) {
        triplets.add_triplet(row, column, *value);
    }
    assert_eq!(SparseRows::try_from(&triplets.to_csr::<usize>()).unwrap(), sparse(&dense));
    assert_eq!(SparseRows::try_from(&triplets.to_csc::<usize>()).unwrap(), sparse(&dense));
}

#[test]
fn threads_do_not_matter() {
    let dense = matrix(900, 30, 3);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| fit(&dense, 40, 128).data().clone())
    };
    assert_eq!(with(1), with(8));
}

#[test]
fn an_outlier_scores_above_the_crowd() {
    let mut dense = matrix(500, 6, 4).mapv(|value| value / 100.0);
    dense.row_mut(77).fill(9.0);
    let scores: Array1<f64> = fit(&dense, 100, 256).predict(&dense);
    let (top, _) = scores.indexed_iter().max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
    assert_eq!(top, 77);
    assert!(scores[77] > 0.6);
}

#[test]
fn what_cannot_be_fitted_says_why() {
    let error = |matrix: Array2<f64>| -> String {
        let fitted: Result<Forest, ForestError> = params(5, 16).fit(&DatasetBase::new(matrix, ()));
        fitted.unwrap_err().to_string()
    };
    assert_eq!(error(Array2::zeros((1, 3))), "an isolation forest needs at least 2 rows, got 1");
    let mut holed = Array2::zeros((4, 3));
    holed[(2, 1)] = f64::NAN;
    assert_eq!(error(holed), "row 2, column 1 holds NaN: every value must be finite");
    assert_eq!(
        params(0, 16).check().unwrap_err().to_string(),
        "n_estimators = 0 is out of range: 1 to 10000"
    );
    assert_eq!(
        params(1, 1).check_ref().unwrap_err().to_string(),
        "max_samples = 1 is out of range: 2 to 65536"
    );
}

#[test]
fn what_is_not_a_number_counts_as_zero() {
    for columns in [3, 30] {
        let forest = fit(&matrix(300, columns, 5), 20, 256);
        let mut scratch = PathScratch::default();
        let mut row = vec![1.0; columns];
        row[1] = f64::NAN;
        let sum = forest.path_sum_of_dense(&row, &mut scratch);
        assert_eq!(sum, forest.path_sum((0..).zip(row.iter().copied()), &mut scratch));
        row[1] = 0.0;
        assert_eq!(sum, forest.path_sum_of_dense(&row, &mut scratch));
    }
}

#[test]
fn one_scratch_serves_many_forests() {
    let dense = matrix(400, 20, 6);
    let rows = sparse(&dense);
    let (small, large) = (fit(&dense, 5, 64), fit(&dense, 50, 400));
    let mut shared = PathScratch::default();
    for row in 0..rows.len() {
        for forest in [&small, &large] {
            let alone = forest.score(rows.row(row), &mut PathScratch::default());
            assert_eq!(forest.score(rows.row(row), &mut shared), alone);
        }
    }
}

#[test]
fn rows_that_are_all_alike_score_alike() {
    let scores: Array1<f64> = fit(&Array2::ones((20, 3)), 10, 16).predict(&Array2::<f64>::ones((3, 3)));
    assert!(scores.iter().all(|score| *score == scores[0] && score.is_finite()));
}

#[test]
fn a_damaged_tree_from_elsewhere_is_refused() {
    let arrays = TreeArrays {
        children_left: vec![1, -1, -1],
        children_right: vec![2, -1, -1],
        feature: vec![0, -2, -2],
        threshold: vec![0.5, -2.0, -2.0],
        n_node_samples: vec![2, 1, 1],
    };
    assert!(Forest::from_arrays(std::slice::from_ref(&arrays), 1, 2).is_ok());
    let looped = TreeArrays { children_left: vec![0, -1, -1], ..arrays.clone() };
    assert!(Forest::from_arrays(&[looped], 1, 2).is_err());
    let ragged = TreeArrays { threshold: vec![0.5], ..arrays };
    assert!(Forest::from_arrays(&[ragged], 1, 2).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn sparse_and_dense_rows_on_one_thread_and_eight_grow_the_same_forest(
        rows in 2_usize..300, columns in 1_usize..40, trees in 1_usize..20, samples in 2_usize..300, seed: u64,
    ) {
        let dense = matrix(rows, columns, seed);
        let params = || params(trees, samples).seed(seed);
        let sparse = sparse(&dense);
        let grow = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let by_columns: Forest = params().fit(&DatasetBase::new(dense.clone(), ())).unwrap();
                let by_rows: Forest = params().fit(&DatasetBase::new(sparse.clone(), ())).unwrap();
                let scores: Array1<f64> = by_columns.predict(&dense);
                let sparse_scores: Array1<f64> = by_rows.predict(&sparse);
                let bits = |scores: Array1<f64>| scores.mapv(f64::to_bits).to_vec();
                (by_columns.data().clone(), by_rows.data().clone(), bits(scores), bits(sparse_scores))
            })
        };
        let (dense_trees, sparse_trees, dense_scores, sparse_scores) = grow(1);
        prop_assert_eq!(&dense_trees, &sparse_trees);
        prop_assert_eq!(&dense_scores, &sparse_scores);
        prop_assert_eq!(grow(8), (dense_trees, sparse_trees, dense_scores, sparse_scores));
    }

    #[test]
    fn masks_over_leaves_equal_walking_the_trees(
        rows in 2usize..600, columns in 1usize..40, samples in 2usize..600, seed: u64,
    ) {
        let rows = sparse(&matrix(rows, columns, seed));
        let forest = params(9, samples).checked().unwrap().fit_rows(&rows).unwrap();
        let unseen = sparse(&matrix(50, columns, seed.wrapping_add(1)));
        let (plain, mut buffer) = (PlainForest::new(forest.data()), vec![0.0; columns]);
        let mut scratch = PathScratch::default();
        for row in (0..rows.len()).map(|row| rows.row(row)).chain((0..50).map(|row| unseen.row(row))) {
            let sum = forest.path_sum(row.iter().copied(), &mut scratch);
            prop_assert_eq!(sum, forest.path_sum_by_walking(row));
            prop_assert_eq!(sum, forest.path_sum(row.iter().copied(), &mut PathScratch::default()));
            let mut dense = vec![0.0; columns];
            row.iter().for_each(|(column, value)| dense[*column as usize] = *value);
            prop_assert_eq!(sum, forest.path_sum_of_dense(&dense, &mut scratch));
            prop_assert_eq!(sum, plain.path_sum(row, &mut buffer));
            prop_assert_eq!(sum, plain.path_sum_by_search(row));
            prop_assert!(buffer.iter().all(|value| *value == 0.0));
        }
    }
}
