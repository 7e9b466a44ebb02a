//! The forest as a linfa algorithm: params → checked params → `Fit` → model with `PredictInplace` (scores).

use linfa::dataset::{DatasetBase, Records};
use linfa::traits::{Fit, Predict, PredictInplace};
use linfa::{Float, ParamGuard};
use ndarray::{Array1, ArrayBase, Data, Ix2};

use super::params::{IsolationForestParams, IsolationForestValidParams};
use super::{Forest, ForestError, MAX_FEATURES, PathScratch, SparseRows, SparseRowsError};

impl ParamGuard for IsolationForestParams {
    type Checked = IsolationForestValidParams;
    type Error = ForestError;

    fn check_ref(&self) -> Result<&Self::Checked, Self::Error> {
        self.verify()?;
        Ok(&self.0)
    }

    fn check(self) -> Result<Self::Checked, Self::Error> {
        self.checked()
    }
}

impl Records for SparseRows {
    type Elem = f64;

    fn nsamples(&self) -> usize {
        self.len()
    }

    fn nfeatures(&self) -> usize {
        self.columns()
    }
}

impl TryFrom<&sprs::CsMat<f64>> for SparseRows {
    type Error = SparseRowsError;

    fn try_from(matrix: &sprs::CsMat<f64>) -> Result<Self, SparseRowsError> {
        let by_row = matrix.to_csr();
        let mut rows = Self::new(matrix.cols());
        for row in by_row.outer_iterator() {
            rows.push(row.iter().map(|(column, value)| (column as u32, *value)))?;
        }
        Ok(rows)
    }
}

impl<F: Float, D: Data<Elem = F>, T> Fit<ArrayBase<D, Ix2>, T, ForestError> for IsolationForestValidParams {
    type Object = Forest;

    fn fit(&self, dataset: &DatasetBase<ArrayBase<D, Ix2>, T>) -> Result<Forest, ForestError> {
        let records = dataset.records();
        let columns = records.ncols();
        if columns > MAX_FEATURES as usize {
            return Err(ForestError::TooManyColumns { got: columns });
        }
        let rows = records.rows().into_iter().map(|row| row.into_iter().copied().map(to_f64));
        self.fit_rows(&SparseRows::from_dense(columns, rows)?)
    }
}

impl<T> Fit<SparseRows, T, ForestError> for IsolationForestValidParams {
    type Object = Forest;

    fn fit(&self, dataset: &DatasetBase<SparseRows, T>) -> Result<Forest, ForestError> {
        self.fit_rows(dataset.records())
    }
}

impl<F: Float, D: Data<Elem = F>> PredictInplace<ArrayBase<D, Ix2>, Array1<F>> for Forest {
    fn predict_inplace<'a>(&'a self, x: &'a ArrayBase<D, Ix2>, y: &mut Array1<F>) {
        let (mut scratch, mut values) = (PathScratch::default(), Vec::new());
        for (row, score) in x.rows().into_iter().zip(y) {
            values.clear();
            values.extend(row.iter().copied().map(to_f64));
            *score = F::cast(self.score_of(self.path_sum_of_dense(&values, &mut scratch)));
        }
    }

    fn default_target(&self, x: &ArrayBase<D, Ix2>) -> Array1<F> {
        Array1::zeros(x.nrows())
    }
}

impl PredictInplace<SparseRows, Array1<f64>> for Forest {
    fn predict_inplace<'a>(&'a self, x: &'a SparseRows, y: &mut Array1<f64>) {
        let mut scratch = PathScratch::default();
        for (row, score) in y.iter_mut().enumerate() {
            *score = self.score(x.row(row), &mut scratch);
        }
    }

    fn default_target(&self, x: &SparseRows) -> Array1<f64> {
        Array1::zeros(x.len())
    }
}

impl Predict<&SparseRows, Array1<f64>> for Forest {
    fn predict(&self, x: &SparseRows) -> Array1<f64> {
        let mut scores = self.default_target(x);
        self.predict_inplace(x, &mut scores);
        scores
    }
}

fn to_f64<F: Float>(value: F) -> f64 {
    value.to_f64().unwrap_or(f64::NAN)
}
